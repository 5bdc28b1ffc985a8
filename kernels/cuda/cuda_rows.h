/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_rows.h - the CUDA kernels as C sees them: rows in tables, as for the processor, and a few
 * plain operations. No CUDA type stands here, so that a test can put other rows in their place.
 *
 * Rows take the very argument structs of kernels.h. Every array in them is device memory, but for
 * `desc`, which is the host's; strides, shapes and meaning are unchanged. `packed` and `scratch`
 * are 256-byte aligned, other arrays are aligned to their elements only.
 *
 * launch enqueues on `stream` (a cudaStream_t) of the current device and returns 0, the CUDA
 * error's number or APX_CUDA_CANNOT at once. It neither allocates nor waits and looks at no device
 * memory, so that it may be captured into a graph; what it reads of host memory it reads before it
 * returns. All launches and packing functions may be called by several threads at once.
 *
 * Same bits: an output row depends on its own input row alone, not on how many rows there are. A
 * row is therefore chosen by the descriptor and the device, never by the batch; a launch may cut a
 * batch differently by its size as long as no order of additions changes. Rows called *_lt* are
 * cuBLASLt's: theirs are not the processor's bits.
 *
 * Rows beyond the caller's are zeros (lengths 0): a batch is filled up to a size of which there is
 * a graph. They cost time and nothing else.
 *
 * Packing is plain C for the host: it needs no CUDA and is tested without. */
#ifndef APX_KERNELS_CUDA_ROWS_H
#define APX_KERNELS_CUDA_ROWS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/kernels.h"

/* What launch returns for extents that no kernel takes; CUDA's own numbers are positive. */
#define APX_CUDA_CANNOT (-1)

/* What a row may reckon with. */
struct apx_cuda_device {
    int index;        /* CUDA's number */
    int major, minor; /* compute capability: 8, 0 or 9, 0 */
    int multiprocessors;
    int driver;              /* the newest CUDA that its driver knows: 13000 is 13.0 */
    size_t shared_bytes;     /* that a block may opt in to */
    size_t memory_bytes;     /* of the device */
    double memory_rate;      /* bytes a second, theoretical */
    double clock;            /* cycles a second of a multiprocessor */
    char name[128], bus[32]; /* "NVIDIA H200", "0000:3b:00.0" */
};

/* Precisions, as words: "fp32" (error at most 1e-5 against float64, the default), "fp16" (products
 * of half precision, sums and states in float), "int8" (descriptors with int8.levels > 0, and only
 * those). Of the rows of the precision asked for, the first that supports the descriptor is taken.
 */

/* Layers of one stack. */
enum { APX_CUDA_MOST_STACKED = 4 };

/* One direction of one layer. */
struct apx_cuda_rnn_row {
    const char *name; /* for reports */
    const char *precision;
    bool (*supports)(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc);
    size_t (*packed_bytes)(const struct apx_rnn_desc *desc);
    void (*pack)(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                 void *packed);
    size_t (*scratch_bytes)(const struct apx_rnn_desc *desc, size_t rows, size_t steps);
    /* args->rows is at least 1; steps may be 0. A length outside of 0..steps makes *fault (device
     * memory, zero before) 1 and counts as one inside; nothing is read or written out of bounds. */
    int (*launch)(const struct apx_cuda_device *device, const struct apx_rnn_args *args,
                  int32_t *fault, void *stream);
    /* Estimate of the device's time, without the launch's own. */
    double (*seconds)(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                      size_t rows, size_t steps);
    /* A stack: 2 to APX_CUDA_MOST_STACKED layers that this row supports, each of which takes the y
     * of the one before as its x, in one launch and with the bits of one launch each. Both NULL:
     * the row has none. args: [layers], with the same rows, steps and lengths; x of all but the
     * first and scratch are not looked at, and y of all but the last may be NULL even so. What one
     * layer reads overlaps with nothing that another one writes. */
    int (*launch_stack)(const struct apx_cuda_device *device, const struct apx_rnn_args *args,
                        size_t layers, int32_t *fault, void *stream);
    /* As seconds; infinite for layers that cannot be launched so. descs: [layers] */
    double (*stack_seconds)(const struct apx_cuda_device *device,
                            const struct apx_rnn_desc *const *descs, size_t layers, size_t rows,
                            size_t steps);
};

