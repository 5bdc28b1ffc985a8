/* SPDX-License-Identifier: Apache-2.0 */
/* link_test.c - margins to predictions: against what XGBoost 3.2 and LightGBM 4.7 made of the same
 * margins, against the formulas in long double, and the odd values. */
#include <math.h>

#include "kernels/kernels.h"
#include "tests/harness/check.h"
#include "tests/harness/rng.h"

/* Steps between two floats or two doubles of the same sign; 0 for two NaN. */
static double steps_float(float a, float b)
{
    int32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return a == b || (isnan(a) && isnan(b)) ? 0.0 : fabs((double)x - (double)y);
}

static double steps_double(double a, double b)
{
    int64_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return a == b || (isnan(a) && isnan(b)) ? 0.0 : fabs((double)(x - y));
}

#define CHECK_STEPS(bits, actual, expected, most)                                                  \
    do {                                                                                           \
        if (!CHECK(steps_##bits((actual), (expected)) <= (most)))                                  \
            fprintf(stderr, "    %a, expected %a\n", (double)(actual), (double)(expected));        \
    } while (0)

/* ---- what the libraries said ----------------------------------------------------------------- */

static void xgboost_sigmoid(void)
{
    static const float known[][2] = {
        {-0x1.9134bep+7f, 0x1.05ea38p-128f},
        {-0x1.66697ap+6f, 0x1.05ea38p-128f},
        {-0x1.e9a5ecp+4f, 0x1.cd2e8cp-45f},
        {-0x1.1e72b8p+4f, 0x1.204c6ep-26f},
        {-0x1.6cfe14p+2f, 0x1.b3caa2p-9f},
        {-0x1.9a5eb4p+0f, 0x1.572a96p-3f},
        {-0x1.35407ap-1f, 0x1.69e8dcp-2f},
        {-0x1.34bd68p-1f, 0x1.6a24c6p-2f},
        {-0x1.dd3310p-3f, 0x1.c49e54p-2f},
        {0x1.e5a14cp+0f, 0x1.bd35c0p-1f},
        {0x1.2980f6p+3f, 0x1.fff3fcp-1f},
        {0x1.018d48p+4f, 0x1.fffffcp-1f},
        {0x1.032d0ap+5f, 1.0f},
        {INFINITY, 1.0f},
        {-INFINITY, 0x1.05ea38p-128f},
        {NAN, NAN},
    };
    const struct apx_link link = {.kind = APX_LINK_SIGMOID_XGB};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        float y;
        apx_link_run(&link, 1, 1, known[i], false, &y, false);
        CHECK_STEPS(float, y, known[i][1], 1);
    }
}

static void xgboost_exp(void)
{
    static const float known[][2] = {
        {-0x1.9019cep+7f, 0.0f},
        {-0x1.64339ap+6f, 0x1.70fda0p-129f},
        {-0x1.e0ce6ap+4f, 0x1.90b7f4p-44f},
        {-0x1.49a010p+2f, 0x1.7beb7ep-8f},
        {-0x1.9cd4e8p-5f, 0x1.e6d65ep-1f},
        {0x1.4746acp-2f, 0x1.6067dap+0f},
        {0x1.3b2ff8p+3f, 0x1.281b84p+14f},
        {0x1.5fcc66p+6f, 0x1.d89888p+126f},
        {0x1.8fe632p+7f, INFINITY},
        {INFINITY, INFINITY},
        {-INFINITY, 0.0f},
        {NAN, NAN},
    };
    const struct apx_link link = {.kind = APX_LINK_EXP};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        float y;
        apx_link_run(&link, 1, 1, known[i], false, &y, false);
        CHECK_STEPS(float, y, known[i][1], 1);
    }
}

