/* SPDX-License-Identifier: Apache-2.0 */
/* emulated_rows.c - the CUDA rows as rows of the processor's tables, for the kernel checker.
 *
 * Each row stands there once for every machine below. Machines differ in what makes a launch be cut
 * differently: clusters or none, room for all weights or for few, many multiprocessors (small
 * tiles) or one (large ones). The emulator holds kernels to the machine's limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/rnn_f32_layout.h"
#include "kernels/cuda/rnn_mma.h"
#include "tests/harness/kcheck.h"

extern size_t emulated_shared_limit;
extern unsigned emulated_cluster_limit;

static const struct apx_cuda_device machines[] = {
    {.major = 9,
     .minor = 0,
     .multiprocessors = 132,
     .shared_bytes = 227 * 1024,
     .clock = 1.8e9,
     .memory_rate = 4.8e12,
     .name = "132 multiprocessors"},
    {.major = 9,
     .minor = 0,
     .multiprocessors = 1,
     .shared_bytes = 227 * 1024,
     .clock = 1.8e9,
     .memory_rate = 4.8e12,
     .name = "one multiprocessor"},
    {.major = 9,
     .minor = 0,
     .multiprocessors = 132,
     .shared_bytes = 12 * 1024,
     .clock = 1.8e9,
     .memory_rate = 4.8e12,
     .name = "clusters and little shared memory"},
    {.major = 8,
     .minor = 0,
     .multiprocessors = 4,
     .shared_bytes = 163 * 1024,
     .clock = 1.4e9,
     .memory_rate = 2.0e12,
     .name = "no clusters"},
    {.major = 8,
     .minor = 0,
     .multiprocessors = 2,
     .shared_bytes = 16 * 1024,
     .clock = 1.4e9,
     .memory_rate = 2.0e12,
     .name = "no clusters and little shared memory"},
    {.major = 9,
     .minor = 0,
     .multiprocessors = 132,
     .shared_bytes = 32 * 1024,
     .clock = 1.8e9,
     .memory_rate = 4.8e12,
     .name = "cut at random"},
};
enum { RANDOM_CUTS = 5 }; /* the machine whose launches are cut anyhow */
enum { MACHINES = sizeof machines / sizeof machines[0], MOST_ROWS = 8 };

static const struct apx_cuda_device *enter(size_t machine)
{
    emulated_shared_limit = machines[machine].shared_bytes;
    emulated_cluster_limit = machines[machine].major >= 9 ? 8 : 1;
    return &machines[machine];
}

static const char *label(const char *row, size_t machine)
{
    static char names[4 * MOST_ROWS * MACHINES][96];
    static size_t used;
    char *name = names[used++];
    snprintf(name, sizeof names[0], "%s (%s)", row, machines[machine].name);
    return name;
}

/* ---- recurrent layers ------------------------------------------------------------------------ */

/* Functions of kernels.h carry no row and no machine, so each pair has functions of its own: the
 * float row is number 0, the int8 row number 1, cuBLASLt's, with bits of its own and here for
 * layers of any size, number 2. */
enum { FLOAT, INT8, LT, KINDS };
enum { MOST_STEPS = 25 }; /* of the checker's problems */
static const struct apx_cuda_rnn_row *lstm_source[KINDS], *gru_source[KINDS];
static const char *const types_of[KINDS] = {"f32", "s8", "f32"};

/* Any cut that the layer permits. */
static int launch_int8_anyhow(const struct apx_cuda_device *device, bool is_lstm,
                              const struct apx_rnn_args *args, int32_t *fault)
{
    static struct rng rng = {6};
    struct rnn_mma_cut cut;
    do {
        cut = (struct rnn_mma_cut){.cluster = 1u << rng_below(&rng, 4),
                                   .tiles = 1u << rng_below(&rng, 3)};
    } while (!apx_rnn_mma_cut_complete(device, args->desc, is_lstm ? 4 : 3, &cut));
    return is_lstm ? apx_lstm_s8_cuda_launch(&cut, args, fault, NULL)
                   : apx_gru_s8_cuda_launch(&cut, args, fault, NULL);
}

