/* SPDX-License-Identifier: Apache-2.0 */
/* lower_elementwise.c - unary, binary and logical operators. */
#include <float.h>
#include <string.h>

#include "runtime/model/infer.h"
#include "runtime/plan/steps.h"

/* ONNX's operators in the kernels' words, with the defaults of their attributes. */
static const struct {
    enum apx_op op;
    enum apx_unary unary;
    float alpha, beta; /* defaults */
    const char *alpha_name, *beta_name;
} unaries[] = {
    {APX_OP_ABS, APX_UNARY_ABS, 0, 0, NULL, NULL},
    {APX_OP_NEG, APX_UNARY_NEG, 0, 0, NULL, NULL},
    {APX_OP_SQRT, APX_UNARY_SQRT, 0, 0, NULL, NULL},
    {APX_OP_EXP, APX_UNARY_EXP, 0, 0, NULL, NULL},
    {APX_OP_LOG, APX_UNARY_LOG, 0, 0, NULL, NULL},
    {APX_OP_RECIPROCAL, APX_UNARY_RECIPROCAL, 0, 0, NULL, NULL},
    {APX_OP_FLOOR, APX_UNARY_FLOOR, 0, 0, NULL, NULL},
    {APX_OP_CEIL, APX_UNARY_CEIL, 0, 0, NULL, NULL},
    {APX_OP_ROUND, APX_UNARY_ROUND, 0, 0, NULL, NULL},
    {APX_OP_SIGN, APX_UNARY_SIGN, 0, 0, NULL, NULL},
    {APX_OP_ERF, APX_UNARY_ERF, 0, 0, NULL, NULL},
    {APX_OP_SIN, APX_UNARY_SIN, 0, 0, NULL, NULL},
    {APX_OP_COS, APX_UNARY_COS, 0, 0, NULL, NULL},
    {APX_OP_RELU, APX_UNARY_RELU, 0, 0, NULL, NULL},
    {APX_OP_TANH, APX_UNARY_TANH, 0, 0, NULL, NULL},
    {APX_OP_SIGMOID, APX_UNARY_SIGMOID, 0, 0, NULL, NULL},
    {APX_OP_HARD_SIGMOID, APX_UNARY_HARD_SIGMOID, 0.2f, 0.5f, "alpha", "beta"},
    {APX_OP_LEAKY_RELU, APX_UNARY_LEAKY_RELU, 0.01f, 0, "alpha", NULL},
    {APX_OP_THRESHOLDED_RELU, APX_UNARY_THRESHOLDED_RELU, 1.0f, 0, "alpha", NULL},
    {APX_OP_ELU, APX_UNARY_ELU, 1.0f, 0, "alpha", NULL},
    {APX_OP_SELU, APX_UNARY_SELU, 1.67326319217681884765625f, 1.05070102214813232421875f, "alpha",
     "gamma"},
    {APX_OP_CELU, APX_UNARY_CELU, 1.0f, 0, "alpha", NULL},
    {APX_OP_SOFTPLUS, APX_UNARY_SOFTPLUS, 0, 0, NULL, NULL},
    {APX_OP_SOFTSIGN, APX_UNARY_SOFTSIGN, 0, 0, NULL, NULL},
    {APX_OP_HARD_SWISH, APX_UNARY_HARD_SWISH, 0, 0, NULL, NULL},
    {APX_OP_GELU, APX_UNARY_GELU, 0, 0, NULL, NULL},
    {APX_OP_MISH, APX_UNARY_MISH, 0, 0, NULL, NULL},
};

/* Integers beyond 2^24 do not fit a float; the exact operators stay exact. NULL: not one of them.
 */
static struct apx_view *exact_unary(struct apx_lowering *lo, enum apx_op op, struct apx_view *x)
{
    if (op != APX_OP_NEG && op != APX_OP_ABS && op != APX_OP_RELU)
        return NULL;
    struct apx_view *zero = apx_lower_scalar(lo, x->dtype, 0);
    if (op == APX_OP_RELU)
        return apx_emit_binary(lo, APX_BINARY_MAX, x, zero);
    struct apx_view *negative = apx_emit_binary(lo, APX_BINARY_SUB, zero, x);
    return op == APX_OP_NEG ? negative : apx_emit_binary(lo, APX_BINARY_MAX, x, negative);
}

void apx_lower_unary(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0), *y = NULL;
    if (x != NULL && x->dtype != APX_F32 && x->dtype != APX_F64)
        y = exact_unary(lo, node->op, x);
    if (y != NULL) {
        apx_lower_set(lo, node, 0, y);
        return;
    }
    for (size_t i = 0; i < sizeof unaries / sizeof unaries[0]; i++) {
        if (unaries[i].op != node->op)
            continue;
        float alpha = unaries[i].alpha, beta = unaries[i].beta;
        if (unaries[i].alpha_name != NULL)
            alpha = apx_node_float(node, unaries[i].alpha_name, alpha);
        if (unaries[i].beta_name != NULL)
            beta = apx_node_float(node, unaries[i].beta_name, beta);
        enum apx_unary unary = unaries[i].unary;
        if (node->op == APX_OP_GELU &&
            strcmp(apx_node_string(node, "approximate", "none"), "tanh") == 0)
            unary = APX_UNARY_GELU_TANH;
        apx_lower_set(lo, node, 0, apx_emit_unary(lo, unary, x, alpha, beta));
        return;
    }
    apx_lower_none(lo, node);
}

