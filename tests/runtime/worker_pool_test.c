/* SPDX-License-Identifier: Apache-2.0 */
/* The worker pool: each item once, results visible, threads that sleep in between, many short jobs.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "runtime/base/memory.h"
#include "runtime/exec/worker_pool.h"
#include "tests/harness/check.h"

#define MOST 5000

struct job {
    int plain[MOST]; /* not atomic: the pool orders owners and caller */
    int worker[MOST];
    _Atomic uint32_t calls;
    int stamp;
};

static void mark(void *context, int worker, uint32_t item)
{
    struct job *job = context;
    job->plain[item] += job->stamp;
    job->worker[item] = worker;
    atomic_fetch_add(&job->calls, 1);
}

static void runs_each_item_once(void)
{
    static struct job job;
    for (int workers = 1; workers <= 5; workers++) {
        struct apx_pool *pool;
        REQUIRE(apx_pool_create(apx_allocator_default(), workers, NULL, &pool, NULL) == APX_OK);
        uint32_t counts[] = {0, 1, 2, 3, 7, 64, MOST};
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
            memset(&job, 0, sizeof job);
            job.stamp = 3;
            apx_pool_run(pool, mark, &job, counts[k]);
            CHECK_EQ(atomic_load(&job.calls), counts[k]);
            bool ok = true;
            for (uint32_t i = 0; i < MOST; i++)
                ok = ok && job.plain[i] == (i < counts[k] ? 3 : 0) && job.worker[i] >= 0 &&
                     job.worker[i] < workers;
            CHECK(ok);
        }
        apx_pool_destroy(pool);
    }
}

/* Jobs in a row reuse the same memory: a late worker must not touch the next job. */
static void runs_many_short_jobs(void)
{
    static struct job job;
    struct apx_pool *pool;
    memset(&job, 0, sizeof job);
    REQUIRE(apx_pool_create(apx_allocator_default(), 4, NULL, &pool, NULL) == APX_OK);
    uint32_t expected = 0;
    int sums[8] = {0};
    for (int k = 0; k < 4000; k++) {
        uint32_t count = 1 + (uint32_t)k % 8;
        job.stamp = k;
        apx_pool_run(pool, mark, &job, count);
        expected += count;
        for (uint32_t i = 0; i < count; i++)
            sums[i] += k;
        if (k % 500 == 0)
            usleep(300); /* let them fall asleep */
    }
    CHECK_EQ(atomic_load(&job.calls), expected);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(job.plain[i], sums[i]);
    apx_pool_destroy(pool);
}

/* Two items that wait for each other: both the caller and a thread must be at work. */
static pthread_barrier_t barrier;

static void meet(void *context, int worker, uint32_t item)
{
    int *seen = context;
    pthread_barrier_wait(&barrier);
    seen[item] = worker;
}

static void works_in_parallel(void)
{
    struct apx_pool *pool;
    cpu_set_t cores[2];
    CPU_ZERO(&cores[0]);
    CPU_SET(0, &cores[0]);
    cores[1] = cores[0];
    for (int k = 0; k < 20; k++) {
        int seen[2] = {-1, -1};
        pthread_barrier_init(&barrier, NULL, 2);
        REQUIRE(apx_pool_create(apx_allocator_default(), 2, k % 2 ? cores : NULL, &pool, NULL) ==
                APX_OK);
        if (k % 4 == 0)
            usleep(1000);
        apx_pool_run(pool, meet, seen, 2);
        CHECK_EQ(seen[0] + seen[1], 1);
        apx_pool_destroy(pool);
        pthread_barrier_destroy(&barrier);
    }
}

/* The first two processors of `all`, each as a core. */
static bool two_cores(const cpu_set_t *all, int processor[2], cpu_set_t core[2])
{
    int count = 0;
    for (int i = 0; i < CPU_SETSIZE && count < 2; i++) {
        if (!CPU_ISSET(i, all))
            continue;
        CPU_ZERO(&core[count]);
        CPU_SET(i, &core[count]);
        processor[count++] = i;
    }
    if (count < 2)
        puts("SKIPPED: one processor");
    return count == 2;
}

