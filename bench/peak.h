/* SPDX-License-Identifier: Apache-2.0 */
/* peak.h - what the multipliers of one core can do: the ceiling that kernels are measured against.
 *
 * A loop of independent chains that stay in registers. It counts operations as kernels do: a
 * multiplication and an addition for each pair of numbers, whatever instructions that takes. */
#ifndef APX_BENCH_PEAK_H
#define APX_BENCH_PEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum peak_kind {
    PEAK_FMA_AVX2,       /* float: vfmadd, 256 bits */
    PEAK_FMA_AVX512,     /* float: vfmadd, 512 bits */
    PEAK_MADDUBS_AVX2,   /* u8 by s8 without VNNI: vpmaddubsw, vpmaddwd, vpaddd, 256 bits */
    PEAK_MADDUBS_AVX512, /* the same, 512 bits */
    PEAK_DOT_AVX512,     /* u8 by s8: vpdpbusd, 512 bits */
    PEAK_KINDS
};

/* "fma-avx2" and so on; NULL beyond the kinds. Static storage. */
const char *peak_name(enum peak_kind kind);
/* Whether this processor and system have the instructions. */
bool peak_runs(enum peak_kind kind);
/* Goes round the loop `turns` times; the operations that took. The kind must run here. */
uint64_t peak_turn(enum peak_kind kind, size_t turns);

#ifdef __cplusplus
}
#endif
#endif
