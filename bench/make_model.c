/* SPDX-License-Identifier: Apache-2.0 */
/* make_model - write an ONNX forecaster of a given shape with seeded random weights, for
 * benchmarks.
 *
 *   make_model --cell lstm --layers 128,128 --inputs 4 --steps 10 --seed 1 OUT.onnx
 *
 * Input "window" [rows, steps, inputs], output "forecast" [rows, 1]: a stack of recurrent layers,
 * then a dense layer on the last hidden state. Weights are uniform in +-1/sqrt(hidden), as PyTorch
 * starts. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/onnx_build.h"

#define MAX_LAYERS 8

struct shape {
    bool is_gru;
    int layers;
    int64_t hidden[MAX_LAYERS];
    int64_t inputs, steps;
    uint64_t seed;
};

/* splitmix64: Steele, Lea and Flood, 2014. */
static double uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void add_weights(struct apx_onnx *onnx, const char *name, int rank, const int64_t *dims,
                        double bound, uint64_t *state)
{
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t)dims[i];
    float *values = malloc(count * sizeof *values);
    if (values == NULL) {
        fprintf(stderr, "make_model: out of memory\n");
        exit(1);
    }
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(bound * (2 * uniform(state) - 1));
    apx_onnx_tensor(onnx, name, APX_F32, rank, dims, values);
    free(values);
}

static void add_layer(struct apx_onnx *onnx, const struct shape *shape, int layer, const char *x,
                      uint64_t *state)
{
    const int64_t hidden = shape->hidden[layer];
    const int64_t input = layer == 0 ? shape->inputs : shape->hidden[layer - 1];
    const int64_t gates = shape->is_gru ? 3 : 4;
    const double bound = 1 / sqrt((double)hidden);
    char w[16], r[16], b[16], y[16], last[16], y3[16];
    snprintf(w, sizeof w, "w%d", layer);
    snprintf(r, sizeof r, "r%d", layer);
    snprintf(b, sizeof b, "b%d", layer);
    snprintf(y, sizeof y, "y%d", layer);
    snprintf(last, sizeof last, "h%d", layer);
    snprintf(y3, sizeof y3, "x%d", layer + 1);
    add_weights(onnx, w, 3, (int64_t[]){1, gates * hidden, input}, bound, state);
    add_weights(onnx, r, 3, (int64_t[]){1, gates * hidden, hidden}, bound, state);
    add_weights(onnx, b, 2, (int64_t[]){1, 2 * gates * hidden}, bound, state);
    apx_onnx_node(onnx, "", shape->is_gru ? "GRU" : "LSTM", y, (const char *[]){x, w, r, b}, 4,
                  (const char *[]){y, last}, 2);
    apx_onnx_int(onnx, "hidden_size", hidden);
    if (shape->is_gru)
        apx_onnx_int(onnx, "linear_before_reset", 1);
    apx_onnx_node(onnx, "", "Squeeze", y3, (const char *[]){y, "axis1"}, 2, (const char *[]){y3},
                  1);
}

static enum apx_status write_model(const struct shape *shape, const char *path,
                                   struct apx_error *error)
{
    struct apx_onnx *onnx = apx_onnx_create("benchmark");
    if (onnx == NULL)
        return APX_ENOMEM;
    char steps[24], inputs[24], name[16] = "x0";
    snprintf(steps, sizeof steps, "%lld", (long long)shape->steps);
    snprintf(inputs, sizeof inputs, "%lld", (long long)shape->inputs);
    uint64_t state = shape->seed;

    apx_onnx_opset(onnx, "", 17);
    apx_onnx_input(onnx, "window", APX_F32, 3, (const char *[]){"rows", steps, inputs});
    apx_onnx_output(onnx, "forecast", APX_F32, 2, (const char *[]){"rows", "1"});
    apx_onnx_tensor(onnx, "axis0", APX_I64, 1, (int64_t[]){1}, (int64_t[]){0});
    apx_onnx_tensor(onnx, "axis1", APX_I64, 1, (int64_t[]){1}, (int64_t[]){1});
    apx_onnx_node(onnx, "", "Transpose", "steps_first", (const char *[]){"window"}, 1,
                  (const char *[]){"x0"}, 1);
    apx_onnx_ints(onnx, "perm", (int64_t[]){1, 0, 2}, 3);
    for (int layer = 0; layer < shape->layers; layer++) {
        add_layer(onnx, shape, layer, name, &state);
        snprintf(name, sizeof name, "x%d", layer + 1);
    }
    const int64_t hidden = shape->hidden[shape->layers - 1];
    snprintf(name, sizeof name, "h%d", shape->layers - 1);
    apx_onnx_node(onnx, "", "Squeeze", "last_state", (const char *[]){name, "axis0"}, 2,
                  (const char *[]){"last"}, 1);
    add_weights(onnx, "dense_w", 2, (int64_t[]){1, hidden}, 1 / sqrt((double)hidden), &state);
    add_weights(onnx, "dense_b", 1, (int64_t[]){1}, 1 / sqrt((double)hidden), &state);
    apx_onnx_node(onnx, "", "Gemm", "dense", (const char *[]){"last", "dense_w", "dense_b"}, 3,
                  (const char *[]){"forecast"}, 1);
    apx_onnx_int(onnx, "transB", 1);
    enum apx_status status = apx_onnx_write(onnx, path, error);
    apx_onnx_destroy(onnx);
    return status;
}

static bool parse_count(const char *text, int64_t most, int64_t *value)
{
    char *end;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > most)
        return false;
    *value = number;
    return true;
}

static bool parse_layers(char *text, struct shape *shape)
{
    shape->layers = 0;
    for (char *part = strtok(text, ","); part != NULL; part = strtok(NULL, ",")) {
        if (shape->layers == MAX_LAYERS || !parse_count(part, 4096, &shape->hidden[shape->layers]))
            return false;
        shape->layers++;
    }
    return shape->layers > 0;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: make_model [--cell lstm|gru] [--layers 128,128] [--inputs 4] [--steps 10] "
            "[--seed 1] OUT.onnx\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"cell", required_argument, NULL, 'c'},   {"layers", required_argument, NULL, 'l'},
        {"inputs", required_argument, NULL, 'i'}, {"steps", required_argument, NULL, 't'},
        {"seed", required_argument, NULL, 's'},   {NULL, 0, NULL, 0},
    };
    struct shape shape = {.layers = 2, .hidden = {128, 128}, .inputs = 4, .steps = 10, .seed = 1};
    int64_t seed;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        bool valid = true;
        switch (option) {
        case 'c':
            shape.is_gru = strcmp(optarg, "gru") == 0;
            valid = shape.is_gru || strcmp(optarg, "lstm") == 0;
            break;
        case 'l':
            valid = parse_layers(optarg, &shape);
            break;
        case 'i':
            valid = parse_count(optarg, 65536, &shape.inputs);
            break;
        case 't':
            valid = parse_count(optarg, 65536, &shape.steps);
            break;
        case 's':
            valid = parse_count(optarg, INT64_MAX, &seed);
            shape.seed = valid ? (uint64_t)seed : 0;
            break;
        default:
            valid = false;
        }
        if (!valid)
            return usage();
    }
    if (optind + 1 != argc)
        return usage();
    struct apx_error error = {0};
    if (write_model(&shape, argv[optind], &error) != APX_OK) {
        fprintf(stderr, "make_model: %s: %s\n", argv[optind], error.message);
        return 1;
    }
    return 0;
}
