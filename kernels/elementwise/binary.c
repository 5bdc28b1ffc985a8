/* SPDX-License-Identifier: Apache-2.0 */
/* binary.c - two operands with broadcasting: arithmetic, comparisons, logic.
 *
 * One loop per operation over an innermost run whose operands step by 0, 1 or more. Single IEEE
 * operations need no ISA rows: the compiler's own vectors give the same bits. */
#include <assert.h>
#include <math.h>

#include "kernels/shape/nd_walk.h"

/* ONNX Runtime's Min and Max: a NaN in either operand is the result. */
static inline float min_of(float a, float b)
{
    return isnan(a) ? a : (b < a || isnan(b) ? b : a);
}
static inline float max_of(float a, float b)
{
    return isnan(a) ? a : (b > a || isnan(b) ? b : a);
}

/* Integers wrap, as they do on every processor we run on; C calls that undefined when signed. */
static inline int64_t add_i64(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static inline int64_t sub_i64(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
static inline int64_t mul_i64(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}
/* Toward zero; the least integer divided by -1 wraps to itself. */
static inline int64_t div_i64(int64_t a, int64_t b)
{
    if (b == 0)
        return 0;
    return b == -1 ? sub_i64(0, a) : a / b;
}
/* The sign of the divisor, as ONNX Mod with fmod = 0. */
static inline int64_t mod_i64(int64_t a, int64_t b)
{
    if (b == 0 || b == -1)
        return 0;
    int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* By squaring, wrapping as the product does. A negative power is a fraction, cut toward zero; that
 * of zero has no value and is 0. */
static inline int64_t pow_i64(int64_t a, int64_t b)
{
    if (b < 0)
        return a == 1 || (a == -1 && b % 2 == 0) ? 1 : a == -1 ? -1 : 0;
    int64_t y = 1;
    for (; b > 0; b /= 2) {
        if (b % 2 == 1)
            y = mul_i64(y, a);
        a = mul_i64(a, a);
    }
    return y;
}

/* y[i] = expression of a and b, over one run; the two common steppings get a loop of their own. */
#define RUN_LOOP(in, expression)                                                                   \
    do {                                                                                           \
        if (step_a == 1 && step_b == 1) {                                                          \
            for (size_t i = 0; i < count; i++) {                                                   \
                const in a = pa[i], b = pb[i];                                                     \
                to[i] = (expression);                                                              \
            }                                                                                      \
        } else if (step_a == 1 && step_b == 0) {                                                   \
            const in b = pb[0];                                                                    \
            for (size_t i = 0; i < count; i++) {                                                   \
                const in a = pa[i];                                                                \
                to[i] = (expression);                                                              \
            }                                                                                      \
        } else {                                                                                   \
            for (size_t i = 0; i < count; i++) {                                                   \
                const in a = pa[(ptrdiff_t)i * step_a], b = pb[(ptrdiff_t)i * step_b];             \
                to[i] = (expression);                                                              \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Run the body for every innermost run, with pa, pb, to, count, step_a and step_b in sight. */
#define FOR_EACH_RUN(in, out, body)                                                                \
    do {                                                                                           \
        struct nd_walk walk;                                                                       \
        apx_nd_begin(&walk, nd, 2);                                                                \
        const size_t count = walk.nd.extent[walk.nd.rank - 1];                                     \
        const ptrdiff_t step_a = walk.nd.stride[0][walk.nd.rank - 1];                              \
        const ptrdiff_t step_b = walk.nd.stride[1][walk.nd.rank - 1];                              \
        for (size_t run = 0; run < walk.runs; run++) {                                             \
            const in *pa = first + walk.offset[0], *pb = second + walk.offset[1];                  \
            out *to = y + run * count;                                                             \
            body;                                                                                  \
            if (run + 1 < walk.runs)                                                               \
                apx_nd_next(&walk);                                                                \
        }                                                                                          \
    } while (0)

static void run_f32(enum apx_binary op, size_t count, const float *pa, ptrdiff_t step_a,
                    const float *pb, ptrdiff_t step_b, float *to)
{
    switch (op) {
    case APX_BINARY_ADD:
        RUN_LOOP(float, a + b);
        return;
    case APX_BINARY_SUB:
        RUN_LOOP(float, a - b);
        return;
    case APX_BINARY_MUL:
        RUN_LOOP(float, a *b);
        return;
    case APX_BINARY_DIV:
        RUN_LOOP(float, a / b);
        return;
    case APX_BINARY_POW:
        RUN_LOOP(float, powf(a, b));
        return;
    case APX_BINARY_MIN:
        RUN_LOOP(float, min_of(a, b));
        return;
    case APX_BINARY_MAX:
        RUN_LOOP(float, max_of(a, b));
        return;
    case APX_BINARY_MOD:
        RUN_LOOP(float, fmodf(a, b));
        return;
    case APX_BINARY_PRELU:
        RUN_LOOP(float, a < 0.0f ? a * b : a);
        return;
    case APX_BINARY_COUNT:
        break;
    }
    assert(false);
}

void apx_binary_f32(enum apx_binary op, const struct apx_nd *nd, const float *first,
                    const float *second, float *y)
{
    FOR_EACH_RUN(float, float, run_f32(op, count, pa, step_a, pb, step_b, to));
}

static void run_i64(enum apx_binary op, size_t count, const int64_t *pa, ptrdiff_t step_a,
                    const int64_t *pb, ptrdiff_t step_b, int64_t *to)
{
    switch (op) {
    case APX_BINARY_ADD:
        RUN_LOOP(int64_t, add_i64(a, b));
        return;
    case APX_BINARY_SUB:
        RUN_LOOP(int64_t, sub_i64(a, b));
        return;
    case APX_BINARY_MUL:
        RUN_LOOP(int64_t, mul_i64(a, b));
        return;
    case APX_BINARY_DIV:
        RUN_LOOP(int64_t, div_i64(a, b));
        return;
    case APX_BINARY_MIN:
        RUN_LOOP(int64_t, b < a ? b : a);
        return;
    case APX_BINARY_MAX:
        RUN_LOOP(int64_t, b > a ? b : a);
        return;
    case APX_BINARY_MOD:
        RUN_LOOP(int64_t, mod_i64(a, b));
        return;
    case APX_BINARY_POW:
        RUN_LOOP(int64_t, pow_i64(a, b));
        return;
    case APX_BINARY_PRELU:
    case APX_BINARY_COUNT:
        break;
    }
    assert(false);
}

void apx_binary_i64(enum apx_binary op, const struct apx_nd *nd, const int64_t *first,
                    const int64_t *second, int64_t *y)
{
    FOR_EACH_RUN(int64_t, int64_t, run_i64(op, count, pa, step_a, pb, step_b, to));
}

#define COMPARE(in)                                                                                \
    switch (op) {                                                                                  \
    case APX_COMPARE_EQ:                                                                           \
        RUN_LOOP(in, a == b);                                                                      \
        break;                                                                                     \
    case APX_COMPARE_LT:                                                                           \
        RUN_LOOP(in, a < b);                                                                       \
        break;                                                                                     \
    case APX_COMPARE_LE:                                                                           \
        RUN_LOOP(in, a <= b);                                                                      \
        break;                                                                                     \
    case APX_COMPARE_GT:                                                                           \
        RUN_LOOP(in, a > b);                                                                       \
        break;                                                                                     \
    case APX_COMPARE_GE:                                                                           \
        RUN_LOOP(in, a >= b);                                                                      \
        break;                                                                                     \
    }

void apx_compare_f32(enum apx_compare op, const struct apx_nd *nd, const float *first,
                     const float *second, uint8_t *y)
{
    FOR_EACH_RUN(float, uint8_t, COMPARE(float));
}

void apx_compare_i64(enum apx_compare op, const struct apx_nd *nd, const int64_t *first,
                     const int64_t *second, uint8_t *y)
{
    FOR_EACH_RUN(int64_t, uint8_t, COMPARE(int64_t));
}

#define LOGIC                                                                                      \
    switch (op) {                                                                                  \
    case APX_LOGIC_AND:                                                                            \
        RUN_LOOP(uint8_t, a &&b);                                                                  \
        break;                                                                                     \
    case APX_LOGIC_OR:                                                                             \
        RUN_LOOP(uint8_t, a || b);                                                                 \
        break;                                                                                     \
    case APX_LOGIC_XOR:                                                                            \
        RUN_LOOP(uint8_t, !a != !b);                                                               \
        break;                                                                                     \
    }

void apx_logic_bool(enum apx_logic op, const struct apx_nd *nd, const uint8_t *first,
                    const uint8_t *second, uint8_t *y)
{
    FOR_EACH_RUN(uint8_t, uint8_t, LOGIC);
}
