/* SPDX-License-Identifier: Apache-2.0 */
/* crossover.c - from figures to a choice. */
#include "runtime/device/crossover.h"

#include <math.h>
#include <string.h>

#include "runtime/base/memory.h"

/* How much longer the CPU takes than the GPU: its logarithm. */
static double excess(const struct apx_crossover_point *point)
{
    return log((double)point->cpu_ns / (double)point->gpu_ns);
}

/* Between a point that is the CPU's and one that is the GPU's, both lines straight in logarithms.
 */
static int64_t cross(const struct apx_crossover_point *low, const struct apx_crossover_point *high)
{
    const double before = -excess(low), after = excess(high);
    if (!(before > 0) || !(after > 0)) /* one of them is out of line */
        return high->rows;
    const double wide = log((double)high->rows / (double)low->rows);
    const double rows = ceil((double)low->rows * exp(wide * before / (before + after)));
    return rows > (double)low->rows && rows < (double)high->rows ? (int64_t)rows : high->rows;
}

/* Points before the k-th go to the CPU: what that loses is the sum of its excesses there, and the
 * best k is where this sum is least. Of two as good the later: the CPU's memory is at hand. */
static int first_of_gpu(const struct apx_crossover_point *points, int count)
{
    double sum = 0, least = 0;
    int best = 0;
    for (int k = 1; k <= count; k++) {
        sum += excess(&points[k - 1]);
        if (sum <= least) {
            least = sum;
            best = k;
        }
    }
    return best;
}

int64_t apx_crossover_settle(const struct apx_crossover_point *points, int count)
{
    const int k = first_of_gpu(points, count);
    if (k == count)
        return -1;
    return k == 0 ? points[0].rows : cross(&points[k - 1], &points[k]);
}

const struct apx_crossover_point *apx_crossover_edge(const struct apx_crossover *crossover,
                                                     int64_t rows)
{
    const struct apx_crossover_point *points = crossover->points;
    const int last = crossover->point_count - 1;
    if (rows >= points[0].rows && rows <= points[last].rows)
        return NULL;
    const int step = rows < points[0].rows ? 1 : -1;
    int at = step > 0 ? 0 : last;
    const bool is_gpu = crossover->from_rows > 0 && points[at].rows >= crossover->from_rows;
    /* One that is out of line says little: the first that agrees with the choice at this end. */
    for (int i = at; i >= 0 && i <= last; i += step)
        if ((excess(&points[i]) > 0) == is_gpu) {
            at = i;
            break;
        }
    return &points[at];
}

/* An old point whose neighbours are nearest to one another goes; there is one. */
static void drop_old(struct apx_crossover_point *points, bool *is_old, int *count)
{
    double least = INFINITY;
    int drop = -1;
    for (int i = 0; i < *count; i++) {
        const bool is_end = i == 0 || i == *count - 1;
        if (!is_old[i] || (is_end && drop >= 0))
            continue;
        const double gap =
            is_end ? INFINITY : (double)points[i + 1].rows / (double)points[i - 1].rows;
        if (drop < 0 || gap < least) {
            least = gap;
            drop = i;
        }
    }
    const size_t behind = (size_t)(*count - drop - 1);
    memmove(&points[drop], &points[drop + 1], behind * sizeof *points);
    memmove(&is_old[drop], &is_old[drop + 1], behind * sizeof *is_old);
    --*count;
}

void apx_crossover_merge(struct apx_crossover *fresh, const struct apx_crossover *old)
{
    struct apx_crossover_point points[2 * APX_LIMIT_CROSSOVER_POINTS];
    bool is_old[2 * APX_LIMIT_CROSSOVER_POINTS];
    int count = 0;
    for (int i = 0, j = 0; i < fresh->point_count || j < old->point_count; count++) {
        is_old[count] = i == fresh->point_count ||
                        (j < old->point_count && old->points[j].rows < fresh->points[i].rows);
        if (!is_old[count] && j < old->point_count && old->points[j].rows == fresh->points[i].rows)
            j++;
        points[count] = is_old[count] ? old->points[j++] : fresh->points[i++];
    }
    while (count > APX_LIMIT_CROSSOVER_POINTS)
        drop_old(points, is_old, &count);
    memcpy(fresh->points, points, (size_t)count * sizeof *points);
    fresh->point_count = count;
    fresh->from_rows = apx_crossover_settle(fresh->points, count);
}

void apx_crossovers_release(struct apx_crossovers *crossovers)
{
    if (crossovers->list != NULL)
        apx_release(crossovers->allocator, crossovers->list);
    crossovers->list = NULL;
    crossovers->count = 0;
}

const struct apx_crossover *apx_crossovers_find(const struct apx_crossovers *crossovers,
                                                int threads, int64_t steps)
{
    for (int i = 0; i < crossovers->count; i++)
        if (crossovers->list[i].threads == threads && crossovers->list[i].steps == steps)
            return &crossovers->list[i];
    return NULL;
}
