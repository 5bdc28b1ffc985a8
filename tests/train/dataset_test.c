/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_test.c - the traps of real files: each survives or is reported with its line. */
#include "tests/train/scratch.h"
#include "train/dataset.h"

static struct apx_dataset data;
static struct apx_error error;

/* Read a.csv, whose text this is, under the keys of `config` (YAML below data:). */
static enum apx_status read_csv(const char *csv, const char *config)
{
    struct apx_train_config read;
    char yaml[512];
    memset(&error, 0, sizeof error);
    scratch_write("a.csv", csv);
    snprintf(yaml, sizeof yaml, "season: 2\ndata: {files: a.csv, %s}\n", config);
    scratch_write("c.yaml", yaml);
    REQUIRE(apx_train_config_read(scratch_path("c.yaml"), NULL, 0, &read, &error) == APX_OK);
    enum apx_status status = apx_dataset_read(&read, &data, &error);
    apx_train_config_fini(&read);
    return status;
}

static bool noted(const char *part)
{
    for (size_t i = 0; i < data.notes.count; i++) {
        if (strstr(data.notes.item[i], part) != NULL)
            return true;
    }
    fprintf(stderr, "    no note with \"%s\" among %zu:\n", part, data.notes.count);
    for (size_t i = 0; i < data.notes.count; i++)
        fprintf(stderr, "      %s\n", data.notes.item[i]);
    return false;
}

static void plain(void)
{
    REQUIRE(read_csv("t,v\n2020-01-01 00:00:00,1\n2020-01-01 00:05:00,2\n2020-01-01 00:10:00,4\n",
                     "time: t") == APX_OK);
    CHECK_EQ(data.rows, 3);
    CHECK_EQ(data.features, 1);
    CHECK_EQ(data.targets, 1);
    CHECK_EQ(data.target_feature[0], 0);
    CHECK(data.x[2] == 4 && data.y[1] == 2);
    CHECK(data.step == 300);
    CHECK_EQ(data.segment_start[2], 0);
    CHECK_EQ(data.segment_end[0], 3);
    CHECK_EQ(data.notes.count, 0);
    CHECK_STR(data.series[0].sha256, /* by sha256sum */
              "41446c1cbff7cbfb1ef1f84985943a08bc3e44b003e54a32fc59935de02e4da6");
    apx_dataset_fini(&data);
}

/* Bare CR line ends, quoted headers, byte order mark, trailing blank line. */
static void spellings(void)
{
    REQUIRE(read_csv("\xef\xbb\xbf\"t\",\"v\"\r2020-01-01,1\r2020-01-02,2\r2020-01-03,3\r\r",
                     "time: t") == APX_OK);
    CHECK_EQ(data.rows, 3);
    CHECK(data.step == 86400);
    apx_dataset_fini(&data);
    REQUIRE(read_csv("t;v\n1600000000;1\n1600000060;2\n1600000120;3\n",
                     "time: t, separator: ';'") == APX_OK);
    CHECK(data.step == 60);
    apx_dataset_fini(&data);
}

static void breaks(void)
{
    REQUIRE(read_csv("t,v\n"
                     "2020-01-01 00:00,1\n"
                     "2020-01-01 00:05,2\n"
                     "2020-01-01 00:05,3\n" /* line 4: repeats */
                     "2020-01-01 00:10,4\n"
                     "2020-01-01 00:25,5\n" /* line 6: gap */
                     "2020-01-01 00:30,6\n"
                     "2020-01-01 00:05,7\n" /* line 8: backward */
                     "2020-01-01 00:10,8\n"
                     "2020-01-01 00:16,9\n", /* uneven, no gap */
                     "time: t") == APX_OK);
    CHECK_EQ(data.rows, 8);
    CHECK_EQ(data.series[0].dropped, 1);
    CHECK_EQ(data.series[0].cuts, 2);
    CHECK(data.x[2] == 4 && data.x[3] == 5);
    const size_t starts[] = {0, 0, 0, 3, 3, 5, 5, 5}, ends[] = {3, 3, 3, 5, 5, 8, 8, 8};
    for (size_t row = 0; row < 8; row++) {
        CHECK_EQ(data.segment_start[row], starts[row]);
        CHECK_EQ(data.segment_end[row], ends[row]);
    }
    CHECK(noted("a.csv:4: repeats the time of line 3"));
    CHECK(noted("a.csv:6: a gap of 900 s where the step is 300 s"));
    CHECK(noted("a.csv:8: time goes back by 1500 s"));
    CHECK(noted("1 of 8 steps differ"));
    apx_dataset_fini(&data);
}

/* Findings of one kind are spelled out a few times and then counted. */
static void many_gaps(void)
{
    char csv[4000] = "t,v\n";
    for (int i = 0; i < 40; i++)
        sprintf(csv + strlen(csv), "%d,%d\n", i * 10 + (i >= 20 ? (i - 20) * 100 : 0), i);
    REQUIRE(read_csv(csv, "time: t") == APX_OK);
    CHECK_EQ(data.series[0].cuts, 19);
    CHECK_EQ(data.notes.count, APX_NOTES_SHOWN + 1);
    CHECK(noted("a.csv: 19 gaps in all"));
    apx_dataset_fini(&data);
}

static const char holes[] = "t,v\n1,1\n2,NaN\n3,3\n4,\n5,?\n6,6\n7,7\n9,9\n10,null\n11,11\n12,NA\n";

