/* SPDX-License-Identifier: Apache-2.0 */
/* log_test.c - each line is JSON, whatever is in it, and floods are cut. */
#include "serve/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "tests/harness/check.h"

static int log_file;

/* What was logged since the last time. */
static const char *logged(void)
{
    static char text[65536];
    lseek(log_file, 0, SEEK_SET);
    ssize_t size = read(log_file, text, sizeof text - 1);
    text[size > 0 ? size : 0] = '\0';
    REQUIRE(ftruncate(log_file, 0) == 0);
    lseek(log_file, 0, SEEK_SET);
    return text;
}

static void lines_are_json_whatever_is_in_them(void)
{
    char every_byte[256];
    for (int i = 1; i < 256; i++)
        every_byte[i - 1] = (char)i;
    every_byte[255] = '\0';
    APX_LOG(APX_LOG_WARN, "event", APX_LOG_TEXT("text", every_byte),
            APX_LOG_INT("number", INT64_MIN), APX_LOG_TEXT("empty", ""));
    const char *text = logged();
    CHECK(strchr(text, '\n') == text + strlen(text) - 1);
    json_t *line = json_loads(text, 0, NULL);
    REQUIRE(line != NULL);
    CHECK_STR(json_string_value(json_object_get(line, "level")), "warn");
    CHECK_STR(json_string_value(json_object_get(line, "event")), "event");
    CHECK(json_integer_value(json_object_get(line, "number")) == INT64_MIN);
    CHECK_EQ(strlen(json_string_value(json_object_get(line, "ts"))), 27);
    const char *back = json_string_value(json_object_get(line, "text"));
    CHECK(strncmp(back, every_byte, 0x7e) == 0); /* ASCII as it was */
    json_decref(line);
}

static void long_lines_are_cut_at_a_field(void)
{
    char large[6000];
    memset(large, '"', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    APX_LOG(APX_LOG_INFO, "event", APX_LOG_INT("a", 1), APX_LOG_TEXT("b", large),
            APX_LOG_INT("c", 2));
    json_t *line = json_loads(logged(), 0, NULL);
    REQUIRE(line != NULL);
    CHECK_EQ(json_integer_value(json_object_get(line, "a")), 1);
    CHECK(json_object_get(line, "b") == NULL);
    json_decref(line);
}

static void levels_are_kept_apart(void)
{
    enum apx_log_level level;
    APX_LOG(APX_LOG_DEBUG, "silent", APX_LOG_INT("a", 1));
    CHECK_STR(logged(), "");
    CHECK(apx_log_level_parse("debug", &level));
    apx_log_set_level(level);
    APX_LOG(APX_LOG_DEBUG, "heard", APX_LOG_INT("a", 1));
    CHECK_HAS(logged(), "\"level\":\"debug\",\"event\":\"heard\"");
    apx_log_set_level(APX_LOG_ERROR);
    APX_LOG(APX_LOG_WARN, "silent", APX_LOG_INT("a", 1));
    CHECK_STR(logged(), "");
    CHECK(!apx_log_level_parse("loud", &level));
    apx_log_set_level(APX_LOG_INFO);
}

static void floods_are_cut_and_counted(void)
{
    static struct apx_log_limit limit;
    int64_t omitted, written = 0, counted = 0;
    for (int i = 0; i < 1000; i++) {
        if (apx_log_allow(&limit, &omitted)) {
            written++;
            counted += omitted;
        }
    }
    CHECK(written >= APX_LOG_BURST && written <= 3 * APX_LOG_BURST); /* seconds may have changed */
    usleep(1100000);
    CHECK(apx_log_allow(&limit, &omitted));
    CHECK_EQ(written + counted + omitted, 1000);
}

int main(void)
{
    char path[] = "/tmp/auspex-log-XXXXXX";
    log_file = mkstemp(path);
    REQUIRE(log_file >= 0);
    unlink(path);
    int terminal = dup(STDERR_FILENO);
    REQUIRE(dup2(log_file, STDERR_FILENO) >= 0);
    RUN(lines_are_json_whatever_is_in_them);
    RUN(long_lines_are_cut_at_a_field);
    RUN(levels_are_kept_apart);
    RUN(floods_are_cut_and_counted);
    const char *said = logged(); /* failed checks went there, too */
    if (write(terminal, said, strlen(said)) < 0)
        return 1;
    return check_report();
}
