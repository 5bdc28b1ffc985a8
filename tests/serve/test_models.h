/* SPDX-License-Identifier: Apache-2.0 */
/* test_models.h - small models with known weights, put into a repository. */
#ifndef APX_TESTS_TEST_MODELS_H
#define APX_TESTS_TEST_MODELS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/auspex.h"
#include "runtime/repo.h"

/* An LSTM over [rows, steps, features] with the last state as its output "state" [rows, hidden]
 * and, if `dense` is not 0, a dense layer over it as output "forecast" [rows, dense]. */
struct test_model {
    int features, hidden, dense;
    int steps;       /* 0: free */
    bool lengths;    /* with an input "lengths" [rows], int32 */
    bool fixed_rows; /* three rows exactly: loads, but cannot be served */
    uint64_t seed;
};

/* A dense layer [rows, features] -> [rows, 2]: y0 = the sum of the features, y1 = -y0. With dtype
 * APX_F64 input and output are float64, and the sum between them is still float32's. */
void test_model_sum(const char *path, int features, enum apx_dtype dtype);
void test_model_write(const struct test_model *model, const char *path);

/* Add the file as a version of `name`; ends the test program if that fails. */
int64_t test_repo_add(const char *repository, const char *name, const char *path);
void test_repo_promote(const char *repository, const char *name, int64_t version);
void test_repo_alias(const char *repository, const char *name, const char *alias, int64_t version);

/* What the library itself says, one row at a time: output `output` of [rows, steps, features]
 * (rank 3) or [rows, features] (steps 0), [rows, width] floats in malloc'ed memory. lengths: NULL
 * for models without. */
float *test_predict(const char *path, int output, const float *values, const int32_t *lengths,
                    int64_t rows, int64_t steps, int64_t features, int64_t *width);

#endif
