/* SPDX-License-Identifier: Apache-2.0 */
/* quantized_body.c - the int8 operators written in standard operators, so that other runtimes can
 * run the file.
 *
 * All that does not depend on h is done for the whole sequence at once; a Scan walks the steps. Its
 * body sees the weights by their names in the function around it. Integers are carried as floats,
 * which hold sums of products exactly up to 2^24 (a width of 1040 at 127 levels): that way the
 * matrix products are those of ai.onnx alone, and no runtime has a chance to saturate them.
 *
 * Names: what belongs to a direction ends in its number; inside of a Scan names begin with "at_".
 */
#include "runtime/model/quantize/quantized_body.h"

#include <stdio.h>

/* Opsets in which an operator changed its form. */
#define OPSET_ROUND     11
#define OPSET_REFERENCE 12 /* Constant with value_int and value_float */
#define OPSET_AXES      13 /* axes of Unsqueeze: an input */
#define OPSET_OUTPUTS   18 /* num_outputs of Split */

/* Adding and subtracting it rounds a float below 2^22 to an integer, halves to even. */
#define ROUNDING 12582912.0f /* 1.5 * 2^23 */

struct body {
    struct apx_onnx *onnx;
    const struct apx_quantized_variant *variant;
    int direction; /* whose part is written: its number ends names */
};

#define NAME_BYTES 48
typedef char name_text[NAME_BYTES];

/* The name with the direction's number. */
static const char *own(const struct body *b, const char *name, name_text text)
{
    snprintf(text, NAME_BYTES, "%s_%d", name, b->direction);
    return text;
}

static void op1(const struct body *b, const char *op, const char *in, const char *out)
{
    apx_onnx_node(b->onnx, "", op, "", &in, 1, &out, 1);
}

static void op2(const struct body *b, const char *op, const char *left, const char *right,
                const char *out)
{
    apx_onnx_node(b->onnx, "", op, "", (const char *const[]){left, right}, 2, &out, 1);
}

static void op3(const struct body *b, const char *op, const char *first, const char *second,
                const char *third, const char *out)
{
    apx_onnx_node(b->onnx, "", op, "", (const char *const[]){first, second, third}, 3, &out, 1);
}

static void split(const struct body *b, const char *in, int axis, const char *const *outs,
                  int count)
{
    apx_onnx_node(b->onnx, "", "Split", "", &in, 1, outs, count);
    apx_onnx_int(b->onnx, "axis", axis);
    if (b->variant->opset >= OPSET_OUTPUTS)
        apx_onnx_int(b->onnx, "num_outputs", count);
}

static void concat(const struct body *b, const char *first, const char *second, const char *out,
                   int axis)
{
    op2(b, "Concat", first, second, out);
    apx_onnx_int(b->onnx, "axis", axis);
}

static void gather(const struct body *b, const char *from, const char *index, const char *out)
{
    op2(b, "Gather", from, index, out);
    apx_onnx_int(b->onnx, "axis", 0);
}

static void cast(const struct body *b, const char *in, enum apx_dtype to, const char *out)
{
    op1(b, "Cast", in, out);
    apx_onnx_int(b->onnx, "to", to == APX_F32 ? 1 : 7 /* TensorProto FLOAT, INT64 */);
}

/* axis_list: the name of a constant that holds [axis]. */
static void unsqueeze(const struct body *b, const char *in, int64_t axis, const char *axis_list,
                      const char *out)
{
    if (b->variant->opset >= OPSET_AXES) {
        op2(b, "Unsqueeze", in, axis_list, out);
        return;
    }
    op1(b, "Unsqueeze", in, out);
    apx_onnx_ints(b->onnx, "axes", &axis, 1);
}

static void constant(const struct body *b, const char *out, enum apx_dtype dtype, int rank,
                     const void *one)
{
    static const int64_t dims[1] = {1};
    apx_onnx_node(b->onnx, "", "Constant", "", NULL, 0, &out, 1);
    apx_onnx_tensor_attribute(b->onnx, "value", dtype, rank, dims, one);
}

