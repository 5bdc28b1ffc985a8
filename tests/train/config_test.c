/* SPDX-License-Identifier: Apache-2.0 */
/* config_test.c - what a configuration says is what is read, and what is wrong is named. */
#include "tests/train/scratch.h"
#include "train/config.h"
#include "train/file_hash.h"

static const char minimal[] = "data: {files: a.csv}\n";

static enum apx_status read_text(const char *text, const char *set, struct apx_train_config *config,
                                 struct apx_error *error)
{
    memset(error, 0, sizeof *error);
    scratch_write("c.yaml", text);
    return apx_train_config_read(scratch_path("c.yaml"), &set, set != NULL, config, error);
}

static void defaults(void)
{
    struct apx_train_config config;
    struct apx_error error;
    REQUIRE(read_text(minimal, NULL, &config, &error) == APX_OK);
    CHECK_EQ(config.files.count, 1);
    CHECK_STR(config.files.item[0], "a.csv");
    CHECK_EQ(config.steps, 24);
    CHECK_EQ(config.layers.count, 1);
    CHECK_EQ(config.layers.item[0], 32);
    CHECK_EQ(config.cell, APX_NET_LSTM);
    CHECK(config.time == NULL);
    CHECK_NEAR(config.epsilon, 1e-8, 0);
    char *path = apx_train_config_path(&config, "x/y.csv");
    CHECK_STR(path, scratch_path("x/y.csv"));
    free(path);
    path = apx_train_config_path(&config, "/x/y.csv");
    CHECK_STR(path, "/x/y.csv");
    free(path);
    apx_train_config_fini(&config);
}

static void values(void)
{
    struct apx_train_config config;
    struct apx_error error;
    REQUIRE(read_text("seed: 18446744073709549568\n"
                      "data:\n  files: [a.csv, 'b c.csv']\n  time: \"t\"\n  columns: [u, v]\n"
                      "  targets: v\n  missing: interpolate\n"
                      "model: {cell: gru, layers: [8, 16], dense: 4, residual: true}\n"
                      "training:\n  loss: huber\n  decay: cosine\n  l2: 1e-4\n",
                      "model.layers=[3,4,5]", &config, &error) == APX_OK);
    CHECK(config.seed == 18446744073709549568u);
    CHECK_STR(config.files.item[1], "b c.csv");
    CHECK_STR(config.time, "t");
    CHECK_EQ(config.columns.count, 2);
    CHECK_STR(config.targets.item[0], "v");
    CHECK_EQ(config.missing, APX_MISSING_INTERPOLATE);
    CHECK_EQ(config.cell, APX_NET_GRU);
    CHECK_EQ(config.layers.count, 3); /* --set comes after the file */
    CHECK_EQ(config.layers.item[2], 5);
    CHECK_EQ(config.dense.item[0], 4);
    CHECK(config.residual);
    CHECK_EQ(config.loss, 2);
    CHECK_EQ(config.decay, APX_DECAY_COSINE);
    CHECK_NEAR(config.l2, 1e-4, 0);
    apx_train_config_fini(&config);
}

static void refused(const char *text, const char *set, const char *field, const char *part)
{
    struct apx_train_config config;
    struct apx_error error;
    if (!CHECK(read_text(text, set, &config, &error) != APX_OK)) {
        apx_train_config_fini(&config);
        return;
    }
    CHECK_STR(error.field, field);
    CHECK_HAS(error.message, part);
}

