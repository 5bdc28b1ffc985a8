/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_error_test.c - how far int8 layers are from the float layers that they were made of.
 *
 * Two layers, the second one fed by the first one's h; weights as trained networks begin with,
 * uniform within 1/sqrt(H), and normal ones, whose few large values set the scale. Prints the
 * largest and the mean difference of the last layer's h over all steps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/kernels.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

#define ROWS  8
#define STEPS 50
#define INPUT 6
#define BOUND 2e-2

struct layer {
    struct apx_rnn_desc desc;
    size_t gates;
    float *w, *r, *bias, *w_scale, *r_scale;
    int8_t *w_s8, *r_s8;
};

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL)
        exit(2);
    return memory;
}

static float normal(struct rng *rng)
{
    float sum = 0.0f;
    for (int i = 0; i < 12; i++)
        sum += rng_real(rng);
    return sum / 3.4641016f; /* as wide as the uniform ones */
}

/* Into `most` levels, or (negative) what suits -most levels of h. */
static void quantise(const float *from, size_t outputs, size_t inner, int most, int8_t *q,
                     float *scale)
{
    for (size_t o = 0; o < outputs; o++) {
        float largest = 0.0f;
        for (size_t k = 0; k < inner; k++)
            largest = fmaxf(largest, fabsf(from[o * inner + k]));
        scale[o] =
            largest /
            (float)(most > 0 ? most : apx_int8_weight_levels(from + o * inner, inner, -most));
        for (size_t k = 0; k < inner; k++)
            q[o * inner + k] = (int8_t)rintf(from[o * inner + k] / scale[o]);
    }
}

static struct layer make(struct rng *rng, bool lstm, bool reset_after, size_t input, size_t hidden,
                         bool is_normal)
{
    struct layer layer = {.gates = lstm ? 4 : 3};
    const size_t outputs = layer.gates * hidden;
    const float scale = 1.0f / sqrtf((float)hidden);
    layer.desc = (struct apx_rnn_desc){
        .input = input,
        .hidden = hidden,
        .reset_after = reset_after,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}}};
    float **part[] = {&layer.w, &layer.r, &layer.bias, &layer.w_scale, &layer.r_scale};
    const size_t count[] = {outputs * input, outputs * hidden, 2 * outputs, outputs, outputs};
    for (size_t i = 0; i < 5; i++) {
        *part[i] = allocate(count[i] * sizeof(float));
        for (size_t k = 0; k < count[i]; k++)
            (*part[i])[k] = scale * (is_normal ? normal(rng) : rng_real(rng));
    }
    layer.w_s8 = allocate(outputs * input);
    layer.r_s8 = allocate(outputs * hidden);
    return layer;
}

static void discard(struct layer *layer)
{
    void *all[] = {layer->w,       layer->r,    layer->bias, layer->w_scale,
                   layer->r_scale, layer->w_s8, layer->r_s8};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* y[ROWS, STEPS, H] of a layer, in float or (levels > 0) int8 with weights up to `most`. */
static void run(const struct layer *layer, int levels, int most, bool x_is_h, const float *x,
                float *y)
{
    struct apx_rnn_desc desc = layer->desc;
    const size_t outputs = layer->gates * desc.hidden;
    struct apx_rnn_weights weights = {
        .w = layer->w, .r = layer->r, .bias_w = layer->bias, .bias_r = layer->bias + outputs};
    if (levels > 0) {
        desc.int8.levels = levels;
        desc.int8.input_scale = x_is_h ? 1.0f / (float)levels : 0.0f;
        quantise(layer->w, outputs, desc.input, most, layer->w_s8, layer->w_scale);
        quantise(layer->r, outputs, desc.hidden, most, layer->r_s8, layer->r_scale);
        weights.w_s8 = layer->w_s8;
        weights.r_s8 = layer->r_s8;
        weights.w_scale = layer->w_scale;
        weights.r_scale = layer->r_scale;
    }
    const uint32_t caps = apx_cpu_caps();
    const struct apx_rnn_row *row =
        layer->gates == 4 ? apx_lstm_select(caps, &desc) : apx_gru_select(caps, &desc);
    void *packed = allocate(row->packed_bytes(&desc));
    void *scratch = allocate(row->scratch_bytes(&desc, ROWS));
    row->pack(&desc, &weights, packed);
    row->run(&(struct apx_rnn_args){.desc = &desc,
                                    .packed = packed,
                                    .rows = ROWS,
                                    .steps = STEPS,
                                    .x = x,
                                    .x_row = (ptrdiff_t)(STEPS * desc.input),
                                    .x_step = (ptrdiff_t)desc.input,
                                    .y = y,
                                    .y_row = (ptrdiff_t)(STEPS * desc.hidden),
                                    .y_step = (ptrdiff_t)desc.hidden,
                                    .scratch = scratch});
    free(packed);
    free(scratch);
}

static void compare(const char *what, const struct layer *first, const struct layer *second,
                    const float *x, bool is_normal)
{
    static const int levels[][2] = {{127, 127}, {127, -127}, {63, -63}, {63, 63}};
    const size_t hidden = first->desc.hidden, count = ROWS * STEPS * hidden;
    float *middle = allocate(count * sizeof(float)), *exact = allocate(count * sizeof(float));
    float *y = allocate(count * sizeof(float));
    run(first, 0, 0, false, x, middle);
    run(second, 0, 0, true, middle, exact);
    printf("%s H %zu %s:", what, hidden, is_normal ? "normal" : "uniform");
    for (size_t i = 0; i < 4; i++) {
        run(first, levels[i][0], levels[i][1], false, x, middle);
        run(second, levels[i][0], levels[i][1], true, middle, y);
        double most = 0.0, sum = 0.0;
        for (size_t k = 0; k < count; k++) {
            const double error = fabs((double)y[k] - (double)exact[k]);
            most = fmax(most, error);
            sum += error;
        }
        printf("  %.1e %.1e", most, sum / (double)count);
        CHECK(most < BOUND);
        CHECK(most > 0.0); /* int8 it was */
    }
    printf("\n");
    free(middle);
    free(exact);
    free(y);
}

static void int8_is_close_to_float(void)
{
    static const size_t widths[] = {16, 64, 128, 256};
    struct rng rng = {7};
    float *x = allocate(ROWS * STEPS * INPUT * sizeof(float));
    for (size_t i = 0; i < ROWS * STEPS * INPUT; i++)
        x[i] = 2.0f * rng_real(&rng);
    printf("largest and mean difference; levels of h / of weights:"
           " 127/127, 127/fitted, 63/fitted, 63/63\n");
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
            for (int is_normal = 0; is_normal < 2; is_normal++) {
                static const char *const names[] = {"LSTM", "GRU after", "GRU before"};
                const bool lstm = kind == 0, after = kind == 1;
                struct layer first = make(&rng, lstm, after, INPUT, widths[i], is_normal != 0);
                struct layer second = make(&rng, lstm, after, widths[i], widths[i], is_normal != 0);
                compare(names[kind], &first, &second, x, is_normal != 0);
                discard(&first);
                discard(&second);
            }
    free(x);
}

int main(void)
{
    RUN(int8_is_close_to_float);
    return check_report();
}
