/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_read.c - XGBoost's JSON and UBJSON, versions 1.0 and later, to a graph.
 *
 * One schema over the years; what moved or came later:
 *   parameters              objects of strings
 *   base_score              a number; a list of numbers, one for each output, since 3.1
 *   num_target              since 1.6; before, 1
 *   weights of dropout      gradient_booster of the name "dart" wraps the trees in "gbtree" and has
 *                           weight_drop beside it; since 3.3 the name is "gbtree" and weight_drop
 *                           stands beside the model, since 3.4 in it
 *   iteration_indptr        since 2.0, and never needed: all trees are used, as by predict()
 *   attributes              best_iteration and best_score where training stopped early: metadata
 *   cats                    since 3.1: tables of categories. Rows carry the codes that training
 *                           used, so the tables are not needed
 *
 * A pickled Booster holds the same object as its member "Model", beside a "Config". */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_read.h"
#include "runtime/model/forest/xgboost_reader.h"

static enum apx_status missing(struct apx_xgboost *reader, const char *path)
{
    return apx_fail(reader->error, APX_EFORMAT, path,
                    "no member %s: this is no file of XGBoost's save_model", path);
}

enum apx_status apx_xgboost_integer(struct apx_xgboost *reader, const struct apx_doc_value *object,
                                    const char *name, size_t *out)
{
    char text[32];
    const struct apx_doc_value *value = apx_doc_member(&reader->doc, object, name);
    if (value == NULL)
        return APX_OK;
    if (value->kind == APX_DOC_NUMBER) {
        int32_t number;
        enum apx_status status = apx_doc_ints(&reader->doc, value, name, &number);
        if (status == APX_OK && number < 0)
            status = apx_fail(reader->error, APX_EFORMAT, name, "%s is %d; it cannot be negative",
                              name, (int)number);
        if (status == APX_OK)
            *out = (size_t)number;
        return status;
    }
    size_t number = 0, length = apx_doc_text(&reader->doc, value, text, sizeof text) - 1, i = 0;
    for (; i < length && i < 10 && text[i] >= '0' && text[i] <= '9'; i++)
        number = 10 * number + (size_t)(text[i] - '0');
    if (i == 0 || i != length)
        return apx_fail(reader->error, APX_EFORMAT, name, "%s is \"%s\", no whole number", name,
                        text);
    *out = number;
    return APX_OK;
}

/* ---- head ------------------------------------------------------------------------------------ */

static enum apx_status read_version(struct apx_xgboost *reader, const struct apx_doc_value *root)
{
    const struct apx_doc_value *version = apx_doc_member(&reader->doc, root, "version");
    if (apx_doc_count(&reader->doc, version) != 3)
        return missing(reader, "version");
    return apx_doc_ints(&reader->doc, version, "version", reader->version);
}

static enum apx_status read_objective(struct apx_xgboost *reader,
                                      const struct apx_doc_value *learner)
{
    const struct apx_doc_value *objective = apx_doc_member(&reader->doc, learner, "objective");
    const struct apx_doc_value *name = apx_doc_member(&reader->doc, objective, "name");
    if (name == NULL || name->kind != APX_DOC_STRING)
        return missing(reader, "learner.objective.name");
    apx_doc_text(&reader->doc, name, reader->objective, sizeof reader->objective);
    return apx_xgboost_link(reader->objective, &reader->link, reader->error);
}

static enum apx_status read_sizes(struct apx_xgboost *reader, const struct apx_doc_value *params)
{
    size_t classes = 0, targets = 1;
    if (apx_doc_member(&reader->doc, params, "num_feature") == NULL)
        return missing(reader, "learner.learner_model_param.num_feature");
    enum apx_status status = apx_xgboost_integer(reader, params, "num_feature", &reader->features);
    if (status == APX_OK)
        status = apx_xgboost_integer(reader, params, "num_class", &classes);
    if (status == APX_OK)
        status = apx_xgboost_integer(reader, params, "num_target", &targets);
    if (status != APX_OK)
        return status;
    if (classes > 1 && targets > 1)
        return apx_fail(
            reader->error, APX_EFORMAT, "num_target",
            "num_class is %zu and num_target is %zu: %zu classes and %zu targets at once "
            "make no model of XGBoost",
            classes, targets, classes, targets);
    reader->outputs = classes > targets ? classes : targets > 0 ? targets : 1;
    if (reader->outputs == 1 &&
        (reader->link.kind == APX_LINK_SORT || reader->link.kind == APX_LINK_EXPECTILE))
        reader->link.kind = APX_LINK_NONE;
    return APX_OK;
}

