/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_lane.c - running a program on one thread.
 *
 * A binding is the program with numbers: every step's argument block and every slot's place in the
 * arena, for one set of extents. A lane keeps a few (full slices, the rest of a batch, the call
 * before), so that steady calls bind nothing.
 *
 * Nothing is allocated outside of create and reserve, and reserve allocates only when a call needs
 * more than the arena holds. So that a smaller call never does, its slots lie where those of a
 * larger call lay (the base layout); only extents that are larger in one direction and smaller in
 * another get a layout of their own, and slices of a batch share room of the size of L2, which is
 * what they are cut for. */
#include "runtime/device/cpu_lane.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/device/bind_steps.h"
#include "runtime/plan/replicas.h"

#define BINDINGS 4

struct binding {
    bool is_valid;
    int64_t symbols[APX_MAX_SYMBOLS]; /* as steps see them */
    int64_t *row_bytes; /* [tensor_count] from one row to the next in the caller's tensors */
    size_t *offset;     /* [slot_count] in the arena */
    char *args;
};

/* A slot that is one of the caller's tensors. */
struct tensor_slot {
    int slot, index;
    bool is_output, may_narrow;
};

/* Places for slots of these sizes. Scratch lies before the slots. */
struct layout {
    size_t *bytes, *offset; /* [slot_count] */
    size_t scratch, total;
};

struct apx_lane {
    const struct apx_program *program;
    char *arena;
    size_t arena_bytes;
    struct layout base, trial;
    int *order; /* [slot_count] work space */
    struct apx_frame frame;
    const struct binding *framed;     /* whose places in the arena the frame has; NULL: nobody's */
    struct binding *recent[BINDINGS]; /* the last run's first */
    struct tensor_slot *tensors;      /* [tensor_count] */
    int tensor_count;
    struct binding bindings[BINDINGS];
};

