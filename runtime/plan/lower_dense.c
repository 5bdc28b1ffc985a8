/* SPDX-License-Identifier: Apache-2.0 */
/* lower_dense.c - MatMul, Gemm and QuantizedLinear. With constant weights they become dense layers
 * that take the bias and the activation behind them along: MatMul, Add, Relu is one step. */
#include <string.h>

#include "runtime/plan/steps.h"

/* The only reader of value v, or -1 if it has none, several, or is an output. */
static int only_reader(const struct apx_graph *graph, int v)
{
    if (apx_graph_use_count(graph, v) != 1)
        return -1;
    for (int n = 0; n < graph->node_count; n++)
        for (int i = 0; i < graph->nodes[n].in_count && !graph->nodes[n].is_dead; i++)
            if (graph->nodes[n].in[i] == v)
                return n;
    return -1;
}

static const struct {
    enum apx_op op;
    enum apx_act act;
    float alpha, beta;
} activations[] = {
    {APX_OP_RELU, APX_ACT_RELU, 0, 0},
    {APX_OP_TANH, APX_ACT_TANH, 0, 0},
    {APX_OP_SIGMOID, APX_ACT_SIGMOID, 0, 0},
    {APX_OP_HARD_SIGMOID, APX_ACT_HARD_SIGMOID, 0.2f, 0.5f},
    {APX_OP_LEAKY_RELU, APX_ACT_LEAKY_RELU, 0.01f, 0},
    {APX_OP_THRESHOLDED_RELU, APX_ACT_THRESHOLDED_RELU, 1.0f, 0},
    {APX_OP_ELU, APX_ACT_ELU, 1.0f, 0},
    {APX_OP_SOFTSIGN, APX_ACT_SOFTSIGN, 0, 0},
    {APX_OP_SOFTPLUS, APX_ACT_SOFTPLUS, 0, 0},
};

/* v and what follows it: if its only reader is an activation, that becomes part of the layer. */
static int fuse_activation(struct apx_lowering *lo, int v, struct apx_activation *act)
{
    int n = only_reader(lo->graph, v);
    if (n < 0)
        return v;
    const struct apx_node *node = &lo->graph->nodes[n];
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++) {
        if (activations[i].op != node->op)
            continue;
        act->kind = activations[i].act;
        act->alpha = apx_node_float(node, "alpha", activations[i].alpha);
        act->beta = apx_node_float(node, "beta", activations[i].beta);
        lo->done[n] = true;
        return node->out[0];
    }
    return v;
}

/* True if the constant is one row of `output` numbers, or one number, that is added to every row of
 * a value with rank `rank`: then bias[output] is filled with it times beta. */
static bool read_bias(const struct apx_value *value, int rank, size_t output, float beta,
                      float *bias)
{
    if (value->data == NULL || value->dtype != APX_F32 || value->rank > rank)
        return false;
    size_t count = value->bytes / sizeof(float);
    int64_t last = 0;
    if (value->rank > 0 && !apx_dim_is_constant(&value->dims[value->rank - 1], &last))
        return false;
    if (count != 1 && (count != output || last != (int64_t)output))
        return false;
    const float *data = value->data;
    for (size_t i = 0; i < output; i++)
        bias[i] = beta * data[count == 1 ? 0 : i];
    return true;
}

/* v and what follows it: if its only reader adds a constant row, that becomes the layer's bias. */
static int fuse_bias(struct apx_lowering *lo, int v, size_t output, float **bias)
{
    int n = only_reader(lo->graph, v);
    if (n < 0 || lo->graph->nodes[n].op != APX_OP_ADD)
        return v;
    const struct apx_node *node = &lo->graph->nodes[n];
    const struct apx_value *other =
        &lo->graph->values[node->in[0] == v ? node->in[1] : node->in[0]];
    float *row = apx_lower_take(lo, output, sizeof *row);
    if (row == NULL || !read_bias(other, lo->graph->values[v].rank, output, 1, row))
        return v;
    *bias = row;
    lo->done[n] = true;
    return node->out[0];
}

/* The constant's elements times factor, or the elements themselves. */
static const float *scaled(struct apx_lowering *lo, const struct apx_value *value, float factor)
{
    const float *data = value->data;
    if (factor == 1)
        return data;
    size_t count = value->bytes / sizeof *data;
    float *copy = apx_lower_take(lo, count, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++)
        copy[i] = factor * data[i];
    return copy;
}

/* A constant float matrix [rows, columns]. */
static bool is_matrix(const struct apx_value *value, int64_t *rows, int64_t *columns)
{
    return value->data != NULL && value->dtype == APX_F32 && value->rank == 2 &&
           apx_dim_is_constant(&value->dims[0], rows) &&
           apx_dim_is_constant(&value->dims[1], columns);
}

/* Inner width of both sides: wrong files were refused when extents were inferred. */
static bool has_width(const struct apx_view *x, int64_t width)
{
    int64_t extent;
    return x->rank >= 1 && apx_dim_is_constant(&x->extent[x->rank - 1], &extent) && extent == width;
}

