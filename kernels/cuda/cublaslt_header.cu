/* SPDX-License-Identifier: Apache-2.0 */
/* cublaslt_header.cu - cublaslt.h says what the library's own header says. No code comes of it, and
 * where there is no such header it is empty. */
#if defined(__CUDACC__) && __has_include(<cublasLt.h>)
#    include <cublasLt.h>

#    include "kernels/cuda/cublaslt.h"

#    if CUBLAS_VER_MAJOR == APX_LT_MAJOR
template <typename A, typename B> constexpr bool same(A theirs, B ours)
{
    return (long)theirs == (long)ours;
}
static_assert(same(CUBLAS_STATUS_SUCCESS, 0));
static_assert(same(CUBLAS_STATUS_ALLOC_FAILED, APX_LT_STATUS_NOT_ALLOCATED));
static_assert(same(CUBLAS_STATUS_INVALID_VALUE, APX_LT_STATUS_INVALID_VALUE));
static_assert(same(CUBLAS_STATUS_EXECUTION_FAILED, APX_LT_STATUS_EXECUTION_FAILED));
static_assert(same(CUBLAS_STATUS_NOT_SUPPORTED, APX_LT_STATUS_NOT_SUPPORTED));
static_assert(same(CUDA_R_32F, APX_LT_FLOAT));
static_assert(same(CUBLAS_COMPUTE_32F_PEDANTIC, APX_LT_FLOAT_PEDANTIC));
static_assert(same(CUBLASLT_MATMUL_DESC_EPILOGUE, APX_LT_DESC_EPILOGUE));
static_assert(same(CUBLASLT_MATMUL_DESC_BIAS_POINTER, APX_LT_DESC_BIAS));
static_assert(same(CUBLASLT_EPILOGUE_BIAS, APX_LT_EPILOGUE_BIAS));
static_assert(same(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, APX_LT_PREFER_WORKSPACE));
static_assert(same(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, APX_LT_PREFER_REDUCTIONS));
static_assert(same(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, APX_LT_PREFER_ALIGN_A));
static_assert(same(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, APX_LT_PREFER_ALIGN_B));
static_assert(same(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, APX_LT_PREFER_ALIGN_C));
static_assert(same(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, APX_LT_PREFER_ALIGN_D));
static_assert(same(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, APX_LT_CONFIG_SPLIT));
static_assert(same(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, APX_LT_CONFIG_REDUCTION));
static_assert(same(CUBLASLT_REDUCTION_SCHEME_NONE, APX_LT_REDUCTION_NONE));
static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(struct apx_lt_algo));
static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == sizeof(struct apx_lt_result));
static_assert(offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) ==
              offsetof(struct apx_lt_result, workspace));
static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) ==
              offsetof(struct apx_lt_result, status));
#    endif
#endif
