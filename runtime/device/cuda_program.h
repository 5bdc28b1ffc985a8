/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_program.h - a plan on a GPU: which steps run there, their weights, where each slot lives.
 *
 * Steps for which the device has a row run there, in order. What follows them and has none (links
 * of tree ensembles, labels) runs on the host, on a whole slice at once; a step that needs the
 * device behind one that it lacks makes the graph unsupported. */
#ifndef APX_DEVICE_CUDA_PROGRAM_H
#define APX_DEVICE_CUDA_PROGRAM_H

#include "runtime/device/cuda_open.h"
#include "runtime/plan/step_cuda.h"

enum apx_cuda_home {
    APX_CUDA_NOWHERE,  /* no step touches it */
    APX_CUDA_IN,       /* of the block that is copied to the device */
    APX_CUDA_OUT,      /* of the block that is copied back */
    APX_CUDA_ARENA,    /* on the device only */
    APX_CUDA_HOST,     /* on the host only */
    APX_CUDA_RESULT,   /* the same, for the caller: until the end of the call */
    APX_CUDA_CONSTANT, /* the same for all calls */
};

struct apx_cuda_step {
    bool is_on_host;
    struct apx_cuda_choice choice;
    void *header;         /* the start of the weights, NULL: not wanted */
    size_t offset, bytes; /* of the weights among all */
    int stack;            /* it and the steps behind it that one launch may take: at least 1 */
    bool is_between;      /* then what it hands to the next is read by nobody else */
};

struct apx_cuda_program {
    const struct apx_allocator *allocator;
    struct apx_program *plan;
    struct apx_cuda_machine machine;
    struct apx_cuda_place place; /* of the machine's first device, like which the others are */
    struct apx_cuda_step *steps; /* [plan->step_count] */
    enum apx_cuda_home *home;    /* [plan->slot_count] */
    size_t *constant;            /* [plan->slot_count] of CONSTANT ones: offset among the weights */
    size_t weights_bytes;
    void *weights[APX_CUDA_DEVICES];
    /* Whole numbers, one a row, that say how many steps recurrent layers take with it; -1: none. */
    int lengths_input;
};

/* What a call would take, from the plan alone. */
struct apx_cuda_cost {
    double seconds; /* from the caller's tensors to the caller's tensors */
    double flops, in_bytes, out_bytes;
    double device_bytes; /* of an engine's memory: all slots and the scratch */
};

/* driver NULL: the plug-in's. *out is NULL on failure.
 *   APX_EDEVICE, APX_EUNSUPPORTED (field: the node), APX_EINVAL (isa, precision), APX_ENOMEM */
enum apx_status apx_cuda_program_create(const struct apx_graph *graph,
                                        const struct apx_compile_options *options,
                                        struct apx_cuda_program **out, struct apx_error *error);
void apx_cuda_program_destroy(struct apx_cuda_program *program); /* accepts NULL */

/* Rows that a slice of `rows` rows is filled up to: the next number with three significant bits. */
int64_t apx_cuda_bucket(int64_t rows);

/* Symbols as steps see them for a batch of `rows` rows that is a whole of its own. */
void apx_cuda_symbols(const struct apx_cuda_program *program, const int64_t *symbols, int64_t rows,
                      int64_t *out);
/* Bytes of a slot for these symbols; false if there is no such size. */
bool apx_cuda_slot_bytes(const struct apx_slot *slot, const int64_t *symbols, size_t *bytes);

/* A kernel inside a graph, beside its work: nominal, until it is measured on the machine at hand.
 */
#define APX_CUDA_STEP_SECONDS 2.5e-6
/* Of step s by itself, for symbols as steps see them; infinite for extents that the plan does not
 * allow. */
double apx_cuda_step_seconds(const struct apx_cuda_program *program, int s, const int64_t *symbols);

/* All zero but for seconds, which is infinite, for extents that the plan does not allow. */
void apx_cuda_measure(const struct apx_cuda_program *program, const int64_t *symbols, int64_t rows,
                      struct apx_cuda_cost *out);
/* Time of the device's recurrent steps that take lengths, if all rows take all steps, of which the
 * longest has *steps. All 0 for extents that the plan does not allow. */
double apx_cuda_recurrent_seconds(const struct apx_cuda_program *program, const int64_t *symbols,
                                  int64_t rows, int64_t *steps);
/* Operations of step s for one row; 0 for extents that the plan does not allow. */
double apx_cuda_step_flops(const struct apx_cuda_program *program, int s, const int64_t *symbols);

#endif
