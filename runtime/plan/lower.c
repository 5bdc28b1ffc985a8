/* SPDX-License-Identifier: Apache-2.0 */
/* lower.c - the driver: inputs become slots, every live node is lowered in order, outputs are
 * written in place where that is possible, and what nobody reads is dropped.
 *
 * A node whose outputs are all known from the extents (Shape and its arithmetic) makes no step; if
 * another node reads such a value as data after all, apx_lower_value makes it then. */
#include "runtime/plan/lower.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/plan/steps.h"

static apx_lower_fn *const table[APX_OP_COUNT] = {
#define APX_OP(kind, domain, name, min_in, max_in, min_out, max_out, infer, lower)                 \
    [APX_OP_##kind] = apx_lower_##lower,
#include "runtime/model/ops.def"
#undef APX_OP
};

/* Shape, Size, Constant and Range are known by now or depend on data. */
void apx_lower_none(struct apx_lowering *lo, const struct apx_node *node)
{
    apx_lower_fail(lo, APX_EUNSUPPORTED, "the result of %s depends on data",
                   apx_op_info(node->op)->name);
}

/* The row symbol in a stride of the caller's tensor, and in an offset made of strides, means the
 * whole batch's rows. */
static void use_batch_strides(struct apx_program *program, struct apx_view *view)
{
    if (program->row_symbol < 0)
        return;
    for (int i = 0; i < view->rank; i++)
        view->stride[i] =
            apx_dim_rename(&view->stride[i], program->row_symbol, program->batch_symbol);
    view->offset = apx_dim_rename(&view->offset, program->row_symbol, program->batch_symbol);
    program->uses_batch_symbol |= apx_dim_depends_on(&view->offset, program->batch_symbol);
    for (int i = 0; i < view->rank; i++)
        program->uses_batch_symbol |= apx_dim_depends_on(&view->stride[i], program->batch_symbol);
}

static void lower_inputs(struct apx_lowering *lo)
{
    const struct apx_graph *graph = lo->graph;
    for (int i = 0; i < graph->input_count && lo->status == APX_OK; i++) {
        const struct apx_value *value = &graph->values[graph->inputs[i]];
        struct apx_view *view = apx_lower_new(lo, value->dtype, value->rank, value->dims, NULL);
        if (view == NULL)
            return;
        struct apx_slot *slot = &lo->program->slots[view->slot];
        slot->kind = APX_SLOT_INPUT;
        slot->index = i;
        use_batch_strides(lo->program, view);
        lo->views[graph->inputs[i]] = view;
    }
}

static bool is_known(const struct apx_graph *graph, const struct apx_node *node)
{
    for (int i = 0; i < node->out_count; i++) {
        if (node->out[i] < 0)
            continue;
        const struct apx_value *value = &graph->values[node->out[i]];
        if (value->data == NULL && value->elems == NULL && !value->is_filled)
            return false;
    }
    return true;
}

static void lower_nodes(struct apx_lowering *lo)
{
    for (int n = 0; n < lo->graph->node_count && lo->status == APX_OK; n++) {
        const struct apx_node *node = &lo->graph->nodes[n];
        if (node->is_dead || lo->done[n] || is_known(lo->graph, node))
            continue;
        lo->node = n;
        table[node->op](lo, node);
    }
}

/* ---- outputs --------------------------------------------------------------------------------- */

static int count_readers(const struct apx_program *program, int slot)
{
    int count = 0;
    for (int s = 0; s < program->step_count; s++)
        for (int i = 0; i < program->steps[s]->in_count; i++)
            count += program->steps[s]->in[i] != NULL && program->steps[s]->in[i]->slot == slot;
    return count;
}

static bool writers_are_strided(const struct apx_program *program, int slot)
{
    for (int s = 0; s < program->step_count; s++)
        for (int i = 0; i < program->steps[s]->out_count; i++)
            if (program->steps[s]->out[i] != NULL && program->steps[s]->out[i]->slot == slot &&
                !program->steps[s]->type->writes_strided)
                return false;
    return true;
}

static int count_outputs_on(struct apx_lowering *lo, int slot)
{
    int count = 0;
    for (int i = 0; i < lo->graph->output_count; i++) {
        const struct apx_view *view = lo->views[lo->graph->outputs[i]];
        count += view != NULL && view->slot == slot;
    }
    return count;
}

/* The slot can be the caller's tensor: nothing else lives in it, nobody reads it again, and its
 * writers can write around the rows of other slices. */
static bool is_writable_in_place(struct apx_lowering *lo, int output, const struct apx_view *view)
{
    const struct apx_program *program = lo->program;
    const struct apx_slot *slot = &program->slots[view->slot];
    struct apx_dim elements = apx_extent_product(view->extent, 0, view->rank);
    int64_t offset;
    return slot->kind == APX_SLOT_ARENA && apx_view_is_standard(view) &&
           apx_dim_is_constant(&view->offset, &offset) && offset == 0 &&
           apx_dim_equal(&elements, &slot->elements) && count_readers(program, view->slot) == 0 &&
           count_outputs_on(lo, view->slot) == 1 &&
           (program->row_symbol < 0 || program->output_row_axis[output] == 0 ||
            writers_are_strided(program, view->slot));
}

static void write_in_place(struct apx_lowering *lo, int output, struct apx_view *view)
{
    struct apx_program *program = lo->program;
    program->slots[view->slot].kind = APX_SLOT_OUTPUT;
    program->slots[view->slot].index = output;
    use_batch_strides(program, view);
    for (int s = 0; s < program->step_count; s++)
        for (int i = 0; i < program->steps[s]->out_count; i++)
            if (program->steps[s]->out[i] != NULL && program->steps[s]->out[i]->slot == view->slot)
                use_batch_strides(program, program->steps[s]->out[i]);
}

static void lower_outputs(struct apx_lowering *lo)
{
    const struct apx_graph *graph = lo->graph;
    lo->node = -1;
    for (int i = 0; i < graph->output_count && lo->status == APX_OK; i++)
        apx_lower_value(lo, graph->outputs[i]);
    for (int i = 0; i < graph->output_count && lo->status == APX_OK; i++) {
        const struct apx_value *value = &graph->values[graph->outputs[i]];
        struct apx_view *view = lo->views[graph->outputs[i]];
        if (view->dtype == APX_STRING) {
            apx_lower_fail(lo, APX_EUNSUPPORTED, "output %s holds text", value->name);
        } else if (view->dtype != value->dtype) { /* would be copied with the wrong width */
            apx_lower_fail(lo, APX_EUNSUPPORTED, "output %s is computed as %s, not %s", value->name,
                           apx_dtype_name(view->dtype), apx_dtype_name(value->dtype));
        } else if (is_writable_in_place(lo, i, view)) {
            write_in_place(lo, i, view);
        } else {
            struct apx_view *out = apx_lower_new(lo, value->dtype, value->rank, value->dims, NULL);
            if (out == NULL)
                return;
            lo->program->slots[out->slot].kind = APX_SLOT_OUTPUT;
            lo->program->slots[out->slot].index = i;
            use_batch_strides(lo->program, out);
            apx_emit_copy_into(lo, view, out);
        }
    }
}

/* ---- what is left ---------------------------------------------------------------------------- */

/* Steps none of whose results are read go; the others tell how long each slot lives. */
static bool sweep(struct apx_lowering *lo)
{
    struct apx_program *program = lo->program;
    bool *is_needed = apx_lower_take(lo, (size_t)program->slot_count, sizeof *is_needed);
    if (is_needed == NULL)
        return false;
    for (int i = 0; i < program->slot_count; i++) {
        is_needed[i] = program->slots[i].kind == APX_SLOT_OUTPUT;
        program->slots[i].first = program->step_count;
        program->slots[i].last = -1;
    }
    for (int s = program->step_count - 1; s >= 0; s--) {
        struct apx_step *step = program->steps[s];
        step->is_dead = true;
        for (int i = 0; i < step->out_count; i++)
            if (step->out[i] != NULL && is_needed[step->out[i]->slot])
                step->is_dead = false;
        for (int i = 0; i < step->in_count && !step->is_dead; i++)
            if (step->in[i] != NULL)
                is_needed[step->in[i]->slot] = true;
    }
    int live = 0;
    for (int s = 0; s < program->step_count; s++)
        if (!program->steps[s]->is_dead)
            program->steps[live++] = program->steps[s];
    program->step_count = live;
    for (int s = 0; s < live; s++) {
        const struct apx_step *step = program->steps[s];
        for (int i = 0; i < step->in_count + step->out_count; i++) {
            const struct apx_view *view =
                i < step->in_count ? step->in[i] : step->out[i - step->in_count];
            if (view == NULL)
                continue;
            struct apx_slot *slot = &program->slots[view->slot];
            slot->first = s < slot->first ? s : slot->first;
            slot->last = s > slot->last ? s : slot->last;
        }
    }
    return true;
}

static bool view_is_known(const struct apx_view *view)
{
    for (int i = 0; i < view->rank; i++)
        if (!apx_dim_is_known(&view->extent[i]) || !apx_dim_is_known(&view->stride[i]))
            return false;
    return apx_dim_is_known(&view->offset);
}

static void check_views(struct apx_lowering *lo)
{
    for (int s = 0; s < lo->program->step_count && lo->status == APX_OK; s++) {
        const struct apx_step *step = lo->program->steps[s];
        for (int i = 0; i < step->in_count + step->out_count; i++) {
            const struct apx_view *view =
                i < step->in_count ? step->in[i] : step->out[i - step->in_count];
            if (view == NULL || view_is_known(view))
                continue;
            lo->node = step->node;
            apx_lower_fail(lo, APX_EUNSUPPORTED,
                           "an extent here is too complicated a product of free dimensions");
            return;
        }
    }
}

enum apx_status apx_lower_graph(struct apx_program *program, bool *last_only,
                                struct apx_error *error)
{
    struct apx_lowering lo = {.program = program,
                              .graph = program->graph,
                              .last_only = last_only,
                              .node = -1,
                              .error = error};
    lo.views = apx_lower_take(&lo, (size_t)program->graph->value_count, sizeof(*lo.views));
    lo.done = apx_lower_take(&lo, (size_t)program->graph->node_count, sizeof(*lo.done));
    if (lo.status == APX_OK)
        lower_inputs(&lo);
    if (lo.status == APX_OK)
        lower_nodes(&lo);
    if (lo.status == APX_OK)
        lower_outputs(&lo);
    if (lo.status == APX_OK && sweep(&lo))
        check_views(&lo);
    return lo.status;
}
