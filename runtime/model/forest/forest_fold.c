/* SPDX-License-Identifier: Apache-2.0 */
/* forest_fold.c - links and metadata back into a forest.
 *
 * A link is found from its last operator backwards: the list of steps says what the operands must
 * be. Only results that nothing else reads may disappear, so each must have as many readers as the
 * list has. */
#include "runtime/model/forest/forest_fold.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_members.h"
#include "runtime/model/forest/forest_onnx.h"
#include "runtime/model/forest/forest_tail.h"
#include "runtime/model/infer.h"

struct match {
    const struct apx_graph *graph;
    const struct apx_tail *tail;
    int scores;                 /* the forest's output */
    size_t outputs;             /* K */
    int result[APX_TAIL_STEPS]; /* the value of each step, -1: not met yet */
    struct apx_link link;
};

/* ---- operands -------------------------------------------------------------------------------- */

static bool is_matrix(const struct match *m, enum apx_tail_constant which,
                      const struct apx_value *value)
{
    size_t bytes = m->outputs * m->outputs * sizeof(float);
    if (value->data == NULL || value->dtype != APX_F32 || value->rank != 2 ||
        value->bytes != bytes || m->outputs > APX_TAIL_MATRIX_OUTPUTS)
        return false;
    float *expected = apx_alloc(m->graph->allocator, bytes, 1);
    if (expected != NULL)
        apx_tail_matrix(which, m->outputs, expected);
    bool equal = expected != NULL && memcmp(expected, value->data, bytes) == 0;
    apx_release(m->graph->allocator, expected);
    return equal;
}

