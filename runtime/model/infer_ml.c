/* SPDX-License-Identifier: Apache-2.0 */
/* infer_ml.c - the classic operators of ai.onnx.ml: rows of features in, rows of numbers out. */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"
#include "runtime/model/label_map.h"

#include <string.h>

/* Elements of a list; 0 if it is absent or one of another type, which then counts as absent. */
static size_t attr_count(const struct apx_node *node, const char *name, enum apx_attr_type type)
{
    const struct apx_attr *attr = apx_node_attr(node, name);
    return attr != NULL && attr->type == type ? attr->count : 0;
}

/* Input 0 as [rows, features]: a vector is one row. */
static enum apx_status rows_of(const struct apx_graph *graph, const struct apx_node *node,
                               struct apx_dim *rows, struct apx_dim *features,
                               struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    if (x->rank < 1 || x->rank > 2 || x->dtype == APX_STRING || x->dtype == APX_BOOL)
        return apx_fail(error, APX_EFORMAT, node->name,
                        "%s reads numbers [rows, features]; its input has rank %d and holds %s",
                        apx_op_info(node->op)->name, x->rank, apx_dtype_name(x->dtype));
    *rows = x->rank == 2 ? x->dims[0] : apx_dim_constant(1);
    *features = x->dims[x->rank - 1];
    return APX_OK;
}

static enum apx_status not_numbers(const struct apx_node *node, const struct apx_value *x,
                                   struct apx_error *error)
{
    return apx_fail(error, APX_EUNSUPPORTED, node->name, "%s reads numbers; its input holds %s",
                    apx_op_info(node->op)->name, apx_dtype_name(x->dtype));
}

static enum apx_status set_f32(struct apx_graph *graph, struct apx_node *node,
                               struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    if (x->dtype == APX_STRING || x->dtype == APX_BOOL)
        return not_numbers(node, x, error);
    return apx_infer_set(graph, node, 0, APX_F32, x->rank, x->dims, error);
}

enum apx_status apx_infer_ml_scaler(struct apx_graph *graph, struct apx_node *node,
                                    struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    size_t offsets = attr_count(node, "offset", APX_ATTR_FLOATS),
           scales = attr_count(node, "scale", APX_ATTR_FLOATS);
    int64_t features;
    if (x->rank < 1 || offsets == 0 || scales == 0)
        return apx_fail(error, APX_EFORMAT, node->name,
                        "Scaler without offset or scale, or over a single number");
    if (!apx_dim_is_constant(&x->dims[x->rank - 1], &features))
        return set_f32(graph, node, error);
    if ((offsets != 1 && offsets != (size_t)features) ||
        (scales != 1 && scales != (size_t)features))
        return apx_fail(error, APX_EFORMAT, node->name,
                        "%zu offsets and %zu scales for %lld features; one or as many are read",
                        offsets, scales, (long long)features);
    return set_f32(graph, node, error);
}

/* Normalizer is float32 whatever it reads; Imputer and Binarizer keep the type. */
enum apx_status apx_infer_ml_same_f32(struct apx_graph *graph, struct apx_node *node,
                                      struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    if (node->op == APX_OP_NORMALIZER)
        return set_f32(graph, node, error);
    if (x->dtype == APX_STRING || x->dtype == APX_BOOL)
        return not_numbers(node, x, error);
    return apx_infer_set(graph, node, 0, x->dtype, x->rank, x->dims, error);
}

enum apx_status apx_infer_ml_linear_regressor(struct apx_graph *graph, struct apx_node *node,
                                              struct apx_error *error)
{
    struct apx_dim dims[2], features, weights;
    int64_t targets = apx_node_int(node, "targets", 1);
    enum apx_status status = rows_of(graph, node, &dims[0], &features, error);
    if (status != APX_OK)
        return status;
    size_t coefficients = attr_count(node, "coefficients", APX_ATTR_FLOATS);
    if (targets < 1 || coefficients == 0 || coefficients % (size_t)targets != 0)
        return apx_fail(error, APX_EFORMAT, node->name,
                        "%zu coefficients for %lld targets: it takes as many for each",
                        coefficients, (long long)targets);
    weights = apx_dim_constant((int64_t)(coefficients / (size_t)targets));
    status = apx_infer_meet(graph, node, &features, &weights, "coefficients and features", error);
    dims[1] = apx_dim_constant(targets);
    return status != APX_OK ? status : apx_infer_set(graph, node, 0, APX_F32, 2, dims, error);
}

enum apx_status apx_infer_ml_linear_classifier(struct apx_graph *graph, struct apx_node *node,
                                               struct apx_error *error)
{
    struct apx_dim dims[2], features, weights;
    enum apx_status status = rows_of(graph, node, &dims[0], &features, error);
    if (status != APX_OK)
        return status;
    size_t texts = attr_count(node, "classlabels_strings", APX_ATTR_STRINGS);
    size_t labels = texts > 0 ? texts : attr_count(node, "classlabels_ints", APX_ATTR_INTS);
    size_t coefficients = attr_count(node, "coefficients", APX_ATTR_FLOATS);
    size_t classes = attr_count(node, "intercepts", APX_ATTR_FLOATS);
    if (classes == 0)
        classes = labels;
    if (classes == 0 || coefficients == 0 || coefficients % classes != 0 ||
        (labels != classes && !(classes == 1 && labels == 2)))
        return apx_fail(error, APX_EFORMAT, node->name,
                        "%zu coefficients, %zu classes and %zu labels do not fit each other",
                        coefficients, classes, labels);
    if (texts > 0 &&
        !apx_graph_add_names(graph, "classes", apx_node_attr(node, "classlabels_strings")->strings,
                             texts))
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory");
    weights = apx_dim_constant((int64_t)(coefficients / classes));
    status = apx_infer_meet(graph, node, &features, &weights, "coefficients and features", error);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, texts > 0 ? APX_STRING : APX_I64, 1, dims, error);
    dims[1] = apx_dim_constant((int64_t)labels); /* one row of two classes scores both */
    return status != APX_OK ? status : apx_infer_set(graph, node, 1, APX_F32, 2, dims, error);
}

