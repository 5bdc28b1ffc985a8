/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_range.c - scales for layers' inputs from data: the bound that leaves the least mean
 * square error of what is rounded and of what is cut off beyond it, where each row counts by its
 * own size.
 *
 * Were rows not weighed, one whose sensor went wrong, a thousand times as large as the others,
 * would set the scale of thirty thousand. A row is divided by its size, or by twice that of
 * the row in the middle if it is smaller, so it can claim no more than to be a few rows. Where that
 * leaves more than a few rows far off, no scale is any good, and there is none.
 *
 * The first look at the data finds the size in the middle, the second fills a histogram of
 * magnitudes whose bins are a 32nd of an octave wide, so that neither needs a range to begin with.
 * The third measures, with the bound, what each row and each feature loses: features of very
 * different size share one scale, and the small ones would be gone. A row with a NaN has no answer
 * and no part in this. */
#include "runtime/cli/quantize_range.h"

#include "runtime/cli/cli.h"
#include "runtime/cli/rows_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_ONCE 256

/* Bits of a float that number its bin: exponent and five of the mantissa. */
#define BIN_SHIFT 18
#define BINS      ((size_t)1 << (31 - BIN_SHIFT))

/* A feature may lose so much of its variance: an error of a tenth of its deviation; and so may
 * ordinary rows of the square of the one in the middle. */
#define MOST_LOSS 0.01
/* Mean squares of ordinary rows, in units of that of the row in the middle. */
#define ORDINARY 4
/* A row that loses so much of its square, or of that of the row in the middle, is lost: it is off
 * by a third. */
#define LOST 0.1
/* More rows than that may not be. */
#define MOST_LOST 0.001
/* Fewer values do not tell how much a feature varies. */
#define LEAST_VALUES 32

struct bin {
    double count, sum, squares; /* of |x|, weighed */
};

/* One feature of a layer's input, centred on the first value that was seen; rows are weighed. */
struct feature {
    double centre, values, weight, sum, squares, error;
};

/* A vector along the last axis of a layer's input. */
struct row {
    const float *x; /* [width] */
    size_t width;
    double square; /* mean of x^2 */
};

struct input {
    double *sizes;    /* [BINS] how many rows are of that root of their mean square; 0 is none */
    struct bin *bins; /* [BINS] */
    double rows;      /* without NaN */
    double middle;    /* mean square of the row in the middle of those that are not 0 */
    float greatest;
    bool is_finite;                       /* so far */
    float bound;                          /* 0: not known yet */
    double ordinary_rows, ordinary_error; /* and the sum of their mean square errors */
    double lost_rows, cut;                /* and values beyond the bound in them */
    struct feature *features;
    size_t feature_count;
};

struct look {
    struct input *inputs;
    size_t count;
    int levels;
    bool failed; /* out of memory */
};

static size_t bin_of(float size)
{
    uint32_t bits;
    memcpy(&bits, &size, sizeof bits);
    return bits >> BIN_SHIFT;
}

/* The bin's least number. */
static float edge_of(size_t bin)
{
    const uint32_t bits = (uint32_t)bin << BIN_SHIFT;
    float edge;
    memcpy(&edge, &bits, sizeof edge);
    return edge;
}

static size_t width_of(const struct apx_tensor *tensor)
{
    return tensor->rank > 0 ? (size_t)tensor->dims[tensor->rank - 1] : 0;
}

static size_t row_count(const struct apx_tensor *tensor)
{
    const size_t width = width_of(tensor);
    return width > 0 ? tensor->bytes / sizeof(float) / width : 0;
}

/* Row r; false if it holds NaN. An infinite value makes its square infinite. */
static bool get_row(const struct apx_tensor *tensor, size_t r, struct row *row)
{
    double sum = 0;
    row->width = width_of(tensor);
    row->x = (const float *)tensor->data + r * row->width;
    for (size_t k = 0; k < row->width; k++)
        sum += (double)row->x[k] * (double)row->x[k];
    row->square = sum / (double)row->width;
    return !isnan(sum);
}

static void see_sizes(void *context, const struct apx_tensor *outputs)
{
    struct look *look = context;
    for (size_t i = 0; i < look->count; i++) {
        struct input *input = &look->inputs[i];
        struct row row;
        for (size_t r = 0; r < row_count(&outputs[i]); r++) {
            if (!get_row(&outputs[i], r, &row))
                continue;
            input->rows++;
            if (isfinite(row.square))
                input->sizes[bin_of((float)sqrt(row.square))]++;
            else
                input->is_finite = false;
        }
    }
}

