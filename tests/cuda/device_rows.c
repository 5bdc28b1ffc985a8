/* SPDX-License-Identifier: Apache-2.0 */
/* device_rows.c - the CUDA rows on a device as rows of the processor's tables, for the kernel
 * checker. Every array goes to device memory of exactly its size and comes back, outputs with what
 * lies between their rows, so that the checker sees what a kernel wrote where it should not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_forest.h"
#include "kernels/cuda/cuda_tables.h"
#include "tests/cuda/device.h"
#include "tests/harness/kcheck.h"

/* The arrays of one launch. */
static struct {
    void *host, *device;
    size_t bytes;
    bool is_output;
} moved[16];
static size_t moved_count;

/* A copy on the device; NULL stays NULL. */
static void *move(const void *host, size_t bytes, bool is_output)
{
    if (host == NULL)
        return NULL;
    void *device = device_alloc(bytes);
    void *writable;
    memcpy(&writable, &host, sizeof writable);
    device_in(device, host, bytes);
    moved[moved_count].host = writable;
    moved[moved_count].device = device;
    moved[moved_count].bytes = bytes;
    moved[moved_count].is_output = is_output;
    moved_count++;
    return device;
}

static void finish(const char *what, int code)
{
    device_check(what, code);
    for (size_t i = 0; i < moved_count; i++) {
        if (moved[i].is_output)
            device_out(moved[i].host, moved[i].device, moved[i].bytes);
        device_free(moved[i].device);
    }
    moved_count = 0;
}

static size_t span(size_t rows, ptrdiff_t row, size_t steps, ptrdiff_t step, size_t width)
{
    if (rows == 0 || steps == 0)
        return 0;
    return (rows - 1) * (size_t)row + (steps - 1) * (size_t)step + width;
}

/* ---- recurrent layers ------------------------------------------------------------------------ */

/* Functions of kernels.h carry no row, so each kind has functions of its own. cuBLASLt's rows have
 * bits of their own and are here for layers of any size. */
enum { FLOAT, INT8, LT, KINDS };
enum { MOST_STEPS = 25 }; /* of the checker's problems */
static const char *const types_of[KINDS] = {"f32", "s8", "f32"};
static const struct apx_cuda_rnn_row *lstm_source[KINDS], *gru_source[KINDS];

/* Rows of halves are none of these: KINDS. */
static size_t kind_of(const char *name, const char *precision)
{
    return strstr(name, "_lt") != NULL      ? LT
           : strcmp(precision, "fp32") == 0 ? FLOAT
           : strcmp(precision, "int8") == 0 ? INT8
                                            : KINDS;
}

static void rnn_run(const struct apx_cuda_rnn_row *row, const struct apx_rnn_args *args)
{
    if (args->rows == 0)
        return;
    const size_t n = args->rows, t = args->steps, h = args->desc->hidden, f = sizeof(float);
    struct apx_rnn_args on = *args;
    int32_t fault = 0;
    on.packed = move(args->packed, row->packed_bytes(args->desc), false);
    on.x = move(args->x, f * span(n, args->x_row, t, args->x_step, args->desc->input), false);
    on.h0 = move(args->h0, f * span(n, args->h0_row, 1, 0, h), false);
    on.c0 = move(args->c0, f * span(n, args->c0_row, 1, 0, h), false);
    on.lengths = move(args->lengths, n * sizeof *args->lengths, false);
    on.y = move(args->y, f * span(n, args->y_row, t, args->y_step, h), true);
    on.h_last = move(args->h_last, f * span(n, args->h_last_row, 1, 0, h), true);
    on.c_last = move(args->c_last, f * span(n, args->c_last_row, 1, 0, h), true);
    int32_t *on_fault = move(&fault, sizeof fault, true);
    on.scratch = move(args->scratch, row->scratch_bytes(args->desc, n, t), false);
    finish(row->name, row->launch(device_open(), &on, on_fault, NULL));
    if (fault != 0)
        kcheck_fail("lengths are found to be wrong");
}

