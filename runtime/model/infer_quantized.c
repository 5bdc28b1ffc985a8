/* SPDX-License-Identifier: Apache-2.0 */
/* infer_quantized.c - layers with int8 weights: inputs of the right types and extents.
 *
 * The operators are LSTM, GRU and Gemm but for their weights (docs/quantize.md); whatever they do
 * not define is refused here rather than left unread. */
#include "runtime/base/fail.h"
#include "runtime/model/infer.h"

#include <math.h>
#include <string.h>

enum { X, W, W_SCALE, R, R_SCALE, B, LENGTHS, H0, C0 };

static enum apx_status need_type(const struct apx_node *node, const struct apx_value *value,
                                 const char *what, enum apx_dtype dtype, struct apx_error *error)
{
    if (value != NULL && value->dtype != dtype)
        return apx_fail(error, APX_EFORMAT, node->name, "%s of %s instead of %s", what,
                        apx_dtype_name(value->dtype), apx_dtype_name(dtype));
    return APX_OK;
}

/* "hidden_levels" or "levels". */
static enum apx_status check_levels(const struct apx_node *node, const char *name,
                                    struct apx_error *error)
{
    int64_t levels = apx_node_int(node, name, 0);
    if (levels != 63 && levels != 127)
        return apx_fail(error, APX_EFORMAT, node->name, "%s %lld: must be 63 or 127", name,
                        (long long)levels);
    return APX_OK;
}

static bool is_scale(float scale)
{
    return scale > 0 && isfinite(scale) && isfinite(1 / scale);
}

static enum apx_status check_attributes(const struct apx_node *node, struct apx_error *error)
{
    static const char *const undefined[] = {"activations", "activation_alpha", "activation_beta",
                                            "clip", "input_forget"};
    for (size_t i = 0; i < sizeof undefined / sizeof undefined[0]; i++)
        if (apx_node_attr(node, undefined[i]) != NULL)
            return apx_fail(error, APX_EUNSUPPORTED, node->name, "%s has no attribute %s",
                            apx_op_info(node->op)->name, undefined[i]);
    if (apx_node_int(node, "layout", 0) != 0)
        return apx_fail(error, APX_EUNSUPPORTED, node->name, "%s with layout %lld; it has layout 0",
                        apx_op_info(node->op)->name, (long long)apx_node_int(node, "layout", 0));
    enum apx_status status = check_levels(node, "hidden_levels", error);
    if (status != APX_OK)
        return status;
    float scale = apx_node_float(node, "input_scale", 0);
    if (scale != 0 && !is_scale(scale))
        return apx_fail(error, APX_EFORMAT, node->name,
                        "input_scale %g: must be 0, or positive and finite with its reciprocal",
                        (double)scale);
    const char *direction = apx_node_string(node, "direction", "forward");
    if (strcmp(direction, "forward") != 0 && strcmp(direction, "reverse") != 0 &&
        strcmp(direction, "bidirectional") != 0)
        return apx_fail(error, APX_EFORMAT, node->name,
                        "direction \"%s\": must be forward, reverse or bidirectional", direction);
    int64_t reset = apx_node_int(node, "linear_before_reset", 0);
    if (node->op == APX_OP_QUANTIZED_GRU && reset != 0 && reset != 1)
        return apx_fail(error, APX_EFORMAT, node->name, "linear_before_reset %lld: must be 0 or 1",
                        (long long)reset);
    return APX_OK;
}

static enum apx_status check_types(const struct apx_graph *graph, const struct apx_node *node,
                                   struct apx_error *error)
{
    bool quantises_x = apx_node_float(node, "input_scale", 0) > 0;
    const struct {
        int input;
        const char *name;
        enum apx_dtype dtype;
        bool required;
    } wanted[] = {
        {X, "X", APX_F32, true},
        {W, "W", quantises_x ? APX_I8 : APX_F32, true},
        {W_SCALE, "W_scale", APX_F32, quantises_x},
        {R, "R", APX_I8, true},
        {R_SCALE, "R_scale", APX_F32, true},
        {B, "B", APX_F32, false},
        {LENGTHS, "sequence_lens", APX_I32, false},
        {H0, "initial_h", APX_F32, false},
        {C0, "initial_c", APX_F32, false},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const struct apx_value *value = apx_node_in(graph, node, wanted[i].input);
        if (value == NULL && wanted[i].required)
            return apx_fail(error, APX_EFORMAT, node->name, "input %s is left out", wanted[i].name);
        enum apx_status status = need_type(node, value, wanted[i].name, wanted[i].dtype, error);
        if (status != APX_OK)
            return status;
    }
    return APX_OK;
}

