/* SPDX-License-Identifier: Apache-2.0 */
/* Unary, binary, logical operators through the whole engine, against the C library in float64. */
#include "tests/runtime/run_case.h"

static struct rng rng = {1};

/* ---- one operand ----------------------------------------------------------------------------- */

static double relu(double x)
{
    return x > 0 ? x : 0;
}
static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double reciprocal(double x)
{
    return 1 / x;
}
static double sign(double x)
{
    return (x > 0) - (x < 0);
}
static double negate(double x)
{
    return -x;
}
static double hard_sigmoid(double x)
{
    return fmax(0, fmin(1, (double)0.2f * x + 0.5));
}
static double leaky(double x)
{
    return x < 0 ? (double)0.01f * x : x;
}
static double thresholded(double x)
{
    return x > 1 ? x : 0;
}
static double elu(double x)
{
    return x < 0 ? exp(x) - 1 : x;
}
static double selu(double x)
{
    return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * (exp(x) - 1));
}
static double softplus(double x)
{
    return log(1 + exp(x));
}
static double softsign(double x)
{
    return x / (1 + fabs(x));
}
static double hard_swish(double x)
{
    return x * fmax(0, fmin(1, x / 6 + 0.5));
}
static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}
static double mish(double x)
{
    return x * tanh(softplus(x));
}
static double positive_log(double x)
{
    return x < 0 ? NAN : log(x);
}
static double positive_sqrt(double x)
{
    return x < 0 ? NAN : sqrt(x);
}

static const struct {
    const char *op;
    double (*f)(double);
    int64_t opset;
} unaries[] = {
    {"Abs", fabs, 13},
    {"Neg", negate, 13},
    {"Sqrt", positive_sqrt, 13},
    {"Exp", exp, 13},
    {"Log", positive_log, 13},
    {"Reciprocal", reciprocal, 13},
    {"Floor", floor, 13},
    {"Ceil", ceil, 13},
    {"Round", nearbyint, 13},
    {"Sign", sign, 13},
    {"Erf", erf, 13},
    {"Sin", sin, 13},
    {"Cos", cos, 13},
    {"Relu", relu, 13},
    {"Tanh", tanh, 13},
    {"Sigmoid", sigmoid, 13},
    {"HardSigmoid", hard_sigmoid, 13},
    {"LeakyRelu", leaky, 13},
    {"ThresholdedRelu", thresholded, 13},
    {"Elu", elu, 13},
    {"Selu", selu, 13},
    {"Celu", elu, 13},
    {"Softplus", softplus, 13},
    {"Softsign", softsign, 13},
    {"HardSwish", hard_swish, 14},
    {"Gelu", gelu, 20},
    {"Mish", mish, 18},
};

/* Behind a Transpose, whose result a unary step takes as it lies; in front of another one. */
static void computes_unaries(void)
{
    for (size_t k = 0; k < sizeof unaries / sizeof unaries[0]; k++) {
        struct apx_onnx *m = case_begin(unaries[k].opset, "x:f[b,3,5]", "y z");
        int64_t perm[3] = {2, 0, 1};
        case_node(m, "Transpose", "x", "t");
        apx_onnx_ints(m, "perm", perm, 3);
        case_node(m, unaries[k].op, "t", "z");
        case_node(m, unaries[k].op, "x", "y");
        struct apx_tensor x = run_random(&rng, 3, 4, 3, 5);
        REQUIRE(run_case_list(m, 1, &x));
        for (size_t i = 0; i < 4 * 3 * 5; i++) {
            double expected = unaries[k].f((double)run_f32(&x, i));
            size_t b = i / 15, c = i / 5 % 3, d = i % 5;
            if (!CHECK(fabs(run_at(0, i) - expected) <= 2e-6 * fmax(1, fabs(expected)) ||
                       (isnan(expected) && isnan(run_at(0, i)))))
                fprintf(stderr, "    %s(%g) = %g, expected %g\n", unaries[k].op,
                        (double)run_f32(&x, i), run_at(0, i), expected);
            CHECK(run_at(1, (d * 4 + b) * 3 + c) == run_at(0, i) || isnan(expected));
        }
        free(x.data);
    }
}

