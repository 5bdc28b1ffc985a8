/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - YAML against the table of keys.
 *
 * libyaml builds the tree of the document, which keeps the line of every node. Defaults, the file
 * and --set values all go through the same setter: a default is a value like any other and cannot
 * be out of step with the checks. */
#include "train/config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "train/config_check.h"

enum kind { COUNT, SEED, REAL, CHOICE, FLAG, TEXT, TEXTS, WIDTHS };

struct key {
    const char *path;
    enum kind kind;
    size_t offset;
    const char *fallback;
    double least, most;
    const char *words, *help;
};

static const struct key keys[] = {
#define APX_KEY(path, kind, field, fallback, least, most, words, help)                             \
    {path, kind, offsetof(struct apx_train_config, field), fallback, least, most, words, help},
#include "train/config.def"
#undef APX_KEY
};
enum { KEYS = sizeof keys / sizeof *keys };

/* Where a value comes from, for messages: a file and a line, or a --set option. */
struct source {
    const char *name;
    bool is_file;
    size_t lines[KEYS]; /* of a file: where each key was set, 0 for not yet */
};

static enum apx_status refuse(struct apx_error *error, const struct source *source, size_t line,
                              const char *key, const char *text)
{
    if (source->is_file)
        return apx_fail(error, APX_EINVAL, key, "%s:%zu: %s: %s", source->name, line, key, text);
    return apx_fail(error, APX_EINVAL, key, "%s: %s: %s", source->name, key, text);
}

static const char *scalar_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* null, ~ or nothing at all, unless quoted. */
static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = scalar_text(node);
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static bool parse_real(const char *text, double *value)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value) && strpbrk(text, "xX \t") == NULL;
}

static bool parse_count(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    if (text[0] < '0' || text[0] > '9')
        return false;
    *value = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static void release_texts(struct apx_config_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->item[i]);
    free(texts->item);
    *texts = (struct apx_config_texts){0};
}

static enum apx_status check_text(const struct source *source, const struct key *key,
                                  const yaml_node_t *node, struct apx_error *error)
{
    char text[96];
    size_t line = node->start_mark.line + 1;
    if (node->type != YAML_SCALAR_NODE || is_null(node))
        return refuse(error, source, line, key->path, "must be text");
    if (node->data.scalar.length > APX_LIMIT_CONFIG_TEXT ||
        strlen(scalar_text(node)) != node->data.scalar.length) {
        snprintf(text, sizeof text, "must be at most %d bytes without NUL (APX_LIMIT_CONFIG_TEXT)",
                 APX_LIMIT_CONFIG_TEXT);
        return refuse(error, source, line, key->path, text);
    }
    return APX_OK;
}

static enum apx_status set_texts(const struct source *source, const struct key *key,
                                 yaml_document_t *document, const yaml_node_t *node,
                                 struct apx_config_texts *texts, struct apx_error *error)
{
    char text[96];
    struct apx_config_texts list = {0};
    enum apx_status status;
    size_t count = 1;
    if (node->type == YAML_SEQUENCE_NODE)
        count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    else if (node->type != YAML_SCALAR_NODE)
        return refuse(error, source, node->start_mark.line + 1, key->path,
                      "must be text or a list of texts");
    else if (is_null(node))
        count = 0;
    if ((double)count > key->most) {
        snprintf(text, sizeof text, "%zu entries: at most %.0f", count, key->most);
        return refuse(error, source, node->start_mark.line + 1, key->path, text);
    }
    list.item = calloc(count + 1, sizeof *list.item);
    if (list.item == NULL)
        return apx_fail(error, APX_ENOMEM, key->path, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = node;
        if (node->type == YAML_SEQUENCE_NODE)
            item = yaml_document_get_node(document, node->data.sequence.items.start[i]);
        status = check_text(source, key, item, error);
        if (status == APX_OK && (list.item[i] = strdup(scalar_text(item))) == NULL)
            status = apx_fail(error, APX_ENOMEM, key->path, "out of memory");
        if (status != APX_OK) {
            release_texts(&list);
            return status;
        }
        list.count++;
    }
    release_texts(texts);
    *texts = list;
    return APX_OK;
}

