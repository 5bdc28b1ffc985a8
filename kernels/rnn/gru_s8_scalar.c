/* SPDX-License-Identifier: Apache-2.0 */
/* gru_s8_scalar.c - the int8 GRU by its formulas, both forms: the reference of the other int8 rows.
 */
#include "kernels/cpu/simd_f32_scalar.h"

#include "kernels/rnn/gru_rows.h"
#include "kernels/rnn/rnn_cell.h"
#include "kernels/rnn/rnn_s8_reference.h"

enum { GATE_Z, GATE_R, GATE_H, GATES };

bool apx_gru_s8_scalar_supports(const struct apx_rnn_desc *desc)
{
    return rnn_s8_takes(desc, 2);
}

size_t apx_gru_s8_scalar_packed_bytes(const struct apx_rnn_desc *desc)
{
    return reference_packed_bytes(desc, GATES);
}

void apx_gru_s8_scalar_pack(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                            void *packed)
{
    reference_pack(desc, GATES, weights, packed);
}

/* h, r, z, r h, q of h, q of r h, q of x: of one row. */
size_t apx_gru_s8_scalar_scratch_bytes(const struct apx_rnn_desc *desc, size_t rows)
{
    (void)rows;
    return 4 * rnn_line(desc->hidden * sizeof(float)) + 2 * rnn_line(desc->hidden) +
           rnn_line(desc->input);
}

/* One row's scratch. */
struct row {
    float *h, *r, *z, *rh;
    int8_t *qh, *qrh, *qx;
};

static struct row row_open(const struct apx_rnn_args *args)
{
    const size_t hidden = args->desc->hidden;
    const size_t floats = rnn_line(hidden * sizeof(float)) / sizeof(float);
    struct row row = {.h = args->scratch};
    row.r = row.h + floats;
    row.z = row.r + floats;
    row.rh = row.z + floats;
    row.qh = (int8_t *)(row.rh + floats);
    row.qrh = row.qh + rnn_line(hidden);
    row.qx = row.qrh + rnn_line(hidden);
    return row;
}

static void run_step(const struct rnn_s8_reference *ref, const struct row *row, const float *x)
{
    const struct apx_rnn_desc *desc = ref->desc;
    const size_t hidden = desc->hidden;
    const int levels = desc->int8.levels;
    reference_quantise(row->h, hidden, (float)levels, levels, row->qh);
    if (rnn_s8_quantises_x(desc) &&
        reference_quantise(x, desc->input, rnn_s8_x_factor(desc), levels, row->qx))
        reference_poison(row->h, hidden);
    for (size_t j = 0; j < hidden; j++) {
        const size_t z = GATE_Z * hidden + j, r = GATE_R * hidden + j;
        const float from_z = reference_input(ref, z, x, row->qx, ref->bias[z]);
        const float from_r = reference_input(ref, r, x, row->qx, ref->bias[r]);
        row->z[j] = reference_recurrent(ref, z, row->qh, from_z);
        row->r[j] = reference_recurrent(ref, r, row->qh, from_r);
        cell_gru_gates(&row->z[j], &row->r[j]);
        row->rh[j] = row->r[j] * row->h[j];
    }
    reference_quantise(row->rh, hidden, (float)levels, levels, row->qrh);
    for (size_t j = 0; j < hidden; j++) {
        const size_t at = GATE_H * hidden + j;
        float gate;
        if (desc->reset_after) {
            const float from_x = reference_input(ref, at, x, row->qx, ref->bias_w[at]);
            const float from_h = reference_recurrent(ref, at, row->qh, ref->bias_r[at]);
            gate = fmaf(row->r[j], from_h, from_x);
        } else {
            gate = reference_input(ref, at, x, row->qx, ref->bias[at]);
            gate = reference_recurrent(ref, at, row->qrh, gate);
        }
        cell_gru_h(1, &gate, &row->z[j], &row->h[j]);
    }
}

void apx_gru_s8_scalar_run(const struct apx_rnn_args *args)
{
    const size_t bytes = args->desc->hidden * sizeof(float);
    const struct rnn_s8_reference ref = reference_open(args->desc, GATES, args->packed);
    const struct row row = row_open(args);
    apx_rnn_fill_idle(args);
    for (size_t n = 0; n < args->rows; n++) {
        const ptrdiff_t at = (ptrdiff_t)n;
        if (rnn_length(args, n) == 0)
            continue;
        reference_start(args, n, args->h0, args->h0_row, row.h);
        for (size_t step = 0; step < rnn_length(args, n); step++) {
            const ptrdiff_t time = (ptrdiff_t)rnn_time(args, n, step);
            run_step(&ref, &row, args->x + at * args->x_row + time * args->x_step);
            if (args->y != NULL)
                memcpy(args->y + at * args->y_row + time * args->y_step, row.h, bytes);
        }
        if (args->h_last != NULL)
            memcpy(args->h_last + at * args->h_last_row, row.h, bytes);
    }
}
