/* SPDX-License-Identifier: Apache-2.0 */
/* train_config_fuzz.c - any bytes as a training configuration; what is accepted must be within its
 * bounds and survive being written and read again. */
#include <stdlib.h>
#include <string.h>

#include "train/config.h"
#include "train/timestamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept)
{
    if (!kept)
        abort();
}

static char *written(const struct apx_train_config *config, size_t *bytes)
{
    char *text = NULL;
    FILE *file = open_memstream(&text, bytes);
    promise(file != NULL);
    apx_train_config_write(config, true, file);
    promise(fclose(file) == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apx_train_config config, again;
    struct apx_error error = {0};
    double seconds;
    char *text = malloc(size + 1);
    promise(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    apx_timestamp_parse(text, &seconds);
    /* the same bytes as a --set option */
    const char *set = text;
    if (apx_train_config_parse("f.yaml", "data: {files: a}\n", 17, &set, 1, &config, &error) ==
        APX_OK)
        apx_train_config_fini(&config);
    if (apx_train_config_parse("f.yaml", text, size, NULL, 0, &config, &error) == APX_OK) {
        promise(config.files.count > 0 && config.layers.count > 0 && config.steps > 0);
        promise(config.dropout >= 0 && config.dropout < 1);
        size_t bytes, bytes_again;
        char *first = written(&config, &bytes);
        enum apx_status status =
            apx_train_config_parse("f.yaml", first, bytes, NULL, 0, &again, &error);
        promise(status == APX_OK);
        char *second = written(&again, &bytes_again);
        promise(bytes == bytes_again && memcmp(first, second, bytes) == 0);
        free(second);
        free(first);
        apx_train_config_fini(&again);
        apx_train_config_fini(&config);
    }
    free(text);
    return 0;
}
