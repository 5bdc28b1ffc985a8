/* SPDX-License-Identifier: Apache-2.0 */
/* learner.c - minibatch to gradient to step.
 *
 * The buffers of a minibatch's chunks are bounded in number: a large minibatch goes through in
 * waves whose sums are added in order, which gives the bits of one wave. */
#include "train/learner.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

enum {
    WAVE = 32,     /* chunks whose gradients are held at once */
    RANGE = 16384, /* parameters that one task adds up or steps */
};

static size_t pieces(size_t count, size_t size)
{
    return (count + size - 1) / size;
}

static size_t piece_size(size_t count, size_t size, size_t piece)
{
    size_t left = count - piece * size;
    return left < size ? left : size;
}

enum apx_status apx_learner_init(struct apx_learner *learner, const struct apx_net *net,
                                 const struct apx_learner_data *data, struct apx_crew *crew,
                                 const struct apx_learner_options *options, struct apx_error *error)
{
    const struct apx_allocator *heap = apx_allocator_default();
    enum apx_status status = APX_OK;
    size_t count = net->parameters, threads = (size_t)apx_crew_threads(crew);
    *learner = (struct apx_learner){.net = net, .data = data, .crew = crew, .options = *options};
    learner->buffer_count = pieces(options->batch, APX_NET_CHUNK);
    if (learner->buffer_count > WAVE)
        learner->buffer_count = WAVE;
    learner->params = apx_alloc(heap, count, sizeof(float));
    learner->gradient = apx_alloc(heap, count, sizeof(float));
    learner->m = apx_alloc(heap, count, sizeof(float));
    learner->v = apx_alloc(heap, count, sizeof(float));
    learner->buffers = apx_alloc(heap, learner->buffer_count * count, sizeof(float));
    learner->sums = apx_alloc(heap, pieces(count, RANGE) + learner->buffer_count, sizeof(double));
    learner->works = apx_alloc(heap, threads, sizeof *learner->works);
    if (learner->params == NULL || learner->gradient == NULL || learner->m == NULL ||
        learner->v == NULL || learner->buffers == NULL || learner->sums == NULL ||
        learner->works == NULL) {
        status =
            apx_fail(error, APX_ENOMEM, "", "out of memory for a network of %zu parameters", count);
        goto fail;
    }
    for (size_t i = 0; i < threads; i++) {
        status = apx_net_work_init(&learner->works[i], net, error);
        if (status != APX_OK)
            goto fail;
    }
    status = apx_net_start(net, options->seed, learner->params, error);
    if (status != APX_OK)
        goto fail;
    return APX_OK;
fail:
    apx_learner_fini(learner);
    return status;
}

void apx_learner_fini(struct apx_learner *learner)
{
    const struct apx_allocator *heap = apx_allocator_default();
    if (learner->works != NULL) {
        for (int i = 0; i < apx_crew_threads(learner->crew); i++)
            apx_net_work_fini(&learner->works[i]);
    }
    apx_release(heap, learner->works);
    apx_release(heap, learner->sums);
    apx_release(heap, learner->buffers);
    apx_release(heap, learner->v);
    apx_release(heap, learner->m);
    apx_release(heap, learner->gradient);
    apx_release(heap, learner->params);
    *learner = (struct apx_learner){0};
}

/* Windows lie one after another in the data; the network wants all rows of a step together. */
static void gather(const struct apx_learner_data *data, const size_t *windows, size_t rows,
                   float *x)
{
    size_t features = data->features;
    for (size_t row = 0; row < rows; row++) {
        const float *from = data->x + windows[row] * features;
        for (size_t t = 0; t < data->steps; t++)
            memcpy(x + (t * rows + row) * features, from + t * features, features * sizeof *x);
    }
}

/* The targets of a window lie together: horizon rows of `targets`. */
static const float *targets_of(const struct apx_learner_data *data, size_t window)
{
    return data->y + (window + data->steps) * data->targets;
}

