/* SPDX-License-Identifier: Apache-2.0 */
/* drop_known.c - nodes whose results follow from the extents alone.
 *
 * Exporters surround a layer with Shape, Gather, Concat and ConstantOfShape to make its initial
 * state and the target of a Reshape. Inference has followed that arithmetic, so its nodes can go:
 * the values keep their elements (or the number that fills them). What they read is then read by
 * fewer, and other passes see a product with one reader where there were two. */
#include "kernels/kernels.h"
#include "runtime/model/infer.h"
#include "runtime/model/passes/passes.h"

static bool is_known(const struct apx_value *value)
{
    return value->data != NULL || value->elems != NULL || value->is_filled;
}

#define MOST_ELEMENTS ((int64_t)4 << 20) /* of all fills and lists that are written out */

/* Element i into `out`, if no symbol is in it. */
static bool write_element(const struct apx_value *value, int i, void *out)
{
    int64_t integer;
    if (value->is_filled) {
        apx_cast(1, APX_F64, &value->fill, (int)value->dtype, out);
        return true;
    }
    if (!apx_dim_is_constant(&value->elems[i], &integer))
        return false;
    apx_cast(1, APX_I64, &integer, (int)value->dtype, out);
    return true;
}

/* A value that does not depend on any symbol becomes a constant, while there is room for it. */
static enum apx_status make_constant(struct apx_graph *graph, struct apx_value *value,
                                     int64_t *room)
{
    size_t size = apx_dtype_size(value->dtype);
    int64_t count = 1;
    for (int i = 0; i < value->rank; i++) {
        int64_t extent;
        if (!apx_dim_is_constant(&value->dims[i], &extent) || extent < 0 || extent > *room ||
            (count *= extent) > *room)
            return APX_OK;
    }
    if (value->data != NULL || size == 0)
        return APX_OK;
    char *data = apx_graph_alloc(graph, (size_t)count * size + 1);
    if (data == NULL)
        return APX_ENOMEM;
    for (int i = 0; i < count; i++)
        if (!write_element(value, i, data + (size_t)i * size))
            return APX_OK;
    *room -= count;
    value->data = data;
    value->bytes = (size_t)count * size;
    return APX_OK;
}

enum apx_status apx_pass_drop_known(struct apx_graph *graph)
{
    int64_t room = MOST_ELEMENTS;
    for (int n = 0; n < graph->node_count; n++) {
        struct apx_node *node = &graph->nodes[n];
        bool all = !node->is_dead;
        for (int i = 0; i < node->out_count && all; i++) {
            struct apx_value *value = apx_node_out(graph, node, i);
            all = value == NULL || is_known(value);
        }
        for (int i = 0; i < node->out_count && all; i++) {
            struct apx_value *value = apx_node_out(graph, node, i);
            if (value == NULL)
                continue;
            enum apx_status status = make_constant(graph, value, &room);
            if (status != APX_OK)
                return status;
            value->producer = -1;
        }
        node->is_dead = node->is_dead || all;
    }
    return APX_OK;
}
