/* SPDX-License-Identifier: Apache-2.0 */
/* lower_value.c - what lowering functions ask for: operands as views, constants as numbers, new
 * slots and new steps. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/plan/steps.h"

void *apx_lower_fail(struct apx_lowering *lo, enum apx_status status, const char *format, ...)
{
    if (lo->status != APX_OK)
        return NULL;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *name = lo->node >= 0 ? lo->graph->nodes[lo->node].name : "";
    lo->status =
        apx_fail(lo->error, status, name, "%s%s%s", name, name[0] != '\0' ? ": " : "", text);
    return NULL;
}

bool apx_lower_check(struct apx_lowering *lo, enum apx_status status)
{
    if (lo->status == APX_OK)
        lo->status = status;
    return lo->status == APX_OK;
}

void *apx_lower_take(struct apx_lowering *lo, size_t count, size_t size)
{
    if (lo->status != APX_OK)
        return NULL;
    void *memory = apx_blocks_take(&lo->program->blocks, count, size);
    return memory != NULL ? memory : apx_lower_fail(lo, APX_ENOMEM, "out of memory");
}

/* ---- slots, views, steps --------------------------------------------------------------------- */

static int add_slot(struct apx_lowering *lo, enum apx_slot_kind kind, enum apx_dtype dtype)
{
    struct apx_program *program = lo->program;
    if (program->slot_count == program->slot_capacity) {
        int capacity = program->slot_capacity > 0 ? 2 * program->slot_capacity : 32;
        struct apx_slot *slots = apx_lower_take(lo, (size_t)capacity, sizeof *slots);
        if (slots == NULL)
            return -1;
        if (program->slot_count > 0)
            memcpy(slots, program->slots, (size_t)program->slot_count * sizeof *slots);
        program->slots = slots;
        program->slot_capacity = capacity;
    }
    struct apx_slot *slot = &program->slots[program->slot_count];
    *slot = (struct apx_slot){.kind = kind, .dtype = dtype, .index = -1};
    return program->slot_count++;
}

static struct apx_view *add_view(struct apx_lowering *lo, enum apx_slot_kind kind,
                                 enum apx_dtype dtype, int rank, const struct apx_dim *extent,
                                 const int *order)
{
    struct apx_view *view = apx_lower_take(lo, 1, sizeof *view);
    int slot = view != NULL ? add_slot(lo, kind, dtype) : -1;
    if (slot < 0)
        return NULL;
    view->slot = slot;
    view->dtype = dtype;
    view->rank = rank;
    for (int i = 0; i < rank; i++)
        view->extent[i] = extent[i];
    apx_view_make_dense(view, order);
    lo->program->slots[slot].elements = apx_extent_product(extent, 0, rank);
    return view;
}

struct apx_view *apx_lower_new(struct apx_lowering *lo, enum apx_dtype dtype, int rank,
                               const struct apx_dim *extent, const int *order)
{
    return lo->status == APX_OK ? add_view(lo, APX_SLOT_ARENA, dtype, rank, extent, order) : NULL;
}

struct apx_view *apx_lower_clone(struct apx_lowering *lo, const struct apx_view *view)
{
    if (view == NULL)
        return NULL;
    struct apx_view *copy = apx_lower_take(lo, 1, sizeof *copy);
    if (copy != NULL)
        *copy = *view;
    return copy;
}

struct apx_view *apx_lower_storage(struct apx_lowering *lo, enum apx_dtype dtype, int rank,
                                   const int64_t *dims, void **data)
{
    struct apx_dim extent[APX_MAX_RANK];
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        extent[i] = apx_dim_constant(dims[i]);
        count *= (size_t)dims[i];
    }
    *data = apx_lower_take(lo, count, apx_dtype_size(dtype));
    if (*data == NULL)
        return NULL;
    struct apx_view *view = add_view(lo, APX_SLOT_CONSTANT, dtype, rank, extent, NULL);
    if (view != NULL)
        lo->program->slots[view->slot].data = *data;
    return view;
}

struct apx_view *apx_lower_floats(struct apx_lowering *lo, const float *data, size_t count)
{
    void *copy;
    struct apx_view *view = apx_lower_storage(lo, APX_F32, 1, &(int64_t){(int64_t)count}, &copy);
    if (view != NULL && count > 0)
        memcpy(copy, data, count * sizeof *data);
    return view;
}