static void float_constant(const struct body *b, const char *out, float value)
{
    constant(b, out, APX_F32, 0, &value);
}

static void index_constant(const struct body *b, const char *out, int rank, int64_t value)
{
    constant(b, out, APX_I64, rank, &value);
}

/* out = in * factor, rounded, bounded to the levels. */
static void quantise(const struct body *b, const char *in, const char *factor, const char *out)
{
    name_text scaled, rounded, moved, bounded;
    snprintf(scaled, NAME_BYTES, "%s_scaled", out);
    snprintf(rounded, NAME_BYTES, "%s_rounded", out);
    snprintf(moved, NAME_BYTES, "%s_moved", out);
    snprintf(bounded, NAME_BYTES, "%s_bounded", out);
    op2(b, "Mul", in, factor, scaled);
    op2(b, "Max", scaled, "least", bounded);
    op2(b, "Min", bounded, "levels", rounded);
    if (b->variant->opset >= OPSET_ROUND) {
        op1(b, "Round", rounded, out);
        return;
    }
    op2(b, "Add", rounded, "rounding", moved);
    op2(b, "Sub", moved, "rounding", out);
}

/* ---- what both directions share ----------------------------------------------------------------
 */

/* "levels" and "least", from an attribute of the call. */
static void add_levels(const struct body *b, const char *attribute)
{
    if (b->variant->opset >= OPSET_REFERENCE) {
        apx_onnx_node(b->onnx, "", "Constant", "", NULL, 0, (const char *const[]){"levels_int"}, 1);
        apx_onnx_reference(b->onnx, "value_int", APX_ONNX_INT, attribute);
        cast(b, "levels_int", APX_F32, "levels");
    } else {
        float_constant(b, "levels", (float)b->variant->levels);
    }
    op1(b, "Neg", "levels", "least");
}

static void add_constants(const struct body *b)
{
    const struct apx_quantized_variant *variant = b->variant;
    add_levels(b, "hidden_levels");
    if (variant->opset < OPSET_ROUND)
        float_constant(b, "rounding", ROUNDING);
    index_constant(b, "first", 0, 0);
    index_constant(b, "axis_0", 1, 0);
    index_constant(b, "axis_1", 1, 1);
    index_constant(b, "axis_2", 1, 2);
    if (variant->direction == APX_QUANTIZED_BIDIRECTIONAL)
        index_constant(b, "second", 0, 1);
    if (!variant->is_lstm)
        float_constant(b, "one", 1);
    op1(b, "Shape", "X", "x_shape");
    if (!variant->has_h0 || (variant->is_lstm && !variant->has_c0)) {
        op1(b, "Shape", "R", "r_shape");
        gather(b, "x_shape", "axis_1", "rows");
        gather(b, "r_shape", "axis_2", "width");
        concat(b, "rows", "width", "state_shape", 0);
        op1(b, "ConstantOfShape", "state_shape", "zero_state");
    }
    if (variant->has_lengths) {
        float_constant(b, "nothing", 0);
        index_constant(b, "none", 0, 0);
        cast(b, "sequence_lens", APX_I64, "lengths");
        unsqueeze(b, "lengths", 1, "axis_1", "length_column");
        op2(b, "Greater", "length_column", "none", "is_some");
    }
}

/* "X_int": the input in the form that is multiplied by W. */
static void quantise_input(const struct body *b)
{
    float_constant(b, "unit", 1);
    if (b->variant->opset >= OPSET_REFERENCE) {
        apx_onnx_node(b->onnx, "", "Constant", "", NULL, 0, (const char *const[]){"x_scale"}, 1);
        apx_onnx_reference(b->onnx, "value_float", APX_ONNX_FLOAT, "input_scale");
    } else {
        float_constant(b, "x_scale", 1 / (float)b->variant->levels);
    }
    op2(b, "Div", "unit", "x_scale", "x_factor");
    quantise(b, "X", "x_factor", "X_int");
}