struct apx_cuda_dense_row {
    const char *name, *precision;
    bool (*supports)(const struct apx_cuda_device *device, const struct apx_dense_desc *desc);
    size_t (*packed_bytes)(const struct apx_dense_desc *desc);
    void (*pack)(const struct apx_dense_desc *desc, const struct apx_dense_weights *weights,
                 void *packed);
    int (*launch)(const struct apx_cuda_device *device, const struct apx_dense_args *args,
                  void *stream);
    double (*seconds)(const struct apx_cuda_device *device, const struct apx_dense_desc *desc,
                      size_t rows);
};

/* Bytes at the start of a packed forest that the host keeps: what a launch must know of it. */
#define APX_CUDA_FOREST_HEADER 256

/* Leaf-exact, margins summed in the order of trees in the forest's type: the scalar row's bits. */
struct apx_cuda_forest_row {
    const char *name;
    bool (*supports)(const struct apx_cuda_device *device, const struct apx_forest_desc *desc);
    size_t (*pack_bound)(const struct apx_forest_desc *desc); /* bytes that pack may touch */
    /* Bytes to upload, at least APX_CUDA_FOREST_HEADER. No pointers in them. */
    size_t (*pack)(const struct apx_forest_desc *desc, void *memory);
    size_t (*scratch_bytes)(const void *header, size_t rows); /* does not fall when rows grow */
    int (*launch)(const struct apx_cuda_device *device, const void *header,
                  const struct apx_forest_args *args, void *stream);
    double (*seconds)(const struct apx_cuda_device *device, const void *header, size_t rows);
};

/* As the functions of those names in kernels.h, but that outputs may be strided where it says so.
 * NULL: not there, and models that need it run elsewhere. Counts and extents are at least 1. */
struct apx_cuda_ops {
    int (*unary)(enum apx_unary op, size_t count, const float *x, float *y, float alpha, float beta,
                 void *stream);
    int (*binary)(enum apx_binary op, const struct apx_nd *nd, const float *a, const float *b,
                  float *y, void *stream);
    int (*compare)(enum apx_compare op, const struct apx_nd *nd, const float *a, const float *b,
                   uint8_t *y, void *stream);
    int (*logic)(enum apx_logic op, const struct apx_nd *nd, const uint8_t *a, const uint8_t *b,
                 uint8_t *y, void *stream);
    int (*where)(const struct apx_nd *nd, size_t width, const uint8_t *condition, const void *a,
                 const void *b, void *y, void *stream);
    /* stride[0] is x's, stride[1] y's. width 1, 4 or 8. */
    int (*copy)(const struct apx_nd *nd, size_t width, const void *x, void *y, void *stream);
    int (*cast)(size_t count, int from, const void *x, int to, void *y, void *stream);
    int (*softmax)(bool logarithm, size_t outer, size_t k, size_t inner, const float *x, float *y,
                   void *stream);
    int (*reduce)(enum apx_reduce op, bool last, size_t outer, size_t k, size_t inner,
                  const float *x, void *y, void *stream);
};

/* The tables. Static storage; *count may be 0. */
const struct apx_cuda_rnn_row *apx_cuda_lstm_rows(size_t *count);
const struct apx_cuda_rnn_row *apx_cuda_gru_rows(size_t *count);
const struct apx_cuda_dense_row *apx_cuda_dense_rows(size_t *count);
const struct apx_cuda_forest_row *apx_cuda_forest_rows(size_t *count);
const struct apx_cuda_ops *apx_cuda_ops(void);

#ifdef __cplusplus
}
#endif
#endif
