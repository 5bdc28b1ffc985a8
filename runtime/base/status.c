/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - names of statuses and element types, and the version. */
#include "runtime/auspex.h"

const char *apx_status_name(enum apx_status status)
{
    switch (status) {
    case APX_OK:
        return "APX_OK";
    case APX_EINVAL:
        return "APX_EINVAL";
    case APX_ENOTFOUND:
        return "APX_ENOTFOUND";
    case APX_ENOMEM:
        return "APX_ENOMEM";
    case APX_EIO:
        return "APX_EIO";
    case APX_EFORMAT:
        return "APX_EFORMAT";
    case APX_EUNSUPPORTED:
        return "APX_EUNSUPPORTED";
    case APX_ELIMIT:
        return "APX_ELIMIT";
    case APX_EDEVICE:
        return "APX_EDEVICE";
    case APX_ECONFLICT:
        return "APX_ECONFLICT";
    }
    return "APX_?";
}

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [APX_DTYPE_NONE] = {"none", 0}, [APX_F32] = {"float32", 4}, [APX_F64] = {"float64", 8},
    [APX_I32] = {"int32", 4},       [APX_I64] = {"int64", 8},   [APX_BOOL] = {"bool", 1},
    [APX_U8] = {"uint8", 1},        [APX_I8] = {"int8", 1},     [APX_STRING] = {"string", 0},
};

static bool is_dtype(enum apx_dtype dtype)
{
    return (size_t)dtype < sizeof dtypes / sizeof dtypes[0];
}

size_t apx_dtype_size(enum apx_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].size : 0;
}

const char *apx_dtype_name(enum apx_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].name : "none";
}

const char *apx_version(void)
{
    return APX_VERSION;
}