struct apx_view *apx_lower_scalar(struct apx_lowering *lo, enum apx_dtype dtype, double value)
{
    void *data;
    struct apx_view *view = apx_lower_storage(lo, dtype, 0, NULL, &data);
    if (view != NULL)
        apx_cast(1, APX_F64, &value, (int)dtype, data);
    return view;
}

struct apx_step *apx_lower_step(struct apx_lowering *lo, const struct apx_step_class *type,
                                int in_count, int out_count, size_t params_bytes)
{
    struct apx_program *program = lo->program;
    if (program->step_count == program->step_capacity) {
        int capacity = program->step_capacity > 0 ? 2 * program->step_capacity : 32;
        struct apx_step **steps = apx_lower_take(lo, (size_t)capacity, sizeof(*steps));
        if (steps == NULL)
            return NULL;
        if (program->step_count > 0)
            memcpy(steps, program->steps, (size_t)program->step_count * sizeof(*steps));
        program->steps = steps;
        program->step_capacity = capacity;
    }
    struct apx_step *step = apx_lower_take(lo, 1, sizeof *step);
    struct apx_view **views = apx_lower_take(lo, (size_t)(in_count + out_count), sizeof(*views));
    void *params = params_bytes > 0 ? apx_lower_take(lo, 1, params_bytes) : NULL;
    if (lo->status != APX_OK)
        return NULL;
    *step = (struct apx_step){.type = type,
                              .node = lo->node,
                              .in_count = in_count,
                              .out_count = out_count,
                              .in = views,
                              .out = views + in_count,
                              .params = params};
    program->steps[program->step_count++] = step;
    return step;
}

/* ---- graph values ---------------------------------------------------------------------------- */

static struct apx_view *constant_view(struct apx_lowering *lo, const struct apx_value *value)
{
    struct apx_view *view =
        add_view(lo, APX_SLOT_CONSTANT, value->dtype, value->rank, value->dims, NULL);
    if (view != NULL)
        lo->program->slots[view->slot].data = value->data;
    return view;
}

/* One stored element, seen through strides of 0. */
static struct apx_view *filled_view(struct apx_lowering *lo, const struct apx_value *value)
{
    struct apx_view *scalar = apx_lower_scalar(lo, value->dtype, value->fill);
    if (scalar != NULL)
        apx_view_expand(scalar, value->rank, value->dims, scalar);
    return scalar;
}

struct apx_view *apx_lower_value(struct apx_lowering *lo, int v)
{
    if (lo->status != APX_OK)
        return NULL;
    if (lo->views[v] == NULL) {
        const struct apx_value *value = &lo->graph->values[v];
        if (value->dtype == APX_STRING)
            return apx_lower_fail(lo, APX_EUNSUPPORTED, "text cannot be computed with");
        if (value->data != NULL)
            lo->views[v] = constant_view(lo, value);
        else if (value->is_filled)
            lo->views[v] = filled_view(lo, value);
        else if (value->elems != NULL)
            lo->views[v] = apx_emit_cast(
                lo, apx_emit_elements(lo, value->elems, value->elem_count, value->rank),
                value->dtype);
        else
            return apx_lower_fail(lo, APX_EUNSUPPORTED, "%s cannot be computed", value->name);
    }
    return lo->views[v];
}

struct apx_view *apx_lower_in(struct apx_lowering *lo, const struct apx_node *node, int i)
{
    return i < node->in_count && node->in[i] >= 0 ? apx_lower_value(lo, node->in[i]) : NULL;
}

void apx_lower_set(struct apx_lowering *lo, const struct apx_node *node, int i,
                   struct apx_view *view)
{
    if (i < node->out_count && node->out[i] >= 0)
        lo->views[node->out[i]] = view;
}

const struct apx_value *apx_lower_constant(struct apx_lowering *lo, const struct apx_node *node,
                                           int i)
{
    if (i >= node->in_count || node->in[i] < 0)
        return NULL;
    const struct apx_value *value = &lo->graph->values[node->in[i]];
    if (value->data == NULL)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "input %d must be a constant", i);
    return value;
}

