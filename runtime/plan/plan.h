/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - the CPU backend's program: slots (storage), steps (what runs), packed weights.
 *
 * A program is made once from a graph (apx_plan_create) and never changes. What depends on a call's
 * extents is bound by a lane (runtime/device/cpu_lane.c): every view becomes numbers, every step
 * gets its argument block, every slot its place in the arena. A run then walks the steps. */
#ifndef APX_PLAN_PLAN_H
#define APX_PLAN_PLAN_H

#include "runtime/device/backend.h"
#include "runtime/plan/blocks.h"
#include "runtime/plan/view.h"

enum apx_slot_kind {
    APX_SLOT_ARENA,    /* in the lane's arena while it is needed */
    APX_SLOT_INPUT,    /* the caller's tensor, read in place */
    APX_SLOT_OUTPUT,   /* the caller's tensor, written in place */
    APX_SLOT_CONSTANT, /* in the graph or in the plan */
};

struct apx_slot {
    enum apx_slot_kind kind;
    enum apx_dtype dtype;
    int index;               /* INPUT, OUTPUT: which */
    const void *data;        /* CONSTANT */
    struct apx_dim elements; /* ARENA, OUTPUT */
    int first, last;         /* steps between which it is in use; first > last: never */
};

/* One step's view of the lane while it runs. slot[i] is the base of slot i; NULL for an output
 * that the caller does not want. */
struct apx_frame {
    char **slot;
    bool *is_narrow;           /* slot i is a float64 input for which the caller gave float32 */
    const void *const *packed; /* [step_count] weights of each step, near to this thread */
    void *scratch;             /* 64-byte aligned, as many bytes as the step's class asked for */
    const char *fault;         /* set by a step whose data break a rule: one line; ends the run */
};

/* Where an operand starts. */
struct apx_ref {
    int slot; /* -1: not there */
    ptrdiff_t bytes;
};

static inline void *apx_at(const struct apx_frame *frame, struct apx_ref ref)
{
    char *base = ref.slot < 0 ? NULL : frame->slot[ref.slot];
    return base == NULL ? NULL : base + ref.bytes;
}

struct apx_step;
struct apx_step_cuda; /* runtime/plan/step_cuda.h */

/* What a kind of step can do. in and out hold the step's operands as numbers, in order; operands
 * that are not there have rank -1. */
struct apx_step_class {
    const char *name;
    size_t args_bytes;
    /* May write its outputs through any strides (others write them densely). */
    bool writes_strided;
    /* Its operands' offsets are the data themselves. */
    bool reads_extents;
    /* Reads float32 where frame->is_narrow says so. */
    bool reads_narrow;
    /* Fill args for these extents. Pure. */
    void (*bind)(const struct apx_step *step, const struct apx_bound *in,
                 const struct apx_bound *out, void *args);
    /* Bytes of scratch; NULL: none. Does not fall when extents grow. */
    size_t (*scratch)(const struct apx_step *step, const struct apx_bound *in,
                      const struct apx_bound *out);
    void (*run)(const struct apx_step *step, const void *args, struct apx_frame *frame);
    /* Floating point operations; NULL: one for each element of the first output. */
    double (*flops)(const struct apx_step *step, const struct apx_bound *in,
                    const struct apx_bound *out);
    /* Time on one core, for steps of which flops do not tell it; NULL: flops do. */
    double (*seconds)(const struct apx_step *step, const struct apx_bound *in,
                      const struct apx_bound *out);
    /* Packed weights; NULL: none. */
    size_t (*packed_bytes)(const struct apx_step *step);
    void (*pack)(const struct apx_step *step, void *packed);
    /* The same for a class that knows the size only when it has packed: *packed of *bytes from the
     * allocator, which the program then owns. APX_ENOMEM. */
    enum apx_status (*build)(struct apx_step *step, const struct apx_allocator *allocator,
                             void **packed, size_t *bytes);
    const struct apx_step_cuda *cuda; /* how a GPU runs it; NULL: it cannot */
};

struct apx_step {
    const struct apx_step_class *type;
    int node; /* of the graph */
    int in_count, out_count;
    struct apx_view **in, **out; /* NULL: left out */
    void *params;                /* the class's own */
    int index;                   /* of the program's live steps */
    const void *packed;          /* weights in the kernel row's layout, NULL if none; a run reads
                                    them through apx_packed */
    size_t args_offset;          /* into a binding's argument block */
    size_t built_bytes;          /* of packed, if the class has built it */
    int built_index;             /* then: among the program's built */
    const char *kernel, *isa;    /* of the kernel row, for reports */
    const char *schedule;        /* how it goes about its work, for reports; NULL: one way only */
    const char *precision;       /* of its products, for reports; NULL: fp32 */
    size_t tile_rows;            /* rows that its kernel likes to take together; 0: any */
    bool is_dead;
};

struct apx_program {
    const struct apx_allocator *allocator;
    const struct apx_graph *graph;
    uint32_t caps;
    bool is_for_device;       /* what the host does with a device's results has steps of its own */
    bool half_weights;        /* asked for */
    struct apx_blocks blocks; /* slots, steps, views, params */
    struct apx_slot *slots;
    int slot_count, slot_capacity;
    struct apx_step **steps;
    int step_count, step_capacity;
    int row_symbol;         /* -1: the rows are not independent */
    int batch_symbol;       /* holds the rows of the whole batch; -1 with row_symbol */
    int *input_row_axis;    /* [graph->input_count] -1: none */
    int *output_row_axis;   /* [graph->output_count] */
    bool *input_widens;     /* [graph->input_count] float64 inputs that may come as float32 */
    bool has_lengths;       /* rows may end at lengths of their own: not all take as long */
    bool uses_batch_symbol; /* some stride depends on the rows of the whole batch */
    void *packed;           /* weights of the steps that pack */
    void **built;           /* [built_count] of those that build */
    int built_count;
    size_t built_bytes;
    size_t packed_bytes;          /* of both */
    struct apx_replica *replicas; /* [replica_count] of the weights, one for each NUMA node */
    int replica_count;
    int *replica_of_cpu; /* [cpu_count]; none with a single replica */
    int cpu_count;
    size_t args_bytes; /* of all steps */
    int max_operands;  /* of one step */
    size_t tile_rows;  /* largest of the steps', at least 1 */
    size_t l2_bytes;   /* 0: unknown */
};

static inline const void *apx_packed(const struct apx_frame *frame, const struct apx_step *step)
{
    return frame->packed[step->index];
}

/* *out is NULL on failure. The graph outlives the program.
 *   APX_EUNSUPPORTED (field: the node), APX_EINVAL (isa, precision), APX_ENOMEM */
enum apx_status apx_plan_lower(const struct apx_graph *graph,
                               const struct apx_compile_options *options, bool is_for_device,
                               struct apx_program **out, struct apx_error *error);
/* The same with weights packed for the CPU: what a lane of the CPU runs. */
enum apx_status apx_plan_create(const struct apx_graph *graph,
                                const struct apx_compile_options *options, struct apx_program **out,
                                struct apx_error *error);
void apx_plan_destroy(struct apx_program *program); /* accepts NULL */

/* Offsets in one arena for slots that are alive at overlapping times. bytes[slot]; offset[slot] is
 * set for every slot with bytes > 0; order[slot_count] is work space. Returns the arena's bytes. */
size_t apx_arena_layout(const struct apx_program *program, const size_t *bytes, size_t *offset,
                        int *order);

#endif
