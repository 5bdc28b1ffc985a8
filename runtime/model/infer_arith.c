/* SPDX-License-Identifier: Apache-2.0 */
/* infer_arith.c - element by element: one input, broadcasts, comparisons, casts, Where - and the
 * same operators on followed integers, which is how exporters compute shapes. */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"

#include <math.h>
#include <string.h>

/* Elements of a broadcast of followed values: one element goes with each. */
static const struct apx_dim *pick(const struct apx_value *value, int i)
{
    return &value->elems[value->elem_count == 1 ? 0 : i];
}

static bool sign_of(const struct apx_dim *a, int *sign)
{
    int64_t value;
    if (!apx_dim_is_constant(a, &value))
        return false;
    *sign = value > 0 ? 1 : value < 0 ? -1 : 0;
    return true;
}

/* Extents are never negative, so a polynomial without negative coefficients is not either. */
static bool never_negative(const struct apx_dim *a)
{
    for (int t = 0; t < a->terms; t++)
        if (a->term[t].coefficient < 0)
            return false;
    return a->terms >= 0;
}

/* -1, 0 or 1 as a < b, a == b, a > b for all extents; false if that depends on them. */
static bool compare(const struct apx_dim *a, const struct apx_dim *b, int *order)
{
    const struct apx_dim one = apx_dim_constant(1);
    struct apx_dim difference = apx_dim_subtract(a, b);
    if (!apx_dim_is_known(&difference))
        return false;
    if (sign_of(&difference, order))
        return true;
    struct apx_dim above = apx_dim_subtract(&difference, &one);
    if (never_negative(&above)) {
        *order = 1;
        return true;
    }
    difference = apx_dim_subtract(b, a);
    above = apx_dim_subtract(&difference, &one);
    *order = -1;
    return never_negative(&above);
}

static struct apx_dim choose(const struct apx_dim *a, const struct apx_dim *b, bool larger)
{
    int order;
    if (compare(a, b, &order))
        return larger == (order > 0) ? *a : *b;
    struct apx_dim difference = apx_dim_subtract(a, b);
    if (never_negative(&difference))
        return larger ? *a : *b;
    difference = apx_dim_subtract(b, a);
    if (never_negative(&difference))
        return larger ? *b : *a;
    return apx_dim_unknown();
}

static struct apx_dim divide(const struct apx_dim *a, const struct apx_dim *b)
{
    int64_t x, y;
    if (apx_dim_is_constant(a, &x) && apx_dim_is_constant(b, &y))
        return y == 0 || (x == INT64_MIN && y == -1) ? apx_dim_unknown() : apx_dim_constant(x / y);
    return apx_dim_divide(a, b);
}

/* fmod 0: the sign of the divisor; fmod 1: the sign of the dividend. */
static struct apx_dim modulo(const struct apx_dim *a, const struct apx_dim *b, bool is_fmod)
{
    int64_t x, y;
    if (apx_dim_is_constant(a, &x) && apx_dim_is_constant(b, &y)) {
        if (y == 0)
            return apx_dim_unknown();
        int64_t rest = y == -1 ? 0 : x % y;
        return apx_dim_constant(!is_fmod && rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest);
    }
    struct apx_dim quotient = apx_dim_divide(a, b);
    return apx_dim_is_known(&quotient) ? apx_dim_constant(0) : apx_dim_unknown();
}

static struct apx_dim truth(bool known, bool value)
{
    return known ? apx_dim_constant(value) : apx_dim_unknown();
}

