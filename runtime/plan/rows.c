/* SPDX-License-Identifier: Apache-2.0 */
/* rows.c - follow a symbol through the graph and see whether rows ever meet.
 *
 * Every value carries a mark: the axis that counts rows, and how many elements of that axis lie
 * around them (`outer`: after Reshape [T,B,F] -> [T*B,F] the rows are inside of axis 0, T blocks of
 * them). An operator keeps the mark, moves it, or mixes rows; then the symbol is not one of
 * independent rows. A value whose extents hold the symbol without a mark ends the analysis too,
 * and so does a value that holds the number of rows as data. What is filled with one number has
 * rows wherever the others want them. */
#include "runtime/plan/rows.h"

#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/model/infer.h"
#include "runtime/plan/view.h"

struct mark {
    int axis; /* -1: the value does not depend on rows */
    struct apx_dim outer;
};

struct analysis {
    const struct apx_graph *graph;
    int symbol;
    struct mark *marks; /* [value_count] */
};

static const struct mark no_mark = {.axis = -1};

static bool depends(const struct analysis *a, const struct apx_value *value)
{
    for (int i = 0; i < value->rank; i++)
        if (apx_dim_depends_on(&value->dims[i], a->symbol))
            return true;
    return false;
}

/* The mark of input i as data; false if its elements tell the number of rows. */
static bool mark_of(const struct analysis *a, const struct apx_node *node, int i, struct mark *mark)
{
    const struct apx_value *value = apx_node_in(a->graph, node, i);
    *mark = no_mark;
    if (value == NULL)
        return true;
    if (value->elems != NULL && value->data == NULL)
        for (int k = 0; k < value->elem_count; k++)
            if (apx_dim_depends_on(&value->elems[k], a->symbol))
                return false;
    *mark = a->marks[node->in[i]];
    return true;
}

static void set_mark(struct analysis *a, const struct apx_node *node, int i, int axis,
                     const struct apx_dim *outer)
{
    if (i < node->out_count && node->out[i] >= 0)
        a->marks[node->out[i]] = axis < 0 ? no_mark : (struct mark){axis, *outer};
}

/* Two operands that meet element by element: the mark of both, if they agree. An operand without a
 * mark that still has the symbol among its extents is one filled with a number. */
static bool join(struct mark *mark, int axis, const struct apx_dim *outer)
{
    if (axis < 0)
        return true;
    if (mark->axis < 0) {
        *mark = (struct mark){axis, *outer};
        return true;
    }
    return mark->axis == axis && apx_dim_equal(&mark->outer, outer);
}

/* Operands aligned at their last axes. */
static bool follow_broadcast(struct analysis *a, const struct apx_node *node, int first, int count)
{
    int rank = apx_node_out(a->graph, node, 0)->rank;
    struct mark result = no_mark, mark;
    for (int i = first; i < first + count && i < node->in_count; i++) {
        const struct apx_value *value = apx_node_in(a->graph, node, i);
        if (value == NULL)
            continue;
        if (!mark_of(a, node, i, &mark))
            return false;
        if (mark.axis >= 0 && !value->is_filled &&
            !join(&result, mark.axis + rank - value->rank, &mark.outer))
            return false;
    }
    for (int i = first; i < first + count && i < node->in_count && result.axis < 0; i++) {
        const struct apx_value *value = apx_node_in(a->graph, node, i);
        if (value != NULL && a->marks[node->in[i]].axis >= 0)
            join(&result, a->marks[node->in[i]].axis + rank - value->rank,
                 &a->marks[node->in[i]].outer);
    }
    for (int i = 0; i < node->out_count; i++)
        set_mark(a, node, i, result.axis, &result.outer);
    return true;
}

/* The same elements in a row under other extents: rows stay apart if the product of what lies
 * around them stays. */
