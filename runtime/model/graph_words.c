/* SPDX-License-Identifier: Apache-2.0 */
/* graph_words.c - outputs that are text.
 *
 * No run computes with text. But what a classifier answers, when its classes are words, is one of a
 * list that the file holds, and nothing is done to it on its way to an output but a change of
 * shape: so the place in that list is computed, and the list goes with the value. Text of any other
 * kind is left out, where numbers remain. */
#include "runtime/model/forest/forest.h"
#include "runtime/model/graph.h"

enum { FOREST_LABELS = 1 }; /* the Forest node's output */

static bool is_text(const struct apx_graph *graph, int v)
{
    return v >= 0 && graph->values[v].dtype == APX_STRING;
}

/* The same elements in the same order. */
static bool only_reshapes(enum apx_op op)
{
    return op == APX_OP_IDENTITY || op == APX_OP_RESHAPE || op == APX_OP_FLATTEN ||
           op == APX_OP_SQUEEZE || op == APX_OP_UNSQUEEZE;
}

static void set_words(struct apx_graph *graph, int v, const char *const *words, size_t count)
{
    graph->values[v].words = words;
    graph->values[v].word_count = count;
}

/* The node chooses among columns of a constant row of texts. */
static bool is_lookup(const struct apx_graph *graph, const struct apx_node *node)
{
    if (node->op != APX_OP_ARRAY_FEATURE_EXTRACTOR || !is_text(graph, node->in[0]))
        return false;
    const struct apx_value *table = &graph->values[node->in[0]];
    int64_t rows = 1;
    return table->data != NULL &&
           (table->rank == 1 ||
            (table->rank == 2 && apx_dim_is_constant(&table->dims[0], &rows) && rows == 1));
}

/* What the node answers in text, if it says which texts there are. *v: the output; -1: none. False:
 * it makes text of something else, or reads text and does more than to reshape it. */
static bool find_words(struct apx_graph *graph, const struct apx_node *node, int *v)
{
    *v = -1;
    for (int i = 0; i < node->in_count; i++)
        if (is_text(graph, node->in[i]) && (i > 0 || !only_reshapes(node->op)))
            if (!is_lookup(graph, node))
                return false;
    for (int i = 0; i < node->out_count; i++)
        if (is_text(graph, node->out[i]))
            *v = node->out[i];
    if (*v < 0)
        return true;
    const struct apx_attr *texts = apx_node_attr(node, "classlabels_strings");
    if (node->op == APX_OP_LINEAR_CLASSIFIER && texts != NULL) {
        set_words(graph, *v, texts->strings, texts->count);
    } else if (node->op == APX_OP_FOREST && *v == node->out[FOREST_LABELS]) {
        set_words(graph, *v, node->forest->words, node->forest->word_count);
    } else if (is_lookup(graph, node)) {
        const struct apx_value *table = &graph->values[node->in[0]];
        set_words(graph, *v, table->data, table->bytes / sizeof(char *));
    } else if (only_reshapes(node->op)) {
        const struct apx_value *from = &graph->values[node->in[0]];
        set_words(graph, *v, from->words, from->word_count);
    }
    return graph->values[*v].words != NULL;
}

/* 0, 1, 2 ... for the table of texts. */
static bool number_table(struct apx_graph *graph, struct apx_node *node)
{
    const struct apx_value *table = &graph->values[node->in[0]];
    const int rank = table->rank;
    const size_t count = table->bytes / sizeof(char *);
    int64_t *numbers = apx_graph_alloc(graph, (count + 1) * sizeof *numbers);
    for (size_t i = 0; numbers != NULL && i < count; i++)
        numbers[i] = (int64_t)i;
    const int64_t dims[2] = {rank == 1 ? (int64_t)count : 1, (int64_t)count};
    const int v =
        numbers != NULL ? apx_graph_add_constant(graph, "", APX_I64, rank, dims, numbers) : -1;
    if (v >= 0)
        node->in[0] = v;
    return v >= 0;
}

/* All or nothing: a text that stays may be compared with the others. */
static bool find_all_words(struct apx_graph *graph)
{
    int v;
    for (int n = 0; n < graph->node_count; n++)
        if (!graph->nodes[n].is_dead && !find_words(graph, &graph->nodes[n], &v))
            return false;
    return true;
}

bool apx_graph_number_words(struct apx_graph *graph)
{
    bool ok = true;
    int v;
    apx_graph_sweep(graph);
    if (!find_all_words(graph)) {
        for (v = 0; v < graph->value_count; v++)
            set_words(graph, v, NULL, 0);
        return true;
    }
    for (int n = 0; n < graph->node_count && ok; n++) {
        struct apx_node *node = &graph->nodes[n];
        if (node->is_dead || !find_words(graph, node, &v) || v < 0)
            continue;
        if (is_lookup(graph, node))
            ok = number_table(graph, node);
        graph->values[v].dtype = APX_I64;
    }
    return ok;
}

bool apx_graph_leave_out_text(struct apx_graph *graph)
{
    int kept = 0, left_out = 0;
    for (int i = 0; i < graph->output_count; i++)
        left_out += graph->values[graph->outputs[i]].dtype == APX_STRING;
    if (left_out == 0 || left_out == graph->output_count)
        return true; /* an output that is refused says so itself */
    graph->left_out = apx_graph_alloc(graph, (size_t)left_out * sizeof *graph->left_out);
    if (graph->left_out == NULL)
        return false;
    for (int i = 0; i < graph->output_count; i++) {
        const struct apx_value *value = &graph->values[graph->outputs[i]];
        if (value->dtype == APX_STRING)
            graph->left_out[graph->left_out_count++] = value->name;
        else
            graph->outputs[kept++] = graph->outputs[i];
    }
    graph->output_count = kept;
    apx_graph_sweep(graph);
    for (int n = 0; n < graph->node_count; n++) {
        struct apx_node *node = &graph->nodes[n];
        for (int i = 0; !node->is_dead && i < node->out_count; i++)
            if (node->out[i] >= 0 && graph->values[node->out[i]].dtype == APX_STRING &&
                apx_graph_use_count(graph, node->out[i]) == 0)
                node->out[i] = -1;
    }
    return true;
}
