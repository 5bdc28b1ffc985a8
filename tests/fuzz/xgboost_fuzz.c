/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_fuzz.c - any bytes as an XGBoost file; an accepted model's forest is what the kernels
 * rely on, and rows go through it. */
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_read.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROWS          3
#define MOST_FEATURES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_tree(const struct apx_forest_desc *desc, size_t t)
{
    const size_t begin = desc->roots[t], end = desc->roots[t + 1];
    size_t splits = 0, leaves = 0;
    require(begin < end && end <= desc->node_count);
    for (size_t i = begin; i < end; i++) {
        const struct apx_tree_node *node = &desc->nodes[i];
        if (node->feature < 0) {
            require(node->left < desc->leaf_count);
            leaves++;
            continue;
        }
        require((size_t)node->feature < desc->features);
        require(node->left == i + 1 && node->right > node->left && node->right < end);
        require(node->set < 0 ? !isnan(node->threshold) : (size_t)node->set < desc->set_count);
        splits++;
    }
    require(leaves == splits + 1);
    if (desc->tree_output != NULL)
        require(desc->tree_output[t] < desc->outputs);
}

static void check_forest(const struct apx_forest_desc *desc)
{
    require(desc->roots[0] == 0 && desc->roots[desc->trees] == desc->node_count);
    for (size_t t = 0; t < desc->trees; t++)
        check_tree(desc, t);
    for (size_t s = 0; s < desc->set_count; s++) {
        require(desc->set_begin[s] <= desc->set_begin[s + 1]);
        for (size_t i = desc->set_begin[s] + 1; i < desc->set_begin[s + 1]; i++)
            require(desc->bounds[i - 1] < desc->bounds[i]);
    }
    for (size_t k = 0; k < desc->outputs; k++)
        require(!desc->compares_double && !desc->sums_double && desc->sum == APX_FOREST_SUM);
}

/* Rows of numbers, of NaN and of infinities through the reference. */
static void run(const struct apx_forest_desc *desc)
{
    const struct apx_allocator *allocator = apx_allocator_default();
    size_t count;
    const struct apx_forest_row *row = apx_forest_rows(&count) + count - 1; /* the reference */
    void *packed = apx_alloc(allocator, 1, row->pack_bound(desc));
    float *x = apx_alloc(allocator, ROWS * desc->features, sizeof *x);
    float *margins = apx_alloc(allocator, ROWS * desc->outputs, sizeof *margins);
    uint32_t *leaves = apx_alloc(allocator, ROWS * desc->trees, sizeof *leaves);
    require(packed != NULL && x != NULL && margins != NULL && leaves != NULL);
    for (size_t i = 0; i < desc->features; i++) {
        x[i] = (float)i;
        x[desc->features + i] = NAN;
        x[2 * desc->features + i] = i % 2 == 0 ? INFINITY : -1.5f;
    }
    row->pack(desc, packed);
    void *scratch = apx_alloc(allocator, 1, row->scratch_bytes(packed));
    require(scratch != NULL);
    row->run(&(struct apx_forest_args){.packed = packed,
                                       .rows = ROWS,
                                       .x = x,
                                       .x_row = (ptrdiff_t)desc->features,
                                       .margins = margins,
                                       .leaves = leaves,
                                       .scratch = scratch});
    apx_release(allocator, scratch);
    apx_release(allocator, packed);
    apx_release(allocator, x);
    apx_release(allocator, margins);
    apx_release(allocator, leaves);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apx_error error = {0};
    struct apx_graph *graph = NULL;
    enum apx_status status = apx_xgboost_read(data, size, apx_allocator_default(), &graph, &error);
    require((status == APX_OK) == (graph != NULL));
    if (status != APX_OK) {
        require(error.status == status && error.message[0] != '\0');
        return 0;
    }
    const struct apx_forest_desc *desc = &graph->forests->desc;
    check_forest(desc);
    if (desc->features <= MOST_FEATURES && desc->outputs <= MOST_FEATURES)
        run(desc);
    if (apx_graph_infer(graph, &error) != APX_OK) /* a graph that this reader made is sound */
        abort();
    apx_graph_destroy(graph);
    return 0;
}
