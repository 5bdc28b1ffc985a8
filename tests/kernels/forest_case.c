/* SPDX-License-Identifier: Apache-2.0 */
/* forest_case.c - the forest table under the checker. Margins and leaves have the same bits as the
 * reference row's, whatever the row, the batch and the place of the buffers; the reference row's
 * have those of an evaluation of its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/tree/forest_layout.h"
#include "tests/harness/kcheck.h"
#include "tests/kernels/forest_problem.h"

/* What a run gave. Margins as doubles: floats fit exactly. */
struct result {
    double *margins;
    uint32_t *leaves;
};

static struct result result_create(const struct forest_problem *p)
{
    const size_t rows = p->plan.rows;
    struct result result = {kcheck_alloc(rows * p->desc.outputs * sizeof(double)),
                            kcheck_alloc(rows * p->desc.trees * sizeof(uint32_t))};
    memset(result.margins, 0x5a, rows * p->desc.outputs * sizeof(double));
    memset(result.leaves, 0x5a, rows * p->desc.trees * sizeof(uint32_t));
    return result;
}

static void result_free(struct result *result)
{
    free(result->margins);
    free(result->leaves);
}

/* A packed forest that has been moved to a place of exactly its size. */
static struct guard pack(const struct apx_forest_row *row, const struct apx_forest_desc *desc)
{
    const size_t bound = row->pack_bound(desc);
    struct guard first = guard_create((bound + 63) / 64 * 64, GUARD_START);
    const size_t kept = row->pack(desc, first.data);
    if (!guard_intact(&first))
        kcheck_fail("pack writes outside packed");
    if (kept > bound)
        kcheck_fail("pack keeps %zu bytes of at most %zu", kept, bound);
    struct guard moved = guard_create((kept + 63) / 64 * 64, GUARD_END);
    memcpy(moved.data, first.data, kept <= first.bytes ? kept : first.bytes);
    guard_freeze(&moved);
    guard_destroy(&first);
    return moved;
}

struct how {
    size_t first, count, gap;
    enum guard_side side;
    bool want_margins, want_leaves;
};

static struct guard put_rows(const struct forest_problem *p, const struct how *how)
{
    const size_t features = p->desc.features, x_row = features + how->gap;
    const size_t values = how->count > 0 ? (how->count - 1) * x_row + features : 0;
    struct guard x =
        guard_create(values * (p->x_is_double ? sizeof(double) : sizeof(float)), how->side);
    for (size_t n = 0; n < how->count; n++)
        for (size_t f = 0; f < features; f++) {
            double value = p->x[(how->first + n) * features + f];
            if (p->x_is_double)
                ((double *)x.data)[n * x_row + f] = value;
            else
                ((float *)x.data)[n * x_row + f] = (float)value;
        }
    guard_freeze(&x);
    return x;
}

