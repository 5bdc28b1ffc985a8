/* SPDX-License-Identifier: Apache-2.0 */
/* lower_rnn.c - LSTM and GRU, with weights of float or int8: one step for each direction.
 *
 * Whatever order ONNX wants y in ([T,D,B,H]), storage is [B,T,D,H]: a row's steps lie together, and
 * the Transpose, Squeeze and Reshape that exporters put behind a layer become views. When y itself
 * is an output of the graph it is stored as asked, since the kernel writes through any strides. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "runtime/plan/step_rnn.h"

/* Which input of the node is what; -1: the operator has none. */
struct places {
    int w, w_scale, r, r_scale, bias, lengths, h0, c0, peephole;
};

static const struct places float_places = {1, -1, 2, -1, 3, 4, 5, 6, 7};
static const struct places int8_places = {1, 2, 3, 4, 5, 6, 7, 8, -1};

struct layer {
    bool is_lstm, is_int8, batch_first;
    int directions, gates;
    int64_t input, hidden;
    const struct places *places;
    struct apx_rnn_desc desc[2];
};

/* Names as in the standard; how many of alpha and beta each takes from the lists, and what it takes
 * when they end. */
static const struct {
    const char *name;
    enum apx_act act;
    int takes;
    float alpha, beta;
} activations[] = {
    {"Relu", APX_ACT_RELU, 0, 0, 0},
    {"Tanh", APX_ACT_TANH, 0, 0, 0},
    {"Sigmoid", APX_ACT_SIGMOID, 0, 0, 0},
    {"HardSigmoid", APX_ACT_HARD_SIGMOID, 2, 0.2f, 0.5f},
    {"LeakyRelu", APX_ACT_LEAKY_RELU, 1, 0.01f, 0},
    {"ThresholdedRelu", APX_ACT_THRESHOLDED_RELU, 1, 1.0f, 0},
    {"ScaledTanh", APX_ACT_SCALED_TANH, 2, 1.0f, 1.0f},
    {"Affine", APX_ACT_AFFINE, 2, 1.0f, 0},
    {"Elu", APX_ACT_ELU, 1, 1.0f, 0},
    {"Softsign", APX_ACT_SOFTSIGN, 0, 0, 0},
    {"Softplus", APX_ACT_SOFTPLUS, 0, 0, 0},
};

static float next_float(const struct apx_attr *list, size_t *used, float fallback)
{
    return list != NULL && *used < list->count ? list->floats[(*used)++] : fallback;
}

static void read_activations(struct apx_lowering *lo, const struct apx_node *node,
                             struct layer *layer)
{
    const struct apx_attr *names = apx_node_attr(node, "activations");
    const struct apx_attr *alphas = apx_node_attr(node, "activation_alpha");
    const struct apx_attr *betas = apx_node_attr(node, "activation_beta");
    size_t per_direction = layer->is_lstm ? 3 : 2, alphas_used = 0, betas_used = 0;
    if (names != NULL && names->count != per_direction * (size_t)layer->directions) {
        apx_lower_fail(lo, APX_EFORMAT, "%zu activations for %d directions", names->count,
                       layer->directions);
        return;
    }
    for (size_t i = 0; i < per_direction * (size_t)layer->directions; i++) {
        const char *name = names != NULL            ? names->strings[i]
                           : i % per_direction == 0 ? "Sigmoid"
                                                    : "Tanh";
        size_t k = 0, count = sizeof activations / sizeof activations[0];
        while (k < count && strcasecmp(activations[k].name, name) != 0)
            k++;
        if (k == count) {
            apx_lower_fail(lo, APX_EUNSUPPORTED, "activation %s", name);
            return;
        }
        struct apx_activation *act = &layer->desc[i / per_direction].act[i % per_direction];
        act->kind = activations[k].act;
        act->alpha = activations[k].alpha;
        act->beta = activations[k].beta;
        if (activations[k].takes > 0)
            act->alpha = next_float(alphas, &alphas_used, act->alpha);
        if (activations[k].takes > 1)
            act->beta = next_float(betas, &betas_used, act->beta);
    }
}

