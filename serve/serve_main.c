/* SPDX-License-Identifier: Apache-2.0 */
/* serve_main.c - the program auspex-serve: start, wait for signals, drain.
 *
 * All signals are blocked before the first thread starts, and fetched here by sigwait: no code runs
 * in a signal handler. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "serve/clock.h"
#include "serve/server.h"

enum { DRAIN_TICK_MS = 20 };

/* Requests and replies of megabytes come and go all the time. Giving their memory back to the
 * system each time costs more than everything else about them: 440 page faults for 1.6 MB. */
static void keep_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
}

static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Until a signal to stop comes; returns it. */
static int wait_for_stop(struct apx_server *server, const sigset_t *signals)
{
    for (;;) {
        int number = sigwaitinfo(signals, NULL);
        if (number == SIGHUP) {
            APX_LOG(APX_LOG_INFO, "reload", APX_LOG_TEXT("signal", "HUP"));
            apx_server_reload(server);
        } else if (number > 0) {
            return number;
        }
    }
}

/* Let the calls under way end, until the time is over or somebody insists. */
static void drain(struct apx_server *server, const sigset_t *signals, int seconds)
{
    const struct timespec at_once = {0, 0};
    int64_t end = apx_now_ns() + (int64_t)seconds * 1000000000;
    apx_server_begin_drain(server);
    const char *outcome = "quiet";
    while (!apx_server_wait_quiet(server, DRAIN_TICK_MS)) {
        int number = sigtimedwait(signals, NULL, &at_once);
        if (number == SIGTERM || number == SIGINT)
            outcome = "second signal";
        else if (apx_now_ns() >= end)
            outcome = "out of time";
        else
            continue;
        break;
    }
    APX_LOG(APX_LOG_INFO, "drained", APX_LOG_TEXT("outcome", outcome));
}

int main(int argc, char **argv)
{
    struct apx_serve_options options;
    switch (apx_serve_options_parse(argc, argv, &options)) {
    case APX_OPTIONS_HELP:
        if (fflush(stdout) == 0 && !ferror(stdout))
            return 0;
        perror("auspex serve: cannot write standard output");
        return 1;
    case APX_OPTIONS_WRONG:
        return 2;
    case APX_OPTIONS_RUN:
        break;
    }
    apx_log_set_level(options.log_level);
    keep_memory();
    sigset_t signals;
    block_signals(&signals);
    struct apx_server *server;
    struct apx_error error = {0};
    if (apx_server_create(&options, &server, &error) != APX_OK) {
        APX_LOG(APX_LOG_ERROR, "failed", APX_LOG_TEXT("status", apx_status_name(error.status)),
                APX_LOG_TEXT("field", error.field), APX_LOG_TEXT("message", error.message));
        fprintf(stderr, "auspex serve: %s%s%s\n", error.field, error.field[0] != '\0' ? ": " : "",
                error.message);
        return 1;
    }
    int number = wait_for_stop(server, &signals);
    APX_LOG(APX_LOG_INFO, "draining", APX_LOG_TEXT("signal", number == SIGINT ? "INT" : "TERM"),
            APX_LOG_INT("seconds", options.drain_seconds));
    drain(server, &signals, options.drain_seconds);
    apx_server_destroy(server);
    return 0;
}
