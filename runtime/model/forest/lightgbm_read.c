/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_read.c - LightGBM's text format to a graph: header, trees, "end of trees".
 *
 * tree_sizes, the lengths of the blocks, are not followed but compared: a digit that got lost in a
 * leaf leaves a well-formed file. They say nothing of a file whose line ends became CR LF on its
 * way, which is read all the same. What comes after the trees (importances, parameters,
 * the categories of a pandas frame) has no part in predictions: features are numbers and categories
 * are codes. All trees of a file are used, as LightGBM does with a model that it has loaded; the
 * program that saved it has already left out those after the best iteration. */
#include "runtime/model/forest/forest_read.h"
#include "runtime/model/forest/lightgbm_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

enum apx_status apx_lightgbm_fail(const struct apx_lightgbm_reader *reader, enum apx_status status,
                                  size_t line, bool in_tree, const char *format, ...)
{
    char text[256], where[64] = "", tree[32] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (in_tree)
        snprintf(tree, sizeof tree, "tree %zu", reader->trees);
    if (line > 0)
        snprintf(where, sizeof where, "line %zu%s%s: ", line, in_tree ? ", " : "", tree);
    else if (in_tree)
        snprintf(where, sizeof where, "%s: ", tree);
    return apx_fail(reader->error, status, tree, "%s%s", where, text);
}

enum apx_status apx_lightgbm_no_memory(const struct apx_lightgbm_reader *reader)
{
    return apx_fail(reader->error, APX_ENOMEM, "", "out of memory for the trees");
}

bool apx_lightgbm_room(const struct apx_lightgbm_reader *reader, void *array, size_t *room,
                       size_t count, size_t size)
{
    return apx_grow(reader->allocator, array, 0, room, count, size);
}

static bool ends_trees(const struct apx_lightgbm_span *line)
{
    return apx_lightgbm_span_is(line, "end of trees") ||
           apx_lightgbm_span_is(line, "feature importances:") ||
           apx_lightgbm_span_is(line, "feature_importances:");
}

/* The block of the last tree ended where `end` begins. */
static enum apx_status check_size(struct apx_lightgbm_reader *reader, const char *begin,
                                  const char *end)
{
    struct apx_lightgbm_span word;
    int32_t size;
    if (reader->trees == 0 || reader->tree_sizes.at == NULL || reader->has_cr ||
        !apx_lightgbm_word(&reader->sizes_left, &word))
        return APX_OK;
    if (!apx_lightgbm_int(&word, &size) || size != end - begin)
        return apx_lightgbm_fail(reader, APX_EFORMAT, reader->tree_sizes.line, false,
                                 "tree_sizes gives tree %zu %.*s bytes, it has %td: damaged, or "
                                 "edited (then drop that line)",
                                 reader->trees - 1, (int)(word.end - word.at), word.at,
                                 end - begin);
    return APX_OK;
}

static enum apx_status read_trees(struct apx_lightgbm_reader *reader)
{
    struct apx_lightgbm_span line;
    const char *begin = NULL;
    reader->sizes_left = reader->tree_sizes;
    reader->has_cr =
        memchr(reader->text.at, '\r', (size_t)(reader->text.end - reader->text.at)) != NULL;
    for (;;) {
        if (!apx_lightgbm_line(&reader->text, &line))
            return apx_lightgbm_fail(reader, APX_EFORMAT, reader->text.line, false,
                                     "the file ends after %zu trees without \"end of trees\": cut "
                                     "off?",
                                     reader->trees);
        if (line.at == line.end)
            continue;
        if (ends_trees(&line))
            return check_size(reader, begin, line.at);
        if (!apx_lightgbm_span_starts(&line, "Tree="))
            return apx_lightgbm_fail(
                reader, APX_EFORMAT, line.line, false,
                "after %zu trees: \"%.*s\" is neither \"Tree=\" nor \"end of trees\"",
                reader->trees, apx_lightgbm_width(&line), line.at);
        enum apx_status status = check_size(reader, begin, line.at);
        begin = line.at;
        if (status == APX_OK)
            status = apx_lightgbm_read_tree(reader, line.line);
        if (status != APX_OK)
            return status;
        reader->trees++;
    }
}

