/* SPDX-License-Identifier: Apache-2.0 */
/* rows_read.c - files of rows to the tensors a model takes.
 *
 * A CSV table is [rows, columns]; the model's input may be [rows, steps, features], or have its
 * rows along another dimension. The columns are the elements of one row in row-major order with the
 * row dimension left out. One other dimension may be free: its extent follows from the columns. */
#include "kernels/kernels.h"
#include "runtime/base/fail.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/rows_file.h"
#include "runtime/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool ends_in(const char *path, const char *suffix)
{
    size_t length = strlen(path), tail = strlen(suffix);
    return length > tail && strcasecmp(path + length - tail, suffix) == 0;
}

bool apx_rows_is_csv(const char *path)
{
    return ends_in(path, ".csv");
}

bool apx_rows_is_npy(const char *path)
{
    return ends_in(path, ".npy");
}

/* ---- columns by name ------------------------------------------------------------------------- */

/* A column of that name; or else the only one that has spaces where the name has '_', as LightGBM
 * writes it, unless the model has a feature of the column's own name. */
static int find_column(const struct apx_table *table, const char *const *names, size_t count,
                       const char *name)
{
    int at = apx_table_find(table, name);
    if (at >= 0)
        return at;
    for (size_t c = 0; c < table->columns; c++) {
        const char *own = table->column[c].name;
        size_t k = 0;
        while (own[k] != '\0' && (own[k] == ' ' ? '_' : own[k]) == name[k])
            k++;
        bool alike = own[k] == name[k];
        for (size_t i = 0; alike && i < count; i++)
            alike = strcmp(names[i], own) != 0;
        if (alike && at >= 0)
            return -1;
        if (alike)
            at = (int)c;
    }
    return at;
}

/* The table's columns as `names` order them take the place of its own. Nothing changes unless the
 * header has all of them; *found counts those it has, *missing is the first that it lacks. */
static bool choose_columns(struct apx_table *table, const char *const *names, size_t count,
                           size_t *found, size_t *missing, bool *out_of_memory)
{
    *found = 0;
    *missing = count;
    *out_of_memory = false;
    if (!table->has_header)
        return false;
    struct apx_table_column *chosen = malloc(count * sizeof *chosen);
    if (chosen == NULL) {
        *out_of_memory = true;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        int at = find_column(table, names, count, names[i]);
        if (at >= 0)
            chosen[(*found)++] = table->column[at];
        else if (*missing == count)
            *missing = i;
    }
    /* As many names as columns at most, but for names that stand twice in the model. */
    bool fits = *found == count && count <= table->columns;
    for (size_t i = 0; fits && i < count; i++)
        table->column[i] = chosen[i];
    if (fits)
        table->columns = count;
    free(chosen);
    return fits;
}

/* ---- CSV ----------------------------------------------------------------------------------- */

/* Fills dims from the table's extents, or says why the table does not fit. */
static enum apx_status fit(const char *path, const char *kind, const struct apx_table *table,
                           const struct apx_tensor_info *info, struct apx_tensor *tensor,
                           struct apx_error *error)
{
    char shape[256];
    const char *expected = apx_cli_shape(info, shape);
    int axis = info->row_axis >= 0 ? info->row_axis : 0, free_axis = -1;
    int64_t columns = 1;
    if (info->rank == 0)
        return apx_fail(error, APX_EINVAL, info->name,
                        "%s: %s \"%s\" is a single number; give it as a .npy file", path, kind,
                        info->name);
    tensor->rank = info->rank;
    for (int i = 0; i < info->rank; i++) {
        tensor->dims[i] = info->dims[i];
        if (i == axis)
            continue;
        if (info->dims[i] >= 0)
            columns *= info->dims[i];
        else if (free_axis >= 0)
            return apx_fail(error, APX_EINVAL, info->name,
                            "%s: %s \"%s\" is %s: a table cannot tell its free dimensions "
                            "apart; give it as a .npy file",
                            path, kind, info->name, expected);
        else
            free_axis = i;
    }
    int64_t given = (int64_t)table->columns;
    if (free_axis >= 0 && columns > 0 && given % columns == 0)
        tensor->dims[free_axis] = given / columns;
    else if (free_axis >= 0)
        return apx_fail(error, APX_EINVAL, info->name,
                        "%s: %s \"%s\" is %s: it takes a multiple of %lld columns, the file has "
                        "%lld",
                        path, kind, info->name, expected, (long long)columns, (long long)given);
    else if (given != columns)
        return apx_fail(error, APX_EINVAL, info->name,
                        "%s: %s \"%s\" is %s: it takes %lld column%s, the file has %lld", path,
                        kind, info->name, expected, (long long)columns, columns == 1 ? "" : "s",
                        (long long)given);
    if (info->dims[axis] >= 0 && info->dims[axis] != (int64_t)table->rows)
        return apx_fail(error, APX_EINVAL, info->name,
                        "%s: %s \"%s\" is %s: the model is fixed to %lld row%s a call, the file "
                        "has %zu; export the model with a free batch dimension",
                        path, kind, info->name, expected, (long long)info->dims[axis],
                        info->dims[axis] == 1 ? "" : "s", table->rows);
    tensor->dims[axis] = (int64_t)table->rows;
    return APX_OK;
}

