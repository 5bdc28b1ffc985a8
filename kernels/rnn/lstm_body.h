/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_body.h - one direction of an LSTM layer over all steps, over the vector vocabulary.
 *
 * Per step, for every block of V units and every tile of rows: the gates of the block's units for
 * the tile's rows grow in registers, through x then through h, and the cell is computed on those
 * accumulators. Little is stored but c and the new h; there is no buffer of gates. The block is the
 * outer loop, so that its weights come from the far cache once a step and the rows, which are
 * smaller, come from the near one. Cells of a tile stand behind each other in straight code, so
 * that the processor, which waits for a cell most of the time, finds others to go on with.
 *
 * With fewer rows than a tile holds, each weight would serve only those few rows. The rows of x are
 * known ahead of time though, so their half of the sums is computed for some steps at once, in full
 * tiles, and the steps go on from there: the same sums in the same order, half the traffic.
 *
 * Order of every sum, the same for all ISAs: bias (Wb + Rb), x ascending, h ascending, peephole,
 * each with one fused multiply-add. No row looks at another, so tiles may be cut anywhere.
 *
 * Included by lstm_<isa>.c after simd_f32_<isa>.h. */
#include <assert.h>

#include "kernels/cpu/activations.h"
#include "kernels/rnn/rnn_between.h"
#include "kernels/rnn/rnn_cell.h"
#include "kernels/rnn/rnn_layout.h"
#include "kernels/rnn/rnn_weight.h"

enum { GATE_I, GATE_O, GATE_F, GATE_C, GATES };

/* Blocks that a single row takes side by side. Four sums of 16 lanes keep up with the far cache,
 * four of 8 lanes only just: their latency is 4 cycles, and a weight of 8 lanes may come each. */
enum { LSTM_SIDE_BLOCKS = VF_LANES == 16 ? 1 : 2 };

/* Which part of the work a tile does. */
enum lstm_part {
    PART_ALL,   /* from x and h to the new h and c */
    PART_AHEAD, /* from x to sums */
    PART_REST   /* from sums and h to the new h and c */
};

struct lstm_row {
    const float *x, *h; /* [I], [H] */
    float *c, *h_out;   /* [V] of this block, padded */
    float *y;           /* [lanes] of this block, or NULL */
    size_t lanes;       /* units of this block that exist */
    float *sums;        /* [4][V] of this block: bias + W x; unless PART_ALL */
};

struct lstm_block {
    const struct apx_rnn_desc *desc;
    const float *bias, *peephole;
    const rnn_weight *weights;
    size_t floats; /* to the next block */
    bool plain;    /* sigmoid, tanh, tanh and nothing else */
};

/* The cell with everything ONNX allows, on gates that were put down in memory. */
static __attribute__((noinline)) void lstm_cell_general(const struct apx_rnn_desc *desc,
                                                        const float *peephole, const float *gates,
                                                        float *c, float *h)
{
    vf i = vf_load(gates + GATE_I * VF_LANES), o = vf_load(gates + GATE_O * VF_LANES);
    vf f = vf_load(gates + GATE_F * VF_LANES), g = vf_load(gates + GATE_C * VF_LANES);
    vf cell = vf_load(c);
    if (desc->has_peephole) {
        i = vf_fma(vf_load(peephole), cell, i);
        f = vf_fma(vf_load(peephole + 2 * VF_LANES), cell, f);
    }
    if (desc->clip > 0.0f) {
        i = vf_bound(i, desc->clip);
        f = vf_bound(f, desc->clip);
        g = vf_bound(g, desc->clip);
    }
    i = vf_activate(desc->act[0], i);
    f = desc->input_forget ? vf_sub(vf_set1(1.0f), i) : vf_activate(desc->act[0], f);
    g = vf_activate(desc->act[1], g);
    cell = vf_fma(f, cell, vf_mul(i, g));
    if (desc->has_peephole)
        o = vf_fma(vf_load(peephole + 1 * VF_LANES), cell, o);
    if (desc->clip > 0.0f)
        o = vf_bound(o, desc->clip);
    o = vf_activate(desc->act[0], o);
    vf_store(c, cell);
    vf_store(h, vf_mul(o, vf_activate(desc->act[2], cell)));
}

