/* SPDX-License-Identifier: Apache-2.0 */
/* lower_ml.c - operators of the domain ai.onnx.ml, written in the steps of the others. */
#include <string.h>

#include "runtime/plan/steps.h"

/* A list of floats as something that broadcasts along the last axis; NULL: absent. One number
 * stands for all. */
static struct apx_view *float_list(struct apx_lowering *lo, const struct apx_node *node,
                                   const char *name, const struct apx_view *x)
{
    const struct apx_attr *attr = apx_node_attr(node, name);
    int64_t width = 0;
    if (attr == NULL || attr->count == 0)
        return NULL;
    if (attr->type != APX_ATTR_FLOATS)
        return apx_lower_fail(lo, APX_EFORMAT, "%s is no list of floats", name);
    if (attr->count != 1 &&
        (!apx_dim_is_constant(&x->extent[x->rank - 1], &width) || attr->count != (size_t)width))
        return apx_lower_fail(lo, APX_EFORMAT, "%s has %zu elements for %lld columns", name,
                              attr->count, (long long)width);
    return apx_lower_floats(lo, attr->floats, attr->count);
}

static struct apx_view *float_input(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x != NULL && x->rank == 0)
        return apx_lower_fail(lo, APX_EFORMAT, "the input is a scalar");
    return apx_emit_cast(lo, x, APX_F32);
}

static void set_reshaped(struct apx_lowering *lo, const struct apx_node *node, int i,
                         struct apx_view *view)
{
    if (i >= node->out_count || node->out[i] < 0)
        return;
    const struct apx_value *out = &lo->graph->values[node->out[i]];
    apx_lower_set(lo, node, i, apx_emit_reshape(lo, view, out->rank, out->dims));
}

void apx_lower_ml_scaler(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = float_input(lo, node);
    if (x == NULL)
        return;
    struct apx_view *offset = float_list(lo, node, "offset", x);
    struct apx_view *scale = float_list(lo, node, "scale", x);
    if (offset != NULL)
        x = apx_emit_binary(lo, APX_BINARY_SUB, x, offset);
    if (scale != NULL)
        x = apx_emit_binary(lo, APX_BINARY_MUL, x, scale);
    set_reshaped(lo, node, 0, x);
}

/* NONE, LOGISTIC, SOFTMAX; the others of the standard are not written by any exporter. */
static struct apx_view *post_transform(struct apx_lowering *lo, const struct apx_node *node,
                                       struct apx_view *scores)
{
    const char *word = apx_node_string(node, "post_transform", "NONE");
    if (scores == NULL || strcmp(word, "NONE") == 0)
        return scores;
    if (strcmp(word, "LOGISTIC") == 0)
        return apx_emit_unary(lo, APX_UNARY_SIGMOID, scores, 0, 0);
    if (strcmp(word, "SOFTMAX") == 0)
        return apx_emit_softmax(lo, false, scores, 1u << (scores->rank - 1));
    return apx_lower_fail(lo, APX_EUNSUPPORTED, "post_transform %s", word);
}

/* x . coefficients^T + intercepts, coefficients [outputs, columns] */
static struct apx_view *linear(struct apx_lowering *lo, const struct apx_node *node, size_t outputs)
{
    struct apx_view *x = float_input(lo, node);
    const struct apx_attr *coefficients = apx_node_attr(node, "coefficients");
    const struct apx_attr *intercepts = apx_node_attr(node, "intercepts");
    int64_t width;
    if (x == NULL)
        return NULL;
    if (intercepts != NULL && intercepts->type != APX_ATTR_FLOATS)
        return apx_lower_fail(lo, APX_EFORMAT, "intercepts is no list of floats");
    if (!apx_dim_is_constant(&x->extent[x->rank - 1], &width) || coefficients == NULL ||
        coefficients->type != APX_ATTR_FLOATS || coefficients->count != outputs * (size_t)width ||
        (intercepts != NULL && intercepts->count > 0 && intercepts->count != outputs))
        return apx_lower_fail(lo, APX_EFORMAT, "the coefficients do not fit %zu outputs", outputs);
    if (x->rank == 1) {
        struct apx_dim extent[2] = {apx_dim_constant(1), x->extent[0]};
        x = apx_emit_reshape(lo, x, 2, extent);
    }
    struct apx_activation none = {APX_ACT_NONE, 0, 0};
    return apx_emit_dense(lo, x, outputs, coefficients->floats, (ptrdiff_t)width, 1,
                          intercepts != NULL && intercepts->count > 0 ? intercepts->floats : NULL,
                          none);
}