/* Sum of the loss over count elements; its derivative times `scale` to slope unless NULL. */
static double loss_sum(const struct apx_learner_options *options, size_t count, const float *out,
                       const float *target, float scale, float *slope)
{
    double sum = 0;
    float delta = options->huber_delta;
    for (size_t k = 0; k < count; k++) {
        float e = out[k] - target[k], size = fabsf(e), d = 0;
        switch (options->loss) {
        case APX_LOSS_MSE:
            sum += (double)e * (double)e;
            d = 2.0f * e;
            break;
        case APX_LOSS_MAE:
            sum += (double)size;
            d = e > 0 ? 1.0f : (e < 0 ? -1.0f : e); /* NaN stays NaN */
            break;
        case APX_LOSS_HUBER:
            if (size <= delta) {
                sum += 0.5 * (double)e * (double)e;
                d = e;
            } else {
                sum += (double)delta * ((double)size - 0.5 * (double)delta);
                d = e > 0 ? delta : (e < 0 ? -delta : e);
            }
            break;
        }
        if (slope != NULL)
            slope[k] = d * scale;
    }
    return sum;
}

struct gradient_job {
    struct apx_learner *learner;
    const size_t *windows;
    size_t count, first_chunk; /* windows in all; chunk number of buffer 0 */
    uint64_t epoch;
    float scale;
};

static void chunk_gradient(void *context, int worker, size_t task)
{
    const struct gradient_job *job = context;
    struct apx_learner *learner = job->learner;
    const struct apx_learner_options *options = &learner->options;
    struct apx_net_work *work = &learner->works[worker];
    size_t outputs = learner->net->desc.outputs;
    size_t chunk = job->first_chunk + task;
    const size_t *windows = job->windows + chunk * APX_NET_CHUNK;
    size_t rows = piece_size(job->count, APX_NET_CHUNK, chunk);
    struct apx_net_dropout dropout = {
        .rate = options->dropout, .seed = options->seed, .epoch = job->epoch, .windows = windows};
    gather(learner->data, windows, rows, work->x);
    apx_net_forward(work, learner->params, rows, options->dropout > 0 ? &dropout : NULL);
    double sum = 0;
    for (size_t row = 0; row < rows; row++)
        sum += loss_sum(options, outputs, work->out + row * outputs,
                        targets_of(learner->data, windows[row]), job->scale,
                        work->dout + row * outputs);
    learner->sums[task] = sum;
    apx_net_backward(work, learner->params, rows,
                     learner->buffers + task * learner->net->parameters);
}

struct add_job {
    struct apx_learner *learner;
    size_t buffers;
    bool first;
};

static void add_range(void *context, int worker, size_t task)
{
    const struct add_job *job = context;
    struct apx_learner *learner = job->learner;
    size_t count = learner->net->parameters, size = piece_size(count, RANGE, task);
    float *gradient = learner->gradient + task * RANGE;
    (void)worker;
    for (size_t b = 0; b < job->buffers; b++) {
        const float *part = learner->buffers + b * count + task * RANGE;
        if (b == 0 && job->first) {
            memcpy(gradient, part, size * sizeof *gradient);
            continue;
        }
        for (size_t k = 0; k < size; k++)
            gradient[k] += part[k];
    }
    double norm = 0;
    for (size_t k = 0; k < size; k++)
        norm += (double)gradient[k] * (double)gradient[k];
    learner->sums[learner->buffer_count + task] = norm;
}

double apx_learner_gradient(struct apx_learner *learner, uint64_t epoch, const size_t *windows,
                            size_t count)
{
    assert(count >= 1 && count <= learner->options.batch);
    size_t chunks = pieces(count, APX_NET_CHUNK);
    size_t ranges = pieces(learner->net->parameters, RANGE);
    double elements = (double)count * (double)learner->net->desc.outputs, loss = 0;
    struct gradient_job job = {learner, windows, count, 0, epoch, (float)(1.0 / elements)};
    for (size_t chunk = 0; chunk < chunks; chunk += learner->buffer_count) {
        size_t wave = chunks - chunk;
        if (wave > learner->buffer_count)
            wave = learner->buffer_count;
        job.first_chunk = chunk;
        apx_crew_run(learner->crew, wave, chunk_gradient, &job);
        for (size_t i = 0; i < wave; i++)
            loss += learner->sums[i];
        struct add_job add = {learner, wave, chunk == 0};
        apx_crew_run(learner->crew, ranges, add_range, &add);
    }
    double norm = 0;
    for (size_t i = 0; i < ranges; i++)
        norm += learner->sums[learner->buffer_count + i];
    learner->norm = sqrt(norm);
    return loss / elements;
}

