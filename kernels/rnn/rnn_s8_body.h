/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_body.h - what int8 LSTM and GRU share, over the vector vocabulary: quantising, the sums,
 * the order of the work.
 *
 * Per step and block of V units: the gates of all active rows grow in a small buffer, from x, then
 * from h; then the cells are computed. Sums are integers in panels of two to six rows
 * (kernels/dense/panel_s8.h); unlike float sums they are too quick for the cell to be worth joining
 * to them, and the buffer (48 rows: 6 KB) stays in the near cache.
 *
 * x is quantised once a step, before the blocks; h as it is made, for the next step, into the other
 * of two buffers, since this step's blocks still read the old one.
 *
 * A cell is one long chain of operations: two activations, one after the other. What the processor
 * looks ahead holds about two cells, too few to keep it busy, so the chain is cut: a first loop
 * over all cells up to c (or z and r), a second one from there to h.
 *
 * Few rows: W's way from the far cache is then the limit, as in lstm_body.h, and the x half of the
 * gates is computed for some steps at once. Their cells wait for all blocks, so that there are
 * enough of them.
 *
 * Included after simd_f32_<isa>.h and with S8_TILE(panel, row, m), S8_MOST(v) and S8_WHOLE. */
#include <assert.h>
#include <string.h>

#include "kernels/dense/quantise_s8.h"
#include "kernels/rnn/rnn_cell.h"
#include "kernels/rnn/rnn_s8_layout.h"

/* Fewer rows than this go ahead with x, RNN_AHEAD_STEPS steps at once. */
#define S8_FEW_ROWS 4

/* One row of the batch at one step. */
struct s8_item {
    const float *x;    /* [I] */
    uint8_t *qx;       /* [padded I], if x is quantised */
    const uint8_t *qh; /* [padded H] */
    float *gates;      /* of block 0: [4][V] */
    float *y;          /* of block 0, or NULL */
    uint32_t row;
    bool has_nan; /* in x, if it is quantised */
};

/* One call's buffers and constants. */
struct s8_call {
    const struct apx_rnn_args *args;
    const struct rnn_s8_cell *cell;
    struct panel_s8_form form;
    size_t padded;       /* H in whole vectors */
    size_t q_row, x_row; /* bytes of a row's q */
    size_t block_bytes;
    size_t gates_slot;      /* floats from one slot's gates to the next one's */
    size_t gates_block;     /* floats from one block's gates to the next one's */
    bool few;               /* gates of all blocks are kept */
    bool ahead;             /* and of some steps */
    float *h, *c;           /* [N][padded]; c: LSTM */
    float *z, *g;           /* likewise; reset before */
    uint8_t *q_old, *q_new; /* [N][q_row] */
    uint8_t *q_rh;          /* likewise; reset before */
    uint8_t *qx;            /* [slots][x_row] */
    float *gates;           /* [N][4][V], or ahead [N][steps][blocks][4][V] */
    struct s8_item *items;  /* [slots], slots = N or ahead N * RNN_AHEAD_STEPS */
    uint32_t *list;         /* [slots] */
    uint32_t *active;       /* [N] */
};

/* One block of packed weights. */
struct s8_block {
    const float *bias, *x_scale, *h_scale;
    const void *w, *r;
    size_t number;
};

/* How h becomes q: it lies in [-1, 1]. */
static struct quantise_s8 s8_of_h(const struct s8_call *call)
{
    return quantise_s8(&call->form, (float)call->form.levels);
}

/* q of values[count], whole vectors of it. Returns whether there is a NaN. */
static bool s8_quantise(const struct s8_call *call, const float *values, size_t count, float factor,
                        uint8_t *out)
{
    const struct quantise_s8 how = quantise_s8(&call->form, factor);
    return quantise_s8_values(&how, values, count, out);
}

/* The next piece of `memory` from *at on; NULL while there is none and only sizes are asked for. */
static void *s8_carve(char *memory, size_t *at, size_t bytes)
{
    void *part = memory == NULL ? NULL : memory + *at;
    *at += rnn_line(bytes);
    return part;
}