static void find_middle(struct input *input)
{
    double count = 0, below = 0;
    for (size_t b = 1; b < BINS; b++)
        count += input->sizes[b];
    for (size_t b = 1; b < BINS && below < count / 2; b++) {
        below += input->sizes[b];
        input->middle = (double)edge_of(b) * (double)edge_of(b);
    }
}

/* What the row's squares are divided by; positive. */
static double divisor(const struct input *input, const struct row *row)
{
    return input->middle > 0 ? fmax(row->square, ORDINARY * input->middle) : 1;
}

static void see_magnitudes(void *context, const struct apx_tensor *outputs)
{
    struct look *look = context;
    for (size_t i = 0; i < look->count; i++) {
        struct input *input = &look->inputs[i];
        struct row row;
        for (size_t r = 0; input->is_finite && r < row_count(&outputs[i]); r++) {
            if (!get_row(&outputs[i], r, &row))
                continue;
            const double weight = 1 / divisor(input, &row);
            for (size_t k = 0; k < row.width; k++) {
                const float size = fabsf(row.x[k]);
                struct bin *bin = &input->bins[bin_of(size)];
                bin->count += weight;
                bin->sum += weight * (double)size;
                bin->squares += weight * (double)size * (double)size;
                input->greatest = fmaxf(input->greatest, size);
            }
        }
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
        /* Bins beyond the numbers begin with infinity and NaN. */
        bound = edge_of(b) < input->greatest ? edge_of(b) : input->greatest;
    }
    if (!(input->bound > 0 && isfinite((float)levels / input->bound)))
        input->bound = 0;
}

static float round_to_levels(const struct input *input, int levels, float x)
{
    const float scale = input->bound / (float)levels;
    return rintf(fminf(fmaxf(x, -input->bound), input->bound) / scale) * scale;
}

/* Notes what an ordinary row loses, too. */
static bool is_lost(struct input *input, int levels, const struct row *row)
{
    double sum = 0;
    for (size_t k = 0; k < row->width; k++) {
        const double error = (double)row->x[k] - (double)round_to_levels(input, levels, row->x[k]);
        sum += error * error;
    }
    sum /= (double)row->width;
    if (row->square <= ORDINARY * input->middle) {
        input->ordinary_rows++;
        input->ordinary_error += sum;
    }
    return sum > LOST * fmax(row->square, input->middle);
}

static void see_losses(void *context, const struct apx_tensor *outputs)
{
    struct look *look = context;
    for (size_t i = 0; i < look->count && !look->failed; i++) {
        struct input *input = &look->inputs[i];
        const size_t width = width_of(&outputs[i]);
        struct row row;
        if (input->bound == 0 || width == 0)
            continue;
        if (input->features == NULL) {
            input->features = calloc(width, sizeof *input->features);
            input->feature_count = width;
            look->failed = input->features == NULL;
        }
        for (size_t r = 0; !look->failed && r < row_count(&outputs[i]); r++) {
            if (!get_row(&outputs[i], r, &row))
                continue;
            const bool lost = is_lost(input, look->levels, &row);
            input->lost_rows += lost;
            for (size_t k = 0; k < width && lost; k++)
                input->cut += fabsf(row.x[k]) > input->bound;
            const double weight = 1 / divisor(input, &row);
            /* What a lost row says of how much a feature varies is as far off as the row. */
            for (size_t k = 0; k < width && k < input->feature_count && !lost; k++) {
                struct feature *feature = &input->features[k];
                const float x = row.x[k];
                if (feature->values == 0)
                    feature->centre = (double)x;
                const double error = (double)x - (double)round_to_levels(input, look->levels, x);
                const double value = (double)x - feature->centre;
                feature->values++;
                feature->weight += weight;
                feature->sum += weight * value;
                feature->squares += weight * value * value;
                feature->error += weight * error * error;
            }
        }
    }
}

/* Every feature that varies keeps its variation. */
static bool is_kept(const struct input *input)
{
    for (size_t k = 0; k < input->feature_count; k++) {
        const struct feature *feature = &input->features[k];
        if (feature->values < LEAST_VALUES)
            continue;
        const double mean = feature->sum / feature->weight;
        const double variance = feature->squares / feature->weight - mean * mean;
        if (variance > 0 && feature->error / feature->weight > MOST_LOSS * variance)
            return false;
    }
    return true;
}

