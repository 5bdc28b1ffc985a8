/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/table.h"
#include "tests/harness/check.h"

#include <unistd.h>

static struct apx_table *parse_n(const char *text, size_t bytes, char separator)
{
    struct apx_table *table;
    struct apx_error error = {0};
    if (!CHECK(apx_table_parse_csv(text, bytes, separator, &table, &error) == APX_OK)) {
        fprintf(stderr, "    %s\n", error.message);
        exit(1);
    }
    return table;
}

static struct apx_table *parse(const char *text)
{
    return parse_n(text, strlen(text), 0);
}

/* The message; the status must be the one given. */
static const char *refusal(const char *text, size_t bytes, enum apx_status status)
{
    static struct apx_error error;
    struct apx_table *table;
    memset(&error, 0, sizeof error);
    CHECK_EQ(apx_table_parse_csv(text, bytes, 0, &table, &error), status);
    CHECK(table == NULL);
    return error.message;
}

static void plain_table(void)
{
    struct apx_table *table = parse("a,b\n1,2.5\n-3,4e2\n");
    CHECK_EQ(table->rows, 2);
    CHECK_EQ(table->columns, 2);
    CHECK(table->has_header);
    CHECK_STR(table->column[0].name, "a");
    CHECK_NEAR(table->column[0].numbers[1], -3, 0);
    CHECK_NEAR(table->column[1].numbers[0], 2.5, 0);
    CHECK_NEAR(table->column[1].numbers[1], 400, 0);
    CHECK_EQ(table->lines[0], 2);
    CHECK_EQ(table->lines[1], 3);
    CHECK_EQ(apx_table_find(table, "b"), 1);
    CHECK_EQ(apx_table_find(table, "c"), -1);
    apx_table_destroy(table);
    apx_table_destroy(NULL);
}

/* Infinities are written in words; digits beyond float64 are read as one, and told. */
static void infinities(void)
{
    struct apx_table *table = parse("a,b,c\n1,inf,1\n2,-1e999,1e400\n3,1e500,-Infinity\n");
    CHECK(table->column[1].numbers[0] == (double)INFINITY);
    CHECK(table->column[1].numbers[1] == -(double)INFINITY);
    CHECK_EQ(table->column[0].first_beyond, 0);
    CHECK_EQ(table->column[1].first_beyond, 3);
    CHECK_EQ(table->column[2].first_beyond, 3);
    apx_table_destroy(table);
}

/* Each kind of line end, mixed, with and without one at the end, gives the same table. */
static void line_ends(void)
{
    static const char *const texts[] = {
        "y\n1\n2\n3\n", "y\r\n1\r\n2\r\n3\r\n",   "y\r1\r2\r3",
        "y\r1\n2\r\n3", "\xef\xbb\xbfy\n1\n2\n3", "\n\ny\n\n1\n2\n \n3\n\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct apx_table *table = parse(texts[i]);
        CHECK_STR(table->column[0].name, "y");
        REQUIRE(table->rows == 3 && table->columns == 1);
        for (int row = 0; row < 3; row++)
            CHECK_NEAR(table->column[0].numbers[row], row + 1, 0);
        apx_table_destroy(table);
    }
    struct apx_table *table = parse("\n\ny\r\n\r\n1\r2\n");
    CHECK_EQ(table->lines[0], 5);
    CHECK_EQ(table->lines[1], 6);
    apx_table_destroy(table);
}

static void quotes(void)
{
    struct apx_table *table = parse("\"ds\",\"a \"\"b\"\", c\", \"y\" \n"
                                    "\"2007-12-10\",\"two\nlines\",\"9.5\"\n"
                                    "5\" disk,\"\",10\n");
    CHECK_STR(table->column[0].name, "ds");
    CHECK_STR(table->column[1].name, "a \"b\", c");
    CHECK_STR(table->column[2].name, "y");
    CHECK(table->column[0].is_text && table->column[1].is_text && !table->column[2].is_text);
    CHECK_STR(table->column[0].texts[0], "2007-12-10");
    CHECK_STR(table->column[0].texts[1], "5\" disk");
    CHECK_STR(table->column[1].texts[0], "two\nlines");
    CHECK_STR(table->column[1].texts[1], "");
    CHECK_EQ(table->column[1].missing, 1);
    CHECK_NEAR(table->column[2].numbers[0], 9.5, 0);
    CHECK_EQ(table->lines[1], 4);
    apx_table_destroy(table);
    table = parse("label\n\"\"\n\"a\"\n\"\"\n"); /* no blank lines, but rows */
    CHECK_EQ(table->rows, 3);
    CHECK_STR(table->column[0].texts[0], "");
    CHECK_STR(table->column[0].texts[1], "a");
    CHECK_STR(table->column[0].texts[2], "");
    apx_table_destroy(table);
}

