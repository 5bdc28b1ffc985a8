/* SPDX-License-Identifier: Apache-2.0 */
/* forest_problem.c - random forests and rows, biased to where kernels go wrong: equal and adjacent
 * thresholds, the edges of 8 and 16 bit ranks, empty and full sets, trees of one leaf, chains, rows
 * exactly on a threshold and one step beside it. */
#include "tests/kernels/forest_problem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *own(struct forest_problem *p, size_t count, size_t size)
{
    void *memory = kcheck_alloc(count * size);
    memset(memory, 0, count * size > 0 ? count * size : 1);
    p->memory[p->memory_count++] = memory;
    return memory;
}

void forest_problem_free(struct forest_problem *p)
{
    for (size_t i = 0; i < p->memory_count; i++)
        free(p->memory[i]);
    p->memory_count = 0;
}

/* ---- plans ----------------------------------------------------------------------------------- */

static size_t pick(struct rng *rng, const size_t *sizes, size_t count)
{
    return sizes[rng_below(rng, count)];
}
#define PICK(rng, ...)                                                                             \
    pick(rng, (const size_t[]){__VA_ARGS__}, sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))

/* Where narrow types for features, nodes, trees and outputs would end. */
static void plan_wide(struct rng *rng, struct forest_plan *out)
{
    switch (rng_below(rng, 5)) {
    case 0:
        out->features = PICK(rng, 255, 256, 257, 32767, 32768, 65535, 65536, 65537, 70000);
        out->trees = 1 + rng_below(rng, 40);
        out->leaves = PICK(rng, 20, 64, 300);
        break;
    case 1:
        out->leaves = PICK(rng, 16384, 32767, 32768, 32769, 40000);
        out->trees = 1 + rng_below(rng, 3);
        out->shape = FOREST_LEAF_WISE;
        break;
    case 2:
        out->leaves = PICK(rng, 1, 2, 3);
        out->trees = 1000 + rng_below(rng, 3000);
        break;
    case 3:
        out->outputs = PICK(rng, 64, 65, 255, 256, 257, 300);
        out->trees = 1 + rng_below(rng, 300);
        out->leaves = PICK(rng, 8, 31);
        break;
    default: /* a chain deeper than any counter of 8 bits */
        out->leaves = 300 + rng_below(rng, 3000);
        out->trees = 1 + rng_below(rng, 3);
        out->shape = (enum forest_shape)(FOREST_LEFT_CHAIN + rng_below(rng, 3));
    }
    out->exact_leaves = rng_once(rng, 2);
    out->in_turn = false;
    out->linear = out->linear && out->outputs == 1;
    while (out->rows > 3 && out->rows * out->features > 300000)
        out->rows /= 2;
}

