/* SPDX-License-Identifier: Apache-2.0 */
/* program.c - from a graph to a program: options, rows, lowering, packed weights. */
#include <string.h>

#include "kernels/kernels.h"
#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/plan/lower.h"
#include "runtime/plan/replicas.h"
#include "runtime/plan/rows.h"
#include "runtime/plan/step_rnn.h"

static bool is_precision(const struct apx_compile_options *options, const char *word)
{
    return options->precision != NULL && strcmp(options->precision, word) == 0;
}

static enum apx_status read_options(struct apx_program *program,
                                    const struct apx_compile_options *options,
                                    struct apx_error *error)
{
    bool is_half = is_precision(options, "fp16");
    program->half_weights = is_precision(options, "fp16-weights");
    if (options->precision != NULL && !is_precision(options, "fp32") &&
        !is_precision(options, "int8") && !is_half && !program->half_weights)
        return apx_fail(
            error, APX_EINVAL, "precision",
            "precision \"%s\" is not known; say \"fp32\", \"fp16-weights\", \"fp16\" or \"int8\"",
            options->precision);
    if (is_half && !program->is_for_device)
        return apx_fail(
            error, APX_EUNSUPPORTED, "precision",
            "precision \"fp16\" is computed by CUDA devices alone; say device \"cuda\"");
    if (program->half_weights && program->is_for_device)
        return apx_fail(error, APX_EUNSUPPORTED, "precision",
                        "precision \"fp16-weights\" is not for CUDA devices; say device \"cpu\"");
    program->caps = apx_cpu_caps();
    if (options->isa != NULL && !apx_caps_limit(program->caps, options->isa, &program->caps))
        return apx_fail(
            error, APX_EINVAL, "isa",
            "isa \"%s\" is not known; say scalar, avx2, avx512, avx512vnni or avx512vbmi",
            options->isa);
    return APX_OK;
}

static enum apx_status find_rows(struct apx_program *program, struct apx_error *error)
{
    const struct apx_graph *graph = program->graph;
    program->input_row_axis =
        apx_alloc(program->allocator, (size_t)graph->input_count, sizeof(int));
    program->output_row_axis =
        apx_alloc(program->allocator, (size_t)graph->output_count, sizeof(int));
    if (program->input_row_axis == NULL || program->output_row_axis == NULL ||
        apx_rows_analyse(graph, &program->row_symbol, program->input_row_axis,
                         program->output_row_axis) != APX_OK)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    /* Strides of the caller's tensors need a symbol of their own for the whole batch. */
    program->batch_symbol = graph->symbol_count;
    if (program->row_symbol < 0 || graph->symbol_count == APX_MAX_SYMBOLS)
        program->row_symbol = program->batch_symbol = -1;
    return APX_OK;
}

static enum apx_status lower_again(struct apx_program *program, bool *last_only,
                                   struct apx_error *error)
{
    apx_blocks_fini(&program->blocks);
    program->slots = NULL;
    program->steps = NULL;
    program->slot_count = program->slot_capacity = 0;
    program->step_count = program->step_capacity = 0;
    program->uses_batch_symbol = false;
    return apx_lower_graph(program, last_only, error);
}

/* Marks the layers of which only the last step is read; true if there are any. */
static bool mark_last_only(const struct apx_program *program, bool *last_only)
{
    bool any = false;
    for (int s = 0; s < program->step_count; s++)
        if (apx_rnn_reads_last_only(program, s))
            any = last_only[program->steps[s]->node] = true;
    return any;
}

/* True if every replaced y is read as foreseen. */
static bool are_replaced_well(const struct apx_program *program, const bool *last_only)
{
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        if ((step->type == &apx_lstm_class || step->type == &apx_gru_class) &&
            last_only[step->node] && step->out[APX_RNN_H_LAST] != NULL &&
            !apx_rnn_is_replaceable(program, step->out[APX_RNN_H_LAST]->slot))
            return false;
    }
    return true;
}

static enum apx_status lower(struct apx_program *program, struct apx_error *error)
{
    size_t nodes = (size_t)program->graph->node_count;
    bool *last_only = apx_alloc(program->allocator, nodes, sizeof *last_only);
    if (last_only == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    enum apx_status status = lower_again(program, last_only, error);
    if (status == APX_OK && mark_last_only(program, last_only)) {
        status = lower_again(program, last_only, error);
        if (status == APX_OK && !are_replaced_well(program, last_only)) {
            memset(last_only, 0, nodes * sizeof *last_only);
            status = lower_again(program, last_only, error);
        }
    }
    apx_release(program->allocator, last_only);
    return status;
}

/* What was asked for by name is done, or refused. */
static enum apx_status check_half_weights(const struct apx_program *program,
                                          struct apx_error *error)
{
    bool done = !program->half_weights;
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        if (step->type == &apx_lstm_class || step->type == &apx_gru_class)
            done |= ((const struct apx_rnn_params *)step->params)->desc.half_weights;
    }
    return done ? APX_OK
                : apx_fail(error, APX_EUNSUPPORTED, "precision",
                           "precision \"fp16-weights\" is for LSTM and GRU layers with float "
                           "weights; the model has none");
}

