/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_state.c - what recurrent rows do around their tiles: states in and out, lengths, idle rows.
 *
 * A row of the batch that has run out of valid steps simply leaves the list of active rows, so its
 * state stays untouched and its neighbours never notice. */
#include "kernels/cpu/half.h"
#include "kernels/rnn/rnn_layout.h"

#include <string.h>

void *apx_rnn_put_weight(const struct apx_rnn_desc *desc, float weight, void *place)
{
    if (desc->half_weights) {
        uint16_t *half = place;
        *half = apx_half_of(weight);
        return half + 1;
    }
    float *whole = place;
    *whole = weight;
    return whole + 1;
}

size_t apx_rnn_active(const struct apx_rnn_args *args, size_t step, uint32_t *active)
{
    size_t count = 0;
    for (size_t n = 0; n < args->rows; n++) {
        active[count] = (uint32_t)n;
        count += step < rnn_length(args, n);
    }
    return count;
}

void apx_rnn_load_state(const struct apx_rnn_args *args, const float *first, ptrdiff_t first_row,
                        size_t padded, float *state)
{
    const size_t hidden = args->desc->hidden;
    for (size_t n = 0; n < args->rows; n++) {
        float *row = state + n * padded;
        memset(row, 0, padded * sizeof *row);
        if (first != NULL)
            memcpy(row, first + (ptrdiff_t)n * first_row, hidden * sizeof *row);
    }
}

void apx_rnn_fill_idle(const struct apx_rnn_args *args)
{
    const size_t bytes = args->desc->hidden * sizeof(float);
    for (size_t n = 0; n < args->rows; n++) {
        const ptrdiff_t row = (ptrdiff_t)n;
        const size_t length = rnn_length(args, n);
        if (args->y != NULL)
            for (size_t t = length; t < args->steps; t++)
                memset(args->y + row * args->y_row + (ptrdiff_t)t * args->y_step, 0, bytes);
        if (length > 0)
            continue;
        if (args->h_last != NULL)
            memset(args->h_last + row * args->h_last_row, 0, bytes);
        if (args->c_last != NULL)
            memset(args->c_last + row * args->c_last_row, 0, bytes);
    }
}

void apx_rnn_store_last(const struct apx_rnn_args *args, size_t step, const float *state,
                        size_t padded, float *last, ptrdiff_t last_row)
{
    if (last == NULL)
        return;
    for (size_t n = 0; n < args->rows; n++)
        if (rnn_length(args, n) == step + 1)
            memcpy(last + (ptrdiff_t)n * last_row, state + n * padded,
                   args->desc->hidden * sizeof(float));
}