static void dropped(void)
{
    REQUIRE(read_csv(holes, "time: t") == APX_OK);
    CHECK_EQ(data.rows, 6); /* 1 | 3 | 6 7 | 9 | 11 */
    const size_t ends[] = {1, 2, 4, 4, 5, 6};
    for (size_t row = 0; row < 6; row++)
        CHECK_EQ(data.segment_end[row], ends[row]);
    CHECK_EQ(data.series[0].dropped, 5);
    CHECK(noted("a.csv:3: 1 row with missing values left out; no window crosses it"));
    CHECK(noted("a.csv:5: 2 rows with missing values left out; no window crosses them"));
    apx_dataset_fini(&data);
}

static void interpolated(void)
{
    REQUIRE(read_csv(holes, "time: t, missing: interpolate") == APX_OK);
    CHECK_EQ(data.rows, 10); /* 1..7, 9..11: only the last hole has one neighbour alone */
    for (size_t row = 0; row < 10; row++)
        CHECK_NEAR(data.x[row], row < 7 ? row + 1 : row + 2, 1e-6);
    CHECK_EQ(data.series[0].filled, 4);
    CHECK_EQ(data.series[0].cuts, 1); /* the gap */
    CHECK(noted("a.csv:3: 1 row with missing values filled in"));
    apx_dataset_fini(&data);
    REQUIRE(read_csv(holes, "time: t, missing: interpolate, missing_limit: 1") == APX_OK);
    CHECK_EQ(data.rows, 8);
    CHECK_EQ(data.series[0].cuts, 2);
    apx_dataset_fini(&data);
}

static void refused(const char *csv, const char *config, enum apx_status status, const char *part)
{
    enum apx_status got = read_csv(csv, config);
    CHECK_EQ(got, status);
    CHECK_HAS(error.message, part);
    if (got == APX_OK)
        apx_dataset_fini(&data);
}

static void refusals(void)
{
    refused(holes, "time: t, missing: error", APX_EINVAL, "a.csv:3: a value is missing");
    refused("t,v\n1,1\n2,x\n3,3\n", "time: t", APX_EINVAL, "a.csv:3: column \"v\"");
    refused("t,v\n2020-01-01,1\n2020-01-32,2\n", "time: t", APX_EINVAL,
            "a.csv:3: \"2020-01-32\" is not a timestamp");
    refused("t,v\n1,1\n,2\n", "time: t", APX_EINVAL, "a.csv:3: the timestamp is missing");
    refused("t,v\n1,1\n2,2\n", "time: t, columns: [w]", APX_ENOTFOUND, "no column \"w\"");
    refused("t,v\n1,1\n2,2\n", "time: s", APX_ENOTFOUND, "no column \"s\"; there are: t, v");
    refused("t,v,w\n1,1,1\n2,2,2\n", "time: t", APX_EINVAL, "data.targets: must be named");
    refused("t,v\n1,1\n1,2\n1,3\n2,4\n2,5\n2,6\n", "time: t", APX_EINVAL,
            "4 of 6 rows repeat the time of the row before");
    refused("t,v\n5,1\n5,2\n4,1\n", "time: t", APX_EINVAL, "time never goes forward");
    refused("t,v\n1,1\n2,-1e39\n", "time: t", APX_EINVAL,
            "a.csv:3: column \"v\": -1e+39 is beyond");
    refused("t,v\n1,1\n2,1e999\n", "time: t", APX_EINVAL, "a.csv:3: column \"v\" has a number");
    refused("t,v\n1,1\n2,inf\n", "time: t, missing: error", APX_EINVAL,
            "a.csv:3: a value is missing");
    refused("t,v\n1,1\n2,2,2\n", "time: t", APX_EFORMAT, "3");
}

static void several_files(void)
{
    struct apx_train_config config;
    scratch_write("s1.csv", "t,v,w\n1,1,5\n2,2,6\n3,3,7\n");
    scratch_write("s2.csv", "w,t,v\n50,100,10\n60,101,20\n");
    scratch_write("s3.csv", "t,v,w\n0,1,1\n60,1,1\n");
    scratch_write("c.yaml", "season: 2\ndata: {files: 's[12].csv', time: t, columns: [w], "
                            "targets: [v]}\n");
    REQUIRE(apx_train_config_read(scratch_path("c.yaml"), NULL, 0, &config, &error) == APX_OK);
    REQUIRE(apx_dataset_read(&config, &data, &error) == APX_OK);
    CHECK_EQ(data.series_count, 2);
    CHECK_STR(data.series[1].label, "s2.csv");
    CHECK_EQ(data.rows, 5);
    CHECK_EQ(data.segment_end[0], 3); /* a series ends a segment */
    CHECK_EQ(data.segment_start[3], 3);
    CHECK(data.x[3] == 50 && data.y[3] == 10);
    CHECK_EQ(data.target_feature[0], -1);
    apx_dataset_fini(&data);
    apx_train_config_fini(&config);
    scratch_write("c.yaml", "season: 2\ndata: {files: ['s?.csv'], time: t, columns: [w], "
                            "targets: [v]}\n");
    REQUIRE(apx_train_config_read(scratch_path("c.yaml"), NULL, 0, &config, &error) == APX_OK);
    CHECK(apx_dataset_read(&config, &data, &error) == APX_EINVAL);
    CHECK_HAS(error.message, "its time step is 60 s");
    apx_train_config_fini(&config);
}

int main(void)
{
    scratch_enter();
    RUN(plain);
    RUN(spellings);
    RUN(breaks);
    RUN(many_gaps);
    RUN(dropped);
    RUN(interpolated);
    RUN(refusals);
    RUN(several_files);
    return check_report();
}
