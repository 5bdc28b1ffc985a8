/* SPDX-License-Identifier: Apache-2.0 */
/* copy.c - strided copies to dense outputs: transposes, slices, expansions, and `where`. */
#include <assert.h>
#include <string.h>

#include "kernels/shape/nd_walk.h"

#define COPY_RUN(type)                                                                             \
    do {                                                                                           \
        const type *from = (const type *)x + walk.offset[0];                                       \
        type *to = (type *)y + run * count;                                                        \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = from[(ptrdiff_t)i * step];                                                     \
    } while (0)

void apx_copy_nd(const struct apx_nd *nd, size_t width, const void *x, void *y)
{
    struct nd_walk walk;
    apx_nd_begin(&walk, nd, 1);
    const size_t count = walk.nd.extent[walk.nd.rank - 1];
    const ptrdiff_t step = walk.nd.stride[0][walk.nd.rank - 1];
    for (size_t run = 0; run < walk.runs; run++) {
        if (step == 1 && width <= 8)
            memcpy((char *)y + run * count * width,
                   (const char *)x + walk.offset[0] * (ptrdiff_t)width, count * width);
        else if (width == 1)
            COPY_RUN(uint8_t);
        else if (width == 4)
            COPY_RUN(uint32_t);
        else if (width == 8)
            COPY_RUN(uint64_t);
        else
            assert(false);
        if (run + 1 < walk.runs)
            apx_nd_next(&walk);
    }
}

#define WHERE_RUN(type)                                                                            \
    do {                                                                                           \
        const type *if_true = (const type *)a + walk.offset[1];                                    \
        const type *if_false = (const type *)b + walk.offset[2];                                   \
        type *to = (type *)y + run * count;                                                        \
        for (size_t i = 0; i < count; i++) {                                                       \
            const ptrdiff_t at = (ptrdiff_t)i;                                                     \
            to[i] = chosen[at * step[0]] ? if_true[at * step[1]] : if_false[at * step[2]];         \
        }                                                                                          \
    } while (0)

void apx_where(const struct apx_nd *nd, size_t width, const uint8_t *condition, const void *a,
               const void *b, void *y)
{
    struct nd_walk walk;
    apx_nd_begin(&walk, nd, 3);
    const int last = walk.nd.rank - 1;
    const size_t count = walk.nd.extent[last];
    const ptrdiff_t step[3] = {walk.nd.stride[0][last], walk.nd.stride[1][last],
                               walk.nd.stride[2][last]};
    for (size_t run = 0; run < walk.runs; run++) {
        const uint8_t *chosen = condition + walk.offset[0];
        if (width == 1)
            WHERE_RUN(uint8_t);
        else if (width == 4)
            WHERE_RUN(uint32_t);
        else if (width == 8)
            WHERE_RUN(uint64_t);
        else
            assert(false);
        if (run + 1 < walk.runs)
            apx_nd_next(&walk);
    }
}