/* ---- one direction -----------------------------------------------------------------------------
 */

/* "bias", and for a GRU that resets after "bias_of_h", which is multiplied by the reset gate. */
static void add_bias(const struct body *b, const char *index)
{
    name_text all, w, r, bias, wz, wr, wh, rz, rr, rh, z_and_r;
    gather(b, "B", index, own(b, "biases", all));
    split(b, all, 0, (const char *const[]){own(b, "bias_w", w), own(b, "bias_r", r)}, 2);
    if (b->variant->is_lstm || !b->variant->reset_after) {
        op2(b, "Add", w, r, own(b, "bias", bias));
        return;
    }
    split(b, w, 0, (const char *const[]){own(b, "wz", wz), own(b, "wr", wr), own(b, "wh", wh)}, 3);
    split(b, r, 0,
          (const char *const[]){own(b, "rz", rz), own(b, "rr", rr), own(b, "bias_of_h", rh)}, 3);
    name_text z, reset;
    op2(b, "Add", wz, rz, own(b, "bias_z", z));
    op2(b, "Add", wr, rr, own(b, "bias_reset", reset));
    concat(b, z, reset, own(b, "bias_z_and_r", z_and_r), 0);
    concat(b, z_and_r, wh, own(b, "bias", bias), 0);
}

/* Weights [rows, columns] of this direction, as float, transposed. */
static void add_matrix(const struct body *b, const char *weights, const char *index, bool is_int8,
                       const char *out)
{
    name_text picked, floats;
    static const int64_t perm[2] = {1, 0};
    snprintf(picked, NAME_BYTES, "%s_picked", out);
    snprintf(floats, NAME_BYTES, "%s_floats", out);
    gather(b, weights, index, picked);
    if (is_int8)
        cast(b, picked, APX_F32, floats);
    op1(b, "Transpose", is_int8 ? floats : picked, out);
    apx_onnx_ints(b->onnx, "perm", perm, 2);
}

/* "rest": bias and input part of all steps, [T, N, gates]. */
static void add_rest(const struct body *b, const char *index)
{
    name_text w, bias, product, scale, picked, scaled, rest;
    bool is_int8 = b->variant->quantises_x;
    add_matrix(b, "W", index, is_int8, own(b, "w", w));
    op2(b, "MatMul", is_int8 ? "X_int" : "X", w, own(b, "x_product", product));
    if (is_int8) {
        gather(b, "W_scale", index, own(b, "w_scale", picked));
        op2(b, "Mul", picked, "x_scale", own(b, "x_product_scale", scale));
        op2(b, "Mul", product, scale, own(b, "x_part", scaled));
    }
    op2(b, "Add", own(b, "bias", bias), is_int8 ? scaled : product, own(b, "rest", rest));
}

/* "r" (GRU: "r_z", "r_r", "r_h"), and the same of "r_factor", what integer sums are multiplied by.
 */
static void add_recurrent(const struct body *b, const char *index)
{
    name_text r, scale, factor;
    add_matrix(b, "R", index, true, own(b, "r", r));
    gather(b, "R_scale", index, own(b, "r_scale", scale));
    op2(b, "Div", scale, "levels", own(b, "r_factor", factor));
    if (b->variant->is_lstm)
        return;
    name_text z, reset, h;
    split(b, r, 1, (const char *const[]){own(b, "r_z", z), own(b, "r_r", reset), own(b, "r_h", h)},
          3);
    split(b, factor, 0,
          (const char *const[]){own(b, "factor_z", z), own(b, "factor_r", reset),
                                own(b, "factor_h", h)},
          3);
}

/* ---- the Scan's body ---------------------------------------------------------------------------
 */

