/* SPDX-License-Identifier: Apache-2.0 */
/* quantise_s8.h - floats to bytes as int8 panels want them, over the vector vocabulary: include
 * simd_f32_<isa>.h first. */
#ifndef APX_KERNELS_QUANTISE_S8_H
#define APX_KERNELS_QUANTISE_S8_H

#include <math.h>

#include "kernels/dense/panel_s8.h"

struct quantise_s8 {
    vf factor, most, least;
#if VF_LANES == 16
    __m512i offset;
#else
    __m128i offset;
#endif
};

static inline struct quantise_s8 quantise_s8(const struct panel_s8_form *form, float factor)
{
    const float levels = (float)form->levels;
    const int offset = panel_s8_offset(form);
    return (struct quantise_s8)
    {
        .factor = vf_set1(factor), .most = vf_set1(levels), .least = vf_set1(-levels),
#if VF_LANES == 16
        .offset = _mm512_set1_epi32(offset)
#else
        .offset = _mm_set1_epi8((char)offset)
#endif
    };
}

/* V values as bytes; NaN gives the least. */
APX_INLINE void quantise_s8_store(const struct quantise_s8 *how, vf v, uint8_t *out)
{
    const vf scaled = vf_min(how->most, vf_max(vf_mul(v, how->factor), how->least));
#if VF_LANES == 16
    const __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(scaled), how->offset);
    _mm_storeu_si128((__m128i *)(void *)out, _mm512_cvtepi32_epi8(q));
#else
    const __m256i q = _mm256_cvtps_epi32(scaled);
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    const __m128i bytes = _mm_add_epi8(_mm_packs_epi16(words, words), how->offset);
    _mm_storel_epi64((__m128i *)(void *)out, bytes);
#endif
}

/* q of values[count]; out is written in whole vectors. Returns whether there is a NaN. */
static bool quantise_s8_values(const struct quantise_s8 *how, const float *values, size_t count,
                               uint8_t *out)
{
    vf taint = vf_set1(0.0f);
    size_t k = 0;
    for (; k + VF_LANES <= count; k += VF_LANES) {
        const vf v = vf_load(values + k);
        /* NaN from NaN alone: infinities are bounded first. */
        taint = vf_add(taint, vf_min(vf_set1(1.0f), vf_max(vf_set1(-1.0f), v)));
        quantise_s8_store(how, v, out + k);
    }
    if (k < count) {
        const vf v = vf_load_first(values + k, count - k);
        taint = vf_add(taint, vf_min(vf_set1(1.0f), vf_max(vf_set1(-1.0f), v)));
        quantise_s8_store(how, v, out + k);
    }
    float lane[VF_LANES], sum = 0.0f;
    vf_store(lane, taint);
    for (size_t i = 0; i < VF_LANES; i++)
        sum += lane[i];
    return isnan(sum);
}

#endif
