/* SPDX-License-Identifier: Apache-2.0 */
/* loop_terms.c - what a gate of a recurrent cell sums up, and its activation.
 *
 * Exporters write the products of all gates side by side and cut columns out with Split or Slice,
 * before or after adding, in any order. So a gate is followed backwards as a window of columns:
 * through Add, Split and Slice, down to products with constant matrices and to constant vectors,
 * whose columns under the window are the gate's weights. Weights must be constants, so that they
 * can be read at once; whatever does not fit ends the match. */
#include "runtime/model/onnx_loop.h"

#include <math.h>
#include <string.h>

#define MAX_TERMS_DEPTH 12 /* Add, Split and Slice above each other: cells have 5 */

int apx_loop_origin(const struct apx_loop_step *step, int v)
{
    /* A chain of copies is no longer than the body; a damaged file may make it a circle. */
    for (int hop = 0; hop < step->node_count; hop++) {
        const struct apx_node *node = apx_loop_maker(step->graph, v);
        if (node == NULL || node->op != APX_OP_IDENTITY)
            break;
        v = node->in[0];
    }
    return v;
}

bool apx_loop_same(const struct apx_loop_step *step, int a, int b)
{
    return apx_loop_origin(step, a) == apx_loop_origin(step, b);
}

/* The step's node that makes `v`, copies skipped; NULL: none, or it stands outside. */
static const struct apx_node *maker(const struct apx_loop_step *step, int v)
{
    const struct apx_node *node = apx_loop_maker(step->graph, apx_loop_origin(step, v));
    if (node == NULL || node < step->graph->nodes + step->first_node ||
        node >= step->graph->nodes + step->first_node + step->node_count)
        return NULL;
    return node;
}

const struct apx_node *apx_loop_made_by(const struct apx_loop_step *step, int v, enum apx_op op,
                                        int in_count)
{
    const struct apx_node *node = maker(step, v);
    if (node == NULL || node->op != op || node->in_count != in_count)
        return NULL;
    for (int i = 0; i < in_count; i++)
        if (node->in[i] < 0)
            return NULL;
    return node;
}

/* A float constant, or NULL. */
static const struct apx_value *constant(const struct apx_loop_step *step, int v)
{
    const struct apx_value *value = v < 0 ? NULL : &step->graph->values[apx_loop_origin(step, v)];
    return value != NULL && value->data != NULL && value->dtype == APX_F32 ? value : NULL;
}

bool apx_loop_float(const struct apx_loop_step *step, int v, float *out)
{
    const struct apx_value *value = constant(step, v);
    if (value == NULL || value->bytes != sizeof *out)
        return false;
    *out = *(const float *)value->data;
    return true;
}

/* The elements of a constant integer vector; -1: it is none, or has more than `limit`. */
static int integers(const struct apx_loop_step *step, int v, int limit, int64_t *out)
{
    const struct apx_value *value = v < 0 ? NULL : &step->graph->values[apx_loop_origin(step, v)];
    if (value == NULL || value->data == NULL || value->rank > 1)
        return -1;
    size_t size = apx_dtype_size(value->dtype);
    size_t count = size > 0 ? value->bytes / size : 0;
    if (count > (size_t)limit || (value->dtype != APX_I64 && value->dtype != APX_I32))
        return -1;
    for (size_t i = 0; i < count; i++)
        out[i] = value->dtype == APX_I64 ? ((const int64_t *)value->data)[i]
                                         : ((const int32_t *)value->data)[i];
    return (int)count;
}

/* ---- windows of columns */

#define UNKNOWN_WIDTH (-1)

/* `hidden` columns from `from` on of a value of `width` columns. */
struct window {
    int v;
    int64_t from, width;
};

/* The window seen through a Split into columns. */
static bool through_split(const struct apx_loop_step *step, const struct apx_node *split,
                          struct window *window)
{
    int64_t sizes[APX_LIMIT_NODE_INPUTS], width = window->width, before = 0, all = 0;
    int64_t axis = apx_node_int(split, "axis", 0);
    int part = 0, v = apx_loop_origin(step, window->v);
    while (part < split->out_count && split->out[part] != v)
        part++;
    if ((axis != 1 && axis != -1) || part == split->out_count)
        return false;
    bool is_given = split->in_count > 1 && split->in[1] >= 0;
    if (is_given && integers(step, split->in[1], APX_LIMIT_NODE_INPUTS, sizes) != split->out_count)
        return false;
    if (!is_given && width == UNKNOWN_WIDTH)
        return false;
    for (int i = 0; i < split->out_count; i++) {
        int64_t size = is_given ? sizes[i] : width;
        if (size < 0 || size > APX_LIMIT_LOOP_HIDDEN)
            return false;
        before += i < part ? size : 0;
        all += size;
        if (i == part && width != UNKNOWN_WIDTH && size != width)
            return false;
    }
    *window = (struct window){.v = split->in[0], .from = window->from + before, .width = all};
    return true;
}

