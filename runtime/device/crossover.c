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
