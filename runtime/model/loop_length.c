/* SPDX-License-Identifier: Apache-2.0 */
/* loop_length.c - numbers that are known when the file is read, and how often a loop runs.
 *
 * Counters and conditions are scalar arithmetic on constants, left in the file by exporters that
 * translate "while" literally. Only whole numbers are followed: their arithmetic is the same in
 * every type that holds them, so that nothing here depends on rounding. */
#include "runtime/model/onnx_loop.h"

#include <math.h>

#define MAX_CASTS  4  /* casts in a row between a number and its use */
#define MAX_VISITS 64 /* nodes of an expression, shared ones each time: conditions have 10 */
#define MAX_WHOLE  16777216.0 /* every whole number up to it is a float */

const struct apx_node *apx_loop_maker(const struct apx_graph *graph, int v)
{
    /* Producers are set as nodes are read, and are exact once the graph is sorted: a node that took
     * another form since then may have given the value up. */
    if (v < 0 || graph->values[v].producer < 0 || graph->values[v].producer >= graph->node_count)
        return NULL;
    const struct apx_node *node = &graph->nodes[graph->values[v].producer];
    for (int i = 0; i < node->out_count; i++)
        if (node->out[i] == v)
            return node;
    return NULL;
}

static bool constant(const struct apx_value *value, struct apx_loop_number *out)
{
    if (value->data == NULL || value->bytes != apx_dtype_size(value->dtype))
        return false;
    switch (value->dtype) {
    case APX_F32:
        out->value = *(const float *)value->data;
        break;
    case APX_I32:
        out->value = *(const int32_t *)value->data;
        break;
    case APX_I64:
        out->value = (double)*(const int64_t *)value->data;
        break;
    case APX_BOOL:
        out->value = *(const uint8_t *)value->data != 0;
        break;
    default:
        return false;
    }
    out->dtype = value->dtype;
    out->rank = value->rank;
    return true;
}

static bool is_whole(double value)
{
    return fabs(value) <= MAX_WHOLE && floor(value) == value;
}

static bool cast(const struct apx_node *node, struct apx_loop_number *out)
{
    enum apx_dtype to = apx_onnx_dtype((int32_t)apx_node_int(node, "to", 0));
    if (to != APX_BOOL && to != APX_F32 && to != APX_I32 && to != APX_I64)
        return false;
    if (to == APX_BOOL)
        out->value = out->value != 0.0;
    else if (!is_whole(out->value))
        return false;
    out->dtype = to;
    return true;
}

static bool combine(enum apx_op op, double a, double b, struct apx_loop_number *out)
{
    bool is_truth = true;
    switch (op) {
    case APX_OP_LESS:
        out->value = a < b;
        break;
    case APX_OP_LESS_OR_EQUAL:
        out->value = a <= b;
        break;
    case APX_OP_GREATER:
        out->value = a > b;
        break;
    case APX_OP_GREATER_OR_EQUAL:
        out->value = a >= b;
        break;
    case APX_OP_EQUAL:
        out->value = a == b;
        break;
    case APX_OP_AND:
        out->value = a != 0.0 && b != 0.0;
        break;
    case APX_OP_OR:
        out->value = a != 0.0 || b != 0.0;
        break;
    default:
        is_truth = false;
        break;
    }
    if (is_truth) {
        out->dtype = APX_BOOL;
        return true;
    }
    if (!is_whole(a) || !is_whole(b))
        return false;
    if (op == APX_OP_ADD)
        out->value = a + b;
    else if (op == APX_OP_SUB)
        out->value = a - b;
    else if (op == APX_OP_MUL)
        out->value = a * b;
    else
        return false;
    return is_whole(out->value);
}

static bool number(const struct apx_graph *graph, int v, int *visits, struct apx_loop_number *out)
{
    if (v < 0 || (*visits)++ == MAX_VISITS)
        return false;
    if (constant(&graph->values[v], out))
        return true;
    const struct apx_node *node = apx_loop_maker(graph, v);
    struct apx_loop_number second;
    if (node == NULL || node->in_count < 1 || !number(graph, node->in[0], visits, out))
        return false;
    switch (node->op) {
    case APX_OP_IDENTITY:
        return true;
    case APX_OP_CAST:
        return cast(node, out);
    case APX_OP_NOT:
        out->value = out->value == 0.0;
        return true;
    case APX_OP_SQUEEZE: /* of one element: whatever the axes, it stays one */
    case APX_OP_UNSQUEEZE:
        out->rank = -1;
        return true;
    default:
        if (node->in_count != 2 || !number(graph, node->in[1], visits, &second))
            return false;
        out->rank = out->rank < 0 || second.rank < 0 ? -1
                    : out->rank > second.rank        ? out->rank
                                                     : second.rank;
        return combine(node->op, out->value, second.value, out);
    }
}