static void xgboost_softmax(void)
{
    enum { ROWS = 6 };
    static const float margins[ROWS * 3] = {
        -0x1.84fd9ep+1f, 0x1.fdce52p-2f,  0x1.43462ap+0f,  0x1.8fb026p+5f,  -0x1.e00464p+5f,
        0x1.8c1a32p+5f,  -0x1.3f674ap-5f, -0x1.18d6b2p-9f, 0x1.a31524p-7f,  -0x1.373624p-5f,
        -0x1.9be920p-9f, 0x1.900d18p+6f,  INFINITY,        -0x1.18d6b2p-9f, 0x1.03462ap+0f,
        -INFINITY,       -0x1.18d6b2p-9f, 0x1.03462ap+0f};
    static const float known[ROWS * 3] = {0x1.2c1a2ap-7f,
                                          0x1.423850p-2f,
                                          0x1.5a3370p-1f,
                                          0x1.386e34p-1f,
                                          0.0f,
                                          0x1.8f2398p-2f,
                                          0x1.4b51a6p-2f,
                                          0x1.57c138p-2f,
                                          0x1.5ced1ep-2f,
                                          0x1.9p-145f,
                                          0x1.ap-145f,
                                          1.0f,
                                          NAN,
                                          NAN,
                                          NAN,
                                          0.0f,
                                          0x1.106670p-2f,
                                          0x1.77cccap-1f};
    const struct apx_link link = {.kind = APX_LINK_SOFTMAX};
    float y[ROWS * 3];
    apx_link_run(&link, ROWS, 3, margins, false, y, false);
    for (size_t i = 0; i < ROWS * 3; i++)
        CHECK_STEPS(float, y[i], known[i], 2);
    const struct apx_link argmax = {.kind = APX_LINK_ARGMAX};
    apx_link_run(&argmax, ROWS, 3, margins, false, y, false);
    CHECK(y[0] == 2.0f && y[1] == 0.0f && y[2] == 2.0f && y[3] == 2.0f && y[4] == 0.0f);
}

struct known_double {
    double margin, prediction;
};

static void lightgbm_one(const struct apx_link *link, const struct known_double *known,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double y;
        apx_link_run(link, 1, 1, &known[i].margin, true, &y, true);
        CHECK_STEPS(double, y, known[i].prediction, 1);
    }
}

static void lightgbm_transforms(void)
{
    static const struct known_double sigmoid[] = {{-0x1.184d53091a9b3p+4, 0x1.3ce81c7c4755ap-18},
                                                  {-0x1.184d53091a9b2p+4, 0x1.3ce81c7c4756ep-18},
                                                  {0x1.18a50d4df0464p+4, 0x1.ffff63e78ffc3p-1}};
    static const struct known_double log1p_exp[] = {{-0x1.8bfca9b8c5a95p+3, 0x1.1b817013706e9p-18},
                                                    {0x1.887cc80ff6985p+3, 0x1.887cd1f21ced6p+3},
                                                    {-0x1.8bfca9b8c59c3p+3, 0x1.1b81701370e2ep-18}};
    static const struct known_double exponential[] = {{0x1.b9ae9aaec67a6p-1, 0x1.2f4a52b513284p+1},
                                                      {-0x1.64942f470fc88p+0, 0x1.fca2d8b58d5ddp-3},
                                                      {0x1.8d0618927650ap-2, 0x1.793ed52f98281p+0}};
    static const struct known_double square[] = {{0x1.6baecc15ae8e3p+0, 0x1.0254970fc6999p+1},
                                                 {0x1.301a722b8b191p-1, 0x1.693ed1e2ce1e9p-2},
                                                 {-0x1.301a722b8b191p-1, -0x1.693ed1e2ce1e9p-2}};
    lightgbm_one(&(struct apx_link){.kind = APX_LINK_SIGMOID, .a = 0.7}, sigmoid, 3);
    lightgbm_one(&(struct apx_link){.kind = APX_LINK_LOG1P_EXP}, log1p_exp, 3);
    lightgbm_one(&(struct apx_link){.kind = APX_LINK_EXP}, exponential, 3);
    lightgbm_one(&(struct apx_link){.kind = APX_LINK_SIGNED_SQUARE}, square, 3);
}