/* Why a column cannot be an input. */
static enum apx_status check_columns(const char *path, const char *kind,
                                     const struct apx_table *table,
                                     const struct apx_tensor_info *info, struct apx_error *error)
{
    bool whole = info->dtype != APX_F32 && info->dtype != APX_F64;
    for (size_t i = 0; i < table->columns; i++) {
        const struct apx_table_column *column = &table->column[i];
        if (column->is_text)
            return apx_fail(error, APX_EINVAL, info->name,
                            "%s: line %zu: column \"%s\" holds text; %s \"%s\" takes numbers "
                            "only: remove the column or mend the line",
                            path, column->first_text, column->name, kind, info->name);
        if (column->first_beyond > 0)
            return apx_fail(error, APX_EINVAL, info->name,
                            "%s: line %zu: column \"%s\" has a number beyond float64; write inf if "
                            "infinity is meant",
                            path, column->first_beyond, column->name);
        if (whole && column->missing > 0)
            return apx_fail(error, APX_EINVAL, info->name,
                            "%s: line %zu: column \"%s\" has no value; %s \"%s\" is %s and "
                            "cannot hold a missing one",
                            path, column->first_missing, column->name, kind, info->name,
                            apx_dtype_name(info->dtype));
    }
    return APX_OK;
}

/* A number would become an infinity. Those that are one stay one. */
static bool is_beyond(double value, enum apx_dtype dtype)
{
    return dtype == APX_F32 && isfinite(value) && isinf((float)value);
}

static void range_of(enum apx_dtype dtype, double *least, double *most)
{
    *least = dtype == APX_I32 ? -0x1p31 : dtype == APX_I64 ? -0x1p63 : dtype == APX_I8 ? -128 : 0;
    *most = dtype == APX_I32   ? 0x1p31 - 1
            : dtype == APX_I64 ? 0x1.fffffffffffffp62 /* the last double below 2^63 */
            : dtype == APX_I8  ? 127
            : dtype == APX_U8  ? 255
                               : 1;
}

static enum apx_status fill(const char *path, const char *kind, const struct apx_table *table,
                            const struct apx_tensor_info *info, struct apx_tensor *tensor,
                            struct apx_error *error)
{
    int axis = info->row_axis >= 0 ? info->row_axis : 0;
    size_t size = apx_dtype_size(info->dtype), rows = table->rows, inner = 1;
    double least, most;
    bool whole = info->dtype != APX_F32 && info->dtype != APX_F64;
    range_of(info->dtype, &least, &most);
    for (int i = axis + 1; i < info->rank; i++)
        inner *= (size_t)tensor->dims[i];
    for (size_t c = 0; c < table->columns; c++) {
        const struct apx_table_column *column = &table->column[c];
        for (size_t r = 0; r < rows; r++) {
            double value = column->numbers[r];
            if (whole ? !(value == floor(value) && value >= least && value <= most)
                      : is_beyond(value, info->dtype))
                return apx_fail(error, APX_EINVAL, info->name,
                                "%s: line %zu: %.9g in column \"%s\" does not fit %s \"%s\", "
                                "which is %s",
                                path, table->lines[r], value, column->name, kind, info->name,
                                apx_dtype_name(info->dtype));
            /* Column c is element (c / inner, c % inner) around the row dimension. */
            size_t at = (c / inner * rows + r) * inner + c % inner;
            apx_cast(1, APX_F64, &value, (int)info->dtype, (char *)tensor->data + at * size);
        }
    }
    return APX_OK;
}

/* Columns by name, or all of them by position. A header that has some of the names and not others
 * is a mistake somewhere: position would give another column's numbers. */
