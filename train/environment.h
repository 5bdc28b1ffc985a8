/* SPDX-License-Identifier: Apache-2.0 */
/* environment.h - what a run was made with: for people who wonder why another one differs. */
#ifndef APX_TRAIN_ENVIRONMENT_H
#define APX_TRAIN_ENVIRONMENT_H

#include <jansson.h>

/* {"auspex", "cpu", "isa", "threads", "os", "compiler", "libraries": {...}}; NULL if out of memory.
 */
json_t *apx_environment_json(int threads);

#endif