/* One column of weights of `gates` gates, times the rows' values v, onto the sums; entry j's column
 * is j * next further. Weights that have to be converted are, once each: in tiles of few rows and
 * many gates they come by one at a time and the values wait in registers, otherwise it is the other
 * way about. */
APX_INLINE void lstm_column(const rnn_weight *w, const size_t next, const float *const v[],
                            const size_t k, const int m, const int gates, vf acc[][GATES])
{
    if (RNN_IS_HALF && next == 0 && m < gates) {
        vf a[GATES];
        APX_UNROLL_FOR (j, m)
            a[j] = vf_set1(v[j][k]);
        APX_UNROLL_FOR (g, gates) {
            vf weights = rnn_weights(w + g * VF_LANES);
            APX_UNROLL_FOR (j, m)
                acc[j][g] = vf_fma(a[j], weights, acc[j][g]);
        }
        return;
    }
    if (next == 0 && rnn_keeps_weights(m)) {
        vf weights[GATES];
        APX_UNROLL_FOR (g, gates)
            weights[g] = rnn_weights_kept(w + g * VF_LANES);
        APX_UNROLL_FOR (j, m) {
            vf a = vf_set1(v[j][k]);
            APX_UNROLL_FOR (g, gates)
                acc[j][g] = vf_fma(a, weights[g], acc[j][g]);
        }
        return;
    }
    APX_UNROLL_FOR (j, m) {
        vf a = vf_set1(v[j][k]);
        APX_UNROLL_FOR (g, gates)
            acc[j][g] = vf_fma(a, rnn_weights(w + (size_t)j * next + g * VF_LANES), acc[j][g]);
    }
}

/* The sums of the gates: bias, then x, then h, as far as the part asks. */
APX_INLINE void lstm_sums(const struct lstm_block *block, const struct lstm_row *row, const int m,
                          const bool side, const enum lstm_part part, vf acc[VF_TILE_ROWS][GATES])
{
    const size_t input = block->desc->input, hidden = block->desc->hidden;
    const size_t floats = side ? block->floats : 0;
    const size_t next = floats * (sizeof(float) / sizeof(rnn_weight));
    const float *x[VF_TILE_ROWS], *h[VF_TILE_ROWS];
    APX_UNROLL_FOR (j, m) {
        x[j] = row[j].x;
        h[j] = row[j].h;
        APX_UNROLL_FOR (g, GATES)
            acc[j][g] =
                vf_load((part == PART_REST ? row[j].sums : block->bias + (size_t)j * floats) +
                        g * VF_LANES);
    }
    const rnn_weight *w = block->weights;
    if (part != PART_REST)
        for (size_t k = 0; k < input; k++, w += GATES * VF_LANES)
            lstm_column(w, next, x, k, m, GATES, acc);
    if (part == PART_AHEAD)
        return;
    w = block->weights + input * GATES * VF_LANES;
    for (size_t k = 0; k < hidden; k++, w += GATES * VF_LANES)
        lstm_column(w, next, h, k, m, GATES, acc);
}

/* From the gates' sums to the new c and h. */
APX_INLINE void lstm_cell(const struct lstm_block *block, const float *peephole,
                          const struct lstm_row *row, const vf acc[GATES])
{
    vf h;
    if (block->plain) {
        vf out, c = cell_lstm_c(acc, vf_load(row->c), &out);
        vf_store(row->c, c);
        cell_lstm_h(1, &c, &out, &h);
        vf_store(row->h_out, h);
    } else {
        float gates[GATES * VF_LANES];
        APX_UNROLL_FOR (g, GATES)
            vf_store(gates + g * VF_LANES, acc[g]);
        lstm_cell_general(block->desc, peephole, gates, row->c, row->h_out);
        h = vf_load(row->h_out);
    }
    if (row->y == NULL)
        return;
    if (row->lanes == VF_LANES)
        vf_store(row->y, h);
    else
        vf_store_first(row->y, h, row->lanes);
}

