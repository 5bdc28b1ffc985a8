/* SPDX-License-Identifier: Apache-2.0 */
/* infer.c - the walk over the nodes, and the merging of symbols.
 *
 * Exporters name the same extent differently in different inputs, and some name every unknown
 * extent anew. Where two symbols must be equal for the node to make sense, one is replaced by the
 * other in everything known so far, and the node is inferred again; that ends because symbols only
 * become fewer. */
#include "runtime/model/infer.h"

#include "runtime/base/fail.h"

#include <math.h>
#include <string.h>

typedef enum apx_status infer_function(struct apx_graph *, struct apx_node *, struct apx_error *);

static infer_function *const functions[APX_OP_COUNT] = {
#define APX_OP(kind, domain, name, min_in, max_in, min_out, max_out, infer, lower)                 \
    [APX_OP_##kind] = apx_infer_##infer,
#include "runtime/model/ops.def"
#undef APX_OP
};

struct apx_value *apx_node_in(const struct apx_graph *graph, const struct apx_node *node, int i)
{
    return i < node->in_count && node->in[i] >= 0 ? &graph->values[node->in[i]] : NULL;
}

struct apx_value *apx_node_out(const struct apx_graph *graph, const struct apx_node *node, int i)
{
    return i < node->out_count && node->out[i] >= 0 ? &graph->values[node->out[i]] : NULL;
}

bool apx_value_ints(const struct apx_value *value, int limit, int64_t *ints, int *count)
{
    if (value == NULL || value->elems == NULL || value->elem_count > limit)
        return false;
    for (int i = 0; i < value->elem_count; i++)
        if (!apx_dim_is_constant(&value->elems[i], &ints[i]))
            return false;
    *count = value->elem_count;
    return true;
}

static double element(const struct apx_value *value, size_t i)
{
    switch (value->dtype) {
    case APX_F32:
        return (double)((const float *)value->data)[i];
    case APX_F64:
        return ((const double *)value->data)[i];
    case APX_I32:
        return ((const int32_t *)value->data)[i];
    case APX_I64:
        return (double)((const int64_t *)value->data)[i];
    case APX_I8:
        return ((const int8_t *)value->data)[i];
    default: /* APX_BOOL, APX_U8; strings are never asked for */
        return ((const uint8_t *)value->data)[i];
    }
}

bool apx_fill_is_exact(enum apx_dtype dtype, double number)
{
    return dtype != APX_I64 || fabs(number) < 0x1p53;
}

bool apx_value_number(const struct apx_value *value, double *number)
{
    if (value == NULL || value->dtype == APX_STRING)
        return false;
    if (value->data != NULL && value->bytes == apx_dtype_size(value->dtype)) {
        *number = element(value, 0);
        return true;
    }
    if (value->is_filled)
        *number = value->fill;
    return value->is_filled;
}

enum apx_status apx_node_axis(const struct apx_node *node, int64_t axis, int rank, int *out,
                              struct apx_error *error)
{
    if (axis < -rank || axis >= rank)
        return apx_fail(error, APX_EFORMAT, node->name, "axis %lld of a tensor of rank %d",
                        (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return APX_OK;
}

enum apx_status apx_node_axes(const struct apx_graph *graph, const struct apx_node *node, int i,
                              int rank, bool *is_axis, bool *given, struct apx_error *error)
{
    int64_t axes[APX_MAX_RANK];
    int count = 0;
    memset(is_axis, 0, (size_t)rank * sizeof *is_axis);
    *given = false;
    if (apx_node_in(graph, node, i) == NULL)
        return APX_OK;
    if (!apx_value_ints(apx_node_in(graph, node, i), APX_MAX_RANK, axes, &count))
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "the axes are not known when the model is loaded");
    for (int a = 0; a < count; a++) {
        int axis = 0;
        enum apx_status status = apx_node_axis(node, axes[a], rank, &axis, error);
        if (status != APX_OK)
            return status;
        if (is_axis[axis])
            return apx_fail(error, APX_EFORMAT, node->name, "axis %d is given twice", axis);
        is_axis[axis] = true;
    }
    *given = count > 0;
    return APX_OK;
}

enum apx_status apx_infer_set(struct apx_graph *graph, const struct apx_node *node, int i,
                              enum apx_dtype dtype, int rank, const struct apx_dim *dims,
                              struct apx_error *error)
{
    struct apx_value *out = apx_node_out(graph, node, i);
    if (rank > APX_MAX_RANK)
        return apx_fail(error, APX_ELIMIT, node->name, "rank %d is above APX_MAX_RANK (%d)", rank,
                        APX_MAX_RANK);
    if (out == NULL)
        return APX_OK;
    int64_t elements = 1, extent;
    for (int d = 0; d < rank; d++) {
        if (!apx_dim_is_known(&dims[d]))
            return apx_fail(error, APX_EUNSUPPORTED, node->name,
                            "extent %d of the result is no expression of the inputs' extents", d);
        if (!apx_dim_is_constant(&dims[d], &extent))
            continue;
        if (extent < 0)
            return apx_fail(error, APX_EFORMAT, node->name, "extent %d of the result is negative",
                            d);
        if (__builtin_mul_overflow(elements, extent, &elements) || elements > APX_LIMIT_ELEMENTS)
            return apx_fail(error, APX_ELIMIT, node->name,
                            "a result of more than APX_LIMIT_ELEMENTS (2^31) elements");
    }
    out->dtype = dtype;
    out->rank = rank;
    for (int d = 0; d < rank; d++)
        out->dims[d] = dims[d];
    out->elems = NULL;
    out->elem_count = 0;
    out->is_filled = false;
    return APX_OK;
}

enum apx_status apx_infer_follow(struct apx_graph *graph, const struct apx_node *node, int i,
                                 const struct apx_dim *elems, int count, struct apx_error *error)
{
    struct apx_value *out = apx_node_out(graph, node, i);
    if (out == NULL || count > APX_LIMIT_SHAPE_ELEMS || out->rank > 1)
        return APX_OK;
    for (int e = 0; e < count; e++)
        if (!apx_dim_is_known(&elems[e]))
            return APX_OK;
    struct apx_dim *copy = apx_graph_alloc(graph, (size_t)count * sizeof *copy);
    if (copy == NULL)
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory");
    for (int e = 0; e < count; e++)
        copy[e] = elems[e];
    out->elems = copy;
    out->elem_count = count;
    return APX_OK;
}

void apx_infer_fill(struct apx_graph *graph, const struct apx_node *node, int i,
                    const struct apx_value *from)
{
    struct apx_value *out = apx_node_out(graph, node, i);
    if (out == NULL || from == NULL || !from->is_filled)
        return;
    out->is_filled = true;
    out->fill = from->fill;
}

/* Replace symbol `from` by symbol `to`, or by `number` if `to` is -1, in everything known. */
static void merge(struct apx_graph *graph, int from, int to, int64_t number)
{
    if (to >= 0 && graph->symbol_is_made[to] && !graph->symbol_is_made[from]) {
        graph->symbols[to] = graph->symbols[from]; /* the name that a person chose */
        graph->symbol_is_made[to] = false;
    }
    for (int v = 0; v < graph->value_count; v++) {
        struct apx_value *value = &graph->values[v];
        for (int d = 0; d < value->rank; d++)
            value->dims[d] = to >= 0 ? apx_dim_rename(&value->dims[d], from, to)
                                     : apx_dim_substitute(&value->dims[d], from, number);
        for (int e = 0; e < value->elem_count; e++)
            value->elems[e] = to >= 0 ? apx_dim_rename(&value->elems[e], from, to)
                                      : apx_dim_substitute(&value->elems[e], from, number);
    }
    graph->merges++;
}

static uint64_t magnitude(int64_t number)
{
    return number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
}

/* Divide `a` by what its terms share: 40*b*t-40*b*s becomes t-s. A symbol that every term has may
 * be dropped although it might be 0: then nothing is asked of the others. */
static void drop_common_factors(struct apx_dim *a)
{
    uint64_t divisor = 0;
    for (int t = 0; t < a->terms; t++)
        for (uint64_t rest = magnitude(a->term[t].coefficient); rest != 0;) {
            uint64_t next = divisor % rest;
            divisor = rest;
            rest = next;
        }
    if (divisor > INT64_MAX)
        return;
    for (int t = 0; t < a->terms; t++)
        a->term[t].coefficient /= (int64_t)divisor;
    for (int s = 0; s < APX_MAX_SYMBOLS && a->terms > 1; s++) {
        uint8_t least = UINT8_MAX;
        for (int t = 0; t < a->terms; t++)
            if (a->term[t].exponents[s] < least)
                least = a->term[t].exponents[s];
        for (int t = 0; t < a->terms; t++)
            a->term[t].exponents[s] = (uint8_t)(a->term[t].exponents[s] - least);
    }
}

/* The symbol of a term such as 3*t; -1 if it is anything else. */
static int symbol_of(const struct apx_dim_term *term)
{
    struct apx_dim alone = {.terms = 1, .term = {*term}};
    int symbol = -1;
    alone.term[0].coefficient = 1;
    return apx_dim_is_symbol(&alone, &symbol) ? symbol : -1;
}

/* Make `zero`, the difference of two extents, zero: t-s merges two symbols, 2*t-6 fixes one. False
 * if it has another form. */
static bool solve(struct apx_graph *graph, struct apx_dim *zero)
{
    drop_common_factors(zero);
    int first = symbol_of(&zero->term[0]);
    int64_t factor = zero->term[0].coefficient, number;
    if (first < 0 || zero->terms > 2)
        return false;
    if (zero->terms == 1) {
        merge(graph, first, -1, 0);
        return true;
    }
    int second = symbol_of(&zero->term[1]);
    struct apx_dim rest = {.terms = 1, .term = {zero->term[1]}};
    if (second >= 0 && factor + zero->term[1].coefficient == 0 && (factor == 1 || factor == -1)) {
        merge(graph, first > second ? first : second, first > second ? second : first, 0);
        return true;
    }
    if (!apx_dim_is_constant(&rest, &number) || number == INT64_MIN || factor == INT64_MIN ||
        number % factor != 0 || -number / factor < 0)
        return false;
    merge(graph, first, -1, -number / factor);
    return true;
}

enum apx_status apx_infer_meet(struct apx_graph *graph, const struct apx_node *node,
                               const struct apx_dim *a, const struct apx_dim *b, const char *what,
                               struct apx_error *error)
{
    if (apx_dim_equal(a, b))
        return APX_OK;
    char left[128], right[128]; /* before the merge changes what a and b may point to */
    apx_dim_format(a, graph->symbols, left, sizeof left);
    apx_dim_format(b, graph->symbols, right, sizeof right);
    struct apx_dim zero = apx_dim_subtract(a, b);
    if (apx_dim_is_constant(&zero, NULL))
        return apx_fail(error, APX_EFORMAT, node->name, "%s: %s and %s must be equal", what, left,
                        right);
    if (apx_dim_is_known(&zero) && solve(graph, &zero))
        return APX_OK;
    return apx_fail(error, APX_EUNSUPPORTED, node->name,
                    "%s: %s and %s must be equal, which cannot be told before a call", what, left,
                    right);
}

static bool is_one(const struct apx_dim *a)
{
    int64_t value;
    return apx_dim_is_constant(a, &value) && value == 1;
}

enum apx_status apx_infer_broadcast_dims(struct apx_graph *graph, const struct apx_node *node,
                                         struct apx_dim *dims, int *rank,
                                         const struct apx_dim *other, int other_rank,
                                         struct apx_error *error)
{
    int more = other_rank - *rank;
    if (more > 0) {
        memmove(dims + more, dims, (size_t)*rank * sizeof *dims);
        for (int d = 0; d < more; d++)
            dims[d] = other[d];
        *rank = other_rank;
    }
    int shift = *rank - other_rank;
    for (int d = more > 0 ? more : shift; d < *rank; d++) {
        const struct apx_dim *second = &other[d - shift];
        if (is_one(second))
            continue;
        enum apx_status status =
            is_one(&dims[d]) ? APX_OK
                             : apx_infer_meet(graph, node, &dims[d], second, "broadcast", error);
        if (status != APX_OK)
            return status;
        if (is_one(&dims[d]))
            dims[d] = *second;
    }
    return APX_OK;
}

struct apx_dim apx_infer_product(const struct apx_dim *dims, int count)
{
    struct apx_dim product = apx_dim_constant(1);
    for (int d = 0; d < count; d++)
        product = apx_dim_multiply(&product, &dims[d]);
    return product;
}

enum apx_status apx_infer_same_dtype(const struct apx_graph *graph, const struct apx_node *node,
                                     struct apx_error *error)
{
    const struct apx_value *first = NULL;
    for (int i = 0; i < node->in_count; i++) {
        const struct apx_value *value = apx_node_in(graph, node, i);
        if (value == NULL)
            continue;
        if (first == NULL)
            first = value;
        if (value->dtype != first->dtype)
            return apx_fail(error, APX_EFORMAT, node->name, "inputs of types %s and %s",
                            apx_dtype_name(first->dtype), apx_dtype_name(value->dtype));
    }
    return APX_OK;
}

/* Constants know their elements if they are few, and their fill if all are equal. */
static enum apx_status start_constant(struct apx_graph *graph, struct apx_value *value,
                                      struct apx_error *error)
{
    size_t width = apx_dtype_size(value->dtype);
    size_t count = width > 0 ? value->bytes / width : 0;
    if (count > 0 && value->dtype != APX_STRING) {
        const char *data = value->data;
        value->is_filled = count == 1 || memcmp(data, data + width, value->bytes - width) == 0;
        value->fill = value->is_filled ? element(value, 0) : 0;
        if (!apx_fill_is_exact(value->dtype, value->fill)) {
            value->is_filled = false;
            value->fill = 0;
        }
    }
    bool is_integer =
        value->dtype == APX_I64 || value->dtype == APX_I32 || value->dtype == APX_BOOL;
    if (!is_integer || value->rank > 1 || count > APX_LIMIT_SHAPE_ELEMS)
        return APX_OK;
    struct apx_dim *elems = apx_graph_alloc(graph, count * sizeof *elems);
    if (elems == NULL)
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory");
    for (size_t i = 0; i < count; i++)
        elems[i] = apx_dim_constant(value->dtype == APX_I64   ? ((const int64_t *)value->data)[i]
                                    : value->dtype == APX_I32 ? ((const int32_t *)value->data)[i]
                                                              : ((const uint8_t *)value->data)[i]);
    value->elems = elems;
    value->elem_count = (int)count;
    return APX_OK;
}

/* Symbols that no input has any more leave the table; the others move up. */
static void compact_symbols(struct apx_graph *graph)
{
    int kept = 0;
    for (int s = 0; s < graph->symbol_count; s++) {
        bool is_used = false;
        for (int i = 0; i < graph->input_count; i++)
            for (int d = 0; d < graph->values[graph->inputs[i]].rank; d++)
                is_used |= apx_dim_depends_on(&graph->values[graph->inputs[i]].dims[d], s);
        if (!is_used)
            continue;
        if (kept != s)
            merge(graph, s, kept, 0);
        graph->symbol_is_made[kept] = graph->symbol_is_made[s];
        graph->symbols[kept++] = graph->symbols[s];
    }
    graph->symbol_count = kept;
}

/* A merge can make an extent negative (N-5 with N = 3) or overflow, long after it was inferred. */
static enum apx_status check_merged(const struct apx_graph *graph, struct apx_error *error)
{
    for (int v = 0; v < graph->value_count; v++) {
        const struct apx_value *value = &graph->values[v];
        int64_t elements = 1, extent;
        for (int d = 0; d < value->rank; d++) {
            if (!apx_dim_is_known(&value->dims[d]))
                return apx_fail(error, APX_EUNSUPPORTED, value->name,
                                "extent %d is no expression of the inputs' extents", d);
            if (!apx_dim_is_constant(&value->dims[d], &extent))
                continue;
            if (extent < 0)
                return apx_fail(error, APX_EFORMAT, value->name, "extent %d is negative", d);
            if (__builtin_mul_overflow(elements, extent, &elements) ||
                elements > APX_LIMIT_ELEMENTS)
                return apx_fail(error, APX_ELIMIT, value->name,
                                "more than APX_LIMIT_ELEMENTS (2^31) elements");
        }
        for (int e = 0; e < value->elem_count; e++)
            if (!apx_dim_is_known(&value->elems[e]))
                return apx_fail(error, APX_EUNSUPPORTED, value->name,
                                "element %d is no expression of the inputs' extents", e);
    }
    return APX_OK;
}

enum apx_status apx_graph_infer(struct apx_graph *graph, struct apx_error *error)
{
    enum apx_status status = APX_OK;
    for (int v = 0; v < graph->value_count && status == APX_OK; v++)
        if (graph->values[v].data != NULL)
            status = start_constant(graph, &graph->values[v], error);
    for (int n = 0; n < graph->node_count && status == APX_OK; n++) {
        struct apx_node *node = &graph->nodes[n];
        int merges;
        do {
            merges = graph->merges;
            status = node->is_dead ? APX_OK : functions[node->op](graph, node, error);
        } while (graph->merges != merges && status != APX_ENOMEM);
    }
    if (status != APX_OK)
        return status;
    if (!apx_graph_number_words(graph) || !apx_graph_leave_out_text(graph))
        return apx_fail(error, APX_ENOMEM, NULL, "out of memory");
    compact_symbols(graph);
    return check_merged(graph, error);
}