/* out = a + factor * (q r) */
static void gate(const struct body *b, const char *q, const char *matrix, const char *factors,
                 const char *a, const char *out)
{
    name_text sum, part, r, factor;
    snprintf(sum, NAME_BYTES, "%s_sum", out);
    snprintf(part, NAME_BYTES, "%s_part", out);
    op2(b, "MatMul", q, own(b, matrix, r), sum);
    op2(b, "Mul", sum, own(b, factors, factor), part);
    op2(b, "Add", a, part, out);
}

static void lstm_step(const struct body *b)
{
    quantise(b, "at_h", "levels", "at_q");
    gate(b, "at_q", "r", "r_factor", "at_rest", "at_gates");
    split(b, "at_gates", 1, (const char *const[]){"at_pi", "at_po", "at_pf", "at_pg"}, 4);
    op1(b, "Sigmoid", "at_pi", "at_i");
    op1(b, "Sigmoid", "at_po", "at_o");
    op1(b, "Sigmoid", "at_pf", "at_f");
    op1(b, "Tanh", "at_pg", "at_g");
    op2(b, "Mul", "at_f", "at_c", "at_kept");
    op2(b, "Mul", "at_i", "at_g", "at_added");
    op2(b, "Add", "at_kept", "at_added", "at_new_c");
    op1(b, "Tanh", "at_new_c", "at_bounded_c");
    op2(b, "Mul", "at_o", "at_bounded_c", "at_new_h");
}

static void gru_step(const struct body *b)
{
    name_text bias;
    quantise(b, "at_h", "levels", "at_q");
    split(b, "at_rest", 1, (const char *const[]){"at_az", "at_ar", "at_ah"}, 3);
    gate(b, "at_q", "r_z", "factor_z", "at_az", "at_pz");
    gate(b, "at_q", "r_r", "factor_r", "at_ar", "at_pr");
    op1(b, "Sigmoid", "at_pz", "at_z");
    op1(b, "Sigmoid", "at_pr", "at_r");
    if (b->variant->reset_after) {
        gate(b, "at_q", "r_h", "factor_h", own(b, "bias_of_h", bias), "at_from_h");
        op2(b, "Mul", "at_r", "at_from_h", "at_reset");
        op2(b, "Add", "at_ah", "at_reset", "at_ph");
    } else {
        op2(b, "Mul", "at_r", "at_h", "at_reset");
        quantise(b, "at_reset", "levels", "at_q_reset");
        gate(b, "at_q_reset", "r_h", "factor_h", "at_ah", "at_ph");
    }
    op1(b, "Tanh", "at_ph", "at_n");
    op2(b, "Sub", "one", "at_z", "at_not_z");
    op2(b, "Mul", "at_not_z", "at_n", "at_added");
    op2(b, "Mul", "at_z", "at_h", "at_kept");
    op2(b, "Add", "at_added", "at_kept", "at_new_h");
}

