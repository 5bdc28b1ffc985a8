/* SPDX-License-Identifier: Apache-2.0 */
/* forest_build.c - trees as files have them to the one order that the kernels read.
 *
 * Everything that a hostile file could do to a tree (children outside of it, cycles, shared
 * subtrees, features that are not there) ends here. */
#include "runtime/model/forest/forest.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

struct apx_forest_memory {
    struct apx_forest_memory *next;
};

#define HEADER APX_CACHE_LINE /* keeps what follows aligned */

/* An array that grows, behind a HEADER: it becomes the forest's memory as it is. */
struct list {
    void *data;
    size_t count, capacity, size;
};

struct apx_forest_builder {
    const struct apx_allocator *allocator;
    size_t features, outputs, leaf_width;
    struct list nodes, roots, tree_output, leaf_values, leaf_ids, value_index, set_begin, bounds;
    struct list known_sets;     /* open addressing: index + 1 of a set, 0: free; a power of two */
    struct list stack, visited; /* work space of one tree */
    struct apx_error *error;
};

static void release(const struct apx_allocator *allocator, struct list *list)
{
    if (list->data != NULL)
        apx_release(allocator, (char *)list->data - HEADER);
    list->data = NULL;
    list->capacity = 0;
}

static bool reserve(struct apx_forest_builder *b, struct list *list, size_t more)
{
    if (list->data != NULL && more <= list->capacity - list->count)
        return true;
    size_t capacity = list->capacity > 0 ? list->capacity : 64;
    while (capacity - list->count < more)
        capacity *= 2;
    size_t bytes;
    if (__builtin_mul_overflow(capacity, list->size, &bytes) || bytes > SIZE_MAX - HEADER)
        return false;
    char *moved = apx_alloc(b->allocator, 1, HEADER + bytes);
    if (moved == NULL)
        return false;
    if (list->count > 0)
        memcpy(moved + HEADER, list->data, list->count * list->size);
    release(b->allocator, list);
    list->data = moved + HEADER;
    list->capacity = capacity;
    return true;
}

/* `more` new elements, or NULL. */
static void *extend(struct apx_forest_builder *b, struct list *list, size_t more)
{
    if (!reserve(b, list, more))
        return NULL;
    void *at = (char *)list->data + list->count * list->size;
    list->count += more;
    return at;
}

static enum apx_status no_memory(struct apx_error *error)
{
    return apx_fail(error, APX_ENOMEM, "", "out of memory for the trees");
}

enum apx_status apx_forest_builder_create(const struct apx_allocator *allocator, size_t features,
                                          size_t outputs, size_t leaf_width,
                                          struct apx_forest_builder **out, struct apx_error *error)
{
    *out = NULL;
    if (features > APX_LIMIT_FEATURES)
        return apx_fail(error, APX_ELIMIT, "features",
                        "%zu features; at most APX_LIMIT_FEATURES (%d) are read", features,
                        APX_LIMIT_FEATURES);
    if (outputs < 1 || outputs > APX_LIMIT_TREE_OUTPUTS)
        return apx_fail(error, APX_ELIMIT, "outputs",
                        "%zu outputs; 1 to APX_LIMIT_TREE_OUTPUTS (%d) are read", outputs,
                        APX_LIMIT_TREE_OUTPUTS);
    struct apx_forest_builder *b = apx_alloc(allocator, 1, sizeof *b);
    if (b == NULL)
        return no_memory(error);
    b->allocator = allocator;
    b->features = features;
    b->outputs = outputs;
    b->leaf_width = leaf_width;
    b->nodes.size = sizeof(struct apx_tree_node);
    b->roots.size = b->tree_output.size = b->leaf_ids.size = sizeof(uint32_t);
    b->value_index.size = b->set_begin.size = b->stack.size = sizeof(uint32_t);
    b->known_sets.size = sizeof(uint32_t);
    b->leaf_values.size = b->bounds.size = sizeof(double);
    b->visited.size = sizeof(bool);
    uint32_t *first = extend(b, &b->roots, 1), *begin = extend(b, &b->set_begin, 1);
    if (first == NULL || begin == NULL) {
        apx_forest_builder_destroy(b);
        return no_memory(error);
    }
    *first = *begin = 0;
    *out = b;
    return APX_OK;
}

