/* SPDX-License-Identifier: Apache-2.0 */
/* auspex.h - load a model, describe it, run batches of rows through it.
 *
 * An `apx_model` is an immutable plan made from one ONNX file. An `apx_session` holds the worker
 * threads and the memory one caller needs to run that plan.
 *
 *     struct apx_model *model;
 *     struct apx_session *session;
 *     struct apx_error error;
 *     if (apx_model_load("model.onnx", NULL, &model, &error) != APX_OK) ...error.message...
 *     if (apx_session_create(model, NULL, &session, &error) != APX_OK) ...
 *     struct apx_tensor in = {.dtype = APX_F32, .rank = 3, .dims = {rows, 10, 4}, .data = x};
 *     struct apx_tensor out = {0};
 *     apx_session_shape(session, &in, 1, &out, 1, &error);       fills out.dims and out.bytes
 *     out.data = malloc(out.bytes);
 *     apx_session_run(session, &in, 1, &out, 1, &error);
 *
 * Threads: a model may be shared by any number of threads and sessions. A session serves one call
 * at a time; give each calling thread its own session. Nothing here uses global state.
 * Errors: every function that can fail returns a status and, if `error` is not NULL, fills it with
 * one line of text: what, where, what to do. The library never prints, aborts or exits.
 * Same bits: the outputs of a row depend on that row alone, never on the other rows of the batch,
 * on its place in the batch or on the number of threads. */
#ifndef AUSPEX_H
#define AUSPEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
/* The shared library hides everything but what this header declares. */
#pragma GCC visibility push(default)

#define APX_MAX_RANK 8

enum apx_status {
    APX_OK = 0,
    APX_EINVAL = -1,       /* an argument or a request breaks its contract */
    APX_ENOTFOUND = -2,    /* no such file, model, version or name */
    APX_ENOMEM = -3,       /* the allocator returned NULL */
    APX_EIO = -4,          /* reading or writing failed; the message carries the system's reason */
    APX_EFORMAT = -5,      /* the file is not what it claims to be, or is damaged */
    APX_EUNSUPPORTED = -6, /* valid, but beyond what this build can do */
    APX_ELIMIT = -7,       /* a named limit is exceeded */
    APX_EDEVICE = -8,      /* the device or its driver is missing or failed */
    APX_ECONFLICT = -9,    /* the state on disk does not allow this now */
};

/* "APX_EFORMAT" and so on; "APX_?" for a number that is no status. Static storage. */
const char *apx_status_name(enum apx_status status);

/* Caller-owned, filled on failure, untouched on success. */
struct apx_error {
    enum apx_status status;
    char field[96];    /* the input, node, column or option at fault; "" if none */
    char message[416]; /* one line, no newline at its end */
};

/* Where memory comes from. alloc returns at least `bytes` bytes aligned to `align` (a power of
 * two), or NULL; release takes what alloc gave, or NULL. Both may be called from any thread. */
struct apx_allocator {
    void *(*alloc)(void *context, size_t align, size_t bytes);
    void (*release)(void *context, void *memory);
    void *context;
};

/* The library's version, "0.1.0". Static storage. */
const char *apx_version(void);

/* ---- tensors ------------------------------------------------------------------------------- */

enum apx_dtype {
    APX_DTYPE_NONE = 0,
    APX_F32 = 1,
    APX_F64 = 2,
    APX_I32 = 3,
    APX_I64 = 4,
    APX_BOOL = 5, /* one byte, 0 or 1 */
    APX_U8 = 6,
    APX_I8 = 7,
    APX_STRING = 8, /* may occur in a description, never in a run */
};

/* Bytes of one element; 0 for APX_DTYPE_NONE and APX_STRING. */
size_t apx_dtype_size(enum apx_dtype dtype);
/* "float32" and so on. Static storage. */
const char *apx_dtype_name(enum apx_dtype dtype);

/* A dense row-major tensor in host memory. `data` belongs to the caller and need not be aligned
 * beyond its element size. */
struct apx_tensor {
    enum apx_dtype dtype;
    int rank;
    int64_t dims[APX_MAX_RANK];
    void *data;
    size_t bytes; /* inputs: size of data, checked if not 0; outputs: capacity of data */
};

/* One input or output of a model. Pointers live as long as the model. */
struct apx_tensor_info {
    const char *name;
    enum apx_dtype dtype;
    int rank;
    int64_t dims[APX_MAX_RANK];          /* -1: free, set by each call */
    const char *dim_names[APX_MAX_RANK]; /* name of a free dimension, NULL for a fixed one */
    int row_axis;                        /* which dimension counts rows; -1: none */
    const char *const *classes; /* [class_count] of an int64 output that stands for text in the
                                   file: the word that each number from 0 means; NULL: none */
    size_t class_count;
};

/* ---- models -------------------------------------------------------------------------------- */

struct apx_model;

/* Zero means "the default" for every field. */
struct apx_load_options {
    size_t size;                           /* sizeof(struct apx_load_options), or 0 */
    const struct apx_allocator *allocator; /* NULL: malloc. Must outlive the model. */
    const char *device;                    /* "auto" (default), "cpu" or "cuda" */
    const char *isa;                       /* caps the instruction set: "scalar", "avx2", "avx512",
                                              "avx512vnni", "avx512vbmi"; NULL: all there is.
                                              AUSPEX_ISA in the environment caps it as well:
                                              the lower of the two counts */
    const char *precision;                 /* "fp32" (default): as the file says. "fp16-weights":
                                              W and R of LSTM and GRU layers rounded once to half
                                              precision, all else as in fp32, device "cpu" alone
                                              (docs/quantize.md). "int8": layers as `auspex
                                              quantize` makes them without data. "fp16": products
                                              of half precision, device "cuda" alone */
    size_t max_file_bytes;                 /* default APX_LIMIT_FILE_BYTES */
    const char *trees;     /* of a model with one tree ensemble, instead of its outputs: "margin"
                              (before the link, [rows, margins]) or "leaf" (int32 [rows, trees],
                              numbered as the library that trained it does); NULL: the outputs */
    const char *directory; /* of a model in memory: where the files of its external tensors lie;
                              NULL: it may have none. A file has them beside itself. */
    const char *cache; /* folder where `auspex calibrate` put the times that it measured, by which
                          device "auto" chooses; NULL: $XDG_CACHE_HOME/auspex, then
                          $HOME/.cache/auspex; "": none, estimates decide. It is read while the
                          model is loaded and never written to; what is there changes where a
                          batch runs, not its results. */
};

