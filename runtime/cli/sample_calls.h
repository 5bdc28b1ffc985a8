/* SPDX-License-Identifier: Apache-2.0 */
/* sample_calls.h - inputs and outputs for calls that are only timed. */
#ifndef APX_CLI_SAMPLE_CALLS_H
#define APX_CLI_SAMPLE_CALLS_H

#include "runtime/auspex.h"

struct apx_cli_calls {
    /* What the command says. */
    const char *command, *path; /* of the model, for messages */
    const char *input;          /* file of rows, or NULL: random numbers */
    long steps;                 /* 0: not given; then the file's, if it has any */
    /* Told by open. */
    const struct apx_model *model;
    bool has_steps;     /* dimensions other than the rows are free */
    int64_t fixed_rows; /* 0: the rows are free */
    /* Its own. */
    struct apx_tensor sample; /* the file's rows */
    struct apx_tensor *in, *out;
};

/* Nanoseconds of a clock that only goes on. */
int64_t apx_cli_now(void);

/* What follows --steps, and --input. CLI_DONE, or CLI_USAGE once the message is printed. */
int apx_cli_calls_steps(struct apx_cli_calls *calls, const char *text);
int apx_cli_calls_input(struct apx_cli_calls *calls, const char *text);

/* Checks what is free and what is given. CLI_DONE, or CLI_FAILED once the message is printed; close
 * in any case. The model outlives the calls. */
int apx_cli_calls_open(struct apx_cli_calls *calls, const struct apx_model *model);
void apx_cli_calls_close(struct apx_cli_calls *calls);
/* Tensors for calls of `rows` rows. The session may be of another load of the model. */
int apx_cli_calls_make(struct apx_cli_calls *calls, struct apx_session *session, int64_t rows);
/* One call, with what was made last, and its time. What apx_session_run says. */
enum apx_status apx_cli_calls_run(struct apx_cli_calls *calls, struct apx_session *session,
                                  int64_t *ns, struct apx_error *error);

#endif
