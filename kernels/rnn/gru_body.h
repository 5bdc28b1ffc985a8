/* SPDX-License-Identifier: Apache-2.0 */
/* gru_body.h - one direction of a GRU layer over all steps, over the vector vocabulary.
 *
 * As lstm_body.h: blocks of V units, tiles of rows, gates on the accumulators. Two forms:
 *
 *   reset after:  h' = (1-z) g(W x + Wb + r (R h + Rb)) + z h. The candidate's halves are two
 *                 accumulators, one grows after the other; one pass.
 *   reset before: h' = (1-z) g(W x + Wb + R (r h) + Rb) + z h. R needs r of all units, so the first
 *                 pass leaves z, r h and the candidate's first half, and a second one goes on from
 *                 there with an ordinary matrix product.
 *
 * With fewer rows than a tile, the sums of x are computed for some steps ahead (lstm_body.h). A
 * single row has three sums a block under way, too few to hide the latency of a multiply-add (4
 * cycles, 2 a cycle): it takes several blocks side by side. The two meet in one function: entry j
 * of a tile is either row j of one block, or block j of one row.
 *
 * Order of every sum: bias, x ascending, h (or r h) ascending, fused.
 *
 * Included by gru_<isa>.c after simd_f32_<isa>.h. */
#include "kernels/dense/panel.h"
#include "kernels/rnn/rnn_between.h"
#include "kernels/rnn/rnn_cell.h"
#include "kernels/rnn/rnn_layout.h"
#include "kernels/rnn/rnn_weight.h"

/* Which part of the work a tile does. */
enum gru_part {
    PART_ALL,   /* from x and h */
    PART_AHEAD, /* from x to sums */
    PART_REST   /* from sums and h */
};

struct gru_row {
    const float *x, *h; /* [I], [H] */
    const float *h_old; /* [V] of this block, padded */
    float *h_out;       /* [V] of this block, padded */
    float *y;           /* [lanes] of this block, or NULL */
    size_t lanes;       /* units of this block that exist */
    float *z, *rh, *g;  /* reset before: [V] of this block, padded */
    float *sums;        /* [3][V] of this block: bias + W x; unless PART_ALL */
};

struct gru_block {
    const struct apx_rnn_desc *desc;
    const float *bias;
    const rnn_weight *weights;
    size_t floats; /* to the next block */
    bool plain;    /* sigmoid, tanh and no clip */
};

static __attribute__((noinline)) vf gru_gate_general(const struct apx_rnn_desc *desc, int act, vf a)
{
    if (desc->clip > 0.0f)
        a = vf_bound(a, desc->clip);
    return vf_activate(desc->act[act], a);
}

/* z and r from their sums. */
APX_INLINE void gru_gates(const struct gru_block *block, vf *z, vf *r)
{
    if (block->plain) {
        cell_gru_gates(z, r);
    } else {
        *z = gru_gate_general(block->desc, 0, *z);
        *r = gru_gate_general(block->desc, 0, *r);
    }
}

/* The new h from the candidate's sum, z and the old h. */
APX_INLINE vf gru_new_h(const struct gru_block *block, vf candidate, vf z, vf h)
{
    if (block->plain) {
        cell_gru_h(1, &candidate, &z, &h);
        return h;
    }
    candidate = gru_gate_general(block->desc, 1, candidate);
    return vf_fma(vf_sub(vf_set1(1.0f), z), candidate, vf_mul(z, h));
}

APX_INLINE void gru_store(const struct gru_row *row, size_t unit, size_t lanes, vf h)
{
    vf_store(row->h_out + unit, h);
    if (row->y == NULL)
        return;
    if (lanes == VF_LANES)
        vf_store(row->y + unit, h);
    else
        vf_store_first(row->y + unit, h, lanes);
}

/* One column of weights, times the rows' values v, onto the sums `to` of the tile; entry j's column
 * is j * next further. A weight that has to be converted is so once, for all rows. */