APX_TILE void lstm_tile(const struct lstm_block *block, const struct lstm_row *row, const int m,
                        const bool side, const enum lstm_part part)
{
    vf acc[VF_TILE_ROWS][GATES];
    lstm_sums(block, row, m, side, part, acc);
    APX_UNROLL_FOR (j, m) {
        if (part != PART_AHEAD) {
            lstm_cell(block, block->peephole + (side ? (size_t)j * block->floats : 0), &row[j],
                      acc[j]);
            continue;
        }
        APX_UNROLL_FOR (g, GATES)
            vf_store(row[j].sums + g * VF_LANES, acc[j][g]);
    }
}

#define LSTM_CASE(rows)                                                                            \
    case rows:                                                                                     \
        if (part == PART_ALL)                                                                      \
            lstm_tile(block, row, (rows), false, PART_ALL);                                        \
        else if (part == PART_AHEAD)                                                               \
            lstm_tile(block, row, (rows), false, PART_AHEAD);                                      \
        else                                                                                       \
            lstm_tile(block, row, (rows), false, PART_REST);                                       \
        break;

static void lstm_tiles(const struct lstm_block *block, const struct lstm_row *row, size_t m,
                       enum lstm_part part)
{
    switch (m) {
        LSTM_CASE(1)
        LSTM_CASE(2)
        LSTM_CASE(3)
#if VF_TILE_ROWS > 3
        LSTM_CASE(4)
        LSTM_CASE(5)
        LSTM_CASE(6)
#endif
    default:
        assert(false);
    }
}

/* One row in LSTM_SIDE_BLOCKS blocks: entry j of the tile is block j. */
static void lstm_side_tile(const struct lstm_block *block, const struct lstm_row *row,
                           enum lstm_part part)
{
    if (part == PART_ALL)
        lstm_tile(block, row, LSTM_SIDE_BLOCKS, true, PART_ALL);
    else
        lstm_tile(block, row, LSTM_SIDE_BLOCKS, true, PART_REST);
}

static bool lstm_is_plain(const struct apx_rnn_desc *desc)
{
    return !desc->has_peephole && !desc->input_forget && !(desc->clip > 0.0f) &&
           desc->act[0].kind == APX_ACT_SIGMOID && desc->act[1].kind == APX_ACT_TANH &&
           desc->act[2].kind == APX_ACT_TANH;
}

/* The buffers of one call. */
struct lstm_state {
    float *h_old, *h_new, *c; /* [N][padded] */
    float *sums;              /* [N][RNN_AHEAD_STEPS][4 padded], or NULL: not ahead */
    uint32_t *active;         /* [N] */
    size_t padded;
};

size_t APX_ENTRY(LSTM_TYPES, scratch_bytes)(const struct apx_rnn_desc *desc, size_t rows)
{
    const size_t padded = rnn_padded(desc->hidden, VF_LANES);
    return 3 * rnn_line(rows * padded * sizeof(float)) +
           rnn_ahead_bytes(desc, rows, VF_TILE_ROWS, GATES * padded) +
           rnn_line(rows * sizeof(uint32_t));
}

/* Vectors of 16 that could be at most half full leave the work to vectors of 8. */
bool APX_ENTRY(LSTM_TYPES, supports)(const struct apx_rnn_desc *desc)
{
    return desc->int8.levels == 0 && desc->half_weights == RNN_IS_HALF &&
           (VF_LANES <= 8 || desc->hidden > 8);
}

size_t APX_ENTRY(LSTM_TYPES, packed_bytes)(const struct apx_rnn_desc *desc)
{
    return apx_lstm_packed_bytes(desc, VF_LANES);
}

