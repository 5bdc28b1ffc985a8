/* SPDX-License-Identifier: Apache-2.0 */
/* export.c - the network as standard ONNX operators.
 *
 *   window -> Sub -> Div -> Transpose -> LSTM|GRU (-> Squeeze -> LSTM|GRU)... -> Squeeze
 *          -> Gemm (-> Relu|Tanh|Sigmoid -> Gemm)... (-> Add the last value) -> Mul -> Add ->
 * forecast
 *
 * Sequences are [steps, rows, width] between the recurrent layers, as layout 0 wants them. Dropout
 * leaves no trace: what is kept was scaled up in training. */
#include "train/export.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/sha256.h"
#include "runtime/onnx_build.h"

#define NAME_BYTES 48

void apx_export_data_sha256(const struct apx_dataset *data, char hex[65])
{
    struct apx_sha256 hash;
    apx_sha256_init(&hash);
    for (size_t i = 0; i < data->series_count; i++) {
        apx_sha256_add(&hash, data->series[i].sha256, 64);
        apx_sha256_add(&hash, "\n", 1);
    }
    apx_sha256_hex(&hash, hex);
}

static void tensor(struct apx_onnx *onnx, const char *name, int rank, const int64_t *dims,
                   const float *data)
{
    apx_onnx_tensor(onnx, name, APX_F32, rank, dims, data);
}

static void node(struct apx_onnx *onnx, const char *op, const char *name, const char *a,
                 const char *b, const char *out)
{
    const char *inputs[] = {a, b}, *outputs[] = {out};
    apx_onnx_node(onnx, "", op, name, inputs, b != NULL ? 2 : 1, outputs, 1);
}

/* Biases as ONNX wants them: [1, 2 * gates * hidden], those of the input, then those of the
 * recurrence, of which the trainer has only the GRU's inner one. */
static bool add_biases(struct apx_onnx *onnx, const char *name, const struct apx_net_rnn *layer,
                       bool gru, const float *params)
{
    size_t width = layer->gates * layer->hidden;
    float *both = calloc(2 * width, sizeof *both);
    if (both == NULL)
        return false;
    memcpy(both, params + layer->bias, width * sizeof *both);
    if (gru)
        memcpy(both + width + 2 * layer->hidden, params + layer->bias_r,
               layer->hidden * sizeof *both);
    tensor(onnx, name, 2, (const int64_t[]){1, (int64_t)(2 * width)}, both);
    free(both);
    return true;
}

/* Returns the name of what the layers leave, [rows, width], in `out`. */
static bool add_recurrent(struct apx_onnx *onnx, const struct apx_net *net, const float *params,
                          char *out)
{
    bool gru = net->desc.cell == APX_NET_GRU;
    char in[NAME_BYTES] = "sequence";
    node(onnx, "Transpose", "steps_first", "scaled", NULL, in);
    apx_onnx_ints(onnx, "perm", (const int64_t[]){1, 0, 2}, 3);
    apx_onnx_tensor(onnx, "first_axis", APX_I64, 1, (const int64_t[]){1}, (const int64_t[]){0});
    if (net->rnn_count > 1)
        apx_onnx_tensor(onnx, "second_axis", APX_I64, 1, (const int64_t[]){1},
                        (const int64_t[]){1});
    for (size_t i = 0; i < net->rnn_count; i++) {
        const struct apx_net_rnn *layer = &net->rnn[i];
        int64_t width = (int64_t)(layer->gates * layer->hidden);
        bool last = i + 1 == net->rnn_count;
        char w[NAME_BYTES], r[NAME_BYTES], b[NAME_BYTES], y[NAME_BYTES], name[32];
        snprintf(name, sizeof name, "%s_%zu", gru ? "gru" : "lstm", i + 1);
        snprintf(w, sizeof w, "%s_w", name);
        snprintf(r, sizeof r, "%s_r", name);
        snprintf(b, sizeof b, "%s_b", name);
        snprintf(y, sizeof y, "%s_y", name);
        tensor(onnx, w, 3, (const int64_t[]){1, width, (int64_t)layer->input}, params + layer->w);
        tensor(onnx, r, 3, (const int64_t[]){1, width, (int64_t)layer->hidden}, params + layer->r);
        if (!add_biases(onnx, b, layer, gru, params))
            return false;
        const char *inputs[] = {in, w, r, b};
        const char *whole[] = {y}, *end[] = {"", y};
        apx_onnx_node(onnx, "", gru ? "GRU" : "LSTM", name, inputs, 4, last ? end : whole,
                      last ? 2 : 1);
        apx_onnx_int(onnx, "hidden_size", (int64_t)layer->hidden);
        if (gru)
            apx_onnx_int(onnx, "linear_before_reset", 1);
        snprintf(in, sizeof in, "%s_%s", name, last ? "state" : "sequence");
        char squeeze[NAME_BYTES];
        snprintf(squeeze, sizeof squeeze, "%s_squeeze", name);
        node(onnx, "Squeeze", squeeze, y, last ? "first_axis" : "second_axis", in);
    }
    memcpy(out, in, NAME_BYTES);
    return true;
}