APX_INLINE void gru_column(const rnn_weight *w, const size_t next, const float *const v[],
                           const size_t k, const int m, const int columns, const int to[3],
                           vf acc[VF_TILE_ROWS][4])
{
    if (next == 0 && rnn_keeps_weights(m)) {
        vf weights[3];
        APX_UNROLL_FOR (g, columns)
            weights[g] = rnn_weights_kept(w + g * VF_LANES);
        APX_UNROLL_FOR (j, m) {
            vf a = vf_set1(v[j][k]);
            APX_UNROLL_FOR (g, columns)
                acc[j][to[g]] = vf_fma(a, weights[g], acc[j][to[g]]);
        }
        return;
    }
    APX_UNROLL_FOR (j, m) {
        vf a = vf_set1(v[j][k]);
        APX_UNROLL_FOR (g, columns)
            acc[j][to[g]] =
                vf_fma(a, rnn_weights(w + (size_t)j * next + g * VF_LANES), acc[j][to[g]]);
    }
}

/* Sums of z, r, the candidate's x half; reset after: the candidate's h half in acc[3]. */
APX_INLINE void gru_sums(const struct gru_block *block, const struct gru_row *row, const int m,
                         const bool after, const bool side, const enum gru_part part,
                         vf acc[VF_TILE_ROWS][4])
{
    static const int of_x[3] = {0, 1, 2}, of_h[3] = {0, 1, 3};
    const size_t input = block->desc->input, hidden = block->desc->hidden;
    const size_t floats = side ? block->floats : 0;
    const size_t next = floats * (sizeof(float) / sizeof(rnn_weight));
    const float *x[VF_TILE_ROWS], *h[VF_TILE_ROWS];
    APX_UNROLL_FOR (j, m) {
        const float *bias = block->bias + (size_t)j * floats;
        x[j] = row[j].x;
        h[j] = row[j].h;
        APX_UNROLL_FOR (g, 3)
            acc[j][g] = vf_load((part == PART_REST ? row[j].sums : bias) + g * VF_LANES);
        if (after && part != PART_AHEAD)
            acc[j][3] = vf_load(bias + 3 * VF_LANES);
    }
    const rnn_weight *w = block->weights;
    if (part != PART_REST)
        for (size_t k = 0; k < input; k++, w += 3 * VF_LANES)
            gru_column(w, next, x, k, m, 3, of_x, acc);
    if (part == PART_AHEAD)
        return;
    w = block->weights + input * 3 * VF_LANES;
    const int columns = after ? 3 : 2;
    for (size_t k = 0; k < hidden; k++, w += columns * VF_LANES)
        gru_column(w, next, h, k, m, columns, of_h, acc);
}

/* Reset after: from the sums to the new h. */
APX_INLINE void gru_cell_after(const struct gru_block *block, const struct gru_row *row,
                               const vf acc[4])
{
    vf z = acc[0], r = acc[1];
    gru_gates(block, &z, &r);
    const vf candidate = vf_fma(r, acc[3], acc[2]);
    gru_store(row, 0, row->lanes, gru_new_h(block, candidate, z, vf_load(row->h_old)));
}

APX_TILE void gru_tile(const struct gru_block *block, const struct gru_row *row, const int m,
                       const bool after, const bool side, const enum gru_part part)
{
    vf acc[VF_TILE_ROWS][4];
    gru_sums(block, row, m, after, side, part, acc);
    APX_UNROLL_FOR (j, m) {
        if (part == PART_AHEAD) {
            APX_UNROLL_FOR (g, 3)
                vf_store(row[j].sums + g * VF_LANES, acc[j][g]);
            continue;
        }
        if (after) {
            gru_cell_after(block, &row[j], acc[j]);
            continue;
        }
        vf z = acc[j][0], r = acc[j][1];
        gru_gates(block, &z, &r);
        vf_store(row[j].z, z);
        vf_store(row[j].rh, vf_mul(r, vf_load(row[j].h_old)));
        vf_store(row[j].g, acc[j][2]);
    }
}

#define GRU_CASE(m)                                                                                \
    case m:                                                                                        \
        if (part == PART_AHEAD)                                                                    \
            gru_tile(block, row, (m), false, false, PART_AHEAD);                                   \
        else if (after && part == PART_ALL)                                                        \
            gru_tile(block, row, (m), true, false, PART_ALL);                                      \
        else if (after)                                                                            \
            gru_tile(block, row, (m), true, false, PART_REST);                                     \
        else if (part == PART_ALL)                                                                 \
            gru_tile(block, row, (m), false, false, PART_ALL);                                     \
        else                                                                                       \
            gru_tile(block, row, (m), false, false, PART_REST);                                    \
        break;