static void lightgbm_softmax(void)
{
    static const double margins[6] = {-0x1.a2dffddc5f778p-2, -0x1.699594b840edep+0,
                                      -0x1.493b78eff0c33p-3, 0x1.6618ca1973d34p-1,
                                      -0x1.88882615c1385p+1, -0x1.a5cfe6f0f192cp-1};
    static const double known[6] = {0x1.82a2f9b53d912p-2, 0x1.1b82d97809091p-3,
                                    0x1.ef9b998ebdea6p-2, 0x1.9c85dee5df27ap-1,
                                    0x1.31812e94e6164p-6, 0x1.67b85e95e69eap-3};
    /* a random forest: 30 iterations, averaged before the softmax */
    static const double sums[6] = {-0x1.8cee89b821955p+4, -0x1.2e1e39a362b6fp+5,
                                   -0x1.4c941445e363ep+5, -0x1.55ecc59408494p+4,
                                   -0x1.57bf98d416dcdp+5, -0x1.0eeb2c5874af8p+5};
    static const double averaged[6] = {0x1.cd043df61d70dp-2, 0x1.2b54bb70a6c4fp-2,
                                       0x1.07a706993bca4p-2, 0x1.dd22a4fcb2d00p-2,
                                       0x1.d0854172ac869p-3, 0x1.3a9aba49f6ecdp-2};
    double y[6];
    apx_link_run(&(struct apx_link){.kind = APX_LINK_SOFTMAX}, 2, 3, margins, true, y, true);
    for (size_t i = 0; i < 6; i++)
        CHECK_STEPS(double, y[i], known[i], 2);
    apx_link_run(&(struct apx_link){.kind = APX_LINK_SOFTMAX, .divide = 30.0}, 2, 3, sums, true, y,
                 true);
    for (size_t i = 0; i < 6; i++)
        CHECK_STEPS(double, y[i], averaged[i], 2);
}

/* ---- the formulas in long double, rounded after each operation of the library -----------------
 */

#define ROUND(bits, x) ((long double)(bits)(x))

#define DEFINE_STEPWISE(bits)                                                                      \
    static bits stepwise_##bits(const struct apx_link *link, bits margin)                          \
    {                                                                                              \
        const long double m = (long double)margin, a = (long double)(bits)link->a;                 \
        switch (link->kind) {                                                                      \
        case APX_LINK_SCALE:                                                                       \
            return (bits)(m * a);                                                                  \
        case APX_LINK_SIGMOID:                                                                     \
            return (bits)(1 / ROUND(bits, 1 + ROUND(bits, expl(-ROUND(bits, a * m)))));            \
        case APX_LINK_SIGMOID_XGB:                                                                 \
            return (bits)(float)(1 / ROUND(float, 1 + ROUND(float, expl(fminl(-m, 88.7f)))));      \
        case APX_LINK_EXP:                                                                         \
            return (bits)expl(m);                                                                  \
        case APX_LINK_LOG1P_EXP:                                                                   \
            return (bits)log1pl(ROUND(bits, expl(m)));                                             \
        case APX_LINK_SIGNED_SQUARE:                                                               \
            return (bits)(m * fabsl(m));                                                           \
        case APX_LINK_HINGE:                                                                       \
            return m > 0 ? 1 : 0;                                                                  \
        case APX_LINK_ANOMALY:                                                                     \
            return (bits)(-ROUND(bits, exp2l(-ROUND(bits, m * a))) - (long double)(bits)link->b);  \
        default:                                                                                   \
            return margin;                                                                         \
        }                                                                                          \
    }
DEFINE_STEPWISE(float)
DEFINE_STEPWISE(double)

static double random_margin(struct rng *rng)
{
    static const double scales[] = {1e-6, 0.1, 1.0, 4.0, 20.0, 90.0};
    return scales[rng_below(rng, 6)] * (double)rng_real(rng);
}

static void one_by_one_links_follow_their_formulas(void)
{
    enum { N = 20000 };
    static const struct apx_link links[] = {
        {.kind = APX_LINK_NONE},
        {.kind = APX_LINK_SCALE, .a = 0.1},
        {.kind = APX_LINK_SIGMOID, .a = 1.0},
        {.kind = APX_LINK_SIGMOID, .a = 0.3},
        {.kind = APX_LINK_SIGMOID_XGB},
        {.kind = APX_LINK_EXP},
        {.kind = APX_LINK_LOG1P_EXP},
        {.kind = APX_LINK_SIGNED_SQUARE},
        {.kind = APX_LINK_HINGE},
        {.kind = APX_LINK_ANOMALY, .a = 0.01},
        {.kind = APX_LINK_ANOMALY, .a = 0.02, .b = 0.25},
    };
    static float narrow[N], narrow_y[N];
    static double wide[N], wide_y[N];
    struct rng rng = {1};
    for (size_t l = 0; l < sizeof links / sizeof links[0]; l++) {
        for (size_t i = 0; i < N; i++) {
            wide[i] = random_margin(&rng);
            narrow[i] = (float)wide[i];
        }
        apx_link_run(&links[l], N, 1, narrow, false, narrow_y, false);
        apx_link_run(&links[l], N / 4, 4, wide, true, wide_y, true);
        double worst_float = 0.0, worst_double = 0.0;
        for (size_t i = 0; i < N; i++) {
            worst_float =
                fmax(worst_float, steps_float(narrow_y[i], stepwise_float(&links[l], narrow[i])));
            if (links[l].kind != APX_LINK_SIGMOID_XGB)
                worst_double = fmax(worst_double,
                                    steps_double(wide_y[i], stepwise_double(&links[l], wide[i])));
        }
        if (!CHECK(worst_float <= 2 && worst_double <= 2))
            fprintf(stderr, "    link %zu: %g steps in float, %g in double\n", l, worst_float,
                    worst_double);
    }
}

