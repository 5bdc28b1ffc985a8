/* SPDX-License-Identifier: Apache-2.0 */
/* rows_names.c - what a model calls the columns of its rows. */
#include "runtime/cli/rows_file.h"

#include <jansson.h>
#include <stdlib.h>

struct apx_rows_names apx_rows_names_of(const struct apx_model *model)
{
    const char *text = apx_model_metadata(model, "feature_names");
    const struct apx_tensor_info *info = apx_model_input(model, 0);
    json_t *json = text != NULL ? json_loads(text, 0, NULL) : NULL, *name;
    struct apx_rows_names names = {.memory = json};
    size_t i, count = json_array_size(json);
    bool ok = apx_model_input_count(model) == 1 && info->rank == 2 && count > 0 &&
              info->dims[1] == (int64_t)count;
    if (ok)
        names.list = calloc(count, sizeof *names.list);
    ok = names.list != NULL;
    json_array_foreach (json, i, name) {
        if (ok)
            names.list[i] = json_string_value(name);
        ok = ok && names.list[i] != NULL;
    }
    if (!ok) {
        free(names.list);
        names.list = NULL;
    }
    return names;
}

void apx_rows_names_release(struct apx_rows_names *names)
{
    free(names->list);
    json_decref(names->memory);
    *names = (struct apx_rows_names){0};
}
