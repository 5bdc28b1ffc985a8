/* SPDX-License-Identifier: Apache-2.0 */
/* npy_fuzz.c - any bytes as a .npy file; an accepted tensor's data is all there (in another order
 * if the file has Fortran's), and its shape says how much that is. */
#include "runtime/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same bytes, in whatever order. */
static bool are_permuted(const uint8_t *a, const uint8_t *b, size_t size)
{
    size_t count[256] = {0};
    for (size_t i = 0; i < size; i++) {
        count[a[i]]++;
        count[b[i]]--;
    }
    for (int i = 0; i < 256; i++)
        if (count[i] != 0)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apx_error error;
    struct apx_tensor tensor;
    if (apx_npy_parse(data, size, &tensor, &error) != APX_OK)
        return 0;
    size_t bytes = apx_dtype_size(tensor.dtype);
    if (bytes == 0 || tensor.rank < 0 || tensor.rank > APX_MAX_RANK || tensor.bytes > 2 * size)
        abort();
    size_t start = data[6] == 1 ? 10 : 12, length = data[8] | (size_t)data[9] << 8;
    if (start == 12)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    size_t in_file = size - start - length;
    const uint8_t *held = data + size - in_file;
    if (tensor.bytes != in_file && tensor.bytes != 2 * in_file) /* widened */
        abort();
    if (tensor.bytes != in_file) {
        free(tensor.data);
        return 0;
    }
    if (tensor.rank < 2 ? memcmp(held, tensor.data, tensor.bytes) != 0
                        : !are_permuted(held, tensor.data, tensor.bytes))
        abort();
    for (int i = 0; i < tensor.rank; i++) {
        if (tensor.dims[i] < 0)
            abort();
        bytes = tensor.dims[i] == 0 ? 0 : bytes * (size_t)tensor.dims[i];
    }
    for (int i = 0; i < tensor.rank; i++)
        if (tensor.dims[i] == 0)
            bytes = 0;
    if (bytes != tensor.bytes)
        abort();
    free(tensor.data);
    return 0;
}
