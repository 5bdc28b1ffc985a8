/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_range.c - scales for layers' inputs from data: the bound that leaves the least mean
 * square error of what is rounded and of what is cut off beyond it.
 *
 * One look at the data fills a histogram of magnitudes whose bins are a 32nd of an octave wide, so
 * it needs no range to begin with. A second look measures, with the bound, what each feature loses:
 * features of very different size share one scale, and the small ones would be gone. */
#include "runtime/cli/quantize_range.h"

#include "runtime/cli/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_ONCE 256

/* Bits of a float that number its bin: exponent and five of the mantissa. */
#define BIN_SHIFT 18
#define BINS      ((size_t)1 << (31 - BIN_SHIFT))

/* A feature may lose so much of its variance: an error of a tenth of its deviation. */
#define MOST_LOSS 0.01
/* Fewer values do not tell how much a feature varies. */
#define LEAST_VALUES 32

struct bin {
    double count, sum, squares; /* of |x| */
};

/* One feature of a layer's input, centred on the first value that was seen. */
struct feature {
    bool is_seen;
    double centre, count, sum, squares, error;
};

struct input {
    struct bin *bins; /* [BINS] */
    float greatest;
    bool is_finite; /* so far */
    float bound;    /* 0: not known yet */
    struct feature *features;
    size_t feature_count;
};

struct look {
    struct input *inputs;
    size_t count;
    int levels;
    bool failed; /* out of memory */
};

static void note(struct input *input, float x)
{
    const float size = fabsf(x);
    uint32_t bits;
    if (isnan(x))
        return;
    if (isinf(x)) {
        input->is_finite = false;
        return;
    }
    memcpy(&bits, &size, sizeof bits);
    struct bin *bin = &input->bins[bits >> BIN_SHIFT];
    bin->count++;
    bin->sum += (double)size;
    bin->squares += (double)size * (double)size;
    input->greatest = fmaxf(input->greatest, size);
}

static void see_sizes(void *context, const struct apx_tensor *outputs)
{
    struct look *look = context;
    for (size_t i = 0; i < look->count; i++) {
        const float *x = outputs[i].data;
        for (size_t k = 0; k < outputs[i].bytes / sizeof *x; k++)
            note(&look->inputs[i], x[k]);
    }
}

/* The mean square error is that of levels of equal distance inside of the bound; what lies beyond
 * becomes the bound. */
static void choose_bound(struct input *input, int levels)
{
    double least = INFINITY, beyond[3] = {0, 0, 0}, inside = 0;
    if (!input->is_finite || input->greatest == 0)
        return;
    for (size_t b = 0; b < BINS; b++)
        inside += input->bins[b].count;
    float bound = input->greatest;
    for (size_t b = BINS; b-- > 0 && bound > 0;) {
        const struct bin *bin = &input->bins[b];
        if (bin->count > 0 || bound == input->greatest) {
            const double size = (double)bound, step = size / levels;
            const double error = inside * step * step / 12 + beyond[2] - 2 * size * beyond[1] +
                                 size * size * beyond[0];
            if (error < least) {
                least = error;
                input->bound = bound;
            }
        }
        inside -= bin->count;
        beyond[0] += bin->count;
        beyond[1] += bin->sum;
        beyond[2] += bin->squares;
        const uint32_t edge = (uint32_t)b << BIN_SHIFT; /* the bin's least number */
        float lower;
        memcpy(&lower, &edge, sizeof lower);
        bound = lower < input->greatest ? lower : input->greatest;
    }
    if (!(input->bound > 0 && isfinite((float)levels / input->bound)))
        input->bound = 0;
}

static void see_features(void *context, const struct apx_tensor *outputs)
{
    struct look *look = context;
    for (size_t i = 0; i < look->count && !look->failed; i++) {
        struct input *input = &look->inputs[i];
        const struct apx_tensor *tensor = &outputs[i];
        const float *x = tensor->data, scale = input->bound / (float)look->levels;
        const size_t width = tensor->rank > 0 ? (size_t)tensor->dims[tensor->rank - 1] : 0;
        if (input->bound == 0 || width == 0)
            continue;
        if (input->features == NULL) {
            input->features = calloc(width, sizeof *input->features);
            input->feature_count = width;
            look->failed = input->features == NULL;
        }
        for (size_t k = 0; !look->failed && k < tensor->bytes / sizeof *x; k++) {
            struct feature *feature = &input->features[k % width];
            if (isnan(x[k]))
                continue;
            if (!feature->is_seen)
                feature->centre = (double)x[k];
            feature->is_seen = true;
            const float rounded = rintf(fminf(fmaxf(x[k], -input->bound), input->bound) / scale);
            const double error = (double)x[k] - (double)(rounded * scale);
            const double value = (double)x[k] - feature->centre;
            feature->count++;
            feature->sum += value;
            feature->squares += value * value;
            feature->error += error * error;
        }
    }
}

/* Every feature that varies keeps its variation. */
static bool is_kept(const struct input *input)
{
    for (size_t k = 0; k < input->feature_count; k++) {
        const struct feature *feature = &input->features[k];
        if (feature->count < LEAST_VALUES)
            continue;
        const double mean = feature->sum / feature->count;
        const double variance = feature->squares / feature->count - mean * mean;
        if (variance > 0 && feature->error / feature->count > MOST_LOSS * variance)
            return false;
    }
    return true;
}

/* Why int8 cannot hold the input; NULL: it can. */
static const char *why_not(const struct input *input, const struct apx_quantize_probed *probe)
{
    if (!input->is_finite)
        return "the data make its input infinite";
    if (input->greatest == 0)
        return "its input is zero, or NaN, in all rows of the data";
    if (input->bound == 0)
        return "its input is too small in all rows of the data for a scale";
    /* Units of a layer before are what it has made of them; some of them may be all but dead. */
    if (!probe->is_computed && !is_kept(input))
        return "a feature of its input varies too little beside the others for their common scale";
    return NULL;
}

int apx_quantize_find_ranges(const struct apx_quantize_trial *trial,
                             const struct apx_quantize_probes *probes, int levels,
                             struct apx_quantize_range *ranges, size_t *count)
{
    struct look look = {.count = probes->count, .levels = levels};
    int status = CLI_DONE;
    *count = 0;
    look.inputs = calloc(look.count + 1, sizeof *look.inputs);
    for (size_t i = 0; look.inputs != NULL && i < look.count; i++) {
        look.inputs[i].is_finite = true;
        look.inputs[i].bins = calloc(BINS, sizeof *look.inputs[i].bins);
        look.failed = look.failed || look.inputs[i].bins == NULL;
    }
    look.failed = look.failed || look.inputs == NULL;
    if (!look.failed)
        status = apx_quantize_look(trial, 0, ROWS_AT_ONCE, see_sizes, &look);
    for (size_t i = 0; status == CLI_DONE && !look.failed && i < look.count; i++)
        choose_bound(&look.inputs[i], levels);
    if (status == CLI_DONE && !look.failed)
        status = apx_quantize_look(trial, 0, ROWS_AT_ONCE, see_features, &look);
    if (look.failed)
        status = apx_cli_refuse("quantize", NULL, "out of memory");
    for (size_t i = 0; look.inputs != NULL && i < look.count; i++) {
        struct input *input = &look.inputs[i];
        if (status == CLI_DONE)
            ranges[(*count)++] = (struct apx_quantize_range){probes->list[i].layer, input->bound,
                                                             why_not(input, &probes->list[i])};
        free(input->bins);
        free(input->features);
    }
    free(look.inputs);
    return status;
}
