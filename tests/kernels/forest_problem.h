/* SPDX-License-Identifier: Apache-2.0 */
/* forest_problem.h - seeded forests in the form of struct apx_forest_desc, rows that lie on their
 * thresholds, and an evaluation of its own to compare with. */
#ifndef APX_TESTS_FOREST_PROBLEM_H
#define APX_TESTS_FOREST_PROBLEM_H

#include "tests/harness/kcheck.h"

/* How a tree grows. */
enum forest_shape {
    FOREST_BALANCED,
    FOREST_LEAF_WISE, /* the leaf that is split next is any leaf */
    FOREST_LEFT_CHAIN,
    FOREST_RIGHT_CHAIN,
    FOREST_ZIGZAG,
    FOREST_MIXED, /* each tree as it likes */
    FOREST_SHAPES
};

/* What a forest is made of; forest_problem_plan draws one, tests may set their own. */
struct forest_plan {
    size_t features, outputs, trees, rows;
    enum forest_shape shape;
    size_t leaves;     /* of the largest tree */
    bool exact_leaves; /* every tree has as many; else 1 .. leaves */
    size_t thresholds; /* distinct ones of a feature, at most */
    bool in_turn;      /* exactly so many, if there are enough nodes */
    size_t sets;       /* 0: no node looks at a set */
    bool vector_leaves, linear;
    enum apx_forest_sum sum;
    bool compares_double, sums_double;
    int nan_right;      /* percent of the nodes */
    bool nan_is_number; /* NaN goes where a number would, at almost all nodes */
    int nan_values;     /* percent of the rows' values */
    bool plain_values;  /* leaves hold ordinary numbers; else infinities, -0 and NaN too */
    bool has_cover;
};

struct forest_problem {
    struct forest_plan plan;
    struct apx_forest_desc desc;
    struct apx_forest_linear linear;
    double *x; /* [rows, features]; floats unless x_is_double */
    bool x_is_double;
    void *memory[16];
    size_t memory_count;
};

void forest_problem_plan(struct rng *rng, struct forest_plan *out);
void forest_problem_create(struct rng *rng, const struct forest_plan *plan,
                           struct forest_problem *out);
void forest_problem_free(struct forest_problem *problem);

/* Every row through every tree by the definition: margins[rows, K] as the forest sums them (floats
 * in doubles if it sums in float), leaves[rows, trees]. */
void forest_problem_solve(const struct forest_problem *problem, double *margins, uint32_t *leaves);

#endif
