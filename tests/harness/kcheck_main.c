/* SPDX-License-Identifier: Apache-2.0 */
/* kcheck_main.c - the kernel checker: every row of every table that this processor can run, on
 * seeded random problems biased to the edges of tiles.
 *
 *   kcheck [--op lstm|gru|lstm_f16|gru_f16|lstm_s8|gru_s8|dense|unary|forest] [--isa WORD,...]
 *          [--seed N] [--trials N] [--small] [--seconds S] [--list] [--bench]
 *
 * --small: leaves large problems out, for emulators. --seconds: a row begins no further problem
 * once it has spent as much processor time. A row whose instructions this processor lacks is
 * reported as skipped; APX_EXPECT_ISA=avx2,avx512 turns a skip of those words into a failure. On a
 * failure or a fault the row, the shape and the seed are printed: `kcheck --op OP --isa ISA --seed
 * SEED` shows it again. */
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/harness/kcheck.h"

#ifndef KCHECK_CASES /* tests/cuda checks other rows of some tables */
#    define KCHECK_CASES                                                                           \
        &kcheck_lstm, &kcheck_gru, &kcheck_lstm_f16, &kcheck_gru_f16, &kcheck_lstm_s8,             \
            &kcheck_gru_s8, &kcheck_dense, &kcheck_dense_s8, &kcheck_unary, &kcheck_forest
#endif
static const struct kcheck_case *const cases[] = {KCHECK_CASES};
#define CASES (sizeof cases / sizeof cases[0])

/* What runs now; the fault handler reads it. */
static struct {
    const char *op, *row;
    uint64_t seed;
    size_t trial;
    char shape[256];
} now = {"", "", 0, 0, ""};
static size_t failures, left_out;
static bool is_small;

void kcheck_describe(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(now.shape, sizeof now.shape, format, list);
    va_end(list);
}

void kcheck_fail(const char *format, ...)
{
    failures++;
    if (failures > 20)
        return;
    fprintf(stderr, "FAIL %s, seed %llu, trial %zu, %s: ", now.row, (unsigned long long)now.seed,
            now.trial, now.shape);
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, "\n");
}

bool kcheck_leaves_out(double steps)
{
    const bool leaves_out = is_small && steps > 40000.0;
    left_out += leaves_out;
    return leaves_out;
}

/* stdio in a signal handler: the program is lost anyway, and the message is worth the risk. */
static void on_fault(int signal_number)
{
    fprintf(stderr, "FAIL %s, seed %llu, trial %zu, %s: %s\n", now.row,
            (unsigned long long)now.seed, now.trial, now.shape,
            signal_number == SIGILL ? "illegal instruction"
                                    : "memory touched outside the given buffers");
    _exit(1);
}

void *kcheck_alloc(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL) {
        perror("malloc");
        exit(2);
    }
    return memory;
}

static double processor_seconds(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + 1e-9 * (double)spent.tv_nsec;
}

double kcheck_time(void (*run)(void *context), void *context)
{
    double best = INFINITY, total = 0.0;
    run(context);
    for (size_t calls = 1; total < 0.1;) {
        const double begin = processor_seconds();
        for (size_t i = 0; i < calls; i++)
            run(context);
        const double spent = processor_seconds() - begin;
        total += spent;
        if (spent < 0.005) /* too short to read off the clock */
            calls *= 2;
        else if (spent / (double)calls < best)
            best = spent / (double)calls;
    }
    return best;
}

bool kcheck_same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

bool kcheck_compare(const char *what, enum apx_match match, size_t inner, size_t count,
                    const float *actual, const float *scalar)
{
    for (size_t i = 0; i < count; i++) {
        bool good = kcheck_same(actual[i], scalar[i]);
        if (!good && match == APX_MATCH_ULP) {
            double bound = 4.0 * (double)(inner + 8) * 0x1p-24;
            good = fabs((double)actual[i] - (double)scalar[i]) <=
                   bound * fmax(1.0, fabs((double)scalar[i]));
        }
        if (!good) {
            kcheck_fail("%s[%zu] is %a, the scalar row's %a", what, i, (double)actual[i],
                        (double)scalar[i]);
            return false;
        }
    }
    return true;
}

bool kcheck_judge(const char *what, double tolerance, size_t count, const float *actual,
                  const double *oracle)
{
    for (size_t i = 0; i < count; i++) {
        const double a = (double)actual[i], o = oracle[i];
        if ((isnan(a) && isnan(o)) || a == o || fabs(a - o) <= tolerance * fmax(1.0, fabs(o)))
            continue;
        kcheck_fail("%s[%zu] is %.9g, in float64 %.9g", what, i, a, o);
        return false;
    }
    return true;
}

double kcheck_activation(struct apx_activation act, double x)
{
    const double alpha = (double)act.alpha, beta = (double)act.beta;
    switch (act.kind) {
    case APX_ACT_NONE:
        return x;
    case APX_ACT_RELU:
        return x > 0.0 ? x : isnan(x) ? x : 0.0;
    case APX_ACT_TANH:
        return tanh(x);
    case APX_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case APX_ACT_HARD_SIGMOID:
        return isnan(x) ? x : fmax(0.0, fmin(1.0, alpha * x + beta));
    case APX_ACT_LEAKY_RELU:
        return x < 0.0 ? alpha * x : x;
    case APX_ACT_THRESHOLDED_RELU:
        return x > alpha || isnan(x) ? x : 0.0;
    case APX_ACT_SCALED_TANH:
        return alpha * tanh(beta * x);
    case APX_ACT_AFFINE:
        return alpha * x + beta;
    case APX_ACT_ELU:
        return x < 0.0 ? alpha * expm1(x) : x;
    case APX_ACT_SOFTSIGN:
        return isinf(x) ? copysign(1.0, x) : x / (1.0 + fabs(x));
    case APX_ACT_SOFTPLUS:
        return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
    }
    return NAN;
}