/* Steps beyond a row's length leave its state alone, and y is 0 there. */
static void add_step_graph(const struct body *b, bool is_reverse)
{
    static const char *const state[2] = {"rows", "hidden"}, *const gates[2] = {"rows", "gates"};
    static const char *const one[1] = {"1"};
    const struct apx_quantized_variant *variant = b->variant;
    struct apx_onnx *onnx = b->onnx;
    apx_onnx_graph_begin(onnx, "body", "step");
    apx_onnx_input(onnx, "at_h", APX_F32, 2, state);
    if (variant->is_lstm)
        apx_onnx_input(onnx, "at_c", APX_F32, 2, state);
    if (variant->has_lengths)
        apx_onnx_input(onnx, "at_time", APX_I64, 1, one);
    apx_onnx_input(onnx, "at_rest", APX_F32, 2, gates);
    if (variant->is_lstm)
        lstm_step(b);
    else
        gru_step(b);
    if (variant->has_lengths) {
        op2(b, "Less", "at_time", "length_column", "at_valid");
        op3(b, "Where", "at_valid", "at_new_h", "at_h", "at_next_h");
        op3(b, "Where", "at_valid", "at_new_h", "nothing", "at_y");
        if (variant->is_lstm)
            op3(b, "Where", "at_valid", "at_new_c", "at_c", "at_next_c");
        op2(b, is_reverse ? "Sub" : "Add", "at_time", "axis_1", "at_next_time");
    } else {
        op1(b, "Identity", "at_new_h", "at_next_h");
        op1(b, "Identity", "at_new_h", "at_y");
        if (variant->is_lstm)
            op1(b, "Identity", "at_new_c", "at_next_c");
    }
    apx_onnx_output(onnx, "at_next_h", APX_F32, 2, state);
    if (variant->is_lstm)
        apx_onnx_output(onnx, "at_next_c", APX_F32, 2, state);
    if (variant->has_lengths)
        apx_onnx_output(onnx, "at_next_time", APX_I64, 1, one);
    apx_onnx_output(onnx, "at_y", APX_F32, 2, state);
    apx_onnx_end(onnx);
}

/* The state after the last step; that of an empty row is 0, as the engine has it. */
static void add_last(const struct body *b, const char *from, const char *what)
{
    name_text last, of_some;
    snprintf(of_some, NAME_BYTES, "%s_of_some_%d", what, b->direction);
    own(b, what, last);
    if (b->variant->has_lengths)
        op3(b, "Where", "is_some", from, "nothing", of_some);
    unsqueeze(b, b->variant->has_lengths ? of_some : from, 0, "axis_0", last);
}

static void add_direction(const struct body *b, bool is_reverse)
{
    const struct apx_quantized_variant *variant = b->variant;
    const char *index = b->direction == 0 ? "first" : "second";
    name_text h0, c0, time, length, rest, h, c, end, y, y_4;
    const char *in[4], *out[4];
    int inputs = 0, outputs = 0;
    add_bias(b, index);
    add_rest(b, index);
    add_recurrent(b, index);
    if (variant->has_h0)
        gather(b, "initial_h", index, own(b, "h0", h0));
    in[inputs++] = variant->has_h0 ? h0 : "zero_state";
    out[outputs++] = own(b, "h_end", h);
    if (variant->is_lstm) {
        if (variant->has_c0)
            gather(b, "initial_c", index, own(b, "c0", c0));
        in[inputs++] = variant->has_c0 ? c0 : "zero_state";
        out[outputs++] = own(b, "c_end", c);
    }
    if (variant->has_lengths) { /* the step's number: a state that counts */
        if (is_reverse) {
            gather(b, "x_shape", "axis_0", own(b, "steps", length));
            op2(b, "Sub", length, "axis_1", own(b, "time", time));
        }
        in[inputs++] = is_reverse ? time : "axis_0";
        out[outputs++] = own(b, "time_end", end);
    }
    in[inputs++] = own(b, "rest", rest);
    out[outputs++] = own(b, "y", y);
    apx_onnx_node(b->onnx, "", "Scan", "", in, inputs, out, outputs);
    apx_onnx_int(b->onnx, "num_scan_inputs", 1);
    if (is_reverse) {
        static const int64_t backwards[1] = {1};
        apx_onnx_ints(b->onnx, "scan_input_directions", backwards, 1);
        apx_onnx_ints(b->onnx, "scan_output_directions", backwards, 1);
    }
    add_step_graph(b, is_reverse);
    unsqueeze(b, y, 1, "axis_1", own(b, "Y", y_4));
    add_last(b, h, "Y_h");
    if (variant->is_lstm)
        add_last(b, c, "Y_c");
}