static void add_head(struct apx_onnx *onnx, const struct apx_net *net, const float *params,
                     char *in)
{
    for (size_t i = 0; i < net->dense_count; i++) {
        const struct apx_net_dense *layer = &net->dense[i];
        char w[NAME_BYTES], b[NAME_BYTES], y[NAME_BYTES], name[32];
        snprintf(name, sizeof name, "dense_%zu", i + 1);
        snprintf(w, sizeof w, "%s_w", name);
        snprintf(b, sizeof b, "%s_b", name);
        snprintf(y, sizeof y, "%s_y", name);
        tensor(onnx, w, 2, (const int64_t[]){(int64_t)layer->output, (int64_t)layer->input},
               params + layer->w);
        tensor(onnx, b, 1, (const int64_t[]){(int64_t)layer->output}, params + layer->bias);
        const char *inputs[] = {in, w, b}, *outputs[] = {y};
        apx_onnx_node(onnx, "", "Gemm", name, inputs, 3, outputs, 1);
        apx_onnx_int(onnx, "transB", 1);
        memcpy(in, y, NAME_BYTES);
        const char *op = layer->act == APX_ACT_RELU      ? "Relu"
                         : layer->act == APX_ACT_TANH    ? "Tanh"
                         : layer->act == APX_ACT_SIGMOID ? "Sigmoid"
                                                         : NULL;
        if (op != NULL) {
            char act[NAME_BYTES];
            snprintf(act, sizeof act, "%s_act", name);
            node(onnx, op, act, in, NULL, act);
            memcpy(in, act, NAME_BYTES);
        }
    }
}

/* The last row of the scaled window, one column per output, added to the outputs. */
static bool add_residual(struct apx_onnx *onnx, const struct apx_net *net, char *in)
{
    size_t outputs = net->desc.outputs;
    int64_t *columns = malloc(outputs * sizeof *columns);
    if (columns == NULL)
        return false;
    for (size_t k = 0; k < outputs; k++)
        columns[k] = (int64_t)net->desc.residual[k];
    apx_onnx_tensor(onnx, "last_step", APX_I64, 0, NULL,
                    (const int64_t[]){(int64_t)net->desc.steps - 1});
    apx_onnx_tensor(onnx, "target_columns", APX_I64, 1, (const int64_t[]){(int64_t)outputs},
                    columns);
    free(columns);
    node(onnx, "Gather", "last_row", "scaled", "last_step", "last_row");
    apx_onnx_int(onnx, "axis", 1);
    node(onnx, "Gather", "last_values", "last_row", "target_columns", "last_values");
    apx_onnx_int(onnx, "axis", 1);
    node(onnx, "Add", "residual", in, "last_values", "residual");
    memcpy(in, "residual", sizeof "residual");
    return true;
}

