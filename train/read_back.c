/* SPDX-License-Identifier: Apache-2.0 */
/* read_back.c - the exported file against the trainer's own forecasts.
 *
 * The engine has its own kernels and its own reader; the trainer forecast with the matrix products
 * it was trained with. That both agree on every test window is what makes the file trustworthy. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "train/export.h"

enum { BATCH = 1024 };

/* Raw windows first..first+rows-1 of the test part, [rows, steps, features]. */
static void take_windows(const struct apx_dataset *data, const struct apx_parts *parts,
                         const struct apx_learner_data *shape, size_t first, size_t rows, float *x)
{
    size_t size = shape->steps * shape->features;
    for (size_t i = 0; i < rows; i++) {
        size_t window = parts->windows[APX_PART_TEST][first + i];
        memcpy(x + i * size, data->x + window * shape->features, size * sizeof *x);
    }
}

static void compare(const struct apx_parts *parts, size_t targets, size_t count,
                    const float *expected, const float *got, struct apx_export_match *match)
{
    for (size_t k = 0; k < count; k++) {
        double scale = (double)parts->y_scale[k % targets];
        double center = (double)parts->y_center[k % targets];
        double size = fmax(fabs((double)expected[k]), fabs(center));
        double bound = APX_EXPORT_TOLERANCE * scale + APX_EXPORT_ULPS * 0x1p-24 * size;
        double apart = fabs((double)expected[k] - (double)got[k]);
        if (isnan(apart))
            apart = INFINITY;
        match->worst = fmax(match->worst, apart);
        match->share = fmax(match->share, apart / scale);
        match->allowed = fmax(match->allowed, apart / bound);
    }
}

enum apx_status apx_export_read_back(const struct apx_dataset *data, const struct apx_parts *parts,
                                     const struct apx_learner_data *shape, const char *path,
                                     int threads, const float *expected,
                                     struct apx_export_match *match, struct apx_error *error)
{
    struct apx_load_options load = {.size = sizeof load, .device = "cpu"};
    struct apx_session_options run = {.size = sizeof run, .threads = threads};
    struct apx_model *model = NULL;
    struct apx_session *session = NULL;
    size_t windows = parts->count[APX_PART_TEST], outputs = shape->horizon * shape->targets;
    float *x = malloc(BATCH * shape->steps * shape->features * sizeof *x);
    float *y = malloc(BATCH * outputs * sizeof *y);
    enum apx_status status;
    *match = (struct apx_export_match){.windows = windows};
    if (x == NULL || y == NULL) {
        status = apx_fail(error, APX_ENOMEM, "", "out of memory");
        goto done;
    }
    status = apx_model_load(path, &load, &model, error);
    if (status == APX_OK)
        status = apx_session_create(model, &run, &session, error);
    for (size_t first = 0; first < windows && status == APX_OK; first += BATCH) {
        size_t rows = windows - first < BATCH ? windows - first : BATCH;
        take_windows(data, parts, shape, first, rows, x);
        struct apx_tensor in = {
            .dtype = APX_F32,
            .rank = 3,
            .dims = {(int64_t)rows, (int64_t)shape->steps, (int64_t)shape->features},
            .data = x};
        struct apx_tensor out = {.data = y, .bytes = BATCH * outputs * sizeof *y};
        status = apx_session_run(session, &in, 1, &out, 1, error);
        if (status == APX_OK)
            compare(parts, shape->targets, rows * outputs, expected + first * outputs, y, match);
    }
    if (status == APX_OK && !(match->allowed <= 1))
        status = apx_fail(error, APX_ECONFLICT, "forecast",
                          "the exported model does not reproduce the trainer's forecasts: they "
                          "differ by up to %g, %g of the target's scale (allowed %g); nothing was "
                          "stored",
                          match->worst, match->share, APX_EXPORT_TOLERANCE);
done:
    apx_session_destroy(session);
    apx_model_destroy(model);
    free(x);
    free(y);
    return status;
}
