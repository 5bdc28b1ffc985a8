/* SPDX-License-Identifier: Apache-2.0 */
/* model_format.c - whose file is this?
 *
 * XGBoost: an object, in JSON or UBJSON; or what its reader refuses by name, the old binary files
 * ("binf") and dumps for people (a JSON list). LightGBM: the line "tree". None of it can begin a
 * protobuf: '{', '[', 't' and 'b' would be the fields 15, 11, 14 and 12 of a ModelProto, of types
 * that they do not have there. Nor can the files that people try first, which are named so that
 * they need not guess what "damaged" means. */
#include "runtime/model/model_format.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/forest/forest_read.h"
#include "runtime/model/onnx_read.h"

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

static enum apx_status refuse_foreign(const void *data, size_t bytes, struct apx_error *error)
{
    static const char pickle[] =
        "a pickle of Python, which may run anything when it is read and is "
        "therefore not; write ONNX where the model was trained";
    static const struct {
        const char *begin;
        size_t length;
        const char *what;
    } known[] = {
        {"\x80\x02", 2, pickle},
        {"\x80\x03", 2, pickle},
        {"\x80\x04", 2, pickle},
        {"\x80\x05", 2, pickle},
        {"PK\x03\x04", 4, "a ZIP archive (PyTorch, Keras, NumPy's .npz ...); export it to ONNX"},
        {"\x1f\x8b", 2, "compressed with gzip; unpack it first"},
        {"\x89HDF", 4, "an HDF5 file, such as Keras writes; export it to ONNX"},
        {"CBM1", 4, "a model of CatBoost; save it with format=\"onnx\""},
        {"\x93NUMPY", 6, "an array of NumPy; this is the place of the model"},
        {"<", 1, "XML (PMML?) or HTML; export the model to ONNX"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (bytes >= known[i].length && memcmp(data, known[i].begin, known[i].length) == 0)
            return apx_fail(error, APX_EUNSUPPORTED, "", "no model that is read: it is %s",
                            known[i].what);
    return APX_OK;
}

/* The first bytes are of letters, and of no other kind than a text has. An ONNX file has others. */
static bool is_text(const void *data, size_t bytes)
{
    const unsigned char *text = data;
    for (size_t i = 0; i < bytes && i < 512; i++)
        if (text[i] == 0x7f || (text[i] < ' ' && strchr("\t\n\r", text[i]) == NULL) ||
            text[i] == '\0')
            return false;
    return bytes > 0;
}

enum apx_status apx_model_read(const void *data, size_t bytes, const char *directory,
                               const struct apx_allocator *allocator, struct apx_graph **out,
                               struct apx_error *error)
{
    *out = NULL;
    switch (apx_model_format_guess(data, bytes)) {
    case APX_MODEL_XGBOOST:
        return apx_xgboost_read(data, bytes, allocator, out, error);
    case APX_MODEL_LIGHTGBM:
        return apx_lightgbm_read(data, bytes, allocator, out, error);
    case APX_MODEL_ONNX:
        break;
    }
    enum apx_status status = refuse_foreign(data, bytes, error);
    if (status == APX_OK)
        status = apx_onnx_read(data, bytes, directory, allocator, out, error);
    if (status == APX_EFORMAT && is_text(data, bytes))
        return apx_fail(error, APX_EFORMAT, "",
                        "text that is no model; ONNX is read, XGBoost (.json, .ubj) and LightGBM "
                        "(text as Booster.save_model writes it)");
    return status;
}
