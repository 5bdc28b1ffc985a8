/* SPDX-License-Identifier: Apache-2.0 */
/* lt_product.h - y = x W (+ bias) by cuBLASLt, with bits that do not depend on how many rows there
 * are.
 *
 * The library chooses a kernel by the whole shape of a product, its number of rows included. Here
 * it is asked once for a product and a device, for `usual_rows` rows, and what it says is used for
 * any number: a kernel of a given tile that neither splits sums nor reduces them afterwards adds
 * each output in one order, whatever stands beside it. (lt_rows_test checks that on a device.) */
#ifndef APX_CUDA_LT_PRODUCT_H
#define APX_CUDA_LT_PRODUCT_H

#include <stdbool.h>

#include "kernels/cuda/cuda_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* W[inner][outputs], rows of it w_row floats apart. */
struct apx_lt_product {
    size_t inner, outputs, w_row;
    size_t usual_rows;               /* for which the kernel should be good */
    unsigned w_alignment, alignment; /* bytes, 4 or 16: of W; of x and y; and of rows' distances */
    bool has_bias;
};

/* cuBLASLt is there and has a kernel for it. What it says, no as well as yes, holds until the
 * process ends: a layer is computed alike whenever it is loaded. 512 products are known at most,
 * those that come later are told no; so are all products of a device for which the library did not
 * start. */
bool apx_lt_can(const struct apx_cuda_device *device, const struct apx_lt_product *product);

/* The arrays of a product: x[rows][inner] with x_row >= inner, y[rows][outputs], y_row >= outputs.
 * rows is at least 1. */
struct apx_lt_arrays {
    const float *w, *bias, *x;
    float *y;
    size_t rows;
    ptrdiff_t x_row, y_row;
};

/* Enqueues it, after apx_lt_can said yes, in one call of the library or several; 0, CUDA's error
 * number, or APX_CUDA_CANNOT: the library refused these arrays. */
int apx_lt_launch(const struct apx_cuda_device *device, const struct apx_lt_product *product,
                  const struct apx_lt_arrays *arrays, void *stream);

/* Estimate of the device's time. */
double apx_lt_seconds(const struct apx_cuda_device *device, const struct apx_lt_product *product,
                      size_t rows);

#ifdef __cplusplus
}
#endif
#endif
