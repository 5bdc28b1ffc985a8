/* SPDX-License-Identifier: Apache-2.0 */
/* lower_qlinear.c - sums and products of 8-bit integers, which ONNX Runtime's quantiser writes as
 * QLinearAdd and QLinearMul of com.microsoft.
 *
 * A function of two bytes is a table of 2^16 bytes. So each result can be rounded just as ONNX
 * Runtime rounds it on processors with AVX2, whatever this one has: in float32, a product with two
 * roundings, a sum with fused multiply-adds that begin with the operand that is not repeated along
 * the last axis. */
#include "runtime/model/infer.h"
#include "runtime/plan/steps.h"

#include <math.h>

#define BYTES 256

/* One of a, b, y: what the number q stands for is scale * (q - zero). */
struct place {
    float scale, zero;
};

/* Inputs i and i + 1, each one number; the second may be left out. */
static bool read_place(struct apx_lowering *lo, const struct apx_node *node, int i,
                       struct place *place)
{
    double scale = 0, zero = 0;
    const struct apx_value *number = apx_lower_constant(lo, node, i);
    if (number != NULL)
        apx_value_number(number, &scale);
    number = apx_lower_constant(lo, node, i + 1);
    if (number != NULL)
        apx_value_number(number, &zero);
    *place = (struct place){(float)scale, (float)zero};
    if (lo->status == APX_OK && !(scale > 0 && isfinite(scale)))
        apx_lower_fail(lo, APX_EFORMAT, "the scale %g", scale);
    return lo->status == APX_OK;
}

static float product(const struct place place[3], float a, float b)
{
    const float scale = place[0].scale * place[1].scale / place[2].scale;
    return (a - place[0].zero) * (b - place[1].zero) * scale + place[2].zero;
}

static float sum(const struct place place[3], float a, float b)
{
    const float of_a = place[0].scale / place[2].scale, of_b = place[1].scale / place[2].scale;
    const float constant = place[2].zero - fmaf(of_a, place[0].zero, of_b * place[1].zero);
    return fmaf(a, of_a, fmaf(b, of_b, constant));
}

/* The operand is repeated along the result's last axis. */
static bool is_repeated(const struct apx_view *operand, const struct apx_view *other)
{
    return (operand->rank == 0 || apx_dim_is_one(&operand->extent[operand->rank - 1])) &&
           other->rank > 0 && !apx_dim_is_one(&other->extent[other->rank - 1]);
}

static struct apx_view *make_table(struct apx_lowering *lo, enum apx_op op, enum apx_dtype dtype,
                                   const struct place place[3])
{
    const int least = dtype == APX_I8 ? -128 : 0;
    void *bytes;
    struct apx_view *table =
        apx_lower_storage(lo, dtype, 1, &(int64_t){(int64_t)BYTES * BYTES}, &bytes);
    for (int i = 0; table != NULL && i < BYTES * BYTES; i++) {
        const float a = (float)(i / BYTES + least), b = (float)(i % BYTES + least);
        const float y = op == APX_OP_QLINEAR_ADD ? sum(place, a, b) : product(place, a, b);
        const float whole = fminf(fmaxf(rintf(y), (float)least), (float)(least + BYTES - 1));
        ((uint8_t *)bytes)[i] = (uint8_t)(int)whole;
    }
    return table;
}

void apx_lower_qlinear_pair(struct apx_lowering *lo, const struct apx_node *node)
{
    struct place place[3];
    struct apx_view *a = apx_lower_in(lo, node, 0), *b = apx_lower_in(lo, node, 3);
    if (a == NULL || b == NULL || !read_place(lo, node, 1, &place[0]) ||
        !read_place(lo, node, 4, &place[1]) || !read_place(lo, node, 6, &place[2]))
        return;
    if (is_repeated(a, b)) {
        struct apx_view *view = a;
        const struct place first = place[0];
        a = b;
        b = view;
        place[0] = place[1];
        place[1] = first;
    }
    const enum apx_dtype dtype = a->dtype;
    struct apx_view *at = apx_emit_cast(lo, a, APX_I64);
    at = apx_emit_binary(lo, APX_BINARY_MUL, at, apx_lower_scalar(lo, APX_I64, BYTES));
    at = apx_emit_binary(lo, APX_BINARY_ADD, at, apx_emit_cast(lo, b, APX_I64));
    if (dtype == APX_I8)
        at = apx_emit_binary(lo, APX_BINARY_ADD, at,
                             apx_lower_scalar(lo, APX_I64, 128 * BYTES + 128));
    apx_lower_set(lo, node, 0, apx_emit_gather(lo, make_table(lo, node->op, dtype, place), at, 0));
}