static void add_outputs(const struct body *b)
{
    static const char *const names[3] = {"Y", "Y_h", "Y_c"};
    name_text first, second;
    for (int i = 0; i < (b->variant->is_lstm ? 3 : 2); i++) {
        snprintf(first, NAME_BYTES, "%s_0", names[i]);
        snprintf(second, NAME_BYTES, "%s_1", names[i]);
        if (b->variant->direction == APX_QUANTIZED_BIDIRECTIONAL)
            concat(b, first, second, names[i], i == 0 ? 1 : 0);
        else
            op1(b, "Identity", first, names[i]);
    }
}

const char *apx_quantized_name(const struct apx_quantized_variant *variant, char name[96])
{
    static const char *const directions[] = {"forward", "reverse", "bidirectional"};
    char levels[16] = "";
    if (variant->opset < OPSET_REFERENCE)
        snprintf(levels, sizeof levels, "_%d", variant->levels);
    snprintf(name, 96, "%s_%s%s%s%s%s%s%s", variant->is_lstm ? "QuantizedLSTM" : "QuantizedGRU",
             directions[variant->direction],
             variant->is_lstm       ? ""
             : variant->reset_after ? "_after"
                                    : "_before",
             variant->quantises_x ? "_x8" : "", variant->has_lengths ? "_lens" : "",
             variant->has_h0 ? "_h0" : "", variant->is_lstm && variant->has_c0 ? "_c0" : "",
             levels);
    return name;
}

void apx_quantized_body(struct apx_onnx *onnx, const struct apx_quantized_variant *variant)
{
    static const char *const inputs[9] = {
        "X", "W", "W_scale", "R", "R_scale", "B", "sequence_lens", "initial_h", "initial_c"};
    static const char *const outputs[3] = {"Y", "Y_h", "Y_c"};
    static const char *const attributes[5] = {"hidden_size", "direction", "hidden_levels",
                                              "input_scale", "linear_before_reset"};
    char name[96];
    struct body body = {.onnx = onnx, .variant = variant};
    apx_onnx_function_begin(onnx, "auspex", apx_quantized_name(variant, name), variant->opset,
                            inputs, variant->is_lstm ? 9 : 8, outputs, variant->is_lstm ? 3 : 2,
                            attributes, variant->is_lstm ? 4 : 5);
    add_constants(&body);
    if (variant->quantises_x)
        quantise_input(&body);
    add_direction(&body, variant->direction == APX_QUANTIZED_REVERSE);
    body.direction = 1;
    if (variant->direction == APX_QUANTIZED_BIDIRECTIONAL)
        add_direction(&body, true);
    add_outputs(&body);
    apx_onnx_end(onnx);
}

const char *apx_quantized_linear_name(bool has_bias)
{
    return has_bias ? "QuantizedLinear_bias" : "QuantizedLinear";
}

void apx_quantized_linear_body(struct apx_onnx *onnx, int64_t opset, bool has_bias)
{
    static const char *const inputs[4] = {"X", "W", "W_scale", "B"}, *const outputs[1] = {"Y"};
    static const char *const attributes[2] = {"levels", "input_scale"};
    static const int64_t perm[2] = {1, 0};
    const struct apx_quantized_variant variant = {.opset = opset};
    const struct body body = {.onnx = onnx, .variant = &variant};
    apx_onnx_function_begin(onnx, "auspex", apx_quantized_linear_name(has_bias), opset, inputs,
                            has_bias ? 4 : 3, outputs, 1, attributes, 2);
    add_levels(&body, "levels");
    quantise_input(&body);
    cast(&body, "W", APX_F32, "w_rows");
    op1(&body, "Transpose", "w_rows", "w");
    apx_onnx_ints(onnx, "perm", perm, 2);
    op2(&body, "MatMul", "X_int", "w", "sums");
    op2(&body, "Mul", "W_scale", "x_scale", "scale");
    op2(&body, "Mul", "sums", "scale", has_bias ? "product" : "Y");
    if (has_bias)
        op2(&body, "Add", "B", "product", "Y");
    apx_onnx_end(onnx);
}
