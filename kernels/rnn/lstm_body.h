/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_body.h - one direction of an LSTM layer over all steps, over the vector vocabulary.
 *
 * Per step, for every block of V units and every tile of up to VF_TILE_ROWS rows: all four gates of
 * the block's units for the tile's rows grow in registers, through x then through h, and the cell
 * is computed on those accumulators. Nothing is stored but c and the new h; there is no buffer of
 * gates. The block is the outer loop, so that its weights come from the far cache once a step and
 * the rows, which are smaller, come from the near one.
 *
 * Order of every sum, the same for all ISAs: bias (Wb + Rb), x ascending, h ascending, peephole,
 * each with one fused multiply-add. No row looks at another, so tiles may be cut anywhere.
 *
 * Included by lstm_<isa>.c after simd_f32_<isa>.h. */
#include <assert.h>

#include "kernels/cpu/activations.h"
#include "kernels/rnn/rnn_layout.h"

enum { GATE_I, GATE_O, GATE_F, GATE_C, GATES };

struct lstm_row {
    const float *x, *h; /* [I], [H] */
    float *c, *h_out;   /* [V] of this block, padded */
    float *y;           /* [lanes] of this block, or NULL */
};

struct lstm_block {
    const struct apx_rnn_desc *desc;
    const float *bias, *peephole, *weights;
    size_t lanes; /* units of the block that exist */
    bool plain;   /* sigmoid, tanh, tanh and nothing else */
};

