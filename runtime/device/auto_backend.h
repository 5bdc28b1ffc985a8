/* SPDX-License-Identifier: Apache-2.0 */
/* auto_backend.h - device "auto" where there is a GPU. */
#ifndef APX_DEVICE_AUTO_BACKEND_H
#define APX_DEVICE_AUTO_BACKEND_H

#include "runtime/device/backend.h"

extern const struct apx_backend apx_backend_auto;

/* Rows of a batch from which on the GPU is chosen, for these free extents; -1: never. `program`
 * was compiled by apx_backend_auto. */
int64_t apx_auto_from_rows(const struct apx_program *program, const int64_t *symbols);

#endif
