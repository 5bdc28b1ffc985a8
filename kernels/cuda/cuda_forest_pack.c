/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_forest_pack.c - a forest into the form of cuda_forest.h. */
#include "kernels/cuda/cuda_forest.h"

#include <math.h>
#include <string.h>

_Static_assert(sizeof(struct cuda_forest) <= APX_CUDA_FOREST_HEADER, "the host keeps all of it");

static uint64_t place(uint64_t *end, size_t count, size_t size)
{
    const uint64_t at = (*end + 127) / 128 * 128;
    *end = at + count * size;
    return at;
}

/* The groups, counted or written down too. */
static uint32_t cut_groups(const struct apx_forest_desc *desc, uint32_t *out)
{
    uint32_t groups = 0;
    for (size_t t = 0; t < desc->trees; groups++) {
        const uint32_t first = desc->roots[t];
        if (out != NULL)
            out[groups] = (uint32_t)t;
        do
            t++;
        while (t < desc->trees && desc->roots[t + 1] - first <= CUDA_FOREST_STAGE);
    }
    if (out != NULL)
        out[groups] = (uint32_t)desc->trees;
    return groups;
}

static bool is_compact(const struct apx_forest_desc *desc)
{
    bool compact = !desc->compares_double && desc->features < CUDA_NODE_LEAF;
    for (size_t i = 0; i < desc->node_count && compact; i++) {
        const struct apx_tree_node *node = &desc->nodes[i];
        compact = node->feature < 0 || (node->set < 0 && node->right - i <= UINT16_MAX);
    }
    return compact;
}

static void lay_out(const struct apx_forest_desc *desc, struct cuda_forest *out)
{
    memset(out, 0, sizeof *out);
    out->features = (uint32_t)desc->features;
    out->outputs = (uint32_t)desc->outputs;
    out->trees = (uint32_t)desc->trees;
    out->sum = (uint32_t)desc->sum;
    out->compares_double = desc->compares_double;
    out->sums_double = desc->sums_double;
    out->has_tree_output = desc->tree_output != NULL;
    out->is_linear = desc->linear != NULL;
    out->is_compact = is_compact(desc);
    if (desc->trees > 0)
        out->depth =
            (uint32_t)ceil(1.3 * log2((double)desc->leaf_count / (double)desc->trees + 1.0));
    const size_t width = out->has_tree_output ? 1 : desc->outputs;
    const size_t sum = desc->sums_double ? sizeof(double) : sizeof(float);
    const size_t node = out->is_compact ? sizeof(struct cuda_node) : sizeof(struct cuda_wide_node);
    uint64_t end = APX_CUDA_FOREST_HEADER;
    out->roots = place(&end, desc->trees + 1, sizeof(uint32_t));
    out->nodes = place(&end, desc->node_count, node);
    if (out->is_compact) {
        out->group_count = cut_groups(desc, NULL);
        out->groups = place(&end, out->group_count + 1, sizeof(uint32_t));
    }
    out->leaf_values = place(&end, desc->leaf_count * width, sum);
    out->leaf_ids = place(&end, desc->leaf_count, sizeof(uint32_t));
    out->tree_output = place(&end, out->has_tree_output ? desc->trees : 0, sizeof(uint32_t));
    out->set_begin = place(&end, desc->set_count + 1, sizeof(uint32_t));
    out->bounds =
        place(&end, desc->set_count > 0 ? desc->set_begin[desc->set_count] : 0, sizeof(double));
    out->base = place(&end, desc->outputs, sum);
    if (out->is_linear) {
        const size_t terms = desc->linear->begin[desc->leaf_count];
        out->constant = place(&end, desc->leaf_count, sizeof(double));
        out->begin = place(&end, desc->leaf_count + 1, sizeof(uint32_t));
        out->coefficient_feature = place(&end, terms, sizeof(uint32_t));
        out->coefficient = place(&end, terms, sizeof(double));
    }
    out->bytes = (end + 127) / 128 * 128;
}

size_t apx_cuda_forest_pack_bound(const struct apx_forest_desc *desc)
{
    struct cuda_forest header;
    lay_out(desc, &header);
    return header.bytes;
}

static void put_nodes(const struct apx_forest_desc *desc, bool compact, char *to)
{
    for (size_t i = 0; i < desc->node_count; i++) {
        const struct apx_tree_node *node = &desc->nodes[i];
        const bool is_leaf = node->feature < 0;
        if (compact) {
            const float threshold = (float)node->threshold;
            struct cuda_node out = {.value = node->left, .feature = CUDA_NODE_LEAF};
            if (!is_leaf) {
                memcpy(&out.value, &threshold, sizeof out.value);
                out.feature = (uint16_t)((uint32_t)node->feature |
                                         (node->nan_right ? CUDA_NODE_NAN_RIGHT : 0));
                out.right = (uint16_t)(node->right - i);
            }
            memcpy(to + i * sizeof out, &out, sizeof out);
        } else {
            const struct cuda_wide_node out = {.threshold = node->threshold,
                                               .feature = node->feature,
                                               .set = node->set,
                                               .right =
                                                   is_leaf ? node->left : node->right - (uint32_t)i,
                                               .nan_right = node->nan_right};
            memcpy(to + i * sizeof out, &out, sizeof out);
        }
    }
}

static void put_sums(bool in_double, size_t count, const double *from, char *to)
{
    for (size_t i = 0; i < count; i++) {
        const float rounded = (float)from[i];
        if (in_double)
            memcpy(to + i * sizeof(double), &from[i], sizeof(double));
        else
            memcpy(to + i * sizeof(float), &rounded, sizeof(float));
    }
}

static void put(char *to, const void *from, size_t bytes)
{
    if (bytes > 0)
        memcpy(to, from, bytes);
}

size_t apx_cuda_forest_pack(const struct apx_forest_desc *desc, void *memory)
{
    struct cuda_forest header;
    char *base = memory;
    lay_out(desc, &header);
    memset(base, 0, header.bytes);
    put(base, &header, sizeof header);
    put(base + header.roots, desc->roots, (desc->trees + 1) * sizeof(uint32_t));
    put_nodes(desc, header.is_compact, base + header.nodes);
    if (header.is_compact)
        cut_groups(desc, (uint32_t *)(void *)(base + header.groups));
    const size_t width = header.has_tree_output ? 1 : desc->outputs;
    put_sums(desc->sums_double, desc->leaf_count * width, desc->leaf_values,
             base + header.leaf_values);
    put(base + header.leaf_ids, desc->leaf_ids, desc->leaf_count * sizeof(uint32_t));
    if (header.has_tree_output)
        put(base + header.tree_output, desc->tree_output, desc->trees * sizeof(uint32_t));
    if (desc->set_count > 0) {
        put(base + header.set_begin, desc->set_begin, (desc->set_count + 1) * sizeof(uint32_t));
        put(base + header.bounds, desc->bounds, desc->set_begin[desc->set_count] * sizeof(double));
    }
    put_sums(desc->sums_double, desc->outputs, desc->base, base + header.base);
    if (header.is_linear) {
        const struct apx_forest_linear *linear = desc->linear;
        const size_t terms = linear->begin[desc->leaf_count];
        put(base + header.constant, linear->constant, desc->leaf_count * sizeof(double));
        put(base + header.begin, linear->begin, (desc->leaf_count + 1) * sizeof(uint32_t));
        put(base + header.coefficient_feature, linear->feature, terms * sizeof(uint32_t));
        put(base + header.coefficient, linear->coefficient, terms * sizeof(double));
    }
    return header.bytes;
}