static void takes_attributes(void)
{
    struct apx_onnx *m = case_begin(20, "x:f[b]", "a c d e");
    case_node(m, "LeakyRelu", "x", "a");
    apx_onnx_float(m, "alpha", 0.3f);
    case_node(m, "HardSigmoid", "x", "c");
    apx_onnx_float(m, "alpha", 0.5f);
    apx_onnx_float(m, "beta", 0.25f);
    case_node(m, "Gelu", "x", "d");
    apx_onnx_text(m, "approximate", "tanh");
    case_floats(m, "low", -0.5f, 0);
    case_node(m, "Clip", "x low -", "e");
    struct apx_tensor x = run_random(&rng, 1, 40);
    REQUIRE(run_case_list(m, 1, &x));
    for (size_t i = 0; i < 40; i++) {
        double v = (double)run_f32(&x, i);
        CHECK_NEAR(run_at(0, i), v < 0 ? (double)0.3f * v : v, 1e-6);
        CHECK_NEAR(run_at(1, i), fmax(0, fmin(1, 0.5 * v + 0.25)), 1e-6);
        CHECK_NEAR(run_at(2, i), 0.5 * v * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))),
                   2e-6);
        CHECK_NEAR(run_at(3, i), fmax(v, -0.5), 0);
    }
    free(x.data);
}

static void keeps_integers_exact(void)
{
    struct apx_onnx *m = case_begin(17, "x:l[b]", "n a r");
    case_node(m, "Neg", "x", "n");
    case_node(m, "Abs", "x", "a");
    case_node(m, "Relu", "x", "r");
    struct apx_tensor x = run_integers(&rng, 0, 0, 1, 2);
    ((int64_t *)x.data)[0] = 9007199254740993;
    ((int64_t *)x.data)[1] = -9007199254740993;
    REQUIRE(run_case_list(m, 1, &x));
    CHECK_EQ(((int64_t *)run_out[0].data)[0], -9007199254740993);
    CHECK_EQ(((int64_t *)run_out[1].data)[1], 9007199254740993);
    CHECK_EQ(((int64_t *)run_out[2].data)[0], 9007199254740993);
    CHECK_EQ(((int64_t *)run_out[2].data)[1], 0);
    free(x.data);
}

/* ---- two operands ---------------------------------------------------------------------------- */

static double add(double a, double b)
{
    return a + b;
}
static double subtract(double a, double b)
{
    return a - b;
}
static double multiply(double a, double b)
{
    return a * b;
}
static double divide(double a, double b)
{
    return a / b;
}
static double prelu(double a, double b)
{
    return a < 0 ? a * b : a;
}

static const struct {
    const char *op;
    double (*f)(double, double);
} binaries[] = {{"Add", add},  {"Sub", subtract}, {"Mul", multiply}, {"Div", divide},
                {"Min", fmin}, {"Max", fmax},     {"PRelu", prelu}};

/* Element of a tensor that broadcasts to [b,3,4] at (i, j, k). */
static double broadcast(const struct apx_tensor *t, size_t i, size_t j, size_t k)
{
    size_t at[3] = {i, j, k}, index = 0;
    for (int d = 0; d < t->rank; d++) {
        size_t extent = (size_t)t->dims[d];
        index = index * extent + (extent == 1 ? 0 : at[3 - t->rank + d]);
    }
    return (double)run_f32(t, index);
}

static void broadcasts(void)
{
    static const char *const shapes[] = {"b,3,4", "b,1,4", "3,4", "4", "3,1", "1", "b,3,1", ""};
    for (size_t k = 0; k < sizeof binaries / sizeof binaries[0]; k++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            char inputs[64];
            int64_t dims[3], rank = 0;
            snprintf(inputs, sizeof inputs, "x:f[b,3,4] w:f[%s]", shapes[s]);
            for (const char *c = shapes[s]; *c != '\0'; c++)
                if (*c != ',')
                    dims[rank++] = *c == 'b' ? 5 : *c - '0';
            struct apx_onnx *m = case_begin(17, inputs, "y");
            case_node(m, binaries[k].op, "x w", "y");
            struct apx_tensor in[2] = {run_random(&rng, 3, 5, 3, 4),
                                       run_tensor(APX_F32, (int)rank, dims)};
            for (size_t i = 0; i < run_count(&in[1]); i++)
                ((float *)in[1].data)[i] = 0.5f + rng_real(&rng) * 0.25f;
            REQUIRE(run_case_list(m, 2, in));
            for (size_t i = 0; i < 60; i++)
                CHECK_NEAR(run_at(0, i),
                           binaries[k].f((double)run_f32(&in[0], i),
                                         broadcast(&in[1], i / 12, i / 4 % 3, i % 4)),
                           1e-6);
            run_release(in, 2);
        }
    }
}