static void refusals(void)
{
    refused("data: {files: a}\ntraining:\n  epochs: 5\n  learning_rte: 1\n", NULL,
            "training.learning_rte",
            "c.yaml:4: training.learning_rte: unknown key; the nearest is "
            "\"training.learning_rate\"");
    refused("data: {files: a}\nbatch: 5\n", NULL, "batch", "the nearest is \"training.batch\"");
    refused("data: {files: a}\nmodel:\n  cell: rnn\n", NULL, "model.cell",
            "c.yaml:3: model.cell: \"rnn\": must be one of lstm|gru");
    refused("data: {files: a}\nmodel: {layers: [32, 2000]}\n", NULL, "model.layers",
            "whole numbers from 1 to 1024");
    refused("data: {files: a}\nmodel: {layers: []}\n", NULL, "model.layers", "one width at least");
    refused("data: {files: a}\nmodel: {layers: [1,1,1,1,1,1,1,1,1]}\n", NULL, "model.layers",
            "at most 8");
    refused("data: {files: a}\nseed: 1\nseed: 2\n", NULL, "seed", "c.yaml:3: seed: given twice");
    refused("data: {files: a}\nseed: -1\n", NULL, "seed", "whole number");
    refused("data: {files: a}\nseed: 1.5\n", NULL, "seed", "whole number");
    refused("data: {files: a}\nseed: [1]\n", NULL, "seed", "whole number");
    refused("data: {files: a}\nsplit: {train: 0.8}\n", NULL, "split", "add up to 1.1");
    refused("data: {files: a}\nsplit: {train: nan}\n", NULL, "split.train", "from 0.01 to 0.98");
    refused("data: {files: a}\ntraining: 7\n", NULL, "training", "must be a section");
    refused("data: {files: a}\nmodel: {residual: yes}\n", NULL, "model.residual",
            "must be true or false");
    refused("data: {files: [a, [b]]}\n", NULL, "data.files", "must be text");
    refused("seed: 1\n", NULL, "data.files", "names no file");
    refused("data: {files: a, separator: ab}\n", NULL, "data.separator", "must be one of");
    refused("data: {files: a, separator: x}\n", NULL, "data.separator", "must be one of");
    refused("data: {files: a, columns: [x, x]}\n", NULL, "data.columns", "\"x\" twice");
    refused("data: {files: a}\noutput: {name: ../x}\n", NULL, "output.name", "not starting with");
    refused("data: [files\n", NULL, "", "c.yaml:2: not YAML");
    refused("just text\n", NULL, "", "must be a mapping");
    refused(minimal, "model.cell", "--set", "must be key=value");
    refused(minimal, "=1", "--set", "must be key=value");
    refused(minimal, "model.layers=[", "model.layers", "--set: model.layers: not YAML: ");
    refused(minimal, "scaler=[standard]", "scaler", "\"a list or mapping\": must be one of");
    refused(minimal, "model.cel=gru", "model.cel", "the nearest is \"model.cell\"");
    refused(minimal, "training.epochs=0", "training.epochs", "--set: training.epochs: \"0\"");
    struct apx_train_config config;
    struct apx_error error = {0};
    CHECK_EQ(apx_train_config_read(scratch_path("absent.yaml"), NULL, 0, &config, &error),
             APX_ENOTFOUND);
    CHECK_HAS(error.message, "absent.yaml");
    char *huge = malloc(APX_LIMIT_CONFIG_BYTES + 10);
    memset(huge, '#', APX_LIMIT_CONFIG_BYTES + 9);
    huge[APX_LIMIT_CONFIG_BYTES + 9] = '\0';
    CHECK_EQ(read_text(huge, NULL, &config, &error), APX_ELIMIT);
    CHECK_HAS(error.message, "at most 1048576");
    free(huge);
}

static char *written(const struct apx_train_config *config)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    apx_train_config_write(config, true, file);
    fclose(file);
    return text;
}

/* What is written reads back to the same, and the hash sees what matters. */
static void snapshot(void)
{
    struct apx_train_config config, again;
    struct apx_error error;
    const char text[] = "seed: 7\ndata: {files: [\"a \\\"quoted\\\" \\x01 name.csv\"], time: t}\n"
                        "training: {learning_rate: 0.1, epsilon: 3.3e-9}\nmodel: {dense: [3, 4]}\n";
    char hash[65], same[65], other[65];
    REQUIRE(read_text(text, NULL, &config, &error) == APX_OK);
    char *first = written(&config);
    REQUIRE(read_text(first, NULL, &again, &error) == APX_OK);
    char *second = written(&again);
    CHECK_STR(second, first);
    CHECK_STR(again.files.item[0], "a \"quoted\" \x01 name.csv");
    CHECK(again.learning_rate == config.learning_rate && again.epsilon == config.epsilon);
    REQUIRE(apx_config_sha256(&config, hash, &error) == APX_OK);
    REQUIRE(apx_config_sha256(&again, same, &error) == APX_OK);
    CHECK_STR(same, hash);
    CHECK_EQ(strlen(hash), 64);
    apx_train_config_fini(&again);
    REQUIRE(read_text(text, "output.name=elsewhere", &again, &error) == APX_OK);
    REQUIRE(apx_config_sha256(&again, same, &error) == APX_OK);
    CHECK_STR(same, hash);
    apx_train_config_fini(&again);
    REQUIRE(read_text(text, "seed=8", &again, &error) == APX_OK);
    REQUIRE(apx_config_sha256(&again, other, &error) == APX_OK);
    CHECK(strcmp(other, hash) != 0);
    apx_train_config_fini(&again);
    apx_train_config_fini(&config);
    free(first);
    free(second);
}

/* The page that people read names every key, between backticks. */
static void documented(void)
{
    char *help = NULL, *page = calloc(1, 65536);
    size_t bytes = 0;
    int keys = 0;
    FILE *file = open_memstream(&help, &bytes);
    apx_train_config_help(file);
    fclose(file);
    file = fopen("train/README.md", "rb");
    REQUIRE(file != NULL);
    CHECK(fread(page, 1, 65535, file) > 1000);
    fclose(file);
    for (char *line = strtok(help, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char key[64], quoted[80];
        if (line[0] == ' ' || sscanf(line, "%63s", key) != 1)
            continue;
        const char *last = strrchr(key, '.');
        snprintf(quoted, sizeof quoted, "`%s`", last != NULL ? last + 1 : key);
        if (!CHECK(strstr(page, quoted) != NULL))
            fprintf(stderr, "    %s\n", key);
        keys++;
    }
    CHECK(keys > 35);
    free(help);
    free(page);
}

int main(void)
{
    scratch_enter();
    RUN(defaults);
    RUN(values);
    RUN(refusals);
    RUN(snapshot);
    RUN(documented);
    return check_report();
}
