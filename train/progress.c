/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - drawn ten times a second at most, so that it costs nothing. */
#include "train/progress.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 20 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void apx_progress_init(struct apx_progress *progress, FILE *file, size_t epochs)
{
    *progress =
        (struct apx_progress){.file = file, .epochs = epochs, .begin = now(), .validation = NAN};
    progress->is_terminal = file != NULL && isatty(fileno(file)) == 1;
}

void apx_progress_step(void *context, size_t epoch, size_t done, size_t windows, double loss)
{
    struct apx_progress *progress = context;
    if (!progress->is_terminal)
        return;
    double time = now();
    if (time - progress->drawn < 0.1 && done < windows)
        return;
    progress->drawn = time;
    double share =
        ((double)(epoch - 1) + (double)done / (double)windows) / (double)progress->epochs;
    double left = (time - progress->begin) * (1 - share) / share;
    char bar[BAR + 1], line[256], known[96] = "";
    for (int i = 0; i < BAR; i++)
        bar[i] = (i + 0.5) / BAR < share ? '#' : '.';
    bar[BAR] = '\0';
    if (progress->best > 0)
        snprintf(known, sizeof known, "  validation %.5f (best %.5f in %zu)", progress->validation,
                 progress->best_validation, progress->best);
    snprintf(line, sizeof line, "[%s] %zu/%zu  train %.5f%s  %.0f s left", bar, epoch,
             progress->epochs, loss, known, left);
    /* a line that wraps could not be drawn over */
    struct winsize window = {0};
    if (ioctl(fileno(progress->file), TIOCGWINSZ, &window) == 0 && window.ws_col > 1 &&
        strlen(line) >= window.ws_col)
        line[window.ws_col - 1] = '\0';
    fprintf(progress->file, "\r%s\x1b[K", line);
    fflush(progress->file);
}

void apx_progress_epoch(void *context, size_t epoch, const struct apx_fit_epoch *result)
{
    struct apx_progress *progress = context;
    progress->validation = result->validation_loss;
    if (result->best) {
        progress->best = epoch;
        progress->best_validation = result->validation_loss;
    }
    if (progress->file == NULL || progress->is_terminal)
        return;
    fprintf(progress->file, "epoch %zu/%zu  train %.6f  validation %.6f  rate %.3g  %.2f s%s\n",
            epoch, progress->epochs, result->train_loss, result->validation_loss,
            result->learning_rate, result->seconds, result->best ? "  best" : "");
    fflush(progress->file);
}

void apx_progress_fini(struct apx_progress *progress)
{
    if (progress->is_terminal && progress->drawn > 0)
        fputs("\r\x1b[K", progress->file);
    if (progress->file != NULL)
        fflush(progress->file);
}
