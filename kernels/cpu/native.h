/* SPDX-License-Identifier: Apache-2.0 */
/* native.h - the processor's own answer, for functions that have no table.
 *
 * Rows of a table are chosen by the caller's caps. A few functions (apx_matmul_f32,
 * apx_softmax_f32) have the same bits on every ISA and nothing to pack, so they ask the compiler's
 * CPU model, which is filled in once before main. */
#ifndef APX_KERNELS_NATIVE_H
#define APX_KERNELS_NATIVE_H

#include <stdbool.h>

static inline bool apx_native_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#endif