static enum apx_status set_widths(const struct source *source, const struct key *key,
                                  yaml_document_t *document, const yaml_node_t *node,
                                  struct apx_config_widths *widths, struct apx_error *error)
{
    char text[96];
    size_t count = 1;
    if (node->type == YAML_SEQUENCE_NODE)
        count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    snprintf(text, sizeof text, "must be a list of at most %d whole numbers from %.0f to %.0f",
             APX_NET_LAYERS, key->least, key->most);
    if (count > APX_NET_LAYERS)
        return refuse(error, source, node->start_mark.line + 1, key->path, text);
    widths->count = 0;
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = node;
        uint64_t value;
        if (node->type == YAML_SEQUENCE_NODE)
            item = yaml_document_get_node(document, node->data.sequence.items.start[i]);
        if (item->type != YAML_SCALAR_NODE || !parse_count(scalar_text(item), &value) ||
            (double)value < key->least || (double)value > key->most)
            return refuse(error, source, item->start_mark.line + 1, key->path, text);
        widths->item[widths->count++] = (size_t)value;
    }
    return APX_OK;
}

static enum apx_status set_choice(const struct source *source, const struct key *key,
                                  const yaml_node_t *node, int *choice, struct apx_error *error)
{
    char text[160];
    const char *word = key->words, *given = "a list or mapping";
    if (node->type == YAML_SCALAR_NODE)
        given = scalar_text(node);
    for (int i = 0;; i++) {
        size_t length = strcspn(word, "|");
        if (strlen(given) == length && memcmp(given, word, length) == 0) {
            *choice = i;
            return APX_OK;
        }
        if (word[length] == '\0')
            break;
        word += length + 1;
    }
    snprintf(text, sizeof text, "\"%.40s\": must be one of %s", given, key->words);
    return refuse(error, source, node->start_mark.line + 1, key->path, text);
}

static enum apx_status set_key(struct apx_train_config *config, const struct source *source,
                               const struct key *key, yaml_document_t *document,
                               const yaml_node_t *node, struct apx_error *error)
{
    char *place = (char *)config + key->offset;
    size_t line = node->start_mark.line + 1;
    char text[160];
    const char *given = node->type == YAML_SCALAR_NODE ? scalar_text(node) : "a list or mapping";
    uint64_t count;
    double real;
    switch (key->kind) {
    case COUNT:
    case SEED:
        if (node->type != YAML_SCALAR_NODE || !parse_count(given, &count) ||
            (double)count < key->least || (double)count > key->most) {
            snprintf(text, sizeof text, "\"%.40s\": must be a whole number from %.0f to %.0f",
                     given, key->least, key->most);
            return refuse(error, source, line, key->path, text);
        }
        if (key->kind == SEED)
            memcpy(place, &count, sizeof count);
        else
            *(size_t *)(void *)place = (size_t)count;
        return APX_OK;
    case REAL:
        if (node->type != YAML_SCALAR_NODE || !parse_real(given, &real) || real < key->least ||
            real > key->most) {
            snprintf(text, sizeof text, "\"%.40s\": must be a number from %g to %g", given,
                     key->least, key->most);
            return refuse(error, source, line, key->path, text);
        }
        memcpy(place, &real, sizeof real);
        return APX_OK;
    case CHOICE:
        return set_choice(source, key, node, (int *)(void *)place, error);
    case FLAG:
        if (strcmp(given, "true") != 0 && strcmp(given, "false") != 0) {
            snprintf(text, sizeof text, "\"%.40s\": must be true or false", given);
            return refuse(error, source, line, key->path, text);
        }
        *(bool *)(void *)place = given[0] == 't';
        return APX_OK;
    case TEXT: {
        char *copy = NULL;
        if (!is_null(node)) {
            enum apx_status status = check_text(source, key, node, error);
            if (status != APX_OK)
                return status;
            if ((copy = strdup(given)) == NULL)
                return apx_fail(error, APX_ENOMEM, key->path, "out of memory");
        }
        free(*(char **)(void *)place);
        *(char **)(void *)place = copy;
        return APX_OK;
    }
    case TEXTS:
        return set_texts(source, key, document, node, (struct apx_config_texts *)(void *)place,
                         error);
    case WIDTHS:
        return set_widths(source, key, document, node, (struct apx_config_widths *)(void *)place,
                          error);
    }
    return APX_EINVAL;
}