static bool follow_reshape(struct analysis *a, const struct apx_node *node)
{
    struct mark mark;
    if (!mark_of(a, node, 0, &mark))
        return false;
    const struct apx_value *in = apx_node_in(a->graph, node, 0);
    for (int o = 0; o < node->out_count; o++) {
        const struct apx_value *out = apx_node_out(a->graph, node, o);
        if (out == NULL)
            continue;
        int found = -1;
        struct apx_dim around = apx_dim_constant(0), before = apx_dim_constant(1), inside;
        if (mark.axis >= 0) {
            around = apx_extent_product(in->dims, 0, mark.axis);
            around = apx_dim_multiply(&around, &mark.outer);
            struct apx_dim symbol = apx_dim_symbol(a->symbol);
            for (int i = 0; i < out->rank && found < 0; i++) {
                inside = apx_dim_divide(&around, &before);
                struct apx_dim unit = apx_dim_multiply(&inside, &symbol);
                struct apx_dim rest = apx_dim_divide(&out->dims[i], &unit);
                if (apx_dim_is_known(&inside) && apx_dim_is_known(&rest))
                    found = i;
                else
                    before = apx_dim_multiply(&before, &out->dims[i]);
            }
            if (found < 0)
                return false;
        }
        set_mark(a, node, o, found, &inside);
    }
    return true;
}

/* Row axis of input 0 is none of the axes that are walked: from `axis` on (to the end if `to` < 0).
 */
static bool follow_around(struct analysis *a, const struct apx_node *node, int64_t axis,
                          bool to_end)
{
    struct mark mark;
    if (!mark_of(a, node, 0, &mark))
        return false;
    int rank = apx_node_in(a->graph, node, 0)->rank;
    int walked = (int)(axis < 0 ? axis + rank : axis);
    if (mark.axis >= 0 && (mark.axis == walked || (to_end && mark.axis > walked)))
        return false;
    for (int i = 0; i < node->out_count; i++)
        set_mark(a, node, i, mark.axis, &mark.outer);
    return true;
}

/* Axes disappear or become 1. */
static bool follow_reduce(struct analysis *a, const struct apx_node *node, const bool *is_axis,
                          bool keep)
{
    struct mark mark;
    if (!mark_of(a, node, 0, &mark))
        return false;
    int axis = mark.axis;
    if (axis >= 0 && is_axis[axis])
        return false;
    for (int i = 0; i < mark.axis && !keep; i++)
        axis -= is_axis[i];
    set_mark(a, node, 0, axis, &mark.outer);
    return true;
}

static bool follow_axes(struct analysis *a, const struct apx_node *node)
{
    const struct apx_value *in = apx_node_in(a->graph, node, 0);
    bool is_axis[APX_MAX_RANK] = {false}, given = true;
    if (node->op == APX_OP_ARG_MAX || node->op == APX_OP_ARG_MIN) {
        int64_t axis = apx_node_int(node, "axis", 0);
        axis = axis < 0 ? axis + in->rank : axis;
        if (axis < 0 || axis >= in->rank)
            return false;
        is_axis[axis] = true;
    } else if (apx_node_axes(a->graph, node, 1, in->rank, is_axis, &given, NULL) != APX_OK) {
        return false;
    }
    bool all = !given && apx_node_int(node, "noop_with_empty_axes", 0) == 0;
    for (int i = 0; i < in->rank && !given; i++)
        is_axis[i] = all;
    return follow_reduce(a, node, is_axis, apx_node_int(node, "keepdims", 1) != 0);
}

static bool follow_transpose(struct analysis *a, const struct apx_node *node)
{
    struct mark mark;
    if (!mark_of(a, node, 0, &mark))
        return false;
    int rank = apx_node_in(a->graph, node, 0)->rank, axis = -1;
    const struct apx_attr *perm = apx_node_attr(node, "perm");
    for (int i = 0; i < rank && mark.axis >= 0; i++)
        if ((perm != NULL ? (int)perm->ints[i] : rank - 1 - i) == mark.axis)
            axis = i;
    set_mark(a, node, 0, axis, &mark.outer);
    return true;
}