static bool s8_may_go_ahead(const struct apx_rnn_desc *desc)
{
    return desc->input >= RNN_AHEAD_LEAST_INPUT;
}

/* Lay out scratch from `memory`, for `rows` rows; returns its bytes. */
static size_t s8_lay_out(struct s8_call *call, const struct apx_rnn_desc *desc, size_t rows,
                         char *memory)
{
    const size_t padded = rnn_padded(desc->hidden, VF_LANES), state = rows * padded * sizeof(float);
    size_t at = 0;
    call->padded = padded;
    call->q_row = panel_s8_padded(desc->hidden);
    call->x_row = rnn_s8_quantises_x(desc) ? panel_s8_padded(desc->input) : 0;
    call->few = rows < S8_FEW_ROWS;
    call->ahead = call->few && s8_may_go_ahead(desc);
    call->gates_block = call->few ? RNN_S8_SLOTS * VF_LANES : 0;
    call->gates_slot = call->few ? RNN_S8_SLOTS * padded : RNN_S8_SLOTS * VF_LANES;
    const size_t slots = call->ahead ? rows * RNN_AHEAD_STEPS : rows;
    call->h = s8_carve(memory, &at, state);
    call->c = s8_carve(memory, &at, call->cell->gates == 4 ? state : 0);
    call->z = s8_carve(memory, &at, call->cell->has_second ? state : 0);
    call->g = s8_carve(memory, &at, call->cell->has_second ? state : 0);
    call->q_old = s8_carve(memory, &at, rows * call->q_row);
    call->q_new = s8_carve(memory, &at, rows * call->q_row);
    call->q_rh = s8_carve(memory, &at, call->cell->has_second ? rows * call->q_row : 0);
    call->active = s8_carve(memory, &at, rows * sizeof(uint32_t));
    call->list = s8_carve(memory, &at, slots * sizeof(uint32_t));
    call->items = s8_carve(memory, &at, slots * sizeof(struct s8_item));
    call->qx = s8_carve(memory, &at, slots * call->x_row);
    call->gates = s8_carve(memory, &at, slots * call->gates_slot * sizeof *call->gates);
    return at;
}

/* A caller may run fewer rows than it has scratch for, so both ways count. */
static size_t s8_scratch_bytes(const struct rnn_s8_cell *cell, const struct apx_rnn_desc *desc,
                               size_t rows)
{
    struct s8_call call = {.cell = cell};
    const size_t few = rows < S8_FEW_ROWS ? rows : S8_FEW_ROWS - 1;
    const size_t with = s8_lay_out(&call, desc, few, NULL);
    const size_t bytes = s8_lay_out(&call, desc, rows, NULL);
    return with > bytes ? with : bytes;
}

/* What makes every h and c of the row NaN from now on. */
static void s8_poison(const struct s8_call *call, size_t n)
{
    float *state = (call->cell->gates == 4 ? call->c : call->h) + n * call->padded;
    for (size_t k = 0; k < call->padded; k += VF_LANES)
        vf_store(state + k, vf_set1(NAN));
}

/* Begin a call: buffers, states, q of the first h. */
static void s8_begin(struct s8_call *call, const struct rnn_s8_cell *cell,
                     const struct apx_rnn_args *args)
{
    const struct apx_rnn_desc *desc = args->desc;
    *call = (struct s8_call){.args = args, .cell = cell};
    call->form = rnn_s8_form(desc, VF_LANES, args->packed);
    call->block_bytes = rnn_s8_block_bytes(cell, desc, &call->form);
    s8_lay_out(call, desc, args->rows, args->scratch);
    /* Padding of q is multiplied by zeros, but has to be something. */
    memset(call->q_old, 0, (size_t)((uint8_t *)call->active - call->q_old));
    memset(call->qx, 0, (size_t)((uint8_t *)call->gates - call->qx));
    apx_rnn_fill_idle(args);
    apx_rnn_load_state(args, args->h0, args->h0_row, call->padded, call->h);
    if (cell->gates == 4)
        apx_rnn_load_state(args, args->c0, args->c0_row, call->padded, call->c);
    for (size_t n = 0; n < args->rows; n++)
        if (s8_quantise(call, call->h + n * call->padded, call->padded, (float)call->form.levels,
                        call->q_old + n * call->q_row))
            s8_poison(call, n);
}