static struct apx_dim compute(const struct apx_node *node, const struct apx_dim *a,
                              const struct apx_dim *b)
{
    int order = 0;
    int64_t x, y;
    bool known;
    switch (node->op) {
    case APX_OP_ADD:
    case APX_OP_SUM:
        return apx_dim_add(a, b);
    case APX_OP_SUB:
        return apx_dim_subtract(a, b);
    case APX_OP_MUL:
        return apx_dim_multiply(a, b);
    case APX_OP_DIV:
        return divide(a, b);
    case APX_OP_MOD:
        return modulo(a, b, apx_node_int(node, "fmod", 0) != 0);
    case APX_OP_MIN:
        return choose(a, b, false);
    case APX_OP_MAX:
        return choose(a, b, true);
    case APX_OP_EQUAL:
        known = compare(a, b, &order);
        return truth(known, order == 0);
    case APX_OP_LESS:
        known = compare(a, b, &order);
        return truth(known, order < 0);
    case APX_OP_LESS_OR_EQUAL:
        known = compare(a, b, &order);
        return truth(known, order <= 0);
    case APX_OP_GREATER:
        known = compare(a, b, &order);
        return truth(known, order > 0);
    case APX_OP_GREATER_OR_EQUAL:
        known = compare(a, b, &order);
        return truth(known, order >= 0);
    case APX_OP_AND:
    case APX_OP_OR:
    case APX_OP_XOR:
        known = apx_dim_is_constant(a, &x) && apx_dim_is_constant(b, &y);
        if (!known)
            return apx_dim_unknown();
        return apx_dim_constant(node->op == APX_OP_AND  ? (x != 0) && (y != 0)
                                : node->op == APX_OP_OR ? (x != 0) || (y != 0)
                                                        : (x != 0) != (y != 0));
    default:
        return apx_dim_unknown();
    }
}

/* The operator on followed inputs, folded from the left. */
static enum apx_status follow_fold(struct apx_graph *graph, struct apx_node *node,
                                   struct apx_error *error)
{
    struct apx_dim elems[APX_LIMIT_SHAPE_ELEMS];
    int count = 1;
    for (int i = 0; i < node->in_count; i++) {
        const struct apx_value *in = apx_node_in(graph, node, i);
        if (in == NULL || in->elems == NULL)
            return APX_OK;
        if (in->elem_count != 1)
            count = in->elem_count;
    }
    for (int e = 0; e < count; e++) {
        elems[e] = *pick(apx_node_in(graph, node, 0), e);
        for (int i = 1; i < node->in_count; i++)
            elems[e] = compute(node, &elems[e], pick(apx_node_in(graph, node, i), e));
    }
    return apx_infer_follow(graph, node, 0, elems, count, error);
}

static bool is_truth_op(enum apx_op op)
{
    return op == APX_OP_NOT || op == APX_OP_AND || op == APX_OP_OR || op == APX_OP_XOR;
}

static enum apx_status check_dtype(const struct apx_node *node, const struct apx_value *x,
                                   struct apx_error *error)
{
    bool moves_only = node->op == APX_OP_IDENTITY || node->op == APX_OP_EQUAL;
    bool is_bool = x->dtype == APX_BOOL;
    if (x->dtype == APX_STRING ? node->op != APX_OP_IDENTITY
                               : !moves_only && is_bool != is_truth_op(node->op))
        return apx_fail(error, APX_EFORMAT, node->name, "%s of %s", apx_op_info(node->op)->name,
                        apx_dtype_name(x->dtype));
    return APX_OK;
}

enum apx_status apx_infer_same(struct apx_graph *graph, struct apx_node *node,
                               struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    enum apx_status status = check_dtype(node, x, error);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, x->dtype, x->rank, x->dims, error);
    if (status != APX_OK)
        return status;
    int axis;
    if ((node->op == APX_OP_SOFTMAX || node->op == APX_OP_LOG_SOFTMAX ||
         node->op == APX_OP_LP_NORM) &&
        (status = apx_node_axis(node, apx_node_int(node, "axis", -1), x->rank, &axis, error)) !=
            APX_OK)
        return status;
    if (node->op == APX_OP_CLIP) {
        for (int i = 1; i < node->in_count; i++) {
            const struct apx_value *bound = apx_node_in(graph, node, i);
            int64_t extent = 0;
            if (bound != NULL &&
                (bound->dtype != x->dtype || bound->rank > 1 ||
                 (bound->rank == 1 &&
                  (!apx_dim_is_constant(&bound->dims[0], &extent) || extent != 1))))
                return apx_fail(error, APX_EFORMAT, node->name, "bound %d is not one number of %s",
                                i, apx_dtype_name(x->dtype));
        }
        return APX_OK;
    }
    if (node->op == APX_OP_IDENTITY)
        apx_infer_fill(graph, node, 0, x);
    if (x->elems == NULL || x->rank > 1)
        return APX_OK;
    struct apx_dim elems[APX_LIMIT_SHAPE_ELEMS];
    const struct apx_dim zero = apx_dim_constant(0);
    for (int e = 0; e < x->elem_count; e++) {
        const struct apx_dim *a = &x->elems[e];
        int64_t number;
        elems[e] = apx_dim_unknown();
        if (node->op == APX_OP_IDENTITY || (node->op == APX_OP_ABS && never_negative(a)))
            elems[e] = *a;
        else if (node->op == APX_OP_NEG)
            elems[e] = apx_dim_subtract(&zero, a);
        else if (node->op == APX_OP_NOT && apx_dim_is_constant(a, &number))
            elems[e] = apx_dim_constant(number == 0);
    }
    return apx_infer_follow(graph, node, 0, elems, x->elem_count, error);
}