/* m rows of one block. */
static void gru_tiles(const struct gru_block *block, const struct gru_row *row, size_t m,
                      enum gru_part part)
{
    const bool after = block->desc->reset_after;
    switch (m) {
        GRU_CASE(1)
        GRU_CASE(2)
        GRU_CASE(3)
#if VF_TILE_ROWS > 3
        GRU_CASE(4)
        GRU_CASE(5)
        GRU_CASE(6)
#endif
    default:
        assert(false);
    }
}

/* One row of VF_SIDE_BLOCKS blocks. */
static void gru_side_tile(const struct gru_block *block, const struct gru_row *row,
                          enum gru_part part)
{
    const bool after = block->desc->reset_after;
    if (after && part == PART_ALL)
        gru_tile(block, row, VF_SIDE_BLOCKS, true, true, PART_ALL);
    else if (after)
        gru_tile(block, row, VF_SIDE_BLOCKS, true, true, PART_REST);
    else if (part == PART_ALL)
        gru_tile(block, row, VF_SIDE_BLOCKS, false, true, PART_ALL);
    else
        gru_tile(block, row, VF_SIDE_BLOCKS, false, true, PART_REST);
}

/* ---- full tiles ---- */

/* Rows whose steps go on together, and a tile of them: three sums a row at a time, as the
 * candidate's x half is complete before its h half begins. */
enum { FULL_ROWS = 48, FULL_TILE = VF_LANES == 16 ? 8 : 4, FULL_SIDE = 4 };

/* The cells of m rows, some side by side; from_h is the candidate's h half. */
APX_INLINE void gru_full_cells(const struct gru_row *row, size_t unit, size_t lanes, const int m,
                               vf z[FULL_TILE], vf r[FULL_TILE], const vf from_x[FULL_TILE],
                               const vf from_h[FULL_TILE])
{
    vf candidate[FULL_TILE], h[FULL_TILE];
    APX_UNROLL_FOR (j, m)
        cell_gru_gates(&z[j], &r[j]);
    APX_UNROLL_FOR (j, m) {
        candidate[j] = vf_fma(r[j], from_h[j], from_x[j]);
        h[j] = vf_load(row[j].h_old + unit);
    }
    APX_UNROLL_FOR (q, (m + FULL_SIDE - 1) / FULL_SIDE) {
        const int at = q * FULL_SIDE;
        cell_gru_h(m - at < FULL_SIDE ? m - at : FULL_SIDE, candidate + at, z + at, h + at);
    }
    APX_UNROLL_FOR (j, m)
        gru_store(&row[j], unit, lanes, h[j]);
}

/* One column of weights, times the rows' values v, onto the tile's sums; `three` of them, or z and
 * r alone. */
APX_INLINE void gru_full_column(const rnn_weight *w, const float *const v[], const size_t k,
                                const int m, const bool three, vf z[FULL_TILE], vf r[FULL_TILE],
                                vf g[FULL_TILE])
{
    if (rnn_keeps_weights(m)) {
        const vf for_z = rnn_weights_kept(w), for_r = rnn_weights_kept(w + VF_LANES);
        const vf for_g = three ? rnn_weights_kept(w + 2 * VF_LANES) : for_r;
        APX_UNROLL_FOR (j, m) {
            const vf a = vf_set1(v[j][k]);
            z[j] = vf_fma(a, for_z, z[j]);
            r[j] = vf_fma(a, for_r, r[j]);
            if (three)
                g[j] = vf_fma(a, for_g, g[j]);
        }
        return;
    }
    APX_UNROLL_FOR (j, m) {
        const vf a = vf_set1(v[j][k]);
        z[j] = vf_fma(a, rnn_weights(w), z[j]);
        r[j] = vf_fma(a, rnn_weights(w + VF_LANES), r[j]);
        if (three)
            g[j] = vf_fma(a, rnn_weights(w + 2 * VF_LANES), g[j]);
    }
}

