/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - run auspex-serve as a user would, on a port of its own choosing. */
#ifndef APX_TESTS_PROCESS_H
#define APX_TESTS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct process {
    pid_t pid;
    char directory[64]; /* for its files; made by process_start, removed by process_clean */
    char target[96];    /* 127.0.0.1:PORT */
    char log[96];       /* where its stderr goes */
};

/* A new directory below /tmp with an empty repository path in it. */
void process_init(struct process *process);
/* Starts $APX_BIN/auspex-serve with --repository REPOSITORY --listen 127.0.0.1:0 and `extra`
 * (NULL-terminated, may be NULL); waits until it listens. False: it ended first. */
bool process_start(struct process *process, const char *repository, const char *const *extra);
/* Waits for its end: the exit status, or minus the signal that killed it; -1000 if it did not end
 * within timeout_ms (it is killed then). */
int process_wait(struct process *process, int timeout_ms);
/* SIGTERM and wait. */
int process_stop(struct process *process);
/* True if the log holds a line with all of these (NULL: fewer). */
bool process_logged(const struct process *process, const char *a, const char *b, const char *c);
/* The same, waiting up to timeout_ms for it. */
bool process_wait_logged(const struct process *process, int timeout_ms, const char *a,
                         const char *b, const char *c);
void process_clean(struct process *process);
void process_sleep_ms(int ms);

#endif