static const float *weights_of(struct apx_lowering *lo, const struct apx_node *node, int i,
                               int64_t count, const char *what)
{
    return apx_lower_array(lo, node, i, APX_F32, count, what);
}

static bool read_layer(struct apx_lowering *lo, const struct apx_node *node, struct layer *layer)
{
    memset(layer, 0, sizeof *layer);
    layer->is_lstm = node->op == APX_OP_LSTM || node->op == APX_OP_QUANTIZED_LSTM;
    layer->is_int8 = node->op == APX_OP_QUANTIZED_LSTM || node->op == APX_OP_QUANTIZED_GRU;
    layer->places = layer->is_int8 ? &int8_places : &float_places;
    layer->gates = layer->is_lstm ? 4 : 3;
    layer->batch_first = apx_node_int(node, "layout", 0) != 0;
    const char *direction = apx_node_string(node, "direction", "forward");
    layer->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    const struct apx_value *w = apx_lower_constant(lo, node, layer->places->w);
    const struct apx_value *r = apx_lower_constant(lo, node, layer->places->r);
    if (w == NULL || r == NULL)
        return false;
    if (w->rank != 3 || r->rank != 3 || !apx_dim_is_constant(&w->dims[2], &layer->input) ||
        !apx_dim_is_constant(&r->dims[2], &layer->hidden) || layer->hidden <= 0 ||
        layer->input <= 0) {
        apx_lower_fail(lo, APX_EFORMAT, "W or R has the wrong shape");
        return false;
    }
    for (int d = 0; d < layer->directions; d++) {
        struct apx_rnn_desc *desc = &layer->desc[d];
        desc->input = (size_t)layer->input;
        desc->hidden = (size_t)layer->hidden;
        desc->reverse = d == 1 || strcmp(direction, "reverse") == 0;
        desc->has_peephole =
            layer->is_lstm && !layer->is_int8 && node->in_count > 7 && node->in[7] >= 0;
        desc->input_forget = layer->is_lstm && apx_node_int(node, "input_forget", 0) != 0;
        desc->reset_after = !layer->is_lstm && apx_node_int(node, "linear_before_reset", 0) != 0;
        desc->clip = apx_node_float(node, "clip", 0);
        desc->half_weights = lo->program->half_weights && !layer->is_int8;
        if (layer->is_int8) {
            desc->int8.levels = (int)apx_node_int(node, "hidden_levels", 0);
            desc->int8.input_scale = apx_node_float(node, "input_scale", 0);
        }
    }
    /* Sums of products of int8 are made in 32 bits. */
    if (layer->is_int8 &&
        (layer->hidden > APX_LIMIT_INT8_WIDTH || layer->input > APX_LIMIT_INT8_WIDTH)) {
        apx_lower_fail(lo, APX_ELIMIT, "an int8 layer wider than %d", APX_LIMIT_INT8_WIDTH);
        return false;
    }
    read_activations(lo, node, layer);
    return lo->status == APX_OK;
}

static bool read_int8(struct apx_lowering *lo, const struct apx_node *node, struct layer *layer,
                      int direction, struct apx_rnn_weights *weights)
{
    int64_t rows = layer->gates * layer->hidden, all = layer->directions * rows;
    const struct places *places = layer->places;
    struct apx_rnn_int8 *int8 = &layer->desc[direction].int8;
    if (int8->input_scale > 0) {
        weights->w_s8 = apx_lower_int8(lo, node, places->w, all, layer->input, "W", places->w_scale,
                                       &weights->w_scale);
    } else {
        weights->w = weights_of(lo, node, places->w, all * layer->input, "W");
    }
    weights->r_s8 = apx_lower_int8(lo, node, places->r, all, layer->hidden, "R", places->r_scale,
                                   &weights->r_scale);
    if (lo->status != APX_OK)
        return false;
    if (int8->input_scale > 0) {
        weights->w_s8 += direction * rows * layer->input;
        weights->w_scale += direction * rows;
    } else {
        weights->w += direction * rows * layer->input;
    }
    weights->r_s8 += direction * rows * layer->hidden;
    weights->r_scale += direction * rows;
    return true;
}