static void softmax_follows_its_formula(void)
{
    static const size_t widths[] = {1, 2, 3, 5, 64, 127, 128, 129, 300, 1000};
    static double m[7000], y[7000];
    static float m_float[7000], y_float[7000];
    struct rng rng = {2};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++)
        for (int skip = 0; skip < 2; skip++) {
            const size_t k = widths[w], rows = 7;
            const struct apx_link link = {.kind = skip ? APX_LINK_SOFTMAX_ZERO : APX_LINK_SOFTMAX};
            CHECK_EQ(apx_link_outputs(&link, k), k);
            for (size_t i = 0; i < rows * k; i++) {
                m[i] = m_float[i] = rng_once(&rng, 3) ? 0.0f : 8.0f * rng_real(&rng);
                if (i % k == k - 1)
                    m[i] = m_float[i] = 1.0f; /* not all are 0 */
            }
            apx_link_run(&link, rows, k, m, true, y, true);
            apx_link_run(&link, rows, k, m_float, false, y_float, false);
            for (size_t n = 0; n < rows; n++) {
                long double top = -INFINITY, sum = 0;
                for (size_t i = 0; i < k; i++)
                    top = fmaxl(top, m[n * k + i]);
                for (size_t i = 0; i < k; i++)
                    if (!skip || m[n * k + i] != 0.0)
                        sum += expl(m[n * k + i] - top);
                for (size_t i = 0; i < k; i++) {
                    const size_t at = n * k + i;
                    long double exact = expl(m[at] - top) / sum;
                    if (skip && m[at] == 0.0)
                        exact = 0;
                    /* the rounded difference to the top costs up to 16 half steps */
                    CHECK(fabsl(y[at] - exact) <= 24 * 0x1p-53L * exact);
                    CHECK(fabsl((long double)y_float[at] - exact) <= 24 * 0x1p-24L * exact);
                }
            }
        }
}

static void probit_is_near(void)
{
    const struct apx_link link = {.kind = APX_LINK_PROBIT};
    for (int i = 1; i < 100; i++) {
        const double p = i / 100.0;
        double y;
        apx_link_run(&link, 1, 1, &p, true, &y, true);
        CHECK_NEAR(0.5 * erfc(-y / sqrt(2.0)), p, 0.003); /* what the approximation is good for */
    }
    const float known[][2] = {
        {0.5f, 0.0f}, {0.0f, -INFINITY}, {1.0f, INFINITY}, {2.0f, NAN}, {0.975f, 1.96f}};
    for (size_t i = 0; i < 5; i++) {
        float y;
        apx_link_run(&link, 1, 1, known[i], false, &y, false);
        CHECK_NEAR(y, known[i][1], 2e-3);
    }
}

/* ---- several margins ------------------------------------------------------------------------- */

static void pairs_have_two_columns(void)
{
    static const enum apx_link_kind kinds[] = {APX_LINK_PAIR, APX_LINK_PAIR_NEGATIVE,
                                               APX_LINK_PAIR_SIGMOID, APX_LINK_PAIR_SOFTMAX};
    enum { ROWS = 200 };
    double m[ROWS], y[2 * ROWS];
    struct rng rng = {3};
    for (size_t i = 0; i < ROWS; i++)
        m[i] = random_margin(&rng);
    for (size_t l = 0; l < 4; l++) {
        const struct apx_link link = {.kind = kinds[l]};
        CHECK_EQ(apx_link_outputs(&link, 1), 2);
        apx_link_run(&link, ROWS, 1, m, true, y, true);
        for (size_t i = 0; i < ROWS; i++) {
            const long double x = m[i];
            const long double exact[4][2] = {{1 - x, x},
                                             {-x, x},
                                             {1 / (1 + expl(x)), 1 / (1 + expl(-x))},
                                             {1 / (1 + expl(2 * x)), 1 / (1 + expl(-2 * x))}};
            /* a rounding of 2 x costs |x| half steps */
            const double most = l == 3 ? 4 + 2 * fabs(m[i]) : 2;
            CHECK_STEPS(double, y[2 * i], (double)exact[l][0], most);
            CHECK_STEPS(double, y[2 * i + 1], (double)exact[l][1], most);
        }
    }
}