/* Of input 0 and input `second`. */
static bool follow_matmul(struct analysis *a, const struct apx_node *node, int second)
{
    struct mark left, right, result = no_mark;
    if (!mark_of(a, node, 0, &left) || !mark_of(a, node, second, &right))
        return false;
    const struct apx_value *x = apx_node_in(a->graph, node, 0);
    const struct apx_value *y = apx_node_in(a->graph, node, second);
    int rank = apx_node_out(a->graph, node, 0)->rank;
    if ((left.axis >= 0 && left.axis == x->rank - 1) ||
        (right.axis >= 0 && right.axis == (y->rank > 1 ? y->rank - 2 : 0)))
        return false;
    /* Axes that the result lacks: a vector's on either side. */
    int left_place = left.axis + rank - x->rank + (y->rank == 1);
    int right_place = right.axis + rank - y->rank + (x->rank == 1 && right.axis < y->rank - 2);
    if (x->rank == 1)
        left_place = -1;
    if (!join(&result, left.axis < 0 ? -1 : left_place, &left.outer) ||
        !join(&result, right.axis < 0 ? -1 : right_place, &right.outer))
        return false;
    set_mark(a, node, 0, result.axis, &result.outer);
    return true;
}

static bool follow_gemm(struct analysis *a, const struct apx_node *node)
{
    struct mark left, right, bias, result = no_mark;
    if (!mark_of(a, node, 0, &left) || !mark_of(a, node, 1, &right) || !mark_of(a, node, 2, &bias))
        return false;
    int kept_left = apx_node_int(node, "transA", 0) != 0 ? 1 : 0;
    int kept_right = apx_node_int(node, "transB", 0) != 0 ? 0 : 1;
    if ((left.axis >= 0 && left.axis != kept_left) || (right.axis >= 0 && right.axis != kept_right))
        return false;
    const struct apx_value *c = apx_node_in(a->graph, node, 2);
    if (!join(&result, left.axis < 0 ? -1 : 0, &left.outer) ||
        !join(&result, right.axis < 0 ? -1 : 1, &right.outer) ||
        !join(&result, bias.axis < 0 || c == NULL ? -1 : bias.axis + 2 - c->rank, &bias.outer))
        return false;
    set_mark(a, node, 0, result.axis, &result.outer);
    return true;
}

static bool follow_rnn(struct analysis *a, const struct apx_node *node)
{
    bool batch_first = apx_node_int(node, "layout", 0) != 0;
    int data = batch_first ? 0 : 1; /* the axis of X and of the initial states */
    const int of_float[9] = {data, -1, -1, -1, 0, data, data, -1, -1};
    static const int of_int8[9] = {1, -1, -1, -1, -1, -1, 0, 1, 1};
    bool is_int8 = node->op == APX_OP_QUANTIZED_LSTM || node->op == APX_OP_QUANTIZED_GRU;
    const int *batch = is_int8 ? of_int8 : of_float;
    struct mark result = no_mark, mark;
    for (int i = 0; i < node->in_count && i < 9; i++) {
        if (!mark_of(a, node, i, &mark))
            return false;
        const struct apx_value *value = apx_node_in(a->graph, node, i);
        if (mark.axis < 0 || value->is_filled)
            continue;
        if (mark.axis != batch[i] || !join(&result, 0, &mark.outer))
            return false;
    }
    int y_axis = batch_first ? 0 : 2, state_axis = batch_first ? 0 : 1;
    set_mark(a, node, 0, result.axis < 0 ? -1 : y_axis, &result.outer);
    set_mark(a, node, 1, result.axis < 0 ? -1 : state_axis, &result.outer);
    set_mark(a, node, 2, result.axis < 0 ? -1 : state_axis, &result.outer);
    return true;
}

/* Parts of the row axis may not be taken, unless the whole is. */
static bool follow_slice(struct analysis *a, const struct apx_node *node)
{
    struct mark mark;
    struct apx_slice_axis axes[APX_MAX_RANK];
    if (!mark_of(a, node, 0, &mark) || apx_node_slice(a->graph, node, axes, NULL) != APX_OK)
        return false;
    const struct apx_value *in = apx_node_in(a->graph, node, 0);
    if (mark.axis >= 0 && !in->is_filled) {
        int64_t start;
        if (!apx_dim_is_constant(&axes[mark.axis].start, &start) || start != 0 ||
            axes[mark.axis].step != 1 ||
            !apx_dim_equal(&axes[mark.axis].extent, &in->dims[mark.axis]))
            return false;
    }
    set_mark(a, node, 0, mark.axis, &mark.outer);
    return true;
}