struct apx_activation kcheck_random_activation(struct rng *rng)
{
    struct apx_activation act = {.kind = (enum apx_act)rng_below(rng, APX_ACT_SOFTPLUS + 1)};
    if (rng_once(rng, 2))
        act.kind = rng_once(rng, 2) ? APX_ACT_SIGMOID : APX_ACT_TANH;
    act.alpha = 0.25f + 0.5f * fabsf(rng_real(rng));
    act.beta = 0.25f + 0.5f * fabsf(rng_real(rng));
    if (act.kind == APX_ACT_THRESHOLDED_RELU)
        act.alpha = 0.0f; /* continuous, so that float64 and float agree on the side */
    return act;
}

/* True if the comma-separated list (NULL: nothing) holds the word. */
static bool listed(const char *list, const char *word)
{
    const size_t length = strlen(word);
    while (list != NULL && *list != '\0') {
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0'))
            return true;
        list = strchr(list, ',');
        list = list != NULL ? list + 1 : NULL;
    }
    return false;
}

static void check_row(const struct kcheck_case *tests, const struct kcheck_row *row, uint64_t seed,
                      size_t trials, double seconds)
{
    const size_t before = failures;
    const double end = processor_seconds() + seconds;
    now.op = tests->op;
    now.row = row->name;
    now.seed = seed;
    left_out = 0;
    size_t trial = 0;
    do {
        now.trial = trial;
        now.shape[0] = '\0';
        tests->check(row, seed, trial++);
    } while (trial < trials && processor_seconds() < end);
    printf("%s %s, %zu problems", failures == before ? "ok  " : "FAIL", row->name,
           trial - left_out);
    if (left_out > 0)
        printf(", %zu large ones left out", left_out);
    printf("\n");
}

static void bench_case(const struct kcheck_case *tests, uint32_t caps, const char *isa)
{
    struct kcheck_row row, last = {0};
    for (size_t i = 0; tests->row(i, &row); i++)
        last = row;
    struct kcheck_time scalar, time;
    for (size_t shape = 0; tests->bench(&last, shape, &scalar); shape++)
        for (size_t i = 0; tests->row(i, &row); i++) {
            if ((row.needs & ~caps) != 0 || (isa != NULL && !listed(isa, row.isa)))
                continue;
            if (!tests->bench(&row, shape, &time))
                continue;
            const bool flops = time.flop > 0.0;
            printf("%-22s %-34s %10.2f us %8.2f %s %7.2fx scalar\n", row.name, time.shape,
                   time.seconds * 1e6, (flops ? time.flop : time.elements) / time.seconds * 1e-9,
                   flops ? "GFLOP/s" : "Gelem/s", scalar.seconds / time.seconds);
        }
}

static int usage(void)
{
    fprintf(stderr, "usage: kcheck [--op OP] [--isa WORD,...] [--seed N] [--trials N] "
                    "[--small] [--seconds S] [--list] [--bench]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"op", required_argument, NULL, 'o'},
                                            {"isa", required_argument, NULL, 'i'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"trials", required_argument, NULL, 't'},
                                            {"small", no_argument, NULL, 'm'},
                                            {"seconds", required_argument, NULL, 'c'},
                                            {"list", no_argument, NULL, 'l'},
                                            {"bench", no_argument, NULL, 'b'},
                                            {NULL, 0, NULL, 0}};
    const char *op = NULL, *isa = NULL;
    uint64_t seed = 1;
    size_t trials = 0;
    double seconds = INFINITY;
    bool list = false, bench = false;
    for (int letter; (letter = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (letter == 'o')
            op = optarg;
        else if (letter == 'i')
            isa = optarg;
        else if (letter == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (letter == 't')
            trials = strtoull(optarg, NULL, 0);
        else if (letter == 'm')
            is_small = true;
        else if (letter == 'c')
            seconds = strtod(optarg, NULL);
        else if (letter == 'l')
            list = true;
        else if (letter == 'b')
            bench = true;
        else
            return usage();
    }
    if (optind != argc)
        return usage();
    struct sigaction fault = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &fault, NULL);
    sigaction(SIGBUS, &fault, NULL);
    sigaction(SIGILL, &fault, NULL);

    const uint32_t caps = apx_cpu_caps();
    const char *expected = getenv("APX_EXPECT_ISA");
    size_t seen = 0;
    printf("processor: %s\n", apx_caps_name(caps));
    for (size_t c = 0; c < CASES; c++) {
        if (op != NULL && strcmp(op, cases[c]->op) != 0)
            continue;
        if (bench) {
            bench_case(cases[c], caps, isa);
            seen++;
            continue;
        }
        struct kcheck_row row;
        for (size_t i = 0; cases[c]->row(i, &row); i++) {
            if (isa != NULL && !listed(isa, row.isa))
                continue;
            seen++;
            const bool able = (row.needs & ~caps) == 0;
            if (list) {
                printf("%s %s%s\n", cases[c]->op, row.name, able ? "" : " (not on this processor)");
            } else if (able) {
                check_row(cases[c], &row, seed, trials > 0 ? trials : cases[c]->trials, seconds);
            } else {
                printf("SKIPPED %s: this processor lacks %s\n", row.name, row.isa);
                fprintf(stderr, "SKIPPED %s: this processor lacks %s\n", row.name, row.isa);
                failures += listed(expected, row.isa);
            }
        }
    }
    if (seen == 0) {
        fprintf(stderr, "kcheck: no row matches\n");
        return 2;
    }
    if (!list && !bench)
        printf("%zu rows, %zu failures\n", seen, failures);
    return failures > 0;
}