/* ---- base_score ------------------------------------------------------------------------------ */

/* One number, or several in brackets: how many, at most `most` of them to base. */
static size_t scan_base(const char *text, float *base, size_t most)
{
    const char *at = text, *end = text + strlen(text);
    size_t count = 0;
    at += strspn(at, " \t");
    bool is_list = *at == '[' || *at == '(';
    at += is_list;
    for (;;) {
        float value;
        at += strspn(at, " \t");
        at = apx_float_scan(at, end, &value);
        if (at == NULL)
            return 0;
        if (count < most)
            base[count] = value;
        count++;
        at += strspn(at, " \t");
        if (!is_list || *at != ',')
            break;
        at++;
    }
    if (is_list && *at != ']' && *at != ')')
        return 0;
    at += is_list;
    at += strspn(at, " \t");
    return *at == '\0' ? count : 0;
}

static enum apx_status check_base(struct apx_xgboost *reader, size_t count, float *base)
{
    if (count == 0)
        return apx_fail(reader->error, APX_EFORMAT, "base_score",
                        "base_score is neither a number nor a list of numbers such as [5E-1,1E0]");
    if (count != 1 && count != reader->outputs)
        return apx_fail(reader->error, APX_EFORMAT, "base_score",
                        "base_score has %zu numbers for %zu outputs; it has one, or one for each",
                        count, reader->outputs);
    for (size_t k = 0; k < reader->outputs; k++) {
        base[k] = base[count == 1 ? 0 : k];
        if (!isfinite(base[k]))
            return apx_fail(reader->error, APX_EFORMAT, "base_score",
                            "base_score of output %zu is %g, not finite", k, (double)base[k]);
    }
    return apx_xgboost_base(reader->objective, base, reader->outputs, reader->error);
}

/* base[outputs]: margins before the first tree. */
static enum apx_status read_base(struct apx_xgboost *reader, const struct apx_doc_value *params,
                                 float *base)
{
    const struct apx_doc_value *value = apx_doc_member(&reader->doc, params, "base_score");
    if (value == NULL)
        return missing(reader, "learner.learner_model_param.base_score");
    size_t count = apx_doc_count(&reader->doc, value);
    if (count != SIZE_MAX) { /* a number or a list, which no version has written so far */
        if (count == 0 || count > reader->outputs)
            return check_base(reader, count, base);
        enum apx_status status = apx_doc_floats(&reader->doc, value, "base_score", base);
        return status == APX_OK ? check_base(reader, count, base) : status;
    }
    size_t size = apx_doc_text(&reader->doc, value, NULL, 0);
    char *text = apx_alloc(reader->allocator, size, 1);
    if (text == NULL)
        return apx_fail(reader->error, APX_ENOMEM, "", "out of memory for base_score");
    apx_doc_text(&reader->doc, value, text, size);
    count = scan_base(text, base, reader->outputs);
    apx_release(reader->allocator, text);
    return check_base(reader, count, base);
}

/* ---- trees ----------------------------------------------------------------------------------- */

static enum apx_status find_trees(struct apx_xgboost *reader, const struct apx_doc_value *learner,
                                  const struct apx_doc_value **model,
                                  const struct apx_doc_value **weights)
{
    const struct apx_doc *doc = &reader->doc;
    char name[64];
    const struct apx_doc_value *booster = apx_doc_member(doc, learner, "gradient_booster");
    const struct apx_doc_value *given = apx_doc_member(doc, booster, "name");
    apx_doc_text(doc, given, name, sizeof name);
    if (given == NULL || given->kind != APX_DOC_STRING)
        return missing(reader, "learner.gradient_booster.name");
    if (strcmp(name, "gbtree") != 0 && strcmp(name, "dart") != 0)
        return apx_fail(reader->error, APX_EUNSUPPORTED, "gradient_booster",
                        "the booster \"%s\" has no trees; gbtree and dart are read", name);
    const struct apx_doc_value *inner = apx_doc_member(doc, booster, "gbtree");
    *model = apx_doc_member(doc, inner != NULL ? inner : booster, "model");
    if (*model == NULL)
        return missing(reader, "learner.gradient_booster.model");
    *weights = apx_doc_member(doc, *model, "weight_drop");
    if (*weights == NULL)
        *weights = apx_doc_member(doc, booster, "weight_drop");
    return APX_OK;
}