static void argmax_takes_the_first(void)
{
    const struct apx_link link = {.kind = APX_LINK_ARGMAX};
    CHECK_EQ(apx_link_outputs(&link, 9), 1);
    static const float m[][4] = {{1, 3, 3, 2},    {0, 0, 0, 0},   {-INFINITY, -5, NAN, -5},
                                 {NAN, 1, 2, 3},  {1, NAN, 2, 0}, {-1, -INFINITY, INFINITY, 7},
                                 {-0.0f, 0, 0, 0}};
    static const double first[] = {1, 0, 1, 0, 2, 2, 0};
    double y[7];
    float narrow[7];
    apx_link_run(&link, 7, 4, m, false, y, true);
    apx_link_run(&link, 7, 4, m, false, narrow, false);
    for (size_t i = 0; i < 7; i++)
        CHECK(y[i] == first[i] && (double)narrow[i] == first[i]);
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void sort_sorts(void)
{
    enum { MOST = 3000 };
    static float m[MOST], y[MOST], expected[MOST];
    static double wide[MOST];
    const struct apx_link link = {.kind = APX_LINK_SORT};
    struct rng rng = {4};
    for (size_t k = 1; k <= MOST; k = k < 20 ? k + 1 : k * 2 - 7) {
        for (size_t i = 0; i < k; i++)
            m[i] = expected[i] = (float)rng_below(&rng, k) - 4.0f;
        if (k > 5)
            m[3] = expected[3] = INFINITY;
        qsort(expected, k, sizeof *expected, ascending);
        apx_link_run(&link, 1, k, m, false, y, false);
        apx_link_run(&link, 1, k, m, false, wide, true);
        for (size_t i = 0; i < k; i++)
            CHECK(y[i] == expected[i] && wide[i] == (double)expected[i]);
    }
    const float odd[2][4] = {{NAN, 2, NAN, 1}, {4, -INFINITY, NAN, 0}};
    apx_link_run(&link, 2, 4, odd, false, y, false);
    CHECK(y[0] == 1 && y[1] == 2 && isnan(y[2]) && isnan(y[3]));
    CHECK(y[4] == -INFINITY && y[5] == 0 && y[6] == 4 && isnan(y[7]));
}

static void expectiles_ascend(void)
{
    const struct apx_link link = {.kind = APX_LINK_EXPECTILE};
    const float m[2][4] = {{-0.5f, -3.0f, 0.0f, 90.0f}, {1.0f, -200.0f, 2.0f, -1.0f}};
    float y[2][4];
    apx_link_run(&link, 2, 4, m, false, y, false);
    for (size_t n = 0; n < 2; n++) {
        double total = (double)m[n][0];
        CHECK(y[n][0] == m[n][0]);
        for (size_t i = 1; i < 4; i++) {
            total += 1e-6 + log1p(exp((double)m[n][i]));
            CHECK_NEAR(y[n][i], total, 3e-7 * fmax(1.0, total));
            CHECK(y[n][i] > y[n][i - 1]);
        }
    }
}

/* ---- odd values, batches, types -------------------------------------------------------------- */

static void odd_values_have_limits(void)
{
    static const struct {
        struct apx_link link;
        float low, high; /* for -infinity and infinity */
    } limits[] = {
        {{.kind = APX_LINK_NONE}, -INFINITY, INFINITY},
        {{.kind = APX_LINK_SCALE, .a = 2.0}, -INFINITY, INFINITY},
        {{.kind = APX_LINK_SIGMOID, .a = 1.0}, 0.0f, 1.0f},
        {{.kind = APX_LINK_EXP}, 0.0f, INFINITY},
        {{.kind = APX_LINK_LOG1P_EXP}, 0.0f, INFINITY},
        {{.kind = APX_LINK_SIGNED_SQUARE}, -INFINITY, INFINITY},
        {{.kind = APX_LINK_HINGE}, 0.0f, 1.0f},
        {{.kind = APX_LINK_ANOMALY, .a = 1.0}, -INFINITY, -0.0f},
        {{.kind = APX_LINK_SCALE, .a = 1.0, .divide = 4.0}, -INFINITY, INFINITY},
    };
    const float odd[] = {-INFINITY, INFINITY, NAN};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        float y[3];
        apx_link_run(&limits[i].link, 3, 1, odd, false, y, false);
        CHECK(y[0] == limits[i].low && y[1] == limits[i].high);
        CHECK(limits[i].link.kind == APX_LINK_HINGE ? y[2] == 0.0f : isnan(y[2]));
    }
    const struct apx_link zero = {.kind = APX_LINK_SOFTMAX_ZERO};
    const double nothing[] = {0.0, -0.0, 0.0}, some[] = {0.0, 1.0, 1.0};
    double y[3];
    apx_link_run(&zero, 1, 3, nothing, true, y, true);
    CHECK(isnan(y[0]) && isnan(y[1]) && isnan(y[2]));
    apx_link_run(&zero, 1, 3, some, true, y, true);
    CHECK(y[0] == 0.0 && y[1] == 0.5 && y[2] == 0.5);
}