/* Edit distance (insert, delete, replace), for words shorter than the row. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], length = strlen(b);
    if (length >= 64)
        return 64;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            size_t change = corner + (a[i] != b[j]);
            corner = row[j + 1];
            size_t least = row[j] < corner ? row[j] + 1 : corner + 1;
            row[j + 1] = change < least ? change : least;
        }
    }
    return row[length];
}

static enum apx_status unknown(struct apx_error *error, const struct source *source, size_t line,
                               const char *path)
{
    const char *nearest = keys[0].path, *given = strrchr(path, '.');
    size_t best = SIZE_MAX;
    given = given != NULL ? given + 1 : path;
    for (size_t i = 0; i < KEYS; i++) {
        const char *last = strrchr(keys[i].path, '.');
        last = last != NULL ? last + 1 : keys[i].path;
        /* a key of the right name in the wrong section is nearer than any misspelling */
        size_t far = 4 * distance(given, last) + distance(path, keys[i].path);
        if (far < best) {
            best = far;
            nearest = keys[i].path;
        }
    }
    char text[160];
    snprintf(text, sizeof text, "unknown key; the nearest is \"%s\" (auspex train --keys)",
             nearest);
    return refuse(error, source, line, path, text);
}

static bool is_section(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < KEYS; i++) {
        if (strncmp(keys[i].path, path, length) == 0 && keys[i].path[length] == '.')
            return true;
    }
    return false;
}

static enum apx_status apply(struct apx_train_config *config, struct source *source,
                             const char *path, yaml_document_t *document, const yaml_node_t *node,
                             size_t line, struct apx_error *error)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].path, path) != 0)
            continue;
        if (source->is_file && source->lines[i] != 0) {
            char text[80];
            snprintf(text, sizeof text, "given twice, first in line %zu", source->lines[i]);
            return refuse(error, source, line, path, text);
        }
        source->lines[i] = line;
        return set_key(config, source, &keys[i], document, node, error);
    }
    if (!is_section(path))
        return unknown(error, source, line, path);
    if (is_null(node))
        return APX_OK; /* a section with nothing in it */
    if (node->type != YAML_MAPPING_NODE)
        return refuse(error, source, line, path, "must be a section with keys");
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(document, pair->value);
        char inner[160];
        size_t at = name->start_mark.line + 1;
        if (name->type != YAML_SCALAR_NODE)
            return refuse(error, source, at, path, "a key must be a word");
        snprintf(inner, sizeof inner, "%s.%.80s", path, scalar_text(name));
        enum apx_status status = apply(config, source, inner, document, value, at, error);
        if (status != APX_OK)
            return status;
    }
    return APX_OK;
}

