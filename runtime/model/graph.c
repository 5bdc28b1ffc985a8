/* SPDX-License-Identifier: Apache-2.0 */
/* graph.c - the graph's memory, its adders and its edits.
 *
 * Small things (names, index lists, attributes) are carved from blocks that double up to 256 KB;
 * a large thing gets a block of its own. Nothing is given back before the graph goes, except the
 * two arrays that grow: values and nodes are addressed by index because those arrays move. */
#include "runtime/model/graph.h"

#include "runtime/base/memory.h"
#include "runtime/model/forest/forest.h"

#include <stdio.h>
#include <string.h>

#define BLOCK_SMALLEST ((size_t)4 * 1024)
#define BLOCK_LARGEST  ((size_t)256 * 1024)

struct apx_graph_block {
    struct apx_graph_block *next;
    size_t used, size; /* of the whole block, this header included */
};

enum apx_status apx_graph_create(const struct apx_allocator *allocator, struct apx_graph **out)
{
    *out = apx_alloc(allocator, 1, sizeof **out);
    if (*out == NULL)
        return APX_ENOMEM;
    (*out)->allocator = allocator;
    (*out)->name = "";
    (*out)->producer = "";
    return APX_OK;
}

void apx_graph_destroy(struct apx_graph *graph)
{
    if (graph == NULL)
        return;
    apx_graph_release_forests(graph);
    for (struct apx_graph_block *block = graph->blocks, *next; block != NULL; block = next) {
        next = block->next;
        apx_release(graph->allocator, block);
    }
    apx_release(graph->allocator, graph->values);
    apx_release(graph->allocator, graph->nodes);
    apx_release(graph->allocator, graph);
}

void apx_graph_own_forest(struct apx_graph *graph, struct apx_forest *forest)
{
    forest->next = graph->forests;
    graph->forests = forest;
}

void apx_graph_release_forests(struct apx_graph *graph)
{
    for (struct apx_forest *forest = graph->forests, *next; forest != NULL; forest = next) {
        next = forest->next;
        apx_forest_destroy(forest);
    }
    graph->forests = NULL;
    for (int n = 0; n < graph->node_count; n++)
        graph->nodes[n].forest = NULL;
}