/* One operand transposed, and a result that is read transposed again. */
static void meets_transposed_operands(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,3,4] w:f[4,b,3]", "y");
    int64_t perm[3] = {2, 0, 1}, back[3] = {1, 2, 0};
    case_node(m, "Transpose", "x", "t");
    apx_onnx_ints(m, "perm", perm, 3);
    case_node(m, "Mul", "t w", "p");
    case_node(m, "Tanh", "p", "q");
    case_node(m, "Transpose", "q", "y");
    apx_onnx_ints(m, "perm", back, 3);
    struct apx_tensor in[2] = {run_random(&rng, 3, 5, 3, 4), run_random(&rng, 3, 4, 5, 3)};
    REQUIRE(run_case_list(m, 2, in));
    CHECK(run_independent);
    for (size_t i = 0; i < 60; i++) {
        size_t b = i / 12, c = i / 4 % 3, d = i % 4;
        CHECK_NEAR(run_at(0, i),
                   tanh((double)run_f32(&in[0], i) * (double)run_f32(&in[1], (d * 5 + b) * 3 + c)),
                   1e-6);
    }
    run_release(in, 2);
}

static void computes_powers_and_remainders(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b] i:l[b] j:l[b]", "p q r");
    case_ints(m, "two", 0, 2LL);
    case_node(m, "Pow", "x two", "p");
    case_node(m, "Mod", "i j", "q");
    case_node(m, "Mod", "i j", "r");
    apx_onnx_int(m, "fmod", 1);
    struct apx_tensor in[3] = {run_random(&rng, 1, 50), run_integers(&rng, -9, 9, 1, 50),
                               run_integers(&rng, -4, 4, 1, 50)};
    for (size_t k = 0; k < 50; k++)
        if (((int64_t *)in[2].data)[k] == 0)
            ((int64_t *)in[2].data)[k] = 3;
    REQUIRE(run_case_list(m, 3, in));
    for (size_t k = 0; k < 50; k++) {
        int64_t a = ((int64_t *)in[1].data)[k], b = ((int64_t *)in[2].data)[k];
        int64_t floored = a - b * (int64_t)floor((double)a / (double)b);
        CHECK_NEAR(run_at(0, k), (double)run_f32(&in[0], k) * (double)run_f32(&in[0], k), 1e-6);
        CHECK_EQ(run_at(1, k), floored);
        CHECK_EQ(run_at(2, k), a % b);
    }
    run_release(in, 3);
}

static void powers_of_integers_are_exact(void)
{
    struct apx_onnx *m = case_begin(17, "i:l[b]", "p");
    case_ints(m, "three", 0, 3LL);
    case_node(m, "Pow", "i three", "p");
    struct apx_tensor in[1] = {run_integers(&rng, -2000000, 2000000, 1, 50)};
    REQUIRE(run_case_list(m, 1, in));
    for (size_t k = 0; k < 50; k++) {
        int64_t a = ((int64_t *)in[0].data)[k];
        CHECK(((const int64_t *)run_out[0].data)[k] == a * a * a); /* beyond float and double */
    }
    run_release(in, 1);
}

static void chains_many_operands(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,3] w:f[b,3] v:f[3]", "s m a i");
    case_node(m, "Sum", "x w v", "s");
    case_node(m, "Mean", "x w v", "m");
    case_node(m, "Max", "x w v", "a");
    case_node(m, "Min", "x w v", "i");
    struct apx_tensor in[3] = {run_random(&rng, 2, 4, 3), run_random(&rng, 2, 4, 3),
                               run_random(&rng, 1, 3)};
    REQUIRE(run_case_list(m, 3, in));
    for (size_t k = 0; k < 12; k++) {
        double a = (double)run_f32(&in[0], k), b = (double)run_f32(&in[1], k),
               c = (double)run_f32(&in[2], k % 3);
        CHECK_NEAR(run_at(0, k), a + b + c, 1e-6);
        CHECK_NEAR(run_at(1, k), (a + b + c) / 3, 1e-6);
        CHECK_NEAR(run_at(2, k), fmax(fmax(a, b), c), 0);
        CHECK_NEAR(run_at(3, k), fmin(fmin(a, b), c), 0);
    }
    run_release(in, 3);
}

