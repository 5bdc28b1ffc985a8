/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_engine.c - a slice to the device and back.
 *
 * On the device there is one block, whose parts lie so that each way is one copy:
 *
 *     inputs | fault | outputs | scratch | arena
 *     -- to the device --
 *              -- to the host ----
 *
 * and pinned blocks that mirror the two ways. The fault word comes down as zero and goes back as
 * the kernels left it. A shape's graph has all addresses in it, so that the graphs go when a block
 * moves. */
#include "runtime/device/cuda_engine.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/device/bind_steps.h"
#include "runtime/device/cuda_stack.h"
#include "runtime/device/cuda_stage.h"
#include "runtime/device/row_order.h"

#define ALIGN ((size_t)256)
#define FAULT ALIGN /* bytes around the fault word */

struct shape {
    bool is_valid, has_failed_capture;
    unsigned long last_use; /* of the engine's clock */
    unsigned runs;
    int64_t symbols[APX_MAX_SYMBOLS]; /* as steps see them */
    int64_t bucket;
    size_t *offset; /* [slot_count] from the start of the home's block */
    char *args;
    size_t in_bytes, out_bytes, scratch, device_bytes, host_bytes;
    void *graph;
    int64_t order_steps; /* that rows of its recurrent layers take at most */
    double order_gain;   /* seconds to be saved at the most if rows end together; 0: rows stay */
};

struct apx_cuda_engine {
    const struct apx_cuda_program *program;
    int device;
    void *stream;
    char *memory; /* on the device */
    size_t memory_bytes;
    char *pinned_in, *pinned_out; /* in_bytes + FAULT, FAULT + out_bytes */
    size_t pinned_in_bytes, pinned_out_bytes;
    char *host;
    size_t host_bytes;
    struct apx_frame host_frame;
    struct apx_cuda_frame frame;
    size_t *bytes;   /* [slot_count] work space */
    int *order;      /* likewise */
    int32_t *places; /* work space of row_order.h */
    int64_t place_count;
    unsigned long clock;
    struct apx_cuda_counts counts;
    struct shape shapes[APX_CUDA_SHAPES];
};

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* ---- create ---------------------------------------------------------------------------------- */

static bool take_host_memory(struct apx_cuda_engine *engine)
{
    const struct apx_program *plan = engine->program->plan;
    const struct apx_allocator *allocator = engine->program->allocator;
    size_t slots = (size_t)plan->slot_count;
    engine->host_frame.slot = apx_alloc(allocator, slots, sizeof *engine->host_frame.slot);
    engine->host_frame.is_narrow =
        apx_alloc(allocator, slots, sizeof *engine->host_frame.is_narrow);
    engine->frame.frame.slot = apx_alloc(allocator, slots, sizeof *engine->frame.frame.slot);
    engine->bytes = apx_alloc(allocator, slots, sizeof *engine->bytes);
    engine->order = apx_alloc(allocator, slots, sizeof *engine->order);
    bool ok = engine->host_frame.slot != NULL && engine->host_frame.is_narrow != NULL &&
              engine->frame.frame.slot != NULL && engine->bytes != NULL && engine->order != NULL;
    for (int i = 0; i < APX_CUDA_SHAPES && ok; i++) {
        engine->shapes[i].offset = apx_alloc(allocator, slots, sizeof *engine->shapes[i].offset);
        engine->shapes[i].args = apx_alloc(allocator, 1, plan->args_bytes);
        ok = engine->shapes[i].offset != NULL && engine->shapes[i].args != NULL;
    }
    return ok;
}

