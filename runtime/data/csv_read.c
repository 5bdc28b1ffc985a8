/* SPDX-License-Identifier: Apache-2.0 */
/* csv_read.c - CSV text to columns of numbers, in two passes over the text.
 *
 * The first pass checks everything, counts lines and learns of each column whether it is text; then
 * the table is allocated once, to size, and the second pass fills it. So memory is what the table
 * needs and no more, and the second pass cannot fail.
 *
 * Whether the first line is a header can only be told from the others. A line of texts is one
 * ("ds,y"). A line that mixes texts and numbers is one only if a text stands over a column of
 * numbers: data with text columns and no header ("39, State-gov, 77516") must not lose its first
 * row. */
#include "runtime/base/fail.h"
#include "runtime/base/file.h"
#include "runtime/base/number.h"
#include "runtime/data/csv_scan.h"
#include "runtime/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 8 /* "f16383" */

enum kind { MISSING, NUMBER, TEXT };

/* What the first pass learns of a column. The first line is kept apart: it may be a header. */
struct column {
    enum kind first;
    size_t first_bytes; /* of the first line's cell, with a NUL */
    size_t numbers, texts, missing;
    size_t first_missing, first_text; /* lines */
    size_t bytes;                     /* of all cells below the first line, each with a NUL */
};

struct measure {
    struct column *column;
    size_t columns, room;
    size_t lines;      /* that are not blank */
    size_t first_line; /* line number of the first of them */
    bool has_header;
};

static enum kind kind_of(const struct apx_csv_cell *cell, double *value)
{
    static const char *const marks[] = {"NaN", "nan",  "NA",   "N/A",  "null",
                                        "?",   "NULL", "None", "<NA>", "#N/A"};
    if (cell->length == 0)
        return MISSING;
    if (apx_number_parse(cell->text, cell->length, value))
        return NUMBER;
    if (cell->length <= 4)
        for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
            if (strlen(marks[i]) == cell->length && memcmp(cell->text, marks[i], cell->length) == 0)
                return MISSING;
    return TEXT;
}

static enum apx_status first_line_cell(struct measure *measure, const struct apx_csv_cell *cell,
                                       struct apx_error *error)
{
    if (measure->columns == APX_LIMIT_CSV_COLUMNS)
        return apx_fail(error, APX_ELIMIT, NULL, "line %zu: more than %d columns", cell->line,
                        APX_LIMIT_CSV_COLUMNS);
    if (measure->columns == measure->room) {
        size_t room = measure->room > 0 ? 2 * measure->room : 16;
        struct column *more = realloc(measure->column, room * sizeof *more);
        if (more == NULL)
            return apx_fail(error, APX_ENOMEM, NULL, "out of memory for the columns");
        measure->column = more;
        measure->room = room;
    }
    measure->column[measure->columns++] =
        (struct column){.first = kind_of(cell, NULL), .first_bytes = cell->length + 1};
    return APX_OK;
}

static void later_cell(struct column *column, const struct apx_csv_cell *cell)
{
    column->bytes += cell->length + 1;
    switch (kind_of(cell, NULL)) {
    case NUMBER:
        column->numbers++;
        break;
    case TEXT:
        if (column->texts++ == 0)
            column->first_text = cell->line;
        break;
    case MISSING:
        if (column->missing++ == 0)
            column->first_missing = cell->line;
        break;
    }
}

static bool find_header(const struct measure *measure)
{
    bool text = false, number = false, text_over_numbers = false;
    for (size_t i = 0; i < measure->columns; i++) {
        const struct column *column = &measure->column[i];
        text |= column->first == TEXT;
        number |= column->first == NUMBER;
        text_over_numbers |= column->first == TEXT && column->numbers > 0 && column->texts == 0;
    }
    return text && (!number || text_over_numbers);
}

/* The first line turned out to be data. */
static void count_first_line(struct measure *measure)
{
    for (size_t i = 0; i < measure->columns; i++) {
        struct column *column = &measure->column[i];
        column->numbers += column->first == NUMBER;
        column->bytes += column->first_bytes;
        if (column->first == TEXT) {
            column->texts++;
            column->first_text = measure->first_line;
        }
        if (column->first == MISSING) {
            column->missing++;
            column->first_missing = measure->first_line;
        }
    }
}

static enum apx_status first_pass(struct apx_csv_scan scan, struct measure *measure,
                                  struct apx_error *error)
{
    const char *colon = scan.name[0] != '\0' ? ": " : "";
    while (apx_csv_next_line(&scan)) {
        struct apx_csv_cell cell;
        size_t at = 0, line = scan.line;
        do {
            enum apx_status status = apx_csv_next_cell(&scan, &cell, error);
            if (status == APX_OK && measure->lines == 0)
                status = first_line_cell(measure, &cell, error);
            else if (status == APX_OK && at < measure->columns)
                later_cell(&measure->column[at], &cell);
            if (status != APX_OK)
                return status;
            at++;
        } while (cell.after == APX_CSV_CELL);
        if (at != measure->columns)
            return apx_fail(error, APX_EFORMAT, scan.name,
                            "%s%sline %zu has %zu cell%s where line %zu has %zu", scan.name, colon,
                            line, at, at == 1 ? "" : "s", measure->first_line, measure->columns);
        if (measure->lines++ == 0)
            measure->first_line = line;
    }
    if (measure->lines == 0)
        return apx_fail(error, APX_EFORMAT, scan.name, "%s%sthe file is empty", scan.name, colon);
    measure->has_header = find_header(measure);
    if (!measure->has_header)
        count_first_line(measure);
    return APX_OK;
}