/* Of a list with one number for each tree. */
static enum apx_status wrong_length(struct apx_xgboost *reader, const char *name, size_t count)
{
    if (count == SIZE_MAX)
        return apx_fail(reader->error, APX_EFORMAT, name,
                        "%s is missing or no list of numbers; it has one for each of the %zu trees",
                        name, reader->tree_count);
    return apx_fail(reader->error, APX_EFORMAT, name, "%s has %zu numbers for %zu trees", name,
                    count, reader->tree_count);
}

static enum apx_status read_outputs(struct apx_xgboost *reader, const struct apx_doc_value *model)
{
    const struct apx_doc_value *info = apx_doc_member(&reader->doc, model, "tree_info");
    size_t count = apx_doc_count(&reader->doc, info);
    if (count != reader->tree_count)
        return wrong_length(reader, "tree_info", count);
    reader->tree_output = apx_alloc(reader->allocator, count, sizeof *reader->tree_output);
    if (reader->tree_output == NULL)
        return apx_fail(reader->error, APX_ENOMEM, "", "out of memory for the trees");
    enum apx_status status = apx_doc_ints(&reader->doc, info, "tree_info", reader->tree_output);
    for (size_t t = 0; t < count && status == APX_OK; t++)
        if (reader->tree_output[t] < 0)
            status = apx_fail(reader->error, APX_EFORMAT, "tree_info",
                              "tree %zu has output %d; outputs count from 0", t,
                              (int)reader->tree_output[t]);
    return status;
}

static enum apx_status read_weights(struct apx_xgboost *reader, const struct apx_doc_value *weights)
{
    size_t count = apx_doc_count(&reader->doc, weights);
    if (weights == NULL || count == 0)
        return APX_OK;
    if (count != reader->tree_count)
        return wrong_length(reader, "weight_drop", count);
    reader->tree_weight = apx_alloc(reader->allocator, count, sizeof *reader->tree_weight);
    if (reader->tree_weight == NULL)
        return apx_fail(reader->error, APX_ENOMEM, "", "out of memory for the trees");
    return apx_doc_floats(&reader->doc, weights, "weight_drop", reader->tree_weight);
}

static enum apx_status read_model(struct apx_xgboost *reader, const struct apx_doc_value *model)
{
    const struct apx_doc_value *trees = apx_doc_member(&reader->doc, model, "trees");
    if (trees == NULL || (trees->kind != APX_DOC_LIST && trees->kind != APX_DOC_NUMBERS))
        return missing(reader, "learner.gradient_booster.model.trees");
    if (trees->kind == APX_DOC_NUMBERS && trees->count > 0)
        return apx_fail(reader->error, APX_EFORMAT, "trees",
                        "trees is a list of numbers; it is one of objects");
    reader->trees = trees;
    reader->tree_count = trees->count;
    size_t told = trees->count;
    const struct apx_doc_value *params = apx_doc_member(&reader->doc, model, "gbtree_model_param");
    enum apx_status status = apx_xgboost_integer(reader, params, "num_trees", &told);
    if (status == APX_OK && told != trees->count)
        status = apx_fail(reader->error, APX_EFORMAT, "num_trees",
                          "num_trees is %zu, but there are %u trees: the file was edited", told,
                          (unsigned)trees->count);
    return status == APX_OK ? read_outputs(reader, model) : status;
}

/* Leaves have as many values as the model outputs, or one: the first tree says which. */
static enum apx_status create_builder(struct apx_xgboost *reader,
                                      struct apx_forest_builder **builder)
{
    const struct apx_doc_value *first = apx_doc_first(&reader->doc, reader->trees);
    size_t width = 1;
    enum apx_status status =
        first != NULL ? apx_xgboost_leaf_width(reader, 0, first, &width) : APX_OK;
    if (status == APX_OK && width != 1 && width != reader->outputs)
        status = apx_fail(
            reader->error, APX_EFORMAT, "tree 0",
            "size_leaf_vector is %zu; the model has %zu outputs, and a leaf has 1 value or as many",
            width, reader->outputs);
    if (status != APX_OK)
        return status;
    reader->has_vector_leaves = width > 1;
    return apx_forest_builder_create(reader->allocator, reader->features, reader->outputs, width,
                                     builder, reader->error);
}