bool apx_forest_builder_reserve(struct apx_forest_builder *b, size_t nodes, size_t leaves)
{
    return reserve(b, &b->nodes, nodes) && reserve(b, &b->leaf_ids, leaves) &&
           reserve(b, &b->value_index, leaves) &&
           reserve(b, &b->leaf_values, leaves * b->leaf_width);
}

void apx_forest_builder_destroy(struct apx_forest_builder *b)
{
    if (b == NULL)
        return;
    struct list *lists[] = {&b->nodes,    &b->roots,       &b->tree_output, &b->leaf_values,
                            &b->leaf_ids, &b->value_index, &b->set_begin,   &b->bounds,
                            &b->stack,    &b->visited,     &b->known_sets};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        release(b->allocator, lists[i]);
    apx_release(b->allocator, b);
}

/* ---- sets ------------------------------------------------------------------------------------ */

static uint64_t hash_bounds(const double *bounds, size_t count)
{
    uint64_t hash = 14695981039346656037u ^ count; /* FNV-1a, a double at a time */
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &bounds[i], sizeof bits);
        hash = (hash ^ bits) * 1099511628211u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* Where an equal set is listed, or the free place where it would be. */
static uint32_t *find_set(struct apx_forest_builder *b, const double *bounds, size_t count)
{
    uint32_t *known = b->known_sets.data;
    const uint32_t *begin = b->set_begin.data;
    const double *all = b->bounds.data;
    size_t mask = b->known_sets.count - 1, at = (size_t)hash_bounds(bounds, count) & mask;
    for (;; at = (at + 1) & mask) {
        if (known[at] == 0)
            return &known[at];
        uint32_t set = known[at] - 1, length = begin[set + 1] - begin[set];
        if (length == count &&
            (count == 0 || memcmp(all + begin[set], bounds, count * sizeof *bounds) == 0))
            return &known[at];
    }
}

/* At most half full. */
static bool grow_known_sets(struct apx_forest_builder *b)
{
    size_t sets = b->set_begin.count - 1;
    const uint32_t *begin = b->set_begin.data;
    if (b->known_sets.count > 2 * sets + 1)
        return true;
    size_t places = b->known_sets.count > 0 ? 2 * b->known_sets.count : 64;
    b->known_sets.count = 0;
    uint32_t *known = extend(b, &b->known_sets, places);
    if (known == NULL)
        return false;
    memset(known, 0, places * sizeof *known);
    for (size_t i = 0; i < sets; i++)
        *find_set(b, (const double *)b->bounds.data + begin[i], begin[i + 1] - begin[i]) =
            (uint32_t)i + 1;
    return true;
}

int32_t apx_forest_builder_set(struct apx_forest_builder *b, const double *bounds, size_t count)
{
    for (size_t i = 1; i < count; i++)
        assert(bounds[i - 1] < bounds[i]);
    if (b->set_begin.count > INT32_MAX || b->bounds.count + count > UINT32_MAX ||
        !grow_known_sets(b))
        return -1;
    uint32_t *place = find_set(b, bounds, count);
    if (*place != 0)
        return (int32_t)(*place - 1);
    double *to = extend(b, &b->bounds, count);
    uint32_t *end = extend(b, &b->set_begin, 1);
    if (to == NULL || end == NULL)
        return -1;
    if (count > 0)
        memcpy(to, bounds, count * sizeof *bounds);
    *end = (uint32_t)b->bounds.count;
    *place = (uint32_t)(b->set_begin.count - 1);
    return (int32_t)(b->set_begin.count - 2);
}

/* ---- one tree -------------------------------------------------------------------------------- */

enum apx_status apx_forest_tree_fail(struct apx_error *error, size_t tree, size_t node,
                                     const char *format, ...)
{
    char field[32], text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(field, sizeof field, "tree %zu", tree);
    return apx_fail(error, APX_EFORMAT, field, "tree %zu, node %zu: %s", tree, node, text);
}