/* One block of m rows; reset before: as far as the second pass wants it. */
APX_TILE void gru_full_tile(const struct gru_block *block, const struct gru_row *row, size_t unit,
                            size_t lanes, const int m, const bool after)
{
    const size_t input = block->desc->input, hidden = block->desc->hidden;
    vf z[FULL_TILE], r[FULL_TILE], g[FULL_TILE], from_x[FULL_TILE];
    APX_UNROLL_FOR (j, m) {
        z[j] = vf_load(block->bias);
        r[j] = vf_load(block->bias + VF_LANES);
        g[j] = vf_load(block->bias + 2 * VF_LANES);
    }
    const rnn_weight *w = block->weights;
    for (size_t k = 0; k < input; k++, w += 3 * VF_LANES) {
        const float *v[FULL_TILE];
        APX_UNROLL_FOR (j, m)
            v[j] = row[j].x;
        gru_full_column(w, v, k, m, true, z, r, g);
    }
    APX_UNROLL_FOR (j, m) {
        from_x[j] = g[j];
        if (after)
            g[j] = vf_load(block->bias + 3 * VF_LANES);
    }
    for (size_t k = 0; k < hidden; k++, w += (after ? 3 : 2) * VF_LANES) {
        const float *v[FULL_TILE];
        APX_UNROLL_FOR (j, m)
            v[j] = row[j].h;
        gru_full_column(w, v, k, m, after, z, r, g);
    }
    if (after) {
        gru_full_cells(row, unit, lanes, m, z, r, from_x, g);
        return;
    }
    APX_UNROLL_FOR (j, m) {
        cell_gru_gates(&z[j], &r[j]);
        vf_store(row[j].z + unit, z[j]);
        vf_store(row[j].rh + unit, vf_mul(r[j], vf_load(row[j].h_old + unit)));
        vf_store(row[j].g + unit, from_x[j]);
    }
}

#define GRU_FULL_CASE(rows)                                                                        \
    case rows:                                                                                     \
        if (block->desc->reset_after)                                                              \
            gru_full_tile(block, row, unit, lanes, (rows), true);                                  \
        else                                                                                       \
            gru_full_tile(block, row, unit, lanes, (rows), false);                                 \
        break;

static void gru_full_tiles(const struct gru_block *block, const struct gru_row *row, size_t unit,
                           size_t count)
{
    const size_t left = block->desc->hidden - unit, lanes = left < VF_LANES ? left : VF_LANES;
    size_t tiles = (count + FULL_TILE - 1) / FULL_TILE;
    for (size_t m; count > 0; count -= m, row += m, tiles--) {
        m = (count + tiles - 1) / tiles; /* tiles of even size */
        switch (m) {
            GRU_FULL_CASE(1)
            GRU_FULL_CASE(2)
            GRU_FULL_CASE(3)
            GRU_FULL_CASE(4)
#if VF_LANES == 16
            GRU_FULL_CASE(5)
            GRU_FULL_CASE(6)
            GRU_FULL_CASE(7)
            GRU_FULL_CASE(8)
#endif
        default:
            assert(false);
        }
    }
}

/* The buffers of one call. */
struct gru_state {
    float *h_old, *h_new; /* [N][padded] */
    float *z, *rh, *g;    /* [N][padded]; reset before only */
    float *sums;          /* [N][RNN_AHEAD_STEPS][3 padded], or NULL: not ahead */
    uint32_t *active;     /* [N] */
    size_t padded;
};

/* Row n at its step number `step`, in block `number`; `ahead` counts from where sums begin. */
static void gru_locate(const struct apx_rnn_args *args, const struct gru_state *state, size_t n,
                       size_t step, size_t ahead, size_t number, struct gru_row *row)
{
    const ptrdiff_t at = (ptrdiff_t)n, time = (ptrdiff_t)rnn_time(args, n, step);
    const size_t unit = number * VF_LANES, here = n * state->padded + unit;
    const size_t left = args->desc->hidden - unit;
    row->lanes = left < VF_LANES ? left : VF_LANES;
    row->x = args->x + at * args->x_row + time * args->x_step;
    row->h = state->h_old + n * state->padded;
    row->h_old = state->h_old + here;
    row->h_out = state->h_new + here;
    row->y = args->y == NULL ? NULL : args->y + at * args->y_row + time * args->y_step + unit;
    row->z = state->z + here;
    row->rh = state->rh + here;
    row->g = state->g + here;
    row->sums = NULL;
    if (state->sums != NULL)
        row->sums = state->sums + ((n * RNN_AHEAD_STEPS + ahead) * state->padded + unit) * 3;
}

