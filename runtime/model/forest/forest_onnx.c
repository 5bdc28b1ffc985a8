/* SPDX-License-Identifier: Apache-2.0 */
/* forest_onnx.c - a model file around a forest's operators.
 *
 *     input -> [Cast] -> [TreeEnsemble* (sets) -> Concat] -> TreeEnsemble* -> [Add base] -> link
 *           -> [Cast] -> output
 *
 * In brackets: only where they do something. */
#include "runtime/model/forest/forest_onnx.h"

#include <stdio.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_sets.h"
#include "runtime/model/forest/forest_tail.h"

struct writing {
    struct apx_onnx *onnx;
    const struct apx_graph *graph;
    const struct apx_forest *forest;
    const char *input, *output; /* names in the graph */
    bool is_double;             /* which operator, and the type of margins and links */
    int constants;
    struct apx_forest_written *written;
    struct apx_error *error;
};

static enum apx_status no_memory(const struct writing *w)
{
    return apx_fail(w->error, APX_ENOMEM, "", "out of memory for the ONNX file");
}

static enum apx_dtype margin_type(const struct writing *w)
{
    return w->is_double ? APX_F64 : APX_F32;
}

/* ---- trees ----------------------------------------------------------------------------------- */

static bool add_trees(const struct writing *w, const struct apx_forest_desc *desc,
                      const struct apx_tree_node *nodes, const char *name, const char *in,
                      const char *out)
{
    return (w->is_double ? apx_forest_write_five : apx_forest_write_lists)(
        w->onnx, w->forest->allocator, desc, nodes, name, in, out);
}

static bool add_forest(const struct writing *w, const struct apx_forest_sets *sets, const char *in,
                       const char *out)
{
    static const struct apx_tree_node leaf = {.feature = -1, .set = -1};
    static const uint32_t zeros[1] = {0}, roots[2] = {0, 1};
    static const double value[1] = {0};
    const struct apx_forest_desc *desc = &w->forest->desc;
    const char *columns[2] = {in, "members"}, *all = "columns";
    struct apx_forest_desc one = *desc; /* a forest without trees: operators want one */
    if (desc->trees == 0) {
        one.trees = one.node_count = one.leaf_count = 1;
        one.roots = roots;
        one.nodes = &leaf;
        one.tree_output = one.leaf_ids = zeros;
        one.leaf_values = value;
        one.sum = APX_FOREST_SUM;
        return add_trees(w, &one, &leaf, "trees", in, out);
    }
    if (sets->columns == 0)
        return add_trees(w, desc, sets->nodes, "trees", in, out);
    bool ok = add_trees(w, &sets->members->desc, sets->members->desc.nodes, "sets", in, columns[1]);
    apx_onnx_node(w->onnx, "", "Concat", "features", columns, 2, &all, 1);
    apx_onnx_int(w->onnx, "axis", 1);
    return ok && add_trees(w, desc, sets->nodes, "trees", all, out);
}

/* ---- what follows ---------------------------------------------------------------------------- */

/* A number of the margins' type; name: [24]. */
static void add_number(struct writing *w, double number, char *name)
{
    float narrow = (float)number;
    snprintf(name, 24, "constant_%d", w->constants++);
    apx_onnx_tensor(w->onnx, name, margin_type(w), 0, NULL,
                    w->is_double ? (const void *)&number : (const void *)&narrow);
}

static bool add_constant(struct writing *w, const struct apx_tail_step *step, char *name)
{
    const size_t k = w->forest->desc.outputs;
    const int64_t count = (int64_t)k, one = 1, dims[2] = {count, count};
    if (step->constant == APX_TAIL_COUNT) {
        snprintf(name, 24, "constant_%d", w->constants++);
        apx_onnx_tensor(w->onnx, name, APX_I64, 1, &one, &count);
        return true;
    }
    if (step->constant != APX_TAIL_FIRST && step->constant != APX_TAIL_CUMULATIVE) {
        add_number(w, apx_tail_number(step, &w->forest->link), name);
        return true;
    }
    const struct apx_allocator *allocator = w->forest->allocator;
    float *matrix = apx_alloc(allocator, k * k, sizeof *matrix);
    if (matrix == NULL)
        return false;
    apx_tail_matrix(step->constant, k, matrix);
    snprintf(name, 24, "constant_%d", w->constants++);
    apx_onnx_tensor(w->onnx, name, APX_F32, 2, dims, matrix);
    apx_release(allocator, matrix);
    return true;
}