void apx_lower_clip(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL)
        return;
    const struct apx_value *low = apx_node_in(lo->graph, node, 1);
    const struct apx_value *high = apx_node_in(lo->graph, node, 2);
    double least = -(double)FLT_MAX, most = (double)FLT_MAX;
    bool is_constant = (low == NULL || apx_value_number(low, &least)) &&
                       (high == NULL || apx_value_number(high, &most));
    if (is_constant && x->dtype == APX_F32) {
        x = apx_emit_unary(lo, APX_UNARY_CLIP, x, (float)least, (float)most);
    } else {
        if (low != NULL)
            x = apx_emit_binary(lo, APX_BINARY_MAX, x, apx_lower_in(lo, node, 1));
        if (high != NULL)
            x = apx_emit_binary(lo, APX_BINARY_MIN, x, apx_lower_in(lo, node, 2));
    }
    apx_lower_set(lo, node, 0, x);
}

static enum apx_binary binary_of(enum apx_op op)
{
    switch (op) {
    case APX_OP_SUB:
        return APX_BINARY_SUB;
    case APX_OP_MUL:
        return APX_BINARY_MUL;
    case APX_OP_DIV:
        return APX_BINARY_DIV;
    case APX_OP_POW:
        return APX_BINARY_POW;
    case APX_OP_MOD:
        return APX_BINARY_MOD;
    case APX_OP_PRELU:
        return APX_BINARY_PRELU;
    case APX_OP_MIN:
        return APX_BINARY_MIN;
    case APX_OP_MAX:
        return APX_BINARY_MAX;
    default: /* Add, Sum, Mean */
        return APX_BINARY_ADD;
    }
}

/* The kernel's remainder of integers has the divisor's sign, as Mod has without fmod; with it the
 * sign is the dividend's: a - b * trunc(a / b). */
static struct apx_view *truncated_mod(struct apx_lowering *lo, struct apx_view *a,
                                      struct apx_view *b)
{
    struct apx_view *quotient = apx_emit_binary(lo, APX_BINARY_DIV, a, b);
    return apx_emit_binary(lo, APX_BINARY_SUB, a, apx_emit_binary(lo, APX_BINARY_MUL, quotient, b));
}

static bool is_float(const struct apx_view *x)
{
    return x->dtype == APX_F32 || x->dtype == APX_F64;
}

void apx_lower_binary(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *a = apx_lower_in(lo, node, 0), *b = apx_lower_in(lo, node, 1);
    if (a == NULL || b == NULL)
        return;
    struct apx_view *y;
    if (node->op == APX_OP_MOD && apx_node_int(node, "fmod", 0) != 0 && a->dtype != APX_F32)
        y = truncated_mod(lo, a, b);
    else if (node->op == APX_OP_POW && b->dtype != a->dtype && (is_float(a) || is_float(b)))
        y = apx_emit_cast(lo,
                          apx_emit_binary(lo, APX_BINARY_POW, apx_emit_cast(lo, a, APX_F32),
                                          apx_emit_cast(lo, b, APX_F32)),
                          a->dtype);
    else
        y = apx_emit_binary(lo, binary_of(node->op), a, b);
    apx_lower_set(lo, node, 0, y);
}

void apx_lower_binary_chain(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *y = apx_lower_in(lo, node, 0);
    for (int i = 1; i < node->in_count; i++)
        y = apx_emit_binary(lo, binary_of(node->op), y, apx_lower_in(lo, node, i));
    if (node->op == APX_OP_MEAN && node->in_count > 1 && y != NULL)
        y = apx_emit_binary(lo, APX_BINARY_DIV, y,
                            apx_lower_scalar(lo, y->dtype, (double)node->in_count));
    apx_lower_set(lo, node, 0, y);
}

void apx_lower_compare(struct apx_lowering *lo, const struct apx_node *node)
{
    enum apx_compare op = node->op == APX_OP_EQUAL           ? APX_COMPARE_EQ
                          : node->op == APX_OP_LESS          ? APX_COMPARE_LT
                          : node->op == APX_OP_LESS_OR_EQUAL ? APX_COMPARE_LE
                          : node->op == APX_OP_GREATER       ? APX_COMPARE_GT
                                                             : APX_COMPARE_GE;
    apx_lower_set(lo, node, 0,
                  apx_emit_compare(lo, op, apx_lower_in(lo, node, 0), apx_lower_in(lo, node, 1)));
}

void apx_lower_logic(struct apx_lowering *lo, const struct apx_node *node)
{
    enum apx_logic op = node->op == APX_OP_AND  ? APX_LOGIC_AND
                        : node->op == APX_OP_OR ? APX_LOGIC_OR
                                                : APX_LOGIC_XOR;
    apx_lower_set(lo, node, 0,
                  apx_emit_logic(lo, op, apx_lower_in(lo, node, 0), apx_lower_in(lo, node, 1)));
}

void apx_lower_logic_not(struct apx_lowering *lo, const struct apx_node *node)
{
    apx_lower_set(lo, node, 0,
                  apx_emit_logic(lo, APX_LOGIC_XOR, apx_lower_in(lo, node, 0),
                                 apx_lower_scalar(lo, APX_BOOL, 1)));
}

/* NaN is what does not equal itself. */
void apx_lower_is_nan(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    apx_lower_set(lo, node, 0,
                  apx_emit_logic(lo, APX_LOGIC_XOR, apx_emit_compare(lo, APX_COMPARE_EQ, x, x),
                                 apx_lower_scalar(lo, APX_BOOL, 1)));
}

void apx_lower_where(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *condition = apx_lower_in(lo, node, 0), *a = apx_lower_in(lo, node, 1),
                    *b = apx_lower_in(lo, node, 2);
    apx_lower_set(lo, node, 0, apx_emit_where(lo, condition, a, b));
}

void apx_lower_cast(struct apx_lowering *lo, const struct apx_node *node)
{
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (node->out[0] >= 0)
        apx_lower_set(lo, node, 0, apx_emit_cast(lo, x, lo->graph->values[node->out[0]].dtype));
}