/* The window seen through a Slice of columns. */
static bool through_slice(const struct apx_loop_step *step, const struct apx_node *slice,
                          int64_t hidden, struct window *window)
{
    int64_t starts[2], ends[2], axes[2], steps[2] = {1, 1};
    int count = slice->in_count < 4 ? -1 : integers(step, slice->in[3], 2, axes);
    if (count < 0 || integers(step, slice->in[1], 2, starts) != count ||
        integers(step, slice->in[2], 2, ends) != count ||
        (slice->in_count > 4 && slice->in[4] >= 0 &&
         integers(step, slice->in[4], 2, steps) != count))
        return false;
    int64_t from = 0, to = INT64_MAX;
    for (int i = 0; i < count; i++) {
        if (steps[i] != 1 || starts[i] < 0 || starts[i] > ends[i])
            return false;
        if (axes[i] == 1 || axes[i] == -1) {
            from = starts[i];
            to = ends[i];
        } else if (starts[i] != 0 || ends[i] < INT32_MAX) {
            return false; /* rows are cut */
        }
    }
    if (from > APX_LIMIT_LOOP_HIDDEN || window->from > APX_LIMIT_LOOP_HIDDEN)
        return false;
    int64_t width = window->width, most = to - from; /* columns, unless the source has fewer */
    if (most < window->from + hidden || (width != UNKNOWN_WIDTH && most < width))
        return false;
    /* A slice that could give more columns than there are was cut by the source's end. */
    *window = (struct window){.v = slice->in[0],
                              .from = window->from + from,
                              .width = width != UNKNOWN_WIDTH && most > width ? from + width
                                                                              : UNKNOWN_WIDTH};
    return true;
}

/* The constant matrix [rows,width] that the window of `v` lies in. */
static const struct apx_value *find_matrix(const struct apx_loop_step *step, int64_t hidden,
                                           struct window *window, int64_t *rows, int64_t *width)
{
    const struct apx_node *node = maker(step, window->v);
    if (node != NULL && node->op == APX_OP_SPLIT && !through_split(step, node, window))
        return NULL;
    if (node != NULL && node->op == APX_OP_SLICE && !through_slice(step, node, hidden, window))
        return NULL;
    const struct apx_value *value = constant(step, window->v);
    if (value == NULL || value->rank != 2 || !apx_dim_is_constant(&value->dims[0], rows) ||
        !apx_dim_is_constant(&value->dims[1], width) ||
        (window->width != UNKNOWN_WIDTH && window->width != *width) ||
        window->from + hidden > *width)
        return NULL;
    return value;
}

/* A constant vector of *count floats: itself, or a row of a constant matrix that Split or Gather
 * cut out (and Squeeze made a vector). */
static const float *find_vector(const struct apx_loop_step *step, int v, int64_t *count)
{
    const struct apx_value *value = constant(step, v);
    int64_t row = 0, rows = 1;
    if (value == NULL) {
        const struct apx_node *node = apx_loop_made_by(step, v, APX_OP_SQUEEZE, 2);
        if (node != NULL)
            v = node->in[0];
        node = maker(step, v);
        if (node == NULL || node->in_count < 1 || (value = constant(step, node->in[0])) == NULL ||
            value->rank != 2 || !apx_dim_is_constant(&value->dims[0], &rows) ||
            apx_node_int(node, "axis", 0) != 0)
            return NULL;
        if (node->op == APX_OP_SPLIT && node->out_count == rows) {
            v = apx_loop_origin(step, v);
            while (row < rows && node->out[row] != v)
                row++;
        } else if (node->op != APX_OP_GATHER || node->in_count != 2 ||
                   integers(step, node->in[1], 1, &row) != 1) {
            return NULL;
        }
        if (row < 0 || row >= rows)
            return NULL;
    } else if (value->rank == 2) { /* [1,count] */
        if (!apx_dim_is_constant(&value->dims[0], &rows) || rows != 1)
            return NULL;
    } else if (value->rank != 1) {
        return NULL;
    }
    *count = (int64_t)(value->bytes / sizeof(float)) / (rows > 0 ? rows : 1);
    return (const float *)value->data + row * *count;
}