void APX_ENTRY(LSTM_TYPES, pack)(const struct apx_rnn_desc *desc,
                                 const struct apx_rnn_weights *weights, void *packed)
{
    apx_lstm_pack(desc, weights, VF_LANES, packed);
}

/* ---- full tiles ---- */

/* Rows whose steps go on together, and the rows of a tile. Where registers are few, more than three
 * rows take two gates at a time: a weight that serves six rows comes from the far cache half as
 * often as one that serves three. */
enum { FULL_ROWS = 48, FULL_TILE = 6, FULL_SIDE = 3 };

/* Gates that a tile of m rows takes at a time. */
APX_INLINE int lstm_full_gates(const int m)
{
    return VF_LANES == 8 && m > 3 ? GATES / 2 : GATES;
}

/* What the tiles of a step have in common. */
struct lstm_full {
    struct lstm_row row[FULL_ROWS]; /* as of block 0 */
    float sums[FULL_ROWS * GATES * VF_LANES] __attribute__((aligned(64)));
};

/* The cells of m rows: one after the other to c, then some side by side to h. What a cell waits for
 * is hidden behind its neighbours and behind the next tile's sums. */
APX_INLINE void lstm_full_cells(const struct lstm_block *block, const struct lstm_row *row,
                                size_t unit, const int m, vf sums[FULL_TILE][GATES])
{
    vf c[FULL_TILE], out[FULL_TILE], h[FULL_TILE];
    APX_UNROLL_FOR (j, m) {
        c[j] = cell_lstm_c(sums[j], vf_load(row[j].c + unit), &out[j]);
        vf_store(row[j].c + unit, c[j]);
    }
    APX_UNROLL_FOR (q, (m + FULL_SIDE - 1) / FULL_SIDE) {
        const int at = q * FULL_SIDE;
        cell_lstm_h(m - at < FULL_SIDE ? m - at : FULL_SIDE, c + at, out + at, h + at);
    }
    const size_t left = block->desc->hidden - unit, lanes = left < VF_LANES ? left : VF_LANES;
    APX_UNROLL_FOR (j, m) {
        vf_store(row[j].h_out + unit, h[j]);
        if (row[j].y == NULL)
            continue;
        if (lanes == VF_LANES)
            vf_store(row[j].y + unit, h[j]);
        else
            vf_store_first(row[j].y + unit, h[j], lanes);
    }
}

/* `gates` gates of m rows from gate `first` on; after the last of them the cells. */
APX_TILE void lstm_full_tile(const struct lstm_block *block, const struct lstm_row *row,
                             size_t unit, const int m, const int first, const int gates)
{
    const size_t input = block->desc->input, hidden = block->desc->hidden;
    vf acc[FULL_TILE][GATES];
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (g, gates)
            acc[j][g] = vf_load(block->bias + (first + g) * VF_LANES);
    }
    const float *x[FULL_TILE], *h[FULL_TILE];
    APX_UNROLL_FOR (j, m) {
        x[j] = row[j].x;
        h[j] = row[j].h;
    }
    const rnn_weight *w = block->weights + first * VF_LANES;
    for (size_t k = 0; k < input; k++, w += GATES * VF_LANES)
        lstm_column(w, 0, x, k, m, gates, acc);
    for (size_t k = 0; k < hidden; k++, w += GATES * VF_LANES)
        lstm_column(w, 0, h, k, m, gates, acc);
    if (first + gates < GATES) {
        APX_UNROLL_FOR (j, m) {
            APX_UNROLL_FOR (g, gates)
                vf_store(row[j].sums + (first + g) * VF_LANES, acc[j][g]);
        }
        return;
    }
    vf sums[FULL_TILE][GATES];
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (g, GATES)
            sums[j][g] = g < first ? vf_load(row[j].sums + g * VF_LANES) : acc[j][g - first];
    }
    lstm_full_cells(block, row, unit, m, sums);
}