/* Point the block at its `number`-th piece of the packed weights. */
static void gru_enter_block(struct gru_block *block, const void *packed, size_t number)
{
    const struct apx_rnn_desc *desc = block->desc;
    block->bias = (const float *)packed + number * block->floats;
    block->weights =
        (const rnn_weight *)(const void *)(block->bias + (desc->reset_after ? 4 : 3) * VF_LANES);
}

/* The sums of x for the active rows' steps from `first` to `last`. */
static void gru_ahead(const struct apx_rnn_args *args, const struct gru_state *state,
                      struct gru_block *block, size_t count, size_t first, size_t last)
{
    for (size_t number = 0; number * VF_LANES < state->padded; number++) {
        struct gru_row row[VF_TILE_ROWS];
        size_t m = 0;
        gru_enter_block(block, args->packed, number);
        for (size_t next = 0; next < count; next++) {
            const size_t n = state->active[next], length = rnn_length(args, n);
            for (size_t step = first; step < last && step < length; step++) {
                gru_locate(args, state, n, step, step - first, number, &row[m++]);
                if (m < VF_TILE_ROWS)
                    continue;
                gru_tiles(block, row, m, PART_AHEAD);
                m = 0;
            }
        }
        if (m > 0)
            gru_tiles(block, row, m, PART_AHEAD);
    }
}

/* One step of the active rows in one block, or of a single row in several side by side. */
static void gru_step_block(const struct apx_rnn_args *args, const struct gru_state *state,
                           struct gru_block *block, size_t count, size_t step, size_t number,
                           size_t side)
{
    const enum gru_part part = state->sums != NULL ? PART_REST : PART_ALL;
    const size_t since = step % RNN_AHEAD_STEPS;
    struct gru_row row[VF_TILE_ROWS];
    gru_enter_block(block, args->packed, number);
    if (side > 1) {
        for (size_t j = 0; j < side; j++)
            gru_locate(args, state, state->active[0], step, since, number + j, &row[j]);
        gru_side_tile(block, row, part);
        return;
    }
    size_t tiles = (count + VF_TILE_ROWS - 1) / VF_TILE_ROWS;
    for (size_t next = 0; next < count; tiles--) {
        const size_t m = (count - next + tiles - 1) / tiles; /* tiles of even size */
        for (size_t j = 0; j < m; j++, next++)
            gru_locate(args, state, state->active[next], step, since, number, &row[j]);
        gru_tiles(block, row, m, part);
    }
}

/* One step of the active rows, all blocks; reset after: that is all. */
static void gru_first_pass(const struct apx_rnn_args *args, const struct gru_state *state,
                           struct gru_block *block, size_t count, size_t step)
{
    const size_t blocks = state->padded / VF_LANES, side = count == 1 ? VF_SIDE_BLOCKS : 1;
    const size_t groups = blocks / side, turns = groups + blocks % side;
    for (size_t turn = 0; turn < turns; turn++) {
        const size_t at = count == 1 ? rnn_turn(step, turn, turns) : turn;
        if (at < groups)
            gru_step_block(args, state, block, count, step, at * side, side);
        else
            gru_step_block(args, state, block, count, step, groups * side + at - groups, 1);
    }
}

/* One step of the active rows in full tiles; reset before: the first pass. */
static void gru_full_step(const struct apx_rnn_args *args, const struct gru_state *state,
                          struct gru_block *block, size_t count, size_t step)
{
    struct gru_row row[FULL_ROWS];
    for (size_t next = 0; next < count;) {
        size_t m = 0;
        for (; m < FULL_ROWS && next < count; m++, next++)
            gru_locate(args, state, state->active[next], step, 0, 0, &row[m]);
        for (size_t number = 0; number * VF_LANES < state->padded; number++) {
            gru_enter_block(block, args->packed, number);
            gru_full_tiles(block, row, number * VF_LANES, m);
        }
    }
}

