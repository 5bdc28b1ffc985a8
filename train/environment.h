/* SPDX-License-Identifier: Apache-2.0 */
/* environment.h - what a run was made with: for people who wonder why another one differs. */
#ifndef APX_TRAIN_ENVIRONMENT_H
#define APX_TRAIN_ENVIRONMENT_H

#include <jansson.h>
#include <stdint.h>

#include "runtime/auspex.h"

/* *caps: the instruction sets that the processor has and AUSPEX_ISA allows (kernels.h).
 *   APX_EINVAL  AUSPEX_ISA is no word for one */
enum apx_status apx_environment_caps(uint32_t *caps, struct apx_error *error);

/* {"auspex", "cpu", "isa", "threads", "os", "compiler", "libraries": {...}}; NULL if out of memory.
 */
json_t *apx_environment_json(uint32_t caps, int threads);

#endif