#define LSTM_FULL_CASE(rows)                                                                       \
    case rows:                                                                                     \
        if (first < GATES / 2 || lstm_full_gates(rows) < GATES)                                    \
            lstm_full_tile(block, row, unit, (rows), first, lstm_full_gates(rows));                \
        break;

/* All tiles of a block: their gates from `first` on, which is 0 and then, for those that take half
 * of them at a time, the other half. */
APX_INLINE void lstm_full_tiles(const struct lstm_block *block, const struct lstm_row *row,
                                size_t unit, size_t count, const int first)
{
    size_t tiles = (count + FULL_TILE - 1) / FULL_TILE;
    for (size_t m; count > 0; count -= m, row += m, tiles--) {
        m = (count + tiles - 1) / tiles; /* tiles of even size */
        switch (m) {
            LSTM_FULL_CASE(1)
            LSTM_FULL_CASE(2)
            LSTM_FULL_CASE(3)
            LSTM_FULL_CASE(4)
            LSTM_FULL_CASE(5)
            LSTM_FULL_CASE(6)
        default:
            assert(false);
        }
    }
}

/* Point the block at its `number`-th piece of the packed weights. */
static void lstm_enter_block(struct lstm_block *block, const void *packed, size_t number)
{
    const struct apx_rnn_desc *desc = block->desc;
    block->bias = (const float *)packed + number * block->floats;
    block->peephole = block->bias + GATES * VF_LANES;
    block->weights = (const rnn_weight *)(const void *)(block->peephole +
                                                        (desc->has_peephole ? 3 * VF_LANES : 0));
}

/* Row n at its step number `step`, in block `number`; `ahead` counts from where sums begin. */
static void lstm_locate(const struct apx_rnn_args *args, const struct lstm_state *state, size_t n,
                        size_t step, size_t ahead, size_t number, struct lstm_row *row)
{
    const ptrdiff_t at = (ptrdiff_t)n, time = (ptrdiff_t)rnn_time(args, n, step);
    const size_t unit = number * VF_LANES, here = n * state->padded + unit;
    const size_t left = args->desc->hidden - unit;
    row->lanes = left < VF_LANES ? left : VF_LANES;
    row->x = args->x + at * args->x_row + time * args->x_step;
    row->h = state->h_old + n * state->padded;
    row->h_out = state->h_new + here;
    row->c = state->c + here;
    row->y = args->y == NULL ? NULL : args->y + at * args->y_row + time * args->y_step + unit;
    row->sums = NULL;
    if (state->sums != NULL)
        row->sums = state->sums + ((n * RNN_AHEAD_STEPS + ahead) * state->padded + unit) * GATES;
}

/* The sums of x for the active rows' steps from `first` to `last`. */
static void lstm_ahead(const struct apx_rnn_args *args, const struct lstm_state *state,
                       struct lstm_block *block, size_t count, size_t first, size_t last)
{
    for (size_t number = 0; number * VF_LANES < state->padded; number++) {
        struct lstm_row row[VF_TILE_ROWS];
        size_t m = 0;
        lstm_enter_block(block, args->packed, number);
        for (size_t next = 0; next < count; next++) {
            const size_t n = state->active[next], length = rnn_length(args, n);
            for (size_t step = first; step < last && step < length; step++) {
                lstm_locate(args, state, n, step, step - first, number, &row[m++]);
                if (m < VF_TILE_ROWS)
                    continue;
                lstm_tiles(block, row, m, PART_AHEAD);
                m = 0;
            }
        }
        if (m > 0)
            lstm_tiles(block, row, m, PART_AHEAD);
    }
}

