/* SPDX-License-Identifier: Apache-2.0 */
/* forest_tail.c - what each link is in standard operators.
 *
 * LOG1P_EXP: with e = exp(m) and u = 1 + e rounded, log(u) * e / (u - 1) is log1p(e) to the last
 * digits, although u has lost those of a small e: u - 1 is exact, and both factors are wrong alike.
 * Where u is 1, log1p(e) is e; where u - 1 is e (or both are infinite), log(u) is right as it is.
 */
#include "runtime/model/forest/forest_tail.h"

#include <stddef.h>

#define X APX_TAIL_MARGINS
#define C APX_TAIL_CONSTANT
#define N APX_TAIL_NOTHING

#define STEP(op, a, b, c)                                                                          \
    {                                                                                              \
        APX_OP_##op, {a, b, c}, APX_TAIL_NUMBER, 0                                                 \
    }
#define STEP_NUMBER(op, a, b, c, n)                                                                \
    {                                                                                              \
        APX_OP_##op, {a, b, c}, APX_TAIL_NUMBER, n                                                 \
    }
#define STEP_OF(op, a, b, which)                                                                   \
    {                                                                                              \
        APX_OP_##op, {a, b, N}, APX_TAIL_##which, 0                                                \
    }

static const struct apx_tail tails[] = {
    {APX_LINK_LOG1P_EXP,
     10,
     {STEP(EXP, X, N, N), STEP_NUMBER(ADD, 1, C, N, 1), STEP_NUMBER(SUB, 2, C, N, 1),
      STEP(EQUAL, 3, 1, N), STEP(DIV, 1, 3, N), STEP_NUMBER(WHERE, 4, C, 5, 1), STEP(LOG, 2, N, N),
      STEP(MUL, 7, 6, N), STEP_NUMBER(EQUAL, 2, C, N, 1), STEP(WHERE, 9, 1, 8)}},
    {APX_LINK_EXPECTILE,
     5,
     {STEP(SOFTPLUS, X, N, N), STEP_NUMBER(ADD, 1, C, N, 1e-6), STEP_OF(MATMUL, 2, C, CUMULATIVE),
      STEP_OF(MATMUL, X, C, FIRST), STEP(ADD, 4, 3, N)}},
    {APX_LINK_SIGMOID_XGB,
     5,
     {STEP(NEG, X, N, N), STEP_NUMBER(MIN, 1, C, N, 88.7), STEP(EXP, 2, N, N),
      STEP_NUMBER(ADD, 3, C, N, 1), STEP(RECIPROCAL, 4, N, N)}},
    {APX_LINK_SIGMOID,
     4,
     {STEP_OF(MUL, X, C, MINUS_A), STEP(EXP, 1, N, N), STEP_NUMBER(ADD, 2, C, N, 1),
      STEP(RECIPROCAL, 3, N, N)}},
    {APX_LINK_ARGMAX, 2, {STEP(ARG_MAX, X, N, N), STEP(CAST, 1, N, N)}},
    {APX_LINK_HINGE, 2, {STEP_NUMBER(GREATER, X, C, N, 0), STEP(CAST, 1, N, N)}},
    {APX_LINK_SIGNED_SQUARE, 2, {STEP(ABS, X, N, N), STEP(MUL, X, 1, N)}},
    {APX_LINK_SOFTMAX, 1, {STEP(SOFTMAX, X, N, N)}},
    {APX_LINK_SORT, 1, {STEP_OF(TOP_K, X, C, COUNT)}},
    {APX_LINK_EXP, 1, {STEP(EXP, X, N, N)}},
    {APX_LINK_SCALE, 1, {STEP_OF(MUL, X, C, A)}},
    {APX_LINK_NONE, 0, {{0}}},
};

const struct apx_tail *apx_forest_tails(size_t *count)
{
    *count = sizeof tails / sizeof tails[0];
    return tails;
}

struct apx_tail apx_forest_tail_divided(const struct apx_tail *tail)
{
    struct apx_tail divided = {tail->kind, tail->count + 1, {STEP_OF(DIV, X, C, DIVIDE)}};
    for (int i = 0; i < tail->count; i++) {
        struct apx_tail_step *step = &divided.steps[i + 1];
        *step = tail->steps[i];
        for (int k = 0; k < 3; k++)
            step->in[k] += step->in[k] >= 0;
    }
    return divided;
}

const struct apx_tail *apx_forest_tail_of(const struct apx_link *link, struct apx_tail *storage)
{
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        if (tails[i].kind != link->kind)
            continue;
        *storage = link->divide != 0 ? apx_forest_tail_divided(&tails[i]) : tails[i];
        return storage;
    }
    return NULL;
}

double apx_tail_number(const struct apx_tail_step *step, const struct apx_link *link)
{
    switch (step->constant) {
    case APX_TAIL_A:
        return link->a;
    case APX_TAIL_MINUS_A:
        return -link->a;
    case APX_TAIL_DIVIDE:
        return link->divide;
    default:
        return step->number;
    }
}

void apx_tail_matrix(enum apx_tail_constant constant, size_t k, float *matrix)
{
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++) {
            bool is_read = constant == APX_TAIL_FIRST ? i == 0 : i >= 1 && i <= j;
            matrix[i * k + j] = is_read ? 1.0f : 0.0f;
        }
}