/* ---- truth ----------------------------------------------------------------------------------- */

static void compares_and_chooses(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,3] w:f[3] i:l[b,3]", "lt ge eq z n o");
    case_ints(m, "two", 0, 2LL);
    case_node(m, "Less", "x w", "lt");
    case_node(m, "GreaterOrEqual", "x w", "ge");
    case_node(m, "Equal", "i two", "eq");
    case_node(m, "Or", "lt eq", "o");
    case_node(m, "Where", "o x w", "z");
    case_node(m, "Sqrt", "x", "root");
    case_node(m, "IsNaN", "root", "nan");
    case_node(m, "Not", "nan", "n");
    struct apx_tensor in[3] = {run_random(&rng, 2, 9, 3), run_random(&rng, 1, 3),
                               run_integers(&rng, 1, 3, 2, 9, 3)};
    REQUIRE(run_case_list(m, 3, in));
    for (size_t k = 0; k < 27; k++) {
        double x = (double)run_f32(&in[0], k), w = (double)run_f32(&in[1], k % 3);
        bool is_two = ((int64_t *)in[2].data)[k] == 2;
        CHECK_EQ(run_at(0, k), x < w);
        CHECK_EQ(run_at(1, k), x >= w);
        CHECK_EQ(run_at(2, k), is_two);
        CHECK_NEAR(run_at(3, k), x < w || is_two ? x : w, 0);
        CHECK_EQ(run_at(4, k), !(x < 0));
        CHECK_EQ(run_at(5, k), x < w || is_two);
    }
    run_release(in, 3);
}

static void casts(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b] i:l[b]", "a c d");
    case_node(m, "Cast", "x", "a");
    apx_onnx_int(m, "to", 7);
    case_node(m, "Cast", "i", "c");
    apx_onnx_int(m, "to", 1);
    case_node(m, "Cast", "x", "d");
    apx_onnx_int(m, "to", 9);
    struct apx_tensor in[2] = {run_random(&rng, 1, 30), run_integers(&rng, -3, 3, 1, 30)};
    ((float *)in[0].data)[0] = 0;
    REQUIRE(run_case_list(m, 2, in));
    for (size_t k = 0; k < 30; k++) {
        CHECK_EQ(run_at(0, k), (int64_t)run_f32(&in[0], k));
        CHECK_EQ(run_at(1, k), ((int64_t *)in[1].data)[k]);
        CHECK_EQ(run_at(2, k), run_f32(&in[0], k) != 0);
    }
    run_release(in, 2);
}

/* A number of rows that is read as data: right, on one slice. */
static void reads_extents_as_data(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,3]", "y");
    case_node(m, "Shape", "x", "s");
    case_ints(m, "zero", 0, 0LL);
    case_node(m, "Gather", "s zero", "rows");
    case_node(m, "Cast", "rows", "count");
    apx_onnx_int(m, "to", 1);
    case_node(m, "Div", "x count", "y");
    struct apx_tensor x = run_random(&rng, 2, 7, 3);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(!run_independent);
    for (size_t k = 0; k < 21; k++)
        CHECK_NEAR(run_at(0, k), (double)run_f32(&x, k) / 7, 1e-6);
    free(x.data);
}

int main(void)
{
    RUN(computes_unaries);
    RUN(takes_attributes);
    RUN(keeps_integers_exact);
    RUN(broadcasts);
    RUN(meets_transposed_operands);
    RUN(computes_powers_and_remainders);
    RUN(powers_of_integers_are_exact);
    RUN(chains_many_operands);
    RUN(compares_and_chooses);
    RUN(casts);
    RUN(reads_extents_as_data);
    run_end();
    return check_report();
}
