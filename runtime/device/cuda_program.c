/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_program.c - a graph onto a GPU: rows chosen, homes of slots, weights uploaded. */
#include "runtime/device/cuda_program.h"

#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/device/bind_steps.h"
#include "runtime/device/cuda_stack.h"
#include "runtime/plan/step_rnn.h"

#define ALIGN ((size_t)256) /* what CUDA's own allocations have */

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static const struct apx_view *operand(const struct apx_step *step, int i)
{
    return i < step->in_count ? step->in[i] : step->out[i - step->in_count];
}

/* ---- which steps run where ------------------------------------------------------------------- */

static bool has_weights(const struct apx_step *step)
{
    return step->type->packed_bytes != NULL || step->type->build != NULL;
}

static enum apx_status refuse(const struct apx_cuda_program *program, int s,
                              struct apx_error *error)
{
    const struct apx_step *step = program->plan->steps[s];
    const char *precision =
        program->steps[s].choice.precision; /* int8 layers of the file have it */
    const char *name = apx_bind_name(program->plan, step);
    return apx_fail(
        error, APX_EUNSUPPORTED, name,
        "%s%sdevice \"cuda\" has no kernel for this %s (precision %s on %s); use device "
        "\"cpu\"",
        name, name[0] != '\0' ? ": " : "", step->type->name,
        precision != NULL ? precision : program->place.precision, program->place.device.name);
}

/* of_host[slot]: written by a step of the host. */
static enum apx_status choose(struct apx_cuda_program *program, bool *of_host,
                              struct apx_error *error)
{
    const struct apx_program *plan = program->plan;
    int lacking = -1;
    bool any = false;
    for (int s = 0; s < plan->step_count; s++) {
        const struct apx_step *step = plan->steps[s];
        struct apx_cuda_step *here = &program->steps[s];
        for (int i = 0; i < step->in_count; i++)
            here->is_on_host |=
                step->in[i] != NULL && !step->type->reads_extents && of_host[step->in[i]->slot];
        for (int i = 0; i < step->out_count; i++) /* beside or over what the host writes there */
            here->is_on_host |= step->out[i] != NULL && of_host[step->out[i]->slot];
        if (!here->is_on_host)
            here->is_on_host = step->type->cuda == NULL ||
                               !step->type->cuda->choose(step, &program->place, &here->choice);
        if (!here->is_on_host) {
            any = true;
            continue;
        }
        lacking = lacking >= 0 ? lacking : s;
        if (has_weights(step))
            return refuse(program, lacking, error);
        for (int i = 0; i < step->out_count; i++)
            if (step->out[i] != NULL)
                of_host[step->out[i]->slot] = true;
    }
    if (!any && lacking >= 0)
        return refuse(program, lacking, error);
    if (!any)
        return apx_fail(error, APX_EUNSUPPORTED, "",
                        "device \"cuda\": there is nothing to compute in this model");
    return APX_OK;
}

/* What crosses the bus: inputs that anybody reads, and what the device wrote and the host reads or
 * the caller gets. */
static void find_homes(struct apx_cuda_program *program)
{
    enum { READ = 1, WRITTEN = 2 };
    const struct apx_program *plan = program->plan;
    for (int i = 0; i < plan->slot_count; i++) {
        unsigned device = 0, host = 0;
        for (int s = 0; s < plan->step_count; s++) {
            const struct apx_step *step = plan->steps[s];
            unsigned *who = program->steps[s].is_on_host ? &host : &device;
            for (int k = 0; k < step->in_count + step->out_count; k++)
                if (operand(step, k) != NULL && operand(step, k)->slot == i &&
                    !(step->type->reads_extents && k < step->in_count))
                    *who |= k < step->in_count ? READ : WRITTEN;
        }
        const enum apx_slot_kind kind = plan->slots[i].kind;
        if ((device | host) == 0)
            program->home[i] = APX_CUDA_NOWHERE;
        else if (kind == APX_SLOT_CONSTANT)
            program->home[i] = APX_CUDA_CONSTANT;
        else if (kind == APX_SLOT_INPUT)
            program->home[i] = APX_CUDA_IN;
        else if ((device & WRITTEN) != 0 && (kind == APX_SLOT_OUTPUT || host != 0))
            program->home[i] = APX_CUDA_OUT;
        else if (device != 0)
            program->home[i] = APX_CUDA_ARENA;
        else
            program->home[i] = kind == APX_SLOT_OUTPUT ? APX_CUDA_RESULT : APX_CUDA_HOST;
    }
}