/* One step of the active rows, in full tiles. */
static void lstm_full_step(const struct apx_rnn_args *args, const struct lstm_state *state,
                           struct lstm_block *block, size_t count, size_t step)
{
    struct lstm_full full;
    for (size_t next = 0; next < count;) {
        size_t m = 0;
        for (; m < FULL_ROWS && next < count; m++, next++) {
            lstm_locate(args, state, state->active[next], step, 0, 0, &full.row[m]);
            full.row[m].sums = full.sums + m * GATES * VF_LANES;
        }
        for (size_t number = 0; number * VF_LANES < state->padded; number++) {
            lstm_enter_block(block, args->packed, number);
            lstm_full_tiles(block, full.row, number * VF_LANES, m, 0);
            if (lstm_full_gates(FULL_TILE) < GATES)
                lstm_full_tiles(block, full.row, number * VF_LANES, m, GATES / 2);
        }
    }
}

/* One step of the active rows in one block, or of a single row in several side by side. */
static void lstm_step_block(const struct apx_rnn_args *args, const struct lstm_state *state,
                            struct lstm_block *block, size_t count, size_t step, size_t number,
                            size_t side)
{
    const enum lstm_part part = state->sums != NULL ? PART_REST : PART_ALL;
    const size_t since = step % RNN_AHEAD_STEPS;
    struct lstm_row row[VF_TILE_ROWS];
    lstm_enter_block(block, args->packed, number);
    if (side > 1) {
        for (size_t j = 0; j < side; j++)
            lstm_locate(args, state, state->active[0], step, since, number + j, &row[j]);
        lstm_side_tile(block, row, part);
        return;
    }
    size_t tiles = (count + VF_TILE_ROWS - 1) / VF_TILE_ROWS;
    for (size_t next = 0; next < count; tiles--) {
        const size_t m = (count - next + tiles - 1) / tiles; /* tiles of even size */
        for (size_t j = 0; j < m; j++, next++)
            lstm_locate(args, state, state->active[next], step, since, number, &row[j]);
        lstm_tiles(block, row, m, part);
    }
}

/* One step of the active rows, all blocks. */
static void lstm_step(const struct apx_rnn_args *args, const struct lstm_state *state,
                      struct lstm_block *block, size_t count, size_t step)
{
    if (block->plain && state->sums == NULL && count > 1) {
        lstm_full_step(args, state, block, count, step);
        return;
    }
    const size_t blocks = state->padded / VF_LANES, side = count == 1 ? LSTM_SIDE_BLOCKS : 1;
    const size_t groups = blocks / side, turns = groups + blocks % side;
    for (size_t turn = 0; turn < turns; turn++) {
        const size_t at = count == 1 ? rnn_turn(step, turn, turns) : turn;
        if (at < groups)
            lstm_step_block(args, state, block, count, step, at * side, side);
        else
            lstm_step_block(args, state, block, count, step, groups * side + at - groups, 1);
    }
}

/* ---- a single row, x between h ---- */

/* From sums and h to the new h and c in one block, and between its columns of R those of W. */
static void lstm_between_tile(const struct lstm_block *block, const struct lstm_row *row,
                              const struct rnn_between *piece)
{
    const size_t hidden = block->desc->hidden;
    vf acc[1][GATES], ahead[BETWEEN_BATCH][BETWEEN_GATES];
    APX_UNROLL_FOR (g, GATES)
        acc[0][g] = vf_load(row->sums + g * VF_LANES);
    rnn_between_load(piece, GATES, ahead);
    const rnn_weight *w = block->weights + block->desc->input * GATES * VF_LANES;
    const rnn_weight *of_x = piece->weights + piece->first * GATES * VF_LANES;
    const float *x = piece->x + piece->first;
    for (size_t k = 0, due = 0; k < hidden; k++, w += GATES * VF_LANES) {
        lstm_column(w, 0, &row->h, k, 1, GATES, acc);
        for (due += piece->columns; due >= hidden; due -= hidden, x++, of_x += GATES * VF_LANES)
            rnn_between_column(of_x, x, piece->x_step, GATES, ahead);
    }
    rnn_between_store(piece, GATES, ahead);
    lstm_cell(block, block->peephole, row, acc[0]);
}

