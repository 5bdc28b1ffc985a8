/* SPDX-License-Identifier: Apache-2.0 */
/* worker_pool.c - handing out items without a lock.
 *
 * One 64-bit ticket holds the job's number and how many items are left. Whoever lowers it by one
 * owns an item of that job, and the job's other fields cannot change before that item is done. A
 * worker that comes late, between two jobs, finds nothing left or fails to exchange, since the
 * number has moved on. So no job waits for sleepers: only for the items that somebody took. */
#include "runtime/exec/worker_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

#define SPIN_NANOSECONDS 20000 /* about what waking a sleeper costs */

struct worker {
    struct apx_pool *pool;
    pthread_t thread;
    int index;
    cpu_set_t core; /* that it is pinned to */
};

struct apx_pool {
    const struct apx_allocator *allocator;
    int workers, started;
    struct worker *worker; /* [workers], 0 unused */
    bool is_pinned;
    cpu_set_t callers_core; /* that no worker is pinned to */
    /* Written by the caller before the ticket, read by owners of an item. */
    apx_pool_fn *run;
    void *context;
    uint32_t count;
    /* Job number << 32 | items left. Acquire and release: it publishes the fields above. */
    _Alignas(APX_CACHE_LINE) _Atomic uint64_t ticket;
    /* Items finished. Release by owners, acquire by the caller: their results are visible. */
    _Alignas(APX_CACHE_LINE) _Atomic uint32_t done;
    /* What sleepers wait on: changes with every job and at the end. Sequentially consistent with
     * `sleepers`: either the caller sees the sleeper or the sleeper sees the new epoch. */
    _Alignas(APX_CACHE_LINE) _Atomic uint32_t epoch;
    _Atomic uint32_t sleepers;
    _Atomic uint32_t is_caller_asleep; /* likewise with `done` */
    _Atomic uint32_t is_over;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* True once *word differs from value; false if it stays for the time of a spin. */
static bool spin_until_changed(_Atomic uint32_t *word, uint32_t value)
{
    int64_t end = now() + SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != value)
                return true;
            relax();
        }
    } while (now() < end);
    return false;
}

/* Takes and runs items until none is left. */
static void drain(struct apx_pool *pool, int worker)
{
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    while ((uint32_t)ticket > 0) {
        if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket - 1,
                                                   memory_order_acq_rel, memory_order_acquire))
            continue;
        uint32_t count = pool->count;
        pool->run(pool->context, worker, count - (uint32_t)ticket);
        if (atomic_fetch_add(&pool->done, 1) + 1 == count && atomic_load(&pool->is_caller_asleep))
            futex_wake(&pool->done, 1);
        ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct apx_pool *pool = worker->pool;
    for (;;) {
        uint32_t epoch = atomic_load(&pool->epoch);
        if (atomic_load(&pool->is_over) != 0)
            return NULL;
        drain(pool, worker->index);
        if (spin_until_changed(&pool->epoch, epoch))
            continue;
        atomic_fetch_add(&pool->sleepers, 1);
        while (atomic_load(&pool->epoch) == epoch)
            futex_wait(&pool->epoch, epoch);
        atomic_fetch_sub(&pool->sleepers, 1);
    }
}

static bool pin(const struct worker *worker, const cpu_set_t *core)
{
    return pthread_setaffinity_np(worker->thread, sizeof *core, core) == 0;
}

/* Nobody but the pool has moved it. */
static bool is_where_it_was_put(const struct worker *worker)
{
    cpu_set_t set;
    return pthread_getaffinity_np(worker->thread, sizeof set, &set) == 0 &&
           CPU_EQUAL(&set, &worker->core);
}

static bool caller_may_use(const cpu_set_t *core)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return false;
    CPU_AND(&set, &set, core);
    return CPU_EQUAL(&set, core);
}

/* The caller is where the system has put it, perhaps on the core of a pinned worker, and two
 * threads of a job on one core take twice as long while another one idles: that worker then goes to
 * the core that was left for the caller. Not where somebody else has decided who runs where since:
 * a core that the caller is kept off may be one that the whole process is kept off. */
