/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/fail.h"
#include "tests/harness/check.h"

static void names_every_status(void)
{
    CHECK_STR(apx_status_name(APX_OK), "APX_OK");
    CHECK_STR(apx_status_name(APX_ECONFLICT), "APX_ECONFLICT");
    CHECK_STR(apx_status_name((enum apx_status)12), "APX_?");
}

static void knows_element_sizes(void)
{
    CHECK_EQ(apx_dtype_size(APX_F32), 4);
    CHECK_EQ(apx_dtype_size(APX_I64), 8);
    CHECK_EQ(apx_dtype_size(APX_STRING), 0);
    CHECK_EQ(apx_dtype_size((enum apx_dtype)99), 0);
}

static void makes_text_printable(void)
{
    struct apx_error error;
    CHECK_EQ(apx_fail(&error, APX_EFORMAT, "a\x1b[31m", "line\n%s", "\xff"), APX_EFORMAT);
    CHECK_STR(error.field, "a?[31m");
    CHECK_STR(error.message, "line??");
    CHECK_EQ(apx_fail(NULL, APX_EIO, NULL, "lost"), APX_EIO);
}

static void cuts_long_text(void)
{
    struct apx_error error;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    apx_fail(&error, APX_EINVAL, text, "cannot open %s: no such file", text);
    CHECK_EQ(strlen(error.message), sizeof error.message - 1);
    CHECK_EQ(strlen(error.field), sizeof error.field - 1);
    CHECK(strncmp(error.message, "cannot open xxx", 15) == 0);
    CHECK(strstr(error.message, "xxx...xxx") != NULL);
    CHECK(strstr(error.message, "xxx: no such file") != NULL);
}

int main(void)
{
    RUN(names_every_status);
    RUN(knows_element_sizes);
    RUN(makes_text_printable);
    RUN(cuts_long_text);
    return check_report();
}
