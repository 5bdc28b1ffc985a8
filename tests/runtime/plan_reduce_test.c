/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions, softmax and normalisations through the whole engine, against loops in float64. */
#include "tests/runtime/run_case.h"

static struct rng rng = {4};

/* Walks x[5,3,4] for one element of the result: axes in the mask are reduced. */
static double reduce(const char *op, const struct apx_tensor *x, unsigned mask, const size_t *at)
{
    double sum = 0, most = -INFINITY, least = INFINITY, product = 1, absolute = 0, square = 0,
           exponential = 0;
    size_t count = 0;
    for (size_t i = 0; i < 60; i++) {
        size_t index[3] = {i / 12, i / 4 % 3, i % 4};
        bool is_in = true;
        for (int d = 0; d < 3; d++)
            is_in = is_in && ((mask >> d & 1) != 0 || index[d] == at[d]);
        if (!is_in)
            continue;
        double v = (double)run_f32(x, i);
        sum += v;
        most = fmax(most, v);
        least = fmin(least, v);
        product *= v;
        absolute += fabs(v);
        square += v * v;
        exponential += exp(v);
        count++;
    }
    return strcmp(op, "ReduceSum") == 0         ? sum
           : strcmp(op, "ReduceMean") == 0      ? sum / (double)count
           : strcmp(op, "ReduceMax") == 0       ? most
           : strcmp(op, "ReduceMin") == 0       ? least
           : strcmp(op, "ReduceProd") == 0      ? product
           : strcmp(op, "ReduceL1") == 0        ? absolute
           : strcmp(op, "ReduceL2") == 0        ? sqrt(square)
           : strcmp(op, "ReduceSumSquare") == 0 ? square
           : strcmp(op, "ReduceLogSum") == 0    ? log(sum)
                                                : log(exponential);
}

static const char *const ops[] = {"ReduceSum",       "ReduceMean",  "ReduceMax", "ReduceMin",
                                  "ReduceProd",      "ReduceL1",    "ReduceL2",  "ReduceLogSumExp",
                                  "ReduceSumSquare", "ReduceLogSum"};

/* Every set of axes, axes kept or not, of a value as it came and of one behind a Transpose. */
static void reduces_all_axes(void)
{
    for (size_t o = 0; o < sizeof ops / sizeof ops[0]; o++)
        for (unsigned mask = 1; mask < 8; mask++)
            for (int form = 0; form < 4; form++) {
                bool keep = form & 1, is_transposed = form & 2;
                struct apx_onnx *m =
                    case_begin(18, is_transposed ? "x:f[4,b,3]" : "x:f[b,3,4]", "y");
                int64_t perm[3] = {1, 2, 0}, axes[3], count = 0;
                for (int d = 0; d < 3; d++)
                    if ((mask >> d & 1) != 0)
                        axes[count++] = d;
                apx_onnx_tensor(m, "axes", APX_I64, 1, &count, axes);
                if (is_transposed) {
                    case_node(m, "Transpose", "x", "t");
                    apx_onnx_ints(m, "perm", perm, 3);
                }
                case_node(m, ops[o], is_transposed ? "t axes" : "x axes", "y");
                apx_onnx_int(m, "keepdims", keep);
                struct apx_tensor plain = run_random(&rng, 3, 5, 3, 4),
                                  turned = run_random(&rng, 3, 4, 5, 3);
                for (size_t i = 0; i < 60; i++) {
                    if (o == 9) /* a logarithm */
                        ((float *)plain.data)[i] = 2 + rng_real(&rng);
                    ((float *)turned.data)[(i % 4 * 5 + i / 12) * 3 + i / 4 % 3] =
                        run_f32(&plain, i);
                }
                REQUIRE(run_case_list(m, 1, is_transposed ? &turned : &plain));
                CHECK_EQ(run_independent, (mask & 1) == 0);
                CHECK_EQ(run_out[0].rank, keep ? 3 : 3 - count);
                size_t extent[3] = {5, 3, 4}, total = 1;
                for (int d = 0; d < 3; d++)
                    total *= extent[d] = (mask >> d & 1) != 0 ? 1 : extent[d];
                for (size_t i = 0; i < total; i++) {
                    size_t at[3] = {i / (extent[1] * extent[2]), i / extent[2] % extent[1],
                                    i % extent[2]};
                    double expected = reduce(ops[o], &plain, mask, at);
                    CHECK_NEAR(run_at(0, i), expected, 1e-5 * fmax(1, fabs(expected)));
                }
                free(plain.data);
                free(turned.data);
            }
}