static enum apx_status add_leaf(struct apx_forest_builder *b, const struct apx_tree_node *from,
                                size_t at, struct apx_tree_node *to, const double *values,
                                size_t value_count)
{
    if (from->left >= value_count)
        return apx_forest_tree_fail(b->error, b->roots.count - 1, at,
                                    "a leaf without a value: number %u of %zu",
                                    (unsigned)from->left, value_count);
    uint32_t *id = extend(b, &b->leaf_ids, 1), *index = extend(b, &b->value_index, 1);
    double *value = extend(b, &b->leaf_values, b->leaf_width);
    if (id == NULL || index == NULL || value == NULL)
        return no_memory(b->error);
    *id = from->right;
    *index = from->left;
    memcpy(value, values + from->left * b->leaf_width, b->leaf_width * sizeof *value);
    *to = (struct apx_tree_node){
        .feature = -1, .set = -1, .left = (uint32_t)(b->leaf_ids.count - 1), .cover = from->cover};
    return APX_OK;
}

static enum apx_status check_split(struct apx_forest_builder *b, const struct apx_tree_node *node,
                                   size_t at, size_t count)
{
    if (node->feature < 0 || (size_t)node->feature >= b->features)
        return apx_forest_tree_fail(
            b->error, b->roots.count - 1, at,
            "a feature that the model does not have: number %d, counted from 0, of %zu",
            (int)node->feature, b->features);
    if (node->left >= count || node->right >= count)
        return apx_forest_tree_fail(b->error, b->roots.count - 1, at,
                                    "a child outside of the tree: %u and %u of %zu nodes",
                                    (unsigned)node->left, (unsigned)node->right, count);
    if (node->set >= 0 && (size_t)node->set + 1 >= b->set_begin.count)
        return apx_forest_tree_fail(b->error, b->roots.count - 1, at,
                                    "a set of categories that is not there: %d", (int)node->set);
    if (node->set < 0 && isnan(node->threshold))
        return apx_forest_tree_fail(b->error, b->roots.count - 1, at, "a threshold that is NaN");
    return APX_OK;
}

/* Preorder. The stack holds pairs: a raw node, and the emitted node whose right child it is
 * (UINT32_MAX: it follows its parent or is the root). */
static enum apx_status emit(struct apx_forest_builder *b, const struct apx_tree_node *nodes,
                            size_t count, uint32_t root, const double *values, size_t value_count)
{
    bool *visited = b->visited.data;
    uint32_t *top = extend(b, &b->stack, 2);
    if (top == NULL)
        return no_memory(b->error);
    top[0] = root;
    top[1] = UINT32_MAX;
    while (b->stack.count > 0) {
        uint32_t *pair = (uint32_t *)b->stack.data + b->stack.count - 2;
        uint32_t at = pair[0], parent = pair[1];
        b->stack.count -= 2;
        if (at >= count)
            return apx_forest_tree_fail(b->error, b->roots.count - 1, at,
                                        "a root outside of the tree, which has %zu nodes", count);
        if (visited[at])
            return apx_forest_tree_fail(b->error, b->roots.count - 1, at,
                                        "a node with two parents");
        visited[at] = true;
        if (b->nodes.count >= APX_LIMIT_TREE_NODES)
            return apx_fail(b->error, APX_ELIMIT, "trees",
                            "more nodes than APX_LIMIT_TREE_NODES (%d)", APX_LIMIT_TREE_NODES);
        uint32_t index = (uint32_t)b->nodes.count;
        struct apx_tree_node *to = extend(b, &b->nodes, 1);
        if (to == NULL)
            return no_memory(b->error);
        if (parent != UINT32_MAX)
            ((struct apx_tree_node *)b->nodes.data)[parent].right = index;
        enum apx_status status = nodes[at].feature == -1
                                     ? add_leaf(b, &nodes[at], at, to, values, value_count)
                                     : check_split(b, &nodes[at], at, count);
        if (status != APX_OK)
            return status;
        if (nodes[at].feature == -1)
            continue;
        *to = nodes[at];
        to->left = index + 1;
        uint32_t *next = extend(b, &b->stack, 4);
        if (next == NULL)
            return no_memory(b->error);
        next[0] = nodes[at].right;
        next[1] = index;
        next[2] = nodes[at].left;
        next[3] = UINT32_MAX;
    }
    return APX_OK;
}

