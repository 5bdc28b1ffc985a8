/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_fuzz.c - any bytes to the reader of LightGBM's text; a forest that comes of them must be
 * what forest.h and kernels.h say, and the reference row must run it. */
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept)
{
    if (!kept)
        abort();
}

/* In preorder, a proper binary tree ends where no branch is open any more. *leaf: the next one's
 * index. */
static void check_tree(const struct apx_forest_desc *desc, uint32_t begin, uint32_t end,
                       uint32_t *leaf)
{
    uint32_t open = 1;
    for (uint32_t n = begin; n < end; n++) {
        const struct apx_tree_node *node = &desc->nodes[n];
        promise(open > 0);
        if (node->feature == -1) {
            promise(node->left == (*leaf)++);
            open--;
            continue;
        }
        promise(node->feature >= 0 && (size_t)node->feature < desc->features);
        promise(node->left == n + 1 && node->right > n + 1 && node->right < end);
        promise(node->set < 0 || (size_t)node->set < desc->set_count);
        promise(node->set >= 0 || !isnan(node->threshold));
        open++;
    }
    promise(open == 0);
}

static void check_forest(const struct apx_forest *forest)
{
    const struct apx_forest_desc *desc = &forest->desc;
    uint32_t leaf = 0;
    promise(desc->features > 0 && desc->outputs > 0 && desc->trees % desc->outputs == 0);
    promise(desc->compares_double && desc->sums_double && forest->output_double);
    for (size_t t = 0; t < desc->trees; t++) {
        promise(desc->roots[t] < desc->roots[t + 1]);
        promise(desc->tree_output[t] == t % desc->outputs);
        check_tree(desc, desc->roots[t], desc->roots[t + 1], &leaf);
    }
    promise(desc->roots[desc->trees] == desc->node_count && leaf == desc->leaf_count);
    for (size_t s = 0; s < desc->set_count; s++)
        for (uint32_t b = desc->set_begin[s]; b < desc->set_begin[s + 1]; b++)
            promise(b == desc->set_begin[s] || desc->bounds[b - 1] < desc->bounds[b]);
    const struct apx_forest_linear *linear = desc->linear;
    for (size_t i = 0; linear != NULL && i < desc->leaf_count; i++) {
        promise(linear->begin[i] <= linear->begin[i + 1]);
        for (uint32_t k = linear->begin[i]; k < linear->begin[i + 1]; k++)
            promise(linear->feature[k] < desc->features);
    }
}

static void run_forest(const struct apx_forest_desc *desc)
{
    static const double values[] = {0, 1, -1, (double)NAN, 1e-35, 0.5, (double)INFINITY};
    size_t count;
    const struct apx_forest_row *row = apx_forest_rows(&count) + count - 1;
    const size_t rows = sizeof values / sizeof values[0];
    if (desc->features > 4096 || desc->outputs > 4096)
        return;
    double *x = calloc(rows * desc->features, sizeof *x);
    double *margins = calloc(rows * desc->outputs, sizeof *margins);
    uint32_t *leaves = calloc(rows * desc->trees + 1, sizeof *leaves);
    void *packed = apx_alloc(apx_allocator_default(), 1, row->pack_bound(desc));
    promise(x != NULL && margins != NULL && leaves != NULL && packed != NULL);
    for (size_t i = 0; i < rows * desc->features; i++)
        x[i] = values[(i / desc->features + i) % rows];
    row->pack(desc, packed);
    void *scratch = apx_alloc(apx_allocator_default(), 1, row->scratch_bytes(packed));
    promise(scratch != NULL);
    row->run(&(struct apx_forest_args){.packed = packed,
                                       .rows = rows,
                                       .x = x,
                                       .x_is_double = true,
                                       .x_row = (ptrdiff_t)desc->features,
                                       .margins = margins,
                                       .leaves = leaves,
                                       .scratch = scratch});
    apx_release(apx_allocator_default(), scratch);
    apx_release(apx_allocator_default(), packed);
    free(x);
    free(margins);
    free(leaves);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apx_graph *graph;
    struct apx_error error = {0};
    enum apx_status status = apx_lightgbm_read(data, size, apx_allocator_default(), &graph, &error);
    promise((status == APX_OK) == (graph != NULL));
    promise(status == APX_OK || (error.status == status && error.message[0] != '\0'));
    if (status == APX_OK) {
        check_forest(graph->nodes[0].forest);
        run_forest(&graph->nodes[0].forest->desc);
        promise(apx_graph_infer(graph, &error) == APX_OK);
    }
    apx_graph_destroy(graph);
    return 0;
}