/* What half precision holds; a NaN stays one. */
#define MOST_HALF 65504.0f

static void check_half(struct apx_lowering *lo, const float *weights, int64_t count,
                       const char *what)
{
    for (int64_t k = 0; k < count && lo->status == APX_OK; k++)
        if (fabsf(weights[k]) > MOST_HALF)
            apx_lower_fail(lo, APX_EUNSUPPORTED,
                           "%s holds %g, beyond half precision (65504): not with precision "
                           "\"fp16-weights\"",
                           what, (double)weights[k]);
}

static bool read_weights(struct apx_lowering *lo, const struct apx_node *node, struct layer *layer,
                         int direction, struct apx_rnn_weights *weights)
{
    int64_t rows = layer->gates * layer->hidden;
    memset(weights, 0, sizeof *weights);
    if (layer->is_int8) {
        if (!read_int8(lo, node, layer, direction, weights))
            return false;
    } else {
        const float *w = weights_of(lo, node, 1, layer->directions * rows * layer->input, "W");
        const float *r = weights_of(lo, node, 2, layer->directions * rows * layer->hidden, "R");
        if (lo->status != APX_OK)
            return false;
        weights->w = w + direction * rows * layer->input;
        weights->r = r + direction * rows * layer->hidden;
        if (lo->program->half_weights) {
            check_half(lo, weights->w, rows * layer->input, "W");
            check_half(lo, weights->r, rows * layer->hidden, "R");
        }
    }
    const float *b = weights_of(lo, node, layer->places->bias, layer->directions * 2 * rows, "B");
    if (b != NULL) {
        weights->bias_w = b + direction * 2 * rows;
        weights->bias_r = weights->bias_w + rows;
    }
    if (layer->desc[direction].has_peephole) {
        const float *p = weights_of(lo, node, layer->places->peephole,
                                    layer->directions * 3 * layer->hidden, "P");
        weights->peephole = p != NULL ? p + direction * 3 * layer->hidden : NULL;
    }
    return lo->status == APX_OK;
}

static bool is_zero(const struct apx_value *value)
{
    if (value->is_filled && value->fill == 0)
        return true;
    if (value->data == NULL || value->dtype != APX_F32)
        return false;
    const float *data = value->data;
    for (size_t i = 0; i < value->bytes / sizeof *data; i++)
        if (data[i] != 0)
            return false;
    return true;
}

/* An operand whose last axis has stride 1. */
static struct apx_view *contiguous(struct apx_lowering *lo, struct apx_view *view)
{
    struct apx_dim one = apx_dim_constant(1);
    if (view == NULL || apx_dim_equal(&view->stride[view->rank - 1], &one) ||
        apx_dim_equal(&view->extent[view->rank - 1], &one))
        return view;
    return apx_emit_copy(lo, view, NULL);
}

/* Direction d of [D,B,H] (or [B,D,H] for layout 1) as [B,H]. */
static struct apx_view *state_of(struct apx_lowering *lo, const struct layer *layer,
                                 struct apx_view *states, int d)
{
    struct apx_view *view = apx_lower_clone(lo, states);
    if (view == NULL)
        return NULL;
    struct apx_dim start = apx_dim_constant(d), one = apx_dim_constant(1);
    int axis = layer->batch_first ? 1 : 0;
    apx_view_slice(view, axis, &start, 1, &one);
    apx_view_drop_axis(view, axis);
    return view;
}

static struct apx_view *initial_state(struct apx_lowering *lo, const struct apx_node *node, int i)
{
    if (i >= node->in_count || node->in[i] < 0 || is_zero(&lo->graph->values[node->in[i]]))
        return NULL;
    return contiguous(lo, apx_lower_in(lo, node, i));
}

static bool is_wanted(struct apx_lowering *lo, const struct apx_node *node, int i)
{
    return i < node->out_count && node->out[i] >= 0 &&
           apx_graph_use_count(lo->graph, node->out[i]) > 0;
}