/* Row n at its step number `step`, into slot `slot` of the buffers. */
static void s8_locate(const struct s8_call *call, size_t n, size_t step, size_t slot)
{
    const struct apx_rnn_args *args = call->args;
    const ptrdiff_t at = (ptrdiff_t)n, time = (ptrdiff_t)rnn_time(args, n, step);
    struct s8_item *item = &call->items[slot];
    item->row = (uint32_t)n;
    item->x = args->x + at * args->x_row + time * args->x_step;
    item->y = args->y == NULL ? NULL : args->y + at * args->y_row + time * args->y_step;
    item->qx = call->qx + slot * call->x_row;
    item->gates = call->gates + slot * call->gates_slot;
    item->has_nan = call->x_row > 0 && s8_quantise(call, item->x, args->desc->input,
                                                   rnn_s8_x_factor(args->desc), item->qx);
}

/* Point at block `number`. */
static struct s8_block s8_enter_block(const struct s8_call *call, size_t number)
{
    const struct apx_rnn_desc *desc = call->args->desc;
    const char *at = (const char *)call->args->packed + RNN_S8_HEAD + number * call->block_bytes;
    struct s8_block block = {.number = number};
    block.bias = (const float *)(const void *)at;
    block.x_scale = block.bias + RNN_S8_SLOTS * VF_LANES;
    block.h_scale = block.x_scale + RNN_S8_SLOTS * VF_LANES;
    block.w = block.h_scale + RNN_S8_SLOTS * VF_LANES;
    block.r = (const char *)block.w + rnn_s8_w_bytes(call->cell, desc, &call->form);
    return block;
}

static float *s8_gates(const struct s8_call *call, const struct s8_item *item, size_t number)
{
    return item->gates + number * call->gates_block;
}

/* Rows of a tile of float x. */
enum { S8_X_ROWS = VF_LANES == 16 ? 6 : 3 };

/* m rows' gates of a block from float x; v slots. A layer's first x is a few values wide, so this
 * is mostly what comes before and after the loop. */
APX_TILE void s8_x_tile(const struct s8_block *block, size_t inner, const float *const x[],
                        float *const gates[], const int m, const int v)
{
    vf acc[S8_X_ROWS][RNN_S8_SLOTS];
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (i, v)
            acc[j][i] = vf_load(block->bias + i * VF_LANES);
    }
    const float *w = block->w;
    for (size_t k = 0; k < inner; k++, w += v * VF_LANES) {
        APX_UNROLL_FOR (j, m) {
            const vf value = vf_set1(x[j][k]);
            APX_UNROLL_FOR (i, v)
                acc[j][i] = vf_fma(value, vf_load(w + i * VF_LANES), acc[j][i]);
        }
    }
    APX_UNROLL_FOR (j, m) {
        APX_UNROLL_FOR (i, v)
            vf_store(gates[j] + i * VF_LANES, acc[j][i]);
    }
}

#define S8_X_CASE(rows)                                                                            \
    case rows:                                                                                     \
        if (v == 4)                                                                                \
            s8_x_tile(block, inner, x, gates, (rows), 4);                                          \
        else                                                                                       \
            s8_x_tile(block, inner, x, gates, (rows), 3);                                          \
        break;