/* Are models loaded for this device (a word of apx_load_options.device) at all? APX_EINVAL: another
 * word; APX_EDEVICE: "cuda", and there is no plug-in, driver or GPU (field "device") */
enum apx_status apx_device_check(const char *device, struct apx_error *error);

#define APX_LIMIT_FILE_BYTES ((size_t)2147483647) /* protobuf's own limit */

/* Load an ONNX file. *out is NULL on failure.
 *   APX_ENOTFOUND, APX_EIO   the file cannot be read
 *   APX_EFORMAT              not ONNX, or inconsistent (field names the node or tensor)
 *   APX_EUNSUPPORTED         an operator, attribute or type that this build lacks (field: the node)
 *   APX_ELIMIT               a named limit; APX_EINVAL an option; APX_EDEVICE; APX_ENOMEM */
enum apx_status apx_model_load(const char *path, const struct apx_load_options *options,
                               struct apx_model **out, struct apx_error *error);
/* The same from `bytes` bytes at `data`, which may be released afterwards. */
enum apx_status apx_model_load_memory(const void *data, size_t bytes,
                                      const struct apx_load_options *options,
                                      struct apx_model **out, struct apx_error *error);
/* Accepts NULL. All sessions of the model must be destroyed before it. */
void apx_model_destroy(struct apx_model *model);

size_t apx_model_input_count(const struct apx_model *model);
size_t apx_model_output_count(const struct apx_model *model);
/* index < the count. */
const struct apx_tensor_info *apx_model_input(const struct apx_model *model, size_t index);
const struct apx_tensor_info *apx_model_output(const struct apx_model *model, size_t index);
/* Value of the model file's metadata property `key`, or NULL. Lives as long as the model. */
const char *apx_model_metadata(const struct apx_model *model, const char *key);
/* True if the model has external tensors in the file at `path`. */
bool apx_model_has_file(const struct apx_model *model, const char *path);
/* True if a batch may be cut into slices of rows (see apx_tensor_info.row_axis). */
bool apx_model_rows_are_independent(const struct apx_model *model);
/* True if a NaN in its floating point inputs says "missing": whatever the model reads there goes to
 * tree ensembles, which have a branch for it. Otherwise a NaN spoils the row's outputs. */
bool apx_model_nan_is_missing(const struct apx_model *model);
/* One line for people about something that loading passed over and did without, such as a damaged
 * file of measured times; NULL: nothing. Lives as long as the model. */
const char *apx_model_notice(const struct apx_model *model);
/* The model as JSON: inputs, outputs, nodes, tree ensembles, the plan's steps with their kernel
 * rows, cost per row. *out is NUL-terminated and is released with apx_string_release. */
enum apx_status apx_model_describe(const struct apx_model *model, char **out,
                                   struct apx_error *error);
void apx_string_release(char *string);

/* ---- sessions ------------------------------------------------------------------------------ */

struct apx_session;

struct apx_session_options {
    size_t size; /* sizeof(struct apx_session_options), or 0 */
    int threads; /* 0: as many as the machine allows this process; 1: run on the caller's thread */
    size_t slice_rows; /* rows a worker takes at a time; 0: chosen from the caches and the plan */
};

/* *out is NULL on failure. The model must outlive the session. Runs a small model once, on one row,
 * so that the caller's first call is as fast as the others: keep sessions rather than opening one
 * for each call. */
enum apx_status apx_session_create(const struct apx_model *model,
                                   const struct apx_session_options *options,
                                   struct apx_session **out, struct apx_error *error);
/* Accepts NULL. */
void apx_session_destroy(struct apx_session *session);

/* Shapes of the outputs for inputs of these shapes (inputs[i].data is not read): fills dtype, rank,
 * dims and bytes of each output and leaves data alone. Inputs are in the model's order.
 *   APX_EINVAL   count, dtype, rank or a dimension does not fit the model (field: the input) */
enum apx_status apx_session_shape(struct apx_session *session, const struct apx_tensor *inputs,
                                  size_t input_count, struct apx_tensor *outputs,
                                  size_t output_count, struct apx_error *error);

/* Run one batch. outputs[i].data must hold outputs[i].bytes bytes, at least what
 * apx_session_shape says; dims are filled in. An output whose data is NULL is not returned.
 * Allocates nothing once a call with the same or larger free dimensions has been made.
 * 0 rows are valid and give empty outputs. NaN and infinities are data, not errors.
 *   APX_EINVAL   as for apx_session_shape, or an output buffer is too small
 *   APX_ENOMEM   larger dimensions than ever before did not fit; the session stays usable
 *   APX_EDEVICE  the device failed */
enum apx_status apx_session_run(struct apx_session *session, const struct apx_tensor *inputs,
                                size_t input_count, struct apx_tensor *outputs, size_t output_count,
                                struct apx_error *error);

/* Number of worker threads in use, the caller's included. */
int apx_session_threads(const struct apx_session *session);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