static bool add_scalers(struct apx_onnx *onnx, const struct apx_parts *parts,
                        const struct apx_dataset *data, size_t outputs)
{
    float *center = malloc(outputs * sizeof *center), *scale = malloc(outputs * sizeof *scale);
    if (center != NULL && scale != NULL) {
        for (size_t k = 0; k < outputs; k++) {
            center[k] = parts->y_center[k % data->targets];
            scale[k] = parts->y_scale[k % data->targets];
        }
        const int64_t in[] = {(int64_t)data->features}, out[] = {(int64_t)outputs};
        tensor(onnx, "input_center", 1, in, parts->x_center);
        tensor(onnx, "input_scale", 1, in, parts->x_scale);
        tensor(onnx, "output_center", 1, out, center);
        tensor(onnx, "output_scale", 1, out, scale);
    }
    bool done = center != NULL && scale != NULL;
    free(center);
    free(scale);
    return done;
}

static void metadata_list(struct apx_onnx *onnx, const char *key, char *const *names, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(names[i]));
    char *text = json_dumps(list, JSON_COMPACT);
    apx_onnx_metadata(onnx, key, text != NULL ? text : "[]");
    free(text);
    json_decref(list);
}

static void metadata_number(struct apx_onnx *onnx, const char *key, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.15g", value);
    apx_onnx_metadata(onnx, key, text);
}

enum apx_status apx_export_onnx(const struct apx_train_config *config,
                                const struct apx_dataset *data, const struct apx_parts *parts,
                                const struct apx_net *net, const float *params,
                                const struct apx_export_names *names, const char *path,
                                struct apx_error *error)
{
    char steps[24], features[24], outputs[24], text[24], in[NAME_BYTES];
    struct apx_onnx *onnx = apx_onnx_create(config->name);
    if (onnx == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    snprintf(steps, sizeof steps, "%zu", net->desc.steps);
    snprintf(features, sizeof features, "%zu", net->desc.features);
    snprintf(outputs, sizeof outputs, "%zu", net->desc.outputs);
    apx_onnx_opset(onnx, "", 17);
    apx_onnx_metadata(onnx, "auspex_version", apx_version());
    apx_onnx_metadata(onnx, "config_sha256", names->config_sha256);
    apx_onnx_metadata(onnx, "trained_on", names->data_sha256);
    snprintf(text, sizeof text, "%" PRIu64, config->seed);
    apx_onnx_metadata(onnx, "seed", text);
    apx_onnx_metadata(onnx, "steps", steps);
    metadata_number(onnx, "horizon", (double)config->horizon);
    metadata_number(onnx, "step_seconds", data->step);
    metadata_list(onnx, "features", data->feature_names, data->features);
    metadata_list(onnx, "targets", data->target_names, data->targets);
    metadata_list(onnx, "units", config->units.item, config->units.count);

    apx_onnx_input(onnx, "window", APX_F32, 3, (const char *const[]){"rows", steps, features});
    apx_onnx_output(onnx, "forecast", APX_F32, 2, (const char *const[]){"rows", outputs});
    bool memory = add_scalers(onnx, parts, data, net->desc.outputs);
    node(onnx, "Sub", "center_input", "window", "input_center", "centered");
    node(onnx, "Div", "scale_input", "centered", "input_scale", "scaled");
    memory = memory && add_recurrent(onnx, net, params, in);
    if (memory) {
        add_head(onnx, net, params, in);
        if (net->desc.residual != NULL)
            memory = add_residual(onnx, net, in);
        node(onnx, "Mul", "scale_output", in, "output_scale", "spread");
        node(onnx, "Add", "center_output", "spread", "output_center", "forecast");
    }
    enum apx_status status = memory ? apx_onnx_write(onnx, path, error)
                                    : apx_fail(error, APX_ENOMEM, "", "out of memory");
    apx_onnx_destroy(onnx);
    return status;
}