/* The parts of the table's one block, in the order of their alignment. */
struct parts {
    struct apx_table *table;
    size_t *lines;
    char *cells; /* per column: its numbers, or the pointers to its texts */
    char *characters;
};

static bool allocate(const struct measure *measure, struct parts *parts)
{
    size_t rows = measure->lines - measure->has_header, columns = measure->columns;
    size_t characters = 0;
    for (size_t i = 0; i < columns; i++) {
        const struct column *column = &measure->column[i];
        characters += NAME_BYTES + (measure->has_header ? column->first_bytes : 0);
        characters += column->texts > 0 ? column->bytes : 0;
    }
    _Static_assert(sizeof(double) == sizeof(char *), "a column's cells are 8 bytes each");
    /* A cell is at least one byte of a text that fits memory: nothing here overflows. */
    size_t head = sizeof(struct apx_table) + columns * sizeof(struct apx_table_column);
    size_t lines = rows * sizeof(size_t), cells = columns * rows * sizeof(double);
    char *memory = malloc(head + lines + cells + characters);
    if (memory == NULL)
        return false;
    struct apx_table *table = parts->table = (struct apx_table *)memory;
    parts->lines = (size_t *)(memory + head);
    parts->cells = memory + head + lines;
    parts->characters = memory + head + lines + cells;
    *table = (struct apx_table){.rows = rows,
                                .columns = columns,
                                .column = (struct apx_table_column *)(table + 1),
                                .lines = parts->lines,
                                .has_header = measure->has_header,
                                .memory = memory};
    for (size_t i = 0; i < columns; i++) {
        const struct column *column = &measure->column[i];
        void *cell = parts->cells + i * rows * sizeof(double);
        table->column[i] = (struct apx_table_column){.is_text = column->texts > 0,
                                                     .missing = column->missing,
                                                     .first_missing = column->first_missing,
                                                     .first_text = column->first_text};
        if (column->texts > 0)
            table->column[i].texts = cell;
        else
            table->column[i].numbers = cell;
    }
    return true;
}

/* Of a number: it is written as an infinity, not with digits. */
static bool is_infinity(const struct apx_csv_cell *cell)
{
    return cell->text[cell->length - 1] > '9';
}

static void second_pass(struct apx_csv_scan scan, const struct parts *parts)
{
    struct apx_table *table = parts->table;
    char *characters = parts->characters;
    struct apx_csv_cell cell = {0};
    if (table->has_header)
        apx_csv_next_line(&scan);
    for (size_t i = 0; i < table->columns; i++) {
        if (table->has_header)
            apx_csv_next_cell(&scan, &cell, NULL);
        table->column[i].name = characters;
        if (cell.length > 0)
            characters += apx_csv_copy(&cell, characters);
        else
            characters += snprintf(characters, NAME_BYTES, "f%zu", i) + 1;
    }
    for (size_t row = 0; row < table->rows; row++) {
        apx_csv_next_line(&scan);
        parts->lines[row] = scan.line;
        for (size_t i = 0; i < table->columns; i++) {
            size_t at = i * table->rows + row;
            apx_csv_next_cell(&scan, &cell, NULL);
            if (table->column[i].is_text) {
                ((char **)parts->cells)[at] = characters;
                characters += apx_csv_copy(&cell, characters);
            } else {
                double value = 0;
                if (kind_of(&cell, &value) == MISSING)
                    value = (double)NAN;
                else if (isinf(value) && !is_infinity(&cell) && table->column[i].first_beyond == 0)
                    table->column[i].first_beyond = cell.line;
                ((double *)parts->cells)[at] = value;
            }
        }
    }
}

static enum apx_status parse(const char *text, size_t bytes, char separator, const char *name,
                             struct apx_table **out, struct apx_error *error)
{
    struct apx_csv_scan scan;
    struct measure measure = {0};
    struct parts parts = {0};
    *out = NULL;
    enum apx_status status = apx_csv_open(&scan, text, bytes, separator, name, error);
    if (status == APX_OK)
        status = first_pass(scan, &measure, error);
    if (status == APX_OK && !allocate(&measure, &parts))
        status = apx_fail(error, APX_ENOMEM, name, "out of memory for %zu rows of %zu columns",
                          measure.lines, measure.columns);
    if (status == APX_OK) {
        second_pass(scan, &parts);
        *out = parts.table;
    }
    free(measure.column);
    return status;
}

enum apx_status apx_table_parse_csv(const char *text, size_t bytes, char separator,
                                    struct apx_table **out, struct apx_error *error)
{
    return parse(text, bytes, separator, "", out, error);
}

enum apx_status apx_table_read_csv(const char *path, char separator, struct apx_table **out,
                                   struct apx_error *error)
{
    char *text;
    size_t bytes;
    *out = NULL;
    enum apx_status status = apx_file_read(path, APX_LIMIT_CSV_BYTES, &text, &bytes, error);
    if (status == APX_OK)
        status = parse(text, bytes, separator, path, out, error);
    free(text);
    return status;
}

void apx_table_destroy(struct apx_table *table)
{
    if (table != NULL)
        free(table->memory);
}

int apx_table_find(const struct apx_table *table, const char *name)
{
    for (size_t i = 0; i < table->columns; i++)
        if (strcmp(table->column[i].name, name) == 0)
            return (int)i;
    return -1;
}