static void s8_x_tiles(const struct s8_call *call, const struct s8_block *block,
                       const float *const x[], float *const gates[], size_t m)
{
    const size_t inner = call->args->desc->input, v = call->cell->x_slots;
    switch (m) {
        S8_X_CASE(1)
        S8_X_CASE(2)
        S8_X_CASE(3)
#if VF_LANES == 16
        S8_X_CASE(4)
        S8_X_CASE(5)
        S8_X_CASE(6)
#endif
    default:
        assert(false);
    }
}

/* The items that a pass takes are named by their slots: list[count]. */
static void s8_input_float(const struct s8_call *call, const struct s8_block *block,
                           const uint32_t *list, size_t count)
{
    size_t tiles = (count + S8_X_ROWS - 1) / S8_X_ROWS;
    for (size_t next = 0; next < count; tiles--) {
        const float *x[S8_X_ROWS];
        float *gates[S8_X_ROWS];
        const size_t m = (count - next + tiles - 1) / tiles; /* tiles of even size */
        for (size_t j = 0; j < m; j++, next++) {
            const struct s8_item *item = &call->items[list[next]];
            x[j] = item->x;
            gates[j] = s8_gates(call, item, block->number);
        }
        s8_x_tiles(call, block, x, gates, m);
    }
}

/* Int8 products of the items' values, added up on their gates: of x on the bias, of h on what x has
 * left there. */
APX_INLINE void s8_products(const struct s8_call *call, const struct s8_block *block,
                            const uint32_t *list, size_t count, const struct panel_s8 *panel,
                            const bool of_h)
{
    const size_t most = S8_MOST(panel->vectors);
    size_t tiles = (count + most - 1) / most;
    for (size_t next = 0; next < count; tiles--) {
        struct panel_s8_row row[PANEL_S8_ROWS];
        const size_t m = (count - next + tiles - 1) / tiles; /* tiles of even size */
        for (size_t j = 0; j < m; j++, next++) {
            const struct s8_item *item = &call->items[list[next]];
            float *gates = s8_gates(call, item, block->number);
            row[j].q = of_h ? call->q_old + item->row * call->q_row : item->qx;
            row[j].out = of_h ? gates + call->cell->h_first * VF_LANES : gates;
            row[j].seed = of_h ? row[j].out : block->bias;
        }
        S8_TILE(panel, row, m);
    }
}

static void s8_input_int8(const struct s8_call *call, const struct s8_block *block,
                          const uint32_t *list, size_t count)
{
    const struct panel_s8 panel = {.weights = block->w,
                                   .scale = block->x_scale,
                                   .inner = call->args->desc->input,
                                   .vectors = call->cell->x_slots,
                                   .chunk = call->form.chunk};
    s8_products(call, block, list, count, &panel, false);
}

/* Gates of the block from x. */
static void s8_input(const struct s8_call *call, const struct s8_block *block, const uint32_t *list,
                     size_t count)
{
    const struct rnn_s8_cell *cell = call->cell;
    if (call->x_row > 0)
        s8_input_int8(call, block, list, count);
    else
        s8_input_float(call, block, list, count);
    if (cell->h_first + cell->h_slots <= cell->x_slots)
        return;
    /* A slot that x does not go into. */
    const vf bias = vf_load(block->bias + cell->x_slots * VF_LANES);
    for (size_t i = 0; i < count; i++)
        vf_store(s8_gates(call, &call->items[list[i]], block->number) + cell->x_slots * VF_LANES,
                 bias);
}

/* And from h. */
static void s8_recurrent(const struct s8_call *call, const struct s8_block *block,
                         const uint32_t *list, size_t count)
{
    const struct panel_s8 panel = {.weights = block->r,
                                   .scale = block->h_scale,
                                   .inner = call->args->desc->hidden,
                                   .vectors = call->cell->h_slots,
                                   .chunk = call->form.chunk};
    s8_products(call, block, list, count, &panel, true);
}

