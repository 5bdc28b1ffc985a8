/* SPDX-License-Identifier: Apache-2.0 */
/* half.h - half precision (IEEE 754 binary16) from and to float. */
#ifndef APX_KERNELS_HALF_H
#define APX_KERNELS_HALF_H

#include <stdint.h>
#include <string.h>

/* The nearest half, ties to even; infinity from 65520 on. A NaN stays one, its payload does not. */
static inline uint16_t apx_half_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (bits >= 0x477ff000u) /* 65520 */
        return (uint16_t)(sign | 0x7c00u);
    if (bits < 0x38800000u) { /* below 2^-14: a multiple of 2^-24 */
        /* Adding 1/2 leaves 2^-24 as the last bit of the sum: the addition rounds. */
        float sum;
        memcpy(&sum, &bits, sizeof sum);
        sum += 0.5f;
        memcpy(&bits, &sum, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000u));
    }
    const uint32_t odd = bits >> 13 & 1u;
    return (uint16_t)(sign | ((bits - 0x38000000u + 0xfffu + odd) >> 13));
}

/* Exact. */
static inline float apx_half_value(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, rest = half & 0x7fffu;
    uint32_t bits = sign | ((rest << 13) + 0x38000000u);
    if (rest >= 0x7c00u)
        bits = sign | 0x7f800000u | (rest & 0x3ffu) << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    if (rest < 0x400u) {
        value = (float)rest * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    return value;
}

#endif
