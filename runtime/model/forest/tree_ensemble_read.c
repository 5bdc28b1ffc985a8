/* SPDX-License-Identifier: Apache-2.0 */
/* tree_ensemble_read.c - a node of the file to a node with a forest.
 *
 * The lists of a large ensemble would be most of the graph's memory, so they are not copied into
 * it: the forest is made while the file's message is there, and the node keeps no attributes. */
#include <limits.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/tree_ensemble.h"
#include "runtime/model/infer.h"
#include "runtime/model/onnx_reader.h"

enum kind { INTS, FLOATS, REALS_TENSOR, BYTES_TENSOR, INT, WORD, MODES, TEXTS, IGNORED };

#define IN(op)     (1u << (APX_OP_##op - APX_OP_TREE_ENSEMBLE_REGRESSOR))
#define REGRESSOR  IN(TREE_ENSEMBLE_REGRESSOR)
#define CLASSIFIER IN(TREE_ENSEMBLE_CLASSIFIER)
#define FIVE       IN(TREE_ENSEMBLE)
#define LISTS      (REGRESSOR | CLASSIFIER)
#define AT(member) offsetof(struct apx_tree_attrs, member)

static const struct known {
    const char *name;
    unsigned ops;
    enum kind kind;
    size_t at; /* in struct apx_tree_attrs */
} known[] = {
    {"nodes_treeids", LISTS, INTS, AT(treeids)},
    {"nodes_nodeids", LISTS, INTS, AT(nodeids)},
    {"nodes_featureids", LISTS | FIVE, INTS, AT(featureids)},
    {"nodes_truenodeids", LISTS | FIVE, INTS, AT(truenodeids)},
    {"nodes_falsenodeids", LISTS | FIVE, INTS, AT(falsenodeids)},
    {"nodes_missing_value_tracks_true", LISTS | FIVE, INTS, AT(missing)},
    {"nodes_modes", LISTS, MODES, AT(modes)},
    {"nodes_modes", FIVE, BYTES_TENSOR, AT(modes)},
    {"nodes_values", LISTS, FLOATS, AT(values)},
    {"nodes_values_as_tensor", LISTS, REALS_TENSOR, AT(values)},
    {"nodes_splits", FIVE, REALS_TENSOR, AT(values)},
    {"nodes_hitrates", LISTS | FIVE, IGNORED, 0},
    {"nodes_hitrates_as_tensor", LISTS, IGNORED, 0},
    {"target_treeids", REGRESSOR, INTS, AT(vote_treeids)},
    {"target_nodeids", REGRESSOR, INTS, AT(vote_nodeids)},
    {"target_ids", REGRESSOR, INTS, AT(vote_ids)},
    {"target_weights", REGRESSOR, FLOATS, AT(weights)},
    {"target_weights_as_tensor", REGRESSOR, REALS_TENSOR, AT(weights)},
    {"class_treeids", CLASSIFIER, INTS, AT(vote_treeids)},
    {"class_nodeids", CLASSIFIER, INTS, AT(vote_nodeids)},
    {"class_ids", CLASSIFIER, INTS, AT(vote_ids)},
    {"class_weights", CLASSIFIER, FLOATS, AT(weights)},
    {"class_weights_as_tensor", CLASSIFIER, REALS_TENSOR, AT(weights)},
    {"classlabels_int64s", CLASSIFIER, INTS, AT(labels)},
    {"classlabels_strings", CLASSIFIER, TEXTS, AT(words)},
    {"base_values", LISTS, FLOATS, AT(base)},
    {"base_values_as_tensor", LISTS, REALS_TENSOR, AT(base)},
    {"leaf_targetids", FIVE, INTS, AT(targetids)},
    {"leaf_weights", FIVE, REALS_TENSOR, AT(weights)},
    {"nodes_trueleafs", FIVE, INTS, AT(trueleafs)},
    {"nodes_falseleafs", FIVE, INTS, AT(falseleafs)},
    {"tree_roots", FIVE, INTS, AT(roots)},
    {"membership_values", FIVE, REALS_TENSOR, AT(membership)},
    {"n_targets", REGRESSOR | FIVE, INT, AT(targets)},
    {"aggregate_function", REGRESSOR, WORD, AT(aggregate)},
    {"aggregate_function", FIVE, INT, AT(aggregate)},
    {"post_transform", LISTS, WORD, AT(transform)},
    {"post_transform", FIVE, INT, AT(transform)},
};