/* Parse `text` and hand its root to the key `path`, or, with path NULL, each of its keys. */
static enum apx_status apply_text(struct apx_train_config *config, struct source *source,
                                  const char *path, const char *text, size_t bytes,
                                  struct apx_error *error)
{
    yaml_parser_t parser;
    yaml_document_t document;
    enum apx_status status = APX_OK;
    if (!yaml_parser_initialize(&parser))
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    if (!yaml_parser_load(&parser, &document)) {
        const char *problem = parser.problem != NULL ? parser.problem : "cannot be read";
        char sentence[160];
        snprintf(sentence, sizeof sentence, "not YAML: %s", problem);
        status = path != NULL ? refuse(error, source, 1, path, sentence)
                              : apx_fail(error, APX_EFORMAT, "", "%s:%zu: %s", source->name,
                                         parser.problem_mark.line + 1, sentence);
        yaml_parser_delete(&parser);
        return status;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (path != NULL) {
        yaml_char_t nothing[] = "";
        yaml_node_t empty = {.type = YAML_SCALAR_NODE};
        empty.data.scalar.value = nothing;
        empty.data.scalar.style = YAML_PLAIN_SCALAR_STYLE;
        status = apply(config, source, path, &document, root != NULL ? root : &empty, 1, error);
    } else if (root == NULL || root->type != YAML_MAPPING_NODE) {
        status = apx_fail(error, APX_EFORMAT, "", "%s:1: must be a mapping of keys to values",
                          source->name);
    } else {
        for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
             status == APX_OK && pair < root->data.mapping.pairs.top; pair++) {
            const yaml_node_t *name = yaml_document_get_node(&document, pair->key);
            const yaml_node_t *value = yaml_document_get_node(&document, pair->value);
            size_t line = name->start_mark.line + 1;
            if (name->type != YAML_SCALAR_NODE)
                status = refuse(error, source, line, "?", "a key must be a word");
            else
                status = apply(config, source, scalar_text(name), &document, value, line, error);
        }
    }
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return status;
}

enum apx_status apx_train_config_read(const char *path, const char *const *sets, size_t set_count,
                                      struct apx_train_config *config, struct apx_error *error)
{
    char *text = NULL;
    size_t bytes = 0;
    *config = (struct apx_train_config){0};
    enum apx_status status = apx_file_read(path, APX_LIMIT_CONFIG_BYTES, &text, &bytes, error);
    if (status == APX_OK)
        status = apx_train_config_parse(path, text, bytes, sets, set_count, config, error);
    free(text);
    return status;
}

enum apx_status apx_train_config_parse(const char *name, const char *text, size_t bytes,
                                       const char *const *sets, size_t set_count,
                                       struct apx_train_config *config, struct apx_error *error)
{
    enum apx_status status = APX_OK;
    *config = (struct apx_train_config){0};
    for (size_t i = 0; i < KEYS && status == APX_OK; i++) {
        struct source source = {.name = "default"};
        status = apply_text(config, &source, keys[i].path, keys[i].fallback,
                            strlen(keys[i].fallback), error);
    }
    if (status != APX_OK)
        goto fail;
    const char *slash = strrchr(name, '/');
    config->path = strdup(name);
    config->folder = slash != NULL ? strndup(name, (size_t)(slash - name) + 1) : strdup("");
    if (config->path == NULL || config->folder == NULL) {
        status = apx_fail(error, APX_ENOMEM, "config", "out of memory");
        goto fail;
    }
    struct source file = {.name = name, .is_file = true};
    status = apply_text(config, &file, NULL, text, bytes, error);
    if (status != APX_OK)
        goto fail;
    for (size_t i = 0; i < set_count; i++) {
        struct source option = {.name = "--set"};
        const char *equals = strchr(sets[i], '=');
        char key[160];
        if (equals == NULL || equals == sets[i] || (size_t)(equals - sets[i]) >= sizeof key) {
            status =
                apx_fail(error, APX_EINVAL, "--set", "--set %.80s: must be key=value", sets[i]);
            goto fail;
        }
        snprintf(key, sizeof key, "%.*s", (int)(equals - sets[i]), sets[i]);
        status = apply_text(config, &option, key, equals + 1, strlen(equals + 1), error);
        if (status != APX_OK)
            goto fail;
    }
    status = apx_train_config_check(config, error);
    if (status != APX_OK)
        goto fail;
    return APX_OK;
fail:
    apx_train_config_fini(config);
    return status;
}