/* Row by row, in one call, in place, and from float to double: the same bits. */
static void rows_do_not_see_each_other(void)
{
    enum { ROWS = 301, K = 3 };
    static float m[ROWS * K], y[ROWS * K], whole[ROWS * K];
    static double wide[ROWS * K];
    struct rng rng = {5};
    for (size_t i = 0; i < ROWS * K; i++)
        m[i] = rng_once(&rng, 50) ? NAN : (float)random_margin(&rng);
    for (int kind = 0; kind <= APX_LINK_ANOMALY; kind++) {
        const struct apx_link link = {
            .kind = (enum apx_link_kind)kind, .a = 0.7, .b = 0.1, .divide = kind % 2 ? 3.0 : 0.0};
        const bool is_pair = kind >= APX_LINK_PAIR && kind <= APX_LINK_PAIR_SOFTMAX;
        const size_t k = is_pair ? 1 : K, rows = is_pair ? ROWS * K / 2 : ROWS;
        const size_t j = apx_link_outputs(&link, k);
        apx_link_run(&link, 0, k, m, false, whole, false);
        apx_link_run(&link, rows, k, m, false, whole, false);
        apx_link_run(&link, rows, k, m, false, wide, true);
        for (size_t n = 0; n < rows; n++)
            apx_link_run(&link, 1, k, m + n * k, false, y + n * j, false);
        for (size_t i = 0; i < rows * j; i++)
            CHECK(steps_float(y[i], whole[i]) == 0 && steps_double(wide[i], (double)y[i]) == 0);
        if (j != k)
            continue;
        memcpy(y, m, sizeof y);
        apx_link_run(&link, rows, k, y, false, y, false);
        for (size_t i = 0; i < rows * j; i++)
            CHECK(steps_float(y[i], whole[i]) == 0);
    }
}

static void doubles_become_floats_at_the_end(void)
{
    enum { ROWS = 100, K = 4 };
    double m[ROWS * K], wide[ROWS * K];
    float y[ROWS * K];
    struct rng rng = {6};
    for (size_t i = 0; i < ROWS * K; i++)
        m[i] = random_margin(&rng);
    static const enum apx_link_kind kinds[] = {APX_LINK_NONE, APX_LINK_SIGMOID, APX_LINK_SOFTMAX,
                                               APX_LINK_SOFTMAX_ZERO, APX_LINK_SORT};
    for (size_t l = 0; l < sizeof kinds / sizeof kinds[0]; l++) {
        const struct apx_link link = {.kind = kinds[l], .a = 1.0};
        apx_link_run(&link, ROWS, K, m, true, wide, true);
        apx_link_run(&link, ROWS, K, m, true, y, false);
        for (size_t i = 0; i < ROWS * K; i++)
            CHECK(y[i] == (float)wide[i]);
    }
}

int main(void)
{
    RUN(xgboost_sigmoid);
    RUN(xgboost_exp);
    RUN(xgboost_softmax);
    RUN(lightgbm_transforms);
    RUN(lightgbm_softmax);
    RUN(one_by_one_links_follow_their_formulas);
    RUN(softmax_follows_its_formula);
    RUN(probit_is_near);
    RUN(pairs_have_two_columns);
    RUN(argmax_takes_the_first);
    RUN(sort_sorts);
    RUN(expectiles_ascend);
    RUN(odd_values_have_limits);
    RUN(rows_do_not_see_each_other);
    RUN(doubles_become_floats_at_the_end);
    return check_report();
}
