/* SPDX-License-Identifier: Apache-2.0 */
/* crossover_measure.c - the same calls on the CPU and on the GPU, for more and more rows.
 *
 * A machine's clock changes while one measures, and neighbours come and go: calls of the two sides
 * alternate, so that both meet the same weather, and medians are compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/device/crossover.h"

#define WARM_CALLS  3 /* the first reserves, the second captures a graph, the third launches it */
#define LEAST_PAIRS 5
#define MOST_PAIRS  501

static int ascending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t median(int64_t *times, int count)
{
    qsort(times, (size_t)count, sizeof *times, ascending);
    return times[count / 2] > 0 ? times[count / 2] : 1;
}

/* *lacks: the GPU has no room or no kernel for so many rows. */
static enum apx_status measure(const struct apx_crossover_probe *probe, int64_t rows,
                               int64_t budget, struct apx_crossover_point *out, bool *lacks,
                               struct apx_error *error)
{
    int64_t times[2][MOST_PAIRS], ns, spent = 0;
    int pairs = 0;
    *lacks = false;
    for (int warm = WARM_CALLS; pairs < MOST_PAIRS && (pairs < LEAST_PAIRS || spent < budget);
         warm--) {
        for (int turn = 0; turn < 2; turn++) {
            const bool on_gpu = (turn != 0) != (warm % 2 != 0);
            enum apx_status status = probe->call(probe->context, on_gpu, rows, &ns, error);
            if (status != APX_OK) {
                *lacks = on_gpu && (status == APX_ENOMEM || status == APX_EUNSUPPORTED);
                return status;
            }
            times[on_gpu][pairs] = ns;
            spent += warm > 0 ? 0 : ns;
        }
        pairs += warm <= 0;
    }
    *out = (struct apx_crossover_point){rows, median(times[0], pairs), median(times[1], pairs)};
    if (probe->tell != NULL)
        probe->tell(probe->context, out);
    return APX_OK;
}

static void insert(struct apx_crossover *out, const struct apx_crossover_point *point)
{
    int at = out->point_count;
    while (at > 0 && out->points[at - 1].rows > point->rows)
        at--;
    memmove(&out->points[at + 1], &out->points[at],
            (size_t)(out->point_count - at) * sizeof *point);
    out->points[at] = *point;
    out->point_count++;
}

/* Rows in the middle of the two points between which the choice changes, in proportion; 0: there
 * is nothing between them. */
static int64_t middle_of(const struct apx_crossover *out)
{
    int high = 0;
    while (high < out->point_count && out->points[high].rows < out->from_rows)
        high++;
    if (out->from_rows < 0 || high == 0 || high == out->point_count)
        return 0;
    const int64_t low_rows = out->points[high - 1].rows, high_rows = out->points[high].rows;
    const int64_t middle = (int64_t)sqrt((double)low_rows * (double)high_rows);
    return middle > low_rows ? middle : 0;
}

enum apx_status apx_crossover_measure(const struct apx_crossover_probe *probe,
                                      const struct apx_crossover_ladder *ladder,
                                      struct apx_crossover *out, struct apx_error *error)
{
    struct apx_crossover_point point;
    struct apx_error reason = {0};
    bool lacks;
    out->point_count = 0;
    for (int i = 0; i < ladder->count && out->point_count < APX_LIMIT_CROSSOVER_POINTS; i++) {
        enum apx_status status =
            measure(probe, ladder->rows[i], ladder->budget_ns, &point, &lacks, &reason);
        if (lacks && out->point_count > 0)
            break;
        if (status != APX_OK) {
            if (error != NULL)
                *error = reason;
            return status;
        }
        insert(out, &point);
        if (ladder->most_ns > 0 &&
            (point.cpu_ns > ladder->most_ns || point.gpu_ns > ladder->most_ns))
            break;
    }
    out->from_rows = apx_crossover_settle(out->points, out->point_count);
    for (int i = 0; i < ladder->refinements && out->point_count < APX_LIMIT_CROSSOVER_POINTS; i++) {
        const int64_t rows = middle_of(out);
        if (rows == 0)
            break;
        enum apx_status status = measure(probe, rows, ladder->budget_ns, &point, &lacks, error);
        if (status != APX_OK)
            return status;
        insert(out, &point);
        out->from_rows = apx_crossover_settle(out->points, out->point_count);
    }
    return APX_OK;
}