static void missing_marks(void)
{
    struct apx_table *table = parse("t,y\n1,NaN\n2,nan\n3,\n4,NA\n5,N/A\n6,null\n7,?\n8,1\n");
    CHECK(!table->column[1].is_text);
    CHECK_EQ(table->column[1].missing, 7);
    CHECK_EQ(table->column[1].first_missing, 2);
    for (int row = 0; row < 7; row++)
        CHECK(isnan(table->column[1].numbers[row]));
    CHECK_NEAR(table->column[1].numbers[7], 1, 0);
    CHECK_EQ(table->column[0].missing, 0);
    CHECK_EQ(table->column[0].first_missing, 0);
    apx_table_destroy(table);

    table = parse("a,b\nx,\n?,\n");
    CHECK(table->column[0].is_text);
    CHECK_STR(table->column[0].texts[1], "?");
    CHECK_EQ(table->column[0].missing, 1);
    CHECK_EQ(table->column[0].first_missing, 3);
    CHECK(!table->column[1].is_text); /* nothing in it says that it is text */
    CHECK(isnan(table->column[1].numbers[1]));
    apx_table_destroy(table);
}

/* Census data: no header, texts, a blank after each comma, "?", a label with a dot, a blank line.
 */
static void texts_without_a_header(void)
{
    struct apx_table *table = parse("39, State-gov, 77516, <=50K.\n50, ?, 83311, >50K.\n\n");
    CHECK(!table->has_header);
    CHECK_EQ(table->rows, 2);
    CHECK_STR(table->column[0].name, "f0");
    CHECK_STR(table->column[3].name, "f3");
    CHECK_NEAR(table->column[0].numbers[0], 39, 0);
    CHECK_STR(table->column[1].texts[0], "State-gov");
    CHECK_EQ(table->column[1].missing, 1);
    CHECK_STR(table->column[3].texts[1], ">50K.");
    CHECK_EQ(table->column[1].first_text, 1);
    CHECK_EQ(table->column[0].first_text, 0);
    CHECK_EQ(table->lines[0], 1);
    apx_table_destroy(table);
}

static void headers(void)
{
    struct apx_table *table = parse("1,2\n3,4\n");
    CHECK(!table->has_header);
    CHECK_EQ(table->rows, 2);
    apx_table_destroy(table);

    table = parse(",a,\n0,1,2\n"); /* an index column without a name, as pandas writes it */
    CHECK(table->has_header);
    CHECK_STR(table->column[0].name, "f0");
    CHECK_STR(table->column[1].name, "a");
    CHECK_STR(table->column[2].name, "f2");
    CHECK_EQ(table->rows, 1);
    apx_table_destroy(table);

    table = parse("time,10,20\n1,2,3\n2,4,5\n"); /* numbers as names: told by "time" over numbers */
    CHECK(table->has_header);
    CHECK_STR(table->column[1].name, "10");
    apx_table_destroy(table);

    table = parse("?,1\n2,3\n");
    CHECK(!table->has_header);
    CHECK_EQ(table->column[0].missing, 1);
    CHECK_EQ(table->column[0].first_missing, 1);
    apx_table_destroy(table);

    table = parse("a,b");
    CHECK(table->has_header);
    CHECK_EQ(table->rows, 0);
    apx_table_destroy(table);
}

static void separators(void)
{
    struct apx_table *table = parse_n("a\tb\n1\t\n", 7, '\t');
    CHECK_EQ(table->columns, 2);
    CHECK(isnan(table->column[1].numbers[0]));
    apx_table_destroy(table);
    table = parse_n("a;b\n1,5;2\n", 10, ';');
    CHECK(table->column[0].is_text); /* a decimal comma is no number here */
    apx_table_destroy(table);
    struct apx_error error;
    CHECK_EQ(apx_table_parse_csv("a", 1, 'e', &table, &error), APX_EINVAL);
    CHECK_STR(error.field, "separator");
}

