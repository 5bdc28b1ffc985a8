/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - the caller's tensors against the model: shapes once, buffers every time.
 *
 * A model of one tree runs in less time than its shapes take to evaluate, so they are evaluated
 * when they are new. After that a call is recognised by comparing what it was worked out from: each
 * input's type and dimensions. Everything that can differ between two calls of the same shapes
 * (pointers, sizes of buffers) is looked at in each of them. */
#include "runtime/exec/call.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

enum apx_status apx_calls_init(struct apx_calls *calls, const struct apx_model *model,
                               struct apx_error *error)
{
    size_t inputs = apx_model_input_count(model), each = inputs + apx_model_output_count(model);
    calls->model = model;
    calls->tensors = apx_alloc(model->allocator, APX_CALLS * each, sizeof *calls->tensors);
    if (calls->tensors == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    for (size_t i = 0; i < APX_CALLS; i++) {
        calls->recent[i] = &calls->call[i];
        calls->call[i].inputs = calls->tensors + i * each;
        calls->call[i].outputs = calls->call[i].inputs + inputs;
    }
    return APX_OK;
}

void apx_calls_fini(struct apx_calls *calls)
{
    if (calls->model != NULL)
        apx_release(calls->model->allocator, calls->tensors);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* Bytes of a tensor; false if they overflow. */
static bool tensor_bytes(const struct apx_tensor *tensor, size_t *bytes)
{
    *bytes = apx_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] < 0 || __builtin_mul_overflow(*bytes, (size_t)tensor->dims[i], bytes))
            return false;
    return *bytes <= PTRDIFF_MAX;
}

/* The input that first gave a symbol its value, for messages. */
static const char *first_owner(const struct apx_graph *graph, int symbol)
{
    for (int i = 0; i < graph->input_count; i++) {
        const struct apx_value *value = &graph->values[graph->inputs[i]];
        for (int axis = 0; axis < value->rank; axis++)
            if (apx_dim_depends_on(&value->dims[axis], symbol))
                return value->name;
    }
    return "";
}

static bool may_widen(const struct apx_model *model, int index, enum apx_dtype given)
{
    return given == APX_F32 && model->backend->widens != NULL &&
           model->backend->widens(model->program, index);
}

static enum apx_status check_input(const struct apx_model *model, int index,
                                   const struct apx_tensor *input, int64_t *symbols,
                                   struct apx_error *error)
{
    const struct apx_graph *graph = model->graph;
    const struct apx_value *value = &graph->values[graph->inputs[index]];
    if (input->dtype != value->dtype && !may_widen(model, index, input->dtype))
        return apx_fail(error, APX_EINVAL, value->name, "input \"%s\" is %s; the model takes %s",
                        value->name, apx_dtype_name(input->dtype), apx_dtype_name(value->dtype));
    if (input->rank != value->rank)
        return apx_fail(error, APX_EINVAL, value->name,
                        "input \"%s\" has %d dimensions; the model takes %d", value->name,
                        input->rank, value->rank);
    for (int axis = 0; axis < value->rank; axis++) {
        int64_t fixed, given = input->dims[axis];
        int symbol;
        if (given < 0)
            return apx_fail(error, APX_EINVAL, value->name,
                            "input \"%s\": dimension %d is negative", value->name, axis);
        if (apx_dim_is_constant(&value->dims[axis], &fixed)) {
            if (given != fixed)
                return apx_fail(error, APX_EINVAL, value->name,
                                "input \"%s\": dimension %d is %" PRId64
                                "; the model takes %" PRId64,
                                value->name, axis, given, fixed);
        } else if (apx_dim_is_symbol(&value->dims[axis], &symbol)) {
            if (symbols[symbol] >= 0 && symbols[symbol] != given)
                return apx_fail(error, APX_EINVAL, value->name,
                                "input \"%s\": dimension %d (%s) is %" PRId64 ", but %" PRId64
                                " in input \"%s\"",
                                value->name, axis, graph->symbols[symbol], given, symbols[symbol],
                                first_owner(graph, symbol));
            symbols[symbol] = given;
        }
    }
    return APX_OK;
}

static void keep_input(struct apx_tensor *known, const struct apx_tensor *input)
{
    known->dtype = input->dtype;
    known->rank = input->rank;
    memcpy(known->dims, input->dims, sizeof known->dims);
    if (!tensor_bytes(known, &known->bytes))
        known->bytes = SIZE_MAX;
}

