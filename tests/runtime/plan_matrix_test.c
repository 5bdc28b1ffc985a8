/* SPDX-License-Identifier: Apache-2.0 */
/* MatMul and Gemm through the whole engine, against sums in float64. */
#include "tests/runtime/run_case.h"

static struct rng rng = {2};

/* y[n][o] = sum_k x[n*row + k*step] * w[k*w_in + o*w_out] */
static double dot(const struct apx_tensor *x, size_t at, size_t step, const struct apx_tensor *w,
                  size_t w_at, size_t w_step, size_t count)
{
    double sum = 0;
    for (size_t k = 0; k < count; k++)
        sum += (double)run_f32(x, at + k * step) * (double)run_f32(w, w_at + k * w_step);
    return sum;
}

static void constant(struct apx_onnx *m, const char *name, const struct apx_tensor *tensor)
{
    apx_onnx_tensor(m, name, tensor->dtype, tensor->rank, tensor->dims, tensor->data);
}

/* MatMul, Add, Relu over [b,t,4] as one step, and over the same with time first. */
static void fuses_bias_and_activation(void)
{
    for (int time_first = 0; time_first < 2; time_first++) {
        struct apx_tensor w = run_random(&rng, 2, 4, 6), bias = run_random(&rng, 1, 6);
        struct apx_tensor x = run_random(&rng, 3, 5, 3, 4);
        struct apx_onnx *m = case_begin(17, "x:f[b,t,4]", "y");
        int64_t perm[3] = {1, 0, 2};
        constant(m, "w", &w);
        constant(m, "bias", &bias);
        if (time_first) {
            case_node(m, "Transpose", "x", "in");
            apx_onnx_ints(m, "perm", perm, 3);
        }
        case_node(m, "MatMul", time_first ? "in w" : "x w", "p");
        case_node(m, "Add", "bias p", "q");
        case_node(m, "Relu", "q", time_first ? "r" : "y");
        if (time_first) {
            case_node(m, "Transpose", "r", "y");
            apx_onnx_ints(m, "perm", perm, 3);
        }
        REQUIRE(run_case_list(m, 1, &x));
        CHECK(run_independent);
        CHECK_HAS(run_plan, "\"step\": \"dense\"");
        CHECK(strstr(run_plan, "\"step\": \"elementwise\"") == NULL);
        CHECK(strstr(run_plan, "\"step\": \"copy\"") == NULL);
        for (size_t n = 0; n < 15; n++)
            for (size_t o = 0; o < 6; o++)
                CHECK_NEAR(run_at(0, n * 6 + o),
                           fmax(0, dot(&x, n * 4, 1, &w, o, 6, 4) + (double)run_f32(&bias, o)),
                           1e-5);
        free(x.data);
        free(w.data);
        free(bias.data);
    }
}

/* A product that somebody else reads too keeps its own value. */
static void keeps_what_is_read_twice(void)
{
    struct apx_tensor w = run_random(&rng, 2, 4, 6), bias = run_random(&rng, 1, 6);
    struct apx_tensor x = run_random(&rng, 2, 5, 4);
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "p q r");
    constant(m, "w", &w);
    constant(m, "bias", &bias);
    case_node(m, "MatMul", "x w", "p");
    case_node(m, "Add", "p bias", "q");
    case_node(m, "Tanh", "q", "r");
    REQUIRE(run_case_list(m, 1, &x));
    for (size_t i = 0; i < 30; i++) {
        double p = dot(&x, i / 6 * 4, 1, &w, i % 6, 6, 4);
        double q = p + (double)run_f32(&bias, i % 6);
        CHECK_NEAR(run_at(0, i), p, 1e-5);
        CHECK_NEAR(run_at(1, i), q, 1e-5);
        CHECK_NEAR(run_at(2, i), tanh(q), 1e-5);
    }
    free(x.data);
    free(w.data);
    free(bias.data);
}

/* Every form of Gemm: both operands either way round, factors, C of several shapes, B computed. */
static void computes_gemm(void)
{
    static const char *const c_shapes[] = {"-", "6", "1", "1,6", "b,6", "b,1", ""};
    for (int form = 0; form < 2 * 2 * 2 * 7; form++) {
        bool trans_a = form & 1, trans_b = form & 2, is_computed = form & 4;
        const char *c_shape = c_shapes[form / 8];
        float alpha = form % 3 == 0 ? 0.5f : 1, beta = form % 5 == 0 ? 2 : 1;
        char inputs[96], names[32];
        int64_t dims[2], rank = 0;
        for (const char *c = c_shape; *c != '\0'; c++)
            if (*c != ',' && *c != '-')
                dims[rank++] = *c == 'b' ? 5 : *c - '0';
        bool has_c = strcmp(c_shape, "-") != 0;
        snprintf(inputs, sizeof inputs, "x:f[%s] %s%s%s%s%s", trans_a ? "4,b" : "b,4",
                 is_computed ? (trans_b ? "w:f[6,4] " : "w:f[4,6] ") : "", has_c ? "c:f[" : "",
                 has_c ? c_shape : "", has_c ? "]" : "", "");
        snprintf(names, sizeof names, "x w%s", has_c ? " c" : "");
        struct apx_tensor in[3] = {trans_a ? run_random(&rng, 2, 4, 5) : run_random(&rng, 2, 5, 4)};
        struct apx_tensor w = trans_b ? run_random(&rng, 2, 6, 4) : run_random(&rng, 2, 4, 6);
        size_t count = 1;
        struct apx_tensor c = run_tensor(APX_F32, (int)rank, dims);
        for (size_t i = 0; i < run_count(&c); i++)
            ((float *)c.data)[i] = rng_real(&rng);
        struct apx_onnx *m = case_begin(17, inputs, "y");
        if (is_computed)
            in[count++] = w;
        else
            constant(m, "w", &w);
        if (has_c)
            in[count++] = c;
        case_node(m, "Gemm", names, "y");
        apx_onnx_int(m, "transA", trans_a);
        apx_onnx_int(m, "transB", trans_b);
        apx_onnx_float(m, "alpha", alpha);
        apx_onnx_float(m, "beta", beta);
        REQUIRE(run_case_list(m, count, in));
        for (size_t n = 0; n < 5; n++)
            for (size_t o = 0; o < 6; o++) {
                double sum = dot(&in[0], trans_a ? n : n * 4, trans_a ? 5 : 1, &w,
                                 trans_b ? o * 4 : o, trans_b ? 1 : 6, 4);
                size_t at = rank == 0 ? 0
                            : rank == 1
                                ? (dims[0] == 1 ? 0 : o)
                                : (dims[0] == 1 ? 0 : n * (size_t)dims[1]) + (dims[1] == 1 ? 0 : o);
                double expected = (double)alpha * sum;
                if (has_c)
                    expected += (double)beta * (double)run_f32(&c, at);
                CHECK_NEAR(run_at(0, n * 6 + o), expected, 1e-5);
            }
        free(in[0].data);
        free(w.data);
        free(c.data);
    }
}