/* The x half of the active rows' next steps, for all blocks. */
static void s8_go_ahead(const struct s8_call *call, size_t active, size_t first)
{
    size_t count = 0;
    for (size_t i = 0; i < active; i++) {
        const size_t n = call->active[i], length = rnn_length(call->args, n);
        for (size_t since = 0; since < RNN_AHEAD_STEPS && first + since < length; since++) {
            const size_t slot = n * RNN_AHEAD_STEPS + since;
            s8_locate(call, n, first + since, slot);
            call->list[count++] = (uint32_t)slot;
        }
    }
    for (size_t number = 0; number * VF_LANES < call->padded; number++) {
        const struct s8_block block = s8_enter_block(call, number);
        s8_input(call, &block, call->list, count);
    }
}

/* Begin a step: call->list gets its items, as many as are returned. Ahead, their gates hold the x
 * half already. */
static size_t s8_begin_step(const struct s8_call *call, size_t step)
{
    const size_t count = apx_rnn_active(call->args, step, call->active);
    const size_t since = step % RNN_AHEAD_STEPS;
    if (call->ahead && since == 0)
        s8_go_ahead(call, count, step);
    for (size_t i = 0; i < count; i++) {
        const size_t n = call->active[i], slot = call->ahead ? n * RNN_AHEAD_STEPS + since : i;
        if (!call->ahead)
            s8_locate(call, n, step, slot);
        call->list[i] = (uint32_t)slot;
        if (call->items[slot].has_nan)
            s8_poison(call, n);
    }
    return count;
}

/* Cells whose gates are ready: `count` items in the blocks from `first` up to `last`. */
struct s8_cells {
    size_t first, last, count;
};

/* The sums of the next blocks of a step, from block `first` on: one, or all of them. */
static struct s8_cells s8_sums(const struct s8_call *call, size_t first, size_t count)
{
    const size_t blocks = call->padded / VF_LANES;
    const struct s8_cells cells = {first, call->few ? blocks : first + 1, count};
    for (size_t number = first; number < cells.last; number++) {
        const struct s8_block block = s8_enter_block(call, number);
        if (!call->ahead)
            s8_input(call, &block, call->list, count);
        s8_recurrent(call, &block, call->list, count);
    }
    return cells;
}

/* Where a block's new h goes: q for the next step, and y. Taken out of the loop over rows, as the
 * stores could change all that is read through pointers. */
struct s8_sink {
    struct quantise_s8 how;
    float *h;
    uint8_t *q;
    size_t padded, q_row, unit, lanes; /* lanes that exist */
};

static struct s8_sink s8_sink(const struct s8_call *call, size_t number)
{
    const size_t unit = number * VF_LANES, left = call->args->desc->hidden - unit;
    return (struct s8_sink){.how = s8_of_h(call),
                            .h = call->h + unit,
                            .q = call->q_new + unit,
                            .padded = call->padded,
                            .q_row = call->q_row,
                            .unit = unit,
                            .lanes = left < VF_LANES ? left : VF_LANES};
}

APX_INLINE void s8_store_h(const struct s8_sink *sink, const struct s8_item *item, vf h)
{
    const size_t row = item->row;
    vf_store(sink->h + row * sink->padded, h);
    quantise_s8_store(&sink->how, h, sink->q + row * sink->q_row);
    if (item->y == NULL)
        return;
    if (sink->lanes == VF_LANES)
        vf_store(item->y + sink->unit, h);
    else
        vf_store_first(item->y + sink->unit, h, sink->lanes);
}

/* ---- full tiles ---- */

/* With enough rows: where their things are does not depend on the block and is found once a step.
 */
enum { S8_FULL_ROWS = 48, S8_FULL_TILE = VF_LANES == 16 ? 6 : 4 };

struct s8_full {
    const struct s8_item *item[S8_FULL_ROWS];
    struct panel_s8_row of_x[S8_FULL_ROWS], of_h[S8_FULL_ROWS]; /* x: if it is quantised */
};

/* The cells of a block of m rows, whose gates are ready. */
typedef void s8_full_cells(const struct s8_call *call, const struct s8_sink *sink,
                           const struct s8_item *const item[], size_t m);