/* The value is an output of the graph and nothing else. */
static bool is_output_only(struct apx_lowering *lo, int v)
{
    int outputs = 0;
    for (int i = 0; i < lo->graph->output_count; i++)
        outputs += lo->graph->outputs[i] == v;
    return outputs == 1 && apx_graph_use_count(lo->graph, v) == 1;
}

static struct apx_view *new_states(struct apx_lowering *lo, const struct apx_node *node,
                                   const struct layer *layer, int i)
{
    static const int row_first[3] = {1, 0, 2};
    const struct apx_value *value = &lo->graph->values[node->out[i]];
    bool as_asked = layer->batch_first || is_output_only(lo, node->out[i]);
    return apx_lower_new(lo, APX_F32, 3, value->dims, as_asked ? NULL : row_first);
}

/* y, or for a layer of which only the last step is read a y all of whose steps lie upon h_last. */
static struct apx_view *new_y(struct apx_lowering *lo, const struct apx_node *node,
                              const struct layer *layer, const struct apx_view *h_last)
{
    static const int row_first[4] = {2, 0, 1, 3};
    const struct apx_value *value = &lo->graph->values[node->out[0]];
    if (h_last == NULL)
        return apx_lower_new(lo, APX_F32, 4, value->dims,
                             layer->batch_first || is_output_only(lo, node->out[0]) ? NULL
                                                                                    : row_first);
    struct apx_view *y = apx_lower_clone(lo, h_last);
    if (y == NULL)
        return NULL;
    int time = layer->batch_first ? 1 : 0;
    y->rank = 4;
    for (int i = 3; i > time; i--)
        y->stride[i] = h_last->stride[i - 1];
    y->stride[time] = apx_dim_constant(0);
    memcpy(y->extent, value->dims, 4 * sizeof y->extent[0]);
    return y;
}

/* What the layer reads and makes, of all directions. */
struct operands {
    struct apx_view *x; /* [T,B,I] */
    struct apx_view *lengths, *h0, *c0;
    struct apx_view *y, *h_last, *c_last;
    bool last_only; /* y lies upon h_last, which is what is computed */
};

static void read_inputs(struct apx_lowering *lo, const struct apx_node *node,
                        const struct layer *layer, struct apx_view *x, struct operands *of)
{
    of->x = apx_lower_clone(lo, x);
    if (of->x != NULL && layer->batch_first) {
        static const int perm[3] = {1, 0, 2};
        apx_view_transpose(x, perm, of->x);
    }
    of->lengths = apx_lower_in(lo, node, layer->places->lengths);
    if (of->lengths != NULL)
        of->lengths = apx_emit_standard(lo, apx_emit_cast(lo, of->lengths, APX_I32));
    of->h0 = initial_state(lo, node, layer->places->h0);
    of->c0 = layer->is_lstm ? initial_state(lo, node, layer->places->c0) : NULL;
}

/* h_last of a layer of which only the last step of y is read: y without its time. */
static struct apx_view *last_of_y(struct apx_lowering *lo, const struct apx_node *node,
                                  const struct layer *layer)
{
    const struct apx_dim *dims = apx_lower_extents(lo, node, 0);
    struct apx_dim extent[3];
    int kept = 0;
    for (int i = 0; i < 4; i++)
        if (i != (layer->batch_first ? 1 : 0))
            extent[kept++] = dims[i];
    return apx_lower_new(lo, APX_F32, 3, extent, NULL);
}

static void make_outputs(struct apx_lowering *lo, const struct apx_node *node,
                         const struct layer *layer, struct operands *of)
{
    of->last_only = lo->last_only[lo->node];
    if (is_wanted(lo, node, 1))
        of->h_last = new_states(lo, node, layer, 1);
    if (layer->is_lstm && is_wanted(lo, node, 2))
        of->c_last = new_states(lo, node, layer, 2);
    if (is_wanted(lo, node, 0)) {
        if (of->last_only && of->h_last == NULL)
            of->h_last = last_of_y(lo, node, layer);
        of->y = new_y(lo, node, layer, of->last_only ? of->h_last : NULL);
    }
    apx_lower_set(lo, node, 0, of->y);
    apx_lower_set(lo, node, 1, of->h_last);
    apx_lower_set(lo, node, 2, of->c_last);
}