struct apx_view *apx_lower_product(struct apx_lowering *lo, struct apx_view *a, struct apx_view *b,
                                   const struct apx_value *out)
{
    struct apx_view *wide_a = apx_lower_clone(lo, a), *wide_b = apx_lower_clone(lo, b);
    if (wide_a == NULL || wide_b == NULL)
        return NULL;
    struct apx_dim one = apx_dim_constant(1);
    if (a->rank == 1) {
        struct apx_dim extent[2] = {one, a->extent[0]};
        apx_view_expand(a, 2, extent, wide_a);
    }
    if (b->rank == 1) {
        wide_b->rank = 2;
        wide_b->extent[1] = one;
        wide_b->stride[1] = one;
    }
    return apx_emit_reshape(lo, apx_emit_product(lo, wide_a, wide_b), out->rank, out->dims);
}

void apx_lower_matmul(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *a = apx_lower_in(lo, node, 0);
    const struct apx_value *w = &lo->graph->values[node->in[1]];
    int64_t input, output;
    if (a == NULL)
        return;
    if (a->rank >= 2 && is_matrix(w, &input, &output) && has_width(a, input)) {
        struct apx_activation act = {APX_ACT_NONE, 0, 0};
        float *bias = NULL;
        int v = fuse_bias(lo, node->out[0], (size_t)output, &bias);
        v = fuse_activation(lo, v, &act);
        lo->views[v] =
            apx_emit_dense(lo, a, (size_t)output, w->data, 1, (ptrdiff_t)output, bias, act);
        return;
    }
    apx_lower_set(
        lo, node, 0,
        apx_lower_product(lo, a, apx_lower_in(lo, node, 1), &lo->graph->values[node->out[0]]));
}

static struct apx_view *transposed(struct apx_lowering *lo, struct apx_view *x)
{
    static const int perm[2] = {1, 0};
    struct apx_view *out = apx_lower_clone(lo, x);
    if (out != NULL)
        apx_view_transpose(x, perm, out);
    return out;
}

void apx_lower_gemm(struct apx_lowering *lo, const struct apx_node *node)
{
    float alpha = apx_node_float(node, "alpha", 1), beta = apx_node_float(node, "beta", 1);
    bool trans_b = apx_node_int(node, "transB", 0) != 0;
    struct apx_view *a = apx_lower_in(lo, node, 0);
    if (a != NULL && apx_node_int(node, "transA", 0) != 0)
        a = transposed(lo, a);
    if (a == NULL)
        return;
    bool has_c = node->in_count > 2 && node->in[2] >= 0 && beta != 0;
    const struct apx_value *w = &lo->graph->values[node->in[1]];
    int64_t rows, columns;
    struct apx_view *y;
    int v = node->out[0];
    if (is_matrix(w, &rows, &columns) && has_width(a, trans_b ? columns : rows)) {
        size_t output = (size_t)(trans_b ? rows : columns);
        const float *weights = scaled(lo, w, alpha);
        float *bias = has_c ? apx_lower_take(lo, output, sizeof *bias) : NULL;
        bool is_bias =
            bias != NULL && read_bias(&lo->graph->values[node->in[2]], a->rank, output, beta, bias);
        struct apx_activation act = {APX_ACT_NONE, 0, 0};
        if (is_bias || !has_c)
            v = fuse_activation(lo, v, &act);
        y = apx_emit_dense(lo, a, output, weights, trans_b ? (ptrdiff_t)columns : 1,
                           trans_b ? 1 : (ptrdiff_t)columns, is_bias ? bias : NULL, act);
        has_c = has_c && !is_bias;
    } else {
        struct apx_view *b = apx_lower_in(lo, node, 1);
        y = apx_emit_product(lo, a, trans_b && b != NULL ? transposed(lo, b) : b);
        if (alpha != 1)
            y = apx_emit_binary(lo, APX_BINARY_MUL, y,
                                apx_lower_scalar(lo, APX_F32, (double)alpha));
    }
    if (has_c) {
        struct apx_view *c = apx_lower_in(lo, node, 2);
        if (beta != 1)
            c = apx_emit_binary(lo, APX_BINARY_MUL, c, apx_lower_scalar(lo, APX_F32, (double)beta));
        y = apx_emit_binary(lo, APX_BINARY_ADD, y, c);
    }
    lo->views[v] = y;
}

/* X, W, W_scale, B */
void apx_lower_quantized_linear(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    const struct apx_dim *dims = lo->graph->values[node->in[1]].dims;
    int64_t output, input;
    if (x == NULL || !apx_dim_is_constant(&dims[0], &output) ||
        !apx_dim_is_constant(&dims[1], &input) || !has_width(x, input)) {
        apx_lower_fail(lo, APX_EFORMAT, "W has the wrong shape");
        return;
    }
    if (input > APX_LIMIT_INT8_WIDTH) {
        apx_lower_fail(lo, APX_ELIMIT, "an int8 layer wider than %d", APX_LIMIT_INT8_WIDTH);
        return;
    }
    const struct apx_dense_int8 int8 = {.levels = (int)apx_node_int(node, "levels", 0),
                                        .input_scale = apx_node_float(node, "input_scale", 0)};
    const float *scales;
    const int8_t *w = apx_lower_int8(lo, node, 1, output, input, "W", 2, &scales);
    const float *bias = apx_lower_array(lo, node, 3, APX_F32, output, "B");
    if (lo->status != APX_OK)
        return;
    struct apx_activation act = {APX_ACT_NONE, 0, 0};
    float *behind = NULL;
    int v = node->out[0];
    if (bias == NULL)
        v = fuse_bias(lo, v, (size_t)output, &behind);
    v = fuse_activation(lo, v, &act);
    lo->views[v] = apx_emit_dense_int8(lo, x, (size_t)output, int8, w, scales,
                                       bias != NULL ? bias : behind, act);
}
