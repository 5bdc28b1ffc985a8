/* SPDX-License-Identifier: Apache-2.0 */
/* call.h - what a session works out from the shapes of its caller's tensors, and keeps for the next
 * call of the same shapes. */
#ifndef APX_EXEC_CALL_H
#define APX_EXEC_CALL_H

#include "runtime/exec/model_impl.h"

struct apx_call {
    struct apx_tensor *inputs;  /* [input_count] dtype, rank, dims as given; bytes: what these need,
                                   SIZE_MAX if more than there can be; data unused */
    struct apx_tensor *outputs; /* [output_count] dtype, rank, dims, bytes; data unused */
    int64_t symbols[APX_MAX_SYMBOLS]; /* 0 where the model has no such symbol */
    int64_t rows;                     /* 1 if the model has no row symbol */
    bool is_known;                    /* all of the above is this call's */
    bool is_empty;                    /* nothing to compute */
    /* The session's, when it first runs the call: it has cut it and made room in the lanes. */
    bool is_ready;
    int64_t slice; /* rows of a slice */
    int64_t room;  /* rows of the largest slice that a smaller call may ask for */
    int64_t count; /* slices */
};

/* As many as a lane keeps bindings. */
#define APX_CALLS 4

struct apx_calls {
    const struct apx_model *model;
    struct apx_call *recent[APX_CALLS]; /* the last call's first */
    struct apx_call call[APX_CALLS];
    struct apx_tensor *tensors;
};

/* On failure (APX_ENOMEM) apx_calls_fini may still be called. */
enum apx_status apx_calls_init(struct apx_calls *calls, const struct apx_model *model,
                               struct apx_error *error);
void apx_calls_fini(struct apx_calls *calls);

/* The call of these inputs' shapes (their data are not looked at); *out is valid until the next
 * find.
 *   APX_EINVAL   count, dtype, rank or a dimension does not fit the model (field: the input) */
enum apx_status apx_calls_find(struct apx_calls *calls, const struct apx_tensor *inputs,
                               size_t input_count, size_t output_count, struct apx_call **out,
                               struct apx_error *error);

/* There is data where there must be, and room where there should be.
 *   APX_EINVAL   (field: the input or output) */
enum apx_status apx_call_check_buffers(const struct apx_call *call, const struct apx_model *model,
                                       const struct apx_tensor *inputs,
                                       const struct apx_tensor *outputs, struct apx_error *error);

#endif