enum apx_status apx_infer_predicate(struct apx_graph *graph, struct apx_node *node,
                                    struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    if (x->dtype != APX_F32 && x->dtype != APX_F64)
        return apx_fail(error, APX_EFORMAT, node->name, "%s of %s", apx_op_info(node->op)->name,
                        apx_dtype_name(x->dtype));
    return apx_infer_set(graph, node, 0, APX_BOOL, x->rank, x->dims, error);
}

/* The broadcast of all inputs. */
static enum apx_status broadcast_inputs(struct apx_graph *graph, struct apx_node *node,
                                        struct apx_dim *dims, int *rank, struct apx_error *error)
{
    enum apx_status status = APX_OK;
    *rank = 0;
    for (int i = 0; i < node->in_count && status == APX_OK; i++) {
        const struct apx_value *in = apx_node_in(graph, node, i);
        if (in == NULL)
            return apx_fail(error, APX_EFORMAT, node->name, "input %d is left out", i);
        status = apx_infer_broadcast_dims(graph, node, dims, rank, in->dims, in->rank, error);
    }
    return status;
}

enum apx_status apx_infer_broadcast(struct apx_graph *graph, struct apx_node *node,
                                    struct apx_error *error)
{
    struct apx_dim dims[APX_MAX_RANK];
    int rank;
    const struct apx_value *x = apx_node_in(graph, node, 0);
    enum apx_status status = check_dtype(node, x, error);
    if (status == APX_OK && node->op != APX_OP_POW)
        status = apx_infer_same_dtype(graph, node, error);
    if (status == APX_OK && node->op == APX_OP_MOD && apx_node_int(node, "fmod", 0) == 0 &&
        (x->dtype == APX_F32 || x->dtype == APX_F64))
        return apx_fail(error, APX_EFORMAT, node->name,
                        "Mod of %s needs fmod = 1; without it only integers have a remainder",
                        apx_dtype_name(x->dtype));
    if (status == APX_OK)
        status = broadcast_inputs(graph, node, dims, &rank, error);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, x->dtype, rank, dims, error);
    if (status == APX_OK)
        status = follow_fold(graph, node, error);
    return status;
}

enum apx_status apx_infer_compare(struct apx_graph *graph, struct apx_node *node,
                                  struct apx_error *error)
{
    struct apx_dim dims[APX_MAX_RANK];
    int rank;
    enum apx_status status = check_dtype(node, apx_node_in(graph, node, 0), error);
    if (status == APX_OK)
        status = apx_infer_same_dtype(graph, node, error);
    if (status == APX_OK)
        status = broadcast_inputs(graph, node, dims, &rank, error);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, APX_BOOL, rank, dims, error);
    if (status == APX_OK)
        status = follow_fold(graph, node, error);
    return status;
}

enum apx_status apx_infer_where(struct apx_graph *graph, struct apx_node *node,
                                struct apx_error *error)
{
    const struct apx_value *test = apx_node_in(graph, node, 0);
    const struct apx_value *yes = apx_node_in(graph, node, 1), *no = apx_node_in(graph, node, 2);
    struct apx_dim dims[APX_MAX_RANK], elems[APX_LIMIT_SHAPE_ELEMS];
    int rank, count = 1;
    if (test->dtype != APX_BOOL || yes->dtype != no->dtype)
        return apx_fail(error, APX_EFORMAT, node->name, "Where of %s, %s and %s",
                        apx_dtype_name(test->dtype), apx_dtype_name(yes->dtype),
                        apx_dtype_name(no->dtype));
    enum apx_status status = broadcast_inputs(graph, node, dims, &rank, error);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, yes->dtype, rank, dims, error);
    if (status != APX_OK || test->elems == NULL || yes->elems == NULL || no->elems == NULL)
        return status;
    for (int i = 0; i < 3; i++)
        if (apx_node_in(graph, node, i)->elem_count != 1)
            count = apx_node_in(graph, node, i)->elem_count;
    for (int e = 0; e < count; e++) {
        int64_t condition;
        if (!apx_dim_is_constant(pick(test, e), &condition))
            return APX_OK;
        elems[e] = *pick(condition != 0 ? yes : no, e);
    }
    return apx_infer_follow(graph, node, 0, elems, count, error);
}

