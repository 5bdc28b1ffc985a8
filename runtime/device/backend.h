/* SPDX-License-Identifier: Apache-2.0 */
/* backend.h - what a processor must be able to do for us: compile a graph, run rows, describe
 * itself.
 *
 * The CPU backend is built in; others come as plug-ins. A program is immutable and shared; a lane
 * is what one worker needs to run it (arena, stream, pinned buffers) and is used by one thread at a
 * time. The session above cuts a batch into slices of rows and hands each slice to a lane; a
 * backend never sees threads and workers never see each other.
 *
 * slice_rows tells how a backend likes to be fed: a CPU asks for what fits its caches, a GPU for
 * everything. */
#ifndef APX_DEVICE_BACKEND_H
#define APX_DEVICE_BACKEND_H

#include "runtime/auspex.h"
#include "runtime/model/graph.h"

struct apx_topo;        /* runtime/topo/topo.h */
struct apx_cuda_driver; /* kernels/cuda/cuda_driver.h */
struct apx_program;
struct apx_lane;

struct apx_compile_options {
    const struct apx_allocator *allocator;
    const char *isa;       /* cap, or NULL */
    const char *precision; /* "fp32", "fp16-weights", "int8": then the graph's layers are int8
                              already, or "fp16": CUDA devices alone */
    size_t l2_bytes;       /* of one core; 0: unknown */
    const struct apx_topo
        *topo; /* the machine, to have weights on each NUMA node; NULL: one copy */
    const struct apx_cuda_driver *cuda; /* NULL: the plug-in's */
    /* For "auto", to find what was measured of this model: its file as it was read, NULL: do not
     * look; and the folder, NULL: the user's (runtime/device/crossover.h). */
    const void *file;
    size_t file_bytes;
    const char *cache;
};

/* One call's slice. Tensors are the whole batch's; a lane touches rows [row, row + rows) of each
 * tensor that has a row axis, and all of the others. For a program whose rows are not independent
 * the slice is always the whole batch. symbols holds every free extent, the row symbol at the
 * batch's value. */
struct apx_slice {
    const struct apx_tensor *inputs; /* [graph->input_count], validated */
    struct apx_tensor *outputs;      /* [graph->output_count], data NULL: not wanted */
    int64_t row, rows;
    const int64_t *symbols; /* [APX_MAX_SYMBOLS] */
};

/* Estimates, from the plan alone. */
struct apx_row_cost {
    double flops;
    double seconds; /* on one lane */
    double bytes;   /* of lane memory touched */
    /* Where a GPU may be chosen: a call takes gpu_call_seconds (infinite: none may) and gpu_seconds
     * a row. */
    double gpu_call_seconds, gpu_seconds;
    int threads;           /* of the session; row_cost says as many as one has by itself */
    int64_t gpu_steps;     /* all free extents but the rows; 0: there are none, -1: they differ */
    int64_t gpu_most_rows; /* of a slice: its memory has no room for more; 0: not for one row */
};

struct apx_backend {
    const char *name; /* "cpu", "cuda" */
    /* The graph is inferred and outlives the program. A graph holding a node the backend cannot run
     * gives APX_EUNSUPPORTED with the node in error->field. *out is NULL on failure. */
    enum apx_status (*compile)(const struct apx_graph *graph,
                               const struct apx_compile_options *options, struct apx_program **out,
                               struct apx_error *error);
    void (*program_destroy)(struct apx_program *program); /* accepts NULL */
    /* Symbol that counts rows and may be sliced; -1 if the rows are not independent. */
    int (*row_symbol)(const struct apx_program *program);
    /* What one row costs with these free extents (the row symbol's value does not matter). */
    void (*row_cost)(const struct apx_program *program, const int64_t *symbols,
                     struct apx_row_cost *out);
    /* Rows of the slices to cut a batch of `rows` > 0 into for `workers` lanes. */
    int64_t (*slice_rows)(const struct apx_program *program, const struct apx_row_cost *cost,
                          int64_t rows, int workers);
    /* True if input `input`, float64 by its type, may come as float32 and counts as widened. NULL:
     * none may. */
    bool (*widens)(const struct apx_program *program, int input);
    /* What was passed over in compiling, one line, or NULL; the program's. NULL: never anything. */
    const char *(*notice)(const struct apx_program *program);
    /* Appends the program's description as members of a JSON object (jansson's json_t). */
    enum apx_status (*describe)(const struct apx_program *program, void *json_object);
    enum apx_status (*lane_create)(const struct apx_program *program, struct apx_lane **out,
                                   struct apx_error *error);
    void (*lane_destroy)(struct apx_lane *lane); /* accepts NULL */
    /* The lane is one of `workers` of a session; NULL: that is nothing to it. */
    void (*lane_share)(struct apx_lane *lane, int workers);
    /* Make room for slices of up to `rows` rows with these free extents: run allocates nothing for
     * them after. */
    enum apx_status (*lane_reserve)(struct apx_lane *lane, const int64_t *symbols, int64_t rows,
                                    struct apx_error *error);
    /* Makes room where reserve has not. `error` is filled on failure and only then. */
    enum apx_status (*run)(struct apx_lane *lane, const struct apx_slice *slice,
                           struct apx_error *error);
};

extern const struct apx_backend apx_backend_cpu, apx_backend_cuda;

/* The backend for "auto", "cpu" or "cuda" (NULL: "auto", which is the CPU's where there is no GPU).
 *   APX_EINVAL: another word; APX_EDEVICE: "cuda", and there is no plug-in, driver or device */
enum apx_status apx_backend_find(const char *device, const struct apx_backend **out,
                                 struct apx_error *error);

#endif