static bool is_constant(struct match *m, const struct apx_tail_step *step, int v)
{
    const struct apx_value *value = &m->graph->values[v];
    double number;
    if (step->constant == APX_TAIL_FIRST || step->constant == APX_TAIL_CUMULATIVE)
        return is_matrix(m, step->constant, value);
    if (!apx_value_number(value, &number) || value->rank > 1)
        return false;
    switch (step->constant) {
    case APX_TAIL_COUNT:
        return number == (double)m->outputs;
    case APX_TAIL_A:
        m->link.a = number;
        return true;
    case APX_TAIL_MINUS_A:
        m->link.a = -number;
        return true;
    case APX_TAIL_DIVIDE:
        m->link.divide = number;
        return number != 0;
    default:
        return number == (value->dtype == APX_F32 ? (double)(float)step->number : step->number);
    }
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static bool has_attributes(const struct match *m, const struct apx_node *node)
{
    const struct apx_value *x = &m->graph->values[node->in[0]];
    enum apx_dtype scores = m->graph->values[m->scores].dtype;
    int64_t axis = apx_node_int(node, "axis", node->op == APX_OP_ARG_MAX ? 0 : -1);
    switch (node->op) {
    case APX_OP_CAST:
        return m->graph->values[node->out[0]].dtype == scores;
    case APX_OP_SOFTMAX:
        return x->rank == 2 && (axis == 1 || axis == -1);
    case APX_OP_ARG_MAX:
        return x->rank == 2 && (axis == 1 || axis == -1) && apx_node_int(node, "keepdims", 1) &&
               !apx_node_int(node, "select_last_index", 0);
    case APX_OP_TOP_K:
        return x->rank == 2 && (axis == 1 || axis == -1) && !apx_node_int(node, "largest", 1) &&
               apx_node_int(node, "sorted", 1) && (node->out_count < 2 || node->out[1] < 0);
    default:
        return true;
    }
}

static bool meets(struct match *m, int step, int v)
{
    const struct apx_tail_step *want = &m->tail->steps[step];
    if (v < 0 || m->result[step] >= 0)
        return v >= 0 && m->result[step] == v;
    if (m->graph->values[v].producer < 0)
        return false;
    const struct apx_node *node = &m->graph->nodes[m->graph->values[v].producer];
    int count = 0;
    while (count < 3 && want->in[count] != APX_TAIL_NOTHING)
        count++;
    if (node->is_dead || node->op != want->op || node->in_count != count || node->out[0] != v)
        return false;
    m->result[step] = v;
    for (int i = 0; i < count; i++) {
        int from = want->in[i], in = node->in[i];
        bool ok = in >= 0 && (from == APX_TAIL_MARGINS    ? in == m->scores
                              : from == APX_TAIL_CONSTANT ? is_constant(m, want, in)
                                                          : meets(m, from - 1, in));
        if (!ok)
            return false;
    }
    return has_attributes(m, node);
}

/* Nobody but the list's steps reads what will be gone. */
static bool is_closed(const struct match *m)
{
    int uses[APX_TAIL_STEPS + 1] = {0};
    for (int i = 0; i < m->tail->count; i++)
        for (int k = 0; k < 3; k++)
            if (m->tail->steps[i].in[k] >= 0)
                uses[m->tail->steps[i].in[k]]++;
    bool ok = apx_graph_use_count(m->graph, m->scores) == uses[0];
    for (int i = 0; i + 1 < m->tail->count; i++)
        ok = ok && apx_graph_use_count(m->graph, m->result[i]) == uses[i + 1];
    return ok;
}

static bool find(struct match *m)
{
    const struct apx_graph *graph = m->graph;
    enum apx_op last = m->tail->steps[m->tail->count - 1].op;
    for (int n = 0; n < graph->node_count; n++) {
        if (graph->nodes[n].is_dead || graph->nodes[n].op != last)
            continue;
        memset(m->result, -1, sizeof m->result);
        m->link = (struct apx_link){.kind = m->tail->kind};
        if (meets(m, m->tail->count - 1, graph->nodes[n].out[0]) && is_closed(m))
            return true;
    }
    return false;
}

/* ---- one forest ------------------------------------------------------------------------------ */

static struct apx_forest *forest_of(struct apx_graph *graph, const struct apx_node *node)
{
    struct apx_forest *forest = graph->forests;
    while (forest != NULL && forest != node->forest)
        forest = forest->next;
    return forest;
}

static void take_link(struct match *m, struct apx_graph *graph, struct apx_node *node,
                      struct apx_forest *forest)
{
    int end = m->result[m->tail->count - 1];
    for (int i = 0; i < m->tail->count; i++) {
        struct apx_node *gone = &graph->nodes[graph->values[m->result[i]].producer];
        gone->is_dead = true;
        gone->out[0] = -1;
    }
    node->out[0] = end;
    graph->values[end].producer = (int)(node - graph->nodes);
    forest->link = m->link;
}

/* TreeEnsemble has no base values: they are added behind it. */
static void fold_base(struct apx_graph *graph, struct apx_node *node, struct apx_forest *forest)
{
    struct apx_forest_desc *desc = &forest->desc;
    double *base = (double *)(uintptr_t)desc->base; /* the forest's own */
    int scores = node->out[0];
    for (size_t k = 0; k < desc->outputs; k++)
        if (base[k] != 0)
            return;
    if (!forest->output_double || !desc->sums_double || desc->sum != APX_FOREST_SUM || scores < 0 ||
        forest->link.kind != APX_LINK_NONE || forest->link.divide != 0 ||
        forest->label_rule != APX_LABEL_NONE || apx_graph_use_count(graph, scores) != 1)
        return;
    for (int n = 0; n < graph->node_count; n++) {
        struct apx_node *add = &graph->nodes[n];
        if (add->is_dead || add->op != APX_OP_ADD || add->in_count != 2 || add->in[0] != scores)
            continue;
        const struct apx_value *constant = apx_node_in(graph, add, 1);
        if (constant == NULL || constant->data == NULL || constant->rank != 1 ||
            constant->bytes != desc->outputs * sizeof *base)
            return;
        memcpy(base, constant->data, constant->bytes);
        node->out[0] = add->out[0];
        graph->values[add->out[0]].producer = (int)(node - graph->nodes);
        add->is_dead = true;
        add->out[0] = -1;
        return;
    }
}

/* The longest list of steps that is there, a division before it included. Lists are in their order,
 * and what begins with a division is longer. */
static void fold_link(struct apx_graph *graph, struct apx_node *node, struct apx_forest *forest)
{
    size_t count;
    const struct apx_tail *tails = apx_forest_tails(&count);
    const enum apx_dtype margins = forest->desc.sums_double ? APX_F64 : APX_F32;
    if (forest->link.kind != APX_LINK_NONE || forest->link.divide != 0 || node->out[0] < 0 ||
        (forest->output_double ? APX_F64 : APX_F32) != margins)
        return;
    struct match m = {.graph = graph, .scores = node->out[0], .outputs = forest->desc.outputs};
    for (size_t i = 0; i < 2 * count; i++) {
        struct apx_tail divided = apx_forest_tail_divided(&tails[i / 2]);
        m.tail = i % 2 == 0 ? &divided : &tails[i / 2];
        if (m.tail->count == 0 || !find(&m))
            continue;
        take_link(&m, graph, node, forest);
        return;
    }
}

static const char *metadata(const struct apx_graph *graph, const char *key)
{
    for (int i = 0; i < graph->metadata_count; i++)
        if (strcmp(graph->metadata[i].key, key) == 0)
            return graph->metadata[i].value;
    return "";
}

static bool are_floats(const double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((double)(float)numbers[i] != numbers[i] && numbers[i] == numbers[i])
            return false;
    return true;
}

static void sum_in_float(struct apx_forest *forest)
{
    struct apx_forest_desc *desc = &forest->desc;
    size_t width = desc->tree_output != NULL ? 1 : desc->outputs;
    if (!desc->compares_double && !forest->output_double &&
        are_floats(desc->leaf_values, desc->leaf_count * width) &&
        are_floats(desc->base, desc->outputs))
        desc->sums_double = false;
}

/* Leaves numbered through all trees are numbered from 0 in each. */
static void number_by_tree(struct apx_forest *forest)
{
    const struct apx_forest_desc *desc = &forest->desc;
    uint32_t *ids = (uint32_t *)(uintptr_t)desc->leaf_ids; /* the forest's own */
    for (size_t t = 0, first = 0, end; t < desc->trees; t++, first = end) {
        /* A proper binary tree has one leaf more than splits. */
        end = first + (desc->roots[t + 1] - desc->roots[t] + 1) / 2;
        uint32_t least = UINT32_MAX;
        for (size_t i = first; i < end; i++)
            least = ids[i] < least ? ids[i] : least;
        for (size_t i = first; i < end; i++)
            ids[i] -= least;
    }
}

enum apx_status apx_forest_fold(struct apx_graph *graph, struct apx_error *error)
{
    bool in_float = strcmp(metadata(graph, APX_FOREST_SUMS_KEY), APX_FOREST_SUMS_FLOAT) == 0;
    bool by_tree = strcmp(metadata(graph, APX_FOREST_LEAVES_KEY), APX_FOREST_LEAVES_BY_TREE) == 0;
    enum apx_status status = APX_OK;
    for (int n = 0; n < graph->node_count && status == APX_OK; n++) {
        struct apx_node *node = &graph->nodes[n];
        struct apx_forest *forest = node->op == APX_OP_FOREST ? forest_of(graph, node) : NULL;
        if (node->is_dead || forest == NULL)
            continue;
        status = apx_forest_fold_members(graph, node, forest, error);
        if (status != APX_OK)
            break;
        if (in_float)
            sum_in_float(forest);
        if (by_tree)
            number_by_tree(forest);
        fold_base(graph, node, forest);
        fold_link(graph, node, forest);
        status = apx_infer_forest(graph, node, error);
    }
    apx_graph_sweep(graph);
    return status;
}