/* Direction d of y as [T,B,H]; NULL, too, if y has no steps of its own. */
static struct apx_view *steps_of(struct apx_lowering *lo, const struct layer *layer,
                                 const struct operands *of, int d)
{
    static const int swap[3] = {1, 0, 2};
    const struct apx_dim start = apx_dim_constant(d), one = apx_dim_constant(1);
    const int axis = layer->batch_first ? 2 : 1;
    if (of->y == NULL || of->last_only)
        return NULL;
    struct apx_view *part = apx_lower_clone(lo, of->y), *steps = apx_lower_clone(lo, of->y);
    if (part == NULL || steps == NULL)
        return NULL;
    apx_view_slice(part, axis, &start, 1, &one);
    apx_view_drop_axis(part, axis);
    *steps = *part;
    if (layer->batch_first)
        apx_view_transpose(part, swap, steps);
    return steps;
}

/* Which kernel computes the step, and how the plan tells of it. */
static void choose_row(const struct apx_lowering *lo, const struct layer *layer,
                       struct apx_step *step)
{
    struct apx_rnn_params *params = step->params;
    params->row = layer->is_lstm ? apx_lstm_select(lo->program->caps, &params->desc)
                                 : apx_gru_select(lo->program->caps, &params->desc);
    step->kernel = params->row->name;
    step->isa = params->row->isa;
    step->tile_rows = params->row->tile_rows;
    if (params->desc.half_weights)
        step->precision = "fp16-weights";
    if (layer->is_int8) {
        step->precision = "int8";
        step->schedule = params->desc.int8.levels == 63 ? "int8, 63 levels" : "int8, 127 levels";
    }
}

static void lower_direction(struct apx_lowering *lo, const struct apx_node *node,
                            struct layer *layer, const struct operands *of, int d)
{
    struct apx_view *y = steps_of(lo, layer, of, d);
    if (lo->status != APX_OK)
        return;
    struct apx_step *step =
        apx_lower_step(lo, layer->is_lstm ? &apx_lstm_class : &apx_gru_class, APX_RNN_INS,
                       APX_RNN_OUTS, sizeof(struct apx_rnn_params));
    if (step == NULL)
        return;
    struct apx_rnn_params *params = step->params;
    params->is_lstm = layer->is_lstm;
    if (!read_weights(lo, node, layer, d, &params->weights))
        return;
    params->desc = layer->desc[d];
    choose_row(lo, layer, step);
    step->in[APX_RNN_X] = of->x;
    step->in[APX_RNN_LENGTHS] = of->lengths;
    lo->program->has_lengths |= of->lengths != NULL;
    step->in[APX_RNN_H0] = state_of(lo, layer, of->h0, d);
    step->in[APX_RNN_C0] = state_of(lo, layer, of->c0, d);
    step->out[APX_RNN_Y] = y;
    step->out[APX_RNN_H_LAST] = state_of(lo, layer, of->h_last, d);
    step->out[APX_RNN_C_LAST] = state_of(lo, layer, of->c_last, d);
}

static void lower_layer(struct apx_lowering *lo, const struct apx_node *node)
{
    struct layer layer;
    struct operands of = {0};
    struct apx_view *x = contiguous(lo, apx_lower_in(lo, node, 0));
    if (x == NULL || !read_layer(lo, node, &layer))
        return;
    if (x->dtype != APX_F32) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "a layer of %s; only float32 is computed",
                       apx_dtype_name(x->dtype));
        return;
    }
    read_inputs(lo, node, &layer, x, &of);
    make_outputs(lo, node, &layer, &of);
    for (int d = 0; d < layer.directions && lo->status == APX_OK; d++)
        lower_direction(lo, node, &layer, &of, d);
}

void apx_lower_lstm(struct apx_lowering *lo, const struct apx_node *node)
{
    lower_layer(lo, node);
}

void apx_lower_gru(struct apx_lowering *lo, const struct apx_node *node)
{
    lower_layer(lo, node);
}
