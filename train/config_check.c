/* SPDX-License-Identifier: Apache-2.0 */
/* config_check.c - rules that need more than one key.
 *
 * What needs the data as well (does the column exist?) is checked where the data is read. */
#include "train/config_check.h"

#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/repo.h"

static bool name_ok(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= APX_LIMIT_MODEL_NAME && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               length;
}

static const char *twice(const struct apx_config_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(texts->item[i], texts->item[j]) == 0)
                return texts->item[i];
        }
    }
    return NULL;
}

enum apx_status apx_train_config_check(const struct apx_train_config *config,
                                       struct apx_error *error)
{
    const char *path = config->path, *word;
    if (config->files.count == 0)
        return apx_fail(error, APX_EINVAL, "data.files", "%s: data.files: names no file", path);
    double sum = config->split_train + config->split_validation + config->split_test;
    if (fabs(sum - 1) > 1e-6)
        return apx_fail(error, APX_EINVAL, "split",
                        "%s: split: the three parts add up to %g, must be 1", path, sum);
    if (config->layers.count == 0)
        return apx_fail(error, APX_EINVAL, "model.layers",
                        "%s: model.layers: names no layer; one width at least", path);
    if ((word = twice(&config->columns)) != NULL)
        return apx_fail(error, APX_EINVAL, "data.columns", "%s: data.columns: \"%.60s\" twice",
                        path, word);
    if ((word = twice(&config->targets)) != NULL)
        return apx_fail(error, APX_EINVAL, "data.targets", "%s: data.targets: \"%.60s\" twice",
                        path, word);
    if (config->units.count > 0 && config->units.count != config->targets.count &&
        config->targets.count > 0)
        return apx_fail(error, APX_EINVAL, "data.units",
                        "%s: data.units: %zu units for %zu targets", path, config->units.count,
                        config->targets.count);
    if (config->separator == NULL ||
        (strlen(config->separator) != 1 && strcmp(config->separator, "tab") != 0) ||
        (config->separator[1] == '\0' && strchr(",;|: \t", config->separator[0]) == NULL))
        return apx_fail(error, APX_EINVAL, "data.separator",
                        "%s: data.separator: must be one of , ; | : blank or \"tab\"", path);
    if (config->name == NULL || !name_ok(config->name))
        return apx_fail(error, APX_EINVAL, "output.name",
                        "%s: output.name: must be 1 to %d of [A-Za-z0-9._-], not starting with '.'",
                        path, APX_LIMIT_MODEL_NAME);
    return APX_OK;
}