static void leave_callers_core(struct apx_pool *pool)
{
    if (!pool->is_pinned)
        return;
    const int here = sched_getcpu();
    if (here < 0 || CPU_ISSET(here, &pool->callers_core))
        return;
    for (int i = 1; i < pool->workers; i++) {
        struct worker *worker = &pool->worker[i];
        if (!CPU_ISSET(here, &worker->core))
            continue;
        if (!caller_may_use(&pool->callers_core))
            return;
        const cpu_set_t core = worker->core;
        pool->is_pinned = is_where_it_was_put(worker) && pin(worker, &pool->callers_core);
        if (pool->is_pinned) {
            worker->core = pool->callers_core;
            pool->callers_core = core;
        }
        return;
    }
}

void apx_pool_run(struct apx_pool *pool, apx_pool_fn *run, void *context, uint32_t count)
{
    if (pool->workers == 1 || count < 2) {
        for (uint32_t item = 0; item < count; item++)
            run(context, 0, item);
        return;
    }
    leave_callers_core(pool);
    pool->run = run;
    pool->context = context;
    pool->count = count;
    atomic_store(&pool->done, 0);
    uint64_t job = (atomic_load_explicit(&pool->ticket, memory_order_relaxed) >> 32) + 1;
    atomic_store_explicit(&pool->ticket, job << 32 | count, memory_order_release);
    atomic_fetch_add(&pool->epoch, 1);
    uint32_t sleepers = atomic_load(&pool->sleepers);
    if (sleepers > 0)
        futex_wake(&pool->epoch, (int)(sleepers < count - 1 ? sleepers : count - 1));
    drain(pool, 0);
    uint32_t done = atomic_load_explicit(&pool->done, memory_order_acquire);
    while (done < count) {
        if (!spin_until_changed(&pool->done, done)) {
            atomic_store(&pool->is_caller_asleep, 1);
            done = atomic_load(&pool->done);
            if (done < count)
                futex_wait(&pool->done, done);
            atomic_store(&pool->is_caller_asleep, 0);
        }
        done = atomic_load_explicit(&pool->done, memory_order_acquire);
    }
}

static int start(struct worker *worker)
{
    /* Signals belong to the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&worker->thread, NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

enum apx_status apx_pool_create(const struct apx_allocator *allocator, int workers,
                                const cpu_set_t *cores, struct apx_pool **out,
                                struct apx_error *error)
{
    *out = NULL;
    struct apx_pool *pool = apx_alloc(allocator, 1, sizeof *pool);
    if (pool == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    pool->allocator = allocator;
    pool->workers = workers;
    pool->started = 1;
    pool->is_pinned = cores != NULL;
    if (cores != NULL)
        pool->callers_core = cores[0];
    pool->worker = apx_alloc(allocator, (size_t)workers, sizeof *pool->worker);
    if (pool->worker == NULL) {
        apx_pool_destroy(pool);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    for (; pool->started < workers; pool->started++) {
        struct worker *worker = &pool->worker[pool->started];
        worker->pool = pool;
        worker->index = pool->started;
        int result = start(worker);
        if (result != 0) {
            apx_pool_destroy(pool);
            return apx_fail(error, APX_EIO, "threads", "cannot start thread %d of %d: %s",
                            worker->index + 1, workers, strerror(result));
        }
        if (cores != NULL) {
            worker->core = cores[worker->index];
            pin(worker, &worker->core); /* may be gone by now: it runs anywhere then */
        }
    }
    *out = pool;
    return APX_OK;
}

void apx_pool_destroy(struct apx_pool *pool)
{
    if (pool == NULL)
        return;
    atomic_store(&pool->is_over, 1);
    atomic_fetch_add(&pool->epoch, 1);
    futex_wake(&pool->epoch, pool->workers);
    for (int i = 1; i < pool->started; i++)
        pthread_join(pool->worker[i].thread, NULL);
    apx_release(pool->allocator, pool->worker);
    apx_release(pool->allocator, pool);
}