enum apx_status apx_cuda_engine_create(const struct apx_cuda_program *program, int device,
                                       struct apx_cuda_engine **out, struct apx_error *error)
{
    const struct apx_cuda_driver *driver = program->machine.driver;
    *out = NULL;
    struct apx_cuda_engine *engine = apx_alloc(program->allocator, 1, sizeof *engine);
    if (engine == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    engine->program = program;
    engine->device = device;
    if (!take_host_memory(engine)) {
        apx_cuda_engine_destroy(engine);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    int code = driver->use(program->machine.device[device].index);
    if (code == 0)
        code = driver->stream_create(&engine->stream);
    if (code != 0) {
        apx_cuda_engine_destroy(engine);
        return apx_cuda_fail(driver, code, "starting a stream", error);
    }
    *out = engine;
    return APX_OK;
}

static void drop_graphs(struct apx_cuda_engine *engine)
{
    for (int i = 0; i < APX_CUDA_SHAPES; i++) {
        engine->program->machine.driver->graph_destroy(engine->shapes[i].graph);
        engine->shapes[i].graph = NULL;
    }
}

void apx_cuda_engine_destroy(struct apx_cuda_engine *engine)
{
    if (engine == NULL)
        return;
    const struct apx_cuda_program *program = engine->program;
    const struct apx_cuda_driver *driver = program->machine.driver;
    const struct apx_allocator *allocator = program->allocator;
    driver->stream_destroy(engine->stream);
    drop_graphs(engine);
    driver->release(engine->memory);
    driver->host_release(engine->pinned_in);
    driver->host_release(engine->pinned_out);
    for (int i = 0; i < APX_CUDA_SHAPES; i++) {
        apx_release(allocator, engine->shapes[i].offset);
        apx_release(allocator, engine->shapes[i].args);
    }
    apx_release(allocator, engine->host);
    apx_release(allocator, engine->places);
    apx_release(allocator, engine->host_frame.slot);
    apx_release(allocator, engine->host_frame.is_narrow);
    apx_release(allocator, engine->frame.frame.slot);
    apx_release(allocator, engine->bytes);
    apx_release(allocator, engine->order);
    apx_release(allocator, engine);
}

int apx_cuda_engine_device(const struct apx_cuda_engine *engine)
{
    return engine->device;
}

struct apx_cuda_counts apx_cuda_engine_counts(const struct apx_cuda_engine *engine)
{
    return engine->counts;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static enum apx_status find_scratch(const struct apx_cuda_program *program, struct shape *shape,
                                    struct apx_error *error)
{
    struct apx_bound bounds[APX_BIND_OPERANDS];
    size_t device = 0, host = 0;
    for (int s = 0; s < program->plan->step_count; s++) {
        const struct apx_step *step = program->plan->steps[s];
        const struct apx_cuda_step *here = &program->steps[s];
        if (!apx_bind_operands(step, shape->symbols, bounds))
            return apx_bind_refuse(program->plan, step, error);
        const struct apx_bound *in = bounds, *out = bounds + step->in_count;
        size_t bytes = 0;
        if (here->is_on_host) {
            bytes = step->type->scratch != NULL ? step->type->scratch(step, in, out) : 0;
            host = bytes > host ? bytes : host;
        } else if (step->type->cuda->scratch != NULL) {
            bytes = step->type->cuda->scratch(step, &here->choice, here->header, in, out);
            device = bytes > device ? bytes : device;
        }
    }
    shape->scratch = round_up(device);
    shape->host_bytes = round_up(host) + ALIGN; /* never empty */
    return APX_OK;
}

/* Places of the slots of these homes that are needed for a while only, from `start` on; returns
 * the end. */
static size_t lay_out(struct apx_cuda_engine *engine, struct shape *shape, enum apx_cuda_home home,
                      size_t start)
{
    const struct apx_cuda_program *program = engine->program;
    const struct apx_program *plan = program->plan;
    for (int i = 0; i < plan->slot_count; i++) {
        size_t bytes = 0;
        if (program->home[i] == home)
            apx_cuda_slot_bytes(&plan->slots[i], shape->symbols, &bytes);
        engine->bytes[i] = program->home[i] == home ? round_up(bytes + 1) : 0;
    }
    size_t end = start + apx_arena_layout(plan, engine->bytes, shape->offset, engine->order);
    for (int i = 0; i < plan->slot_count; i++)
        if (program->home[i] == home)
            shape->offset[i] += start;
    return end;
}

/* The same for slots that are there from first to last, behind one another. */
static size_t line_up(const struct apx_cuda_program *program, struct shape *shape,
                      enum apx_cuda_home home, size_t end)
{
    for (int i = 0; i < program->plan->slot_count; i++) {
        size_t bytes = 0;
        if (program->home[i] != home)
            continue;
        apx_cuda_slot_bytes(&program->plan->slots[i], shape->symbols, &bytes);
        shape->offset[i] = end;
        end += round_up(bytes);
    }
    return end;
}

#define MOST_ORDER_STEPS (1 << 20) /* work space is a word a step */

/* Beyond what one row takes alone, which is the chain of its steps, whoever ends beside it. */
static void weigh_order(const struct apx_cuda_program *program, struct shape *shape)
{
    int64_t steps;
    shape->order_gain = 0;
    if (program->lengths_input < 0)
        return;
    const double one = apx_cuda_recurrent_seconds(program, shape->symbols, 1, &steps);
    const double all =
        apx_cuda_recurrent_seconds(program, shape->symbols, shape->bucket, &shape->order_steps);
    if (all > one && shape->order_steps <= MOST_ORDER_STEPS)
        shape->order_gain = all - one;
}

static enum apx_status bind(struct apx_cuda_engine *engine, struct shape *shape,
                            const int64_t *symbols, int64_t bucket, struct apx_error *error)
{
    const struct apx_cuda_program *program = engine->program;
    program->machine.driver->graph_destroy(shape->graph);
    shape->graph = NULL;
    shape->is_valid = shape->has_failed_capture = false;
    shape->runs = 0;
    shape->bucket = bucket;
    memcpy(shape->symbols, symbols, sizeof shape->symbols);
    for (int i = 0; i < program->plan->slot_count; i++) {
        size_t bytes;
        if (program->home[i] != APX_CUDA_NOWHERE &&
            !apx_cuda_slot_bytes(&program->plan->slots[i], symbols, &bytes))
            return apx_bind_too_large(error);
    }
    enum apx_status status = find_scratch(program, shape, error);
    if (status == APX_OK)
        status = apx_bind_steps(program->plan, symbols, bucket, shape->args, error);
    if (status != APX_OK)
        return status;
    shape->host_bytes = line_up(program, shape, APX_CUDA_RESULT, shape->host_bytes);
    shape->host_bytes = lay_out(engine, shape, APX_CUDA_HOST, shape->host_bytes);
    shape->in_bytes = line_up(program, shape, APX_CUDA_IN, 0);
    shape->out_bytes = line_up(program, shape, APX_CUDA_OUT, 0);
    size_t start = shape->in_bytes + FAULT + shape->out_bytes + shape->scratch;
    shape->device_bytes = lay_out(engine, shape, APX_CUDA_ARENA, start);
    weigh_order(program, shape);
    shape->is_valid = true;
    return APX_OK;
}

static enum apx_status find_shape(struct apx_cuda_engine *engine, const int64_t *batch_symbols,
                                  int64_t rows, struct shape **out, struct apx_error *error)
{
    const struct apx_cuda_program *program = engine->program;
    int64_t symbols[APX_MAX_SYMBOLS];
    const int64_t bucket = program->plan->row_symbol >= 0 ? apx_cuda_bucket(rows) : rows;
    apx_cuda_symbols(program, batch_symbols, bucket, symbols);
    struct shape *oldest = &engine->shapes[0];
    for (int i = 0; i < APX_CUDA_SHAPES; i++) {
        struct shape *shape = &engine->shapes[i];
        if (shape->is_valid && shape->bucket == bucket &&
            memcmp(shape->symbols, symbols, sizeof symbols) == 0) {
            *out = shape;
            shape->last_use = ++engine->clock;
            return APX_OK;
        }
        if (oldest->is_valid && (!shape->is_valid || shape->last_use < oldest->last_use))
            oldest = shape;
    }
    *out = oldest;
    oldest->last_use = ++engine->clock;
    return bind(engine, oldest, symbols, bucket, error);
}

/* ---- room ------------------------------------------------------------------------------------ */

static enum apx_status grow(struct apx_cuda_engine *engine, size_t need, bool is_pinned,
                            char **memory, size_t *bytes, struct apx_error *error)
{
    const struct apx_cuda_driver *driver = engine->program->machine.driver;
    void *fresh = NULL;
    if (need <= *bytes)
        return APX_OK;
    drop_graphs(engine);
    (is_pinned ? driver->host_release : driver->release)(*memory);
    *memory = NULL;
    *bytes = 0;
    int code = (is_pinned ? driver->host_alloc : driver->alloc)(need, &fresh);
    if (code != 0)
        return apx_cuda_fail(driver, code,
                             is_pinned ? "asking for pinned memory of a batch"
                                       : "asking for memory of a batch",
                             error);
    *memory = fresh;
    *bytes = need;
    return APX_OK;
}

static enum apx_status grow_places(struct apx_cuda_engine *engine, const struct shape *shape,
                                   struct apx_error *error)
{
    const struct apx_allocator *allocator = engine->program->allocator;
    const int64_t need = shape->order_gain > 0 ? shape->bucket + shape->order_steps + 1 : 0;
    if (need <= engine->place_count)
        return APX_OK;
    apx_release(allocator, engine->places);
    engine->place_count = 0;
    engine->places = apx_alloc(allocator, (size_t)need, sizeof *engine->places);
    if (engine->places == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for the order of %lld rows",
                        (long long)shape->bucket);
    engine->place_count = need;
    return APX_OK;
}

static enum apx_status make_room(struct apx_cuda_engine *engine, const struct shape *shape,
                                 struct apx_error *error)
{
    const struct apx_allocator *allocator = engine->program->allocator;
    const size_t memory = engine->program->machine.device[engine->device].memory_bytes;
    const size_t weights = engine->program->weights_bytes;
    if (weights > memory || shape->device_bytes > memory - weights)
        return apx_fail(error, APX_ENOMEM, "device",
                        "device \"cuda\": a batch of %lld rows needs %zu bytes of the GPU's memory "
                        "and its model %zu, of %zu in all: use smaller batches or device \"cpu\"",
                        (long long)shape->bucket, shape->device_bytes, weights, memory);
    enum apx_status status =
        grow(engine, shape->device_bytes, false, &engine->memory, &engine->memory_bytes, error);
    if (status == APX_OK)
        status = grow(engine, shape->in_bytes + FAULT, true, &engine->pinned_in,
                      &engine->pinned_in_bytes, error);
    if (status == APX_OK)
        status = grow(engine, FAULT + shape->out_bytes, true, &engine->pinned_out,
                      &engine->pinned_out_bytes, error);
    if (status == APX_OK)
        status = grow_places(engine, shape, error);
    if (status != APX_OK || shape->host_bytes <= engine->host_bytes)
        return status;
    apx_release(allocator, engine->host);
    engine->host_bytes = 0;
    engine->host = allocator->alloc(allocator->context, ALIGN, shape->host_bytes);
    if (engine->host == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for an arena of %zu bytes",
                        shape->host_bytes);
    engine->host_bytes = shape->host_bytes;
    return APX_OK;
}

/* Where every slot is, here and there. */
static void place_slots(struct apx_cuda_engine *engine, const struct shape *shape)
{
    const struct apx_cuda_program *program = engine->program;
    char *outputs = engine->memory + shape->in_bytes + FAULT;
    engine->host_frame.scratch = engine->host;
    engine->frame.frame.scratch = outputs + shape->out_bytes;
    engine->frame.fault = (int32_t *)(void *)(engine->memory + shape->in_bytes);
    for (int i = 0; i < program->plan->slot_count; i++) {
        char **here = &engine->host_frame.slot[i], **there = &engine->frame.frame.slot[i];
        *here = *there = NULL;
        switch (program->home[i]) {
        case APX_CUDA_NOWHERE:
            break;
        case APX_CUDA_IN:
            *here = engine->pinned_in + shape->offset[i];
            *there = engine->memory + shape->offset[i];
            break;
        case APX_CUDA_OUT:
            *here = engine->pinned_out + FAULT + shape->offset[i];
            *there = outputs + shape->offset[i];
            break;
        case APX_CUDA_ARENA:
            *there = engine->memory + shape->offset[i];
            break;
        case APX_CUDA_HOST:
        case APX_CUDA_RESULT:
            *here = engine->host + shape->offset[i];
            break;
        case APX_CUDA_CONSTANT: /* steps only read from it */
            memcpy(here, &program->plan->slots[i].data, sizeof *here);
            *there = (char *)program->weights[engine->device] + program->constant[i];
            break;
        }
    }
}

enum apx_status apx_cuda_engine_reserve(struct apx_cuda_engine *engine, const int64_t *symbols,
                                        int64_t rows, struct apx_error *error)
{
    const struct apx_cuda_program *program = engine->program;
    struct shape *shape;
    int code = program->machine.driver->use(program->machine.device[engine->device].index);
    if (code != 0)
        return apx_cuda_fail(program->machine.driver, code, "choosing the GPU", error);
    enum apx_status status = find_shape(engine, symbols, rows, &shape, error);
    return status == APX_OK ? make_room(engine, shape, error) : status;
}

/* ---- the order of rows ----------------------------------------------------------------------- */

/* Where in the buffers each of the staging's rows goes; NULL: they stay as they come. */
static const int32_t *place_rows(struct apx_cuda_engine *engine, const struct shape *shape,
                                 const struct apx_cuda_staging *staging)
{
    if (shape->order_gain <= 0)
        return NULL;
    const double cost = apx_cuda_order_seconds(staging);
    if (shape->order_gain <= cost)
        return NULL;
    const struct apx_slice *slice = staging->slice;
    const struct apx_tensor *lengths = &slice->inputs[engine->program->lengths_input];
    const char *first =
        (const char *)lengths->data + (size_t)slice->row * apx_dtype_size(lengths->dtype);
    const double saved =
        apx_row_order(first, lengths->dtype, slice->rows, shape->order_steps, engine->places);
    if (saved * shape->order_gain <= cost)
        return NULL;
    engine->counts.ordered++;
    return engine->places;
}

/* ---- run ------------------------------------------------------------------------------------- */

/* Copy, steps, copy: enqueued, or captured if the stream is capturing. *step is the one that
 * failed, or NULL. */
static int enqueue(struct apx_cuda_engine *engine, const struct shape *shape,
                   const struct apx_step **step)
{
    const struct apx_cuda_program *program = engine->program;
    const struct apx_cuda_driver *driver = program->machine.driver;
    struct apx_cuda_frame *frame = &engine->frame;
    struct apx_cuda_place place = program->place;
    place.device = program->machine.device[engine->device];
    frame->place = &place;
    frame->stream = engine->stream;
    *step = NULL;
    int code =
        driver->copy_in(engine->memory, engine->pinned_in, shape->in_bytes + FAULT, engine->stream);
    const char *weights = program->weights[engine->device];
    for (int s = 0, taken = 1; s < program->plan->step_count && code == 0; s += taken) {
        const struct apx_cuda_step *here = &program->steps[s];
        taken = apx_cuda_stack_take(program, s, shape->symbols, NULL);
        if (here->is_on_host)
            continue;
        *step = program->plan->steps[s];
        frame->choice = here->choice;
        frame->header = here->header;
        frame->packed = weights + here->offset;
        code = taken > 1
                   ? apx_cuda_stack_launch(program, s, taken, shape->args, weights, frame)
                   : (*step)->type->cuda->launch(*step, shape->args + (*step)->args_offset, frame);
    }
    frame->place = NULL;
    if (code != 0)
        return code;
    *step = NULL;
    return driver->copy_out(engine->pinned_out, engine->memory + shape->in_bytes,
                            FAULT + shape->out_bytes, engine->stream);
}

/* A shape that comes again gets a graph; where that fails it goes on step by step. */
static void capture(struct apx_cuda_engine *engine, struct shape *shape)
{
    const struct apx_cuda_driver *driver = engine->program->machine.driver;
    const struct apx_step *step;
    void *graph = NULL;
    shape->has_failed_capture = true;
    if (driver->capture_begin(engine->stream) != 0)
        return;
    int code = enqueue(engine, shape, &step);
    int end = driver->capture_end(engine->stream, &graph); /* in any case */
    if (code != 0 || end != 0) {
        driver->graph_destroy(graph);
        return;
    }
    shape->graph = graph;
    shape->has_failed_capture = false;
    engine->counts.captured++;
}

static enum apx_status run_device(struct apx_cuda_engine *engine, struct shape *shape,
                                  struct apx_error *error)
{
    const struct apx_cuda_program *program = engine->program;
    const struct apx_cuda_driver *driver = program->machine.driver;
    const struct apx_step *step = NULL;
    if (shape->graph == NULL && shape->runs > 0 && !shape->has_failed_capture)
        capture(engine, shape);
    shape->runs = 1;
    int code;
    if (shape->graph != NULL) {
        engine->counts.launched++;
        code = driver->graph_launch(shape->graph, engine->stream);
    } else {
        engine->counts.direct++;
        code = enqueue(engine, shape, &step);
    }
    /* Whatever was enqueued before a failure still uses the buffers. */
    int waited = driver->stream_wait(engine->stream);
    if (code == APX_CUDA_CANNOT)
        return apx_fail(error, APX_EUNSUPPORTED, apx_bind_name(program->plan, step),
                        "%s: device \"cuda\" has no kernel for these extents; use device \"cpu\"",
                        apx_bind_name(program->plan, step));
    code = code != 0 ? code : waited;
    return code != 0 ? apx_cuda_fail(driver, code, "running the model", error) : APX_OK;
}

static enum apx_status run_host(struct apx_cuda_engine *engine, const struct shape *shape,
                                struct apx_error *error)
{
    const struct apx_cuda_program *program = engine->program;
    engine->host_frame.fault = NULL;
    for (int s = 0; s < program->plan->step_count; s++) {
        const struct apx_step *step = program->plan->steps[s];
        if (!program->steps[s].is_on_host)
            continue;
        step->type->run(step, shape->args + step->args_offset, &engine->host_frame);
        if (engine->host_frame.fault != NULL)
            return apx_fail(error, APX_EINVAL, apx_bind_name(program->plan, step),
                            "%s (node \"%s\")", engine->host_frame.fault,
                            apx_bind_name(program->plan, step));
    }
    return APX_OK;
}

enum apx_status apx_cuda_engine_run(struct apx_cuda_engine *engine, const struct apx_slice *slice,
                                    struct apx_error *error)
{
    const struct apx_cuda_program *program = engine->program;
    const struct apx_cuda_driver *driver = program->machine.driver;
    struct shape *shape;
    int32_t fault;
    int code = driver->use(program->machine.device[engine->device].index);
    if (code != 0)
        return apx_cuda_fail(driver, code, "choosing the GPU", error);
    enum apx_status status = find_shape(engine, slice->symbols, slice->rows, &shape, error);
    if (status == APX_OK)
        status = make_room(engine, shape, error);
    if (status != APX_OK)
        return status;
    place_slots(engine, shape);
    struct apx_cuda_staging staging = {.program = program,
                                       .symbols = shape->symbols,
                                       .bucket = shape->bucket,
                                       .slice = slice,
                                       .slot = engine->host_frame.slot};
    staging.place = place_rows(engine, shape, &staging);
    memset(engine->pinned_in + shape->in_bytes, 0, FAULT);
    apx_cuda_stage(&staging);
    status = run_device(engine, shape, error);
    if (status != APX_OK)
        return status;
    memcpy(&fault, engine->pinned_out, sizeof fault);
    if (fault != 0)
        return apx_fail(error, APX_EINVAL, "",
                        "a sequence length is negative or longer than the sequence");
    status = run_host(engine, shape, error);
    if (status == APX_OK)
        apx_cuda_unstage(&staging);
    return status;
}
