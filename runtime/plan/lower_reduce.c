/* SPDX-License-Identifier: Apache-2.0 */
/* lower_reduce.c - reductions, softmax and normalisations. */
#include <math.h>
#include <string.h>

#include "runtime/model/infer.h"
#include "runtime/plan/steps.h"

static enum apx_reduce reduce_of(enum apx_op op)
{
    switch (op) {
    case APX_OP_REDUCE_MEAN:
        return APX_REDUCE_MEAN;
    case APX_OP_REDUCE_MAX:
        return APX_REDUCE_MAX;
    case APX_OP_REDUCE_MIN:
        return APX_REDUCE_MIN;
    case APX_OP_REDUCE_PROD:
        return APX_REDUCE_PROD;
    case APX_OP_REDUCE_L1:
        return APX_REDUCE_L1;
    case APX_OP_REDUCE_L2:
        return APX_REDUCE_L2;
    case APX_OP_REDUCE_SUM_SQUARE:
        return APX_REDUCE_SUM_SQUARE;
    case APX_OP_REDUCE_LOG_SUM:
        return APX_REDUCE_LOG_SUM;
    case APX_OP_REDUCE_LOG_SUM_EXP:
        return APX_REDUCE_LOG_SUM_EXP;
    default:
        return APX_REDUCE_SUM;
    }
}

/* Axes of a reduction as a mask; none given: all, or none at all if the node says so. */
static bool reduce_axes(struct apx_lowering *lo, const struct apx_node *node, int rank,
                        unsigned *mask)
{
    bool is_axis[APX_MAX_RANK], given;
    if (!apx_lower_check(lo, apx_node_axes(lo->graph, node, 1, rank, is_axis, &given, lo->error)))
        return false;
    *mask = 0;
    if (!given && apx_node_int(node, "noop_with_empty_axes", 0) == 0)
        *mask = (1u << rank) - 1;
    for (int i = 0; given && i < rank; i++)
        *mask |= is_axis[i] ? 1u << i : 0;
    return true;
}

void apx_lower_reduce(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    unsigned mask;
    if (x == NULL || !reduce_axes(lo, node, x->rank, &mask))
        return;
    bool keep = apx_node_int(node, "keepdims", 1) != 0;
    apx_lower_set(lo, node, 0, apx_emit_reduce(lo, reduce_of(node->op), false, x, mask, keep));
}

void apx_lower_arg_reduce(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL)
        return;
    int axis = apx_lower_axis(lo, apx_node_int(node, "axis", 0), x->rank);
    bool keep = apx_node_int(node, "keepdims", 1) != 0;
    bool last = apx_node_int(node, "select_last_index", 0) != 0;
    enum apx_reduce op = node->op == APX_OP_ARG_MAX ? APX_REDUCE_ARGMAX : APX_REDUCE_ARGMIN;
    apx_lower_set(lo, node, 0, apx_emit_reduce(lo, op, last, x, 1u << axis, keep));
}

void apx_lower_softmax(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL)
        return;
    int axis = apx_lower_axis(lo, apx_node_int(node, "axis", -1), x->rank);
    apx_lower_set(lo, node, 0, apx_emit_softmax(lo, node->op == APX_OP_LOG_SOFTMAX, x, 1u << axis));
}

void apx_lower_layer_norm(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    const struct apx_value *scale = apx_lower_constant(lo, node, 1);
    const struct apx_value *bias = apx_lower_constant(lo, node, 2);
    if (x == NULL || lo->status != APX_OK)
        return;
    int axis = apx_lower_axis(lo, apx_node_int(node, "axis", -1), x->rank);
    struct apx_dim width = apx_extent_product(x->extent, axis, x->rank);
    int64_t count;
    if (!apx_dim_is_constant(&width, &count) || scale->bytes != (size_t)count * sizeof(float) ||
        (bias != NULL && bias->bytes != scale->bytes)) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "scale or bias is broadcast");
        return;
    }
    if ((node->out_count > 1 && node->out[1] >= 0 &&
         apx_graph_use_count(lo->graph, node->out[1]) > 0) ||
        (node->out_count > 2 && node->out[2] >= 0 &&
         apx_graph_use_count(lo->graph, node->out[2]) > 0)) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "the mean and deviation as outputs");
        return;
    }
    unsigned mask = 0;
    for (int i = axis; i < x->rank; i++)
        mask |= 1u << i;
    apx_lower_set(lo, node, 0,
                  apx_emit_layer_norm(lo, x, mask, apx_node_float(node, "epsilon", 1e-5f),
                                      scale->data, bias != NULL ? bias->data : NULL));
}

