/* SPDX-License-Identifier: Apache-2.0 */
/* kcheck.h - what the kernel checker offers to the case files, and what it wants from them.
 *
 * A case file knows one table: it makes seeded problems, computes them in float64 by a formula of
 * its own, and runs any row on them. The checker (kcheck_main.c) chooses rows, seeds and sides of
 * the guard pages, and reports. */
#ifndef APX_TESTS_KCHECK_H
#define APX_TESTS_KCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "tests/harness/guard.h"
#include "tests/harness/rng.h"

/* One row of one table, as the checker sees it. */
struct kcheck_row {
    const char *isa, *name;
    uint32_t needs;
    enum apx_match match;
    const void *row; /* the table's own type */
};

struct kcheck_time {
    char shape[96];
    double seconds; /* one call, the best of several */
    double flop;    /* one call; 0: count `elements` instead */
    double elements;
};

struct kcheck_case {
    const char *op; /* "lstm" */
    /* Row `index` of the table; false past its end. The last row is the scalar one. */
    bool (*row)(size_t index, struct kcheck_row *out);
    /* Problem number `trial` of `seed`, checked on `row`: against the scalar row, the scalar row
     * itself against float64; guard pages at both sides; single rows against the batch. Failures
     * go to kcheck_fail. */
    void (*check)(const struct kcheck_row *row, uint64_t seed, size_t trial);
    size_t trials; /* by default */
    /* Bench shape `index`: run the row until a time is known; false past the last shape. */
    bool (*bench)(const struct kcheck_row *row, size_t index, struct kcheck_time *out);
};

extern const struct kcheck_case kcheck_lstm, kcheck_gru, kcheck_lstm_f16, kcheck_gru_f16,
    kcheck_lstm_s8, kcheck_gru_s8, kcheck_dense, kcheck_dense_s8, kcheck_unary, kcheck_forest;

/* What is being run, for reports and for the fault handler: printf-like text of the shape. */
void kcheck_describe(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For problems whose sizes vary widely: true if only small ones are asked for and this one takes
 * more than some ten thousand steps. It is counted as left out; the case returns. */
bool kcheck_leaves_out(double steps);
/* Report a failure of the current row on the current shape. */
void kcheck_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Seconds of processor time of run(context), the best of several runs that fill some tens of
 * milliseconds. */
double kcheck_time(void (*run)(void *context), void *context);

/* Same bits, any NaN for a NaN. */
bool kcheck_same(float a, float b);
/* Compare `count` outputs of a row with the scalar row's as `match` asks (`inner`: longest sum);
 * fails with the index and both values. Returns whether all is well. */
bool kcheck_compare(const char *what, enum apx_match match, size_t inner, size_t count,
                    const float *actual, const float *scalar);
/* |actual - oracle| <= tolerance * max(1, |oracle|), or both NaN, or the same infinity. */
bool kcheck_judge(const char *what, double tolerance, size_t count, const float *actual,
                  const double *oracle);
/* malloc that exits when there is none; kcheck_alloc(0) is valid. */
void *kcheck_alloc(size_t bytes);
/* x(i) for an activation, in float64 by its textbook formula. */
double kcheck_activation(struct apx_activation act, double x);
/* A random activation; one in two is sigmoid or tanh. */
struct apx_activation kcheck_random_activation(struct rng *rng);

#endif