/* ---- lengths --------------------------------------------------------------------------------- */

/* A recurrent step on the device whose rows end at lengths of their own. */
static bool takes_lengths(const struct apx_cuda_program *program, int s)
{
    const struct apx_step *step = program->plan->steps[s];
    return (step->type == &apx_lstm_class || step->type == &apx_gru_class) &&
           step->in[APX_RNN_LENGTHS] != NULL && !program->steps[s].is_on_host;
}

/* The input that the lengths of step s are, or are made of by steps of one operand (a cast): what
 * rows are put in order by costs time where it is not exactly the lengths, and nothing else. */
static int lengths_of(const struct apx_cuda_program *program, int s)
{
    const struct apx_program *plan = program->plan;
    int slot = plan->steps[s]->in[APX_RNN_LENGTHS]->slot;
    while (s-- > 0) {
        const struct apx_step *step = plan->steps[s];
        if (step->in_count == 1 && step->in[0] != NULL && step->out[0] != NULL &&
            step->out[0]->slot == slot)
            slot = step->in[0]->slot;
    }
    if (plan->slots[slot].kind != APX_SLOT_INPUT)
        return -1;
    const int input = plan->slots[slot].index;
    const struct apx_value *value = &plan->graph->values[plan->graph->inputs[input]];
    const bool is_whole = value->dtype == APX_I32 || value->dtype == APX_I64;
    return is_whole && value->rank == 1 && plan->input_row_axis[input] == 0 ? input : -1;
}