bool apx_lower_integers(struct apx_lowering *lo, const struct apx_node *node, int i,
                        int64_t *values, int capacity, int *count)
{
    *count = -1;
    if (i >= node->in_count || node->in[i] < 0)
        return lo->status == APX_OK;
    const struct apx_value *value = &lo->graph->values[node->in[i]];
    if (value->elems != NULL && value->elem_count <= capacity) {
        for (int k = 0; k < value->elem_count; k++)
            if (!apx_dim_is_constant(&value->elems[k], &values[k]))
                return apx_lower_fail(lo, APX_EUNSUPPORTED, "input %d must be a constant", i);
        *count = value->elem_count;
        return true;
    }
    value = apx_lower_constant(lo, node, i);
    if (value == NULL)
        return false;
    size_t size = apx_dtype_size(value->dtype);
    if (size == 0 || value->bytes / size > (size_t)capacity) {
        apx_lower_fail(lo, APX_ELIMIT, "input %d has more than %d elements", i, capacity);
        return false;
    }
    *count = (int)(value->bytes / size);
    apx_cast((size_t)*count, (int)value->dtype, value->data, APX_I64, values);
    return true;
}

int apx_lower_axis(struct apx_lowering *lo, int64_t axis, int rank)
{
    if (axis < -rank || axis >= rank) {
        apx_lower_fail(lo, APX_EFORMAT, "axis %lld is outside of rank %d", (long long)axis, rank);
        return 0;
    }
    return (int)(axis < 0 ? axis + rank : axis);
}

const struct apx_dim *apx_lower_extents(struct apx_lowering *lo, const struct apx_node *node, int i)
{
    return lo->graph->values[node->out[i]].dims;
}

bool apx_lower_dims(struct apx_lowering *lo, const struct apx_node *node, int i,
                    struct apx_dim *dims, int capacity, int *count)
{
    *count = -1;
    if (i >= node->in_count || node->in[i] < 0)
        return lo->status == APX_OK;
    const struct apx_value *value = &lo->graph->values[node->in[i]];
    if (value->elems != NULL && value->elem_count <= capacity) {
        memcpy(dims, value->elems, (size_t)value->elem_count * sizeof *dims);
        *count = value->elem_count;
        return true;
    }
    int64_t integers[2 * APX_MAX_RANK];
    if (capacity > 2 * APX_MAX_RANK)
        capacity = 2 * APX_MAX_RANK;
    if (!apx_lower_integers(lo, node, i, integers, capacity, count))
        return false;
    for (int k = 0; k < *count; k++)
        dims[k] = apx_dim_constant(integers[k]);
    return true;
}

const void *apx_lower_array(struct apx_lowering *lo, const struct apx_node *node, int i,
                            enum apx_dtype dtype, int64_t count, const char *what)
{
    const struct apx_value *value = apx_lower_constant(lo, node, i);
    if (value == NULL)
        return NULL;
    if (value->dtype != dtype)
        return apx_lower_fail(lo, APX_EUNSUPPORTED, "%s is %s; only %s is computed", what,
                              apx_dtype_name(value->dtype), apx_dtype_name(dtype));
    if (value->bytes != (size_t)count * apx_dtype_size(dtype))
        return apx_lower_fail(lo, APX_EFORMAT, "%s does not have %lld elements", what,
                              (long long)count);
    return value->data;
}

const int8_t *apx_lower_int8(struct apx_lowering *lo, const struct apx_node *node, int i,
                             int64_t rows, int64_t columns, const char *what, int scale,
                             const float **scales)
{
    const int8_t *weights = apx_lower_array(lo, node, i, APX_I8, rows * columns, what);
    *scales = apx_lower_array(lo, node, scale, APX_F32, rows, "a scale");
    if (lo->status != APX_OK)
        return NULL;
    if (weights == NULL || *scales == NULL)
        return apx_lower_fail(lo, APX_EFORMAT, "%s or its scale is left out", what);
    for (int64_t k = 0; k < rows * columns; k++)
        if (weights[k] == INT8_MIN)
            return apx_lower_fail(lo, APX_EFORMAT, "%s holds -128; int8 weights are -127 to 127",
                                  what);
    for (int64_t k = 0; k < rows; k++)
        if (!((*scales)[k] >= 0 && isfinite((*scales)[k])))
            return apx_lower_fail(lo, APX_EFORMAT, "a scale of %s is negative or not finite", what);
    return weights;
}
