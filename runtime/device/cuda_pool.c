/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_pool.c - who gets which engine. A lock around a choice among a few is nothing beside a
 * slice's trip to a GPU. */
#include "runtime/device/cuda_pool.h"

#include <pthread.h>
#include <sched.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

struct place {
    struct apx_cuda_engine *engine[APX_CUDA_ENGINES]; /* NULL: not made yet */
    bool is_lent[APX_CUDA_ENGINES];
    bool is_full; /* another engine could not be made */
};

struct apx_cuda_pool {
    const struct apx_cuda_program *program;
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct place places[APX_CUDA_DEVICES];
};

enum apx_status apx_cuda_pool_create(const struct apx_cuda_program *program,
                                     struct apx_cuda_pool **out, struct apx_error *error)
{
    *out = NULL;
    struct apx_cuda_pool *pool = apx_alloc(program->allocator, 1, sizeof *pool);
    if (pool == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    pool->program = program;
    if (pthread_mutex_init(&pool->lock, NULL) != 0) {
        apx_release(program->allocator, pool);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    if (pthread_cond_init(&pool->given, NULL) != 0) {
        pthread_mutex_destroy(&pool->lock);
        apx_release(program->allocator, pool);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    *out = pool;
    return APX_OK;
}

void apx_cuda_pool_destroy(struct apx_cuda_pool *pool)
{
    if (pool == NULL)
        return;
    for (int d = 0; d < pool->program->machine.count; d++)
        for (int e = 0; e < APX_CUDA_ENGINES; e++)
            apx_cuda_engine_destroy(pool->places[d].engine[e]);
    pthread_cond_destroy(&pool->given);
    pthread_mutex_destroy(&pool->lock);
    apx_release(pool->program->allocator, pool);
}

/* An engine that is free, or the place of one that can be made; -1: neither. */
static int find_free(const struct place *place)
{
    for (int e = 0; e < APX_CUDA_ENGINES; e++)
        if (!place->is_lent[e] && (place->engine[e] != NULL || !place->is_full))
            return e;
    return -1;
}

static int count_lent(const struct place *place)
{
    int count = 0;
    for (int e = 0; e < APX_CUDA_ENGINES; e++)
        count += place->is_lent[e];
    return count;
}

/* Far from the caller's core counts as one slice more to wait for. -1: all are lent. */
static int choose_device(const struct apx_cuda_pool *pool, int os_node)
{
    const struct apx_cuda_machine *machine = &pool->program->machine;
    int best = -1, best_load = 0;
    for (int d = 0; d < machine->count; d++) {
        if (find_free(&pool->places[d]) < 0)
            continue;
        int load = count_lent(&pool->places[d]) +
                   (machine->os_node[d] >= 0 && machine->os_node[d] != os_node);
        if (best < 0 || load < best_load) {
            best = d;
            best_load = load;
        }
    }
    return best;
}

static bool has_engines(const struct apx_cuda_pool *pool)
{
    for (int d = 0; d < pool->program->machine.count; d++)
        for (int e = 0; e < APX_CUDA_ENGINES; e++)
            if (pool->places[d].engine[e] != NULL)
                return true;
    return false;
}

enum apx_status apx_cuda_pool_take(struct apx_cuda_pool *pool, struct apx_cuda_engine **out,
                                   struct apx_error *error)
{
    unsigned cpu = 0, os_node = 0;
    enum apx_status status = APX_OK;
    struct apx_error reason = {0};
    getcpu(&cpu, &os_node);
    *out = NULL;
    pthread_mutex_lock(&pool->lock);
    while (*out == NULL && status == APX_OK) {
        int d = choose_device(pool, (int)os_node);
        if (d < 0) {
            pthread_cond_wait(&pool->given, &pool->lock);
            continue;
        }
        struct place *place = &pool->places[d];
        int e = find_free(place);
        if (place->engine[e] == NULL) {
            status = apx_cuda_engine_create(pool->program, d, &place->engine[e], &reason);
            if (status != APX_OK) {
                /* Those that are there go on. */
                place->is_full = has_engines(pool);
                status = place->is_full ? APX_OK : status;
                continue;
            }
        }
        place->is_lent[e] = true;
        *out = place->engine[e];
    }
    pthread_mutex_unlock(&pool->lock);
    if (status != APX_OK && error != NULL)
        *error = reason;
    return status;
}

void apx_cuda_pool_give(struct apx_cuda_pool *pool, struct apx_cuda_engine *engine)
{
    struct place *place = &pool->places[apx_cuda_engine_device(engine)];
    pthread_mutex_lock(&pool->lock);
    for (int e = 0; e < APX_CUDA_ENGINES; e++)
        if (place->engine[e] == engine)
            place->is_lent[e] = false;
    pthread_cond_signal(&pool->given);
    pthread_mutex_unlock(&pool->lock);
}

struct apx_cuda_counts apx_cuda_pool_counts(struct apx_cuda_pool *pool)
{
    struct apx_cuda_counts sum = {0};
    pthread_mutex_lock(&pool->lock);
    for (int d = 0; d < pool->program->machine.count; d++)
        for (int e = 0; e < APX_CUDA_ENGINES; e++) {
            if (pool->places[d].engine[e] == NULL)
                continue;
            struct apx_cuda_counts counts = apx_cuda_engine_counts(pool->places[d].engine[e]);
            sum.direct += counts.direct;
            sum.captured += counts.captured;
            sum.launched += counts.launched;
            sum.ordered += counts.ordered;
        }
    pthread_mutex_unlock(&pool->lock);
    return sum;
}