/* Everything that follows from the inputs' shapes. */
static enum apx_status work_out(struct apx_call *call, const struct apx_model *model,
                                const struct apx_tensor *inputs, struct apx_error *error)
{
    const struct apx_graph *graph = model->graph;
    call->is_known = call->is_ready = false;
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        call->symbols[i] = -1;
    for (int i = 0; i < graph->input_count; i++) {
        enum apx_status status = check_input(model, i, &inputs[i], call->symbols, error);
        if (status != APX_OK)
            return status;
        keep_input(&call->inputs[i], &inputs[i]);
    }
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        if (call->symbols[i] < 0)
            call->symbols[i] = 0; /* no such symbol */
    call->rows = model->row_symbol >= 0 ? call->symbols[model->row_symbol] : 1;
    call->is_empty = true; /* tensors without elements may have 2^40 rows: walk none of them */
    for (int i = 0; i < graph->output_count; i++) {
        const struct apx_value *value = &graph->values[graph->outputs[i]];
        struct apx_tensor *output = &call->outputs[i];
        output->dtype = value->dtype;
        output->rank = value->rank;
        bool ok = true;
        for (int axis = 0; axis < value->rank && ok; axis++)
            ok = apx_dim_evaluate(&value->dims[axis], call->symbols, &output->dims[axis]);
        if (!ok || !tensor_bytes(output, &output->bytes))
            return apx_fail(error, APX_EINVAL, value->name,
                            "output \"%s\" cannot have the size that these inputs give it",
                            value->name);
        call->is_empty = call->is_empty && output->bytes == 0;
    }
    call->is_empty = call->is_empty || call->rows == 0;
    call->is_known = true;
    return APX_OK;
}

static bool is_call_of(const struct apx_call *call, const struct apx_tensor *inputs, size_t count)
{
    bool same = call->is_known;
    for (size_t i = 0; i < count && same; i++) {
        const struct apx_tensor *known = &call->inputs[i], *given = &inputs[i];
        same = known->dtype == given->dtype && known->rank == given->rank;
        for (int axis = 0; axis < known->rank && same; axis++)
            same = known->dims[axis] == given->dims[axis];
    }
    return same;
}

static void bring_to_front(struct apx_calls *calls, int place)
{
    struct apx_call *call = calls->recent[place];
    for (; place > 0; place--)
        calls->recent[place] = calls->recent[place - 1];
    calls->recent[0] = call;
}

enum apx_status apx_calls_find(struct apx_calls *calls, const struct apx_tensor *inputs,
                               size_t input_count, size_t output_count, struct apx_call **out,
                               struct apx_error *error)
{
    const struct apx_graph *graph = calls->model->graph;
    if (input_count != (size_t)graph->input_count || output_count != (size_t)graph->output_count)
        return apx_fail(error, APX_EINVAL,
                        input_count != (size_t)graph->input_count ? "inputs" : "outputs",
                        "%zu inputs and %zu outputs given; the model has %d and %d", input_count,
                        output_count, graph->input_count, graph->output_count);
    int place = 0;
    while (place < APX_CALLS && !is_call_of(calls->recent[place], inputs, input_count))
        place++;
    if (place == APX_CALLS) {
        enum apx_status status = work_out(calls->recent[--place], calls->model, inputs, error);
        if (status != APX_OK)
            return status;
    }
    if (place > 0)
        bring_to_front(calls, place);
    *out = calls->recent[0];
    return APX_OK;
}

/* ---- buffers --------------------------------------------------------------------------------- */

static enum apx_status refuse_input(const struct apx_tensor *known, const struct apx_tensor *input,
                                    const char *name, struct apx_error *error)
{
    if (known->bytes > PTRDIFF_MAX)
        return apx_fail(error, APX_EINVAL, name, "input \"%s\" is too large", name);
    if (input->data == NULL)
        return apx_fail(error, APX_EINVAL, name, "input \"%s\" has no data", name);
    return apx_fail(error, APX_EINVAL, name,
                    "input \"%s\" holds %zu bytes; its dimensions need %zu", name, input->bytes,
                    known->bytes);
}

enum apx_status apx_call_check_buffers(const struct apx_call *call, const struct apx_model *model,
                                       const struct apx_tensor *inputs,
                                       const struct apx_tensor *outputs, struct apx_error *error)
{
    const struct apx_graph *graph = model->graph;
    for (int i = 0; i < graph->input_count; i++) {
        size_t bytes = call->inputs[i].bytes;
        if (bytes > PTRDIFF_MAX || (bytes > 0 && inputs[i].data == NULL) ||
            (inputs[i].bytes != 0 && inputs[i].bytes < bytes))
            return refuse_input(&call->inputs[i], &inputs[i], graph->values[graph->inputs[i]].name,
                                error);
    }
    for (int i = 0; i < graph->output_count; i++) {
        if (outputs[i].data == NULL || outputs[i].bytes >= call->outputs[i].bytes)
            continue;
        const char *name = graph->values[graph->outputs[i]].name;
        return apx_fail(error, APX_EINVAL, name,
                        "output \"%s\" needs %zu bytes; its buffer has %zu", name,
                        call->outputs[i].bytes, outputs[i].bytes);
    }
    return APX_OK;
}
