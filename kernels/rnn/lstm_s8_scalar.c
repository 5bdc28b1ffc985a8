/* SPDX-License-Identifier: Apache-2.0 */
/* lstm_s8_scalar.c - the int8 LSTM by its formulas: the reference of the other int8 rows. */
#include "kernels/cpu/simd_f32_scalar.h"

#include "kernels/rnn/lstm_rows.h"
#include "kernels/rnn/rnn_cell.h"
#include "kernels/rnn/rnn_s8_reference.h"

enum { GATES = CELL_LSTM_GATES };

bool apx_lstm_s8_scalar_supports(const struct apx_rnn_desc *desc)
{
    return rnn_s8_takes(desc, 3);
}

size_t apx_lstm_s8_scalar_packed_bytes(const struct apx_rnn_desc *desc)
{
    return reference_packed_bytes(desc, GATES);
}

void apx_lstm_s8_scalar_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                             void *packed)
{
    reference_pack(desc, GATES, weights, packed);
}

/* h, c, q of h, q of x: of one row. */
size_t apx_lstm_s8_scalar_scratch_bytes(const struct apx_rnn_desc *desc, size_t rows)
{
    (void)rows;
    return 2 * rnn_line(desc->hidden * sizeof(float)) + rnn_line(desc->hidden) +
           rnn_line(desc->input);
}

static void run_row(const struct apx_rnn_args *args, const struct rnn_s8_reference *ref, size_t n)
{
    const struct apx_rnn_desc *desc = args->desc;
    const size_t hidden = desc->hidden, floats = rnn_line(hidden * sizeof(float)) / sizeof(float);
    const int levels = desc->int8.levels;
    const ptrdiff_t row = (ptrdiff_t)n;
    float *h = args->scratch, *c = h + floats;
    int8_t *qh = (int8_t *)(c + floats), *qx = qh + rnn_line(hidden);
    reference_start(args, n, args->h0, args->h0_row, h);
    reference_start(args, n, args->c0, args->c0_row, c);
    for (size_t step = 0; step < rnn_length(args, n); step++) {
        const ptrdiff_t time = (ptrdiff_t)rnn_time(args, n, step);
        const float *x = args->x + row * args->x_row + time * args->x_step;
        reference_quantise(h, hidden, (float)levels, levels, qh);
        if (rnn_s8_quantises_x(desc) &&
            reference_quantise(x, desc->input, rnn_s8_x_factor(desc), levels, qx))
            reference_poison(c, hidden);
        for (size_t j = 0; j < hidden; j++) {
            float gate[GATES];
            for (size_t g = 0; g < GATES; g++) {
                const size_t at = g * hidden + j;
                gate[g] = reference_input(ref, at, x, qx, ref->bias[at]);
                gate[g] = reference_recurrent(ref, at, qh, gate[g]);
            }
            float out;
            c[j] = cell_lstm_c(gate, c[j], &out);
            cell_lstm_h(1, &c[j], &out, &h[j]);
        }
        if (args->y != NULL)
            memcpy(args->y + row * args->y_row + time * args->y_step, h, hidden * sizeof *h);
    }
    if (args->h_last != NULL)
        memcpy(args->h_last + row * args->h_last_row, h, hidden * sizeof *h);
    if (args->c_last != NULL)
        memcpy(args->c_last + row * args->c_last_row, c, hidden * sizeof *c);
}

void apx_lstm_s8_scalar_run(const struct apx_rnn_args *args)
{
    const struct rnn_s8_reference ref = reference_open(args->desc, GATES, args->packed);
    apx_rnn_fill_idle(args);
    for (size_t n = 0; n < args->rows; n++)
        if (rnn_length(args, n) > 0)
            run_row(args, &ref, n);
}
