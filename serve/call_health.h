/* SPDX-License-Identifier: Apache-2.0 */
/* call_health.h - grpc.health.v1.Health: Check and Watch.
 *
 * Names: "" and "auspex.v1.Inference" (is any model served?), and each model's. */
#ifndef APX_SERVE_CALL_HEALTH_H
#define APX_SERVE_CALL_HEALTH_H

#include "serve/models.h"
#include "serve/transport.h"

struct apx_health;

/* APX_ENOMEM. `models` is asked for each answer. */
enum apx_status apx_health_create(struct apx_models *models, struct apx_health **out,
                                  struct apx_error *error);
/* After the transport. Accepts NULL. */
void apx_health_destroy(struct apx_health *health);

struct apx_method apx_health_check_method(struct apx_health *health);
struct apx_method apx_health_watch_method(struct apx_health *health);
/* What is served has changed: tell those who watch. context: the struct apx_health. */
void apx_health_changed(void *context);
/* From here on everything is NOT_SERVING; watchers are told so, and their calls end. */
void apx_health_drain(struct apx_health *health);

#endif
