/* SPDX-License-Identifier: Apache-2.0 */
/* elementwise_cuda.cu - unary and binary operations, comparisons, logic, selection, copies and
 * casts: one thread for each element, element by element as the processor computes it.
 *
 * Single IEEE operations and all that rests on activations.h give the processor's bits; what goes
 * through the C library there goes through CUDA's here (log, erf, sin, cos, pow, softplus, mish,
 * gelu). */
#include <math.h>
#include <string.h>

#include "kernels/cuda/cuda_tables.h"
#include "kernels/cuda/simd_f32_cuda.cuh"

#include "kernels/cpu/activations.h"

namespace
{
enum { THREADS = 256 };

unsigned blocks_of(size_t count)
{
    return (unsigned)((count + THREADS - 1) / THREADS);
}

SIMT_INLINE size_t element()
{
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

/* ---- one operand ----------------------------------------------------------------------------- */

SIMT_INLINE float hard_sigmoid(float x, float alpha, float beta)
{
    return vf_max(0.0f, vf_min(1.0f, vf_fma(alpha, x, beta)));
}

SIMT_INLINE float gelu_tanh(float x)
{
    const float cube = vf_mul(vf_mul(x, x), vf_mul(x, 0.044715f));
    const float t = vf_tanh(vf_mul(0.7978845608028654f, vf_add(x, cube)));
    return vf_mul(vf_mul(0.5f, x), vf_add(1.0f, t));
}

SIMT_INLINE float apply(enum apx_unary op, float x, float alpha, float beta)
{
    switch (op) {
    case APX_UNARY_ABS:
        return vf_abs(x);
    case APX_UNARY_NEG:
        return -x;
    case APX_UNARY_SQRT:
        return sqrtf(x);
    case APX_UNARY_EXP:
        return vf_exp(x);
    case APX_UNARY_LOG:
        return logf(x);
    case APX_UNARY_RECIPROCAL:
        return vf_div(1.0f, x);
    case APX_UNARY_FLOOR:
        return floorf(x);
    case APX_UNARY_CEIL:
        return ceilf(x);
    case APX_UNARY_ROUND:
        return rintf(x);
    case APX_UNARY_SIGN:
        return x < 0.0f ? -1.0f : 0.0f < x ? 1.0f : x;
    case APX_UNARY_ERF:
        return erff(x);
    case APX_UNARY_SIN:
        return sinf(x);
    case APX_UNARY_COS:
        return cosf(x);
    case APX_UNARY_RELU:
        return vf_max(0.0f, x);
    case APX_UNARY_TANH:
        return vf_tanh(x);
    case APX_UNARY_SIGMOID:
        return vf_sigmoid(x);
    case APX_UNARY_HARD_SIGMOID:
        return hard_sigmoid(x, alpha, beta);
    case APX_UNARY_LEAKY_RELU:
        return x < 0.0f ? vf_mul(alpha, x) : x;
    case APX_UNARY_THRESHOLDED_RELU:
        return x <= alpha ? 0.0f : x;
    case APX_UNARY_ELU:
        return vf_elu(x, alpha);
    case APX_UNARY_SELU:
        return vf_mul(beta, vf_elu(x, alpha));
    case APX_UNARY_CELU:
        return x < 0.0f ? vf_mul(alpha, vf_elu(vf_div(x, alpha), 1.0f)) : x;
    case APX_UNARY_SOFTPLUS:
        return vf_map_apx_softplus_one(x);
    case APX_UNARY_SOFTSIGN:
        return vf_softsign(x);
    case APX_UNARY_HARD_SWISH:
        return vf_mul(x, hard_sigmoid(x, 1.0f / 6.0f, 0.5f));
    case APX_UNARY_GELU:
        return vf_mul(vf_mul(0.5f, x), vf_add(1.0f, erff(vf_mul(x, 0.70710678118654752f))));
    case APX_UNARY_GELU_TANH:
        return gelu_tanh(x);
    case APX_UNARY_MISH:
        return vf_mul(x, tanhf(vf_map_apx_softplus_one(x)));
    case APX_UNARY_CLIP:
        return vf_min(beta, vf_max(alpha, x));
    case APX_UNARY_SILU:
        return vf_mul(x, vf_sigmoid(x));
    case APX_UNARY_COUNT:
        break;
    }
    return x;
}

__global__ void __launch_bounds__(THREADS)
    unary_kernel(const enum apx_unary op, size_t count, const float *x, float *y, float alpha,
                 float beta)
{
    const size_t i = element();
    if (i < count)
        y[i] = apply(op, x[i], alpha, beta);
}

int unary(enum apx_unary op, size_t count, const float *x, float *y, float alpha, float beta,
          void *stream)
{
    return simt_launch(unary_kernel, {blocks_of(count), THREADS, 1, 0}, stream, op, count, x, y,
                       alpha, beta);
}

/* ---- several operands ------------------------------------------------------------------------ */

/* A walk with neighbouring extents joined where all operands pass over both at one stride. */
struct walk {
    int rank;
    size_t count;
    uint32_t extent[APX_ND_RANK];
    ptrdiff_t stride[3][APX_ND_RANK];
};

bool joins(const struct apx_nd *nd, int operands, int d)
{
    for (int j = 0; j < operands; j++)
        if (nd->stride[j][d] != nd->stride[j][d + 1] * (ptrdiff_t)nd->extent[d + 1])
            return false;
    return true;
}

struct walk walk_of(const struct apx_nd *nd, int operands)
{
    struct walk out = {};
    out.count = 1;
    for (int d = nd->rank - 1; d >= 0; d--) {
        out.count *= nd->extent[d];
        const bool joined = d + 1 < nd->rank && joins(nd, operands, d) &&
                            out.extent[out.rank - 1] * (uint64_t)nd->extent[d] <= UINT32_MAX;
        if (joined) {
            out.extent[out.rank - 1] *= (uint32_t)nd->extent[d];
            continue;
        }
        out.extent[out.rank] = (uint32_t)nd->extent[d];
        for (int j = 0; j < operands; j++)
            out.stride[j][out.rank] = nd->stride[j][d];
        out.rank++;
    }
    return out; /* innermost first */
}

/* Where the operands' elements number i lie. */
template <int OPERANDS>
SIMT_INLINE void locate(const struct walk &walk, size_t i, ptrdiff_t at[OPERANDS])
{
    for (int j = 0; j < OPERANDS; j++)
        at[j] = 0;
    for (int d = 0; d < walk.rank; d++) {
        const size_t rest = i / walk.extent[d];
        const ptrdiff_t here = (ptrdiff_t)(i - rest * walk.extent[d]);
        for (int j = 0; j < OPERANDS; j++)
            at[j] += here * walk.stride[j][d];
        i = rest;
    }
}

SIMT_INLINE float combine(enum apx_binary op, float a, float b)
{
    switch (op) {
    case APX_BINARY_ADD:
        return simt_add(a, b);
    case APX_BINARY_SUB:
        return simt_add(a, -b);
    case APX_BINARY_MUL:
        return simt_mul(a, b);
    case APX_BINARY_DIV:
        return simt_div(a, b);
    case APX_BINARY_POW:
        return powf(a, b);
    case APX_BINARY_MIN: /* NaN wins */
        return a != a ? a : b < a || b != b ? b : a;
    case APX_BINARY_MAX:
        return a != a ? a : b > a || b != b ? b : a;
    case APX_BINARY_MOD:
        return fmodf(a, b);
    case APX_BINARY_PRELU:
        return a < 0.0f ? simt_mul(a, b) : a;
    case APX_BINARY_COUNT:
        break;
    }
    return a;
}

SIMT_INLINE uint8_t holds(enum apx_compare op, float a, float b)
{
    switch (op) {
    case APX_COMPARE_EQ:
        return a == b;
    case APX_COMPARE_LT:
        return a < b;
    case APX_COMPARE_LE:
        return a <= b;
    case APX_COMPARE_GT:
        return a > b;
    case APX_COMPARE_GE:
        return a >= b;
    }
    return 0;
}

SIMT_INLINE uint8_t decide(enum apx_logic op, uint8_t a, uint8_t b)
{
    switch (op) {
    case APX_LOGIC_AND:
        return a != 0 && b != 0;
    case APX_LOGIC_OR:
        return a != 0 || b != 0;
    case APX_LOGIC_XOR:
        return (a != 0) != (b != 0);
    }
    return 0;
}

__global__ void __launch_bounds__(THREADS)
    binary_kernel(const enum apx_binary op, const struct walk walk, const float *a, const float *b,
                  float *y)
{
    const size_t i = element();
    ptrdiff_t at[2];
    if (i >= walk.count)
        return;
    locate<2>(walk, i, at);
    y[i] = combine(op, a[at[0]], b[at[1]]);
}

__global__ void __launch_bounds__(THREADS)
    compare_kernel(const enum apx_compare op, const struct walk walk, const float *a,
                   const float *b, uint8_t *y)
{
    const size_t i = element();
    ptrdiff_t at[2];
    if (i >= walk.count)
        return;
    locate<2>(walk, i, at);
    y[i] = holds(op, a[at[0]], b[at[1]]);
}

__global__ void __launch_bounds__(THREADS)
    logic_kernel(const enum apx_logic op, const struct walk walk, const uint8_t *a,
                 const uint8_t *b, uint8_t *y)
{
    const size_t i = element();
    ptrdiff_t at[2];
    if (i >= walk.count)
        return;
    locate<2>(walk, i, at);
    y[i] = decide(op, a[at[0]], b[at[1]]);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    where_kernel(const struct walk walk, const uint8_t *condition, const T *a, const T *b, T *y)
{
    const size_t i = element();
    ptrdiff_t at[3];
    if (i >= walk.count)
        return;
    locate<3>(walk, i, at);
    y[i] = condition[at[0]] != 0 ? a[at[1]] : b[at[2]];
}

template <typename T>
__global__ void __launch_bounds__(THREADS) copy_kernel(const struct walk walk, const T *x, T *y)
{
    const size_t i = element();
    ptrdiff_t at[2];
    if (i >= walk.count)
        return;
    locate<2>(walk, i, at);
    y[at[1]] = x[at[0]];
}

int binary(enum apx_binary op, const struct apx_nd *nd, const float *a, const float *b, float *y,
           void *stream)
{
    const struct walk walk = walk_of(nd, 2);
    return simt_launch(binary_kernel, {blocks_of(walk.count), THREADS, 1, 0}, stream, op, walk, a,
                       b, y);
}

int compare(enum apx_compare op, const struct apx_nd *nd, const float *a, const float *b,
            uint8_t *y, void *stream)
{
    const struct walk walk = walk_of(nd, 2);
    return simt_launch(compare_kernel, {blocks_of(walk.count), THREADS, 1, 0}, stream, op, walk, a,
                       b, y);
}

int logic(enum apx_logic op, const struct apx_nd *nd, const uint8_t *a, const uint8_t *b,
          uint8_t *y, void *stream)
{
    const struct walk walk = walk_of(nd, 2);
    return simt_launch(logic_kernel, {blocks_of(walk.count), THREADS, 1, 0}, stream, op, walk, a, b,
                       y);
}

template <typename T>
int where_of(const struct walk &walk, const uint8_t *condition, const void *a, const void *b,
             void *y, void *stream)
{
    return simt_launch(where_kernel<T>, {blocks_of(walk.count), THREADS, 1, 0}, stream, walk,
                       condition, (const T *)a, (const T *)b, (T *)y);
}

int where(const struct apx_nd *nd, size_t width, const uint8_t *condition, const void *a,
          const void *b, void *y, void *stream)
{
    const struct walk walk = walk_of(nd, 3);
    return width == 1   ? where_of<uint8_t>(walk, condition, a, b, y, stream)
           : width == 4 ? where_of<uint32_t>(walk, condition, a, b, y, stream)
                        : where_of<uint64_t>(walk, condition, a, b, y, stream);
}

template <typename T> int copy_of(const struct walk &walk, const void *x, void *y, void *stream)
{
    return simt_launch(copy_kernel<T>, {blocks_of(walk.count), THREADS, 1, 0}, stream, walk,
                       (const T *)x, (T *)y);
}

int copy(const struct apx_nd *nd, size_t width, const void *x, void *y, void *stream)
{
    const struct walk walk = walk_of(nd, 2);
    return width == 1   ? copy_of<uint8_t>(walk, x, y, stream)
           : width == 4 ? copy_of<uint32_t>(walk, x, y, stream)
                        : copy_of<uint64_t>(walk, x, y, stream);
}

/* ---- casts ----------------------------------------------------------------------------------- */

enum { F32 = 1, F64, I32, I64, BOOL, U8, I8 }; /* enum apx_dtype's numbers */

SIMT_INLINE int64_t saturate(double v, int64_t least, int64_t greatest)
{
    if (v != v)
        return 0;
    if (v <= (double)least)
        return least;
    return v >= (double)greatest ? greatest : (int64_t)v;
}

SIMT_INLINE int64_t load_integer(int type, const void *x, size_t i)
{
    switch (type) {
    case I32:
        return ((const int32_t *)x)[i];
    case I64:
        return ((const int64_t *)x)[i];
    case I8:
        return ((const int8_t *)x)[i];
    case BOOL:
        return ((const uint8_t *)x)[i] != 0;
    default:
        return ((const uint8_t *)x)[i];
    }
}

SIMT_INLINE void store_real(int type, void *y, size_t i, double v)
{
    switch (type) {
    case F32:
        ((float *)y)[i] = (float)v;
        return;
    case F64:
        ((double *)y)[i] = v;
        return;
    case I32:
        ((int32_t *)y)[i] = (int32_t)saturate(v, INT32_MIN, INT32_MAX);
        return;
    case I64:
        ((int64_t *)y)[i] = saturate(v, INT64_MIN, INT64_MAX);
        return;
    case BOOL:
        ((uint8_t *)y)[i] = v != 0.0;
        return;
    case U8:
        ((uint8_t *)y)[i] = (uint8_t)saturate(v, 0, UINT8_MAX);
        return;
    default:
        ((int8_t *)y)[i] = (int8_t)saturate(v, INT8_MIN, INT8_MAX);
    }
}

SIMT_INLINE void store_integer(int type, void *y, size_t i, int64_t v)
{
    switch (type) {
    case F32:
        ((float *)y)[i] = (float)v;
        return;
    case F64:
        ((double *)y)[i] = (double)v;
        return;
    case I32:
        ((int32_t *)y)[i] = (int32_t)(uint32_t)(uint64_t)v;
        return;
    case I64:
        ((int64_t *)y)[i] = v;
        return;
    case BOOL:
        ((uint8_t *)y)[i] = v != 0;
        return;
    default:
        ((uint8_t *)y)[i] = (uint8_t)(uint64_t)v;
    }
}

__global__ void __launch_bounds__(THREADS)
    cast_kernel(size_t count, const int from, const void *x, const int to, void *y)
{
    const size_t i = element();
    if (i >= count)
        return;
    if (from == F32)
        store_real(to, y, i, (double)((const float *)x)[i]);
    else if (from == F64)
        store_real(to, y, i, ((const double *)x)[i]);
    else
        store_integer(to, y, i, load_integer(from, x, i));
}

int cast(size_t count, int from, const void *x, int to, void *y, void *stream)
{
    return simt_launch(cast_kernel, {blocks_of(count), THREADS, 1, 0}, stream, count, from, x, to,
                       y);
}

/* ---- over an extent -------------------------------------------------------------------------- */

/* Sums in double, k ascending, as on the processor: one thread for each output. */
__global__ void __launch_bounds__(THREADS)
    softmax_kernel(const bool logarithm, size_t outer, size_t k, size_t inner, const float *x,
                   float *y)
{
    const size_t i = element();
    if (i >= outer * inner)
        return;
    const size_t first = i / inner * k * inner + i % inner;
    float top = -INFINITY;
    for (size_t j = 0; j < k; j++)
        top = x[first + j * inner] > top ? x[first + j * inner] : top;
    double sum = 0.0;
    for (size_t j = 0; j < k; j++) {
        const size_t at = first + j * inner;
        const float e = vf_exp(simt_add(x[at], -top));
        sum = simt_add(sum, (double)e);
        if (!logarithm)
            y[at] = e;
    }
    sum = logarithm ? log(sum) : 1.0 / sum;
    for (size_t j = 0; j < k; j++) {
        const size_t at = first + j * inner;
        y[at] = logarithm ? (float)simt_add(simt_add((double)x[at], -(double)top), -sum)
                          : (float)simt_mul((double)y[at], sum);
    }
}

int softmax(bool logarithm, size_t outer, size_t k, size_t inner, const float *x, float *y,
            void *stream)
{
    return simt_launch(softmax_kernel, {blocks_of(outer * inner), THREADS, 1, 0}, stream, logarithm,
                       outer, k, inner, x, y);
}

SIMT_INLINE double reduce_start(enum apx_reduce op)
{
    return op == APX_REDUCE_PROD                                  ? 1.0
           : op == APX_REDUCE_MAX || op == APX_REDUCE_LOG_SUM_EXP ? -(double)INFINITY
           : op == APX_REDUCE_MIN                                 ? (double)INFINITY
                                                                  : 0.0;
}

SIMT_INLINE double reduce_step(enum apx_reduce op, double sum, double v)
{
    switch (op) {
    case APX_REDUCE_PROD:
        return simt_mul(sum, v);
    case APX_REDUCE_L1:
        return simt_add(sum, fabs(v));
    case APX_REDUCE_L2:
    case APX_REDUCE_SUM_SQUARE:
        return simt_add(sum, simt_mul(v, v));
    case APX_REDUCE_MAX:
    case APX_REDUCE_LOG_SUM_EXP: /* the first of its two passes */
        return sum != sum || sum > v ? sum : v;
    case APX_REDUCE_MIN:
        return sum != sum || sum < v ? sum : v;
    default:
        return simt_add(sum, v);
    }
}

SIMT_INLINE float reduce_values(enum apx_reduce op, size_t k, size_t inner, const float *x)
{
    double value = reduce_start(op);
    for (size_t j = 0; j < k; j++)
        value = reduce_step(op, value, (double)x[j * inner]);
    if (op == APX_REDUCE_MEAN)
        value /= (double)k;
    else if (op == APX_REDUCE_L2)
        value = sqrt(value);
    else if (op == APX_REDUCE_LOG_SUM)
        value = log(value);
    else if (op == APX_REDUCE_LOG_SUM_EXP) {
        const double top = fabs(value) == (double)INFINITY ? 0.0 : value;
        value = 0.0;
        for (size_t j = 0; j < k; j++)
            value = simt_add(value, exp(simt_add((double)x[j * inner], -top)));
        value = simt_add(log(value), top);
    }
    return (float)value;
}

SIMT_INLINE int64_t reduce_place(bool greatest, bool last, size_t k, size_t inner, const float *x)
{
    float best = x[0];
    size_t where = 0;
    for (size_t j = 1; j < k; j++) {
        const float v = x[j * inner];
        if ((greatest ? v > best : v < best) || (last && v == best)) {
            best = v;
            where = j;
        }
    }
    return (int64_t)where;
}

__global__ void __launch_bounds__(THREADS)
    reduce_kernel(const enum apx_reduce op, const bool last, size_t outer, size_t k, size_t inner,
                  const float *x, void *y)
{
    const size_t i = element();
    if (i >= outer * inner)
        return;
    const float *first = x + i / inner * k * inner + i % inner;
    if (op == APX_REDUCE_ARGMAX || op == APX_REDUCE_ARGMIN)
        ((int64_t *)y)[i] = reduce_place(op == APX_REDUCE_ARGMAX, last, k, inner, first);
    else
        ((float *)y)[i] = reduce_values(op, k, inner, first);
}

int reduce(enum apx_reduce op, bool last, size_t outer, size_t k, size_t inner, const float *x,
           void *y, void *stream)
{
    return simt_launch(reduce_kernel, {blocks_of(outer * inner), THREADS, 1, 0}, stream, op, last,
                       outer, k, inner, x, y);
}
} // namespace

const struct apx_cuda_ops *apx_cuda_ops(void)
{
    static const struct apx_cuda_ops ops = {unary, binary, compare, logic, where,
                                            copy,  cast,   softmax, reduce};
    return &ops;
}