static bool is_integer(enum apx_dtype dtype)
{
    return dtype == APX_I64 || dtype == APX_I32 || dtype == APX_BOOL;
}

static double cast_number(double number, enum apx_dtype to)
{
    if (to == APX_F32)
        return (double)(float)number;
    if (to == APX_BOOL)
        return number != 0;
    return to == APX_F64 ? number : trunc(number);
}

static enum apx_status cast_to(struct apx_graph *graph, struct apx_node *node, enum apx_dtype to,
                               struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    struct apx_value *out;
    if (x->dtype == APX_STRING || to == APX_STRING)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "casts from or to string");
    enum apx_status status = apx_infer_set(graph, node, 0, to, x->rank, x->dims, error);
    if (status != APX_OK)
        return status;
    out = apx_node_out(graph, node, 0);
    apx_infer_fill(graph, node, 0, x);
    if (out != NULL && out->is_filled)
        out->fill = cast_number(out->fill, to);
    if (!is_integer(to) || x->elems == NULL)
        return APX_OK;
    struct apx_dim elems[APX_LIMIT_SHAPE_ELEMS];
    for (int e = 0; e < x->elem_count; e++) {
        const struct apx_dim zero = apx_dim_constant(0);
        int64_t number;
        int order = 0;
        elems[e] = x->elems[e];
        if (to == APX_BOOL && x->dtype != APX_BOOL) {
            bool known = compare(&x->elems[e], &zero, &order);
            elems[e] = truth(known, order != 0);
        } else if (to == APX_I32 && apx_dim_is_constant(&x->elems[e], &number) &&
                   (number > INT32_MAX || number < INT32_MIN))
            elems[e] = apx_dim_unknown();
    }
    return apx_infer_follow(graph, node, 0, elems, x->elem_count, error);
}

/* TensorProto.DataType of what this build computes with. */
static enum apx_dtype dtype_of(int64_t data_type)
{
    static const enum apx_dtype dtypes[] = {
        [1] = APX_F32, [2] = APX_U8,     [3] = APX_I8,   [6] = APX_I32,
        [7] = APX_I64, [8] = APX_STRING, [9] = APX_BOOL, [11] = APX_F64,
    };
    return data_type >= 0 && (size_t)data_type < sizeof dtypes / sizeof dtypes[0]
               ? dtypes[data_type]
               : APX_DTYPE_NONE;
}

enum apx_status apx_infer_cast(struct apx_graph *graph, struct apx_node *node,
                               struct apx_error *error)
{
    int64_t to = apx_node_int(node, "to", 0);
    if (dtype_of(to) == APX_DTYPE_NONE)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "Cast to element type %lld is not supported", (long long)to);
    return cast_to(graph, node, dtype_of(to), error);
}

enum apx_status apx_infer_cast_like(struct apx_graph *graph, struct apx_node *node,
                                    struct apx_error *error)
{
    return cast_to(graph, node, apx_node_in(graph, node, 1)->dtype, error);
}

enum apx_status apx_infer_dropout(struct apx_graph *graph, struct apx_node *node,
                                  struct apx_error *error)
{
    const struct apx_value *x = apx_node_in(graph, node, 0);
    const struct apx_value *training = apx_node_in(graph, node, 2);
    double mode = 0;
    if (training != NULL && (!apx_value_number(training, &mode) || mode != 0))
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "the model is in training mode; export it for inference");
    if (apx_node_out(graph, node, 1) != NULL)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "the mask of Dropout is used");
    enum apx_status status = apx_infer_set(graph, node, 0, x->dtype, x->rank, x->dims, error);
    if (status == APX_OK)
        apx_infer_fill(graph, node, 0, x);
    return status;
}