static int launch_anyhow(const struct apx_cuda_device *device, bool is_lstm,
                         const struct apx_rnn_args *args, int32_t *fault)
{
    static struct rng rng = {5};
    if (args->desc->int8.levels > 0)
        return launch_int8_anyhow(device, is_lstm, args, fault);
    struct rnn_f32_cut cut;
    const unsigned gates = is_lstm ? 4 : 3;
    const bool reset_before = !is_lstm && !args->desc->reset_after;
    do {
        cut = (struct rnn_f32_cut){.cluster = 1u << rng_below(&rng, 4),
                                   .tile = 1u << rng_below(&rng, 4),
                                   .groups = 1u << rng_below(&rng, 3)};
    } while (!apx_rnn_f32_cut_complete(device, args->desc, gates, reset_before, &cut));
    return is_lstm ? apx_lstm_f32_cuda_launch(&cut, args, fault, NULL)
                   : apx_gru_f32_cuda_launch(&cut, args, fault, NULL);
}

static void rnn_run(const struct apx_cuda_rnn_row *row, size_t machine,
                    const struct apx_rnn_args *args)
{
    int32_t fault = 0;
    if (args->rows == 0)
        return;
    const struct apx_cuda_device *device = enter(machine);
    const int code = machine == RANDOM_CUTS && strstr(row->name, "_lt") == NULL
                         ? launch_anyhow(device, strstr(row->name, "lstm") != NULL, args, &fault)
                         : row->launch(device, args, &fault, NULL);
    if (code != 0)
        kcheck_fail("launch gives %d", code);
    if (fault != 0)
        kcheck_fail("lengths are found to be wrong");
}

#define RNN_ROW(op, index, machine)                                                                \
    static bool op##_supports_##index##_##machine(const struct apx_rnn_desc *desc)                 \
    {                                                                                              \
        return index == LT ? apx_##op##_f32_lt_can(enter(machine), desc)                           \
                           : op##_source[index]->supports(enter(machine), desc);                   \
    }                                                                                              \
    static size_t op##_packed_bytes_##index##_##machine(const struct apx_rnn_desc *desc)           \
    {                                                                                              \
        return op##_source[index]->packed_bytes(desc);                                             \
    }                                                                                              \
    static void op##_pack_##index##_##machine(const struct apx_rnn_desc *desc,                     \
                                              const struct apx_rnn_weights *weights, void *packed) \
    {                                                                                              \
        op##_source[index]->pack(desc, weights, packed);                                           \
    }                                                                                              \
    static size_t op##_scratch_bytes_##index##_##machine(const struct apx_rnn_desc *desc,          \
                                                         size_t rows)                              \
    {                                                                                              \
        return op##_source[index]->scratch_bytes(desc, rows, MOST_STEPS);                          \
    }                                                                                              \
    static void op##_run_##index##_##machine(const struct apx_rnn_args *args)                      \
    {                                                                                              \
        rnn_run(op##_source[index], machine, args);                                                \
    }
#define RNN_ENTRY(op, index, machine)                                                              \
    (struct apx_rnn_row)                                                                           \
    {                                                                                              \
        .isa = "cuda", .types = types_of[index], .name = label(op##_source[index]->name, machine), \
        .match = index == LT ? APX_MATCH_ULP : APX_MATCH_EXACT,                                    \
        .supports = op##_supports_##index##_##machine,                                             \
        .packed_bytes = op##_packed_bytes_##index##_##machine,                                     \
        .pack = op##_pack_##index##_##machine,                                                     \
        .scratch_bytes = op##_scratch_bytes_##index##_##machine,                                   \
        .run = op##_run_##index##_##machine, .tile_rows = 1                                        \
    }
#define RNN_MACHINES(use, op, index)                                                               \
    use(op, index, 0) use(op, index, 1) use(op, index, 2) use(op, index, 3) use(op, index, 4)      \
        use(op, index, 5)

RNN_MACHINES(RNN_ROW, lstm, FLOAT)
RNN_MACHINES(RNN_ROW, lstm, INT8)
RNN_MACHINES(RNN_ROW, gru, FLOAT)
RNN_MACHINES(RNN_ROW, gru, INT8)
/* Launches of cuBLASLt's rows are cut by nothing of the machine. */
RNN_ROW(lstm, LT, 0)
RNN_ROW(gru, LT, 0)

static const struct apx_cuda_rnn_row *find_source(const struct apx_cuda_rnn_row *rows, size_t count,
                                                  size_t kind)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].precision, kind == INT8 ? "int8" : "fp32") == 0 &&
            (strstr(rows[i].name, "_lt") != NULL) == (kind == LT))
            return &rows[i];
    fprintf(stderr, "no row of kind %zu\n", kind);
    exit(2);
}

