/* SPDX-License-Identifier: Apache-2.0 */
/* graph_names.c - what a graph says of itself in words: lists of names among its metadata. */
#include <stdio.h>
#include <string.h>

#include "runtime/model/graph.h"

/* Appends to text[size]; only counts while text is NULL. */
struct writer {
    char *text;
    size_t length;
};

static void put(struct writer *writer, const char *piece, size_t length)
{
    if (writer->text != NULL)
        memcpy(writer->text + writer->length, piece, length);
    writer->length += length;
}

/* A JSON string. Bytes that are not ASCII go through as they are: the file's names are UTF-8. */
static void put_string(struct writer *writer, const char *text)
{
    put(writer, "\"", 1);
    for (const char *at = text; *at != '\0'; at++) {
        char escape[8];
        if (*at == '"' || *at == '\\') {
            put(writer, "\\", 1);
            put(writer, at, 1);
        } else if ((unsigned char)*at < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*at);
            put(writer, escape, 6);
        } else {
            put(writer, at, 1);
        }
    }
    put(writer, "\"", 1);
}

static void put_list(struct writer *writer, const char *const *names, size_t count)
{
    put(writer, "[", 1);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            put(writer, ", ", 2);
        put_string(writer, names[i]);
    }
    put(writer, "]", 2); /* and the end of the text */
}

static bool has_metadata(const struct apx_graph *graph, const char *key)
{
    for (int i = 0; i < graph->metadata_count; i++)
        if (strcmp(graph->metadata[i].key, key) == 0)
            return true;
    return false;
}

/* text is the graph's own. */
static bool append(struct apx_graph *graph, const char *key, const char *text)
{
    struct apx_metadata *longer =
        apx_graph_alloc(graph, (size_t)(graph->metadata_count + 1) * sizeof *longer);
    const char *copy = apx_graph_string(graph, key, strlen(key));
    if (longer == NULL || copy == NULL)
        return false;
    if (graph->metadata_count > 0)
        memcpy(longer, graph->metadata, (size_t)graph->metadata_count * sizeof *longer);
    longer[graph->metadata_count++] = (struct apx_metadata){copy, text};
    graph->metadata = longer;
    return true;
}

bool apx_graph_add_metadata(struct apx_graph *graph, const char *key, const char *text)
{
    if (has_metadata(graph, key))
        return true;
    const char *copy = apx_graph_string(graph, text, strlen(text));
    return copy != NULL && append(graph, key, copy);
}

bool apx_graph_add_names(struct apx_graph *graph, const char *key, const char *const *names,
                         size_t count)
{
    struct writer writer = {0};
    if (has_metadata(graph, key))
        return true;
    put_list(&writer, names, count);
    writer.text = apx_graph_alloc(graph, writer.length);
    if (writer.text == NULL)
        return false;
    writer.length = 0;
    put_list(&writer, names, count);
    return append(graph, key, writer.text);
}