static cpu_set_t workers_mask;

static void note_mask(void *context, int worker, uint32_t item)
{
    pthread_barrier_wait(&barrier);
    if (worker == 1)
        pthread_getaffinity_np(pthread_self(), sizeof workers_mask, &workers_mask);
    (void)context;
    (void)item;
}

/* The caller is brought to a processor and let loose again, which the system may use to move it at
 * once: so it is tried some times. True if a job then finds the worker on `wanted`. */
static bool worker_goes_to(struct apx_pool *pool, int callers, const cpu_set_t *all,
                           const cpu_set_t *wanted)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(callers, &one);
    for (int k = 0; k < 1000; k++) {
        REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
        REQUIRE(sched_setaffinity(0, sizeof *all, all) == 0);
        apx_pool_run(pool, note_mask, NULL, 2);
        if (CPU_EQUAL(&workers_mask, wanted))
            return true;
    }
    return false;
}

static void leaves_the_callers_core(void)
{
    struct apx_pool *pool;
    cpu_set_t all, core[2];
    int processor[2];
    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
    if (!two_cores(&all, processor, core))
        return;
    REQUIRE(apx_pool_create(apx_allocator_default(), 2, core, &pool, NULL) == APX_OK);
    pthread_barrier_init(&barrier, NULL, 2);
    CHECK(worker_goes_to(pool, processor[1], &all, &core[0]));
    CHECK(worker_goes_to(pool, processor[0], &all, &core[1]));
    CHECK(worker_goes_to(pool, processor[1], &all, &core[0]));
    /* A caller that is kept off the other core: the worker stays beside it. */
    REQUIRE(sched_setaffinity(0, sizeof core[0], &core[0]) == 0);
    apx_pool_run(pool, note_mask, NULL, 2);
    CHECK(CPU_EQUAL(&workers_mask, &core[0]));
    REQUIRE(sched_setaffinity(0, sizeof all, &all) == 0);
    pthread_barrier_destroy(&barrier);
    apx_pool_destroy(pool);
}

static cpu_set_t moved_to;

static void note_and_move(void *context, int worker, uint32_t item)
{
    note_mask(context, worker, item);
    if (worker == 1)
        pthread_setaffinity_np(pthread_self(), sizeof moved_to, &moved_to);
}

/* A worker that somebody else has moved is no longer the pool's to move. */
static void leaves_moved_workers_alone(void)
{
    struct apx_pool *pool;
    cpu_set_t core[2];
    int processor[2];
    REQUIRE(sched_getaffinity(0, sizeof moved_to, &moved_to) == 0);
    if (!two_cores(&moved_to, processor, core))
        return;
    REQUIRE(apx_pool_create(apx_allocator_default(), 2, core, &pool, NULL) == APX_OK);
    pthread_barrier_init(&barrier, NULL, 2);
    apx_pool_run(pool, note_and_move, NULL, 2);
    CHECK(!worker_goes_to(pool, processor[1], &moved_to, &core[0]));
    CHECK(CPU_EQUAL(&workers_mask, &moved_to));
    pthread_barrier_destroy(&barrier);
    apx_pool_destroy(pool);
}

static void ends_without_a_job(void)
{
    struct apx_pool *pool;
    for (int k = 0; k < 20; k++) {
        REQUIRE(apx_pool_create(apx_allocator_default(), 3, NULL, &pool, NULL) == APX_OK);
        apx_pool_destroy(pool);
    }
    apx_pool_destroy(NULL);
    CHECK(true);
}

int main(void)
{
    RUN(runs_each_item_once);
    RUN(runs_many_short_jobs);
    RUN(works_in_parallel);
    RUN(leaves_the_callers_core);
    RUN(leaves_moved_workers_alone);
    RUN(ends_without_a_job);
    return check_report();
}