void apx_train_config_fini(struct apx_train_config *config)
{
    for (size_t i = 0; i < KEYS; i++) {
        char *place = (char *)config + keys[i].offset;
        if (keys[i].kind == TEXT)
            free(*(char **)(void *)place);
        else if (keys[i].kind == TEXTS)
            release_texts((struct apx_config_texts *)(void *)place);
    }
    free(config->path);
    free(config->folder);
    *config = (struct apx_train_config){0};
}

char *apx_train_config_path(const struct apx_train_config *config, const char *path)
{
    char *joined = NULL;
    if (path[0] == '/')
        return strdup(path);
    if (asprintf(&joined, "%s%s", config->folder, path) < 0)
        return NULL;
    return joined;
}

/* Double quotes with JSON's escapes, which are YAML's too. */
static void write_text(const char *text, FILE *file)
{
    putc('"', file);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(file, "\\x%02x", c);
        else
            putc(c, file);
    }
    putc('"', file);
}

static void write_real(double value, FILE *file)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, file);
}

static void write_value(const struct apx_train_config *config, const struct key *key, FILE *file)
{
    const char *place = (const char *)config + key->offset;
    switch (key->kind) {
    case COUNT:
        fprintf(file, "%zu", *(const size_t *)(const void *)place);
        break;
    case SEED:
        fprintf(file, "%" PRIu64, *(const uint64_t *)(const void *)place);
        break;
    case REAL:
        write_real(*(const double *)(const void *)place, file);
        break;
    case FLAG:
        fputs(*(const bool *)(const void *)place ? "true" : "false", file);
        break;
    case CHOICE: {
        const char *word = key->words;
        for (int i = *(const int *)(const void *)place; i > 0; i--)
            word = strchr(word, '|') + 1;
        fprintf(file, "%.*s", (int)strcspn(word, "|"), word);
        break;
    }
    case TEXT: {
        const char *text = *(char *const *)(const void *)place;
        if (text == NULL)
            fputs("null", file);
        else
            write_text(text, file);
        break;
    }
    case TEXTS: {
        const struct apx_config_texts *texts = (const void *)place;
        putc('[', file);
        for (size_t i = 0; i < texts->count; i++) {
            fputs(i > 0 ? ", " : "", file);
            write_text(texts->item[i], file);
        }
        putc(']', file);
        break;
    }
    case WIDTHS: {
        const struct apx_config_widths *widths = (const void *)place;
        putc('[', file);
        for (size_t i = 0; i < widths->count; i++)
            fprintf(file, "%s%zu", i > 0 ? ", " : "", widths->item[i]);
        putc(']', file);
        break;
    }
    }
}

void apx_train_config_write(const struct apx_train_config *config, bool output, FILE *file)
{
    char section[32] = "";
    for (size_t i = 0; i < KEYS; i++) {
        const char *dot = strchr(keys[i].path, '.'), *name = dot != NULL ? dot + 1 : keys[i].path;
        char here[32] = "";
        if (dot != NULL)
            snprintf(here, sizeof here, "%.*s", (int)(dot - keys[i].path), keys[i].path);
        if (!output && strcmp(here, "output") == 0)
            continue;
        if (strcmp(here, section) != 0 && here[0] != '\0')
            fprintf(file, "%s:\n", here);
        memcpy(section, here, sizeof section);
        fprintf(file, "%s%s: ", dot != NULL ? "  " : "", name);
        write_value(config, &keys[i], file);
        putc('\n', file);
    }
}

void apx_train_config_help(FILE *file)
{
    for (size_t i = 0; i < KEYS; i++) {
        const struct key *key = &keys[i];
        fprintf(file, "%-24s %s\n", key->path, key->help);
        fprintf(file, "%-24s default %s", "", key->fallback);
        if (key->kind == COUNT || key->kind == REAL || key->kind == WIDTHS)
            fprintf(file, "; from %g to %g", key->least, key->most);
        if (key->words[0] != '\0')
            fprintf(file, "; %s", key->words);
        putc('\n', file);
    }
}