/* Reset before, second pass: g += R (r h), then the new h. */
static void gru_second_pass(const struct apx_rnn_args *args, const struct gru_state *state,
                            const struct gru_block *block, const float *packed, size_t count,
                            size_t step)
{
    const size_t hidden = args->desc->hidden, padded = state->padded;
    for (size_t first = 0; first < hidden; first += PANEL_VECTORS * VF_LANES) {
        const size_t width = panel_width(hidden - first, VF_LANES), v = width / VF_LANES;
        const struct panel panel = {
            .weights = packed, .inner = hidden, .width = width, .act = {.kind = APX_ACT_NONE}};
        packed += width * hidden;
        size_t tiles = (count + panel_most_rows(v) - 1) / panel_most_rows(v);
        for (size_t next = 0; next < count; tiles--) {
            struct panel_row row[PANEL_MAX_ROWS];
            const size_t m = (count - next + tiles - 1) / tiles;
            for (size_t j = 0; j < m; j++, next++) {
                const size_t n = state->active[next];
                row[j].a = state->rh + n * padded;
                row[j].seed = row[j].out = state->g + n * padded + first;
            }
            panel_tiles(&panel, row, m, v);
        }
    }
    for (size_t next = 0; next < count; next++) {
        struct gru_row row;
        gru_locate(args, state, state->active[next], step, 0, 0, &row);
        for (size_t unit = 0; unit < padded; unit += VF_LANES) {
            const size_t left = hidden - unit;
            vf h = gru_new_h(block, vf_load(row.g + unit), vf_load(row.z + unit),
                             vf_load(row.h_old + unit));
            gru_store(&row, unit, left < VF_LANES ? left : VF_LANES, h);
        }
    }
}

size_t APX_ENTRY(GRU_TYPES, scratch_bytes)(const struct apx_rnn_desc *desc, size_t rows)
{
    const size_t padded = rnn_padded(desc->hidden, VF_LANES);
    return (desc->reset_after ? 2 : 5) * rnn_line(rows * padded * sizeof(float)) +
           rnn_ahead_bytes(desc, rows, VF_TILE_ROWS, 3 * padded) +
           rnn_line(rows * sizeof(uint32_t));
}

/* Vectors of 16 that could be at most half full leave the work to vectors of 8. */
bool APX_ENTRY(GRU_TYPES, supports)(const struct apx_rnn_desc *desc)
{
    return desc->int8.levels == 0 && desc->half_weights == RNN_IS_HALF &&
           (VF_LANES <= 8 || desc->hidden > 8);
}

size_t APX_ENTRY(GRU_TYPES, packed_bytes)(const struct apx_rnn_desc *desc)
{
    return apx_gru_packed_bytes(desc, VF_LANES);
}

void APX_ENTRY(GRU_TYPES, pack)(const struct apx_rnn_desc *desc,
                                const struct apx_rnn_weights *weights, void *packed)
{
    apx_gru_pack(desc, weights, VF_LANES, packed);
}

/* ---- a single row, x between h: reset after ---- */

/* From sums and h to the new h in one block, and between its columns of R those of W. */
static void gru_between_tile(const struct gru_block *block, const struct gru_row *row,
                             const struct rnn_between *piece)
{
    static const int of_h[3] = {0, 1, 3};
    const size_t hidden = block->desc->hidden;
    vf acc[VF_TILE_ROWS][4], ahead[BETWEEN_BATCH][BETWEEN_GATES];
    APX_UNROLL_FOR (g, 3)
        acc[0][g] = vf_load(row->sums + g * VF_LANES);
    acc[0][3] = vf_load(block->bias + 3 * VF_LANES);
    rnn_between_load(piece, 3, ahead);
    const rnn_weight *w = block->weights + block->desc->input * 3 * VF_LANES;
    const rnn_weight *of_x = piece->weights + piece->first * 3 * VF_LANES;
    const float *x = piece->x + piece->first;
    for (size_t k = 0, due = 0; k < hidden; k++, w += 3 * VF_LANES) {
        gru_column(w, 0, &row->h, k, 1, 3, of_h, acc);
        for (due += piece->columns; due >= hidden; due -= hidden, x++, of_x += 3 * VF_LANES)
            rnn_between_column(of_x, x, piece->x_step, 3, ahead);
    }
    rnn_between_store(piece, 3, ahead);
    gru_cell_after(block, row, acc[0]);
}

