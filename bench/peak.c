/* SPDX-License-Identifier: Apache-2.0 */
/* peak - loops that do nothing but multiply and add.
 *
 * Twelve chains hide the latency of every such instruction since Haswell and leave registers for
 * the operands. The empty assembler statements keep the compiler from seeing that a product is the
 * same each time, and from dropping sums that nobody reads. */
#include "bench/peak.h"

#include <immintrin.h>

#define CHAINS 12

static uint64_t operations(size_t turns, uint64_t products)
{
    return (uint64_t)turns * CHAINS * products * 2;
}

__attribute__((target("avx2,fma"))) static uint64_t fma_avx2(size_t turns)
{
    const __m256 a = _mm256_set1_ps(1.0f), b = _mm256_set1_ps(1e-9f);
    __m256 sums[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sums[i] = b;
    for (size_t turn = 0; turn < turns; turn++)
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm256_fmadd_ps(a, b, sums[i]);
    for (int i = 0; i < CHAINS; i++)
        __asm__ volatile("" : : "x"(sums[i]));
    return operations(turns, 8);
}

__attribute__((target("avx512f"))) static uint64_t fma_avx512(size_t turns)
{
    const __m512 a = _mm512_set1_ps(1.0f), b = _mm512_set1_ps(1e-9f);
    __m512 sums[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sums[i] = b;
    for (size_t turn = 0; turn < turns; turn++)
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm512_fmadd_ps(a, b, sums[i]);
    for (int i = 0; i < CHAINS; i++)
        __asm__ volatile("" : : "v"(sums[i]));
    return operations(turns, 16);
}

__attribute__((target("avx2"))) static uint64_t maddubs_avx2(size_t turns)
{
    const __m256i ones = _mm256_set1_epi16(1), b = _mm256_set1_epi8(3);
    __m256i a = _mm256_set1_epi8(5), sums[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sums[i] = ones;
    for (size_t turn = 0; turn < turns; turn++)
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+x"(a));
            const __m256i pairs = _mm256_maddubs_epi16(a, b);
            sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs, ones));
        }
    for (int i = 0; i < CHAINS; i++)
        __asm__ volatile("" : : "x"(sums[i]));
    return operations(turns, 32);
}

__attribute__((target("avx512f,avx512bw"))) static uint64_t maddubs_avx512(size_t turns)
{
    const __m512i ones = _mm512_set1_epi16(1), b = _mm512_set1_epi8(3);
    __m512i a = _mm512_set1_epi8(5), sums[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sums[i] = ones;
    for (size_t turn = 0; turn < turns; turn++)
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+v"(a));
            const __m512i pairs = _mm512_maddubs_epi16(a, b);
            sums[i] = _mm512_add_epi32(sums[i], _mm512_madd_epi16(pairs, ones));
        }
    for (int i = 0; i < CHAINS; i++)
        __asm__ volatile("" : : "v"(sums[i]));
    return operations(turns, 64);
}

__attribute__((target("avx512f,avx512vnni"))) static uint64_t dot_avx512(size_t turns)
{
    const __m512i a = _mm512_set1_epi8(5), b = _mm512_set1_epi8(3);
    __m512i sums[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        sums[i] = a;
    for (size_t turn = 0; turn < turns; turn++)
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
    for (int i = 0; i < CHAINS; i++)
        __asm__ volatile("" : : "v"(sums[i]));
    return operations(turns, 64);
}

const char *peak_name(enum peak_kind kind)
{
    static const char *const names[PEAK_KINDS] = {
        [PEAK_FMA_AVX2] = "fma-avx2",          [PEAK_FMA_AVX512] = "fma-avx512",
        [PEAK_MADDUBS_AVX2] = "maddubs-avx2",  [PEAK_MADDUBS_AVX512] = "maddubs-avx512",
        [PEAK_DOT_AVX512] = "vpdpbusd-avx512",
    };
    return (unsigned)kind < PEAK_KINDS ? names[kind] : NULL;
}

bool peak_runs(enum peak_kind kind)
{
    switch (kind) {
    case PEAK_FMA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case PEAK_FMA_AVX512:
        return __builtin_cpu_supports("avx512f");
    case PEAK_MADDUBS_AVX2:
        return __builtin_cpu_supports("avx2");
    case PEAK_MADDUBS_AVX512:
        return __builtin_cpu_supports("avx512bw");
    case PEAK_DOT_AVX512:
        return __builtin_cpu_supports("avx512vnni");
    case PEAK_KINDS:
        break;
    }
    return false;
}

uint64_t peak_turn(enum peak_kind kind, size_t turns)
{
    static uint64_t (*const loops[PEAK_KINDS])(size_t) = {
        [PEAK_FMA_AVX2] = fma_avx2,         [PEAK_FMA_AVX512] = fma_avx512,
        [PEAK_MADDUBS_AVX2] = maddubs_avx2, [PEAK_MADDUBS_AVX512] = maddubs_avx512,
        [PEAK_DOT_AVX512] = dot_avx512,
    };
    return loops[kind](turns);
}
