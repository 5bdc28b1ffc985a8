/* SPDX-License-Identifier: Apache-2.0 */
/* cublaslt.h - the few functions of cuBLASLt that products need, found at run time.
 *
 * What of its binary interface is used stands here in names of our own, so that a build needs
 * neither the library nor its header; cublaslt_header.cu holds it against the header where nvcc
 * finds one. Functions return a status, 0 for success; handles are opaque. */
#ifndef APX_CUDA_CUBLASLT_H
#define APX_CUDA_CUBLASLT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define APX_LT_LIBRARY "libcublasLt.so.13"
#define APX_LT_MAJOR   13 /* of its version: what the numbers below are of */

enum {
    APX_LT_STATUS_NOT_ALLOCATED = 3,
    APX_LT_STATUS_INVALID_VALUE = 7,
    APX_LT_STATUS_EXECUTION_FAILED = 13,
    APX_LT_STATUS_NOT_SUPPORTED = 15,

    APX_LT_FLOAT = 0,           /* cudaDataType_t */
    APX_LT_FLOAT_PEDANTIC = 69, /* cublasComputeType_t: each product and sum in float, no TF32 */

    APX_LT_DESC_EPILOGUE = 7, /* uint32_t */
    APX_LT_DESC_BIAS = 8,     /* const void * */
    APX_LT_EPILOGUE_BIAS = 4,

    APX_LT_PREFER_WORKSPACE = 1,  /* uint64_t: bytes at most */
    APX_LT_PREFER_REDUCTIONS = 3, /* uint32_t: a set */
    APX_LT_PREFER_ALIGN_A = 5,    /* uint32_t: bytes at least */
    APX_LT_PREFER_ALIGN_B = 6,
    APX_LT_PREFER_ALIGN_C = 7,
    APX_LT_PREFER_ALIGN_D = 8,

    APX_LT_CONFIG_SPLIT = 2,     /* int32_t: in how many parts a sum is made */
    APX_LT_CONFIG_REDUCTION = 3, /* uint32_t */
    APX_LT_REDUCTION_NONE = 0,
};

struct apx_lt_algo {
    uint64_t data[8];
};

struct apx_lt_result {
    struct apx_lt_algo algo;
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
};

struct apx_lt_library {
    size_t (*version)(void);
    int (*create)(void **handle); /* of the current device, which must have room */
    int (*desc_create)(void **desc, int compute_type, int scale_type);
    int (*desc_destroy)(void *desc);
    int (*desc_set)(void *desc, int attribute, const void *value, size_t bytes);
    int (*layout_create)(void **layout, int type, uint64_t rows, uint64_t columns, int64_t pitch);
    int (*layout_destroy)(void *layout);
    int (*preference_create)(void **preference);
    int (*preference_destroy)(void *preference);
    int (*preference_set)(void *preference, int attribute, const void *value, size_t bytes);
    int (*heuristic)(void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference,
                     int most, struct apx_lt_result *results, int *count);
    int (*check)(void *handle, void *desc, void *a, void *b, void *c, void *d,
                 const struct apx_lt_algo *algo, struct apx_lt_result *result);
    int (*config_get)(const struct apx_lt_algo *algo, int attribute, void *value, size_t bytes,
                      size_t *written);
    int (*matmul)(void *handle, void *desc, const void *alpha, const void *a, void *a_layout,
                  const void *b, void *b_layout, const void *beta, const void *c, void *c_layout,
                  void *d, void *d_layout, const struct apx_lt_algo *algo, void *workspace,
                  size_t workspace_bytes, void *stream);
};

/* NULL: it is not installed, or of another version than APX_LT_MAJOR. Loaded by the first call,
 * and for good; any thread may call. */
const struct apx_lt_library *apx_lt_library(void);
/* Its version (130100: 13.1.0), 0 without it. */
size_t apx_lt_version(void);

#ifdef __cplusplus
}
#endif
#endif