/* One step of row 0, and pass number `pass` over the x sums of the batch that begins at `first`. */
static void gru_between_step(const struct apx_rnn_args *args, const struct gru_state *state,
                             struct gru_block *block, size_t step, size_t pass, size_t first)
{
    const size_t blocks = state->padded / VF_LANES;
    for (size_t turn = 0; turn < blocks; turn++) {
        struct gru_row row;
        struct rnn_between piece;
        size_t number;
        rnn_between_cut(args->desc->input, blocks, pass, turn, &number, &piece);
        gru_enter_block(block, args->packed, number);
        piece.bias = block->bias;
        piece.weights = block->weights;
        for (size_t j = BETWEEN_BATCH; j-- > 0;) {
            gru_locate(args, state, 0, first + j, (first + j) % RNN_AHEAD_STEPS, number, &row);
            piece.sums[j] = row.sums;
        }
        piece.x = row.x;
        piece.x_step = args->desc->reverse ? -args->x_step : args->x_step;
        number = rnn_turn(step, turn, blocks);
        gru_enter_block(block, args->packed, number);
        gru_locate(args, state, 0, step, step % RNN_AHEAD_STEPS, number, &row);
        gru_between_tile(block, &row, &piece);
    }
}

/* One step of a row whose x goes between h. */
static void gru_single_step(const struct apx_rnn_args *args, const struct gru_state *state,
                            struct gru_block *block, size_t step)
{
    const size_t length = rnn_length(args, 0), next = rnn_between_next(length, step);
    if (step == 0)
        gru_ahead(args, state, block, 1, 0, rnn_between_lead(length));
    if (next < length && step + BETWEEN_PASSES >= next)
        gru_between_step(args, state, block, step, step + BETWEEN_PASSES - next, next);
    else
        gru_first_pass(args, state, block, 1, step);
}

void APX_ENTRY(GRU_TYPES, run)(const struct apx_rnn_args *args)
{
    const struct apx_rnn_desc *desc = args->desc;
    const size_t rows = args->rows, padded = rnn_padded(desc->hidden, VF_LANES);
    const size_t floats = rnn_line(rows * padded * sizeof(float)) / sizeof(float);
    const size_t ahead_bytes = rnn_ahead_bytes(desc, rows, VF_TILE_ROWS, 3 * padded);
    struct gru_state state = {.h_old = args->scratch, .padded = padded};
    state.h_new = state.h_old + floats;
    /* Reset after never touches these three. */
    state.z = desc->reset_after ? state.h_new : state.h_new + floats;
    state.rh = desc->reset_after ? state.h_new : state.z + floats;
    state.g = desc->reset_after ? state.h_new : state.rh + floats;
    float *end = state.g + floats;
    const bool ahead = ahead_bytes > 0 && rows < VF_TILE_ROWS;
    const bool between = ahead && desc->reset_after && rnn_between_pays(args);
    state.sums = ahead ? end : NULL;
    state.active = (uint32_t *)(void *)(end + ahead_bytes / sizeof(float));

    apx_rnn_fill_idle(args);
    apx_rnn_load_state(args, args->h0, args->h0_row, padded, state.h_old);
    struct gru_block block = {.desc = desc,
                              .floats = gru_block_floats(desc, VF_LANES),
                              .plain = !(desc->clip > 0.0f) &&
                                       desc->act[0].kind == APX_ACT_SIGMOID &&
                                       desc->act[1].kind == APX_ACT_TANH};
    const float *second = (const float *)args->packed + padded / VF_LANES * block.floats;
    for (size_t step = 0; step < args->steps; step++) {
        const size_t count = apx_rnn_active(args, step, state.active);
        if (count == 0)
            break;
        const size_t since = step % RNN_AHEAD_STEPS;
        if (ahead && !between && since == 0)
            gru_ahead(args, &state, &block, count, step, step + RNN_AHEAD_STEPS);
        if (between)
            gru_single_step(args, &state, &block, step);
        else if (block.plain && !ahead && count > 1)
            gru_full_step(args, &state, &block, count, step);
        else
            gru_first_pass(args, &state, &block, count, step);
        if (!desc->reset_after)
            gru_second_pass(args, &state, &block, second, count, step);
        apx_rnn_store_last(args, step, state.h_new, padded, args->h_last, args->h_last_row);
        float *swap = state.h_old;
        state.h_old = state.h_new;
        state.h_new = swap;
    }
}
