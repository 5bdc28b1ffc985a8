/* SPDX-License-Identifier: Apache-2.0 */
/* vector_names.h - names and loops for bodies that are written once and compiled per ISA.
 *
 * A body (<op>_body.h) speaks the vector vocabulary of one simd_f32_<isa>.h; the file
 * <op>_<isa>.c includes that vocabulary, then the body. Its entry points are then called
 * apx_<op>_<isa>_<verb>. */
#ifndef APX_KERNELS_VECTOR_NAMES_H
#define APX_KERNELS_VECTOR_NAMES_H

#define APX_PASTE3_(op, isa, verb) apx_##op##_##isa##_##verb
#define APX_PASTE3(op, isa, verb)  APX_PASTE3_(op, isa, verb)
#define APX_ENTRY(op, verb)        APX_PASTE3(op, VF_ISA, verb)
#define APX_INLINE                 static inline __attribute__((always_inline))
/* APX_UNROLL_FOR: for (int i = 0; i < n; i++) of a constant few turns, unrolled completely, so that
 * arrays of accumulators become registers. APX_TILE: a function that is made anew for each size of
 * a tile. With sanitizers (APX_LOOP_TILES) it is one function of loops: the same accesses, checked,
 * at a tenth of the code. */
#ifdef APX_LOOP_TILES
#    define APX_TILE             static __attribute__((noinline))
#    define APX_UNROLL_FOR(i, n) for (int i = 0; i < (n); i++)
#else
#    define APX_TILE             APX_INLINE
#    define APX_UNROLL_FOR(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#endif

/* Bits of 2^(j/8) less j << 20, j = 0 .. 7 (vf_exp2_eighths_biased). */
#define APX_EXP2_EIGHTHS                                                                           \
    {                                                                                              \
        0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd,        \
            0x3f7ac0c7                                                                             \
    }

#endif