static bool follow_concat(struct analysis *a, const struct apx_node *node, int64_t axis)
{
    struct mark result = no_mark, mark;
    int rank = apx_node_in(a->graph, node, 0)->rank;
    axis = axis < 0 ? axis + rank : axis;
    for (int i = 0; i < node->in_count; i++) {
        if (!mark_of(a, node, i, &mark))
            return false;
        if (mark.axis == (int)axis || !join(&result, mark.axis, &mark.outer))
            return false;
    }
    set_mark(a, node, 0, result.axis, &result.outer);
    return true;
}

static bool follow_gather(struct analysis *a, const struct apx_node *node, int64_t axis)
{
    struct mark data, indices;
    if (!mark_of(a, node, 0, &data) || !mark_of(a, node, 1, &indices))
        return false;
    const struct apx_value *from = apx_node_in(a->graph, node, 0);
    const struct apx_value *at = apx_node_in(a->graph, node, 1);
    axis = axis < 0 ? axis + from->rank : axis;
    if (data.axis == (int)axis || (data.axis >= 0 && indices.axis >= 0))
        return false;
    if (data.axis >= 0)
        set_mark(a, node, 0, data.axis < axis ? data.axis : data.axis + at->rank - 1, &data.outer);
    else
        set_mark(a, node, 0, indices.axis < 0 ? -1 : (int)axis + indices.axis, &indices.outer);
    return true;
}

/* Every axis but the row's may grow. */
static bool follow_tile(struct analysis *a, const struct apx_node *node)
{
    struct mark mark;
    if (!mark_of(a, node, 0, &mark))
        return false;
    const struct apx_value *in = apx_node_in(a->graph, node, 0);
    const struct apx_value *out = apx_node_out(a->graph, node, 0);
    if (mark.axis >= 0 && !apx_dim_equal(&in->dims[mark.axis], &out->dims[mark.axis]))
        return false;
    set_mark(a, node, 0, mark.axis, &mark.outer);
    return true;
}

static bool follow_expand(struct analysis *a, const struct apx_node *node)
{
    struct mark mark;
    if (!mark_of(a, node, 0, &mark))
        return false;
    const struct apx_value *in = apx_node_in(a->graph, node, 0);
    const struct apx_value *out = apx_node_out(a->graph, node, 0);
    int shift = out->rank - in->rank;
    if (mark.axis >= 0) {
        set_mark(a, node, 0, mark.axis + shift, &mark.outer);
        return true;
    }
    /* Spread over the rows: the same for each of them. */
    int axis = -1;
    for (int i = 0; i < out->rank; i++)
        if (apx_dim_depends_on(&out->dims[i], a->symbol) &&
            (i < shift || apx_dim_is_one(&in->dims[i - shift])))
            axis = axis < 0 ? i : -2;
    struct apx_dim one = apx_dim_constant(1);
    set_mark(a, node, 0, axis, &one);
    return axis != -2;
}

/* Rows are any axis but the last, that of the features. */
static bool follow_features(struct analysis *a, const struct apx_node *node)
{
    struct mark mark;
    if (!mark_of(a, node, 0, &mark))
        return false;
    const struct apx_value *in = apx_node_in(a->graph, node, 0);
    if (mark.axis >= 0 && mark.axis == in->rank - 1)
        return false;
    for (int i = 0; i < node->out_count; i++)
        set_mark(a, node, i, mark.axis, &mark.outer);
    return true;
}

/* A new last axis behind all others. */
static bool follow_behind(struct analysis *a, const struct apx_node *node)
{
    struct mark mark;
    if (!mark_of(a, node, 0, &mark))
        return false;
    set_mark(a, node, 0, mark.axis, &mark.outer);
    return true;
}

