/* SPDX-License-Identifier: Apache-2.0 */
/* served.h - one version of one model, loaded, tried and ready for every worker.
 *
 * What can be served: one float32 or float64 input of [rows, features] or [rows, steps, features]
 * (or with steps first, as ONNX writes recurrent layers), perhaps a second input with one integer
 * length for each row, and at least one float32 or float64 output with a value for each row. */
#ifndef APX_SERVE_SERVED_H
#define APX_SERVE_SERVED_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/auspex.h"
#include "runtime/repo.h"

struct apx_job;
struct apx_served;

/* Told when the last reference goes; destroys it, now or later. */
struct apx_served_owner {
    void (*retire)(struct apx_served_owner *owner, struct apx_served *served);
};

struct apx_served {
    char name[APX_LIMIT_MODEL_NAME + 1];
    char version_text[24];
    int64_t version;
    struct apx_model *model;
    struct apx_session **sessions; /* [workers + 1], each for one thread; the last for shapes */
    int workers;
    int values_input;
    int lengths_input;          /* -1: none */
    bool has_steps;             /* the values input has a time axis */
    uint32_t steps;             /* fixed number of steps, 0: free; 1 without a time axis */
    uint32_t features;          /* fixed number, 0: free */
    enum apx_dtype values_type; /* of the values input: APX_F32 or APX_F64 */
    bool widens;                /* that is APX_F64, and the model takes float32 all the same */
    bool nan_is_missing;        /* NaN only meets trees: nothing is wrong with it */
    bool rows_independent;
    struct apx_served_owner *owner;
    atomic_int references; /* the catalogue's and one for each job under way */

    pthread_mutex_t shape_mutex; /* guards the last session and the widths found last */
    int shape_output;
    uint32_t shape_steps, shape_features, shape_width;

    /* Belongs to the queue, under its mutex. */
    double ns_per_unit; /* measured time of one row and one step */
    struct apx_job *first, *last;
    int64_t waiting_rows;
    double waiting_ns; /* forecast for them, on one worker */
    struct apx_served *next_waiting;
    bool is_waiting;

    struct apx_served *next_retired; /* belongs to the owner */
};

/* Loads the file, checks that it can be served, makes a session for each worker and runs each once.
 * The result carries one reference.
 *   what apx_model_load says, APX_EUNSUPPORTED (cannot be served; field: the input), APX_ENOMEM */
enum apx_status apx_served_load(const char *name, int64_t version, const char *path, int workers,
                                const struct apx_load_options *options,
                                struct apx_served_owner *owner, struct apx_served **out,
                                struct apx_error *error);
void apx_served_ref(struct apx_served *served);
/* Accepts NULL. */
void apx_served_unref(struct apx_served *served);
/* For the owner, once nothing refers to it. Accepts NULL. */
void apx_served_destroy(struct apx_served *served);

/* The output called `name`, or for "" the first that can be served.
 *   APX_ENOTFOUND   (field "output") */
enum apx_status apx_served_output(const struct apx_served *served, const char *name, int *output,
                                  struct apx_error *error);
/* Does a request of these extents fit? steps: at least 1. *width: the values of one row of
 * `output`. APX_EINVAL (field: "steps" or "features"). */
enum apx_status apx_served_shape(struct apx_served *served, int output, uint32_t steps,
                                 uint32_t features, uint32_t *width, struct apx_error *error);

/* The type of the values in a run for callers that sent `sent`. Whatever that is, a row gives the
 * same bits: only the model's own type decides. */
enum apx_dtype apx_served_run_type(const struct apx_served *served, enum apx_dtype sent);

/* What a run is of. */
struct apx_run {
    int output;          /* index of the output wanted */
    enum apx_dtype type; /* of the values, what apx_served_run_type says */
    uint32_t rows, steps, features;
    uint32_t width; /* values of a row of the output */
};

/* What one worker owns for running slices. Zero-initialised; grows as needed. */
struct apx_scratch {
    void *sent;       /* a call's values, before they are converted */
    void *values;     /* [rows, steps, features], as the wire has it */
    void *transposed; /* the model's order, where that is not row first */
    void *lengths;    /* [rows] int32 or int64 */
    void *outputs;    /* the model's order and type */
    size_t sent_bytes, values_bytes, transposed_bytes, lengths_bytes, outputs_bytes; /* there is */
};
void apx_scratch_fini(struct apx_scratch *scratch);
/* Makes room for the run and `sent` bytes of values to convert, at least as much as before.
 * APX_ENOMEM. */
enum apx_status apx_scratch_reserve(struct apx_scratch *scratch, const struct apx_served *served,
                                    const struct apx_run *run, size_t sent,
                                    struct apx_error *error);
/* lengths[row] for a model with lengths. */
void apx_scratch_set_length(struct apx_scratch *scratch, const struct apx_served *served,
                            uint32_t row, uint32_t length);

/* Run the rows in scratch->values on the session of `worker`. The answers are then fetched with
 * apx_served_fetch. Errors are those of apx_session_run. */
enum apx_status apx_served_run(struct apx_served *served, int worker, struct apx_scratch *scratch,
                               const struct apx_run *run, struct apx_error *error);
/* Copy the answers of rows [first, first + count) to `to`, [count, width] of `type`, not aligned.
 */
void apx_served_fetch(const struct apx_served *served, const struct apx_scratch *scratch,
                      const struct apx_run *run, uint32_t first, uint32_t count,
                      enum apx_dtype type, void *to);

#endif