static enum apx_status read_trees(struct apx_xgboost *reader, struct apx_forest_builder *builder)
{
    struct apx_xgboost_tree *tree;
    enum apx_status status = apx_xgboost_tree_create(reader, &tree);
    const struct apx_doc_value *value = apx_doc_first(&reader->doc, reader->trees);
    for (size_t t = 0; status == APX_OK && value != NULL; t++) {
        status = apx_xgboost_tree_read(tree, t, value, builder);
        value = apx_doc_next(&reader->doc, value);
    }
    apx_xgboost_tree_destroy(tree);
    return status;
}

/* ---- the forest ------------------------------------------------------------------------------ */

static enum apx_status finish(struct apx_xgboost *reader, const struct apx_doc_value *params,
                              struct apx_forest *forest)
{
    const size_t outputs = reader->outputs;
    float *base = apx_alloc(reader->allocator, outputs, sizeof *base);
    double *wide = apx_forest_alloc(forest, outputs * sizeof *wide);
    const size_t room = sizeof reader->objective + 64;
    char *source = apx_forest_alloc(forest, room);
    enum apx_status status = APX_OK;
    if (base == NULL || wide == NULL || source == NULL)
        status = apx_fail(reader->error, APX_ENOMEM, "", "out of memory for the forest");
    else
        status = read_base(reader, params, base);
    if (status == APX_OK) {
        for (size_t k = 0; k < outputs; k++)
            wide[k] = (double)base[k];
        snprintf(source, room, "xgboost %d.%d.%d, %s", (int)reader->version[0],
                 (int)reader->version[1], (int)reader->version[2], reader->objective);
        forest->source = source;
        forest->desc.base = wide;
        forest->desc.sum = APX_FOREST_SUM;
        forest->link = reader->link;
    }
    apx_release(reader->allocator, base);
    return status;
}

/* Names of the columns: *names [features] in one block, NULL if there are none or not as many. */
static enum apx_status read_names(struct apx_xgboost *reader, const struct apx_doc_value *learner,
                                  char ***names)
{
    *names = NULL;
    const struct apx_doc *doc = &reader->doc;
    const struct apx_doc_value *list = apx_doc_member(doc, learner, "feature_names"), *item;
    if (list == NULL || list->kind != APX_DOC_LIST || list->count != reader->features)
        return APX_OK;
    size_t bytes = reader->features * sizeof **names;
    for (item = apx_doc_first(doc, list); item != NULL; item = apx_doc_next(doc, item)) {
        size_t size = apx_doc_text(doc, item, NULL, 0);
        if (size > APX_LIMIT_DOCUMENT_TEXT)
            return apx_fail(reader->error, APX_ELIMIT, "feature_names",
                            "a name is longer than APX_LIMIT_DOCUMENT_TEXT (%d)",
                            APX_LIMIT_DOCUMENT_TEXT);
        bytes += size;
    }
    char **made = apx_alloc(reader->allocator, 1, bytes);
    if (made == NULL)
        return apx_fail(reader->error, APX_ENOMEM, "", "out of memory for the names");
    char *to = (char *)(made + reader->features);
    size_t i = 0;
    for (item = apx_doc_first(doc, list); item != NULL; item = apx_doc_next(doc, item)) {
        size_t size = apx_doc_text(doc, item, NULL, 0);
        apx_doc_text(doc, item, to, size);
        made[i++] = to;
        to += size;
    }
    *names = made;
    return APX_OK;
}

/* Where training stopped early: what was best, and how many iterations there are, as metadata. */
static enum apx_status keep_best(struct apx_xgboost *reader, const struct apx_doc_value *learner,
                                 const struct apx_doc_value *model, struct apx_graph *graph)
{
    static const char *const keys[] = {"best_iteration", "best_score"};
    const struct apx_doc *doc = &reader->doc;
    const struct apx_doc_value *attributes = apx_doc_member(doc, learner, "attributes");
    const struct apx_doc_value *params = apx_doc_member(doc, model, "gbtree_model_param");
    size_t side_by_side = 1;
    char text[64];
    if (apx_doc_member(doc, attributes, keys[0]) == NULL)
        return APX_OK;
    enum apx_status status =
        apx_xgboost_integer(reader, params, "num_parallel_tree", &side_by_side);
    if (status != APX_OK)
        return status;
    side_by_side = side_by_side > 0 ? side_by_side : 1; /* 0 in files of 1.x */
    const size_t sums = reader->has_vector_leaves ? 1 : reader->outputs;
    snprintf(text, sizeof text, "%zu", reader->tree_count / sums / side_by_side);
    bool ok = apx_graph_add_metadata(graph, "iterations", text);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (apx_doc_text(doc, apx_doc_member(doc, attributes, keys[i]), text, sizeof text) > 1)
            ok = ok && apx_graph_add_metadata(graph, keys[i], text);
    return ok ? APX_OK : apx_fail(reader->error, APX_ENOMEM, "", "out of memory for the graph");
}