enum apx_status apx_forest_builder_tree(struct apx_forest_builder *b,
                                        const struct apx_tree_node *nodes, size_t count,
                                        uint32_t root, uint32_t output, const double *values,
                                        size_t value_count, struct apx_error *error)
{
    b->error = error;
    if (b->roots.count > APX_LIMIT_TREES)
        return apx_fail(error, APX_ELIMIT, "trees", "more trees than APX_LIMIT_TREES (%d)",
                        APX_LIMIT_TREES);
    if (b->leaf_width == 1 && output >= b->outputs)
        return apx_forest_tree_fail(b->error, b->roots.count - 1, root,
                                    "an output that the model does not have: %u of %zu",
                                    (unsigned)output, b->outputs);
    b->visited.count = b->stack.count = 0;
    bool *visited = extend(b, &b->visited, count);
    if (visited == NULL)
        return no_memory(error);
    if (count > 0)
        memset(visited, 0, count * sizeof *visited);
    enum apx_status status = emit(b, nodes, count, root, values, value_count);
    if (status != APX_OK)
        return status;
    uint32_t *end = extend(b, &b->roots, 1), *to = extend(b, &b->tree_output, 1);
    if (end == NULL || to == NULL)
        return no_memory(error);
    *end = (uint32_t)b->nodes.count;
    *to = output;
    return APX_OK;
}

size_t apx_forest_builder_leaves(const struct apx_forest_builder *b, const uint32_t **value_index)
{
    *value_index = b->value_index.data;
    return b->leaf_ids.count;
}

/* ---- the forest ------------------------------------------------------------------------------ */

void *apx_forest_alloc(struct apx_forest *forest, size_t bytes)
{
    if (bytes > SIZE_MAX - HEADER)
        return NULL;
    struct apx_forest_memory *memory = apx_alloc(forest->allocator, 1, HEADER + bytes);
    if (memory == NULL)
        return NULL;
    memory->next = forest->memory;
    forest->memory = memory;
    return (char *)memory + HEADER;
}

void apx_forest_destroy(struct apx_forest *forest)
{
    if (forest == NULL)
        return;
    for (struct apx_forest_memory *memory = forest->memory, *next; memory != NULL; memory = next) {
        next = memory->next;
        apx_release(forest->allocator, memory);
    }
    apx_release(forest->allocator, forest);
}

/* A list's elements as the forest's own memory; the list keeps nothing. */
static const void *move(struct apx_forest *forest, struct list *list, bool *ok)
{
    if (list->data == NULL) {
        void *nothing = apx_forest_alloc(forest, 0);
        *ok = *ok && nothing != NULL;
        return nothing;
    }
    void *elements = list->data;
    struct apx_forest_memory *memory = (void *)((char *)elements - HEADER);
    memory->next = forest->memory;
    forest->memory = memory;
    list->data = NULL;
    list->capacity = 0;
    return elements;
}

enum apx_status apx_forest_builder_finish(struct apx_forest_builder *b, struct apx_forest **out,
                                          struct apx_error *error)
{
    *out = NULL;
    struct apx_forest *forest = apx_alloc(b->allocator, 1, sizeof *forest);
    if (forest == NULL)
        return no_memory(error);
    forest->allocator = b->allocator;
    forest->source = "";
    struct apx_forest_desc *desc = &forest->desc;
    bool ok = true;
    desc->features = b->features;
    desc->outputs = b->outputs;
    desc->trees = b->roots.count - 1;
    desc->node_count = b->nodes.count;
    desc->leaf_count = b->leaf_ids.count;
    desc->set_count = b->set_begin.count - 1;
    desc->roots = move(forest, &b->roots, &ok);
    desc->nodes = move(forest, &b->nodes, &ok);
    desc->tree_output = move(forest, &b->tree_output, &ok);
    if (b->leaf_width != 1)
        desc->tree_output = NULL;
    desc->leaf_values = move(forest, &b->leaf_values, &ok);
    desc->leaf_ids = move(forest, &b->leaf_ids, &ok);
    desc->set_begin = move(forest, &b->set_begin, &ok);
    desc->bounds = move(forest, &b->bounds, &ok);
    desc->base = apx_forest_alloc(forest, b->outputs * sizeof(double));
    if (!ok || desc->base == NULL) {
        apx_forest_destroy(forest);
        return no_memory(error);
    }
    *out = forest;
    return APX_OK;
}

bool apx_above_float(float t, double *out)
{
    float next = nextafterf(t, INFINITY);
    *out = (double)next;
    return !(t == INFINITY);
}

bool apx_above_double(double t, double *out)
{
    *out = nextafter(t, (double)INFINITY);
    return !(t == (double)INFINITY);
}