void apx_lower_ml_linear_regressor(struct apx_lowering *lo, const struct apx_node *node)
{
    size_t targets = (size_t)apx_node_int(node, "targets", 1);
    set_reshaped(lo, node, 0, post_transform(lo, node, linear(lo, node, targets)));
}

static void set_labels(struct apx_lowering *lo, const struct apx_node *node,
                       const struct apx_attr *labels, struct apx_view *raw, bool is_binary)
{
    struct apx_view *index;
    void *table;
    if (node->out[0] < 0)
        return;
    struct apx_view *label_table =
        apx_lower_storage(lo, APX_I64, 1, &(int64_t){(int64_t)labels->count}, &table);
    if (label_table == NULL)
        return;
    for (size_t i = 0; i < labels->count; i++) /* words are answered by their places */
        ((int64_t *)table)[i] = labels->type == APX_ATTR_INTS ? labels->ints[i] : (int64_t)i;
    if (is_binary)
        index = apx_emit_cast(
            lo, apx_emit_compare(lo, APX_COMPARE_GT, raw, apx_lower_scalar(lo, APX_F32, 0)),
            APX_I64);
    else
        index = apx_emit_reduce(lo, APX_REDUCE_ARGMAX, false, raw, 1u << (raw->rank - 1), false);
    set_reshaped(lo, node, 0, apx_emit_gather(lo, label_table, index, 0));
}

/* Labels follow the raw scores. One row of coefficients for two labels: its sign decides, and the
 * two columns of scores are made from it as ONNX Runtime makes them. */
void apx_lower_ml_linear_classifier(struct apx_lowering *lo, const struct apx_node *node)
{
    const struct apx_attr *texts = apx_node_attr(node, "classlabels_strings");
    const struct apx_attr *labels = apx_node_attr(node, "classlabels_ints");
    const struct apx_attr *coefficients = apx_node_attr(node, "coefficients");
    struct apx_view *x = apx_lower_in(lo, node, 0);
    int64_t width = 0;
    if (x == NULL)
        return;
    if (texts != NULL && texts->count > 0)
        labels = texts;
    if (labels == NULL || labels->count == 0 ||
        (node->out[0] >= 0 && lo->graph->values[node->out[0]].dtype == APX_STRING)) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "labels that are text");
        return;
    }
    if (coefficients == NULL || x->rank == 0 ||
        !apx_dim_is_constant(&x->extent[x->rank - 1], &width) || width <= 0) {
        apx_lower_fail(lo, APX_EFORMAT, "the coefficients do not fit the input");
        return;
    }
    size_t outputs = coefficients->count / (size_t)width;
    bool is_binary = outputs == 1 && labels->count == 2;
    if (!is_binary && outputs != labels->count) {
        apx_lower_fail(lo, APX_EFORMAT, "%zu rows of coefficients for %zu labels", outputs,
                       labels->count);
        return;
    }
    const char *transform = apx_node_string(node, "post_transform", "NONE");
    struct apx_view *raw = linear(lo, node, outputs), *scores = raw;
    if (raw == NULL)
        return;
    set_labels(lo, node, labels, raw, is_binary);
    if (is_binary) {
        struct apx_view *pair[2] = {NULL, raw};
        if (strcmp(transform, "LOGISTIC") == 0) {
            pair[1] = apx_emit_unary(lo, APX_UNARY_SIGMOID, raw, 0, 0);
            pair[0] =
                apx_emit_binary(lo, APX_BINARY_SUB, apx_lower_scalar(lo, APX_F32, 1), pair[1]);
            scores = apx_emit_concat(lo, pair, 2, raw->rank - 1);
        } else {
            pair[0] = apx_emit_unary(lo, APX_UNARY_NEG, raw, 0, 0);
            scores = post_transform(lo, node, apx_emit_concat(lo, pair, 2, raw->rank - 1));
        }
    } else {
        scores = post_transform(lo, node, raw);
    }
    set_reshaped(lo, node, 1, scores);
}