static const char *const aggregates[] = {"AVERAGE", "SUM", "MIN", "MAX"};
static const char *const transforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
static const char *const modes[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE",    "BRANCH_GT",
                                    "BRANCH_EQ",  "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF"};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct trees {
    struct apx_onnx_reader *reader;
    const char *label; /* of the node */
    unsigned op;
    struct apx_tree_attrs attrs;
    uint8_t *modes; /* [attrs.mode_count], of the operators with lists */
};

bool apx_onnx_is_trees(enum apx_op op)
{
    return op == APX_OP_TREE_ENSEMBLE_REGRESSOR || op == APX_OP_TREE_ENSEMBLE_CLASSIFIER ||
           op == APX_OP_TREE_ENSEMBLE;
}

static enum apx_status wrong_type(const struct trees *t, const struct known *entry)
{
    static const char *const wanted[] = {
        [INTS] = "integers",
        [FLOATS] = "floats",
        [REALS_TENSOR] = "a tensor of float or double",
        [BYTES_TENSOR] = "a tensor of uint8",
        [INT] = "an integer",
        [WORD] = "a string",
        [MODES] = "strings",
        [TEXTS] = "strings",
    };
    return apx_fail(t->reader->error, APX_EFORMAT, t->label,
                    "attribute %s has the wrong type: it takes %s", entry->name,
                    wanted[entry->kind]);
}

static enum apx_status given_twice(const struct trees *t, const char *name)
{
    return apx_fail(t->reader->error, APX_EFORMAT, t->label,
                    "attribute %s is given twice, or as a list and as a tensor", name);
}

static int find_word(const ProtobufCBinaryData *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(words[i]) == word->len && memcmp(words[i], word->data, word->len) == 0)
            return (int)i;
    return -1;
}

static enum apx_status read_modes(struct trees *t, const Onnx__AttributeProto *from)
{
    size_t count = from->n_strings;
    if (t->modes != NULL)
        return given_twice(t, from->name);
    t->modes = apx_alloc(t->reader->names.allocator, count, sizeof *t->modes);
    if (t->modes == NULL)
        return apx_onnx_cannot_grow(t->reader);
    int last = -1; /* mostly two words take turns */
    for (size_t i = 0; i < count; i++) {
        const ProtobufCBinaryData *word = &from->strings[i];
        if (last < 0 || strlen(modes[last]) != word->len ||
            memcmp(modes[last], word->data, word->len) != 0)
            last = find_word(word, modes, COUNT(modes));
        if (last < 0 || last == APX_TREE_MEMBER)
            return apx_fail(t->reader->error, APX_EFORMAT, t->label,
                            "nodes_modes: \"%.*s\" is no mode; node %zu takes BRANCH_LEQ, _LT, "
                            "_GTE, _GT, _EQ, _NEQ or LEAF",
                            word->len > 32 ? 32 : (int)word->len, (const char *)word->data, i);
        t->modes[i] = (uint8_t)last;
    }
    t->attrs.modes = t->modes;
    t->attrs.mode_count = count;
    return APX_OK;
}

