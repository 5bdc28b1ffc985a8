/* SPDX-License-Identifier: Apache-2.0 */
/* model_format.c - whose file is this?
 *
 * XGBoost: an object, in JSON or UBJSON; or what its reader refuses by name, the old binary files
 * ("binf") and dumps for people (a JSON list). LightGBM: the line "tree". None of it can begin a
 * protobuf: '{', '[', 't' and 'b' would be the fields 15, 11, 14 and 12 of a ModelProto, of types
 * that they do not have there. */
#include <string.h>

#include "runtime/model/forest/forest_read.h"

enum apx_model_format apx_model_format_guess(const void *data, size_t bytes)
{
    const char *at = data, *end = at + bytes;
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    size_t left = (size_t)(end - at);
    if ((left > 0 && (*at == '{' || *at == '[')) || (left >= 4 && memcmp(at, "binf", 4) == 0))
        return APX_MODEL_XGBOOST;
    if (left >= 5 && memcmp(at, "tree", 4) == 0 && (at[4] == '\n' || at[4] == '\r'))
        return APX_MODEL_LIGHTGBM;
    return APX_MODEL_ONNX;
}