/* The cell with everything ONNX allows, on gates that were put down in memory. */
static __attribute__((noinline)) void lstm_cell_general(const struct lstm_block *block,
                                                        const float *gates, float *c, float *h)
{
    const struct apx_rnn_desc *desc = block->desc;
    vf i = vf_load(gates + GATE_I * VF_LANES), o = vf_load(gates + GATE_O * VF_LANES);
    vf f = vf_load(gates + GATE_F * VF_LANES), g = vf_load(gates + GATE_C * VF_LANES);
    vf cell = vf_load(c);
    if (desc->has_peephole) {
        i = vf_fma(vf_load(block->peephole), cell, i);
        f = vf_fma(vf_load(block->peephole + 2 * VF_LANES), cell, f);
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
        o = vf_fma(vf_load(block->peephole + 1 * VF_LANES), cell, o);
    if (desc->clip > 0.0f)
        o = vf_bound(o, desc->clip);
    o = vf_activate(desc->act[0], o);
    vf_store(c, cell);
    vf_store(h, vf_mul(o, vf_activate(desc->act[2], cell)));
}

APX_INLINE void lstm_tile(const struct lstm_block *block, const struct lstm_row *row, const int m)
{
    vf acc[VF_TILE_ROWS][GATES];
    APX_UNROLL
    for (int j = 0; j < m; j++)
        APX_UNROLL
    for (int g = 0; g < GATES; g++)
        acc[j][g] = vf_load(block->bias + g * VF_LANES);
    const float *w = block->weights;
    for (size_t k = 0; k < block->desc->input; k++, w += GATES * VF_LANES)
        APX_UNROLL
    for (int j = 0; j < m; j++) {
        vf x = vf_set1(row[j].x[k]);
        APX_UNROLL
        for (int g = 0; g < GATES; g++)
            acc[j][g] = vf_fma(x, vf_load(w + g * VF_LANES), acc[j][g]);
    }
    for (size_t k = 0; k < block->desc->hidden; k++, w += GATES * VF_LANES)
        APX_UNROLL
    for (int j = 0; j < m; j++) {
        vf h = vf_set1(row[j].h[k]);
        APX_UNROLL
        for (int g = 0; g < GATES; g++)
            acc[j][g] = vf_fma(h, vf_load(w + g * VF_LANES), acc[j][g]);
    }
    APX_UNROLL
    for (int j = 0; j < m; j++) {
        vf h;
        if (block->plain) {
            vf i = vf_sigmoid(acc[j][GATE_I]), f = vf_sigmoid(acc[j][GATE_F]);
            vf g = vf_tanh(acc[j][GATE_C]);
            vf c = vf_fma(f, vf_load(row[j].c), vf_mul(i, g));
            vf_store(row[j].c, c);
            h = vf_mul(vf_sigmoid(acc[j][GATE_O]), vf_tanh(c));
            vf_store(row[j].h_out, h);
        } else {
            float gates[GATES * VF_LANES];
            APX_UNROLL
            for (int g = 0; g < GATES; g++)
                vf_store(gates + g * VF_LANES, acc[j][g]);
            lstm_cell_general(block, gates, row[j].c, row[j].h_out);
            h = vf_load(row[j].h_out);
        }
        if (row[j].y == NULL)
            continue;
        if (block->lanes == VF_LANES)
            vf_store(row[j].y, h);
        else
            vf_store_first(row[j].y, h, block->lanes);
    }
}

static void lstm_tiles(const struct lstm_block *block, const struct lstm_row *row, size_t m)
{
    switch (m) {
    case 1:
        lstm_tile(block, row, 1);
        break;
    case 2:
        lstm_tile(block, row, 2);
        break;
    case 3:
        lstm_tile(block, row, 3);
        break;
#if VF_TILE_ROWS > 3
    case 4:
        lstm_tile(block, row, 4);
        break;
    case 5:
        lstm_tile(block, row, 5);
        break;
    case 6:
        lstm_tile(block, row, 6);
        break;
#endif
    default:
        assert(false);
    }
}

static bool lstm_is_plain(const struct apx_rnn_desc *desc)
{
    return !desc->has_peephole && !desc->input_forget && !(desc->clip > 0.0f) &&
           desc->act[0].kind == APX_ACT_SIGMOID && desc->act[1].kind == APX_ACT_TANH &&
           desc->act[2].kind == APX_ACT_TANH;
}

/* Scratch: h before and after the step, c: [N][padded] each; then the active rows, [N]. */
size_t APX_ENTRY(lstm_f32, scratch_bytes)(const struct apx_rnn_desc *desc, size_t rows)
{
    size_t state = rnn_line(rows * rnn_padded(desc->hidden, VF_LANES) * sizeof(float));
    return 3 * state + rnn_line(rows * sizeof(uint32_t));
}

bool APX_ENTRY(lstm_f32, supports)(const struct apx_rnn_desc *desc)
{
    (void)desc;
    return true;
}

size_t APX_ENTRY(lstm_f32, packed_bytes)(const struct apx_rnn_desc *desc)
{
    return apx_lstm_packed_bytes(desc, VF_LANES);
}

void APX_ENTRY(lstm_f32, pack)(const struct apx_rnn_desc *desc,
                               const struct apx_rnn_weights *weights, void *packed)
{
    apx_lstm_pack(desc, weights, VF_LANES, packed);
}

void APX_ENTRY(lstm_f32, run)(const struct apx_rnn_args *args)
{
    const struct apx_rnn_desc *desc = args->desc;
    const size_t hidden = desc->hidden, padded = rnn_padded(hidden, VF_LANES);
    const size_t state = rnn_line(args->rows * padded * sizeof(float)) / sizeof(float);
    float *h_old = args->scratch, *h_new = h_old + state, *c = h_new + state;
    uint32_t *active = (uint32_t *)(void *)(c + state);

    apx_rnn_fill_idle(args);
    apx_rnn_load_state(args, args->h0, args->h0_row, padded, h_old);
    apx_rnn_load_state(args, args->c0, args->c0_row, padded, c);
    const size_t block_floats = lstm_block_floats(desc, VF_LANES);
    struct lstm_block block = {.desc = desc, .plain = lstm_is_plain(desc)};
    for (size_t step = 0; step < args->steps; step++) {
        const size_t count = apx_rnn_active(args, step, active);
        if (count == 0)
            break;
        const float *packed = args->packed;
        for (size_t unit = 0; unit < hidden; unit += VF_LANES, packed += block_floats) {
            block.bias = packed;
            block.peephole = packed + GATES * VF_LANES;
            block.weights = block.peephole + (desc->has_peephole ? 3 * VF_LANES : 0);
            block.lanes = hidden - unit < VF_LANES ? hidden - unit : VF_LANES;
            size_t tiles = (count + VF_TILE_ROWS - 1) / VF_TILE_ROWS;
            for (size_t next = 0; next < count; tiles--) {
                struct lstm_row row[VF_TILE_ROWS];
                const size_t m = (count - next + tiles - 1) / tiles; /* tiles of even size */
                for (size_t j = 0; j < m; j++, next++) {
                    const size_t n = active[next];
                    const ptrdiff_t at = (ptrdiff_t)n;
                    const ptrdiff_t time = (ptrdiff_t)rnn_time(args, n, step);
                    row[j].x = args->x + at * args->x_row + time * args->x_step;
                    row[j].h = h_old + n * padded;
                    row[j].h_out = h_new + n * padded + unit;
                    row[j].c = c + n * padded + unit;
                    row[j].y = args->y == NULL
                                   ? NULL
                                   : args->y + at * args->y_row + time * args->y_step + unit;
                }
                lstm_tiles(&block, row, m);
            }
        }
        apx_rnn_store_last(args, step, h_new, padded, args->h_last, args->h_last_row);
        apx_rnn_store_last(args, step, c, padded, args->c_last, args->c_last_row);
        float *swap = h_old;
        h_old = h_new;
        h_new = swap;
    }
}