struct adam_job {
    struct apx_learner *learner;
    float shrink, l2, beta1, beta2, step, root, epsilon;
};

static void adam_range(void *context, int worker, size_t task)
{
    const struct adam_job *job = context;
    struct apx_learner *learner = job->learner;
    size_t from = task * RANGE, size = piece_size(learner->net->parameters, RANGE, task);
    float *params = learner->params + from, *m = learner->m + from, *v = learner->v + from;
    const float *gradient = learner->gradient + from;
    size_t weights = learner->net->weights > from ? learner->net->weights - from : 0;
    (void)worker;
    for (size_t k = 0; k < size; k++) {
        float g = gradient[k] * job->shrink + (k < weights ? job->l2 * params[k] : 0.0f);
        m[k] = job->beta1 * m[k] + (1.0f - job->beta1) * g;
        v[k] = job->beta2 * v[k] + (1.0f - job->beta2) * g * g;
        params[k] -= job->step * m[k] / (sqrtf(v[k]) * job->root + job->epsilon);
    }
}

double apx_learner_step(struct apx_learner *learner, uint64_t epoch, double learning_rate,
                        const size_t *windows, size_t count)
{
    const struct apx_learner_options *options = &learner->options;
    double loss = apx_learner_gradient(learner, epoch, windows, count);
    if (!isfinite(loss) || !isfinite(learner->norm))
        return NAN;
    double shrink = 1.0;
    if (options->clip_norm > 0 && learner->norm > options->clip_norm)
        shrink = options->clip_norm / learner->norm;
    learner->steps++;
    /* m / (1 - beta1^t) and v / (1 - beta2^t), folded into the step and into the root. */
    double correct1 = 1.0 - pow(options->beta1, (double)learner->steps);
    double correct2 = 1.0 - pow(options->beta2, (double)learner->steps);
    struct adam_job job = {learner,
                           (float)shrink,
                           (float)options->l2,
                           (float)options->beta1,
                           (float)options->beta2,
                           (float)(learning_rate / correct1),
                           (float)(1.0 / sqrt(correct2)),
                           (float)options->epsilon};
    apx_crew_run(learner->crew, pieces(learner->net->parameters, RANGE), adam_range, &job);
    return loss;
}

struct forecast_job {
    struct apx_learner *learner;
    const float *params;
    const size_t *windows;
    size_t count;
    float *out;
};

static void chunk_forecast(void *context, int worker, size_t chunk)
{
    const struct forecast_job *job = context;
    struct apx_learner *learner = job->learner;
    struct apx_net_work *work = &learner->works[worker];
    size_t outputs = learner->net->desc.outputs;
    size_t rows = piece_size(job->count, APX_NET_CHUNK, chunk);
    gather(learner->data, job->windows + chunk * APX_NET_CHUNK, rows, work->x);
    apx_net_forward(work, job->params, rows, NULL);
    memcpy(job->out + chunk * APX_NET_CHUNK * outputs, work->out,
           rows * outputs * sizeof *work->out);
}

void apx_learner_forecast(struct apx_learner *learner, const float *params, const size_t *windows,
                          size_t count, float *out)
{
    struct forecast_job job = {learner, params, windows, count, out};
    apx_crew_run(learner->crew, pieces(count, APX_NET_CHUNK), chunk_forecast, &job);
}

double apx_learner_loss(const struct apx_learner *learner, const size_t *windows, size_t count,
                        const float *forecasts)
{
    size_t outputs = learner->net->desc.outputs;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += loss_sum(&learner->options, outputs, forecasts + i * outputs,
                        targets_of(learner->data, windows[i]), 0, NULL);
    return sum / ((double)count * (double)outputs);
}