static struct apx_rnn_row find_scalar(const struct apx_rnn_row *rows, size_t count,
                                      const char *types)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].types, types) == 0 && strcmp(rows[i].isa, "scalar") == 0)
            return rows[i];
    fprintf(stderr, "no scalar row of type %s\n", types);
    exit(2);
}

#define RNN_PUT(op, index, machine)                                                                \
    rows[1 + (index) * (MACHINES + 1) + (machine)] = RNN_ENTRY(op, index, machine);
#define RNN_TABLE(op)                                                                              \
    const struct apx_rnn_row *checked_##op##_rows(size_t *count);                                  \
    const struct apx_rnn_row *checked_##op##_rows(size_t *count)                                   \
    {                                                                                              \
        static struct apx_rnn_row rows[1 + LT * (MACHINES + 1)];                                   \
        *count = sizeof rows / sizeof rows[0];                                                     \
        if (rows[0].name != NULL)                                                                  \
            return rows;                                                                           \
        size_t sources, plain;                                                                     \
        const struct apx_cuda_rnn_row *source = apx_cuda_##op##_rows(&sources);                    \
        const struct apx_rnn_row *scalar = apx_##op##_rows(&plain);                                \
        for (size_t kind = 0; kind < KINDS; kind++)                                                \
            op##_source[kind] = find_source(source, sources, kind);                                \
        rows[0] = RNN_ENTRY(op, LT, 0); /* a scalar row ends those of its type */                  \
        RNN_MACHINES(RNN_PUT, op, FLOAT)                                                           \
        RNN_MACHINES(RNN_PUT, op, INT8)                                                            \
        for (size_t kind = 0; kind < LT; kind++)                                                   \
            rows[1 + kind * (MACHINES + 1) + MACHINES] =                                           \
                find_scalar(scalar, plain, types_of[kind]);                                        \
        return rows;                                                                               \
    }
RNN_TABLE(lstm)
RNN_TABLE(gru)

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
    is_refused = !forest_source->supports(&machines[0], desc);
    if (is_refused && (desc->linear == NULL || desc->sum == APX_FOREST_SUM || desc->sums_double))
        kcheck_fail("the forest is refused");
    if (is_refused)
        return forest_scalar->pack(desc, memory);
    return forest_source->pack(desc, memory);
}

/* A launch's scratch depends on its rows, so it is not the caller's. */
static size_t forest_scratch_bytes(const void *packed)
{
    return is_refused ? forest_scalar->scratch_bytes(packed) : 0;
}

static void forest_run(size_t machine, const struct apx_forest_args *args)
{
    if (is_refused)
        forest_scalar->run(args);
    if (is_refused || args->rows == 0)
        return;
    struct apx_forest_args launched = *args;
    launched.scratch = kcheck_alloc(forest_source->scratch_bytes(args->packed, args->rows));
    const int code = forest_source->launch(enter(machine), args->packed, &launched, NULL);
    if (code != 0)
        kcheck_fail("launch gives %d", code);
    free(launched.scratch);
}

static void forest_describe(const void *packed, struct apx_forest_choice *choice)
{
    choice->schedule = "emulated";
    choice->bytes = 1;
    choice->seconds_per_row = is_refused ? 0.0 : forest_source->seconds(&machines[0], packed, 1);
}

#define FOREST_RUN(machine)                                                                        \
    static void forest_run_##machine(const struct apx_forest_args *args)                           \
    {                                                                                              \
        forest_run(machine, args);                                                                 \
    }
FOREST_RUN(0)
FOREST_RUN(1)
FOREST_RUN(2)
FOREST_RUN(3)
FOREST_RUN(4)

const struct apx_forest_row *checked_forest_rows(size_t *count);

const struct apx_forest_row *checked_forest_rows(size_t *count)
{
    static void (*const run[])(const struct apx_forest_args *) = {
        forest_run_0, forest_run_1, forest_run_2, forest_run_3, forest_run_4};
    enum { RUNS = sizeof run / sizeof run[0] };
    static struct apx_forest_row rows[RUNS + 1];
    *count = RUNS + 1;
    if (rows[0].name != NULL)
        return rows;
    size_t sources, scalar;
    forest_source = apx_cuda_forest_rows(&sources);
    const struct apx_forest_row *plain = apx_forest_rows(&scalar);
    for (size_t i = 0; i < RUNS; i++)
        rows[i] = (struct apx_forest_row){.isa = "cuda",
                                          .name = label(forest_source->name, i),
                                          .match = APX_MATCH_EXACT,
                                          .pack_bound = forest_pack_bound,
                                          .pack = forest_pack,
                                          .scratch_bytes = forest_scratch_bytes,
                                          .run = run[i],
                                          .describe = forest_describe,
                                          .tile_rows = 1};
    rows[RUNS] = plain[scalar - 1];
    forest_scalar = &rows[RUNS];
    return rows;
}

