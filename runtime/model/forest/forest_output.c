/* SPDX-License-Identifier: Apache-2.0 */
/* forest_output.c - a model's margins or leaves in place of its outputs. */
#include "runtime/model/forest/forest_output.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/infer.h"

static const struct {
    const char *word;
    int output; /* of the Forest node */
} outputs[] = {{"margin", 2}, {"leaf", 3}};

static enum apx_status find_output(const char *word, int *output, struct apx_error *error)
{
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++)
        if (strcmp(word, outputs[i].word) == 0) {
            *output = outputs[i].output;
            return APX_OK;
        }
    return apx_fail(error, APX_EINVAL, "trees", "trees is \"%s\"; say margin or leaf", word);
}

static enum apx_status find_forest(struct apx_graph *graph, struct apx_node **out,
                                   struct apx_error *error)
{
    int count = 0;
    for (int n = 0; n < graph->node_count; n++)
        if (graph->nodes[n].op == APX_OP_FOREST && !graph->nodes[n].is_dead) {
            *out = &graph->nodes[n];
            count++;
        }
    if (count != 1)
        return apx_fail(error, APX_EINVAL, "trees",
                        "margins and leaves are those of the one tree ensemble of a model; this "
                        "model has %d",
                        count);
    return APX_OK;
}

/* The value of output `i` of the node, made if nobody wanted it before; -1: out of memory. */
static int want_output(struct apx_graph *graph, struct apx_node *node, int i, const char *name)
{
    if (i < node->out_count && node->out[i] >= 0)
        return node->out[i];
    int producer = (int)(node - graph->nodes), v = apx_graph_add_value(graph, name);
    int *out = apx_graph_alloc(graph, (size_t)(i + 1) * sizeof *out);
    if (v < 0 || out == NULL)
        return -1;
    for (int o = 0; o <= i; o++)
        out[o] = o < node->out_count ? node->out[o] : -1;
    out[i] = v;
    node->out = out;
    node->out_count = i + 1 > node->out_count ? i + 1 : node->out_count;
    graph->values[v].producer = producer;
    return v;
}

enum apx_status apx_forest_choose_output(struct apx_graph *graph, const char *word,
                                         struct apx_error *error)
{
    struct apx_node *node = NULL;
    int output = -1;
    enum apx_status status = find_output(word, &output, error);
    if (status == APX_OK)
        status = find_forest(graph, &node, error);
    if (status != APX_OK)
        return status;
    int v = want_output(graph, node, output, word);
    int *list = apx_graph_alloc(graph, sizeof *list);
    if (v < 0 || list == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    list[0] = v;
    graph->outputs = list;
    graph->output_count = 1;
    status = apx_infer_forest(graph, node, error);
    if (status == APX_OK)
        apx_graph_sweep(graph);
    return status;
}