/* Why int8 cannot hold the input; NULL: it can. text: room for it */
static const char *why_not(const struct input *input, const struct apx_quantize_probed *probe,
                           char *text, size_t room)
{
    if (!input->is_finite)
        return "the data make its input infinite";
    if (input->rows == 0)
        return "its input holds NaN in all rows of the data";
    if (input->greatest == 0)
        return "its input is zero in all rows of the data";
    if (input->bound == 0)
        return "its input is too small in all rows of the data for a scale";
    if (input->lost_rows > MOST_LOST * input->rows) {
        snprintf(text, room,
                 "one scale cannot hold all rows of its input: %.0f of %.0f would be off by more "
                 "than a third (values reach %.4g, an ordinary row is of size %.2g)",
                 input->lost_rows, input->rows, (double)input->greatest, sqrt(input->middle));
        return text;
    }
    if (input->ordinary_error > MOST_LOSS * input->middle * input->ordinary_rows) {
        snprintf(text, room,
                 "one scale cannot hold all rows of its input: ordinary ones, of size %.2g, would "
                 "be off by more than a tenth (values reach %.4g)",
                 sqrt(input->middle), (double)input->greatest);
        return text;
    }
    /* Units of a layer before are what it has made of them; some of them may be all but dead. */
    if (!probe->is_computed && !is_kept(input))
        return "a feature of its input varies too little beside the others for their common scale";
    return NULL;
}

/* All looks; returns an exit status. */
static int look_at(const struct apx_quantize_trial *trial, struct look *look)
{
    const struct apx_model *model = trial->models[0];
    int status = apx_quantize_look(trial, 0, ROWS_AT_ONCE, see_sizes, look);
    bool is_usable = false;
    for (size_t i = 0; i < look->count; i++) {
        find_middle(&look->inputs[i]);
        is_usable = is_usable || look->inputs[i].rows > 0;
    }
    if (status == CLI_DONE && !is_usable)
        return apx_cli_refuse("quantize",
                              apx_rows_given_read(trial->data[0], model, apx_model_input,
                                                  apx_model_input_count(model), false)
                                  .file,
                              "not one row can be used for scales: all of them make the inputs of "
                              "layers NaN; --no-scales does without");
    if (status == CLI_DONE)
        status = apx_quantize_look(trial, 0, ROWS_AT_ONCE, see_magnitudes, look);
    for (size_t i = 0; status == CLI_DONE && i < look->count; i++)
        choose_bound(&look->inputs[i], look->levels);
    if (status == CLI_DONE)
        status = apx_quantize_look(trial, 0, ROWS_AT_ONCE, see_losses, look);
    return status;
}

int apx_quantize_find_ranges(const struct apx_quantize_trial *trial,
                             const struct apx_quantize_probes *probes, int levels,
                             struct apx_quantize_range *ranges, struct apx_quantize_reach *reaches,
                             size_t *count)
{
    struct look look = {.count = probes->count, .levels = levels};
    int status = CLI_DONE;
    *count = 0;
    look.inputs = calloc(look.count + 1, sizeof *look.inputs);
    for (size_t i = 0; look.inputs != NULL && i < look.count; i++) {
        look.inputs[i].is_finite = true;
        look.inputs[i].sizes = calloc(BINS, sizeof *look.inputs[i].sizes);
        look.inputs[i].bins = calloc(BINS, sizeof *look.inputs[i].bins);
        look.failed = look.failed || look.inputs[i].bins == NULL || look.inputs[i].sizes == NULL;
    }
    look.failed = look.failed || look.inputs == NULL;
    if (!look.failed)
        status = look_at(trial, &look);
    if (look.failed)
        status = apx_cli_refuse("quantize", NULL, "out of memory");
    for (size_t i = 0; look.inputs != NULL && i < look.count; i++) {
        struct input *input = &look.inputs[i];
        if (status == CLI_DONE) {
            struct apx_quantize_reach *reach = &reaches[*count];
            *reach = (struct apx_quantize_reach){.rows = input->rows,
                                                 .lost_rows = input->lost_rows,
                                                 .cut = input->cut,
                                                 .greatest = (double)input->greatest};
            ranges[(*count)++] = (struct apx_quantize_range){
                probes->list[i].layer, input->bound,
                why_not(input, &probes->list[i], reach->why, sizeof reach->why)};
        }
        free(input->sizes);
        free(input->bins);
        free(input->features);
    }
    free(look.inputs);
    return status;
}