void apx_lower_ml_normalizer(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = float_input(lo, node);
    const char *norm = apx_node_string(node, "norm", "MAX");
    if (x == NULL)
        return;
    if (strcmp(norm, "MAX") != 0 && strcmp(norm, "L1") != 0 && strcmp(norm, "L2") != 0) {
        apx_lower_fail(lo, APX_EFORMAT, "norm %s", norm);
        return;
    }
    enum apx_reduce reduce = strcmp(norm, "L1") == 0   ? APX_REDUCE_L1
                             : strcmp(norm, "L2") == 0 ? APX_REDUCE_L2
                                                       : APX_REDUCE_MAX;
    apx_lower_set(lo, node, 0, apx_emit_normalise(lo, reduce, x, x->rank - 1));
}

void apx_lower_ml_imputer(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x != NULL && x->dtype != APX_F32) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "an Imputer of %s", apx_dtype_name(x->dtype));
        return;
    }
    x = float_input(lo, node);
    if (x == NULL)
        return;
    struct apx_view *values = float_list(lo, node, "imputed_value_floats", x);
    if (values == NULL) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "an Imputer without imputed_value_floats");
        return;
    }
    float replaced = apx_node_float(node, "replaced_value_float", 0);
    struct apx_view *is_missing;
    if (replaced != replaced)
        is_missing = apx_emit_logic(lo, APX_LOGIC_XOR, apx_emit_compare(lo, APX_COMPARE_EQ, x, x),
                                    apx_lower_scalar(lo, APX_BOOL, 1));
    else
        is_missing = apx_emit_compare(lo, APX_COMPARE_EQ, x,
                                      apx_lower_scalar(lo, APX_F32, (double)replaced));
    apx_lower_set(lo, node, 0, apx_emit_where(lo, is_missing, values, x));
}

void apx_lower_ml_binarizer(struct apx_lowering *lo, const struct apx_node *node)
{
    double threshold = (double)apx_node_float(node, "threshold", 0);
    struct apx_view *is_above = apx_emit_compare(lo, APX_COMPARE_GT, float_input(lo, node),
                                                 apx_lower_scalar(lo, APX_F32, threshold));
    const struct apx_view *x = apx_lower_in(lo, node, 0); /* its type is the result's */
    apx_lower_set(lo, node, 0, apx_emit_cast(lo, is_above, x != NULL ? x->dtype : APX_F32));
}

/* Categories stand along a new last axis. Floats are truncated first; a NaN is no category. */
void apx_lower_ml_one_hot(struct apx_lowering *lo, const struct apx_node *node)
{
    const struct apx_attr *list = apx_node_attr(node, "cats_int64s");
    struct apx_dim extent[APX_MAX_RANK];
    struct apx_view *x = apx_lower_in(lo, node, 0);
    void *data = NULL;
    struct apx_view *categories =
        apx_lower_storage(lo, APX_I64, 1, &(int64_t){(int64_t)list->count}, &data);
    if (x == NULL || categories == NULL)
        return;
    memcpy(data, list->ints, list->count * sizeof list->ints[0]);
    memcpy(extent, x->extent, sizeof extent);
    extent[x->rank] = apx_dim_constant(1);
    x = apx_emit_reshape(lo, x, x->rank + 1, extent);
    struct apx_view *hot =
        apx_emit_compare(lo, APX_COMPARE_EQ, apx_emit_cast(lo, x, APX_I64), categories);
    if (x != NULL && (x->dtype == APX_F32 || x->dtype == APX_F64))
        hot = apx_emit_logic(lo, APX_LOGIC_AND, hot, apx_emit_compare(lo, APX_COMPARE_EQ, x, x));
    apx_lower_set(lo, node, 0, apx_emit_cast(lo, hot, APX_F32));
}

void apx_lower_ml_feature_vectorizer(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *parts[APX_LIMIT_NODE_INPUTS];
    for (int i = 0; i < node->in_count; i++)
        parts[i] = apx_emit_cast(lo, apx_lower_in(lo, node, i), APX_F32);
    if (lo->status == APX_OK)
        set_reshaped(lo, node, 0, apx_emit_concat(lo, parts, node->in_count, parts[0]->rank - 1));
}