static enum apx_status read_tensor(struct trees *t, const struct apx_onnx_scope *scope,
                                   const Onnx__AttributeProto *from, const struct known *entry)
{
    const char *name = apx_onnx_full_name(t->reader, scope, t->label);
    int v;
    if (name == NULL)
        return apx_onnx_cannot_grow(t->reader);
    enum apx_status status = apx_onnx_read_tensor(t->reader, from->t, name, &v);
    if (status != APX_OK)
        return status;
    const struct apx_value *value = &t->reader->graph->values[v];
    size_t size = apx_dtype_size(value->dtype);
    if (entry->kind == BYTES_TENSOR) {
        if (value->dtype != APX_U8)
            return wrong_type(t, entry);
        t->attrs.modes = value->data;
        t->attrs.mode_count = value->bytes;
        return APX_OK;
    }
    struct apx_tree_reals *to = (void *)((char *)&t->attrs + entry->at);
    if (value->dtype != APX_F32 && value->dtype != APX_F64)
        return wrong_type(t, entry);
    if (to->count > 0)
        return given_twice(t, entry->name);
    to->count = value->bytes / size;
    if (value->dtype == APX_F32)
        to->floats = value->data;
    else
        to->doubles = value->data;
    return APX_OK;
}

static enum apx_status read_choice(struct trees *t, const Onnx__AttributeProto *from,
                                   const struct known *entry)
{
    bool is_transform = entry->at == AT(transform);
    const char *const *words = is_transform ? transforms : aggregates;
    size_t count = is_transform ? COUNT(transforms) : COUNT(aggregates);
    int64_t choice = from->i;
    if (entry->kind == WORD)
        choice = find_word(&from->s, words, count);
    if (choice < 0 || choice >= (int64_t)count)
        return apx_fail(t->reader->error, APX_EFORMAT, t->label,
                        "%s: not one of this operator's, which are %s%s", entry->name,
                        entry->kind == WORD ? "" : "the numbers from 0 of ",
                        is_transform ? "NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO, PROBIT"
                                     : "AVERAGE, SUM, MIN, MAX");
    if (is_transform)
        t->attrs.transform = (enum apx_tree_transform)choice;
    else
        t->attrs.aggregate = (enum apx_tree_aggregate)choice;
    return APX_OK;
}

static enum apx_status read_list(struct trees *t, const Onnx__AttributeProto *from,
                                 const struct known *entry)
{
    char *to = (char *)&t->attrs + entry->at;
    if (entry->kind == INTS) {
        struct apx_tree_ints *ints = (void *)to;
        if (ints->count > 0)
            return given_twice(t, entry->name);
        *ints = (struct apx_tree_ints){from->ints, from->n_ints};
        return APX_OK;
    }
    struct apx_tree_reals *reals = (void *)to;
    if (from->n_floats > 0 && reals->count > 0)
        return given_twice(t, entry->name);
    if (from->n_floats > 0)
        *reals = (struct apx_tree_reals){.floats = from->floats, .count = from->n_floats};
    return APX_OK;
}

/* Names of classes: also for people, as metadata. */
static enum apx_status read_texts(struct trees *t, const Onnx__AttributeProto *from)
{
    const char **names = apx_graph_alloc(t->reader->graph, from->n_strings * sizeof *names);
    for (size_t i = 0; names != NULL && i < from->n_strings; i++) {
        const char *data = (const char *)from->strings[i].data;
        size_t length = from->strings[i].len;
        if (length > 0 && memchr(data, '\0', length) != NULL)
            return apx_fail(t->reader->error, APX_EFORMAT, t->label, "a label holds a zero byte");
        names[i] = apx_graph_string(t->reader->graph, length > 0 ? data : "", length);
        if (names[i] == NULL)
            names = NULL;
    }
    if (names == NULL || (from->n_strings > 0 && !apx_graph_add_names(t->reader->graph, "classes",
                                                                      names, from->n_strings)))
        return apx_onnx_cannot_grow(t->reader);
    t->attrs.words = names;
    t->attrs.word_count = from->n_strings;
    return APX_OK;
}