/* TensorProto.DataType */
static int64_t onnx_type(enum apx_dtype dtype)
{
    return dtype == APX_F64 ? 11 : 1;
}

static void add_attributes(struct writing *w, enum apx_op op)
{
    if (op == APX_OP_CAST)
        apx_onnx_int(w->onnx, "to", onnx_type(margin_type(w)));
    if (op == APX_OP_SOFTMAX || op == APX_OP_ARG_MAX || op == APX_OP_TOP_K)
        apx_onnx_int(w->onnx, "axis", 1);
    if (op == APX_OP_ARG_MAX)
        apx_onnx_int(w->onnx, "keepdims", 1);
    if (op == APX_OP_TOP_K) {
        apx_onnx_int(w->onnx, "largest", 0);
        apx_onnx_int(w->onnx, "sorted", 1);
    }
}

static enum apx_status add_link(struct writing *w, const struct apx_tail *tail, const char *in,
                                const char *out)
{
    char names[APX_TAIL_STEPS][24], constant[24];
    for (int i = 0; i < tail->count; i++) {
        const struct apx_tail_step *step = &tail->steps[i];
        const char *inputs[3], *outputs[2] = {i + 1 < tail->count ? names[i] : out, "order"};
        char name[24];
        int count = 0;
        snprintf(names[i], sizeof names[i], "link_%d", i + 1);
        snprintf(name, sizeof name, "link %d", i + 1);
        for (int k = 0; k < 3 && step->in[k] != APX_TAIL_NOTHING; k++) {
            int from = step->in[k];
            if (from == APX_TAIL_CONSTANT && !add_constant(w, step, constant))
                return no_memory(w);
            inputs[count++] = from == APX_TAIL_CONSTANT  ? constant
                              : from == APX_TAIL_MARGINS ? in
                                                         : names[from - 1];
        }
        apx_onnx_node(w->onnx, "", apx_op_info(step->op)->name, name, inputs, count, outputs,
                      step->op == APX_OP_TOP_K ? 2 : 1);
        add_attributes(w, step->op);
    }
    return APX_OK;
}

static void add_cast(struct writing *w, enum apx_dtype to, const char *name, const char *in,
                     const char *out)
{
    apx_onnx_node(w->onnx, "", "Cast", name, &in, 1, &out, 1);
    apx_onnx_int(w->onnx, "to", onnx_type(to));
}

/* ---- the model ------------------------------------------------------------------------------- */

static enum apx_status check(const struct writing *w, const struct apx_tail **tail,
                             struct apx_tail *storage)
{
    const struct apx_forest_desc *desc = &w->forest->desc;
    *tail = apx_forest_tail_of(&w->forest->link, storage);
    const size_t width = desc->tree_output != NULL ? 1 : desc->outputs;
    if (desc->leaf_count > INT32_MAX / width)
        return apx_fail(w->error, APX_ELIMIT, "leaves",
                        "%zu leaves of %zu values; ONNX counts at most 2^31 of them",
                        desc->leaf_count, width);
    if (desc->linear != NULL)
        return apx_fail(w->error, APX_EUNSUPPORTED, "linear_tree",
                        "leaves that are linear functions (LightGBM's linear_tree) have no "
                        "operator in ONNX; predict and serve take the LightGBM file itself");
    if (w->is_double && desc->tree_output == NULL && desc->outputs > 1)
        return apx_fail(w->error, APX_EUNSUPPORTED, "leaf_vector",
                        "leaves of several values in float64 have no operator in ONNX; predict and "
                        "serve take the file itself");
    if (*tail == NULL)
        return apx_fail(w->error, APX_EUNSUPPORTED, "link",
                        "this model is not one that XGBoost or LightGBM makes");
    if ((*tail)->kind == APX_LINK_EXPECTILE &&
        (w->is_double || desc->outputs > APX_TAIL_MATRIX_OUTPUTS))
        return apx_fail(w->error, APX_EUNSUPPORTED, "link",
                        "expectiles can be written for at most %d outputs in float32",
                        APX_TAIL_MATRIX_OUTPUTS);
    return APX_OK;
}