static enum apx_status order_columns(const char *path, struct apx_table *table,
                                     const struct apx_tensor_info *info, const char *const *names,
                                     struct apx_error *error)
{
    size_t count = (size_t)info->dims[1], found, missing;
    bool out_of_memory;
    if (choose_columns(table, names, count, &found, &missing, &out_of_memory))
        return APX_OK;
    if (out_of_memory)
        return apx_fail(error, APX_ENOMEM, info->name, "out of memory for %s", path);
    if (missing < count && (found > 0 || (table->has_header && table->columns != count)))
        return apx_fail(error, APX_EINVAL, info->name,
                        "%s: the header has no \"%s\", which the model calls a feature; name all "
                        "%zu features, or none and give %zu columns in the model's order",
                        path, names[missing], count, count);
    return APX_OK;
}

static enum apx_status read_csv(const char *path, const char *kind,
                                const struct apx_tensor_info *info, const char *const *names,
                                struct apx_tensor *tensor, struct apx_error *error)
{
    struct apx_table *table;
    enum apx_status status = apx_table_read_csv(path, 0, &table, error);
    if (status == APX_OK && names != NULL)
        status = order_columns(path, table, info, names, error);
    if (status == APX_OK)
        status = check_columns(path, kind, table, info, error);
    if (status == APX_OK)
        status = fit(path, kind, table, info, tensor, error);
    if (status == APX_OK) {
        tensor->dtype = info->dtype;
        tensor->bytes = table->rows * table->columns * apx_dtype_size(info->dtype);
        tensor->data = malloc(tensor->bytes > 0 ? tensor->bytes : 1);
        status = tensor->data != NULL
                     ? fill(path, kind, table, info, tensor, error)
                     : apx_fail(error, APX_ENOMEM, info->name, "out of memory for %s", path);
    }
    apx_table_destroy(table);
    return status;
}

/* ---- NumPy --------------------------------------------------------------------------------- */

/* Where element i of an array stands: the row, and the column that a table of such rows has. */
struct place {
    size_t row, column;
};

static struct place place_of(const struct apx_tensor_info *info, const struct apx_tensor *tensor,
                             size_t i)
{
    const int axis = info->row_axis >= 0 && info->row_axis < tensor->rank ? info->row_axis : 0;
    size_t inner = 1, rows = tensor->rank > 0 ? (size_t)tensor->dims[axis] : 1;
    for (int k = axis + 1; k < tensor->rank; k++)
        inner *= (size_t)tensor->dims[k];
    return (struct place){i / inner % rows, i / inner / rows * inner + i % inner};
}

/* float64 in place to float32: each result lies at or before its source. */
static enum apx_status narrow(const char *path, const char *kind,
                              const struct apx_tensor_info *info, struct apx_tensor *tensor,
                              struct apx_error *error)
{
    size_t count = tensor->bytes / sizeof(double);
    char *data = tensor->data;
    for (size_t i = 0; i < count; i++) {
        double wide;
        memcpy(&wide, data + i * sizeof wide, sizeof wide);
        float value = (float)wide;
        if (is_beyond(wide, APX_F32)) {
            const struct place place = place_of(info, tensor, i);
            return apx_fail(error, APX_EINVAL, info->name,
                            "%s: row %zu, column %zu (from 0): %.9g does not fit %s \"%s\", which "
                            "is float32",
                            path, place.row, place.column, wide, kind, info->name);
        }
        memcpy(data + i * sizeof value, &value, sizeof value);
    }
    tensor->dtype = APX_F32;
    tensor->bytes = count * sizeof(float);
    return APX_OK;
}

static int64_t integer_at(const struct apx_tensor *tensor, size_t i)
{
    int64_t value;
    size_t size = apx_dtype_size(tensor->dtype);
    apx_cast(1, (int)tensor->dtype, (const char *)tensor->data + i * size, APX_I64, &value);
    return value;
}

/* The integer as a `dtype` at `to`; false if that type has others only. */
static bool put_integer(int64_t value, enum apx_dtype dtype, void *to)
{
    apx_cast(1, APX_I64, &value, (int)dtype, to);
    double least, most, real = 0;
    if (dtype == APX_F32 || dtype == APX_F64) {
        apx_cast(1, (int)dtype, to, APX_F64, &real);
        return real < 0x1p63 && (int64_t)real == value;
    }
    range_of(dtype, &least, &most);
    return dtype == APX_I64 || ((double)value >= least && (double)value <= most);
}