static enum apx_status make_graph(struct apx_xgboost *reader, const struct apx_doc_value *learner,
                                  const struct apx_doc_value *params,
                                  const struct apx_doc_value *model,
                                  struct apx_forest_builder *builder, struct apx_graph **out)
{
    struct apx_forest *forest = NULL;
    char **names = NULL;
    enum apx_status status = apx_forest_builder_finish(builder, &forest, reader->error);
    if (status == APX_OK)
        status = finish(reader, params, forest);
    if (status == APX_OK)
        status = read_names(reader, learner, &names);
    if (status == APX_OK)
        status = apx_forest_graph(forest, (const char *const *)names, out, reader->error);
    else
        apx_forest_destroy(forest);
    if (status == APX_OK)
        status = keep_best(reader, learner, model, *out);
    if (status != APX_OK) {
        apx_graph_destroy(*out);
        *out = NULL;
    }
    apx_release(reader->allocator, names);
    return status;
}

static enum apx_status read_learner(struct apx_xgboost *reader, const struct apx_doc_value *root,
                                    struct apx_graph **out)
{
    const struct apx_doc *doc = &reader->doc;
    const struct apx_doc_value *inner = apx_doc_member(doc, root, "Model"), *model = NULL,
                               *weights = NULL;
    if (inner != NULL)
        root = inner;
    const struct apx_doc_value *learner = apx_doc_member(doc, root, "learner");
    const struct apx_doc_value *params = apx_doc_member(doc, learner, "learner_model_param");
    if (learner == NULL)
        return missing(reader, "learner");
    if (params == NULL)
        return missing(reader, "learner.learner_model_param");
    struct apx_forest_builder *builder = NULL;
    enum apx_status status = read_version(reader, root);
    if (status == APX_OK)
        status = find_trees(reader, learner, &model, &weights);
    if (status == APX_OK)
        status = read_objective(reader, learner);
    if (status == APX_OK)
        status = read_sizes(reader, params);
    if (status == APX_OK)
        status = read_model(reader, model);
    if (status == APX_OK)
        status = read_weights(reader, weights);
    if (status == APX_OK)
        status = create_builder(reader, &builder);
    if (status == APX_OK)
        status = read_trees(reader, builder);
    if (status == APX_OK)
        status = make_graph(reader, learner, params, model, builder, out);
    apx_forest_builder_destroy(builder);
    return status;
}

/* What XGBoost writes, but is no model that can be read. */
static enum apx_status check_kind(const void *data, size_t bytes, struct apx_error *error)
{
    const char *text = data;
    if (bytes >= 4 && memcmp(text, "binf", 4) == 0)
        return apx_fail(error, APX_EUNSUPPORTED, "",
                        "XGBoost's old binary format; load it with the version that wrote it and "
                        "save it as .json or .ubj");
    size_t at = 0;
    while (at < bytes &&
           (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r'))
        at++;
    if (at < bytes && text[at] == '[')
        return apx_fail(error, APX_EUNSUPPORTED, "",
                        "a JSON list, such as XGBoost's dump_model writes for people: it lacks "
                        "the objective and base_score; use save_model");
    return APX_OK;
}

enum apx_status apx_xgboost_read(const void *data, size_t bytes,
                                 const struct apx_allocator *allocator, struct apx_graph **out,
                                 struct apx_error *error)
{
    struct apx_xgboost reader = {.allocator = allocator, .error = error};
    const struct apx_doc_value *root = NULL;
    *out = NULL;
    enum apx_status status = check_kind(data, bytes, error);
    if (status != APX_OK)
        return status;
    status = apx_doc_open(&reader.doc, data, bytes, allocator, &root, error);
    if (status == APX_OK)
        status = read_learner(&reader, root, out);
    apx_release(allocator, reader.tree_output);
    apx_release(allocator, reader.tree_weight);
    apx_doc_close(&reader.doc);
    return status;
}
