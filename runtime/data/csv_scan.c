/* SPDX-License-Identifier: Apache-2.0 */
/* csv_scan.c - CSV text cut into cells.
 *
 * A line ends with LF, CRLF or a bare CR, and all three may occur in one file. Blanks around a cell
 * are no part of it, for files that separate with ", ". A quote is special only as the first
 * character of a cell; elsewhere it stands for itself, as in 5" disk. */
#include "runtime/data/csv_scan.h"

#include "runtime/base/fail.h"
#include "runtime/table.h"

#include <string.h>

/* "data.csv: line 7: " */
#define WHERE             "%s%sline %zu: "
#define WHERE_OF(s, line) (s)->name, (s)->name[0] != '\0' ? ": " : "", (line)

enum apx_status apx_csv_open(struct apx_csv_scan *scan, const char *text, size_t bytes,
                             char separator, const char *name, struct apx_error *error)
{
    if (separator == '\0')
        separator = ',';
    if (strchr(",;\t|: ", separator) == NULL)
        return apx_fail(error, APX_EINVAL, "separator",
                        "the separator must be one of comma ; | : space or tab");
    if (bytes >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return apx_fail(error, APX_EFORMAT, name, "%s%sthe text is UTF-16; save it as UTF-8", name,
                        name[0] != '\0' ? ": " : "");
    *scan = (struct apx_csv_scan){text, text + bytes, separator, 1, name};
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        scan->at += 3;
    return APX_OK;
}

static bool is_blank(const struct apx_csv_scan *scan, char c)
{
    return (c == ' ' || c == '\t') && c != scan->separator;
}

/* At a CR or LF: past the line end. */
static const char *past_line_end(const char *at, const char *end)
{
    return *at == '\r' && at + 1 < end && at[1] == '\n' ? at + 2 : at + 1;
}

bool apx_csv_next_line(struct apx_csv_scan *scan)
{
    while (scan->at < scan->end) {
        const char *at = scan->at;
        while (at < scan->end && is_blank(scan, *at))
            at++;
        if (at == scan->end)
            return false;
        if (*at != '\r' && *at != '\n')
            return true;
        scan->at = past_line_end(at, scan->end);
        scan->line++;
    }
    return false;
}

/* At the opening quote; leaves scan->at after the closing one and the blanks behind it. */
static enum apx_status quoted_cell(struct apx_csv_scan *scan, struct apx_csv_cell *cell,
                                   struct apx_error *error)
{
    const char *at = scan->at + 1;
    cell->text = at;
    for (;; at++) {
        if (at == scan->end)
            return apx_fail(error, APX_EFORMAT, scan->name,
                            WHERE "the quote that opens here is never closed",
                            WHERE_OF(scan, cell->line));
        if (*at == '"') {
            if (at + 1 == scan->end || at[1] != '"')
                break;
            cell->doubled = true;
            at++;
        } else if (*at == '\r' || *at == '\n') {
            at = past_line_end(at, scan->end) - 1;
            scan->line++;
        }
    }
    cell->length = (size_t)(at - cell->text);
    for (at++; at < scan->end && is_blank(scan, *at);)
        at++;
    if (at < scan->end && *at != scan->separator && *at != '\r' && *at != '\n')
        return apx_fail(error, APX_EFORMAT, scan->name,
                        WHERE "there is text after a closing quote; double the quotes inside a "
                              "quoted cell",
                        WHERE_OF(scan, scan->line));
    scan->at = at;
    return APX_OK;
}

enum apx_status apx_csv_next_cell(struct apx_csv_scan *scan, struct apx_csv_cell *cell,
                                  struct apx_error *error)
{
    const char *at = scan->at, *end = scan->end;
    while (at < end && is_blank(scan, *at))
        at++;
    *cell = (struct apx_csv_cell){.text = at, .line = scan->line};
    if (at < end && *at == '"') {
        scan->at = at;
        enum apx_status status = quoted_cell(scan, cell, error);
        if (status != APX_OK)
            return status;
        at = scan->at;
    } else {
        char separator = scan->separator;
        while (at < end && *at != separator && *at != '\n' && *at != '\r')
            at++;
        const char *last = at;
        while (last > cell->text && is_blank(scan, last[-1]))
            last--;
        cell->length = (size_t)(last - cell->text);
    }
    if (cell->length > APX_LIMIT_CSV_CELL)
        return apx_fail(error, APX_ELIMIT, scan->name, WHERE "a cell has %zu bytes; at most %d",
                        WHERE_OF(scan, cell->line), cell->length, APX_LIMIT_CSV_CELL);
    if (memchr(cell->text, '\0', cell->length) != NULL)
        return apx_fail(error, APX_EFORMAT, scan->name,
                        WHERE "there is a zero byte; this is no CSV file",
                        WHERE_OF(scan, cell->line));
    if (at == end) {
        cell->after = APX_CSV_END;
    } else if (*at == scan->separator) {
        cell->after = APX_CSV_CELL;
        at++;
    } else {
        cell->after = APX_CSV_LINE;
        at = past_line_end(at, end);
        scan->line++;
    }
    scan->at = at;
    return APX_OK;
}

size_t apx_csv_copy(const struct apx_csv_cell *cell, char *to)
{
    size_t used = 0;
    for (size_t i = 0; i < cell->length; i++) {
        to[used++] = cell->text[i];
        if (cell->doubled && cell->text[i] == '"')
            i++;
    }
    to[used++] = '\0';
    return used;
}
