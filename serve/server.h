/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - the server as a whole: put together in one order, taken down in the other. */
#ifndef APX_SERVE_SERVER_H
#define APX_SERVE_SERVER_H

#include "serve/serve_options.h"
#include "serve/transport.h"

struct apx_server;

/* Loads the models, then listens. *out is NULL on failure; errors are those of apx_models_create
 * and apx_transport_create. */
enum apx_status apx_server_create(const struct apx_serve_options *options, struct apx_server **out,
                                  struct apx_error *error);
/* Look at the repository now. */
void apx_server_reload(struct apx_server *server);
/* Say NOT_SERVING, and refuse new calls with UNAVAILABLE; those under way go on. */
void apx_server_begin_drain(struct apx_server *server);
/* After begin_drain: true once no call is under way, and either none came for a moment or a second
 * has passed; waits up to timeout_ms. */
bool apx_server_wait_quiet(struct apx_server *server, int timeout_ms);
/* After begin_drain: cancels what is still under way and frees everything. Accepts NULL. */
void apx_server_destroy(struct apx_server *server);

#endif