/* All weights in one block, each step's at a cache line of its own. */
static enum apx_status pack_weights(struct apx_program *program, struct apx_error *error)
{
    size_t total = 0;
    for (int s = 0; s < program->step_count; s++) {
        const struct apx_step *step = program->steps[s];
        size_t bytes = step->type->packed_bytes != NULL ? step->type->packed_bytes(step) : 0;
        total += (bytes + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
    }
    program->packed = apx_alloc(program->allocator, 1, total);
    if (program->packed == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for %zu bytes of weights", total);
    program->packed_bytes = total;
    char *place = program->packed;
    for (int s = 0; s < program->step_count; s++) {
        struct apx_step *step = program->steps[s];
        if (step->type->packed_bytes == NULL)
            continue;
        step->packed = place;
        step->type->pack(step, place);
        size_t bytes = step->type->packed_bytes(step);
        place += (bytes + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
    }
    return APX_OK;
}

/* Weights in blocks of their own. */
static enum apx_status build_weights(struct apx_program *program, struct apx_error *error)
{
    program->built =
        apx_alloc(program->allocator, (size_t)program->step_count, sizeof *program->built);
    if (program->built == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    for (int s = 0; s < program->step_count; s++) {
        struct apx_step *step = program->steps[s];
        void *packed = NULL;
        if (step->type->build == NULL)
            continue;
        if (step->type->build(step, program->allocator, &packed, &step->built_bytes) != APX_OK)
            return apx_fail(error, APX_ENOMEM, "", "out of memory for the weights");
        step->built_index = program->built_count;
        step->packed = program->built[program->built_count++] = packed;
        program->built_bytes += step->built_bytes;
        program->packed_bytes += step->built_bytes;
    }
    return APX_OK;
}

/* A float64 input may come as float32 where only steps that widen it themselves read it. */
static enum apx_status find_widened(struct apx_program *program, struct apx_error *error)
{
    const struct apx_graph *graph = program->graph;
    program->input_widens =
        apx_alloc(program->allocator, (size_t)graph->input_count, sizeof *program->input_widens);
    if (program->input_widens == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    for (int i = 0; i < graph->input_count; i++)
        program->input_widens[i] = graph->values[graph->inputs[i]].dtype == APX_F64;
    for (int s = 0; s < program->step_count; s++)
        for (int i = 0; i < program->steps[s]->in_count; i++) {
            const struct apx_view *view = program->steps[s]->in[i];
            if (view == NULL || program->slots[view->slot].kind != APX_SLOT_INPUT)
                continue;
            if (!program->steps[s]->type->reads_narrow)
                program->input_widens[program->slots[view->slot].index] = false;
        }
    return APX_OK;
}

static void measure(struct apx_program *program)
{
    program->tile_rows = 1;
    for (int s = 0; s < program->step_count; s++) {
        struct apx_step *step = program->steps[s];
        step->index = s;
        step->args_offset = program->args_bytes;
        program->args_bytes +=
            (step->type->args_bytes + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
        int operands = step->in_count + step->out_count;
        program->max_operands = operands > program->max_operands ? operands : program->max_operands;
        if (step->tile_rows > program->tile_rows)
            program->tile_rows = step->tile_rows;
    }
}

enum apx_status apx_plan_lower(const struct apx_graph *graph,
                               const struct apx_compile_options *options, bool is_for_device,
                               struct apx_program **out, struct apx_error *error)
{
    *out = NULL;
    struct apx_program *program = apx_alloc(options->allocator, 1, sizeof *program);
    if (program == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    program->allocator = options->allocator;
    program->graph = graph;
    program->l2_bytes = options->l2_bytes;
    program->is_for_device = is_for_device;
    apx_blocks_init(&program->blocks, options->allocator);
    enum apx_status status = read_options(program, options, error);
    if (status == APX_OK)
        status = find_rows(program, error);
    if (status == APX_OK)
        status = lower(program, error);
    if (status == APX_OK)
        status = check_half_weights(program, error);
    if (status == APX_OK)
        status = find_widened(program, error);
    if (status != APX_OK) {
        apx_plan_destroy(program);
        return status;
    }
    measure(program);
    *out = program;
    return APX_OK;
}

enum apx_status apx_plan_create(const struct apx_graph *graph,
                                const struct apx_compile_options *options, struct apx_program **out,
                                struct apx_error *error)
{
    struct apx_program *program;
    *out = NULL;
    enum apx_status status = apx_plan_lower(graph, options, false, &program, error);
    if (status == APX_OK)
        status = pack_weights(program, error);
    if (status == APX_OK)
        status = build_weights(program, error);
    if (status == APX_OK)
        status = apx_replicas_create(program, options->topo, error);
    if (status != APX_OK) {
        apx_plan_destroy(program);
        return status;
    }
    *out = program;
    return APX_OK;
}

void apx_plan_destroy(struct apx_program *program)
{
    if (program == NULL)
        return;
    apx_replicas_destroy(program);
    apx_release(program->allocator, program->packed);
    for (int i = 0; i < program->built_count; i++)
        apx_release(program->allocator, program->built[i]);
    apx_release(program->allocator, program->built);
    apx_release(program->allocator, program->input_row_axis);
    apx_release(program->allocator, program->output_row_axis);
    apx_release(program->allocator, program->input_widens);
    apx_blocks_fini(&program->blocks);
    apx_release(program->allocator, program);
}
