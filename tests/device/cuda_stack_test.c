/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent layers one behind the other on the fake device: which are launched together, for which
 * batches, and that the bits are the same. */
#include "tests/device/device_case.h"

/* tanh, then layers one behind the other, then tanh: x and y of all are the device's own. */
struct model {
    const char *op;
    int layers;
    bool has_lengths;
    bool last_is_reverse; /* unlike the others */
    bool hands_state_on;  /* the last layer begins with the last state of the first */
    bool gives_between;   /* the first layer's y is an output, too */
};

static const char *at(const char *name, int l)
{
    static char text[8][16];
    static int next;
    char *room = text[next++ % 8];
    snprintf(room, sizeof text[0], "%s%d", name, l);
    return room;
}

static void add_weights(struct apx_onnx *m, const char *name, int64_t rows, int64_t width)
{
    const int64_t dims[3] = {1, rows, width};
    float *data = malloc((size_t)(rows * width) * sizeof *data);
    REQUIRE(data != NULL);
    for (int64_t i = 0; i < rows * width; i++)
        data[i] = rng_real(&device_rng) / 2;
    apx_onnx_tensor(m, name, APX_F32, 3, dims, data);
    free(data);
}

static struct apx_onnx *build(const struct model *model)
{
    int hidden[] = {5, 7, 4, 6, 3, 5};
    const bool is_lstm = strcmp(model->op, "LSTM") == 0;
    struct apx_onnx *m = case_begin(17, model->has_lengths ? "x:f[t,b,3] n:i[b]" : "x:f[t,b,3]",
                                    model->gives_between ? "z h0 s0" : "z h0");
    if (model->hands_state_on)
        hidden[model->layers - 1] = hidden[0];
    case_ints(m, "one", 1, 1LL);
    case_node(m, "Tanh", "x", "in");
    for (int l = 0; l < model->layers; l++) {
        const bool is_last = l + 1 == model->layers;
        const int gates = is_lstm ? 4 : 3, width = l > 0 ? hidden[l - 1] : 3;
        char names[128];
        add_weights(m, at("w", l), gates * hidden[l], width);
        add_weights(m, at("r", l), gates * hidden[l], hidden[l]);
        snprintf(names, sizeof names, "%s %s %s - %s %s", l > 0 ? at("s", l - 1) : "in", at("w", l),
                 at("r", l), model->has_lengths ? "n" : "-",
                 is_last && model->hands_state_on ? "h0" : "-");
        char outs[64];
        snprintf(outs, sizeof outs, "%s %s", at("y", l), at("h", l));
        case_node(m, model->op, names, outs);
        apx_onnx_int(m, "hidden_size", hidden[l]);
        if (is_last && model->last_is_reverse)
            apx_onnx_text(m, "direction", "reverse");
        snprintf(names, sizeof names, "%s one", at("y", l));
        case_node(m, "Squeeze", names, at("s", l));
    }
    case_node(m, "Tanh", at("s", model->layers - 1), "z");
    return m;
}

/* Kernels of a call that is not a graph, and that its bits are right. */
static unsigned long kernels(struct device_case *c, int64_t rows, int64_t steps)
{
    const unsigned long before = fake_cuda.calls[FAKE_LAUNCH];
    device_run(c, rows, 0, rows, steps);
    const unsigned long direct = fake_cuda.calls[FAKE_LAUNCH];
    device_run(c, rows, 0, rows, steps); /* captured: enqueued once more */
    CHECK_EQ(fake_cuda.calls[FAKE_LAUNCH] - direct, direct - before);
    device_run(c, rows, 0, rows, steps);
    return direct - before;
}

/* A launch for each step with many rows, `saved` fewer with few. */
static void expect(const struct model *model, const char *precision, int saved)
{
    fake_cuda_reset();
    struct device_case c = device_open(build(model), precision);
    REQUIRE(c.status == APX_OK);
    const int steps = apx_cuda_backend_program(c.cuda)->plan->step_count;
    CHECK_EQ(kernels(&c, 500, 3), steps);
    CHECK_EQ(kernels(&c, 4, 6), steps - saved);
    for (int64_t t = 0; t < 3; t++)
        device_run(&c, 9, 2, 5, t);
    device_close(&c);
}

static void stacks_few_rows(void)
{
    expect(&(struct model){.op = "LSTM", .layers = 2}, NULL, 1);
    expect(&(struct model){.op = "GRU", .layers = 3}, NULL, 2);
    expect(&(struct model){.op = "LSTM", .layers = 4, .has_lengths = true}, NULL, 3);
    expect(&(struct model){.op = "GRU", .layers = 2, .has_lengths = true}, NULL, 1);
    expect(&(struct model){.op = "LSTM", .layers = 3, .gives_between = true}, NULL, 2);
    expect(&(struct model){.op = "GRU", .layers = 1}, NULL, 0);
}

/* Four at once, then the rest. */
static void cuts_long_stacks(void)
{
    expect(&(struct model){.op = "LSTM", .layers = 5}, NULL, 3);
    expect(&(struct model){.op = "GRU", .layers = 6}, NULL, 4);
}

static void leaves_apart_what_differs(void)
{
    expect(&(struct model){.op = "LSTM", .layers = 2, .last_is_reverse = true}, NULL, 0);
    expect(&(struct model){.op = "GRU", .layers = 3, .last_is_reverse = true}, NULL, 1);
    expect(&(struct model){.op = "GRU", .layers = 2, .hands_state_on = true}, NULL, 0);
    expect(&(struct model){.op = "LSTM", .layers = 2}, "fp16", 0); /* a row without stacks */
}

static double measured(const struct model *model, int64_t rows)
{
    struct apx_cuda_cost cost;
    int64_t symbols[APX_MAX_SYMBOLS];
    for (int i = 0; i < APX_MAX_SYMBOLS; i++)
        symbols[i] = 40;
    fake_cuda_reset();
    struct device_case c = device_open(build(model), NULL);
    REQUIRE(c.status == APX_OK);
    apx_cuda_measure(apx_cuda_backend_program(c.cuda), symbols, rows, &cost);
    device_close(&c);
    return cost.seconds;
}

/* What a call is taken to cost is what it is launched as: two launches and 80 microseconds, or one
 * and 42 with somewhat more for each row. */
static void measures_what_it_launches(void)
{
    const struct model together = {.op = "GRU", .layers = 2};
    const struct model apart = {.op = "GRU", .layers = 2, .last_is_reverse = true};
    CHECK_NEAR(measured(&apart, 4) - measured(&together, 4), 40.5e-6 - 8e-9 * 4 * 40, 1e-10);
    CHECK_NEAR(measured(&apart, 1024) - measured(&together, 1024), 0, 1e-10);
}

int main(void)
{
    RUN(stacks_few_rows);
    RUN(cuts_long_stacks);
    RUN(leaves_apart_what_differs);
    RUN(measures_what_it_launches);
    case_end();
    return check_report();
}