enum apx_status apx_infer_ml_array_feature_extractor(struct apx_graph *graph, struct apx_node *node,
                                                     struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0), *index = apx_node_in(graph, node, 1);
    struct apx_dim dims[APX_MAX_RANK];
    int rank = x->rank;
    if (rank < 1 || index->dtype != APX_I64)
        return apx_fail(
            error, APX_EFORMAT, node->name,
            "ArrayFeatureExtractor reads features of rank 1 and more, not %d, and indices of "
            "int64, not %s",
            rank, apx_dtype_name(index->dtype));
    memcpy(dims, x->dims, sizeof dims);
    if (rank == 1) { /* a vector is one row, and the result says so */
        dims[0] = apx_dim_constant(1);
        rank = 2;
    }
    dims[rank - 1] = apx_infer_product(index->dims, index->rank);
    return apx_infer_set(graph, node, 0, x->dtype, rank, dims, error);
}

enum apx_status apx_infer_ml_feature_vectorizer(struct apx_graph *graph, struct apx_node *node,
                                                struct apx_error *error)
{
    const struct apx_attr *widths = apx_node_attr(node, "inputdimensions");
    struct apx_dim dims[2], rows, width;
    enum apx_status status = rows_of(graph, node, &dims[0], &dims[1], error);
    if (widths != NULL &&
        (widths->type != APX_ATTR_INTS || widths->count != (size_t)node->in_count))
        return apx_fail(error, APX_EFORMAT, node->name,
                        "inputdimensions is no list of a width for each of the %d inputs",
                        node->in_count);
    for (int i = 0; i < node->in_count && status == APX_OK; i++) {
        const struct apx_value *in = apx_node_in(graph, node, i);
        if (in == NULL || in->rank < 1 || in->rank > 2 || in->dtype == APX_STRING)
            return apx_fail(error, APX_EFORMAT, node->name, "input %d is no matrix of numbers", i);
        width = in->dims[in->rank - 1];
        rows = in->rank == 2 ? in->dims[0] : apx_dim_constant(1);
        if (widths != NULL) {
            const struct apx_dim stated = apx_dim_constant(widths->ints[i]);
            status = apx_infer_meet(graph, node, &width, &stated, "inputdimensions", error);
        }
        if (status == APX_OK && i > 0)
            status = apx_infer_meet(graph, node, &dims[0], &rows, "rows", error);
        dims[1] = i == 0 ? width : apx_dim_add(&dims[1], &width);
    }
    return status != APX_OK ? status : apx_infer_set(graph, node, 0, APX_F32, 2, dims, error);
}

enum apx_status apx_infer_label_encoder(struct apx_graph *graph, struct apx_node *node,
                                        struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    enum apx_dtype from, to;
    enum apx_status status = apx_label_map_types(graph, node, &from, &to, error);
    if (status == APX_OK && x->dtype != from)
        return apx_fail(error, APX_EFORMAT, node->name,
                        "a LabelEncoder from %s whose input holds %s", apx_dtype_name(from),
                        apx_dtype_name(x->dtype));
    return status != APX_OK ? status : apx_infer_set(graph, node, 0, to, x->rank, x->dims, error);
}

/* Behind the element's axes one of its categories: 1 where it is that one, else 0. */
enum apx_status apx_infer_ml_one_hot(struct apx_graph *graph, struct apx_node *node,
                                     struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    struct apx_dim dims[APX_MAX_RANK];
    size_t categories = attr_count(node, "cats_int64s", APX_ATTR_INTS);
    if (attr_count(node, "cats_strings", APX_ATTR_STRINGS) > 0 || x->dtype == APX_STRING)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "a OneHotEncoder of text, which is not read; number the categories before "
                        "the model");
    if (categories == 0)
        return apx_fail(error, APX_EFORMAT, node->name, "a OneHotEncoder without cats_int64s");
    if (x->rank == APX_MAX_RANK)
        return apx_fail(error, APX_ELIMIT, node->name,
                        "a OneHotEncoder over rank %d has one axis more than APX_MAX_RANK (%d)",
                        x->rank, APX_MAX_RANK);
    memcpy(dims, x->dims, sizeof dims);
    dims[x->rank] = apx_dim_constant((int64_t)categories);
    return apx_infer_set(graph, node, 0, APX_F32, x->rank + 1, dims, error);
}

/* A list of maps from label to number: here the matrix of the numbers. */
enum apx_status apx_infer_ml_zip_map(struct apx_graph *graph, struct apx_node *node,
                                     struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    return apx_infer_set(graph, node, 0, x->dtype, x->rank, x->dims, error);
}