/* One step of row 0, and pass number `pass` over the x sums of the batch that begins at `first`. */
static void lstm_between_step(const struct apx_rnn_args *args, const struct lstm_state *state,
                              struct lstm_block *block, size_t step, size_t pass, size_t first)
{
    const size_t blocks = state->padded / VF_LANES;
    for (size_t turn = 0; turn < blocks; turn++) {
        struct lstm_row row;
        struct rnn_between piece;
        size_t number;
        rnn_between_cut(args->desc->input, blocks, pass, turn, &number, &piece);
        lstm_enter_block(block, args->packed, number);
        piece.bias = block->bias;
        piece.weights = block->weights;
        for (size_t j = BETWEEN_BATCH; j-- > 0;) {
            lstm_locate(args, state, 0, first + j, (first + j) % RNN_AHEAD_STEPS, number, &row);
            piece.sums[j] = row.sums;
        }
        piece.x = row.x;
        piece.x_step = args->desc->reverse ? -args->x_step : args->x_step;
        number = rnn_turn(step, turn, blocks);
        lstm_enter_block(block, args->packed, number);
        lstm_locate(args, state, 0, step, step % RNN_AHEAD_STEPS, number, &row);
        lstm_between_tile(block, &row, &piece);
    }
}

/* One step of a row whose x goes between h. */
static void lstm_single_step(const struct apx_rnn_args *args, const struct lstm_state *state,
                             struct lstm_block *block, size_t step)
{
    const size_t length = rnn_length(args, 0), next = rnn_between_next(length, step);
    if (step == 0)
        lstm_ahead(args, state, block, 1, 0, rnn_between_lead(length));
    if (next < length && step + BETWEEN_PASSES >= next)
        lstm_between_step(args, state, block, step, step + BETWEEN_PASSES - next, next);
    else
        lstm_step(args, state, block, 1, step);
}

void APX_ENTRY(LSTM_TYPES, run)(const struct apx_rnn_args *args)
{
    const struct apx_rnn_desc *desc = args->desc;
    const size_t rows = args->rows, padded = rnn_padded(desc->hidden, VF_LANES);
    const size_t floats = rnn_line(rows * padded * sizeof(float)) / sizeof(float);
    const size_t ahead_bytes = rnn_ahead_bytes(desc, rows, VF_TILE_ROWS, GATES * padded);
    struct lstm_state state = {.h_old = args->scratch, .padded = padded};
    state.h_new = state.h_old + floats;
    state.c = state.h_new + floats;
    float *end = state.c + floats;
    const bool ahead = ahead_bytes > 0 && rows < VF_TILE_ROWS;
    const bool between = ahead && rnn_between_pays(args);
    state.sums = ahead ? end : NULL;
    state.active = (uint32_t *)(void *)(end + ahead_bytes / sizeof(float));

    apx_rnn_fill_idle(args);
    apx_rnn_load_state(args, args->h0, args->h0_row, padded, state.h_old);
    apx_rnn_load_state(args, args->c0, args->c0_row, padded, state.c);
    struct lstm_block block = {
        .desc = desc, .floats = lstm_block_floats(desc, VF_LANES), .plain = lstm_is_plain(desc)};
    for (size_t step = 0; step < args->steps; step++) {
        const size_t count = apx_rnn_active(args, step, state.active);
        if (count == 0)
            break;
        const size_t since = step % RNN_AHEAD_STEPS;
        if (ahead && !between && since == 0)
            lstm_ahead(args, &state, &block, count, step, step + RNN_AHEAD_STEPS);
        if (between)
            lstm_single_step(args, &state, &block, step);
        else
            lstm_step(args, &state, &block, count, step);
        apx_rnn_store_last(args, step, state.h_new, padded, args->h_last, args->h_last_row);
        apx_rnn_store_last(args, step, state.c, padded, args->c_last, args->c_last_row);
        float *swap = state.h_old;
        state.h_old = state.h_new;
        state.h_new = swap;
    }
}