/* ---- dense layers ---------------------------------------------------------------------------- */

static const struct apx_cuda_dense_row *dense_source[KINDS];

static void dense_run(size_t kind, size_t machine, const struct apx_dense_args *args)
{
    const int code = args->rows == 0 ? 0 : dense_source[kind]->launch(enter(machine), args, NULL);
    if (code != 0)
        kcheck_fail("launch gives %d", code);
}

static size_t dense_scratch_bytes(const struct apx_dense_desc *desc, size_t count)
{
    (void)desc;
    (void)count;
    return 0;
}

#define DENSE_KIND(kind)                                                                           \
    static bool dense_supports_##kind(const struct apx_dense_desc *desc)                           \
    {                                                                                              \
        return kind == LT ? apx_dense_f32_lt_can(&machines[0], desc)                               \
                          : dense_source[kind]->supports(&machines[0], desc);                      \
    }                                                                                              \
    static size_t dense_packed_bytes_##kind(const struct apx_dense_desc *desc)                     \
    {                                                                                              \
        return (dense_source[kind]->packed_bytes(desc) + 63) / 64 *                                \
               64; /* aligned at its end too */                                                    \
    }                                                                                              \
    static void dense_pack_##kind(const struct apx_dense_desc *desc,                               \
                                  const struct apx_dense_weights *weights, void *packed)           \
    {                                                                                              \
        dense_source[kind]->pack(desc, weights, packed);                                           \
    }                                                                                              \
    static void dense_run_##kind##_0(const struct apx_dense_args *args)                            \
    {                                                                                              \
        dense_run(kind, 0, args);                                                                  \
    }                                                                                              \
    static void dense_run_##kind##_1(const struct apx_dense_args *args)                            \
    {                                                                                              \
        dense_run(kind, 1, args);                                                                  \
    }
#define DENSE_ENTRY(kind, machine)                                                                 \
    (struct apx_dense_row)                                                                         \
    {                                                                                              \
        .isa = "cuda", .types = types_of[kind], .name = label(dense_source[kind]->name, machine),  \
        .match = kind == LT ? APX_MATCH_ULP : APX_MATCH_EXACT, .supports = dense_supports_##kind,  \
        .packed_bytes = dense_packed_bytes_##kind, .pack = dense_pack_##kind,                      \
        .scratch_bytes = dense_scratch_bytes, .run = dense_run_##kind##_##machine, .tile_rows = 1  \
    }

DENSE_KIND(FLOAT)
DENSE_KIND(INT8)
DENSE_KIND(LT)

const struct apx_dense_row *checked_dense_rows(size_t *count);

const struct apx_dense_row *checked_dense_rows(size_t *count)
{
    static struct apx_dense_row rows[8];
    *count = sizeof rows / sizeof rows[0];
    if (rows[0].name != NULL)
        return rows;
    size_t sources, plain, put = 0;
    const struct apx_cuda_dense_row *source = apx_cuda_dense_rows(&sources);
    for (size_t i = 0; i < sources; i++)
        dense_source[strstr(source[i].name, "_lt") != NULL      ? LT
                     : strcmp(source[i].precision, "int8") == 0 ? INT8
                                                                : FLOAT] = &source[i];
    rows[put++] = DENSE_ENTRY(FLOAT, 0);
    rows[put++] = DENSE_ENTRY(FLOAT, 1);
    rows[put++] = DENSE_ENTRY(LT, 0);
    rows[put++] = DENSE_ENTRY(LT, 1);
    rows[put++] = DENSE_ENTRY(INT8, 0);
    rows[put++] = DENSE_ENTRY(INT8, 1);
    const struct apx_dense_row *scalar = apx_dense_rows(&plain);
    for (size_t i = 0; i < plain; i++)
        if (strcmp(scalar[i].isa, "scalar") == 0 && put < *count)
            rows[put++] = scalar[i];
    return rows;
}