static enum apx_status quantized(struct apx_graph *graph, struct apx_node *node, int gates,
                                 struct apx_error *error)
{
    enum apx_status status = check_attributes(node, error);
    if (status == APX_OK)
        status = check_types(graph, node, error);
    const struct apx_value *x = apx_node_in(graph, node, X), *w = apx_node_in(graph, node, W);
    const struct apx_value *r = apx_node_in(graph, node, R);
    if (status != APX_OK || (status = apx_infer_need_rank(node, x, "X", 3, error)) != APX_OK ||
        (status = apx_infer_need_rank(node, w, "W", 3, error)) != APX_OK ||
        (status = apx_infer_need_rank(node, r, "R", 3, error)) != APX_OK)
        return status;
    int64_t hidden;
    if (!apx_dim_is_constant(&r->dims[2], &hidden) || hidden < 1 ||
        apx_node_int(node, "hidden_size", hidden) != hidden)
        return apx_fail(error, APX_EFORMAT, node->name, "hidden_size does not fit R");
    const char *direction = apx_node_string(node, "direction", "forward");
    const struct apx_dim D = apx_dim_constant(strcmp(direction, "bidirectional") == 0 ? 2 : 1);
    const struct apx_dim H = apx_dim_constant(hidden), GH = apx_dim_constant(gates * hidden);
    const struct apx_dim GH2 = apx_dim_constant(2 * gates * hidden);
    const struct apx_dim T = x->dims[0], N = x->dims[1], I = x->dims[2];
    const struct apx_dim state[3] = {D, N, H}, y[4] = {T, D, N, H};
    const struct {
        int input;
        const char *name;
        int rank;
        struct apx_dim dims[3];
    } wanted[] = {
        {W, "W", 3, {D, GH, I}},         {W_SCALE, "W_scale", 2, {D, GH}},
        {R, "R", 3, {D, GH, H}},         {R_SCALE, "R_scale", 2, {D, GH}},
        {B, "B", 2, {D, GH2}},           {LENGTHS, "sequence_lens", 1, {N}},
        {H0, "initial_h", 3, {D, N, H}}, {C0, "initial_c", 3, {D, N, H}},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && status == APX_OK; i++)
        status = apx_infer_need_dims(graph, node, wanted[i].input, wanted[i].name, wanted[i].rank,
                                     wanted[i].dims, error);
    if (status == APX_OK)
        status = apx_infer_set(graph, node, 0, APX_F32, 4, y, error);
    for (int i = 1; i < node->out_count && status == APX_OK; i++)
        status = apx_infer_set(graph, node, i, APX_F32, 3, state, error);
    return status;
}

enum apx_status apx_infer_quantized_lstm(struct apx_graph *graph, struct apx_node *node,
                                         struct apx_error *error)
{
    return quantized(graph, node, 4, error);
}

enum apx_status apx_infer_quantized_gru(struct apx_graph *graph, struct apx_node *node,
                                        struct apx_error *error)
{
    return quantized(graph, node, 3, error);
}

/* X [.., K], W [O, K], W_scale [O], B [O]: y [.., O]. */
enum apx_status apx_infer_quantized_linear(struct apx_graph *graph, struct apx_node *node,
                                           struct apx_error *error)
{
    enum { BIAS = 3 };
    const struct apx_value *x = apx_node_in(graph, node, X), *w = apx_node_in(graph, node, W);
    const struct apx_value *scale = apx_node_in(graph, node, W_SCALE);
    const struct apx_value *bias = apx_node_in(graph, node, BIAS);
    const float input_scale = apx_node_float(node, "input_scale", 0);
    enum apx_status status = check_levels(node, "levels", error);
    if (status == APX_OK && !is_scale(input_scale))
        status = apx_fail(error, APX_EFORMAT, node->name,
                          "input_scale %g: must be positive and finite with its reciprocal",
                          (double)input_scale);
    if (status != APX_OK || (status = need_type(node, x, "X", APX_F32, error)) != APX_OK ||
        (status = need_type(node, w, "W", APX_I8, error)) != APX_OK ||
        (status = need_type(node, scale, "W_scale", APX_F32, error)) != APX_OK ||
        (status = need_type(node, bias, "B", APX_F32, error)) != APX_OK ||
        (status = apx_infer_need_rank(node, w, "W", 2, error)) != APX_OK)
        return status;
    if (x->rank < 2)
        return apx_fail(error, APX_EFORMAT, node->name, "X has %d axes; it needs 2 or more",
                        x->rank);
    struct apx_dim out[APX_MAX_RANK];
    memcpy(out, x->dims, (size_t)x->rank * sizeof *out);
    out[x->rank - 1] = w->dims[0];
    const struct apx_dim W_dims[2] = {w->dims[0], x->dims[x->rank - 1]};
    if ((status = apx_infer_need_dims(graph, node, W, "W", 2, W_dims, error)) != APX_OK ||
        (status = apx_infer_need_dims(graph, node, W_SCALE, "W_scale", 1, out + x->rank - 1,
                                      error)) != APX_OK ||
        (status = apx_infer_need_dims(graph, node, BIAS, "B", 1, out + x->rank - 1, error)) !=
            APX_OK)
        return status;
    return apx_infer_set(graph, node, 0, APX_F32, x->rank, out, error);
}
