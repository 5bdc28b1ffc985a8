/* SPDX-License-Identifier: Apache-2.0 */
/* forest_tail.h - a link as standard operators of ONNX, one list of steps for each.
 *
 * The writer turns the steps into nodes, and the fold finds them again behind a forest. The
 * operators are chosen so that ONNX Runtime, too, keeps the last digits: its Sigmoid loses those of
 * small probabilities, so 1 / (1 + exp(-x)) is spelled out. */
#ifndef APX_MODEL_FOREST_TAIL_H
#define APX_MODEL_FOREST_TAIL_H

#include "kernels/kernels.h"
#include "runtime/model/graph.h"

#define APX_TAIL_STEPS 12

/* What a step reads: the margins, the result of an earlier step (1 for the first), a constant. */
enum { APX_TAIL_MARGINS = 0, APX_TAIL_CONSTANT = -1, APX_TAIL_NOTHING = -2 };

/* Which constant: a number, one of the link's, or one made for K margins. */
enum apx_tail_constant {
    APX_TAIL_NUMBER,
    APX_TAIL_A,
    APX_TAIL_MINUS_A,
    APX_TAIL_DIVIDE,
    APX_TAIL_COUNT,     /* K, as int64 [1] */
    APX_TAIL_FIRST,     /* [K, K]: every column is the first */
    APX_TAIL_CUMULATIVE /* [K, K]: column j is the sum of the columns 1 to j */
};

struct apx_tail_step {
    enum apx_op op; /* Softmax, ArgMax, TopK: over axis 1; Cast: to the type of the margins */
    int in[3];
    enum apx_tail_constant constant;
    double number;
};

struct apx_tail {
    enum apx_link_kind kind;
    int count;
    struct apx_tail_step steps[APX_TAIL_STEPS];
};

/* The operators of every link that has any, longer lists first. */
const struct apx_tail *apx_forest_tails(size_t *count);
/* The same behind a division of the margins. */
struct apx_tail apx_forest_tail_divided(const struct apx_tail *tail);
/* Those of `link`, its division included; NULL: it has none. *storage may hold the result. */
const struct apx_tail *apx_forest_tail_of(const struct apx_link *link, struct apx_tail *storage);

/* The number that a scalar constant is; not for those of K. */
double apx_tail_number(const struct apx_tail_step *step, const struct apx_link *link);
/* EXPECTILE has constants of K * K elements. */
#define APX_TAIL_MATRIX_OUTPUTS 1024
/* One of the [K, K] constants, row-major. */
void apx_tail_matrix(enum apx_tail_constant constant, size_t k, float *matrix);

#endif