/* m rows' gates of a block from x. */
APX_INLINE void s8_full_input(const struct s8_call *call, const struct s8_block *block,
                              const struct panel_s8 *panel, struct s8_full *full, size_t first,
                              size_t m)
{
    const struct rnn_s8_cell *cell = call->cell;
    if (call->x_row > 0) {
        for (size_t j = 0; j < m; j++)
            full->of_x[first + j].seed = block->bias;
        S8_TILE(panel, full->of_x + first, m);
    } else {
        const float *x[S8_FULL_TILE];
        float *gates[S8_FULL_TILE];
        for (size_t j = 0; j < m; j++) {
            x[j] = full->item[first + j]->x;
            gates[j] = full->item[first + j]->gates;
        }
        const size_t half = m > S8_X_ROWS ? m / 2 : m;
        s8_x_tiles(call, block, x, gates, half);
        if (half < m)
            s8_x_tiles(call, block, x + half, gates + half, m - half);
    }
    if (cell->h_first + cell->h_slots <= cell->x_slots)
        return;
    const size_t slot = cell->x_slots * VF_LANES; /* x does not go into it */
    for (size_t j = 0; j < m; j++)
        vf_store(full->item[first + j]->gates + slot, vf_load(block->bias + slot));
}

/* All of a step but its beginning and end, for the `count` items of the list. */
APX_INLINE void s8_full_step(const struct s8_call *call, size_t count, s8_full_cells *const cells)
{
    struct s8_full full;
    const struct rnn_s8_cell *cell = call->cell;
    const struct apx_rnn_desc *desc = call->args->desc;
    const size_t most_h = S8_MOST(cell->h_slots), most_x = S8_MOST(cell->x_slots);
    const size_t most = call->x_row > 0 && most_x < most_h ? most_x : most_h;
    for (size_t next = 0; next < count;) {
        size_t rows = 0;
        for (; rows < S8_FULL_ROWS && next < count; rows++, next++) {
            const struct s8_item *item = &call->items[call->list[next]];
            float *from = item->gates + cell->h_first * VF_LANES;
            full.item[rows] = item;
            full.of_x[rows] = (struct panel_s8_row){.q = item->qx, .out = item->gates};
            full.of_h[rows] = (struct panel_s8_row){
                .q = call->q_old + item->row * call->q_row, .seed = from, .out = from};
        }
        for (size_t number = 0; number * VF_LANES < call->padded; number++) {
            const struct s8_block block = s8_enter_block(call, number);
            const struct s8_sink sink = s8_sink(call, number);
            const struct panel_s8 of_x = {.weights = block.w,
                                          .scale = block.x_scale,
                                          .inner = desc->input,
                                          .vectors = cell->x_slots,
                                          .chunk = call->form.chunk};
            const struct panel_s8 of_h = {.weights = block.r,
                                          .scale = block.h_scale,
                                          .inner = desc->hidden,
                                          .vectors = cell->h_slots,
                                          .chunk = call->form.chunk};
            size_t tiles = (rows + most - 1) / most;
            for (size_t first = 0, m; first < rows; first += m, tiles--) {
                m = (rows - first + tiles - 1) / tiles; /* tiles of even size */
                s8_full_input(call, &block, &of_x, &full, first, m);
                S8_TILE(&of_h, full.of_h + first, m);
            }
            cells(call, &sink, full.item, rows);
        }
    }
}

/* End a step: last states out, new q for old. */
static void s8_end_step(struct s8_call *call, size_t step)
{
    const struct apx_rnn_args *args = call->args;
    apx_rnn_store_last(args, step, call->h, call->padded, args->h_last, args->h_last_row);
    if (call->cell->gates == 4)
        apx_rnn_store_last(args, step, call->c, call->padded, args->c_last, args->c_last_row);
    uint8_t *swap = call->q_old;
    call->q_old = call->q_new;
    call->q_new = swap;
}
