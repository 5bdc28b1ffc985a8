/* SPDX-License-Identifier: Apache-2.0 */
/* model_format.c - whose file is this?
 *
 * XGBoost: an object, in JSON or UBJSON, or one of the old binary files ("binf"), which its reader
 * refuses by name. LightGBM: the line "tree". Neither can begin a protobuf: '{', 't' and 'b' would
 * be the fields 15, 14 and 12 of a ModelProto, of a type that it does not have. */
#include <string.h>

#include "runtime/model/forest/forest_read.h"

enum apx_model_format apx_model_format_guess(const void *data, size_t bytes)
{
    const char *at = data, *end = at + bytes;
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    size_t left = (size_t)(end - at);
    if ((left > 0 && *at == '{') || (left >= 4 && memcmp(at, "binf", 4) == 0))
        return APX_MODEL_XGBOOST;
    if (left >= 5 && memcmp(at, "tree", 4) == 0 && (at[4] == '\n' || at[4] == '\r'))
        return APX_MODEL_LIGHTGBM;
    return APX_MODEL_ONNX;
}