/* Every element has a say in every element: rows meet. */
static bool follow_whole(struct analysis *a, const struct apx_node *node)
{
    struct mark mark;
    if (!mark_of(a, node, 0, &mark) || mark.axis >= 0)
        return false;
    for (int i = 0; i < node->out_count; i++)
        set_mark(a, node, i, -1, NULL);
    return true;
}

static bool follow(struct analysis *a, const struct apx_node *node)
{
    switch (node->op) {
    case APX_OP_LSTM:
    case APX_OP_GRU:
    case APX_OP_QUANTIZED_LSTM:
    case APX_OP_QUANTIZED_GRU:
        return follow_rnn(a, node);
    case APX_OP_GEMM:
        return follow_gemm(a, node);
    case APX_OP_MATMUL:
    case APX_OP_MATMUL_INTEGER:
        return follow_matmul(a, node, 1);
    case APX_OP_QLINEAR_MATMUL:
        return follow_matmul(a, node, 3);
    case APX_OP_DYNAMIC_QUANTIZE_LINEAR:
        return follow_whole(a, node);
    case APX_OP_REDUCE_SUM:
    case APX_OP_REDUCE_MEAN:
    case APX_OP_REDUCE_MAX:
    case APX_OP_REDUCE_MIN:
    case APX_OP_REDUCE_PROD:
    case APX_OP_REDUCE_L1:
    case APX_OP_REDUCE_L2:
    case APX_OP_REDUCE_SUM_SQUARE:
    case APX_OP_REDUCE_LOG_SUM:
    case APX_OP_REDUCE_LOG_SUM_EXP:
    case APX_OP_ARG_MAX:
    case APX_OP_ARG_MIN:
        return follow_axes(a, node);
    case APX_OP_SOFTMAX:
    case APX_OP_LOG_SOFTMAX:
    case APX_OP_LP_NORM:
        return follow_around(a, node, apx_node_int(node, "axis", -1), false);
    case APX_OP_LAYER_NORM:
        return follow_around(a, node, apx_node_int(node, "axis", -1), true);
    case APX_OP_TRANSPOSE:
        return follow_transpose(a, node);
    case APX_OP_IDENTITY:
    case APX_OP_DROPOUT:
    case APX_OP_RESHAPE:
    case APX_OP_FLATTEN:
    case APX_OP_SQUEEZE:
    case APX_OP_UNSQUEEZE:
    case APX_OP_ZIP_MAP:
        return follow_reshape(a, node);
    case APX_OP_CONCAT:
        return follow_concat(a, node, apx_node_int(node, "axis", 0));
    case APX_OP_FEATURE_VECTORIZER:
        return follow_concat(a, node, -1);
    case APX_OP_SPLIT:
        return follow_around(a, node, apx_node_int(node, "axis", 0), false);
    case APX_OP_SLICE:
        return follow_slice(a, node);
    case APX_OP_GATHER:
        return follow_gather(a, node, apx_node_int(node, "axis", 0));
    case APX_OP_ARRAY_FEATURE_EXTRACTOR:
        return follow_gather(a, node, -1);
    case APX_OP_TILE:
    case APX_OP_PAD:
        return follow_tile(a, node);
    case APX_OP_EXPAND:
        return follow_expand(a, node);
    case APX_OP_SCALER:
    case APX_OP_NORMALIZER:
    case APX_OP_IMPUTER:
    case APX_OP_LINEAR_REGRESSOR:
    case APX_OP_LINEAR_CLASSIFIER:
    case APX_OP_QUANTIZED_LINEAR:
    case APX_OP_FOREST:
        return follow_features(a, node);
    case APX_OP_ONE_HOT_ENCODER:
        return follow_behind(a, node);
    case APX_OP_SHAPE:
    case APX_OP_SIZE:
    case APX_OP_CONSTANT:
    case APX_OP_CONSTANT_OF_SHAPE:
    case APX_OP_RANGE:
    case APX_OP_COUNT:
        return false; /* only when its result is not known from the extents */
    default:          /* element by element */
        return follow_broadcast(a, node, 0, node->in_count);
    }
}