static enum apx_status read_one(struct trees *t, const struct apx_onnx_scope *scope,
                                const Onnx__AttributeProto *from)
{
    static const Onnx__AttributeProto__AttributeType types[] = {
        [INTS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS,
        [FLOATS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS,
        [REALS_TENSOR] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR,
        [BYTES_TENSOR] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR,
        [INT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT,
        [WORD] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING,
        [MODES] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS,
        [TEXTS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS,
    };
    const char *name = apx_onnx_or_empty(from->name);
    enum apx_status status = apx_onnx_attr_resolve(t->reader, scope, from, &from);
    if (status != APX_OK || from == NULL)
        return status;
    Onnx__AttributeProto__AttributeType type = apx_onnx_attr_kind(from);
    const struct known *entry = NULL;
    for (size_t i = 0; i < COUNT(known) && entry == NULL; i++)
        if ((known[i].ops & t->op) != 0 && strcmp(known[i].name, name) == 0)
            entry = &known[i];
    if (entry == NULL)
        return apx_fail(t->reader->error, APX_EFORMAT, t->label,
                        "no such attribute: %.64s is not one of this operator's", name);
    if (entry->kind == IGNORED || type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED)
        return APX_OK;
    if (type != types[entry->kind] ||
        (type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR && from->t == NULL))
        return wrong_type(t, entry);
    /* Read once for each call, if this is a function's. */
    status = apx_onnx_charge(t->reader, t->label,
                             from->n_ints * sizeof(int64_t) + from->n_floats * sizeof(float) +
                                 from->n_strings * sizeof(char *));
    if (status != APX_OK)
        return status;
    switch (entry->kind) {
    case INTS:
    case FLOATS:
        return read_list(t, from, entry);
    case REALS_TENSOR:
    case BYTES_TENSOR:
        return read_tensor(t, scope, from, entry);
    case MODES:
        return read_modes(t, from);
    case TEXTS:
        return read_texts(t, from);
    case INT:
        if (entry->at != AT(targets))
            return read_choice(t, from, entry);
        t->attrs.has_targets = true;
        t->attrs.targets = from->i;
        return APX_OK;
    default:
        return read_choice(t, from, entry);
    }
}

static enum apx_status make_forest(struct trees *t, struct apx_forest **out)
{
    struct apx_forest_builder *builder = NULL;
    struct apx_tree_score score;
    const struct apx_allocator *allocator = t->reader->graph->allocator;
    struct apx_error *error = t->reader->error;
    enum apx_status status = apx_tree_plan_score(&t->attrs, t->op == CLASSIFIER, &score, error);
    *out = NULL;
    if (status == APX_OK)
        status = (t->op == FIVE ? apx_tree_build_five : apx_tree_build_lists)(
            &t->attrs, &score, allocator, &builder, error);
    if (status == APX_OK)
        status = apx_forest_builder_finish(builder, out, error);
    apx_forest_builder_destroy(builder);
    if (status == APX_OK)
        status = apx_tree_finish(&t->attrs, &score, *out, error);
    return status;
}

/* Says which node it is. */
static enum apx_status name_node(const struct trees *t, enum apx_status status)
{
    struct apx_error *error = t->reader->error;
    if (status != APX_OK && error != NULL && strcmp(error->field, t->label) != 0) {
        char text[sizeof error->message];
        memcpy(text, error->message, sizeof text);
        apx_fail(error, status, t->label, "%s", text);
    }
    return status;
}

enum apx_status apx_onnx_read_trees(struct apx_onnx_reader *reader,
                                    const struct apx_onnx_scope *scope, const Onnx__NodeProto *from,
                                    int node)
{
    struct apx_graph *graph = reader->graph;
    struct trees t = {.reader = reader,
                      .label = graph->nodes[node].name,
                      .op = 1u << (graph->nodes[node].op - APX_OP_TREE_ENSEMBLE_REGRESSOR),
                      .attrs = {.aggregate = APX_TREE_SUM}};
    struct apx_forest *forest = NULL;
    enum apx_status status = APX_OK;
    for (size_t i = 0; i < from->n_attribute && status == APX_OK; i++)
        status = read_one(&t, scope, from->attribute[i]);
    if (status == APX_OK)
        status = make_forest(&t, &forest);
    apx_release(reader->names.allocator, t.modes);
    if (forest != NULL)
        apx_graph_own_forest(graph, forest);
    if (status != APX_OK)
        return name_node(&t, status);
    graph->nodes[node].forest = forest;
    return APX_OK;
}