/* ---- terms */

/* The step's input: row t of a sequence from outside of the loop. */
static bool find_sequence(const struct apx_loop_step *step, int input, int *sequence)
{
    const struct apx_node *gather = apx_loop_made_by(step, input, APX_OP_GATHER, 2);
    if (gather == NULL || apx_node_int(gather, "axis", 0) != 0)
        return false;
    int at = apx_loop_origin(step, gather->in[1]);
    *sequence = apx_loop_origin(step, gather->in[0]);
    const struct apx_node *source = apx_loop_maker(step->graph, *sequence);
    /* Placeholders have no type yet; what a file makes behind the loop has none either. */
    bool is_outside = source != NULL ? source < step->graph->nodes + step->first_node
                                     : step->graph->values[*sequence].dtype != APX_DTYPE_NONE;
    return (at == step->index || (at == step->counter && step->counter >= 0)) && is_outside;
}

static bool add_product(struct apx_loop_sum *sum, const struct apx_node *product,
                        struct window window)
{
    const struct apx_loop_step *step = sum->step;
    struct apx_loop_cell *cell = sum->cell;
    struct apx_loop_gate *gate = sum->gate;
    int64_t rows, width;
    int input = apx_loop_origin(step, product->in[0]), sequence;
    window.v = product->in[1];
    const struct apx_value *matrix = find_matrix(step, cell->hidden, &window, &rows, &width);
    if (matrix == NULL || rows < 1 || rows > APX_LIMIT_LOOP_HIDDEN || width > APX_LIMIT_LOOP_HIDDEN)
        return false;
    if (find_sequence(step, input, &sequence)) {
        if (!sum->takes_kernel || gate->kernel != NULL ||
            (cell->sequence >= 0 && cell->sequence != sequence) ||
            (cell->inputs > 0 && cell->inputs != rows))
            return false;
        cell->sequence = sequence;
        cell->inputs = rows;
        gate->kernel = matrix->data;
        gate->kernel_column = window.from;
        gate->kernel_stride = width;
        return true;
    }
    if (sum->state < 0)
        sum->state = input;
    if (gate->recurrent != NULL || rows != cell->hidden || input != sum->state)
        return false;
    gate->recurrent = matrix->data;
    gate->recurrent_column = window.from;
    gate->recurrent_stride = width;
    return true;
}

static bool add_bias(struct apx_loop_sum *sum, const struct window *window)
{
    int64_t count;
    float number;
    if (sum->takes_kernel && apx_loop_float(sum->step, window->v, &number)) {
        sum->gate->bias += number;
        return true;
    }
    const float *bias = find_vector(sum->step, window->v, &count);
    if (bias == NULL || (window->width != UNKNOWN_WIDTH && window->width != count) ||
        window->from + sum->cell->hidden > count)
        return false;
    const float **place = sum->takes_kernel && sum->gate->kernel_bias == NULL
                              ? &sum->gate->kernel_bias
                              : &sum->gate->recurrent_bias;
    if (*place != NULL)
        return false;
    *place = bias + window->from;
    return true;
}

static bool add_terms(struct apx_loop_sum *sum, struct window window, int depth)
{
    const struct apx_loop_step *step = sum->step;
    const struct apx_node *node = maker(step, window.v);
    if (depth == MAX_TERMS_DEPTH)
        return false;
    if (node == NULL)
        return add_bias(sum, &window);
    struct window inner = window;
    switch (node->op) {
    case APX_OP_ADD:
        for (int i = 0; i < 2; i++) {
            inner.v = node->in[i];
            if (!add_terms(sum, inner, depth + 1))
                return false;
        }
        return true;
    case APX_OP_MATMUL:
        return add_product(sum, node, window);
    case APX_OP_SLICE:
        return through_slice(step, node, sum->cell->hidden, &inner) &&
               add_terms(sum, inner, depth + 1);
    case APX_OP_SPLIT:
        if (apx_node_int(node, "axis", 0) == 0)
            return add_bias(sum, &window);
        return through_split(step, node, &inner) && add_terms(sum, inner, depth + 1);
    case APX_OP_MUL:
        if (!sum->takes_product || sum->product >= 0 || window.from != 0 ||
            window.width != sum->cell->hidden)
            return false;
        sum->product = window.v;
        return true;
    default:
        return add_bias(sum, &window);
    }
}

