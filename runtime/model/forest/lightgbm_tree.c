/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_tree.c - the block of one tree to the builder.
 *
 * A block is lines `key=value` up to an empty one. A tree with L leaves has lists of L - 1 numbers
 * for its splits and of L numbers for its leaves; split 0 is the root, and a child c below 0 is the
 * leaf ~c, which is also what LightGBM calls it. In the builder's array the splits come first and
 * leaf i stands at L - 1 + i. Whether the splits are a tree at all the builder finds out. */
#include "runtime/model/forest/lightgbm_reader.h"

#include <string.h>

struct tree_lines {
    struct apx_lightgbm_span num_leaves, num_cat, is_linear;
    struct apx_lightgbm_span split_feature, threshold, decision_type, left_child, right_child;
    struct apx_lightgbm_span leaf_value, leaf_count, internal_count;
    struct apx_lightgbm_span cat_boundaries, cat_threshold;
    struct apx_lightgbm_linear_lines linear;
};

static struct apx_lightgbm_span *find(struct tree_lines *lines, const struct apx_lightgbm_span *key)
{
    const struct {
        const char *name;
        struct apx_lightgbm_span *line;
    } known[] = {
        {"num_leaves", &lines->num_leaves},
        {"num_cat", &lines->num_cat},
        {"split_feature", &lines->split_feature},
        {"threshold", &lines->threshold},
        {"decision_type", &lines->decision_type},
        {"left_child", &lines->left_child},
        {"right_child", &lines->right_child},
        {"leaf_value", &lines->leaf_value},
        {"leaf_count", &lines->leaf_count},
        {"internal_count", &lines->internal_count},
        {"cat_boundaries", &lines->cat_boundaries},
        {"cat_threshold", &lines->cat_threshold},
        {"is_linear", &lines->is_linear},
        {"leaf_const", &lines->linear.constants},
        {"num_features", &lines->linear.counts},
        {"leaf_features", &lines->linear.features},
        {"leaf_coeff", &lines->linear.coefficients},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (apx_lightgbm_span_is(key, known[i].name))
            return known[i].line;
    return NULL;
}

static enum apx_status collect(struct apx_lightgbm_reader *reader, struct tree_lines *lines)
{
    struct apx_lightgbm_span line, key, value;
    while (apx_lightgbm_line(&reader->text, &line) && line.at < line.end) {
        if (!apx_lightgbm_cut(&line, '=', &key, &value))
            return apx_lightgbm_fail(reader, APX_EFORMAT, line.line, true,
                                     "\"%.*s\" is neither key=value nor empty",
                                     apx_lightgbm_width(&line), line.at);
        struct apx_lightgbm_span *known = find(lines, &key);
        if (known == NULL)
            continue;
        if (known->at != NULL)
            return apx_lightgbm_fail(reader, APX_EFORMAT, line.line, true,
                                     "%.*s is already in line %zu", (int)(key.end - key.at), key.at,
                                     known->line);
        *known = value;
    }
    return APX_OK;
}

static enum apx_status missing(const struct apx_lightgbm_reader *reader, size_t line,
                               const char *key)
{
    return apx_lightgbm_fail(reader, APX_EFORMAT, line, true,
                             "the tree has no line %s=: is the file cut off?", key);
}

/* The word, number `index` of its line, is not what the key wants. */
static enum apx_status not_a(const struct apx_lightgbm_reader *reader,
                             const struct apx_lightgbm_span *word, const char *key, size_t index,
                             const char *what)
{
    return apx_lightgbm_fail(reader, APX_EFORMAT, word->line, true,
                             "%s: number %zu, \"%.*s\", is not %s", key, index,
                             apx_lightgbm_width(word), word->at, what);
}

/* The line is there and has `count` words. */
static enum apx_status check_count(const struct apx_lightgbm_reader *reader, size_t line,
                                   const struct apx_lightgbm_span *list, const char *key,
                                   size_t count)
{
    if (list->at == NULL)
        return missing(reader, line, key);
    size_t words = apx_lightgbm_count_words(list);
    if (words != count)
        return apx_lightgbm_fail(reader, APX_EFORMAT, list->line, true,
                                 "%s has %zu numbers instead of %zu, as num_leaves and num_cat ask",
                                 key, words, count);
    return APX_OK;
}

/* ---- categories ------------------------------------------------------------------------------ */

#define SET_UNUSED (-2) /* in reader->sets: no split has asked for it */

struct categories {
    size_t sets;     /* num_cat */
    uint32_t *begin; /* [sets + 1] into words; in reader->words, behind them */
    uint32_t *words;
};

static enum apx_status read_bits(const struct apx_lightgbm_reader *reader,
                                 const struct apx_lightgbm_span *list, const char *key,
                                 uint32_t *to)
{
    struct apx_lightgbm_span rest = *list, word;
    for (size_t i = 0; apx_lightgbm_word(&rest, &word); i++)
        if (!apx_lightgbm_bits(&word, &to[i]))
            return not_a(reader, &word, key, i, "a whole number below 2^32");
    return APX_OK;
}

/* Room for the words, the boundaries and the sets. */
static enum apx_status categories_room(struct apx_lightgbm_reader *reader, size_t sets,
                                       size_t words)
{
    if (!apx_lightgbm_room(reader, &reader->words, &reader->word_room, words + sets + 1,
                           sizeof *reader->words))
        return apx_lightgbm_no_memory(reader);
    if (!apx_lightgbm_room(reader, &reader->sets, &reader->set_room, sets, sizeof *reader->sets))
        return apx_lightgbm_no_memory(reader);
    return APX_OK;
}

static enum apx_status read_categories(struct apx_lightgbm_reader *reader, size_t line,
                                       const struct tree_lines *lines, size_t sets,
                                       struct categories *out)
{
    enum apx_status status =
        check_count(reader, line, &lines->cat_boundaries, "cat_boundaries", sets + 1);
    if (status == APX_OK && lines->cat_threshold.at == NULL)
        status = missing(reader, line, "cat_threshold");
    if (status != APX_OK)
        return status;
    size_t words = apx_lightgbm_count_words(&lines->cat_threshold);
    status = categories_room(reader, sets, words);
    if (status != APX_OK)
        return status;
    *out = (struct categories){sets, reader->words + words, reader->words};
    status = read_bits(reader, &lines->cat_threshold, "cat_threshold", out->words);
    if (status == APX_OK)
        status = read_bits(reader, &lines->cat_boundaries, "cat_boundaries", out->begin);
    for (size_t k = 0; k <= sets && status == APX_OK; k++)
        if (out->begin[k] > words || (k > 0 && out->begin[k] < out->begin[k - 1]))
            status = apx_lightgbm_fail(reader, APX_EFORMAT, lines->cat_boundaries.line, true,
                                       "cat_boundaries: number %zu, %u, is not an ascending index "
                                       "in the %zu words of cat_threshold",
                                       k, (unsigned)out->begin[k], words);
    if (status == APX_OK && (out->begin[0] != 0 || out->begin[sets] != words))
        status = apx_lightgbm_fail(
            reader, APX_EFORMAT, lines->cat_boundaries.line, true,
            "cat_boundaries do not reach over the %zu words of cat_threshold", words);
    size_t most = 0;
    for (size_t k = 0; k < sets && status == APX_OK; k++) {
        size_t bounds = apx_lightgbm_count_bounds(out->words + out->begin[k],
                                                  out->begin[k + 1] - out->begin[k]);
        most = bounds > most ? bounds : most;
        reader->sets[k] = SET_UNUSED;
    }
    if (status == APX_OK && !apx_lightgbm_room(reader, &reader->bounds, &reader->bound_room, most,
                                               sizeof *reader->bounds))
        return apx_lightgbm_no_memory(reader);
    return status;
}

/* The split's threshold is the index of its set, and members go left. */
static enum apx_status split_category(struct apx_lightgbm_reader *reader, size_t line,
                                      const struct categories *categories, double index,
                                      struct apx_tree_node *node)
{
    if (!(index >= 0 && index < (double)categories->sets) || index != (double)(size_t)index)
        return apx_lightgbm_fail(reader, APX_EFORMAT, line, true,
                                 "a split asks for set %g of %zu sets of categories (threshold and "
                                 "num_cat)",
                                 index, categories->sets);
    size_t k = (size_t)index;
    if (reader->sets[k] == SET_UNUSED)
        reader->sets[k] = apx_lightgbm_split_categories(
            reader->builder, categories->words + categories->begin[k],
            categories->begin[k + 1] - categories->begin[k], reader->bounds);
    if (reader->sets[k] < 0)
        return apx_lightgbm_no_memory(reader);
    node->set = reader->sets[k];
    node->nan_right = false;
    uint32_t members = node->left;
    node->left = node->right;
    node->right = members;
    return APX_OK;
}

/* ---- splits and leaves ----------------------------------------------------------------------- */

static bool read_child(const struct apx_lightgbm_span *word, size_t leaves, uint32_t *child)
{
    int32_t number;
    if (!apx_lightgbm_int(word, &number))
        return false;
    size_t index = number >= 0 ? (size_t)number : leaves - 1 + (size_t)~number;
    *child = (uint32_t)index;
    return number >= 0 ? index < leaves - 1 : index < 2 * leaves - 1;
}

static enum apx_status read_split(struct apx_lightgbm_reader *reader,
                                  const struct tree_lines *lines, struct tree_lines *rest,
                                  const struct categories *categories, size_t leaves, size_t i)
{
    struct apx_tree_node *node = &reader->nodes[i];
    struct apx_lightgbm_span word;
    double threshold;
    int32_t type = 0;
    *node = (struct apx_tree_node){.set = -1};
    apx_lightgbm_word(&rest->split_feature, &word);
    if (!apx_lightgbm_int(&word, &node->feature) || node->feature < 0 ||
        node->feature >= reader->features)
        return not_a(reader, &word, "split_feature", i, "a feature of the model");
    apx_lightgbm_word(&rest->left_child, &word);
    if (!read_child(&word, leaves, &node->left))
        return not_a(reader, &word, "left_child", i,
                     "a split (from 0) or leaf (~0, ~1, ...) of the tree");
    apx_lightgbm_word(&rest->right_child, &word);
    if (!read_child(&word, leaves, &node->right))
        return not_a(reader, &word, "right_child", i,
                     "a split (from 0) or leaf (~0, ~1, ...) of the tree");
    if (lines->decision_type.at != NULL) {
        apx_lightgbm_word(&rest->decision_type, &word);
        if (!apx_lightgbm_int(&word, &type) || type < 0 || type > 11)
            return not_a(reader, &word, "decision_type", i, "0 to 11, what LightGBM writes");
    }
    apx_lightgbm_word(&rest->threshold, &word);
    if (!apx_lightgbm_double(&word, &threshold) || threshold != threshold)
        return not_a(reader, &word, "threshold", i, "a number");
    if ((type & APX_LIGHTGBM_CATEGORICAL) != 0)
        return split_category(reader, word.line, categories, threshold, node);
    if (!apx_lightgbm_split_number(reader->builder, threshold, type, node))
        return apx_lightgbm_no_memory(reader);
    return APX_OK;
}

static enum apx_status read_splits(struct apx_lightgbm_reader *reader, size_t line,
                                   const struct tree_lines *lines,
                                   const struct categories *categories, size_t leaves)
{
    const struct {
        const struct apx_lightgbm_span *list;
        const char *key;
    } lists[] = {{&lines->split_feature, "split_feature"},
                 {&lines->threshold, "threshold"},
                 {&lines->left_child, "left_child"},
                 {&lines->right_child, "right_child"},
                 {&lines->decision_type, "decision_type"}};
    enum apx_status status = APX_OK;
    for (size_t k = 0; k < sizeof lists / sizeof lists[0] && status == APX_OK; k++)
        if (lists[k].list != &lines->decision_type || lists[k].list->at != NULL)
            status = check_count(reader, line, lists[k].list, lists[k].key, leaves - 1);
    struct tree_lines rest = *lines;
    for (size_t i = 0; i < leaves - 1 && status == APX_OK; i++)
        status = read_split(reader, lines, &rest, categories, leaves, i);
    return status;
}

static enum apx_status read_leaves(struct apx_lightgbm_reader *reader,
                                   const struct tree_lines *lines, size_t leaves)
{
    struct apx_lightgbm_span rest = lines->leaf_value, word;
    for (size_t i = 0; i < leaves; i++) {
        apx_lightgbm_word(&rest, &word);
        if (!apx_lightgbm_double(&word, &reader->values[i]))
            return not_a(reader, &word, "leaf_value", i, "a number");
        reader->nodes[leaves - 1 + i] = (struct apx_tree_node){
            .feature = -1, .set = -1, .left = (uint32_t)i, .right = (uint32_t)i};
    }
    return APX_OK;
}

/* How many training rows came by, which only serves to guess a tree's shape: a line that is not as
 * it should be is left alone. */
static void read_cover(const struct apx_lightgbm_span *counts, struct apx_tree_node *nodes,
                       size_t count)
{
    if (counts->at == NULL)
        return;
    struct apx_lightgbm_span rest = *counts, word;
    for (size_t i = 0; i < count && apx_lightgbm_word(&rest, &word); i++) {
        int32_t rows;
        if (apx_lightgbm_int(&word, &rows) && rows > 0)
            nodes[i].cover = (float)rows;
    }
}

/* num_leaves, which is believed only if there are as many values; num_cat; is_linear */
static enum apx_status read_sizes(struct apx_lightgbm_reader *reader, size_t line,
                                  const struct tree_lines *lines, int32_t *leaves, int32_t *sets,
                                  int32_t *is_linear)
{
    if (lines->num_leaves.at == NULL)
        return missing(reader, line, "num_leaves");
    if (!apx_lightgbm_int(&lines->num_leaves, leaves) || *leaves < 1)
        return not_a(reader, &lines->num_leaves, "num_leaves", 0, "a whole number of at least 1");
    if (*leaves > APX_LIMIT_TREE_NODES / 2)
        return apx_lightgbm_fail(
            reader, APX_ELIMIT, lines->num_leaves.line, true,
            "num_leaves is %d; so many have more nodes than APX_LIMIT_TREE_NODES "
            "(%d)",
            *leaves, APX_LIMIT_TREE_NODES);
    if (lines->num_cat.at == NULL)
        return missing(reader, line, "num_cat");
    if (!apx_lightgbm_int(&lines->num_cat, sets) || *sets < 0)
        return not_a(reader, &lines->num_cat, "num_cat", 0, "a whole number of at least 0");
    *is_linear = 0;
    if (lines->is_linear.at != NULL &&
        (!apx_lightgbm_int(&lines->is_linear, is_linear) || *is_linear < 0 || *is_linear > 1))
        return not_a(reader, &lines->is_linear, "is_linear", 0, "0 or 1");
    return check_count(reader, line, &lines->leaf_value, "leaf_value", (size_t)*leaves);
}

enum apx_status apx_lightgbm_read_tree(struct apx_lightgbm_reader *reader, size_t line)
{
    struct tree_lines lines;
    struct categories categories = {0};
    int32_t leaf_count, sets, is_linear;
    memset(&lines, 0, sizeof lines);
    enum apx_status status = collect(reader, &lines);
    if (status == APX_OK)
        status = read_sizes(reader, line, &lines, &leaf_count, &sets, &is_linear);
    if (status != APX_OK)
        return status;
    const size_t leaves = (size_t)leaf_count;
    size_t room = reader->leaf_room;
    if (!apx_lightgbm_room(reader, &reader->nodes, &room, leaves, 2 * sizeof *reader->nodes) ||
        !apx_lightgbm_room(reader, &reader->values, &reader->leaf_room, leaves,
                           sizeof *reader->values))
        return apx_lightgbm_no_memory(reader);

    if (leaves > 1 && sets > 0)
        status = read_categories(reader, line, &lines, (size_t)sets, &categories);
    if (status == APX_OK && leaves > 1)
        status = read_splits(reader, line, &lines, &categories, leaves);
    if (status == APX_OK)
        status = read_leaves(reader, &lines, leaves);
    if (status != APX_OK)
        return status;
    read_cover(&lines.internal_count, reader->nodes, leaves - 1);
    read_cover(&lines.leaf_count, reader->nodes + leaves - 1, leaves);

    const uint32_t *unused;
    const size_t first = apx_forest_builder_leaves(reader->builder, &unused);
    status = apx_forest_builder_tree(reader->builder, reader->nodes, 2 * leaves - 1, 0,
                                     (uint32_t)(reader->trees % (size_t)reader->outputs),
                                     reader->values, leaves, reader->error);
    if (status == APX_OK && is_linear == 1)
        status = apx_lightgbm_linear_add(reader, first, leaves, &lines.linear);
    return status;
}
