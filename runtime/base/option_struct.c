/* SPDX-License-Identifier: Apache-2.0 */
/* option_struct.c - a struct of options grows at its end only, and says how long it is. */
#include "runtime/base/option_struct.h"

#include <string.h>

#include "runtime/base/fail.h"

enum apx_status apx_options_take(const void *given, const char *type, void *options, size_t bytes,
                                 struct apx_error *error)
{
    size_t size;
    memset(options, 0, bytes);
    if (given == NULL)
        return APX_OK;
    memcpy(&size, given, sizeof size);
    if (size > bytes)
        return apx_fail(error, APX_EINVAL, "size",
                        "the options are of a newer version of this library");
    /* A struct has its first field, and ends where the next one of its kind could begin: else half
     * of a pointer would be taken for a whole one. */
    if (size > 0 && (size < sizeof size || size % sizeof size != 0))
        return apx_fail(error, APX_EINVAL, "size", "size is %zu; say sizeof(struct %s), or 0", size,
                        type);
    memcpy(options, given, size > 0 ? size : bytes);
    return APX_OK;
}
