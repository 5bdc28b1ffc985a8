/* SPDX-License-Identifier: Apache-2.0 */
/* process.c - see the header. */
#include "tests/serve/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void process_sleep_ms(int ms)
{
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

void process_init(struct process *process)
{
    memset(process, 0, sizeof *process);
    snprintf(process->directory, sizeof process->directory, "/tmp/auspex-test-XXXXXX");
    if (mkdtemp(process->directory) == NULL) {
        perror("mkdtemp");
        exit(1);
    }
    snprintf(process->log, sizeof process->log, "%s/log", process->directory);
}

bool process_start(struct process *process, const char *repository, const char *const *extra)
{
    char program[4096], port_file[96];
    const char *bin = getenv("APX_BIN");
    snprintf(program, sizeof program, "%s/auspex-serve", bin != NULL ? bin : "build/release/bin");
    snprintf(port_file, sizeof port_file, "%s/port", process->directory);
    unlink(port_file);
    const char *arguments[40] = {program,       "--repository", repository, "--listen",
                                 "127.0.0.1:0", "--port-file",  port_file};
    int count = 7;
    for (int i = 0; extra != NULL && extra[i] != NULL && count < 39; i++)
        arguments[count++] = extra[i];
    process->pid = fork();
    if (process->pid == 0) {
        int log = open(process->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        dup2(log, STDERR_FILENO);
        execv(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    for (int tries = 0; tries < 6000; tries++) {
        FILE *file = fopen(port_file, "r");
        if (file != NULL) {
            int port = 0;
            int fields = fscanf(file, "%d", &port);
            fclose(file);
            snprintf(process->target, sizeof process->target, "127.0.0.1:%d", port);
            return fields == 1;
        }
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == process->pid)
            return false;
        process_sleep_ms(10);
    }
    return false;
}

int process_wait(struct process *process, int timeout_ms)
{
    int status;
    for (int waited = 0; waited <= timeout_ms; waited += 5) {
        if (waitpid(process->pid, &status, WNOHANG) == process->pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        process_sleep_ms(5);
    }
    kill(process->pid, SIGKILL);
    waitpid(process->pid, &status, 0);
    return -1000;
}

int process_stop(struct process *process)
{
    kill(process->pid, SIGTERM);
    return process_wait(process, 30000);
}

bool process_logged(const struct process *process, const char *a, const char *b, const char *c)
{
    FILE *file = fopen(process->log, "r");
    char line[16384];
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, a) != NULL && (b == NULL || strstr(line, b) != NULL) &&
                (c == NULL || strstr(line, c) != NULL);
    if (file != NULL)
        fclose(file);
    return found;
}

bool process_wait_logged(const struct process *process, int timeout_ms, const char *a,
                         const char *b, const char *c)
{
    for (int waited = 0; waited <= timeout_ms; waited += 10) {
        if (process_logged(process, a, b, c))
            return true;
        process_sleep_ms(10);
    }
    return false;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

void process_clean(struct process *process)
{
    nftw(process->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
