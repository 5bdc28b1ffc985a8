/* SPDX-License-Identifier: Apache-2.0 */
/* status_map.c - see the header. A client's mistake is INVALID_ARGUMENT or NOT_FOUND, which no
 * retry mends; want of memory is RESOURCE_EXHAUSTED, which one may. The rest is ours. */
#include "serve/status_map.h"

enum apx_code apx_code_of_status(enum apx_status status)
{
    switch (status) {
    case APX_OK:
        return APX_CODE_OK;
    case APX_EINVAL:
    case APX_EFORMAT:
    case APX_ELIMIT:
        return APX_CODE_INVALID_ARGUMENT;
    case APX_ENOTFOUND:
        return APX_CODE_NOT_FOUND;
    case APX_ENOMEM:
        return APX_CODE_RESOURCE_EXHAUSTED;
    case APX_EUNSUPPORTED:
        return APX_CODE_UNIMPLEMENTED;
    case APX_ECONFLICT:
        return APX_CODE_FAILED_PRECONDITION;
    case APX_EIO:
    case APX_EDEVICE:
        break;
    }
    return APX_CODE_INTERNAL;
}
