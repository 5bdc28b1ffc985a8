/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_problem.h - seeded recurrent problems, shared by the LSTM and the GRU case. */
#ifndef APX_TESTS_RNN_PROBLEM_H
#define APX_TESTS_RNN_PROBLEM_H

#include "tests/harness/kcheck.h"

struct rnn_problem {
    struct apx_rnn_desc desc;
    struct apx_rnn_weights weights;
    size_t gates; /* 4 for LSTM, 3 for GRU */
    size_t rows, steps;
    float *x;         /* [N,T,I] */
    float *h0, *c0;   /* [N,H] or NULL */
    int32_t *lengths; /* [N] or NULL */
    bool want_y, want_h_last, want_c_last;
    /* how the buffers lie: time first or rows first, with gaps after each row */
    bool time_first;
    size_t gap;
    float *memory; /* one block for all of the above */
    void *int8;    /* and one for what an int8 layer has besides; NULL for float layers */
};

/* Dense results. */
struct rnn_result {
    float *y;               /* [N,T,H] */
    float *h_last, *c_last; /* [N,H] */
};

typedef void (*rnn_oracle_fn)(const struct rnn_problem *problem, double *y, double *h_last,
                              double *c_last);
/* Judge the scalar row's results; outputs that are not wanted are NaN. */
typedef void (*rnn_judge_fn)(const struct rnn_problem *problem, const struct rnn_result *result);

void rnn_problem_random(struct rng *rng, bool lstm, struct rnn_problem *out);
void rnn_problem_free(struct rnn_problem *problem);
/* Bound on the error of a row's results in float64: some roundings for each element of the longest
 * sum, carried through the steps. */
double rnn_tolerance(const struct rnn_problem *problem);
/* A judge that compares with float64. */
void rnn_judge(const struct rnn_problem *problem, const struct rnn_result *result,
               rnn_oracle_fn oracle);
/* Row `index` of those of a table that have these types; false past the last, the scalar one. */
bool rnn_row(const struct apx_rnn_row *rows, size_t count, const char *types, size_t index,
             struct kcheck_row *out);
/* The scalar row of these types. */
const struct apx_rnn_row *rnn_scalar(const struct apx_rnn_row *rows, size_t count,
                                     const char *types);
/* Give the layer weights of half precision; some of them become subnormal, or lie at a tie. */
void rnn_problem_half(struct rng *rng, struct rnn_problem *problem);
/* Make an int8 layer of it with 127 levels, 63 of weights; x as the h of another one. */
void rnn_problem_plain_int8(struct rnn_problem *problem);
/* check() of a case: scalar row against the judge, the row against the scalar row at both sides of
 * the guard pages, single rows against the batch. */
void rnn_check(const struct kcheck_row *row, const struct apx_rnn_row *scalar,
               const struct rnn_problem *problem, rnn_judge_fn judge, struct rng *rng);
/* Make an int8 layer of a problem: levels, weights, x and h0 from ordinary to extreme. */
void rnn_problem_int8(struct rng *rng, struct rnn_problem *problem);
/* bench() of a case. */
bool rnn_bench(const struct apx_rnn_row *row, bool lstm, bool reset_after, size_t index,
               struct kcheck_time *out);

#endif