void forest_problem_plan(struct rng *rng, struct forest_plan *out)
{
    memset(out, 0, sizeof *out);
    out->features = PICK(rng, 1, 2, 3, 5, 8, 15, 16, 17, 30, 33, 63, 64, 65, 100, 127, 128, 129,
                         255, 256, 257, 300);
    out->shape = (enum forest_shape)rng_below(rng, FOREST_SHAPES);
    out->leaves = PICK(rng, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200,
                       255, 256, 257, 600, 2000);
    out->exact_leaves = rng_once(rng, 2);
    size_t nodes = 20000;
    out->thresholds = PICK(rng, 1, 2, 3, 7, 15, 31, 32, 63, 100, 250, 253, 254, 255, 256, 257, 300,
                           1000, 4000, 100000);
    const bool is_edge = rng_once(rng, 4), is_long_edge = rng_once(rng, 30);
    if (is_edge || is_long_edge) { /* where ranks outgrow 8 and 16 bits, and their tables */
        out->features = 1 + rng_below(rng, is_long_edge ? 2 : 4);
        if (is_long_edge)
            out->thresholds =
                PICK(rng, 4095, 4096, 4097, 32767, 32768, 65533, 65534, 65535, 65536, 65537, 70000);
        else if (rng_once(rng, 2))
            out->thresholds = PICK(rng, 252, 253, 254, 255, 256, 257, 258);
        else
            out->thresholds = PICK(rng, 14, 15, 16, 17, 30, 31, 32, 33, 62, 63, 64, 65, 126, 127,
                                   128, 129, 510, 511, 512, 513, 1023, 1024, 1025);
        out->in_turn = out->exact_leaves = true;
        out->leaves = is_long_edge ? 1000 + rng_below(rng, 1000)
                                   : PICK(rng, 8, 31, 32, 63, 64, 128, 200, 256);
        if (is_long_edge)
            out->shape = rng_once(rng, 2) ? FOREST_BALANCED : FOREST_LEAF_WISE;
        nodes = 5 * out->thresholds * out->features;
    }
    size_t most = nodes / (2 * out->leaves);
    most = most < 1 ? 1 : most > 300 ? 300 : most;
    out->trees = out->in_turn ? most + 1 : rng_size(rng, 1, 8, most);
    if (!out->in_turn && rng_once(rng, 3)) { /* around what goes side by side */
        const size_t trees = PICK(rng, 1, 7, 8, 9, 15, 16, 17, 24, 25, 63, 64, 65, 100);
        out->trees = trees < most ? trees : most;
    }
    if (rng_once(rng, 60))
        out->trees = 0;
    out->outputs = 1;
    if (rng_once(rng, 3))
        out->outputs = PICK(rng, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33);
    out->vector_leaves = rng_once(rng, 2);
    out->sets = rng_once(rng, 3) && !is_long_edge ? 1 + rng_below(rng, 20) : 0;
    if (rng_once(rng, 6))
        out->sum = rng_once(rng, 2) ? APX_FOREST_MIN : APX_FOREST_MAX;
    out->compares_double = rng_once(rng, 3);
    out->sums_double = out->compares_double || rng_once(rng, 2);
    if (rng_once(rng, 8))
        out->sums_double = !out->sums_double;
    out->linear = out->sums_double && !out->vector_leaves && rng_once(rng, 6);
    out->nan_right = (int)PICK(rng, 0, 50, 50, 100);
    out->nan_is_number = rng_once(rng, 4);
    out->nan_values = (int)PICK(rng, 0, 0, 2, 10, 50, 100);
    out->plain_values = !rng_once(rng, 5);
    out->has_cover = rng_once(rng, 2);
    out->rows = PICK(rng, 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65,
                     127, 128, 129, 255, 256, 257, 1000);
    if (rng_once(rng, 16))
        plan_wide(rng, out);
    /* The naive evaluations of one problem: some ten million nodes at most. */
    size_t depth = out->shape >= FOREST_LEFT_CHAIN ? out->leaves / 2 + 1 : 16;
    while (out->rows > 9 && out->rows * out->trees * depth > 4000000)
        out->rows = out->rows / 2 + 1;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static double as_compared(const struct forest_plan *plan, double x)
{
    return plan->compares_double ? x : (double)(float)x;
}

/* One step up or down, in the precision of the comparisons. */
static double step(const struct forest_plan *plan, double x, bool up)
{
    const double to = up ? INFINITY : -INFINITY;
    return plan->compares_double ? nextafter(x, to) : (double)nextafterf((float)x, (float)to);
}

static double ordinary(struct rng *rng)
{
    return ldexp((double)(rng_next(rng) >> 11) * 0x1p-52 - 1.0, (int)rng_below(rng, 12) - 4);
}

/* A number as thresholds, bounds and rows have them. Never NaN. */
static double number(struct rng *rng, const struct forest_plan *plan)
{
    static const double special[] = {0.0,     -0.0,      INFINITY, -INFINITY, FLT_MAX, -FLT_MAX,
                                     FLT_MIN, 1e-35,     0x1p-149, -0x1p-149, 1e-40,   -1e-40,
                                     DBL_MAX, 0x1p-1074, 1.0,      -1.0,      0.5,     16777216.0};
    if (rng_once(rng, 12))
        return as_compared(plan, special[rng_below(rng, sizeof special / sizeof special[0])]);
    if (rng_once(rng, 4))
        return (double)rng_below(rng, 40) - 8.0;
    return as_compared(plan, ordinary(rng));
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts and drops what is equal; what is left. */
static size_t distinct(double *values, size_t count)
{
    qsort(values, count, sizeof *values, ascending);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || values[i] > values[kept - 1])
            values[kept++] = values[i];
    return kept;
}

/* ---- trees ----------------------------------------------------------------------------------- */

/* A node before it gets its place. */
struct bud {
    uint32_t left, right;
    bool is_split;
};

static enum forest_shape shape_of(struct rng *rng, const struct forest_plan *plan)
{
    return plan->shape < FOREST_MIXED ? plan->shape
                                      : (enum forest_shape)rng_below(rng, FOREST_MIXED);
}

/* The skeleton of a tree with `leaves` leaves; buds[2 * leaves - 1], the root is bud 0. */
static void grow(struct rng *rng, enum forest_shape shape, size_t leaves, struct bud *buds)
{
    uint32_t *open = kcheck_alloc(leaves * sizeof *open);
    size_t count = 1, used = 1;
    open[0] = 0;
    buds[0] = (struct bud){0};
    for (; count < leaves; count++) {
        size_t at = count - 1; /* the deepest leaf */
        if (shape == FOREST_BALANCED)
            at = 0; /* the oldest */
        else if (shape == FOREST_LEAF_WISE)
            at = rng_below(rng, count);
        else if (shape == FOREST_ZIGZAG && count > 1)
            at -= count % 2;
        uint32_t parent = open[at], left = (uint32_t)used, right = (uint32_t)used + 1;
        used += 2;
        buds[parent] = (struct bud){left, right, true};
        buds[left] = buds[right] = (struct bud){0};
        memmove(open + at, open + at + 1, (count - at - 1) * sizeof *open);
        open[count - 1] = shape == FOREST_LEFT_CHAIN ? right : left;
        open[count] = shape == FOREST_LEFT_CHAIN ? left : right;
    }
    free(open);
}

/* Writing the trees of a problem. */
struct writer {
    struct rng *rng;
    struct forest_problem *p;
    struct apx_tree_node *nodes;
    double **pool; /* thresholds of each feature, made when first used */
    size_t *pool_count;
    size_t *next; /* serial numbers of thresholds */
    size_t node, leaf;
};

static double threshold_of(struct writer *w, size_t feature)
{
    const struct forest_plan *plan = &w->p->plan;
    if (plan->in_turn) /* close to each other, in an order that looks like none */
        return 1.0 + (double)(w->next[feature]++ * 7919 % plan->thresholds) * 0x1p-20;
    if (w->pool[feature] == NULL) {
        double *pool = w->pool[feature] = kcheck_alloc(plan->thresholds * sizeof *pool);
        w->pool_count[feature] =
            rng_once(w->rng, 2) ? plan->thresholds : 1 + rng_below(w->rng, plan->thresholds);
        for (size_t i = 0; i < w->pool_count[feature]; i++)
            pool[i] = i > 0 && rng_once(w->rng, 4)
                          ? step(plan, pool[rng_below(w->rng, i)], rng_once(w->rng, 2))
                          : number(w->rng, plan);
    }
    return w->pool[feature][rng_below(w->rng, w->pool_count[feature])];
}

/* What NaN is taken for, where it is taken for a number: a threshold or a number next to one. */
static double nan_number_of(const struct writer *w, size_t feature)
{
    const struct forest_plan *plan = &w->p->plan;
    const double near = plan->in_turn ? 1.0 + (double)(plan->thresholds / 3) * 0x1p-20
                                      : w->pool[feature][w->pool_count[feature] / 3];
    return feature % 2 == 0 ? near : step(plan, near, feature % 4 == 1);
}

/* Preorder from bud `at`, without recursion: chains are deep. */
static void write_tree(struct writer *w, const struct bud *buds, size_t bud_count)
{
    const struct forest_plan *plan = &w->p->plan;
    uint32_t *stack = kcheck_alloc(2 * (bud_count + 1) * sizeof *stack);
    size_t top = 0;
    stack[top++] = 0;
    stack[top++] = UINT32_MAX;
    while (top > 0) {
        const uint32_t parent = stack[--top], bud = stack[--top];
        struct apx_tree_node *node = &w->nodes[w->node];
        if (parent != UINT32_MAX)
            w->nodes[parent].right = (uint32_t)w->node;
        *node = (struct apx_tree_node){.feature = -1, .set = -1};
        if (plan->has_cover)
            node->cover = (float)(1 + rng_below(w->rng, 1000));
        if (!buds[bud].is_split) {
            node->left = (uint32_t)w->leaf++;
            w->node++;
            continue;
        }
        node->feature = (int32_t)rng_below(w->rng, plan->features);
        node->nan_right = rng_below(w->rng, 100) < (size_t)plan->nan_right;
        if (plan->sets > 0 && rng_once(w->rng, 3))
            node->set = (int32_t)rng_below(w->rng, plan->sets);
        else
            node->threshold = threshold_of(w, (size_t)node->feature);
        if (plan->nan_is_number && node->set < 0 && !rng_once(w->rng, 500))
            node->nan_right = node->threshold <= nan_number_of(w, (size_t)node->feature);
        node->left = (uint32_t)w->node + 1;
        stack[top++] = buds[bud].right;
        stack[top++] = (uint32_t)w->node;
        stack[top++] = buds[bud].left;
        stack[top++] = UINT32_MAX;
        w->node++;
    }
    free(stack);
}

static void make_sets(struct rng *rng, struct forest_problem *p)
{
    const struct forest_plan *plan = &p->plan;
    enum { MOST = 3000 };
    uint32_t *begin = own(p, plan->sets + 1, sizeof *begin);
    double *bounds = own(p, plan->sets * MOST, sizeof *bounds);
    for (size_t s = 0; s < plan->sets; s++) {
        double *set = bounds + begin[s];
        size_t count = rng_below(rng, rng_once(rng, 50) ? MOST : rng_once(rng, 4) ? 300 : 8);
        for (size_t i = 0; i < count; i++)
            set[i] = i > 0 && rng_once(rng, 3) ? step(plan, set[i - 1], true) : number(rng, plan);
        if (rng_once(rng, 6)) { /* everything */
            set[0] = -INFINITY;
            count = 1;
        }
        begin[s + 1] = begin[s] + (uint32_t)distinct(set, count);
    }
    p->desc.set_count = plan->sets;
    p->desc.set_begin = begin;
    p->desc.bounds = bounds;
}

static void make_trees(struct rng *rng, struct forest_problem *p)
{
    const struct forest_plan *plan = &p->plan;
    const size_t most = plan->trees * plan->leaves;
    struct writer w = {.rng = rng, .p = p};
    w.nodes = own(p, 2 * most, sizeof *w.nodes);
    w.pool = kcheck_alloc(plan->features * sizeof *w.pool);
    w.pool_count = kcheck_alloc(plan->features * sizeof *w.pool_count);
    w.next = kcheck_alloc(plan->features * sizeof *w.next);
    memset(w.pool, 0, plan->features * sizeof *w.pool);
    memset(w.next, 0, plan->features * sizeof *w.next);
    uint32_t *roots = own(p, plan->trees + 1, sizeof *roots);
    struct bud *buds = kcheck_alloc(2 * plan->leaves * sizeof *buds);
    for (size_t t = 0; t < plan->trees; t++) {
        size_t leaves = plan->exact_leaves ? plan->leaves : 1 + rng_below(rng, plan->leaves);
        grow(rng, shape_of(rng, plan), leaves, buds);
        write_tree(&w, buds, 2 * leaves - 1);
        roots[t + 1] = (uint32_t)w.node;
    }
    for (size_t f = 0; f < plan->features; f++)
        free(w.pool[f]);
    free(w.pool);
    free(w.pool_count);
    free(w.next);
    free(buds);
    p->desc.nodes = w.nodes;
    p->desc.roots = roots;
    p->desc.node_count = w.node;
    p->desc.leaf_count = w.leaf;
}

static double leaf_number(struct rng *rng, const struct forest_plan *plan)
{
    static const double special[] = {INFINITY, -INFINITY, -0.0, 0.0, NAN, 0x1p-149, FLT_MAX};
    double value = ordinary(rng);
    if (!plan->plain_values && rng_once(rng, 40))
        value = special[rng_below(rng, sizeof special / sizeof special[0])];
    return plan->sums_double ? value : (double)(float)value;
}

static void make_leaves(struct rng *rng, struct forest_problem *p)
{
    const struct forest_plan *plan = &p->plan;
    const size_t leaves = p->desc.leaf_count, width = plan->vector_leaves ? plan->outputs : 1;
    double *values = own(p, leaves * width, sizeof *values);
    uint32_t *ids = own(p, leaves, sizeof *ids);
    double *base = own(p, plan->outputs, sizeof *base);
    for (size_t i = 0; i < leaves * width; i++)
        values[i] = leaf_number(rng, plan);
    for (size_t i = 0; i < leaves; i++)
        ids[i] = (uint32_t)rng_next(rng);
    for (size_t k = 0; k < plan->outputs && !rng_once(rng, 4); k++)
        base[k] = rng_once(rng, 6) ? -0.0 : leaf_number(rng, plan);
    p->desc.leaf_values = values;
    p->desc.leaf_ids = ids;
    p->desc.base = base;
    if (!plan->vector_leaves) {
        uint32_t *output = own(p, plan->trees, sizeof *output);
        const bool in_turn = rng_once(rng, 2);
        for (size_t t = 0; t < plan->trees; t++)
            output[t] = (uint32_t)(in_turn ? t % plan->outputs : rng_below(rng, plan->outputs));
        p->desc.tree_output = output;
    }
    if (!plan->linear)
        return;
    enum { TERMS = 6 };
    double *constant = own(p, leaves, sizeof *constant);
    uint32_t *begin = own(p, leaves + 1, sizeof *begin);
    uint32_t *feature = own(p, leaves * TERMS, sizeof *feature);
    double *coefficient = own(p, leaves * TERMS, sizeof *coefficient);
    for (size_t i = 0; i < leaves; i++) {
        constant[i] = ordinary(rng);
        begin[i + 1] = begin[i] + (uint32_t)rng_below(rng, TERMS + 1);
        for (uint32_t j = begin[i]; j < begin[i + 1]; j++) {
            feature[j] = (uint32_t)rng_below(rng, plan->features);
            coefficient[j] = ordinary(rng);
        }
    }
    p->linear = (struct apx_forest_linear){constant, begin, feature, coefficient};
    p->desc.linear = &p->linear;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* A number on or beside one that the node compares with. */
static double near_node(struct rng *rng, const struct forest_problem *p,
                        const struct apx_tree_node *node)
{
    double x = node->threshold;
    if (node->set >= 0) {
        const uint32_t begin = p->desc.set_begin[node->set];
        const uint32_t end = p->desc.set_begin[node->set + 1];
        x = end > begin ? p->desc.bounds[begin + rng_below(rng, end - begin)] : 0.0;
    }
    switch (rng_below(rng, 4)) {
    case 0:
        return step(&p->plan, x, true);
    case 1:
    case 2:
        return step(&p->plan, x, false);
    default:
        return x;
    }
}

/* Down one tree, giving values to features that have none yet: other than by independent values,
 * the far corners of a deep tree are reached. */
static void walk_row(struct rng *rng, const struct forest_problem *p, double *x, bool *is_given)
{
    const struct apx_forest_desc *desc = &p->desc;
    uint32_t at = desc->roots[rng_below(rng, desc->trees)];
    while (desc->nodes[at].feature >= 0) {
        const struct apx_tree_node *node = &desc->nodes[at];
        if (!is_given[node->feature])
            x[node->feature] = near_node(rng, p, node);
        is_given[node->feature] = true;
        const double value = x[node->feature];
        const bool right = node->set >= 0 ? rng_once(rng, 2) : value >= node->threshold;
        at = right ? node->right : node->left;
    }
}

static void make_rows(struct rng *rng, struct forest_problem *p)
{
    const struct forest_plan *plan = &p->plan;
    const size_t features = plan->features;
    bool *is_given = kcheck_alloc(features * sizeof *is_given);
    p->x = own(p, plan->rows * features, sizeof *p->x);
    p->x_is_double = plan->compares_double ? !rng_once(rng, 4) : rng_once(rng, 4);
    for (size_t n = 0; n < plan->rows; n++) {
        double *x = p->x + n * features;
        for (size_t f = 0; f < features; f++) {
            x[f] = number(rng, plan);
            is_given[f] = rng_once(rng, 20);
        }
        for (size_t i = 0; i < 12 && plan->trees > 0; i++)
            walk_row(rng, p, x, is_given);
        for (size_t f = 0; f < features; f++) {
            /* a double that rounds to the float on the threshold, or just does not */
            if (p->x_is_double && rng_once(rng, 3))
                x[f] = rng_once(rng, 2) ? nextafter(x[f], rng_once(rng, 2) ? INFINITY : -INFINITY)
                                        : x[f] * (1.0 + 0x1p-25);
            if (rng_below(rng, 100) < (size_t)plan->nan_values)
                x[f] = NAN;
            if (!p->x_is_double)
                x[f] = (double)(float)x[f];
        }
    }
    free(is_given);
}

void forest_problem_create(struct rng *rng, const struct forest_plan *plan,
                           struct forest_problem *out)
{
    *out = (struct forest_problem){.plan = *plan};
    out->desc = (struct apx_forest_desc){.features = plan->features,
                                         .outputs = plan->outputs,
                                         .trees = plan->trees,
                                         .sum = plan->sum,
                                         .compares_double = plan->compares_double,
                                         .sums_double = plan->sums_double};
    make_sets(rng, out);
    make_trees(rng, out);
    make_leaves(rng, out);
    make_rows(rng, out);
}

/* ---- by the definition ----------------------------------------------------------------------- */

static bool is_member(const struct apx_forest_desc *desc, int32_t set, double x)
{
    uint32_t i = desc->set_begin[set];
    const uint32_t end = desc->set_begin[set + 1];
    for (; i + 1 < end; i += 2)
        if (desc->bounds[i] <= x && x < desc->bounds[i + 1])
            return true;
    return i < end && desc->bounds[i] <= x;
}

static double solve_leaf(const struct forest_problem *p, const double *x, uint32_t leaf, size_t k)
{
    const struct apx_forest_desc *desc = &p->desc;
    if (desc->tree_output == NULL)
        return desc->leaf_values[leaf * desc->outputs + k];
    if (desc->linear == NULL)
        return desc->leaf_values[leaf];
    double value = p->linear.constant[leaf];
    bool has_nan = false;
    for (uint32_t i = p->linear.begin[leaf]; i < p->linear.begin[leaf + 1]; i++) {
        double at = as_compared(&p->plan, x[p->linear.feature[i]]);
        has_nan |= isnan(at);
        value += p->linear.coefficient[i] * at;
    }
    return has_nan ? desc->leaf_values[leaf] : value;
}

static uint32_t solve_tree(const struct forest_problem *p, const double *x, size_t tree)
{
    const struct apx_forest_desc *desc = &p->desc;
    uint32_t at = desc->roots[tree];
    while (desc->nodes[at].feature != -1) {
        const struct apx_tree_node *node = &desc->nodes[at];
        const double value = as_compared(&p->plan, x[node->feature]);
        bool right = isnan(value)    ? node->nan_right
                     : node->set < 0 ? !(value < node->threshold)
                                     : is_member(desc, node->set, value);
        at = right ? node->right : node->left;
    }
    return desc->nodes[at].left;
}

void forest_problem_solve(const struct forest_problem *p, double *margins, uint32_t *leaves)
{
    const struct apx_forest_desc *desc = &p->desc;
    for (size_t n = 0; n < p->plan.rows; n++) {
        const double *x = p->x + n * desc->features;
        for (size_t t = 0; t < desc->trees; t++)
            leaves[n * desc->trees + t] = solve_tree(p, x, t);
        for (size_t k = 0; k < desc->outputs; k++) {
            bool any = desc->sum == APX_FOREST_SUM;
            double total = any ? desc->base[k] : 0.0;
            for (size_t t = 0; t < desc->trees; t++) {
                if (desc->tree_output != NULL && desc->tree_output[t] != k)
                    continue;
                const double value = solve_leaf(p, x, leaves[n * desc->trees + t], k);
                if (desc->sum == APX_FOREST_SUM)
                    total =
                        desc->sums_double ? total + value : (double)((float)total + (float)value);
                else if (!any || (desc->sum == APX_FOREST_MIN ? value < total : value > total))
                    total = value;
                any = true;
            }
            margins[n * desc->outputs + k] = total;
        }
        for (size_t t = 0; t < desc->trees; t++)
            leaves[n * desc->trees + t] = desc->leaf_ids[leaves[n * desc->trees + t]];
    }
}
