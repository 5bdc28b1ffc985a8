/* SPDX-License-Identifier: Apache-2.0 */
/* panel_s8.h - the inner product of the int8 kernels: some rows times one panel of 8-bit weights.
 *
 *     out[i] = seed[i] + scale[i] * sum(w_s8[i][k] * q[k])     one fused multiply-add
 *
 * The sum is exact, whatever the instructions. What multiplies bytes takes one factor without a
 * sign, so values are stored as q + levels (0 .. 2 levels), and levels * sum(w) is taken away
 * again. A panel is v vectors of V outputs; four values of k share a lane. How it lies depends on
 * the instructions:
 *
 * PANEL_S8_WHOLE   [v][V] int32: minus levels * sum(w);  [K/4][v][V][4] weights
 *
 *     vpdpbusd adds four products to a lane in 32 bits.
 *
 * chunk 2, 4, 8    per chunk of so many fours of k: [v][V][2] int16: minus levels * sum(w) of the
 *                  chunk, modulo 2^16;  [chunk][v][V][4] weights
 *
 *     vpmaddubsw adds two products in 16 bits, and saturates: levels and weights must keep
 *     2 levels * (|w| + |w'|) within 32767. Further sums wrap around, which does no harm as long as
 *     the true sum of the chunk fits 16 bits: levels * sum(|w|) <= 32767 in each half lane. That is
 *     known when the weights are; the largest chunk for which it holds is taken. Only then the
 *     halves are joined in 32 bits.
 *
 * PANEL_S8_SIGNED  [K/4][v][V][4] weights
 *
 *     For weights that are too large: values keep their sign, which vpsignb hands to the weight;
 *     |q| (|w| + |w'|) is at most 2 * 127 * 127 and fits 16 bits.
 *
 * K is padded with weights of zero, so rows of values have to be readable up to a multiple of
 * PANEL_S8_PAD. */
#ifndef APX_KERNELS_PANEL_S8_H
#define APX_KERNELS_PANEL_S8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PANEL_S8_VECTORS 4
#define PANEL_S8_PAD     32
#define PANEL_S8_ROWS    8 /* no tile has more */

enum { PANEL_S8_SIGNED = 0, PANEL_S8_WHOLE = -1 };

/* How panels lie: fixed for all matrices of a layer. */
struct panel_s8_form {
    size_t lanes; /* V */
    int levels;   /* bound on |q| */
    int chunk;    /* 2, 4, 8, PANEL_S8_SIGNED or PANEL_S8_WHOLE */
};

/* Which matrix rows a panel holds: lane l of vector i is row first[i] + l of matrix[., inner], as
 * long as l < lanes; zeros beyond. */
struct panel_s8_source {
    const int8_t *matrix;
    size_t inner, vectors;
    size_t first[PANEL_S8_VECTORS], lanes[PANEL_S8_VECTORS];
};

struct panel_s8 {
    const void *weights;
    const float *scale;    /* [v V] */
    size_t inner, vectors; /* K, v */
    int chunk;
};

struct panel_s8_row {
    const uint8_t *q;  /* [K], q + levels, or q if PANEL_S8_SIGNED */
    const float *seed; /* [v V] */
    float *out;        /* [v V], may be seed */
};

static inline size_t panel_s8_padded(size_t inner)
{
    return (inner + PANEL_S8_PAD - 1) / PANEL_S8_PAD * PANEL_S8_PAD;
}

/* What is added to q before it is stored. */
static inline int panel_s8_offset(const struct panel_s8_form *form)
{
    return form->chunk == PANEL_S8_SIGNED ? 0 : form->levels;
}

/* The fastest chunk that vpmaddubsw may take for all rows of matrix[outputs, inner]. */
int apx_panel_s8_chunk(const int8_t *matrix, size_t outputs, size_t inner, int levels);
/* Bytes of a panel, a multiple of 64. */
size_t apx_panel_s8_bytes(const struct panel_s8_form *form, size_t inner, size_t vectors);
/* The most that any chunk would take; PANEL_S8_WHOLE is its own. */
size_t apx_panel_s8_bound(size_t lanes, bool whole, size_t inner, size_t vectors);
void apx_panel_s8_pack(const struct panel_s8_form *form, const struct panel_s8_source *source,
                       void *panel);

/* m rows through a panel; m at most apx_panel_s8_most_<isa>(v). */
void apx_panel_s8_tile_avx2(const struct panel_s8 *panel, const struct panel_s8_row *row, size_t m);
void apx_panel_s8_tile_avx512vnni(const struct panel_s8 *panel, const struct panel_s8_row *row,
                                  size_t m);

static inline size_t panel_s8_most_avx2(size_t v)
{
    static const unsigned char rows[PANEL_S8_VECTORS + 1] = {4, 4, 4, 3, 4};
    return rows[v];
}

static inline size_t panel_s8_most_avx512vnni(size_t v)
{
    static const unsigned char rows[PANEL_S8_VECTORS + 1] = {8, 8, 8, 6, 6};
    return rows[v];
}

#endif
