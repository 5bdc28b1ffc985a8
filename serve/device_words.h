/* SPDX-License-Identifier: Apache-2.0 */
/* device_words.h - for the log: where the batches of a model go. */
#ifndef APX_SERVE_DEVICE_WORDS_H
#define APX_SERVE_DEVICE_WORDS_H

#include <stddef.h>

#include "runtime/auspex.h"

/* "cpu", "cuda", or "auto: GPU from 96 rows, measured" for sessions of one thread; "" out of
 * memory. */
void apx_device_words(const struct apx_model *model, char *out, size_t room);

#endif
