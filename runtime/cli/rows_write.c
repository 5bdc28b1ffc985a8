/* SPDX-License-Identifier: Apache-2.0 */
/* rows_write.c - a model's outputs to files. */
#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/rows_file.h"
#include "runtime/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Shortest decimals that read back to the same bits: 9 digits always do for float32, 17 for
 * float64, and most values need fewer. */
static void print_float(FILE *to, double value, bool is_wide)
{
    char text[40];
    int most = is_wide ? 17 : 9;
    for (int digits = most - 3; digits <= most; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (is_wide ? strtod(text, NULL) == value : strtof(text, NULL) == (float)value)
            break;
    }
    fputs(value != value ? "NaN" : text, to); /* printf may say -nan */
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Quoted where a reader would take it for something else: a line with nothing but an empty word or
 * blanks would be no row, and blanks around a word no part of it. */
static void print_name(FILE *to, const char *name)
{
    const size_t length = strlen(name);
    bool quote = length == 0 || is_blank(name[0]) || is_blank(name[length - 1]) ||
                 name[strcspn(name, ",\"\r\n")] != '\0';
    if (quote)
        fputc('"', to);
    for (; *name != '\0'; name++) {
        if (*name == '"')
            fputc('"', to);
        fputc(*name, to);
    }
    if (quote)
        fputc('"', to);
}

/* Of a classifier whose classes are words, the word. */
static void print_element(FILE *to, const struct apx_tensor_info *info,
                          const struct apx_tensor *tensor, size_t at)
{
    const char *element = (const char *)tensor->data + at * apx_dtype_size(tensor->dtype);
    union {
        float f32;
        double f64;
        int32_t i32;
        int64_t i64;
        uint8_t u8;
        int8_t i8;
    } value;
    memcpy(&value, element, apx_dtype_size(tensor->dtype));
    switch (tensor->dtype) {
    case APX_F32:
        print_float(to, (double)value.f32, false);
        break;
    case APX_F64:
        print_float(to, value.f64, true);
        break;
    case APX_I32:
        fprintf(to, "%" PRId32, value.i32);
        break;
    case APX_I64:
        if (info->classes != NULL)
            print_name(to, info->classes[value.i64]);
        else
            fprintf(to, "%" PRId64, value.i64);
        break;
    case APX_I8:
        fprintf(to, "%d", value.i8);
        break;
    default:
        fprintf(to, "%d", value.u8);
        break;
    }
}

static void print_csv(FILE *to, const struct apx_tensor_info *info, const struct apx_tensor *tensor)
{
    int axis = info->row_axis >= 0 ? info->row_axis : 0;
    size_t rows = tensor->rank > 0 ? (size_t)tensor->dims[axis] : 1, outer = 1, inner = 1;
    for (int i = 0; i < tensor->rank; i++) {
        outer *= i < axis ? (size_t)tensor->dims[i] : 1;
        inner *= i > axis ? (size_t)tensor->dims[i] : 1;
    }
    for (size_t c = 0; c < outer * inner; c++) {
        char number[24] = "";
        if (c > 0)
            fputc(',', to);
        if (outer * inner > 1)
            snprintf(number, sizeof number, "_%zu", c);
        char *name = NULL;
        if (asprintf(&name, "%s%s", info->name, number) >= 0)
            print_name(to, name);
        free(name);
    }
    fputc('\n', to);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < outer * inner; c++) {
            if (c > 0)
                fputc(',', to);
            print_element(to, info, tensor, (c / inner * rows + r) * inner + c % inner);
        }
        fputc('\n', to);
    }
}

enum apx_status apx_rows_write(const char *path, const struct apx_tensor_info *info,
                               const struct apx_tensor *tensor, struct apx_error *error)
{
    if (path == NULL) {
        print_csv(stdout, info, tensor);
        return APX_OK; /* apx_cli_finish sees whether it could be written */
    }
    if (!apx_rows_is_csv(path))
        return info->classes != NULL
                   ? apx_npy_write_words(path, tensor, info->classes, info->class_count, error)
                   : apx_npy_write(path, tensor, error);
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (memory != NULL)
        print_csv(memory, info, tensor);
    enum apx_status status;
    if (memory == NULL || fclose(memory) != 0)
        status = apx_fail(error, APX_ENOMEM, info->name, "out of memory for %s", path);
    else
        status = apx_file_replace(path, text, bytes, error);
    free(text);
    return status;
}
