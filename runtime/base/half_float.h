/* SPDX-License-Identifier: Apache-2.0 */
/* half_float.h - half-precision numbers of files as what they are in float32: exact, every one. */
#ifndef APX_BASE_HALF_FLOAT_H
#define APX_BASE_HALF_FLOAT_H

#include <stdint.h>
#include <string.h>

static inline float apx_float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31;
    uint32_t fraction = half & 1023u, bits;
    if (exponent == 0) {
        float value = (float)fraction * 0x1p-24f; /* zero and subnormals, exact */
        return sign != 0 ? -value : value;
    }
    if (exponent == 31)
        bits = sign | 0x7f800000u | fraction << 13;
    else
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