/* What a model of numbers makes of whole numbers: the same ones in its type, or none. */
static enum apx_status convert_integers(const char *path, const char *kind,
                                        const struct apx_tensor_info *info,
                                        struct apx_tensor *tensor, struct apx_error *error)
{
    size_t size = apx_dtype_size(info->dtype);
    size_t count = tensor->bytes / apx_dtype_size(tensor->dtype);
    char *data = malloc(count * size + 1);
    if (data == NULL)
        return apx_fail(error, APX_ENOMEM, info->name, "out of memory for %s", path);
    for (size_t i = 0; i < count; i++) {
        int64_t value = integer_at(tensor, i);
        if (put_integer(value, info->dtype, data + i * size))
            continue;
        const struct place place = place_of(info, tensor, i);
        free(data);
        return apx_fail(error, APX_EINVAL, info->name,
                        "%s: row %zu, column %zu (from 0): %lld has no equal in %s, the type of "
                        "%s \"%s\"; convert the array with astype if rounding is meant",
                        path, place.row, place.column, (long long)value,
                        apx_dtype_name(info->dtype), kind, info->name);
    }
    free(tensor->data);
    tensor->data = data;
    tensor->dtype = info->dtype;
    tensor->bytes = count * size;
    return APX_OK;
}

/* float32 to float64, which is exact. */
static enum apx_status widen(const char *path, const struct apx_tensor_info *info,
                             struct apx_tensor *tensor, struct apx_error *error)
{
    size_t count = tensor->bytes / sizeof(float);
    double *wide = malloc((count + 1) * sizeof *wide);
    if (wide == NULL)
        return apx_fail(error, APX_ENOMEM, info->name, "out of memory for %s", path);
    apx_cast(count, APX_F32, tensor->data, APX_F64, wide);
    free(tensor->data);
    tensor->data = wide;
    tensor->dtype = APX_F64;
    tensor->bytes = count * sizeof *wide;
    return APX_OK;
}

/* The input's type, where a file's type can be made it. */
static enum apx_status convert(const char *path, const char *kind,
                               const struct apx_tensor_info *info, struct apx_tensor *tensor,
                               struct apx_error *error)
{
    if (tensor->dtype == info->dtype || apx_dtype_size(info->dtype) == 0)
        return APX_OK;
    if (tensor->dtype != APX_F32 && tensor->dtype != APX_F64)
        return convert_integers(path, kind, info, tensor, error);
    if (tensor->dtype == APX_F32 && info->dtype == APX_F64)
        return widen(path, info, tensor, error);
    if (tensor->dtype == APX_F64 && info->dtype == APX_F32)
        return narrow(path, kind, info, tensor, error);
    return APX_OK;
}

static enum apx_status check_npy(const char *path, const char *kind,
                                 const struct apx_tensor_info *info,
                                 const struct apx_tensor *tensor, struct apx_error *error)
{
    char shape[256], has[256];
    struct apx_tensor_info given = {.rank = tensor->rank};
    bool fits = tensor->rank == info->rank;
    for (int i = 0; i < tensor->rank; i++) {
        given.dims[i] = tensor->dims[i];
        fits = fits && (info->dims[i] < 0 || info->dims[i] == tensor->dims[i]);
    }
    if (!fits)
        return apx_fail(error, APX_EINVAL, info->name, "%s: %s \"%s\" is %s, the array is %s%s",
                        path, kind, info->name, apx_cli_shape(info, shape),
                        apx_cli_shape(&given, has),
                        info->row_axis < 0 && info->rank > 0 && tensor->rank == info->rank
                            ? "; the model fixes its batch: export it with a free batch dimension"
                            : "");
    if (tensor->dtype != info->dtype)
        return apx_fail(error, APX_EINVAL, info->name,
                        "%s: %s \"%s\" is %s, the array is %s; convert it with astype", path, kind,
                        info->name, apx_dtype_name(info->dtype), apx_dtype_name(tensor->dtype));
    return APX_OK;
}

enum apx_status apx_rows_read(const char *path, const char *kind,
                              const struct apx_tensor_info *info, const char *const *names,
                              struct apx_tensor *tensor, struct apx_error *error)
{
    *tensor = (struct apx_tensor){0};
    enum apx_status status;
    if (apx_rows_is_csv(path)) {
        status = read_csv(path, kind, info, names, tensor, error);
    } else {
        status = apx_npy_read(path, tensor, error);
        if (status == APX_OK)
            status = convert(path, kind, info, tensor, error);
        if (status == APX_OK)
            status = check_npy(path, kind, info, tensor, error);
    }
    if (status != APX_OK) {
        free(tensor->data);
        tensor->data = NULL;
    }
    return status;
}