static void words_that_look_like_numbers(void)
{
    struct apx_table *table = parse("a,b,c,d\n0x10,inf,infinite,1e3\n0x11,-inf,x,1e-3\n");
    CHECK(table->column[0].is_text);
    CHECK(!table->column[1].is_text);
    CHECK_EQ(table->column[0].first_text, 2);
    CHECK_EQ(table->column[2].first_text, 2);
    CHECK_NEAR(table->column[1].numbers[1], -INFINITY, 0);
    CHECK(table->column[2].is_text);
    CHECK_NEAR(table->column[3].numbers[1], 0.001, 0);
    apx_table_destroy(table);
}

static void damage(void)
{
    CHECK_HAS(refusal("", 0, APX_EFORMAT), "empty");
    CHECK_HAS(refusal("\xef\xbb\xbf\n \n", 6, APX_EFORMAT), "empty");
    CHECK_HAS(refusal("a,b\n1,2\n\n3\n", 12, APX_EFORMAT), "line 4 has 1 cell where line 1 has 2");
    CHECK_HAS(refusal("a,b\r1,2,3\r", 10, APX_EFORMAT), "line 2 has 3 cells where line 1 has 2");
    CHECK_HAS(refusal("a\n\"1\n2\n", 7, APX_EFORMAT), "line 2: the quote");
    CHECK_HAS(refusal("a\n\"1\"2\n", 7, APX_EFORMAT), "line 2: there is text after");
    CHECK_HAS(refusal("a\n1\0\n", 5, APX_EFORMAT), "line 2: there is a zero byte");
    CHECK_HAS(refusal("\xff\xfe"
                      "a\0\n\0",
                      6, APX_EFORMAT),
              "UTF-16");
    struct apx_error error;
    struct apx_table *table;
    CHECK_EQ(apx_table_read_csv("/nowhere.csv", 0, &table, &error), APX_ENOTFOUND);
    CHECK_HAS(error.message, "/nowhere.csv");
}

static void limits(void)
{
    size_t bytes = APX_LIMIT_CSV_CELL + 1;
    char *text = malloc(bytes);
    REQUIRE(text != NULL);
    memset(text, 'x', bytes);
    CHECK_HAS(refusal(text, bytes, APX_ELIMIT), "line 1: a cell has 65537 bytes");
    struct apx_table *table = parse_n(text, bytes - 1, 0);
    CHECK_EQ(strlen(table->column[0].name), APX_LIMIT_CSV_CELL);
    apx_table_destroy(table);
    memset(text, ',', bytes);
    CHECK_HAS(refusal(text, APX_LIMIT_CSV_COLUMNS, APX_ELIMIT), "columns");
    table = parse_n(text, APX_LIMIT_CSV_COLUMNS - 1, 0);
    CHECK_EQ(table->columns, APX_LIMIT_CSV_COLUMNS);
    CHECK_STR(table->column[APX_LIMIT_CSV_COLUMNS - 1].name, "f16383");
    apx_table_destroy(table);
    free(text);
}

static void reads_files(void)
{
    char path[] = "/tmp/csv_test_XXXXXX";
    int file = mkstemp(path);
    REQUIRE(file >= 0 && write(file, "a\n1\n2,3\n", 8) == 8);
    struct apx_table *table;
    struct apx_error error;
    CHECK_EQ(apx_table_read_csv(path, 0, &table, &error), APX_EFORMAT);
    CHECK_HAS(error.message, path);
    CHECK_HAS(error.message, "line 3 has 2 cells");
    REQUIRE(ftruncate(file, 4) == 0);
    CHECK_EQ(apx_table_read_csv(path, 0, &table, &error), APX_OK);
    CHECK_EQ(table->rows, 1);
    apx_table_destroy(table);
    close(file);
    unlink(path);
}

int main(void)
{
    RUN(plain_table);
    RUN(infinities);
    RUN(line_ends);
    RUN(quotes);
    RUN(missing_marks);
    RUN(texts_without_a_header);
    RUN(headers);
    RUN(separators);
    RUN(words_that_look_like_numbers);
    RUN(damage);
    RUN(limits);
    RUN(reads_files);
    return check_report();
}
