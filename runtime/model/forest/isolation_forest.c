/* SPDX-License-Identifier: Apache-2.0 */
/* isolation_forest.c - the score of scikit-learn's IsolationForest.
 *
 * Behind the sum s of path lengths stands -2^-(s / c), c being the number of trees times the mean
 * path length, and then the subtraction of an offset: sum, Div, Neg, Pow, Neg, Add. The forest
 * takes all of it as its link, in double. */
#include "runtime/model/forest/leaf_algebra.h"

/* The node that reads v alone, if it is `op`. */
static int follow(const struct apx_graph *graph, int v, enum apx_op op)
{
    int n = apx_tree_sum_reader(graph, v);
    return n >= 0 && graph->nodes[n].op == op ? n : -1;
}

/* The next node of two inputs of which the other, at place `constant`, is a number. */
static int follow_binary(const struct apx_graph *graph, int v, enum apx_op op, int constant,
                         double *number)
{
    int n = follow(graph, v, op);
    if (n < 0 || graph->nodes[n].in_count != 2 || graph->nodes[n].in[1 - constant] != v)
        return -1;
    return apx_leaf_constant(graph, graph->nodes[n].in[constant], number) ? n : -1;
}

static int out_of(const struct apx_graph *graph, int node)
{
    return graph->nodes[node].out[0];
}

void apx_isolation_forest_find(struct apx_graph *graph, int sum)
{
    double divisor = 0, two = 0, offset = 0;
    int n = follow_binary(graph, out_of(graph, sum), APX_OP_DIV, 1, &divisor);
    if (n >= 0)
        n = follow(graph, out_of(graph, n), APX_OP_NEG);
    if (n >= 0)
        n = follow_binary(graph, out_of(graph, n), APX_OP_POW, 0, &two);
    if (n >= 0)
        n = follow(graph, out_of(graph, n), APX_OP_NEG);
    if (n < 0 || two != 2 || !(divisor > 0))
        return;
    int add = follow_binary(graph, out_of(graph, n), APX_OP_ADD, 1, &offset);
    if (add >= 0)
        n = add;
    apx_tree_sum_move(graph, sum, n);
    struct apx_forest *forest = graph->forests; /* the newest is this sum's */
    forest->source = "scikit-learn IsolationForest, ONNX";
    forest->link = (struct apx_link){.kind = APX_LINK_ANOMALY, .a = 1 / divisor, .b = -offset};
}