static enum apx_status add_nodes(struct writing *w, const struct apx_tail *tail)
{
    const struct apx_forest_desc *desc = &w->forest->desc;
    const enum apx_dtype wanted = w->forest->output_double ? APX_F64 : APX_F32;
    struct apx_forest_sets sets;
    bool has_base = false, casts = wanted != margin_type(w);
    for (size_t k = 0; w->is_double && desc->sum == APX_FOREST_SUM && k < desc->outputs; k++)
        has_base = has_base || desc->base[k] != 0;
    const char *rows = w->input, *end = casts ? "predictions" : w->output;
    const char *margins = tail->count > 0 ? "margins" : end;
    const char *sums[2] = {has_base ? "sums" : margins, "base"};
    enum apx_status status = apx_forest_sets_to_columns(w->forest, &sets, w->error);
    if (status != APX_OK)
        return status;
    if (w->is_double && !desc->compares_double) {
        rows = "rows_float64";
        add_cast(w, APX_F64, "widen", w->input, rows);
    }
    w->written->sets = sets.columns;
    if (!add_forest(w, &sets, rows, sums[0]))
        status = no_memory(w);
    apx_forest_sets_release(w->forest, &sets);
    if (has_base) {
        apx_onnx_tensor(w->onnx, sums[1], APX_F64, 1, (const int64_t[]){(int64_t)desc->outputs},
                        desc->base);
        apx_onnx_node(w->onnx, "", "Add", "base", sums, 2, &margins, 1);
    }
    if (status == APX_OK)
        status = add_link(w, tail, margins, end);
    if (casts)
        add_cast(w, wanted, "type", end, w->output);
    return status;
}

static void add_border(struct writing *w)
{
    const struct apx_forest_desc *desc = &w->forest->desc;
    char text[2][24];
    snprintf(text[0], sizeof text[0], "%zu", desc->features);
    snprintf(text[1], sizeof text[1], "%zu", apx_link_outputs(&w->forest->link, desc->outputs));
    apx_onnx_opset(w->onnx, "", 17);
    apx_onnx_opset(w->onnx, "ai.onnx.ml", w->is_double ? 5 : 3);
    apx_onnx_input(w->onnx, w->input, desc->compares_double ? APX_F64 : APX_F32, 2,
                   (const char *const[]){"rows", text[0]});
    apx_onnx_output(w->onnx, w->output, w->forest->output_double ? APX_F64 : APX_F32, 2,
                    (const char *const[]){"rows", text[1]});
    apx_onnx_metadata(w->onnx, "source", w->forest->source);
    if (!desc->sums_double)
        apx_onnx_metadata(w->onnx, APX_FOREST_SUMS_KEY, APX_FOREST_SUMS_FLOAT);
    if (w->is_double)
        apx_onnx_metadata(w->onnx, APX_FOREST_LEAVES_KEY, APX_FOREST_LEAVES_BY_TREE);
    for (int i = 0; i < w->graph->metadata_count; i++)
        apx_onnx_metadata(w->onnx, w->graph->metadata[i].key, w->graph->metadata[i].value);
}

enum apx_status apx_forest_to_onnx(const struct apx_graph *graph, struct apx_onnx *onnx,
                                   struct apx_forest_written *written, struct apx_error *error)
{
    const struct apx_node *node = NULL;
    int live = 0;
    for (int n = 0; n < graph->node_count; n++)
        if (!graph->nodes[n].is_dead) {
            node = &graph->nodes[n];
            live++;
        }
    if (live != 1 || node->op != APX_OP_FOREST || node->forest == NULL || graph->input_count != 1 ||
        graph->output_count != 1 || node->out_count < 1 || graph->outputs[0] != node->out[0])
        return apx_fail(error, APX_EUNSUPPORTED, "graph",
                        "the model is not one tree ensemble, which is all that can be written");
    const struct apx_forest_desc *desc = &node->forest->desc;
    struct writing w = {.onnx = onnx,
                        .graph = graph,
                        .forest = node->forest,
                        .input = graph->values[graph->inputs[0]].name,
                        .output = graph->values[graph->outputs[0]].name,
                        .is_double = desc->compares_double || desc->sums_double,
                        .written = written,
                        .error = error};
    struct apx_tail storage;
    const struct apx_tail *tail;
    enum apx_status status = check(&w, &tail, &storage);
    if (status != APX_OK)
        return status;
    written->forest = w.forest;
    written->op = w.is_double ? "TreeEnsemble" : "TreeEnsembleRegressor";
    add_border(&w);
    return add_nodes(&w, tail);
}