/* Gemm's bias as a constant joins the product. */
static void fuses_gemm(void)
{
    struct apx_tensor w = run_random(&rng, 2, 6, 4), c = run_random(&rng, 1, 6);
    struct apx_tensor x = run_random(&rng, 2, 5, 4);
    struct apx_onnx *m = case_begin(17, "x:f[b,4]", "y");
    constant(m, "w", &w);
    constant(m, "c", &c);
    case_node(m, "Gemm", "x w c", "p");
    apx_onnx_int(m, "transB", 1);
    case_node(m, "Sigmoid", "p", "y");
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(strstr(run_plan, "\"step\": \"elementwise\"") == NULL);
    for (size_t i = 0; i < 30; i++) {
        double p = dot(&x, i / 6 * 4, 1, &w, i % 6 * 4, 1, 4) + (double)run_f32(&c, i % 6);
        CHECK_NEAR(run_at(0, i), 1 / (1 + exp(-p)), 1e-5);
    }
    free(x.data);
    free(w.data);
    free(c.data);
}

/* Attention: [b,h,t,d] . [b,h,d,t], where the second is a transposed view. */
static void multiplies_computed_operands(void)
{
    struct apx_onnx *m = case_begin(17, "q:f[b,2,3,4] k:f[b,2,5,4]", "y");
    int64_t perm[4] = {0, 1, 3, 2};
    case_node(m, "Transpose", "k", "kt");
    apx_onnx_ints(m, "perm", perm, 4);
    case_node(m, "MatMul", "q kt", "y");
    struct apx_tensor in[2] = {run_random(&rng, 4, 3, 2, 3, 4), run_random(&rng, 4, 3, 2, 5, 4)};
    REQUIRE(run_case_list(m, 2, in));
    CHECK(run_independent);
    for (size_t i = 0; i < 3 * 2 * 3 * 5; i++) {
        size_t head = i / 15, n = i / 5 % 3, o = i % 5;
        CHECK_NEAR(run_at(0, i),
                   dot(&in[0], (head * 3 + n) * 4, 1, &in[1], (head * 5 + o) * 4, 1, 4), 1e-5);
    }
    run_release(in, 2);
}

/* Operands of different ranks, vectors, a batch that is broadcast. */
static void broadcasts_products(void)
{
    struct apx_onnx *m = case_begin(17, "a:f[b,3,4] v:f[4] w:f[2,1,4,5] u:f[3]", "p q r");
    case_node(m, "MatMul", "a v", "p");
    case_node(m, "MatMul", "a w", "q");
    case_node(m, "MatMul", "u a", "r");
    struct apx_tensor in[4] = {run_random(&rng, 3, 6, 3, 4), run_random(&rng, 1, 4),
                               run_random(&rng, 4, 2, 1, 4, 5), run_random(&rng, 1, 3)};
    REQUIRE(run_case_list(m, 4, in));
    CHECK_EQ(run_out[0].rank, 2);
    CHECK_EQ(run_out[1].rank, 4);
    CHECK_EQ(run_out[2].rank, 2);
    for (size_t i = 0; i < 18; i++)
        CHECK_NEAR(run_at(0, i), dot(&in[0], i * 4, 1, &in[1], 0, 1, 4), 1e-5);
    for (size_t i = 0; i < 2 * 6 * 3 * 5; i++)
        CHECK_NEAR(run_at(1, i), dot(&in[0], i / 5 % 18 * 4, 1, &in[2], i / 90 * 20 + i % 5, 5, 4),
                   1e-5);
    for (size_t i = 0; i < 24; i++)
        CHECK_NEAR(run_at(2, i), dot(&in[3], 0, 1, &in[0], i / 4 * 12 + i % 4, 4, 3), 1e-5);
    run_release(in, 4);
}

int main(void)
{
    RUN(fuses_bias_and_activation);
    RUN(keeps_what_is_read_twice);
    RUN(computes_gemm);
    RUN(fuses_gemm);
    RUN(multiplies_computed_operands);
    RUN(broadcasts_products);
    run_end();
    return check_report();
}