static enum apx_status check_trees(const struct apx_lightgbm_reader *reader)
{
    const struct apx_lightgbm_span *sizes = &reader->tree_sizes;
    if (sizes->at != NULL && apx_lightgbm_count_words(sizes) != reader->trees)
        return apx_lightgbm_fail(
            reader, APX_EFORMAT, sizes->line, false,
            "tree_sizes speaks of %zu trees, the file has %zu: damaged, or edited "
            "(then drop that line)",
            apx_lightgbm_count_words(sizes), reader->trees);
    if (reader->trees % (size_t)reader->outputs != 0)
        return apx_lightgbm_fail(reader, APX_EFORMAT, 0, false,
                                 "%zu trees are no whole number of iterations of %d "
                                 "(num_tree_per_iteration): is the file cut off?",
                                 reader->trees, reader->outputs);
    return APX_OK;
}

/* desc, link and labels; the builder is empty then. */
static enum apx_status finish(const struct apx_lightgbm_reader *reader, struct apx_forest **out)
{
    struct apx_forest *forest;
    enum apx_status status = apx_forest_builder_finish(reader->builder, &forest, reader->error);
    *out = forest;
    if (status != APX_OK)
        return status;
    forest->desc.compares_double = forest->desc.sums_double = forest->output_double = true;
    status = apx_lightgbm_linear_finish(reader, forest);
    const char *objective = "";
    if (status == APX_OK)
        status = apx_lightgbm_read_objective(reader, forest, &objective);
    if (status != APX_OK)
        return status;
    if (reader->averages)
        forest->link.divide = (double)(reader->trees / (size_t)reader->outputs);
    const size_t room = strlen(objective) + 32;
    char *source = apx_forest_alloc(forest, room);
    if (source == NULL)
        return apx_lightgbm_no_memory(reader);
    snprintf(source, room, "lightgbm %.2s, %s%s", reader->version.at, objective,
             reader->averages ? ", averaged" : "");
    forest->source = source;
    return APX_OK;
}

/* [features] and the bytes they point into, in one block; *out is NULL if the file has none. */
static enum apx_status copy_names(const struct apx_lightgbm_reader *reader, char ***out)
{
    struct apx_lightgbm_span rest = reader->feature_names, word;
    *out = NULL;
    if (rest.at == NULL)
        return APX_OK;
    const size_t count = (size_t)reader->features, length = (size_t)(rest.end - rest.at);
    char **names = apx_alloc(reader->allocator, 1, count * sizeof *names + length + 1);
    if (names == NULL)
        return apx_lightgbm_no_memory(reader);
    char *to = (char *)(names + count);
    for (size_t i = 0; i < count && apx_lightgbm_word(&rest, &word); i++) {
        names[i] = to;
        memcpy(to, word.at, (size_t)(word.end - word.at));
        to += word.end - word.at;
        *to++ = '\0';
    }
    *out = names;
    return APX_OK;
}

static void fini(struct apx_lightgbm_reader *reader)
{
    void *arrays[] = {reader->nodes,  reader->values,        reader->sets,        reader->words,
                      reader->bounds, reader->linear.leaves, reader->linear.terms};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        apx_release(reader->allocator, arrays[i]);
    apx_forest_builder_destroy(reader->builder);
}

enum apx_status apx_lightgbm_read(const void *data, size_t bytes,
                                  const struct apx_allocator *allocator, struct apx_graph **out,
                                  struct apx_error *error)
{
    struct apx_lightgbm_reader reader = {.allocator = allocator, .error = error};
    struct apx_forest *forest = NULL;
    char **names = NULL;
    *out = NULL;
    reader.text = (struct apx_lightgbm_text){data, (const char *)data + bytes, 1};
    enum apx_status status = apx_lightgbm_read_header(&reader);
    if (status == APX_OK)
        status = apx_forest_builder_create(allocator, (size_t)reader.features,
                                           (size_t)reader.outputs, 1, &reader.builder, error);
    if (status == APX_OK)
        status = read_trees(&reader);
    if (status == APX_OK)
        status = check_trees(&reader);
    if (status == APX_OK)
        status = copy_names(&reader, &names);
    if (status == APX_OK)
        status = finish(&reader, &forest);
    if (status == APX_OK) {
        status = apx_forest_graph(forest, (const char *const *)names, out, error);
        forest = NULL; /* the graph's, on failure too */
    }
    apx_forest_destroy(forest);
    apx_release(allocator, names);
    fini(&reader);
    return status;
}
