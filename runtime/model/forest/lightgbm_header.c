/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_header.c - the lines before the first tree: `key=value`, in any order.
 *
 * Versions v2 (2.1 to 2.3), v3 and v4 say what a prediction needs with the same keys. Keys that
 * only matter for training (feature_infos, monotone_constraints, label_index) are passed over. */
#include "runtime/model/forest/lightgbm_reader.h"

#include <string.h>

struct header_lines {
    struct apx_lightgbm_span version, classes, per_iteration, last_feature, objective;
    struct apx_lightgbm_span feature_names, tree_sizes, averages;
};

static struct apx_lightgbm_span *find(struct header_lines *lines,
                                      const struct apx_lightgbm_span *key)
{
    const struct {
        const char *name;
        struct apx_lightgbm_span *line;
    } known[] = {
        {"version", &lines->version},
        {"num_class", &lines->classes},
        {"num_tree_per_iteration", &lines->per_iteration},
        {"max_feature_idx", &lines->last_feature},
        {"objective", &lines->objective},
        {"average_output", &lines->averages},
        {"feature_names", &lines->feature_names},
        {"tree_sizes", &lines->tree_sizes},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (apx_lightgbm_span_is(key, known[i].name))
            return known[i].line;
    return NULL;
}

static enum apx_status collect(struct apx_lightgbm_reader *reader, struct header_lines *lines)
{
    struct apx_lightgbm_span line, key, value;
    if (!apx_lightgbm_line(&reader->text, &line) || !apx_lightgbm_span_is(&line, "tree"))
        return apx_lightgbm_fail(reader, APX_EFORMAT, 1, false,
                                 "not a model of LightGBM: its first line is \"tree\"");
    for (;;) {
        struct apx_lightgbm_text before = reader->text;
        if (!apx_lightgbm_line(&reader->text, &line))
            return APX_OK;
        if (apx_lightgbm_span_starts(&line, "Tree=") ||
            apx_lightgbm_span_is(&line, "end of trees")) {
            reader->text = before;
            return APX_OK;
        }
        if (line.at == line.end)
            continue;
        if (!apx_lightgbm_cut(&line, '=', &key, &value)) {
            key = line;
            value = (struct apx_lightgbm_span){line.end, line.end, line.line};
        }
        struct apx_lightgbm_span *known = find(lines, &key);
        if (known == NULL)
            continue;
        if (known->at != NULL)
            return apx_lightgbm_fail(reader, APX_EFORMAT, line.line, false,
                                     "%.*s is already in line %zu", (int)(key.end - key.at), key.at,
                                     known->line);
        *known = value;
    }
}

static enum apx_status number(const struct apx_lightgbm_reader *reader,
                              const struct apx_lightgbm_span *line, const char *key, int32_t least,
                              int32_t *value)
{
    if (line->at == NULL)
        return apx_lightgbm_fail(reader, APX_EFORMAT, 0, false,
                                 "the header has no line %s=: is this a file of save_model?", key);
    if (!apx_lightgbm_int(line, value) || *value < least || *value == INT32_MAX)
        return apx_lightgbm_fail(reader, APX_EFORMAT, line->line, false,
                                 "%s is \"%.*s\", not a whole number of at least %d", key,
                                 apx_lightgbm_width(line), line->at, least);
    return APX_OK;
}

static enum apx_status check_version(const struct apx_lightgbm_reader *reader,
                                     const struct apx_lightgbm_span *version)
{
    if (version->at == NULL)
        return apx_lightgbm_fail(
            reader, APX_EUNSUPPORTED, 0, false,
            "the header has no version: written by LightGBM before 2.1? Load and save it "
            "with a newer one");
    if (!apx_lightgbm_span_is(version, "v2") && !apx_lightgbm_span_is(version, "v3") &&
        !apx_lightgbm_span_is(version, "v4"))
        return apx_lightgbm_fail(reader, APX_EUNSUPPORTED, version->line, false,
                                 "version %.*s; this build reads v2, v3 and v4",
                                 apx_lightgbm_width(version), version->at);
    return APX_OK;
}

enum apx_status apx_lightgbm_read_header(struct apx_lightgbm_reader *reader)
{
    struct header_lines lines;
    memset(&lines, 0, sizeof lines);
    int32_t classes, last_feature;
    enum apx_status status = collect(reader, &lines);
    if (status == APX_OK)
        status = check_version(reader, &lines.version);
    if (status == APX_OK)
        status = number(reader, &lines.classes, "num_class", 1, &classes);
    if (status == APX_OK && lines.per_iteration.at == NULL)
        lines.per_iteration = lines.classes;
    if (status == APX_OK)
        status =
            number(reader, &lines.per_iteration, "num_tree_per_iteration", 1, &reader->outputs);
    if (status == APX_OK)
        status = number(reader, &lines.last_feature, "max_feature_idx", 0, &last_feature);
    if (status != APX_OK)
        return status;
    if (reader->outputs != classes)
        return apx_lightgbm_fail(
            reader, APX_EUNSUPPORTED, lines.per_iteration.line, false,
            "num_tree_per_iteration is %d and num_class %d: they should be equal", reader->outputs,
            classes);
    reader->features = last_feature + 1;
    reader->version = lines.version;
    reader->objective = lines.objective;
    reader->averages = lines.averages.at != NULL;
    reader->feature_names = lines.feature_names;
    reader->tree_sizes = lines.tree_sizes;
    if (lines.feature_names.at != NULL &&
        apx_lightgbm_count_words(&lines.feature_names) != (size_t)reader->features)
        return apx_lightgbm_fail(reader, APX_EFORMAT, lines.feature_names.line, false,
                                 "%zu feature names for %d features",
                                 apx_lightgbm_count_words(&lines.feature_names), reader->features);
    return APX_OK;
}