/* A constant along axis 1 as something that broadcasts against a tensor of this rank. */
static struct apx_view *along_channels(struct apx_lowering *lo, const float *data, int64_t channels,
                                       int rank)
{
    int64_t dims[APX_MAX_RANK] = {channels, 1, 1, 1, 1, 1, 1, 1};
    void *copy;
    struct apx_view *view = apx_lower_storage(lo, APX_F32, rank >= 2 ? rank - 1 : 1, dims, &copy);
    if (view != NULL)
        memcpy(copy, data, (size_t)channels * sizeof *data);
    return view;
}

/* (x - mean) / sqrt(variance + epsilon) * scale + bias as one multiplication and one addition: the
 * factors are constants. */
void apx_lower_batch_norm(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    const float *constants[4];
    int64_t channels = 1;
    if (x == NULL)
        return;
    if (x->rank >= 2 && !apx_dim_is_constant(&x->extent[1], &channels)) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "a free number of channels");
        return;
    }
    if (apx_node_int(node, "training_mode", 0) != 0) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "training mode");
        return;
    }
    for (int i = 0; i < 4; i++) {
        const struct apx_value *value = apx_lower_constant(lo, node, i + 1);
        if (value == NULL)
            return;
        if (value->dtype != APX_F32 || value->bytes != (size_t)channels * sizeof(float)) {
            apx_lower_fail(lo, APX_EUNSUPPORTED, "input %d is not float32 with %lld elements",
                           i + 1, (long long)channels);
            return;
        }
        constants[i] = value->data;
    }
    float *factor = apx_lower_take(lo, (size_t)channels, sizeof *factor);
    float *offset = apx_lower_take(lo, (size_t)channels, sizeof *offset);
    if (factor == NULL || offset == NULL)
        return;
    double epsilon = (double)apx_node_float(node, "epsilon", 1e-5f);
    for (int64_t c = 0; c < channels; c++) {
        double scale = (double)constants[0][c] / sqrt((double)constants[3][c] + epsilon);
        factor[c] = (float)scale;
        offset[c] = (float)((double)constants[1][c] - (double)constants[2][c] * scale);
    }
    struct apx_view *y =
        apx_emit_binary(lo, APX_BINARY_MUL, x, along_channels(lo, factor, channels, x->rank));
    y = apx_emit_binary(lo, APX_BINARY_ADD, y, along_channels(lo, offset, channels, x->rank));
    apx_lower_set(lo, node, 0, y);
}

/* x divided by a norm of its own, which counts as 1 where it is 0. */
struct apx_view *apx_emit_normalise(struct apx_lowering *lo, enum apx_reduce norm,
                                    struct apx_view *x, int axis)
{
    struct apx_view *size = apx_emit_reduce(lo, norm, false, x, 1u << axis, true);
    struct apx_view *is_zero =
        apx_emit_compare(lo, APX_COMPARE_EQ, size, apx_lower_scalar(lo, APX_F32, 0));
    size = apx_emit_where(lo, is_zero, apx_lower_scalar(lo, APX_F32, 1), size);
    return apx_emit_binary(lo, APX_BINARY_DIV, x, size);
}

void apx_lower_lp_norm(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL)
        return;
    int axis = apx_lower_axis(lo, apx_node_int(node, "axis", -1), x->rank);
    int64_t p = apx_node_int(node, "p", 2);
    if (p != 1 && p != 2) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "p = %lld", (long long)p);
        return;
    }
    apx_lower_set(lo, node, 0,
                  apx_emit_normalise(lo, p == 1 ? APX_REDUCE_L1 : APX_REDUCE_L2, x, axis));
}