#define RNN_KIND(op, kind)                                                                         \
    static bool op##_supports_##kind(const struct apx_rnn_desc *desc)                              \
    {                                                                                              \
        return kind == LT ? apx_##op##_f32_lt_can(device_open(), desc)                             \
                          : op##_source[kind]->supports(device_open(), desc);                      \
    }                                                                                              \
    static size_t op##_packed_bytes_##kind(const struct apx_rnn_desc *desc)                        \
    {                                                                                              \
        return op##_source[kind]->packed_bytes(desc);                                              \
    }                                                                                              \
    static void op##_pack_##kind(const struct apx_rnn_desc *desc,                                  \
                                 const struct apx_rnn_weights *weights, void *packed)              \
    {                                                                                              \
        op##_source[kind]->pack(desc, weights, packed);                                            \
    }                                                                                              \
    static size_t op##_scratch_bytes_##kind(const struct apx_rnn_desc *desc, size_t rows)          \
    {                                                                                              \
        return op##_source[kind]->scratch_bytes(desc, rows, MOST_STEPS);                           \
    }                                                                                              \
    static void op##_run_##kind(const struct apx_rnn_args *args)                                   \
    {                                                                                              \
        rnn_run(op##_source[kind], args);                                                          \
    }
#define RNN_ENTRY(op, kind)                                                                        \
    (struct apx_rnn_row)                                                                           \
    {                                                                                              \
        .isa = "cuda", .types = types_of[kind], .name = op##_source[kind]->name,                   \
        .match = kind == LT ? APX_MATCH_ULP : APX_MATCH_EXACT, .supports = op##_supports_##kind,   \
        .packed_bytes = op##_packed_bytes_##kind, .pack = op##_pack_##kind,                        \
        .scratch_bytes = op##_scratch_bytes_##kind, .run = op##_run_##kind, .tile_rows = 1         \
    }
#define RNN(op)                                                                                    \
    RNN_KIND(op, FLOAT)                                                                            \
    RNN_KIND(op, INT8)                                                                             \
    RNN_KIND(op, LT)                                                                               \
    const struct apx_rnn_row *checked_##op##_rows(size_t *count);                                  \
    const struct apx_rnn_row *checked_##op##_rows(size_t *count)                                   \
    {                                                                                              \
        static struct apx_rnn_row rows[5];                                                         \
        size_t sources, plain;                                                                     \
        *count = sizeof rows / sizeof rows[0];                                                     \
        if (rows[0].name != NULL)                                                                  \
            return rows;                                                                           \
        const struct apx_cuda_rnn_row *source = apx_cuda_##op##_rows(&sources);                    \
        const struct apx_rnn_row *scalar = apx_##op##_rows(&plain);                                \
        for (size_t i = 0; i < sources; i++)                                                       \
            if (kind_of(source[i].name, source[i].precision) < KINDS)                              \
                op##_source[kind_of(source[i].name, source[i].precision)] = &source[i];            \
        rows[0] = RNN_ENTRY(op, FLOAT);                                                            \
        rows[1] = RNN_ENTRY(op, LT);                                                               \
        rows[3] = RNN_ENTRY(op, INT8);                                                             \
        for (size_t i = 0; i < plain; i++) { /* the last one of either is the scalar row */        \
            if (strcmp(scalar[i].types, types_of[INT8]) == 0)                                      \
                rows[4] = scalar[i];                                                               \
            else if (strcmp(scalar[i].types, types_of[FLOAT]) == 0)                                \
                rows[2] = scalar[i];                                                               \
        }                                                                                          \
        return rows;                                                                               \
    }
RNN(lstm)
RNN(gru)

/* ---- dense layers ---------------------------------------------------------------------------- */

static const struct apx_cuda_dense_row *dense_source[KINDS];

static size_t dense_scratch_bytes(const struct apx_dense_desc *desc, size_t count)
{
    (void)desc;
    (void)count;
    return 0;
}

static void dense_run(const struct apx_cuda_dense_row *row, const struct apx_dense_args *args)
{
    if (args->rows == 0)
        return;
    const struct apx_dense_desc *desc = args->desc;
    struct apx_dense_args on = *args;
    on.packed = move(args->packed, row->packed_bytes(desc), false);
    on.x = move(args->x, sizeof(float) * span(args->rows, args->x_row, 1, 0, desc->input), false);
    on.y = move(args->y, sizeof(float) * span(args->rows, args->y_row, 1, 0, desc->output), true);
    finish(row->name, row->launch(device_open(), &on, NULL));
}

/* Softplus goes through CUDA's library, which rounds otherwise than the processor's. */
#define DENSE_KIND(type)                                                                           \
    static bool dense_supports_##type(const struct apx_dense_desc *desc)                           \
    {                                                                                              \
        return desc->act.kind != APX_ACT_SOFTPLUS &&                                               \
               (type == LT ? apx_dense_f32_lt_can(device_open(), desc)                             \
                           : dense_source[type]->supports(device_open(), desc));                   \
    }                                                                                              \
    static size_t dense_packed_bytes_##type(const struct apx_dense_desc *desc)                     \
    {                                                                                              \
        return (dense_source[type]->packed_bytes(desc) + 63) / 64 * 64;                            \
    }                                                                                              \
    static void dense_pack_##type(const struct apx_dense_desc *desc,                               \
                                  const struct apx_dense_weights *weights, void *packed)           \
    {                                                                                              \
        dense_source[type]->pack(desc, weights, packed);                                           \
    }                                                                                              \
    static void dense_run_##type(const struct apx_dense_args *args)                                \
    {                                                                                              \
        dense_run(dense_source[type], args);                                                       \
    }