bool apx_loop_number(const struct apx_graph *graph, int v, struct apx_loop_number *out)
{
    int visits = 0;
    return number(graph, v, &visits, out);
}

static bool known(const struct apx_graph *graph, int v, double *out)
{
    struct apx_loop_number found;
    if (!apx_loop_number(graph, v, &found))
        return false;
    *out = found.value;
    return true;
}

/* What `v` is a cast or a copy of. */
static int uncast(const struct apx_graph *graph, int v)
{
    for (int hop = 0; hop < MAX_CASTS; hop++) {
        const struct apx_node *node = apx_loop_maker(graph, v);
        if (node == NULL || (node->op != APX_OP_CAST && node->op != APX_OP_IDENTITY))
            break;
        v = node->in[0];
    }
    return v;
}

/* Whether `bound` is the trip count, or a constant that is at least it plus `slack`. */
static bool covers_trip(const struct apx_loop *loop, int bound, int slack)
{
    const struct apx_graph *graph = loop->reader->graph;
    int trip = uncast(graph, loop->inputs[0]);
    double limit, steps;
    bound = uncast(graph, bound);
    if (bound == trip)
        return true;
    return known(graph, bound, &limit) && known(graph, trip, &steps) && limit >= steps + slack;
}

/* Whether `v` counts the steps done before this one, plus *ahead. */
static bool is_count(const struct apx_loop *loop, int v, int *ahead)
{
    const struct apx_graph *graph = loop->reader->graph;
    const struct apx_loop_step *step = &loop->step;
    v = uncast(graph, v);
    const struct apx_node *sum = apx_loop_maker(graph, v);
    double one;
    *ahead = 0;
    for (int i = 0; sum != NULL && sum->op == APX_OP_ADD && i < 2; i++)
        if (known(graph, sum->in[i], &one) && one == 1.0) {
            v = uncast(graph, sum->in[1 - i]);
            *ahead = 1;
            break;
        }
    return v == step->index || (v == step->counter && step->counter >= 0);
}

/* The condition after a step holds as long as steps are left. */
static bool goes_on(const struct apx_loop *loop, int v, int depth)
{
    const struct apx_graph *graph = loop->reader->graph;
    double value;
    int ahead;
    v = uncast(graph, v);
    if (v == loop->before[0] || (known(graph, v, &value) && value != 0.0))
        return true;
    const struct apx_node *node = apx_loop_maker(graph, v);
    if (node == NULL || node->in_count != 2 || depth == MAX_CASTS)
        return false;
    if (node->op == APX_OP_AND)
        return goes_on(loop, node->in[0], depth + 1) && goes_on(loop, node->in[1], depth + 1);
    return node->op == APX_OP_LESS && is_count(loop, node->in[0], &ahead) &&
           covers_trip(loop, node->in[1], ahead - 1);
}

/* The condition before the first step holds if there is a step. */
static bool starts(const struct apx_loop *loop, int v, int depth)
{
    const struct apx_graph *graph = loop->reader->graph;
    double value;
    v = uncast(graph, v);
    if (v < 0 || (known(graph, v, &value) && value != 0.0))
        return true;
    const struct apx_node *node = apx_loop_maker(graph, v);
    if (node == NULL || node->in_count != 2 || depth == MAX_CASTS)
        return false;
    if (node->op == APX_OP_AND)
        return starts(loop, node->in[0], depth + 1) && starts(loop, node->in[1], depth + 1);
    int trip = uncast(graph, loop->inputs[0]), bound = uncast(graph, node->in[1]);
    return node->op == APX_OP_LESS && known(graph, node->in[0], &value) && value == 0.0 &&
           (bound == trip || (known(graph, bound, &value) && value > 0.0));
}

bool apx_loop_runs_to_end(const struct apx_loop *loop)
{
    return starts(loop, loop->inputs[1], 0) && goes_on(loop, loop->after[0], 0);
}
