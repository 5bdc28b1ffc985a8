/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_dense.c - one MatMul or Gemm with a constant matrix: whether it can be quantised and
 * whether that pays, and its int8 weights. */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"
#include "runtime/model/quantize/quantize_plan.h"

#include <math.h>
#include <string.h>

/* Smaller layers are as fast in float: x has to be rounded first (kernels/dense/README.md). */
#define LEAST_OUTPUTS 16
#define LEAST_WEIGHTS 2048

/* A constant float matrix. */
static bool is_matrix(const struct apx_value *value)
{
    int64_t rows, columns;
    return value != NULL && value->data != NULL && value->dtype == APX_F32 && value->rank == 2 &&
           apx_dim_is_constant(&value->dims[0], &rows) &&
           apx_dim_is_constant(&value->dims[1], &columns);
}

bool apx_quantize_is_dense(const struct apx_graph *graph, const struct apx_node *node)
{
    return (node->op == APX_OP_MATMUL || node->op == APX_OP_GEMM) && !node->is_dead &&
           is_matrix(apx_node_in(graph, node, 1));
}

/* B of a Gemm is [O, K]. */
static bool is_transposed(const struct apx_node *node)
{
    return node->op == APX_OP_GEMM && apx_node_int(node, "transB", 0) != 0;
}

/* beta C as [output], NULL if there is none; false if it is no row of constants. */
static bool read_bias(struct apx_graph *graph, const struct apx_node *node, size_t output,
                      const float **bias)
{
    const float beta = apx_node_float(node, "beta", 1);
    const struct apx_value *c = node->op == APX_OP_GEMM ? apx_node_in(graph, node, 2) : NULL;
    int64_t last = 1;
    *bias = NULL;
    if (c == NULL || beta == 0)
        return true;
    if (c->data == NULL || c->dtype != APX_F32 ||
        (c->rank > 0 && !apx_dim_is_constant(&c->dims[c->rank - 1], &last)))
        return false;
    const size_t count = c->bytes / sizeof(float);
    if (count != (size_t)last || (count != 1 && count != output))
        return false;
    const float *data = c->data;
    float *row = apx_graph_alloc(graph, output * sizeof *row);
    for (size_t o = 0; row != NULL && o < output; o++)
        row[o] = beta * data[count == 1 ? 0 : o];
    *bias = row;
    return row != NULL;
}

/* APX_EUNSUPPORTED unless int8 says the layer and is faster. */
static enum apx_status check(const struct apx_graph *graph, const struct apx_node *node,
                             const struct apx_quantized_dense *dense, struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    if (graph->opset < APX_QUANTIZED_LINEAR_OPSET_FIRST)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "the model is of opset %lld; int8 dense layers need %d: export it again",
                        (long long)graph->opset, APX_QUANTIZED_LINEAR_OPSET_FIRST);
    if (x->dtype != APX_F32 || x->rank < 2 ||
        (node->op == APX_OP_GEMM && apx_node_int(node, "transA", 0) != 0))
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "its input is no matrix of float32 with a row for each row");
    if (dense->input > APX_LIMIT_INT8_WIDTH)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "it has more than %d inputs: sums of int8 would not fit 32 bits",
                        APX_LIMIT_INT8_WIDTH);
    if (dense->output < LEAST_OUTPUTS || dense->input * dense->output < LEAST_WEIGHTS)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "it is so small that float is as fast");
    return APX_OK;
}

/* alpha times the matrix as [output, input]; NULL if out of memory. */
static const float *read_weights(struct apx_graph *graph, const struct apx_node *node,
                                 const struct apx_quantized_dense *dense)
{
    const float *from = apx_node_in(graph, node, 1)->data;
    const float alpha = node->op == APX_OP_GEMM ? apx_node_float(node, "alpha", 1) : 1;
    const size_t input = (size_t)dense->input, output = (size_t)dense->output;
    const bool transposed = is_transposed(node);
    float *w = apx_graph_alloc(graph, input * output * sizeof *w);
    for (size_t o = 0; w != NULL && o < output; o++)
        for (size_t k = 0; k < input; k++)
            w[o * input + k] = alpha * from[transposed ? o * input + k : k * output + o];
    return w;
}

static const char *why_no_scale(const struct apx_quantize_options *options, const char *name)
{
    for (size_t i = 0; i < options->range_count; i++)
        if (options->ranges[i].why_not != NULL && strcmp(options->ranges[i].layer, name) == 0)
            return options->ranges[i].why_not;
    return "the range of its input is not known; rows of data tell it (auspex quantize --data)";
}

enum apx_status apx_quantize_dense_make(struct apx_graph *graph, int n,
                                        const struct apx_quantize_options *options,
                                        const char *name, struct apx_quantized_dense *dense,
                                        bool *wants_range, struct apx_error *error)
{
    const struct apx_node *node = &graph->nodes[n];
    const struct apx_value *matrix = apx_node_in(graph, node, 1);
    const bool transposed = is_transposed(node);
    *wants_range = false;
    *dense = (struct apx_quantized_dense){.opset = graph->opset, .levels = options->hidden_levels};
    apx_dim_is_constant(&matrix->dims[transposed ? 1 : 0], &dense->input);
    apx_dim_is_constant(&matrix->dims[transposed ? 0 : 1], &dense->output);
    enum apx_status status = check(graph, node, dense, error);
    if (status != APX_OK)
        return status;
    const size_t input = (size_t)dense->input, output = (size_t)dense->output;
    if (!read_bias(graph, node, output, &dense->bias))
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "its C is no row of constants");
    dense->input_scale =
        apx_quantize_input_scale(graph, node->in[0], options, name, &dense->input_bound);
    if (dense->input_scale == 0) {
        *wants_range = true;
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "%s", why_no_scale(options, name));
    }
    const float *floats = read_weights(graph, node, dense);
    int8_t *w = apx_graph_alloc(graph, input * output);
    float *scales = apx_graph_alloc(graph, output * sizeof *scales);
    if (floats == NULL || w == NULL || scales == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    if (!apx_quantize_rows(floats, output, input, options, w, scales))
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "a weight is not a finite number");
    dense->w = w;
    dense->w_scale = scales;
    return APX_OK;
}