static void *carve(struct apx_graph *graph, size_t bytes, size_t align)
{
    struct apx_graph_block *block = graph->blocks;
    if (block != NULL) {
        size_t start = (block->used + align - 1) / align * align;
        if (start <= block->size && bytes <= block->size - start) {
            block->used = start + bytes;
            return (char *)block + start;
        }
    }
    size_t header = (sizeof *block + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
    size_t size = block != NULL ? 2 * block->size : BLOCK_SMALLEST;
    if (size > BLOCK_LARGEST)
        size = BLOCK_LARGEST;
    if (bytes > SIZE_MAX - header)
        return NULL;
    bool own = bytes + header > size / 2;
    if (own)
        size = header + bytes;
    struct apx_graph_block *fresh = apx_alloc(graph->allocator, 1, size);
    if (fresh == NULL)
        return NULL;
    fresh->size = size;
    fresh->used = header + bytes;
    if (own && block != NULL) { /* keep carving from the one that has room */
        fresh->next = block->next;
        block->next = fresh;
    } else {
        fresh->next = block;
        graph->blocks = fresh;
    }
    return (char *)fresh + header;
}

void *apx_graph_alloc(struct apx_graph *graph, size_t bytes)
{
    return carve(graph, bytes, APX_CACHE_LINE);
}

const char *apx_graph_string(struct apx_graph *graph, const char *text, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *copy = carve(graph, length + 1, 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

/* Room for one more element; false if out of memory or at the limit. */
static bool grow(struct apx_graph *graph, void **array, int count, int *capacity, int limit,
                 size_t size)
{
    if (count >= limit)
        return false;
    if (count < *capacity)
        return true;
    int larger = *capacity < 16 ? 32 : 2 * *capacity;
    void *moved = apx_alloc(graph->allocator, (size_t)larger, size);
    if (moved == NULL)
        return false;
    if (count > 0)
        memcpy(moved, *array, (size_t)count * size);
    apx_release(graph->allocator, *array);
    *array = moved;
    *capacity = larger;
    return true;
}

int apx_graph_add_value(struct apx_graph *graph, const char *name)
{
    void *values = graph->values;
    if (!grow(graph, &values, graph->value_count, &graph->value_capacity, APX_LIMIT_VALUES,
              sizeof *graph->values))
        return -1;
    graph->values = values;
    const char *copy = name[0] == '\0' ? "" : apx_graph_string(graph, name, strlen(name));
    if (copy == NULL)
        return -1;
    struct apx_value *value = &graph->values[graph->value_count];
    *value = (struct apx_value){.name = copy, .rank = -1, .producer = -1};
    return graph->value_count++;
}

int apx_graph_add_constant(struct apx_graph *graph, const char *name, enum apx_dtype dtype,
                           int rank, const int64_t *dims, const void *data)
{
    size_t bytes = dtype == APX_STRING ? sizeof(char *) : apx_dtype_size(dtype);
    int64_t elements = 1;
    if (rank < 0 || rank > APX_MAX_RANK || bytes == 0)
        return -1;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(elements, dims[i], &elements) ||
            elements > APX_LIMIT_ELEMENTS)
            return -1;
    bytes *= (size_t)elements;
    void *copy = apx_graph_alloc(graph, bytes);
    int v = copy == NULL ? -1 : apx_graph_add_value(graph, name);
    if (v < 0)
        return -1;
    if (bytes > 0)
        memcpy(copy, data, bytes);
    struct apx_value *value = &graph->values[v];
    value->dtype = dtype;
    value->rank = rank;
    for (int i = 0; i < rank; i++)
        value->dims[i] = apx_dim_constant(dims[i]);
    value->data = copy;
    value->bytes = bytes;
    return v;
}

int apx_graph_add_node(struct apx_graph *graph, enum apx_op op, const char *name, int in_count,
                       int out_count)
{
    void *nodes = graph->nodes;
    if (in_count < 0 || out_count < 0 || in_count > APX_LIMIT_NODE_INPUTS ||
        out_count > APX_LIMIT_NODE_INPUTS ||
        !grow(graph, &nodes, graph->node_count, &graph->node_capacity, APX_LIMIT_NODES,
              sizeof *graph->nodes))
        return -1;
    graph->nodes = nodes;
    char made[64];
    if (name == NULL || name[0] == '\0') {
        snprintf(made, sizeof made, "%s_%d", apx_op_info(op)->name, graph->node_count);
        name = made;
    }
    const char *copy = apx_graph_string(graph, name, strlen(name));
    int *edges = carve(graph, (size_t)(in_count + out_count) * sizeof *edges, sizeof *edges);
    if (copy == NULL || edges == NULL)
        return -1;
    for (int i = 0; i < in_count + out_count; i++)
        edges[i] = -1;
    graph->nodes[graph->node_count] = (struct apx_node){.op = op,
                                                        .name = copy,
                                                        .in_count = in_count,
                                                        .out_count = out_count,
                                                        .in = edges,
                                                        .out = edges + in_count};
    return graph->node_count++;
}

int apx_graph_symbol(struct apx_graph *graph, const char *name)
{
    for (int s = 0; s < graph->symbol_count; s++)
        if (strcmp(graph->symbols[s], name) == 0)
            return s;
    if (graph->symbol_count == APX_MAX_SYMBOLS)
        return -1;
    const char *copy = apx_graph_string(graph, name, strlen(name));
    if (copy == NULL)
        return -1;
    graph->symbols[graph->symbol_count] = copy;
    return graph->symbol_count++;
}

size_t apx_graph_count_int8(const struct apx_graph *graph)
{
    size_t count = 0;
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        count += !node->is_dead &&
                 (node->op == APX_OP_QUANTIZED_LSTM || node->op == APX_OP_QUANTIZED_GRU ||
                  node->op == APX_OP_QUANTIZED_LINEAR);
    }
    return count;
}

bool apx_graph_add_file(struct apx_graph *graph, const struct apx_file_id *id)
{
    for (const struct apx_graph_file *file = graph->files; file != NULL; file = file->next)
        if (file->id.device == id->device && file->id.inode == id->inode)
            return true;
    struct apx_graph_file *file = apx_graph_alloc(graph, sizeof *file);
    if (file == NULL)
        return false;
    file->id = *id;
    file->next = graph->files;
    graph->files = file;
    return true;
}

struct apx_attr *apx_graph_add_attr(struct apx_graph *graph, struct apx_node *node,
                                    const char *name, enum apx_attr_type type)
{
    /* Attributes are few and mostly added once: the list is copied to one longer by one. */
    struct apx_attr *attrs =
        carve(graph, (size_t)(node->attr_count + 1) * sizeof *attrs, _Alignof(struct apx_attr));
    const char *copy = apx_graph_string(graph, name, strlen(name));
    if (attrs == NULL || copy == NULL)
        return NULL;
    if (node->attr_count > 0)
        memcpy(attrs, node->attrs, (size_t)node->attr_count * sizeof *attrs);
    struct apx_attr *added = &attrs[node->attr_count];
    *added = (struct apx_attr){.name = copy, .type = type, .tensor = -1};
    node->attrs = attrs;
    node->attr_count++;
    return added;
}

const struct apx_attr *apx_node_attr(const struct apx_node *node, const char *name)
{
    for (int i = 0; i < node->attr_count; i++)
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    return NULL;
}

static const struct apx_attr *attr_of_type(const struct apx_node *node, const char *name,
                                           enum apx_attr_type type)
{
    const struct apx_attr *attr = apx_node_attr(node, name);
    return attr != NULL && attr->type == type ? attr : NULL;
}

int64_t apx_node_int(const struct apx_node *node, const char *name, int64_t fallback)
{
    const struct apx_attr *attr = attr_of_type(node, name, APX_ATTR_INT);
    return attr != NULL ? attr->i : fallback;
}

float apx_node_float(const struct apx_node *node, const char *name, float fallback)
{
    const struct apx_attr *attr = attr_of_type(node, name, APX_ATTR_FLOAT);
    return attr != NULL ? attr->f : fallback;
}

const char *apx_node_string(const struct apx_node *node, const char *name, const char *fallback)
{
    const struct apx_attr *attr = attr_of_type(node, name, APX_ATTR_STRING);
    return attr != NULL ? attr->s : fallback;
}

int apx_graph_use_count(const struct apx_graph *graph, int v)
{
    int uses = 0;
    for (int n = 0; n < graph->node_count; n++) {
        const struct apx_node *node = &graph->nodes[n];
        for (int i = 0; !node->is_dead && i < node->in_count; i++)
            uses += node->in[i] == v;
    }
    for (int i = 0; i < graph->output_count; i++)
        uses += graph->outputs[i] == v;
    return uses;
}

void apx_graph_replace_value(struct apx_graph *graph, int from, int to)
{
    for (int n = 0; n < graph->node_count; n++) {
        struct apx_node *node = &graph->nodes[n];
        for (int i = 0; i < node->in_count; i++)
            if (node->in[i] == from)
                node->in[i] = to;
    }
    for (int i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == from)
            graph->outputs[i] = to;
}

/* Work list from the outputs back to what they need. `made_by` is rebuilt here rather than taken
 * from apx_value.producer, so that a pass in the middle of its work may sweep as well. */
void apx_graph_sweep(struct apx_graph *graph)
{
    size_t values = (size_t)graph->value_count, nodes = (size_t)graph->node_count;
    int *made_by = apx_alloc(graph->allocator, values + nodes, sizeof *made_by);
    bool *needed = apx_alloc(graph->allocator, nodes, sizeof *needed);
    if (made_by == NULL || needed == NULL)
        goto done; /* nodes nobody needs cost time, not correctness */
    int *pending = made_by + values, pending_count = 0;
    for (size_t v = 0; v < values; v++)
        made_by[v] = -1;
    for (int n = 0; n < graph->node_count; n++)
        for (int i = 0; !graph->nodes[n].is_dead && i < graph->nodes[n].out_count; i++)
            if (graph->nodes[n].out[i] >= 0)
                made_by[graph->nodes[n].out[i]] = n;
    for (int i = 0; i < graph->output_count; i++) {
        int n = made_by[graph->outputs[i]];
        if (n >= 0 && !needed[n]) {
            needed[n] = true;
            pending[pending_count++] = n;
        }
    }
    while (pending_count > 0) {
        const struct apx_node *node = &graph->nodes[pending[--pending_count]];
        for (int i = 0; i < node->in_count; i++) {
            int n = node->in[i] >= 0 ? made_by[node->in[i]] : -1;
            if (n >= 0 && !needed[n]) {
                needed[n] = true;
                pending[pending_count++] = n;
            }
        }
    }
    for (int n = 0; n < graph->node_count; n++)
        graph->nodes[n].is_dead = graph->nodes[n].is_dead || !needed[n];
done:
    apx_release(graph->allocator, made_by);
    apx_release(graph->allocator, needed);
}
