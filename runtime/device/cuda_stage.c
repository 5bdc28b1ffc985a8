/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_stage.c - rows copied, in as few pieces as there may be.
 *
 * Rows that keep their order are one piece for each index of the axes before theirs. Where they end
 * at lengths of their own they may get other places, longest first (row_order.h), and what comes
 * back is taken from there: a kernel's tile takes as long as its longest row, and no row minds
 * which others lie beside it. Then each row is a piece: the caller's tensors are walked in order,
 * that is what a processor fetches ahead. */
#include "runtime/device/cuda_stage.h"

#include <string.h>

#include "runtime/device/bind_steps.h"

/* Bytes of a row of one of the caller's tensors; 0: it has no rows. */
static size_t row_bytes(const struct apx_cuda_staging *staging, const struct apx_slot *slot)
{
    const struct apx_program *plan = staging->program->plan;
    const struct apx_graph *graph = plan->graph;
    const bool is_input = slot->kind == APX_SLOT_INPUT;
    const struct apx_value *value =
        &graph->values[is_input ? graph->inputs[slot->index] : graph->outputs[slot->index]];
    const int axis =
        is_input ? plan->input_row_axis[slot->index] : plan->output_row_axis[slot->index];
    if (axis < 0 || plan->row_symbol < 0)
        return 0;
    return (size_t)apx_bind_row_stride(value, axis, staging->symbols) *
           apx_dtype_size(value->dtype);
}

static bool is_staged(const struct apx_cuda_staging *staging, int slot)
{
    return staging->program->home[slot] == APX_CUDA_IN;
}

static bool is_unstaged(const struct apx_cuda_staging *staging, int slot)
{
    const struct apx_slot *one = &staging->program->plan->slots[slot];
    return one->kind == APX_SLOT_OUTPUT && staging->program->home[slot] != APX_CUDA_NOWHERE &&
           staging->slice->outputs[one->index].data != NULL;
}

/* What rows copied one by one take longer than all at once; of what was measured (README.md) the
 * middle: within the caches it is less a byte, beyond them more. */
#define PIECE_SECONDS 3e-9
#define BYTE_SECONDS  2e-11

double apx_cuda_order_seconds(const struct apx_cuda_staging *staging)
{
    const struct apx_program *plan = staging->program->plan;
    double seconds = 0;
    for (int i = 0; i < plan->slot_count; i++) {
        const struct apx_slot *slot = &plan->slots[i];
        if (!is_staged(staging, i) && !is_unstaged(staging, i))
            continue;
        size_t bytes = 0;
        const size_t row = row_bytes(staging, slot);
        apx_cuda_slot_bytes(slot, staging->symbols, &bytes);
        if (row > 0)
            seconds += (double)(bytes / row) * PIECE_SECONDS + (double)bytes * BYTE_SECONDS;
    }
    return seconds;
}

/* One of the caller's tensors and its slot: `outer` runs of rows, each copied in `pieces`. */
struct runs {
    int64_t outer, batch, bucket, row, rows, pieces;
    size_t row_bytes;     /* in the slot */
    const int32_t *place; /* [pieces] in rows; NULL: one piece, at the start */
};

static bool find_runs(const struct apx_cuda_staging *staging, const struct apx_slot *slot,
                      struct runs *runs)
{
    const struct apx_slice *slice = staging->slice;
    const size_t row = row_bytes(staging, slot);
    size_t bytes = 0;
    apx_cuda_slot_bytes(slot, staging->symbols, &bytes);
    *runs = (struct runs){
        .outer = 1, .batch = 1, .bucket = 1, .rows = 1, .pieces = 1, .row_bytes = bytes};
    if (row > 0) {
        runs->row = slice->row;
        runs->rows = slice->rows;
        runs->batch = slice->symbols[staging->program->plan->row_symbol];
        runs->bucket = staging->bucket;
        runs->row_bytes = row;
        runs->outer = (int64_t)(bytes / row) / runs->bucket;
        runs->pieces = staging->place != NULL ? runs->rows : 1;
        runs->place = staging->place;
    }
    return bytes > 0;
}

/* Where a piece is, in rows: in the slot, and in the caller's tensor. */
static size_t slot_row(const struct runs *runs, int64_t outer, int64_t piece)
{
    return (size_t)(outer * runs->bucket + (runs->place != NULL ? runs->place[piece] : 0));
}

static size_t given_row(const struct runs *runs, int64_t outer, int64_t piece)
{
    return (size_t)(outer * runs->batch + runs->row + piece);
}

static size_t piece_bytes(const struct runs *runs)
{
    return (size_t)(runs->rows / runs->pieces) * runs->row_bytes;
}

static void widen(const float *from, size_t count, double *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (double)from[i];
}

void apx_cuda_stage(const struct apx_cuda_staging *staging)
{
    const struct apx_program *plan = staging->program->plan;
    struct runs runs;
    for (int i = 0; i < plan->slot_count; i++) {
        const struct apx_slot *slot = &plan->slots[i];
        if (!is_staged(staging, i) || !find_runs(staging, slot, &runs))
            continue;
        const struct apx_tensor *given = &staging->slice->inputs[slot->index];
        const bool is_narrow = slot->dtype == APX_F64 && given->dtype == APX_F32;
        const size_t wide = runs.row_bytes, narrow = is_narrow ? wide / 2 : wide;
        const size_t bytes = piece_bytes(&runs);
        char *start = staging->slot[i];
        for (int64_t o = 0; o < runs.outer; o++) {
            for (int64_t k = 0; k < runs.pieces; k++) {
                char *to = start + slot_row(&runs, o, k) * wide;
                const char *from = (const char *)given->data + given_row(&runs, o, k) * narrow;
                if (is_narrow)
                    widen((const float *)(const void *)from, bytes / sizeof(double),
                          (double *)(void *)to);
                else
                    memcpy(to, from, bytes);
            }
            memset(start + (size_t)(o * runs.bucket + runs.rows) * wide, 0,
                   (size_t)(runs.bucket - runs.rows) * wide);
        }
    }
}

void apx_cuda_unstage(const struct apx_cuda_staging *staging)
{
    const struct apx_program *plan = staging->program->plan;
    struct runs runs;
    for (int i = 0; i < plan->slot_count; i++) {
        const struct apx_slot *slot = &plan->slots[i];
        if (!is_unstaged(staging, i) || !find_runs(staging, slot, &runs))
            continue;
        char *data = staging->slice->outputs[slot->index].data;
        for (int64_t o = 0; o < runs.outer; o++)
            for (int64_t k = 0; k < runs.pieces; k++)
                memcpy(data + given_row(&runs, o, k) * runs.row_bytes,
                       staging->slot[i] + slot_row(&runs, o, k) * runs.row_bytes,
                       piece_bytes(&runs));
    }
}