/* Filled with one number: rows may lie in the one axis that has the symbol. */
static struct mark filled_mark(const struct analysis *a, const struct apx_value *value)
{
    struct mark mark = {.axis = -1, .outer = apx_dim_constant(1)};
    for (int i = 0; i < value->rank; i++) {
        if (!apx_dim_depends_on(&value->dims[i], a->symbol))
            continue;
        if (mark.axis >= 0)
            return no_mark;
        mark.axis = i;
    }
    return mark;
}

static bool is_row_axis(const struct analysis *a, const struct apx_value *value, int axis)
{
    int symbol;
    return axis >= 0 && apx_dim_is_symbol(&value->dims[axis], &symbol) && symbol == a->symbol;
}

static bool are_independent(struct analysis *a)
{
    const struct apx_graph *graph = a->graph;
    for (int v = 0; v < graph->value_count; v++)
        a->marks[v] = graph->values[v].is_filled ? filled_mark(a, &graph->values[v]) : no_mark;
    for (int i = 0; i < graph->input_count; i++) {
        const struct apx_value *value = &graph->values[graph->inputs[i]];
        struct mark mark = {.axis = -1, .outer = apx_dim_constant(1)};
        for (int axis = 0; axis < value->rank; axis++) {
            if (!apx_dim_depends_on(&value->dims[axis], a->symbol))
                continue;
            if (mark.axis >= 0 || !is_row_axis(a, value, axis))
                return false;
            mark.axis = axis;
        }
        a->marks[graph->inputs[i]] = mark;
    }
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        if (node->is_dead)
            continue;
        bool is_known = true;
        for (int i = 0; i < node->out_count; i++) {
            const struct apx_value *value = apx_node_out(graph, node, i);
            if (value == NULL)
                continue;
            is_known =
                is_known && (value->data != NULL || value->elems != NULL || value->is_filled);
        }
        if (!is_known && !follow(a, node))
            return false;
        for (int i = 0; i < node->out_count; i++) {
            const struct apx_value *value = apx_node_out(graph, node, i);
            if (value == NULL)
                continue;
            if (!value->is_filled && value->elems == NULL && depends(a, value) &&
                a->marks[node->out[i]].axis < 0)
                return false;
        }
    }
    for (int i = 0; i < graph->output_count; i++) {
        const struct apx_value *value = &graph->values[graph->outputs[i]];
        const struct mark *mark = &a->marks[graph->outputs[i]];
        if (!is_row_axis(a, value, mark->axis) || !apx_dim_is_one(&mark->outer))
            return false;
    }
    return true;
}

static int first_axis(const struct apx_value *value, int symbol)
{
    for (int axis = 0; axis < value->rank && symbol >= 0; axis++)
        if (apx_dim_depends_on(&value->dims[axis], symbol))
            return axis;
    return -1;
}

enum apx_status apx_rows_analyse(const struct apx_graph *graph, int *symbol, int *input_axis,
                                 int *output_axis)
{
    struct analysis a = {.graph = graph};
    a.marks = apx_alloc(graph->allocator, (size_t)graph->value_count, sizeof *a.marks);
    if (a.marks == NULL)
        return APX_ENOMEM;
    bool tried[APX_MAX_SYMBOLS] = {false};
    int found = -1, first = -1;
    for (int axis = 0; axis < APX_MAX_RANK && found < 0; axis++) {
        for (int i = 0; i < graph->input_count && found < 0; i++) {
            const struct apx_value *value = &graph->values[graph->inputs[i]];
            if (axis >= value->rank || !apx_dim_is_symbol(&value->dims[axis], &a.symbol) ||
                tried[a.symbol])
                continue;
            tried[a.symbol] = true;
            first = first < 0 ? a.symbol : first;
            if (are_independent(&a))
                found = a.symbol;
        }
    }
    *symbol = found;
    a.symbol = found >= 0 ? found : first;
    for (int i = 0; i < graph->input_count; i++)
        input_axis[i] = first_axis(&graph->values[graph->inputs[i]], a.symbol);
    for (int i = 0; i < graph->output_count; i++)
        output_axis[i] = first_axis(&graph->values[graph->outputs[i]], a.symbol);
    apx_release(graph->allocator, a.marks);
    return APX_OK;
}