static size_t round_up(size_t bytes)
{
    return (bytes + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
}

/* ---- create ---------------------------------------------------------------------------------- */

enum apx_status apx_cpu_lane_create(const struct apx_program *program, struct apx_lane **out,
                                    struct apx_error *error)
{
    const struct apx_allocator *allocator = program->allocator;
    size_t slots = (size_t)program->slot_count;
    *out = NULL;
    struct apx_lane *lane = apx_alloc(allocator, 1, sizeof *lane);
    if (lane == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    lane->program = program;
    struct layout *layouts[2] = {&lane->base, &lane->trial};
    bool ok = true;
    for (int i = 0; i < 2; i++) {
        layouts[i]->bytes = apx_alloc(allocator, slots, sizeof(size_t));
        layouts[i]->offset = apx_alloc(allocator, slots, sizeof(size_t));
        ok = ok && layouts[i]->bytes != NULL && layouts[i]->offset != NULL;
    }
    lane->order = apx_alloc(allocator, slots, sizeof *lane->order);
    lane->tensors = apx_alloc(allocator, slots, sizeof *lane->tensors);
    lane->frame.slot = apx_alloc(allocator, slots, sizeof *lane->frame.slot);
    lane->frame.is_narrow = apx_alloc(allocator, slots, sizeof *lane->frame.is_narrow);
    ok = ok && lane->order != NULL && lane->tensors != NULL && lane->frame.slot != NULL &&
         lane->frame.is_narrow != NULL;
    for (int i = 0; i < BINDINGS && ok; i++) {
        lane->bindings[i].args = apx_alloc(allocator, 1, program->args_bytes);
        lane->bindings[i].row_bytes = apx_alloc(allocator, slots, sizeof(int64_t));
        lane->bindings[i].offset = apx_alloc(allocator, slots, sizeof(size_t));
        ok = lane->bindings[i].args != NULL && lane->bindings[i].row_bytes != NULL &&
             lane->bindings[i].offset != NULL;
    }
    if (!ok) {
        apx_cpu_lane_destroy(lane);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    for (int i = 0; i < BINDINGS; i++)
        lane->recent[i] = &lane->bindings[i];
    for (int i = 0; i < program->slot_count; i++) {
        const struct apx_slot *slot = &program->slots[i];
        if (slot->kind == APX_SLOT_CONSTANT) /* steps only read from it */
            memcpy(&lane->frame.slot[i], &slot->data, sizeof slot->data);
        if (slot->kind == APX_SLOT_INPUT || slot->kind == APX_SLOT_OUTPUT)
            lane->tensors[lane->tensor_count++] = (struct tensor_slot){
                .slot = i,
                .index = slot->index,
                .is_output = slot->kind == APX_SLOT_OUTPUT,
                .may_narrow = slot->kind == APX_SLOT_INPUT && slot->dtype == APX_F64};
    }
    *out = lane;
    return APX_OK;
}

void apx_cpu_lane_destroy(struct apx_lane *lane)
{
    if (lane == NULL)
        return;
    const struct apx_allocator *allocator = lane->program->allocator;
    for (int i = 0; i < BINDINGS; i++) {
        apx_release(allocator, lane->bindings[i].args);
        apx_release(allocator, lane->bindings[i].row_bytes);
        apx_release(allocator, lane->bindings[i].offset);
    }
    apx_release(allocator, lane->arena);
    apx_release(allocator, lane->base.bytes);
    apx_release(allocator, lane->base.offset);
    apx_release(allocator, lane->trial.bytes);
    apx_release(allocator, lane->trial.offset);
    apx_release(allocator, lane->order);
    apx_release(allocator, lane->tensors);
    apx_release(allocator, lane->frame.slot);
    apx_release(allocator, lane->frame.is_narrow);
    apx_release(allocator, lane);
}

/* ---- extents --------------------------------------------------------------------------------- */

static bool slot_bytes(const struct apx_slot *slot, const int64_t *symbols, size_t *bytes)
{
    int64_t elements;
    *bytes = 0;
    if (slot->kind != APX_SLOT_ARENA || slot->first > slot->last)
        return true;
    if (!apx_dim_evaluate(&slot->elements, symbols, &elements) || elements < 0 ||
        elements > APX_LIMIT_ELEMENTS * 64)
        return false;
    *bytes = (size_t)elements * apx_dtype_size(slot->dtype);
    /* An empty slot needs a place too: kernels may be given its address. */
    *bytes = *bytes > 0 ? *bytes : 1;
    return true;
}

static enum apx_status scratch_bytes(const struct apx_program *program, const int64_t *symbols,
                                     size_t *bytes, struct apx_error *error)
{
    struct apx_bound bounds[APX_BIND_OPERANDS];
    *bytes = 0;
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        if (step->type->scratch == NULL)
            continue;
        if (!apx_bind_operands(step, symbols, bounds))
            return apx_bind_refuse(program, step, error);
        size_t need = step->type->scratch(step, bounds, bounds + step->in_count);
        *bytes = need > *bytes ? need : *bytes;
    }
    return APX_OK;
}

static bool fits(const struct apx_program *program, const struct layout *small,
                 const struct layout *large)
{
    bool ok = small->scratch <= large->scratch;
    for (int i = 0; i < program->slot_count && ok; i++)
        ok = small->bytes[i] <= large->bytes[i];
    return ok;
}

/* lane->trial for these extents: sizes, and places unless the base layout has room for all. */
static enum apx_status lay_out(struct apx_lane *lane, const int64_t *symbols, bool *fits_base,
                               struct apx_error *error)
{
    const struct apx_program *program = lane->program;
    struct layout *trial = &lane->trial;
    enum apx_status status = scratch_bytes(program, symbols, &trial->scratch, error);
    if (status != APX_OK)
        return status;
    for (int i = 0; i < program->slot_count; i++)
        if (!slot_bytes(&program->slots[i], symbols, &trial->bytes[i]))
            return apx_bind_too_large(error);
    *fits_base = lane->base.total > 0 && fits(program, trial, &lane->base);
    if (*fits_base)
        return APX_OK;
    size_t start = round_up(trial->scratch) + APX_CACHE_LINE; /* never empty */
    trial->total = start + apx_arena_layout(program, trial->bytes, trial->offset, lane->order);
    for (int i = 0; i < program->slot_count; i++)
        trial->offset[i] += start;
    return APX_OK;
}

#define ROOM_IF_L2_UNKNOWN ((size_t)512 << 10)

/* Sizes and places for slices of `rows` rows, and room in the arena for them. */
static enum apx_status make_room(struct apx_lane *lane, const int64_t *batch_symbols, int64_t rows,
                                 const struct layout **layout, struct apx_error *error)
{
    const struct apx_program *program = lane->program;
    int64_t symbols[APX_MAX_SYMBOLS];
    bool fits_base = false;
    apx_bind_symbols(program, batch_symbols, rows, symbols);
    enum apx_status status = lay_out(lane, symbols, &fits_base, error);
    *layout = fits_base ? &lane->base : &lane->trial;
    if (status != APX_OK || fits_base)
        return status;
    size_t room = lane->trial.total;
    if (program->row_symbol >= 0 && rows < batch_symbols[program->row_symbol]) {
        size_t l2 = program->l2_bytes > 0 ? program->l2_bytes : ROOM_IF_L2_UNKNOWN;
        room = room > l2 ? room : l2;
    }
    bool grows = room > lane->arena_bytes;
    if (grows) {
        char *arena = program->allocator->alloc(program->allocator->context, APX_CACHE_LINE, room);
        if (arena == NULL)
            return apx_fail(error, APX_ENOMEM, "", "out of memory for an arena of %zu bytes", room);
        apx_release(program->allocator, lane->arena);
        lane->arena = arena;
        lane->arena_bytes = room;
        lane->framed = NULL;
    }
    if (grows || fits(program, &lane->base, &lane->trial)) {
        struct layout swap = lane->base;
        lane->base = lane->trial;
        lane->trial = swap;
        *layout = &lane->base;
    }
    return APX_OK;
}

enum apx_status apx_cpu_lane_reserve(struct apx_lane *lane, const int64_t *symbols, int64_t rows,
                                     struct apx_error *error)
{
    const struct layout *layout;
    return make_room(lane, symbols, rows, &layout, error);
}

/* ---- binding --------------------------------------------------------------------------------- */

static int64_t batch_rows(const struct apx_program *program, const int64_t *batch_symbols)
{
    return program->row_symbol >= 0 ? batch_symbols[program->row_symbol] : 0;
}

static enum apx_status bind(struct apx_lane *lane, struct binding *binding,
                            const struct apx_slice *slice, struct apx_error *error)
{
    const struct apx_program *program = lane->program;
    const struct apx_graph *graph = program->graph;
    const int64_t batch = batch_rows(program, slice->symbols);
    const struct layout *layout;
    binding->is_valid = false;
    lane->framed = NULL;
    enum apx_status status = make_room(lane, slice->symbols, slice->rows, &layout, error);
    if (status != APX_OK)
        return status;
    int64_t *symbols = binding->symbols;
    apx_bind_symbols(program, slice->symbols, slice->rows, symbols);
    memcpy(binding->offset, layout->offset, (size_t)program->slot_count * sizeof(size_t));
    status = apx_bind_steps(program, symbols, batch, binding->args, error);
    if (status != APX_OK)
        return status;
    for (int i = 0; i < lane->tensor_count; i++) {
        const struct tensor_slot *tensor = &lane->tensors[i];
        const struct apx_value *value =
            &graph->values[tensor->is_output ? graph->outputs[tensor->index]
                                             : graph->inputs[tensor->index]];
        int axis = tensor->is_output ? program->output_row_axis[tensor->index]
                                     : program->input_row_axis[tensor->index];
        binding->row_bytes[i] =
            apx_bind_row_stride(value, axis, symbols) * (int64_t)apx_dtype_size(value->dtype);
    }
    binding->is_valid = true;
    return APX_OK;
}

static bool is_for(const struct binding *binding, const struct apx_program *program,
                   const struct apx_slice *slice)
{
    bool same = binding->is_valid;
    for (int i = 0; i < program->graph->symbol_count && same; i++)
        same = binding->symbols[i] == (i == program->row_symbol ? slice->rows : slice->symbols[i]);
    return same && (!program->uses_batch_symbol ||
                    binding->symbols[program->batch_symbol] == batch_rows(program, slice->symbols));
}

/* recent[0] is for this slice afterwards, or a failure. */
static enum apx_status find_binding(struct apx_lane *lane, const struct apx_slice *slice,
                                    struct apx_error *error)
{
    int place = 0;
    while (place < BINDINGS && !is_for(lane->recent[place], lane->program, slice))
        place++;
    const bool is_new = place == BINDINGS;
    place -= is_new;
    struct binding *binding = lane->recent[place];
    for (; place > 0; place--)
        lane->recent[place] = lane->recent[place - 1];
    lane->recent[0] = binding;
    return is_new ? bind(lane, binding, slice, error) : APX_OK;
}

/* ---- run ------------------------------------------------------------------------------------- */

/* The slots that lie in the arena stay where they are until other extents come. */
static void frame_arena(struct apx_lane *lane, const struct binding *binding)
{
    const struct apx_program *program = lane->program;
    for (int i = 0; i < program->slot_count; i++)
        if (program->slots[i].kind == APX_SLOT_ARENA)
            lane->frame.slot[i] = lane->arena + binding->offset[i];
    lane->frame.scratch = lane->arena;
    lane->framed = binding;
}

static void frame_tensors(struct apx_lane *lane, const struct binding *binding,
                          const struct apx_slice *slice)
{
    for (int i = 0; i < lane->tensor_count; i++) {
        const struct tensor_slot *tensor = &lane->tensors[i];
        const struct apx_tensor *given =
            tensor->is_output ? &slice->outputs[tensor->index] : &slice->inputs[tensor->index];
        const bool is_narrow = tensor->may_narrow && given->dtype == APX_F32;
        const int64_t skip = slice->row * binding->row_bytes[i];
        char *data = given->data;
        lane->frame.is_narrow[tensor->slot] = is_narrow;
        lane->frame.slot[tensor->slot] = data != NULL ? data + (is_narrow ? skip / 2 : skip) : NULL;
    }
}

enum apx_status apx_cpu_lane_run(struct apx_lane *lane, const struct apx_slice *slice,
                                 struct apx_error *error)
{
    const struct apx_program *program = lane->program;
    enum apx_status status = find_binding(lane, slice, error);
    if (status != APX_OK)
        return status;
    const struct binding *binding = lane->recent[0];
    if (lane->framed != binding)
        frame_arena(lane, binding);
    frame_tensors(lane, binding, slice);
    lane->frame.packed = apx_replica_here(program);
    lane->frame.fault = NULL;
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        step->type->run(step, binding->args + step->args_offset, &lane->frame);
        if (lane->frame.fault != NULL)
            return apx_fail(error, APX_EINVAL, apx_bind_name(program, step), "%s (node \"%s\")",
                            lane->frame.fault, apx_bind_name(program, step));
    }
    return APX_OK;
}

void apx_cpu_measure(const struct apx_program *program, const int64_t *batch_symbols, double *flops,
                     struct apx_row_cost *total)
{
    struct apx_bound bounds[APX_BIND_OPERANDS];
    int64_t symbols[APX_MAX_SYMBOLS];
    apx_bind_symbols(program, batch_symbols, 1, symbols);
    *total = (struct apx_row_cost){0};
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        const struct apx_bound *in = bounds, *out = bounds + step->in_count;
        double alive = 0, count = 0;
        if (apx_bind_operands(step, symbols, bounds)) {
            count = step->type->flops != NULL ? step->type->flops(step, in, out)
                                              : (double)apx_bound_count(out);
            total->seconds += step->type->seconds != NULL ? step->type->seconds(step, in, out) : 0;
        }
        for (int i = 0; i < program->slot_count; i++) {
            size_t size;
            if (program->slots[i].first <= s && program->slots[i].last >= s &&
                slot_bytes(&program->slots[i], symbols, &size))
                alive += (double)size;
        }
        if (flops != NULL)
            flops[s] = count;
        total->flops += count;
        total->bytes = alive > total->bytes ? alive : total->bytes;
    }
}