static void finds_largest_and_smallest(void)
{
    for (int axis = 0; axis < 3; axis++) {
        struct apx_onnx *m = case_begin(17, "x:f[b,3,4]", "a i l");
        case_node(m, "ArgMax", "x", "a");
        apx_onnx_int(m, "axis", axis);
        apx_onnx_int(m, "keepdims", 0);
        case_node(m, "ArgMin", "x", "i");
        apx_onnx_int(m, "axis", axis - 3);
        case_node(m, "ArgMax", "x", "l");
        apx_onnx_int(m, "axis", axis);
        apx_onnx_int(m, "select_last_index", 1);
        struct apx_tensor x = run_random(&rng, 3, 5, 3, 4);
        for (size_t i = 0; i < 60; i++) /* with equals */
            ((float *)x.data)[i] = roundf(run_f32(&x, i));
        REQUIRE(run_case_list(m, 1, &x));
        CHECK_EQ(run_out[0].rank, 2);
        CHECK_EQ(run_out[1].rank, 3);
        size_t extent[3] = {5, 3, 4}, stride[3] = {12, 4, 1};
        size_t n = extent[axis], step = stride[axis];
        for (size_t i = 0, result = 0; i < 60; i++) {
            if (i / step % n != 0)
                continue;
            size_t most = 0, least = 0, last = 0;
            for (size_t k = 1; k < n; k++) {
                float v = run_f32(&x, i + k * step);
                most = v > run_f32(&x, i + most * step) ? k : most;
                last = v >= run_f32(&x, i + last * step) ? k : last;
                least = v < run_f32(&x, i + least * step) ? k : least;
            }
            CHECK_EQ(run_at(0, result), most);
            CHECK_EQ(run_at(1, result), least);
            CHECK_EQ(run_at(2, result), last);
            result++;
        }
        free(x.data);
    }
}

static void computes_softmax(void)
{
    for (int axis = 1; axis < 3; axis++) {
        struct apx_onnx *m = case_begin(17, "x:f[b,3,4]", "y z");
        case_node(m, "Softmax", "x", "y");
        apx_onnx_int(m, "axis", axis);
        case_node(m, "LogSoftmax", "x", "z");
        apx_onnx_int(m, "axis", axis);
        struct apx_tensor x = run_random(&rng, 3, 5, 3, 4);
        ((float *)x.data)[7] = 90; /* beyond what exp holds */
        REQUIRE(run_case_list(m, 1, &x));
        CHECK(run_independent);
        size_t n = axis == 1 ? 3 : 4, step = axis == 1 ? 4 : 1;
        for (size_t i = 0; i < 60; i++) {
            size_t first = i - i / step % n * step;
            double sum = 0;
            for (size_t k = 0; k < n; k++)
                sum += exp((double)run_f32(&x, first + k * step) - (double)run_f32(&x, i));
            CHECK_NEAR(run_at(0, i), 1 / sum, 1e-6);
            CHECK_NEAR(run_at(1, i), -log(sum), 1e-5 * fmax(1, log(sum)));
        }
        free(x.data);
    }
}

/* Before opset 13 the axes from `axis` on count as one. */
static void computes_old_softmax(void)
{
    struct apx_onnx *m = case_begin(11, "x:f[b,3,4]", "y");
    case_node(m, "Softmax", "x", "y");
    apx_onnx_int(m, "axis", 1);
    struct apx_tensor x = run_random(&rng, 3, 5, 3, 4);
    REQUIRE(run_case_list(m, 1, &x));
    for (size_t i = 0; i < 60; i++) {
        double sum = 0;
        for (size_t k = 0; k < 12; k++)
            sum += exp((double)run_f32(&x, i / 12 * 12 + k) - (double)run_f32(&x, i));
        CHECK_NEAR(run_at(0, i), 1 / sum, 1e-6);
    }
    free(x.data);
}

static void normalises_layers(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[4,b,3]", "y");
    struct apx_tensor scale = run_random(&rng, 1, 4), bias = run_random(&rng, 1, 4);
    int64_t perm[3] = {1, 2, 0};
    apx_onnx_tensor(m, "scale", APX_F32, 1, scale.dims, scale.data);
    apx_onnx_tensor(m, "bias", APX_F32, 1, bias.dims, bias.data);
    case_node(m, "Transpose", "x", "t"); /* [b,3,4] */
    apx_onnx_ints(m, "perm", perm, 3);
    case_node(m, "LayerNormalization", "t scale bias", "y");
    apx_onnx_float(m, "epsilon", 1e-3f);
    struct apx_tensor x = run_random(&rng, 3, 4, 5, 3);
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(run_independent);
    for (size_t row = 0; row < 15; row++) {
        double mean = 0, variance = 0;
        for (size_t k = 0; k < 4; k++)
            mean += (double)run_f32(&x, k * 15 + row) / 4;
        for (size_t k = 0; k < 4; k++)
            variance += pow((double)run_f32(&x, k * 15 + row) - mean, 2) / 4;
        for (size_t k = 0; k < 4; k++)
            CHECK_NEAR(run_at(0, row * 4 + k),
                       ((double)run_f32(&x, k * 15 + row) - mean) / sqrt(variance + 1e-3) *
                               (double)run_f32(&scale, k) +
                           (double)run_f32(&bias, k),
                       2e-6);
    }
    free(x.data);
    free(scale.data);
    free(bias.data);
}