/* Some rows between guard pages. */
static void run(const struct apx_forest_row *row, const struct forest_problem *p,
                const struct guard *packed, const struct how *how, struct result *out)
{
    const size_t outputs = p->desc.outputs, trees = p->desc.trees;
    const bool in_double = p->desc.sums_double;
    struct guard x = put_rows(p, how);
    struct guard margins = guard_create(
        how->count * outputs * (in_double ? sizeof(double) : sizeof(float)), how->side);
    struct guard leaves = guard_create(how->count * trees * sizeof(uint32_t), how->side);
    struct guard scratch =
        guard_create((row->scratch_bytes(packed->data) + 63) / 64 * 64, how->side);
    const struct apx_forest_args args = {.packed = packed->data,
                                         .rows = how->count,
                                         .x = x.data,
                                         .x_is_double = p->x_is_double,
                                         .x_row = (ptrdiff_t)(p->desc.features + how->gap),
                                         .margins = how->want_margins ? margins.data : NULL,
                                         .leaves = how->want_leaves ? leaves.data : NULL,
                                         .scratch = scratch.data};
    row->run(&args);
    for (size_t i = 0; how->want_margins && i < how->count * outputs; i++)
        out->margins[how->first * outputs + i] = in_double
                                                     ? ((const double *)margins.data)[i]
                                                     : (double)((const float *)margins.data)[i];
    if (how->want_leaves && how->count * trees > 0)
        memcpy(out->leaves + how->first * trees, leaves.data, leaves.bytes);
    if (!guard_intact(&margins) || !guard_intact(&leaves) || !guard_intact(&scratch))
        kcheck_fail("writes outside margins, leaves or scratch");
    guard_destroy(&x);
    guard_destroy(&margins);
    guard_destroy(&leaves);
    guard_destroy(&scratch);
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void compare(const char *what, const struct forest_problem *p, const struct result *actual,
                    const struct result *expected, bool margins, bool leaves)
{
    const size_t trees = p->desc.trees, outputs = p->desc.outputs;
    for (size_t i = 0; leaves && i < p->plan.rows * trees; i++)
        if (actual->leaves[i] != expected->leaves[i]) {
            kcheck_fail("%s: row %zu, tree %zu: leaf %u, expected %u", what, i / trees, i % trees,
                        actual->leaves[i], expected->leaves[i]);
            break;
        }
    for (size_t i = 0; margins && i < p->plan.rows * outputs; i++)
        if (!same(actual->margins[i], expected->margins[i])) {
            kcheck_fail("%s: row %zu, output %zu: margin %a, expected %a", what, i / outputs,
                        i % outputs, actual->margins[i], expected->margins[i]);
            break;
        }
}

static bool forest_row(size_t index, struct kcheck_row *out)
{
    size_t count;
    const struct apx_forest_row *rows = apx_forest_rows(&count);
    if (index >= count)
        return false;
    *out = (struct kcheck_row){rows[index].isa, rows[index].name, rows[index].needs,
                               rows[index].match, &rows[index]};
    return true;
}

static void describe(const struct forest_problem *p, uint64_t state)
{
    static const char *const shapes[] = {"balanced",    "leaf-wise", "left chain",
                                         "right chain", "zigzag",    "mixed"};
    const struct forest_plan *plan = &p->plan;
    kcheck_describe(
        "F %zu K %zu trees %zu x %s%zu leaves (%s) thresholds %zu sets %zu N %zu%s%s%s%s"
        "%s sum %d NaN %d%% state %llx",
        plan->features, plan->outputs, plan->trees, plan->exact_leaves ? "" : "<= ", plan->leaves,
        shapes[plan->shape], plan->thresholds, plan->sets, plan->rows,
        plan->vector_leaves ? " vector" : "", plan->linear ? " linear" : "",
        plan->compares_double ? " compares double" : "", plan->sums_double ? " sums double" : "",
        p->x_is_double ? " x double" : "", plan->sum, plan->nan_values, (unsigned long long)state);
}

/* What making, packing and walking a forest takes, roughly. */
static double steps(const struct forest_plan *plan)
{
    const double leaves = (double)plan->leaves, trees = (double)plan->trees;
    const double depth = plan->shape >= FOREST_LEFT_CHAIN ? leaves / 2.0 : 16.0;
    return trees * leaves * (double)(8 + plan->outputs) +
           (double)plan->rows * (trees * fmin(depth, leaves) + (double)plan->features) +
           (double)plan->features * (double)plan->thresholds;
}

static void forest_check(const struct kcheck_row *row, uint64_t seed, size_t trial)
{
    size_t count;
    const struct apx_forest_row *rows = apx_forest_rows(&count), *forest = row->row;
    const struct apx_forest_row *reference = &rows[count - 1];
    struct rng rng = {seed * 1000033 + trial};
    struct forest_plan plan;
    forest_problem_plan(&rng, &plan);
    if (kcheck_leaves_out(steps(&plan)))
        return;
    struct forest_problem p;
    forest_problem_create(&rng, &plan, &p);
    describe(&p, rng.state);
    struct how how = {.count = plan.rows, .want_margins = true, .want_leaves = true};
    struct result expected = result_create(&p), actual = result_create(&p);
    if (forest == reference) {
        forest_problem_solve(&p, expected.margins, expected.leaves);
    } else {
        struct guard packed = pack(reference, &p.desc);
        run(reference, &p, &packed, &how, &expected);
        guard_destroy(&packed);
    }
    struct guard packed = pack(forest, &p.desc);
    how.side = GUARD_START;
    run(forest, &p, &packed, &how, &actual);
    compare("guard before", &p, &actual, &expected, true, true);
    how.side = GUARD_END;
    how.want_leaves = false;
    how.gap = rng_once(&rng, 2) ? 0 : 1 + rng_below(&rng, 9);
    run(forest, &p, &packed, &how, &actual);
    compare("margins alone", &p, &actual, &expected, true, false);
    how.want_leaves = true;
    how.want_margins = false;
    run(forest, &p, &packed, &how, &actual);
    compare("leaves alone", &p, &actual, &expected, false, true);
    how.want_leaves = rng_once(&rng, 2);
    how.want_margins = true;
    for (how.first = 0; how.first < plan.rows; how.first += how.count) {
        how.count = rng_once(&rng, 2) ? 1 : 1 + rng_below(&rng, plan.rows - how.first);
        run(forest, &p, &packed, &how, &actual);
    }
    compare("cut", &p, &actual, &expected, true, true);
    how.want_leaves = false;
    for (size_t i = 0; i < 3 && forest != reference; i++) {
        /* around the number of rows that is worth a tile */
        how.count = ((const struct apx_packed *)packed.data)->small_rows + i - 1;
        if (how.count == 0 || how.count > plan.rows)
            continue;
        how.first = rng_below(&rng, plan.rows - how.count + 1);
        run(forest, &p, &packed, &how, &actual);
        compare("few", &p, &actual, &expected, true, false);
    }
    struct apx_forest_choice choice = {0};
    forest->describe(packed.data, &choice);
    if (choice.schedule == NULL || choice.bytes == 0 || choice.bytes > packed.bytes)
        kcheck_fail("describe says \"%s\", %zu of %zu bytes",
                    choice.schedule != NULL ? choice.schedule : "(null)", choice.bytes,
                    packed.bytes);
    guard_destroy(&packed);
    result_free(&expected);
    result_free(&actual);
    forest_problem_free(&p);
}

struct bench_context {
    const struct apx_forest_row *row;
    struct apx_forest_args args;
};

static void bench_once(void *context)
{
    struct bench_context *bench = context;
    bench->row->run(&bench->args);
}

static bool forest_bench(const struct kcheck_row *row, size_t index, struct kcheck_time *out)
{
    static const struct {
        size_t trees, leaves, features, thresholds, rows;
        enum forest_shape shape;
    } shapes[] = {{100, 31, 100, 250, 1, FOREST_LEAF_WISE},
                  {100, 31, 100, 250, 1024, FOREST_LEAF_WISE},
                  {100, 256, 100, 250, 1, FOREST_BALANCED},
                  {100, 256, 100, 250, 1024, FOREST_BALANCED},
                  {20, 2000, 100, 100000, 1024, FOREST_LEAF_WISE}};
    if (index >= sizeof shapes / sizeof shapes[0])
        return false;
    const struct forest_plan plan = {.features = shapes[index].features,
                                     .outputs = 1,
                                     .trees = shapes[index].trees,
                                     .rows = shapes[index].rows,
                                     .shape = shapes[index].shape,
                                     .leaves = shapes[index].leaves,
                                     .exact_leaves = true,
                                     .thresholds = shapes[index].thresholds,
                                     .plain_values = true};
    struct rng rng = {1};
    struct forest_problem p;
    forest_problem_create(&rng, &plan, &p);
    p.x_is_double = false;
    const struct apx_forest_row *forest = row->row;
    struct guard packed = pack(forest, &p.desc);
    const struct how how = {.count = plan.rows};
    struct guard x = put_rows(&p, &how);
    struct guard scratch =
        guard_create((forest->scratch_bytes(packed.data) + 63) / 64 * 64, GUARD_START);
    float *margins = kcheck_alloc(plan.rows * sizeof *margins);
    struct bench_context context = {.row = forest,
                                    .args = {.packed = packed.data,
                                             .rows = plan.rows,
                                             .x = x.data,
                                             .x_row = (ptrdiff_t)plan.features,
                                             .margins = margins,
                                             .scratch = scratch.data}};
    snprintf(out->shape, sizeof out->shape, "%zu x %zu leaves N %zu", plan.trees, plan.leaves,
             plan.rows);
    out->seconds = kcheck_time(bench_once, &context);
    out->flop = 0.0;
    out->elements = (double)(plan.trees * plan.rows);
    guard_destroy(&packed);
    guard_destroy(&x);
    guard_destroy(&scratch);
    free(margins);
    forest_problem_free(&p);
    return true;
}

const struct kcheck_case kcheck_forest = {
    .op = "forest", .row = forest_row, .check = forest_check, .trials = 250, .bench = forest_bench};