/* The first such input: where there are several, layers share theirs more often than not. */
static int find_lengths(const struct apx_cuda_program *program)
{
    int input = -1;
    for (int s = 0; s < program->plan->step_count && input < 0; s++)
        if (program->plan->row_symbol >= 0 && takes_lengths(program, s))
            input = lengths_of(program, s);
    return input;
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Places for the weights of all steps and for constants; the total is weights_bytes. */
static enum apx_status lay_out_weights(struct apx_cuda_program *program, struct apx_error *error)
{
    const struct apx_program *plan = program->plan;
    size_t end = 0;
    for (int i = 0; i < plan->slot_count; i++) {
        static const int64_t none[APX_MAX_SYMBOLS];
        size_t bytes;
        if (program->home[i] != APX_CUDA_CONSTANT)
            continue;
        if (!apx_cuda_slot_bytes(&plan->slots[i], none, &bytes))
            return apx_bind_too_large(error);
        program->constant[i] = end;
        end += round_up(bytes);
    }
    for (int s = 0; s < plan->step_count; s++) {
        const struct apx_step *step = plan->steps[s];
        struct apx_cuda_step *here = &program->steps[s];
        if (here->is_on_host || step->type->cuda->packed_bound == NULL)
            continue;
        here->offset = end;
        here->bytes = step->type->cuda->packed_bound(step, &here->choice);
        end += round_up(here->bytes);
    }
    program->weights_bytes = end > 0 ? end : ALIGN;
    return APX_OK;
}

/* All of it in host memory, as it is to be uploaded. */
static enum apx_status pack(struct apx_cuda_program *program, char *image, struct apx_error *error)
{
    const struct apx_program *plan = program->plan;
    static const int64_t none[APX_MAX_SYMBOLS];
    size_t bytes = 0;
    for (int i = 0; i < plan->slot_count; i++)
        if (program->home[i] == APX_CUDA_CONSTANT &&
            apx_cuda_slot_bytes(&plan->slots[i], none, &bytes) && bytes > 0)
            memcpy(image + program->constant[i], plan->slots[i].data, bytes);
    for (int s = 0; s < plan->step_count; s++) {
        const struct apx_step *step = plan->steps[s];
        struct apx_cuda_step *here = &program->steps[s];
        if (here->is_on_host || step->type->cuda->packed_bound == NULL)
            continue;
        const struct apx_step_cuda *class = step->type->cuda;
        here->bytes = class->pack(step, &here->choice, image + here->offset);
        if (class->header_bytes == 0)
            continue;
        here->header = apx_alloc(program->allocator, 1, class->header_bytes);
        if (here->header == NULL)
            return apx_fail(error, APX_ENOMEM, "", "out of memory");
        memcpy(here->header, image + here->offset, class->header_bytes);
    }
    return APX_OK;
}

static enum apx_status upload(struct apx_cuda_program *program, const char *image,
                              struct apx_error *error)
{
    const struct apx_cuda_driver *driver = program->machine.driver;
    for (int i = 0; i < program->machine.count; i++) {
        void *stream = NULL;
        int code = driver->use(program->machine.device[i].index);
        if (code == 0)
            code = driver->alloc(program->weights_bytes, &program->weights[i]);
        if (code == 0)
            code = driver->stream_create(&stream);
        if (code == 0)
            code = driver->copy_in(program->weights[i], image, program->weights_bytes, stream);
        if (code == 0)
            code = driver->stream_wait(stream);
        driver->stream_destroy(stream);
        if (code != 0)
            return apx_cuda_fail(driver, code, "loading a model", error);
    }
    return APX_OK;
}

static enum apx_status load_weights(struct apx_cuda_program *program, struct apx_error *error)
{
    enum apx_status status = lay_out_weights(program, error);
    if (status != APX_OK)
        return status;
    char *image = apx_alloc(program->allocator, 1, program->weights_bytes);
    if (image == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for %zu bytes of weights",
                        program->weights_bytes);
    status = pack(program, image, error);
    if (status == APX_OK)
        status = upload(program, image, error);
    apx_release(program->allocator, image);
    return status;
}

/* ---- create ---------------------------------------------------------------------------------- */

static enum apx_status fill(struct apx_cuda_program *program, struct apx_error *error)
{
    const struct apx_allocator *allocator = program->allocator;
    size_t steps = (size_t)program->plan->step_count, slots = (size_t)program->plan->slot_count;
    program->steps = apx_alloc(allocator, steps, sizeof *program->steps);
    program->home = apx_alloc(allocator, slots, sizeof *program->home);
    program->constant = apx_alloc(allocator, slots, sizeof *program->constant);
    bool *of_host = apx_alloc(allocator, slots, sizeof *of_host);
    enum apx_status status;
    if (program->steps == NULL || program->home == NULL || program->constant == NULL ||
        of_host == NULL)
        status = apx_fail(error, APX_ENOMEM, "", "out of memory");
    else
        status = choose(program, of_host, error);
    apx_release(allocator, of_host);
    if (status != APX_OK)
        return status;
    find_homes(program);
    program->lengths_input = find_lengths(program);
    apx_cuda_stack_find(program);
    return load_weights(program, error);
}

enum apx_status apx_cuda_program_create(const struct apx_graph *graph,
                                        const struct apx_compile_options *options,
                                        struct apx_cuda_program **out, struct apx_error *error)
{
    *out = NULL;
    struct apx_cuda_program *program = apx_alloc(options->allocator, 1, sizeof *program);
    if (program == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    program->allocator = options->allocator;
    enum apx_status status = apx_cuda_open(options->cuda, &program->machine, error);
    if (status == APX_OK)
        status = apx_plan_lower(graph, options, true, &program->plan, error);
    if (status == APX_OK) {
        program->place.driver = program->machine.driver;
        program->place.device = program->machine.device[0];
        program->place.precision = options->precision != NULL ? options->precision : "fp32";
        status = fill(program, error);
        program->place.precision = NULL; /* the caller's text; the rows are chosen */
    }
    if (status != APX_OK) {
        apx_cuda_program_destroy(program);
        return status;
    }
    *out = program;
    return APX_OK;
}

void apx_cuda_program_destroy(struct apx_cuda_program *program)
{
    if (program == NULL)
        return;
    const struct apx_cuda_driver *driver = program->machine.driver;
    for (int i = 0; i < program->machine.count; i++)
        driver->release(program->weights[i]);
    for (int s = 0; program->steps != NULL && s < program->plan->step_count; s++)
        apx_release(program->allocator, program->steps[s].header);
    apx_release(program->allocator, program->steps);
    apx_release(program->allocator, program->home);
    apx_release(program->allocator, program->constant);
    apx_plan_destroy(program->plan);
    apx_release(program->allocator, program);
}

/* ---- extents --------------------------------------------------------------------------------- */

int64_t apx_cuda_bucket(int64_t rows)
{
    int64_t step = 1;
    while (rows > 8 * step)
        step *= 2;
    return (rows + step - 1) / step * step;
}

void apx_cuda_symbols(const struct apx_cuda_program *program, const int64_t *symbols, int64_t rows,
                      int64_t *out)
{
    int64_t whole[APX_MAX_SYMBOLS];
    memcpy(whole, symbols, sizeof whole);
    if (program->plan->row_symbol >= 0)
        whole[program->plan->row_symbol] = rows;
    apx_bind_symbols(program->plan, whole, rows, out);
}

bool apx_cuda_slot_bytes(const struct apx_slot *slot, const int64_t *symbols, size_t *bytes)
{
    int64_t elements;
    if (!apx_dim_evaluate(&slot->elements, symbols, &elements) || elements < 0 ||
        elements > APX_LIMIT_ELEMENTS * 64)
        return false;
    *bytes = (size_t)elements * apx_dtype_size(slot->dtype);
    return true;
}

/* ---- cost ------------------------------------------------------------------------------------ */

/* Nominal, until they are measured on the machine at hand: a call that is enqueued and waited for,
 * a core copying into pinned memory, and the bus. */
#define CALL_SECONDS 12e-6
#define STAGE_RATE   10e9
#define BUS_RATE     20e9
#define HOST_RATE    1e9 /* operations a second of steps that run on the host */

double apx_cuda_step_seconds(const struct apx_cuda_program *program, int s, const int64_t *symbols)
{
    const struct apx_step *step = program->plan->steps[s];
    const struct apx_cuda_step *here = &program->steps[s];
    struct apx_bound bounds[APX_BIND_OPERANDS];
    const struct apx_bound *in = bounds, *out = bounds + step->in_count;
    if (!apx_bind_operands(step, symbols, bounds))
        return INFINITY;
    if (here->is_on_host)
        return (double)apx_bound_count(out) / HOST_RATE;
    if (step->type->cuda->seconds != NULL)
        return APX_CUDA_STEP_SECONDS + step->type->cuda->seconds(step, &program->place,
                                                                 &here->choice, here->header, in,
                                                                 out);
    double bytes = 0;
    for (int i = 0; i < step->in_count + step->out_count; i++)
        if (operand(step, i) != NULL)
            bytes += (double)apx_bound_count(&bounds[i]) *
                     (double)apx_dtype_size(operand(step, i)->dtype);
    double rate = program->place.device.memory_rate;
    return APX_CUDA_STEP_SECONDS + bytes / (rate > 0 ? rate : 1e12);
}

/* Of a step on the device; 0: none. */
static size_t scratch_bytes(const struct apx_cuda_program *program, int s,
                            const struct apx_bound *bounds)
{
    const struct apx_step *step = program->plan->steps[s];
    const struct apx_cuda_step *here = &program->steps[s];
    if (here->is_on_host || step->type->cuda->scratch == NULL)
        return 0;
    return step->type->cuda->scratch(step, &here->choice, here->header, bounds,
                                     bounds + step->in_count);
}

void apx_cuda_measure(const struct apx_cuda_program *program, const int64_t *batch_symbols,
                      int64_t rows, struct apx_cuda_cost *out)
{
    const struct apx_program *plan = program->plan;
    struct apx_bound bounds[APX_BIND_OPERANDS];
    int64_t symbols[APX_MAX_SYMBOLS];
    apx_cuda_symbols(program, batch_symbols, apx_cuda_bucket(rows), symbols);
    size_t scratch = 0; /* one for all steps, the largest */
    *out = (struct apx_cuda_cost){.seconds = CALL_SECONDS};
    for (int s = 0; s < plan->step_count;) {
        double seconds;
        s += apx_cuda_stack_take(program, s, symbols, &seconds);
        out->seconds += seconds;
    }
    for (int s = 0; s < plan->step_count; s++) {
        const struct apx_step *step = plan->steps[s];
        if (!apx_bind_operands(step, symbols, bounds)) {
            *out = (struct apx_cuda_cost){.seconds = INFINITY};
            return;
        }
        const size_t bytes = scratch_bytes(program, s, bounds);
        scratch = bytes > scratch ? bytes : scratch;
        out->flops += step->type->flops != NULL
                          ? step->type->flops(step, bounds, bounds + step->in_count)
                          : (double)apx_bound_count(bounds + step->in_count);
    }
    for (int i = 0; i < plan->slot_count; i++) {
        size_t bytes = 0;
        const enum apx_cuda_home home = program->home[i];
        if (home == APX_CUDA_CONSTANT || home == APX_CUDA_NOWHERE)
            continue;
        if (!apx_cuda_slot_bytes(&plan->slots[i], symbols, &bytes)) {
            *out = (struct apx_cuda_cost){.seconds = INFINITY};
            return;
        }
        out->in_bytes += home == APX_CUDA_IN ? (double)bytes : 0;
        out->out_bytes += home == APX_CUDA_OUT ? (double)bytes : 0;
        out->device_bytes += home != APX_CUDA_HOST && home != APX_CUDA_RESULT ? (double)bytes : 0;
    }
    out->device_bytes += (double)scratch;
    out->seconds += (out->in_bytes + out->out_bytes) * (1 / STAGE_RATE + 1 / BUS_RATE);
}

double apx_cuda_recurrent_seconds(const struct apx_cuda_program *program,
                                  const int64_t *batch_symbols, int64_t rows, int64_t *steps)
{
    struct apx_bound bounds[APX_BIND_OPERANDS];
    int64_t symbols[APX_MAX_SYMBOLS];
    double seconds = 0, time;
    apx_cuda_symbols(program, batch_symbols, rows, symbols);
    *steps = 0;
    for (int s = 0, taken; s < program->plan->step_count; s += taken) {
        taken = 1;
        if (!takes_lengths(program, s))
            continue;
        if (!apx_bind_operands(program->plan->steps[s], symbols, bounds)) {
            *steps = 0;
            return 0;
        }
        const int64_t own = bounds[APX_RNN_X].extent[0];
        *steps = own > *steps ? own : *steps;
        taken = apx_cuda_stack_take(program, s, symbols, &time); /* all with these lengths */
        seconds += time;
    }
    return seconds;
}

double apx_cuda_step_flops(const struct apx_cuda_program *program, int s,
                           const int64_t *batch_symbols)
{
    const struct apx_step *step = program->plan->steps[s];
    struct apx_bound bounds[APX_BIND_OPERANDS];
    int64_t symbols[APX_MAX_SYMBOLS];
    apx_cuda_symbols(program, batch_symbols, 1, symbols);
    if (!apx_bind_operands(step, symbols, bounds))
        return 0;
    const struct apx_bound *in = bounds, *out = bounds + step->in_count;
    return step->type->flops != NULL ? step->type->flops(step, in, out)
                                     : (double)apx_bound_count(out);
}
