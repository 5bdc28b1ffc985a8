/* SPDX-License-Identifier: Apache-2.0 */
/* device_words.c - for the log: where the batches of a model go.
 *
 * The library's own description is asked, for sessions of one thread, which is what the server's
 * are: both what was measured and what is estimated depend on it. */
#include "serve/device_words.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

/* from: a number of rows, or null where the CPU takes all. */
static void say(const json_t *from, const char *by, char *out, size_t room)
{
    if (json_is_integer(from))
        snprintf(out, room, "auto: GPU from %lld rows, %s", (long long)json_integer_value(from),
                 by);
    else
        snprintf(out, room, "auto: CPU, %s", by);
}

void apx_device_words(const struct apx_model *model, char *out, size_t room)
{
    char *text;
    out[0] = '\0';
    if (apx_model_describe(model, &text, NULL) != APX_OK)
        return;
    json_t *about = json_loads(text, 0, NULL);
    const json_t *cuda = json_object_get(about, "cuda");
    const json_t *from = json_object_get(cuda, "from_rows_one_thread"), *measured = NULL;
    size_t i;
    json_t *entry;
    json_array_foreach (json_object_get(cuda, "measured"), i, entry)
        if (measured == NULL && json_integer_value(json_object_get(entry, "threads")) == 1)
            measured = entry;
    if (measured != NULL)
        say(json_object_get(measured, "auto_from_rows"), "measured", out, room);
    else if (from != NULL)
        say(from, "estimated", out, room);
    else
        snprintf(out, room, "%s", text_of(about, "device"));
    json_decref(about);
    apx_string_release(text);
}
