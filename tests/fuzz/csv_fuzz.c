/* SPDX-License-Identifier: Apache-2.0 */
/* csv_fuzz.c - any bytes as a CSV file; a table that comes of them must keep table.h's promises. */
#include "runtime/table.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept)
{
    if (!kept)
        abort();
}

static void check_column(const struct apx_table *table, const struct apx_table_column *column)
{
    promise(column->name != NULL && column->name[0] != '\0');
    promise((column->numbers != NULL) != (column->texts != NULL));
    promise(column->is_text == (column->texts != NULL));
    promise(column->is_text == (column->first_text != 0));
    promise((column->missing == 0) == (column->first_missing == 0));
    size_t missing = 0;
    for (size_t row = 0; row < table->rows; row++)
        if (column->is_text)
            promise(strlen(column->texts[row]) <= APX_LIMIT_CSV_CELL);
        else
            missing += isnan(column->numbers[row]) != 0;
    promise(column->is_text || missing == column->missing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char separators[] = ",;\t|: ";
    struct apx_error error;
    struct apx_table *table;
    /* The last byte chooses the separator, so that files in the corpus keep their beginning. */
    char separator = size > 0 ? separators[data[size - 1] % (sizeof separators - 1)] : ',';
    for (int round = 0; round < 2; round++, separator = '\0') {
        enum apx_status status =
            apx_table_parse_csv((const char *)data, size, separator, &table, &error);
        promise((status == APX_OK) == (table != NULL));
        if (status != APX_OK) {
            promise(status == APX_EFORMAT || status == APX_ELIMIT);
            continue;
        }
        promise(table->columns > 0 && table->columns <= APX_LIMIT_CSV_COLUMNS);
        for (size_t row = 0; row < table->rows; row++)
            promise(table->lines[row] > (row > 0 ? table->lines[row - 1] : 0));
        for (size_t i = 0; i < table->columns; i++) {
            check_column(table, &table->column[i]);
            promise(apx_table_find(table, table->column[i].name) <= (int)i);
        }
        apx_table_destroy(table);
    }
    return 0;
}