bool apx_loop_add_terms(struct apx_loop_sum *sum, int v)
{
    return add_terms(sum, (struct window){.v = v, .width = sum->cell->hidden}, 0);
}

/* ---- activations */

static const struct {
    enum apx_op op;
    int takes;
    float alpha, beta; /* when the node does not say */
} known[] = {
    {APX_OP_SIGMOID, 0, 0, 0},
    {APX_OP_TANH, 0, 0, 0},
    {APX_OP_RELU, 0, 0, 0},
    {APX_OP_SOFTSIGN, 0, 0, 0},
    {APX_OP_SOFTPLUS, 0, 0, 0},
    {APX_OP_LEAKY_RELU, 1, 0.01f, 0},
    {APX_OP_ELU, 1, 1.0f, 0},
    {APX_OP_THRESHOLDED_RELU, 1, 1.0f, 0},
    {APX_OP_HARD_SIGMOID, 2, 0.2f, 0.5f},
};

/* One of two inputs is a number: the other is *v. */
static bool take_number(const struct apx_loop_step *step, enum apx_op op, int *v, float *out)
{
    const struct apx_node *node = apx_loop_made_by(step, *v, op, 2);
    for (int i = 0; node != NULL && i < 2; i++)
        if (apx_loop_float(step, node->in[i], out)) {
            *v = node->in[1 - i];
            return true;
        }
    return false;
}

/* clip(x * a + b, 0, top) * m, where it ends at 1: HardSigmoid written in small operators. */
static bool find_hard_sigmoid(const struct apx_loop_step *step, int v,
                              struct apx_loop_activation *out, int *input)
{
    float m = 1.0f, a = 1.0f, b = 0.0f, low, top;
    take_number(step, APX_OP_MUL, &v, &m);
    const struct apx_node *clip = apx_loop_made_by(step, v, APX_OP_CLIP, 3);
    if (clip == NULL || !apx_loop_float(step, clip->in[1], &low) ||
        !apx_loop_float(step, clip->in[2], &top) || low != 0.0f || !(fabsf(top * m - 1.0f) < 1e-6f))
        return false;
    /* An offset alone is left to the gate's sum, where exporters may have moved it already. */
    int offset = clip->in[0], scaled;
    v = offset;
    take_number(step, APX_OP_ADD, &offset, &b);
    scaled = offset;
    if (take_number(step, APX_OP_MUL, &scaled, &a))
        v = scaled;
    else
        b = 0.0f;
    *out = (struct apx_loop_activation){
        .name = "HardSigmoid", .alpha = a * m, .beta = b * m, .takes = 2};
    *input = v;
    return true;
}

static bool find_activation(const struct apx_loop_step *step, int v,
                            struct apx_loop_activation *out, int *input)
{
    const struct apx_node *node = maker(step, v);
    for (size_t i = 0; node != NULL && i < sizeof known / sizeof known[0]; i++)
        if (node->op == known[i].op && node->in_count == 1) {
            *out =
                (struct apx_loop_activation){.name = apx_op_info(node->op)->name,
                                             .alpha = apx_node_float(node, "alpha", known[i].alpha),
                                             .beta = apx_node_float(node, "beta", known[i].beta),
                                             .takes = known[i].takes};
            *input = node->in[0];
            return true;
        }
    return find_hard_sigmoid(step, v, out, input);
}

bool apx_loop_activation(const struct apx_loop_step *step, int v, bool allows_linear,
                         struct apx_loop_activation *out, int *input)
{
    struct apx_loop_activation found;
    if (!find_activation(step, v, &found, input)) {
        if (!allows_linear)
            return false;
        found = (struct apx_loop_activation){.name = "Affine", .alpha = 1.0f, .takes = 2};
        *input = v;
    }
    if (out->name != NULL && (strcmp(out->name, found.name) != 0 || out->alpha != found.alpha ||
                              out->beta != found.beta))
        return false;
    *out = found;
    return true;
}