static void normalises_batches(void)
{
    struct apx_onnx *m = case_begin(17, "x:f[b,3,4]", "y l");
    struct apx_tensor c[4] = {run_random(&rng, 1, 3), run_random(&rng, 1, 3),
                              run_random(&rng, 1, 3), run_random(&rng, 1, 3)};
    static const char *const names[4] = {"scale", "bias", "mean", "variance"};
    for (size_t i = 0; i < 3; i++)
        ((float *)c[3].data)[i] = 1.5f + 0.5f * run_f32(&c[3], i);
    for (int i = 0; i < 4; i++)
        apx_onnx_tensor(m, names[i], APX_F32, 1, c[i].dims, c[i].data);
    case_node(m, "BatchNormalization", "x scale bias mean variance", "y");
    case_node(m, "LpNormalization", "x", "l");
    apx_onnx_int(m, "p", 1);
    struct apx_tensor x = run_random(&rng, 3, 5, 3, 4);
    for (size_t i = 8; i < 12; i++) /* a row of zeros stays */
        ((float *)x.data)[i] = 0;
    REQUIRE(run_case_list(m, 1, &x));
    CHECK(run_independent);
    for (size_t i = 0; i < 60; i++) {
        size_t k = i / 4 % 3;
        double norm = 0;
        for (size_t j = 0; j < 4; j++)
            norm += fabs((double)run_f32(&x, i / 4 * 4 + j));
        CHECK_NEAR(run_at(0, i),
                   ((double)run_f32(&x, i) - (double)run_f32(&c[2], k)) /
                           sqrt((double)run_f32(&c[3], k) + (double)1e-5f) *
                           (double)run_f32(&c[0], k) +
                       (double)run_f32(&c[1], k),
                   1e-5);
        CHECK_NEAR(run_at(1, i), norm > 0 ? (double)run_f32(&x, i) / norm : 0, 1e-6);
    }
    run_release(c, 4);
    free(x.data);
}

/* Times in seconds do not fit a float. */
static void reduces_integers_exactly(void)
{
    static const int64_t times[6] = {1700000001, 1700000003, 1700000002, -5, 7, 7};
    static const struct {
        const char *op;
        int64_t want[2];
    } cases[] = {
        {"ReduceSum", {5100000006, 9}},
        {"ReduceMean", {1700000002, 3}},
        {"ReduceMax", {1700000003, 7}},
        {"ReduceMin", {1700000001, -5}},
        {"ReduceProd", {(int64_t)(1700000001u * (uint64_t)1700000003 * 1700000002), -245}},
        {"ReduceL1", {5100000006, 19}},
        {"ReduceSumSquare", {8670000020400000014, 123}},
        {"ArgMax", {1, 1}},
        {"ArgMin", {0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_arg = cases[i].op[0] == 'A';
        struct apx_onnx *m = case_begin(13, "x:l[b,3]", "y");
        if (!is_arg)
            case_ints(m, "axes", 1, 1);
        if (is_arg || strcmp(cases[i].op, "ReduceSum") == 0)
            case_node(m, cases[i].op, is_arg ? "x" : "x axes", "y");
        else
            case_node(m, cases[i].op, "x", "y");
        if (is_arg)
            apx_onnx_int(m, "axis", 1);
        else if (strcmp(cases[i].op, "ReduceSum") != 0)
            apx_onnx_ints(m, "axes", &(int64_t){1}, 1);
        struct apx_tensor x = run_tensor(APX_I64, 2, (const int64_t[]){2, 3});
        memcpy(x.data, times, sizeof times);
        if (CHECK(run_case(m, 1, x)))
            for (size_t r = 0; r < 2; r++)
                CHECK_EQ(((const int64_t *)run_out[0].data)[r], cases[i].want[r]);
    }
}

int main(void)
{
    RUN(reduces_integers_exactly);
    RUN(reduces_all_axes);
    RUN(finds_largest_and_smallest);
    RUN(computes_softmax);
    RUN(computes_old_softmax);
    RUN(normalises_layers);
    RUN(normalises_batches);
    run_end();
    return check_report();
}
