/* SPDX-License-Identifier: Apache-2.0 */
/* npy_fuzz.c - any bytes as a .npy file; an accepted tensor's data is all there, and its shape says
 * how much that is. */
#include "runtime/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apx_error error;
    struct apx_tensor tensor;
    if (apx_npy_parse(data, size, &tensor, &error) != APX_OK)
        return 0;
    size_t bytes = apx_dtype_size(tensor.dtype);
    if (bytes == 0 || tensor.rank < 0 || tensor.rank > APX_MAX_RANK || tensor.bytes > size ||
        memcmp(data + size - tensor.bytes, tensor.data, tensor.bytes) != 0)
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
