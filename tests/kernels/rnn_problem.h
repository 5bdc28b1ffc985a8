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
};

/* Dense results. */
struct rnn_result {
    float *y;               /* [N,T,H] */
    float *h_last, *c_last; /* [N,H] */
};

typedef void (*rnn_oracle_fn)(const struct rnn_problem *problem, double *y, double *h_last,
                              double *c_last);

void rnn_problem_random(struct rng *rng, bool lstm, struct rnn_problem *out);
void rnn_problem_free(struct rnn_problem *problem);
/* check() of a case: scalar row against the oracle, the row against the scalar row at both sides of
 * the guard pages, single rows against the batch. */
void rnn_check(const struct kcheck_row *row, const struct apx_rnn_row *scalar,
               const struct rnn_problem *problem, rnn_oracle_fn oracle, struct rng *rng);
/* bench() of a case. */
bool rnn_bench(const struct apx_rnn_row *row, bool lstm, bool reset_after, size_t index,
               struct kcheck_time *out);

#endif