#define DENSE_ENTRY(type)                                                                          \
    (struct apx_dense_row)                                                                         \
    {                                                                                              \
        .isa = "cuda", .types = types_of[type], .name = dense_source[type]->name,                  \
        .match = type == LT ? APX_MATCH_ULP : APX_MATCH_EXACT, .supports = dense_supports_##type,  \
        .packed_bytes = dense_packed_bytes_##type, .pack = dense_pack_##type,                      \
        .scratch_bytes = dense_scratch_bytes, .run = dense_run_##type, .tile_rows = 1              \
    }

DENSE_KIND(FLOAT)
DENSE_KIND(INT8)
DENSE_KIND(LT)

const struct apx_dense_row *checked_dense_rows(size_t *count);

const struct apx_dense_row *checked_dense_rows(size_t *count)
{
    static struct apx_dense_row rows[5];
    size_t sources, plain;
    *count = sizeof rows / sizeof rows[0];
    if (rows[0].name != NULL)
        return rows;
    const struct apx_cuda_dense_row *source = apx_cuda_dense_rows(&sources);
    const struct apx_dense_row *scalar = apx_dense_rows(&plain);
    for (size_t i = 0; i < sources; i++)
        dense_source[kind_of(source[i].name, source[i].precision)] = &source[i];
    rows[0] = DENSE_ENTRY(FLOAT);
    rows[1] = DENSE_ENTRY(LT);
    rows[3] = DENSE_ENTRY(INT8);
    for (size_t i = 0; i < plain; i++) /* the last one of either is the scalar row */
        rows[strcmp(scalar[i].types, types_of[INT8]) == 0 ? 4 : 2] = scalar[i];
    return rows;
}

/* ---- forests --------------------------------------------------------------------------------- */

static const struct apx_cuda_forest_row *forest_source;
static const struct apx_forest_row *forest_scalar;
static bool is_refused; /* the forest packed last: the scalar row stands in */

static size_t forest_pack_bound(const struct apx_forest_desc *desc)
{
    const size_t bound = forest_source->pack_bound(desc), scalar = forest_scalar->pack_bound(desc);
    return bound > scalar ? bound : scalar;
}

static size_t forest_pack(const struct apx_forest_desc *desc, void *memory)
{
    is_refused = !forest_source->supports(device_open(), desc);
    return is_refused ? forest_scalar->pack(desc, memory) : forest_source->pack(desc, memory);
}

static size_t forest_scratch_bytes(const void *packed)
{
    return is_refused ? forest_scalar->scratch_bytes(packed) : 0;
}

static void forest_run(const struct apx_forest_args *args)
{
    if (is_refused)
        forest_scalar->run(args);
    if (is_refused || args->rows == 0)
        return;
    struct cuda_forest header;
    memcpy(&header, args->packed, sizeof header);
    struct apx_forest_args on = *args;
    const size_t rows = args->rows, sum = header.sums_double ? sizeof(double) : sizeof(float);
    on.packed = move(args->packed, header.bytes, false);
    on.x = move(args->x,
                (args->x_is_double ? sizeof(double) : sizeof(float)) *
                    span(rows, args->x_row, 1, 0, header.features),
                false);
    on.margins = move(args->margins, rows * header.outputs * sum, true);
    on.leaves = move(args->leaves, rows * header.trees * sizeof(uint32_t), true);
    on.scratch = device_alloc(forest_source->scratch_bytes(args->packed, rows));
    finish(forest_source->name, forest_source->launch(device_open(), args->packed, &on, NULL));
    device_free(on.scratch);
}

static void forest_describe(const void *packed, struct apx_forest_choice *choice)
{
    choice->schedule = "device";
    choice->bytes = 1;
    choice->seconds_per_row = is_refused ? 0.0 : forest_source->seconds(device_open(), packed, 1);
}

const struct apx_forest_row *checked_forest_rows(size_t *count);

const struct apx_forest_row *checked_forest_rows(size_t *count)
{
    static struct apx_forest_row rows[2];
    size_t sources, scalar;
    *count = 2;
    if (rows[0].name != NULL)
        return rows;
    forest_source = apx_cuda_forest_rows(&sources);
    const struct apx_forest_row *plain = apx_forest_rows(&scalar);
    rows[1] = plain[scalar - 1];
    forest_scalar = &rows[1];
    rows[0] = (struct apx_forest_row){.isa = "cuda",
                                      .name = forest_source->name,
                                      .match = APX_MATCH_EXACT,
                                      .pack_bound = forest_pack_bound,
                                      .pack = forest_pack,
                                      .scratch_bytes = forest_scratch_bytes,
                                      .run = forest_run,
                                      .describe = forest_describe,
                                      .tile_rows = 1};
    return rows;
}
