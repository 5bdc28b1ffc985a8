/* SPDX-License-Identifier: Apache-2.0 */
/* crew.c - one mutex, two conditions, and a counter of tasks taken.
 *
 * A round starts when its number goes up and ends when no worker is left in it. Tasks last tens of
 * microseconds and more, so taking them under the mutex costs nothing that can be measured; a round
 * with a single task is done by the caller without waking anyone. Rounds follow each other within
 * microseconds while an epoch runs, and waking a thread takes tens of them, so both sides look for
 * a short while before they sleep. */
#include "train/crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/base/fail.h"

enum { LOOKS = 4000 }; /* some 50 microseconds */

struct crew_member {
    struct apx_crew *crew;
    int worker;
    pthread_t thread;
};

struct apx_crew {
    pthread_mutex_t mutex;
    pthread_cond_t start, done;
    int threads, started; /* started: members whose thread exists */
    bool quit;
    /* Both change under the mutex alone; atomic because they are looked at without it. */
    atomic_ulong round;
    atomic_int busy; /* members still in this round */
    size_t next, count;
    apx_crew_task task;
    void *context;
    struct crew_member *members; /* [threads], number 0 is the caller */
};

static void work_off(struct apx_crew *crew, int worker)
{
    pthread_mutex_lock(&crew->mutex);
    while (crew->next < crew->count) {
        size_t task = crew->next++;
        pthread_mutex_unlock(&crew->mutex);
        crew->task(crew->context, worker, task);
        pthread_mutex_lock(&crew->mutex);
    }
    pthread_mutex_unlock(&crew->mutex);
}

static void *member_main(void *argument)
{
    struct crew_member *member = argument;
    struct apx_crew *crew = member->crew;
    unsigned long seen = 0;
    for (;;) {
        for (int i = 0; i < LOOKS && atomic_load(&crew->round) == seen; i++)
            __builtin_ia32_pause();
        pthread_mutex_lock(&crew->mutex);
        while (!crew->quit && crew->round == seen)
            pthread_cond_wait(&crew->start, &crew->mutex);
        if (crew->quit)
            break;
        seen = crew->round;
        pthread_mutex_unlock(&crew->mutex);
        work_off(crew, member->worker);
        pthread_mutex_lock(&crew->mutex);
        if (--crew->busy == 0)
            pthread_cond_signal(&crew->done);
        pthread_mutex_unlock(&crew->mutex);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

enum apx_status apx_crew_create(int threads, struct apx_crew **out, struct apx_error *error)
{
    *out = NULL;
    if (threads < 1 || threads > APX_LIMIT_CREW)
        return apx_fail(error, APX_EINVAL, "threads", "%d threads: must be 1 to %d", threads,
                        APX_LIMIT_CREW);
    struct apx_crew *crew = calloc(1, sizeof *crew);
    if (crew == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->start, NULL);
    pthread_cond_init(&crew->done, NULL);
    crew->threads = threads;
    crew->started = 1;
    crew->members = calloc((size_t)threads, sizeof *crew->members);
    if (crew->members == NULL) {
        apx_crew_destroy(crew);
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    }
    sigset_t stops, before;
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stops, &before);
    int failed = 0;
    while (failed == 0 && crew->started < threads) {
        struct crew_member *member = &crew->members[crew->started];
        member->crew = crew;
        member->worker = crew->started;
        failed = pthread_create(&member->thread, NULL, member_main, member);
        crew->started += failed == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        int started = crew->started;
        apx_crew_destroy(crew);
        return apx_fail(error, APX_ENOMEM, "threads", "the system gave %d threads of %d", started,
                        threads);
    }
    *out = crew;
    return APX_OK;
}

void apx_crew_destroy(struct apx_crew *crew)
{
    if (crew == NULL)
        return;
    pthread_mutex_lock(&crew->mutex);
    crew->quit = true;
    pthread_cond_broadcast(&crew->start);
    pthread_mutex_unlock(&crew->mutex);
    for (int i = 1; crew->members != NULL && i < crew->started; i++)
        pthread_join(crew->members[i].thread, NULL);
    pthread_cond_destroy(&crew->done);
    pthread_cond_destroy(&crew->start);
    pthread_mutex_destroy(&crew->mutex);
    free(crew->members);
    free(crew);
}

int apx_crew_threads(const struct apx_crew *crew)
{
    return crew->threads;
}

void apx_crew_run(struct apx_crew *crew, size_t count, apx_crew_task task, void *context)
{
    if (count <= 1 || crew->threads == 1) {
        for (size_t i = 0; i < count; i++)
            task(context, 0, i);
        return;
    }
    pthread_mutex_lock(&crew->mutex);
    crew->task = task;
    crew->context = context;
    crew->next = 0;
    crew->count = count;
    crew->busy = crew->threads - 1;
    crew->round++;
    pthread_cond_broadcast(&crew->start);
    pthread_mutex_unlock(&crew->mutex);
    work_off(crew, 0);
    for (int i = 0; i < LOOKS && atomic_load(&crew->busy) > 0; i++)
        __builtin_ia32_pause();
    pthread_mutex_lock(&crew->mutex);
    while (crew->busy > 0)
        pthread_cond_wait(&crew->done, &crew->mutex);
    pthread_mutex_unlock(&crew->mutex);
}
