/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_builder.h - inside of the ONNX builder, for those who put parts of read files into what they
 * write. The messages of a model that is being read may be appended as they are: the builder copies
 * no message it is given, so they must live until the file is written. */
#ifndef APX_MODEL_ONNX_BUILDER_H
#define APX_MODEL_ONNX_BUILDER_H

#include "runtime/onnx_build.h"

#include <onnx/onnx.pb-c.h>

/* Where nodes and values go at the moment. */
struct apx_onnx_target {
    struct apx_onnx_target *outer; /* NULL: the model's graph */
    Onnx__GraphProto *graph;       /* NULL: a function, which has nodes alone */
    Onnx__NodeProto ***nodes;
    size_t *node_count;
};

struct apx_onnx {
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    struct apx_onnx_target whole, *target;
    struct apx_onnx_block *blocks;
    struct apx_error failure; /* the first; status APX_OK: none */
};

/* Zeroed, released with the builder; NULL after recording the failure. */
void *apx_onnx_take(struct apx_onnx *onnx, size_t count, size_t size);
char *apx_onnx_copy_text(struct apx_onnx *onnx, const char *text);
/* One more pointer at the end of a list that this function alone has made. list: a T ***. */
void apx_onnx_append(struct apx_onnx *onnx, void *list, size_t *count, void *entry);

#endif
