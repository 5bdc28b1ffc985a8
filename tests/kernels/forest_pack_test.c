/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_test.c - what packing costs: memory in proportion to the description, for forests
 * whose splits are mostly sets too; tables of sets no larger than their bounds make them; estimates
 * that count sets; a packed forest that depends on nothing but the forest. Whether the rows compute
 * the right values is kcheck's business, but that all of them agree is looked at here as well, for
 * forests larger than kcheck's. */
#include <stdbool.h>

#include "kernels/kernels.h"
#include "kernels/tree/forest_layout.h"
#include "tests/harness/check.h"

struct forest {
    struct apx_forest_desc desc;
    struct apx_tree_node *nodes;
    uint32_t *roots, *leaf_ids, *set_begin, *tree_output;
    double *leaf_values, *bounds, *base;
    size_t next_leaf, next_set;
    uint32_t state;
};

/* How its inner nodes look. */
struct shape {
    size_t trees, leaves, features, outputs, bounds; /* bounds of a set; 0: no sets */
    bool vector_leaves, spread;                      /* spread: a set's bounds lie far apart */
};

static uint32_t next_random(struct forest *forest)
{
    forest->state = forest->state * 1664525u + 1013904223u;
    return forest->state >> 8;
}

static uint32_t grow(struct forest *forest, const struct shape *shape, size_t leaves, uint32_t at)
{
    struct apx_tree_node *node = &forest->nodes[at];
    *node = (struct apx_tree_node){.feature = -1, .set = -1};
    if (leaves == 1) {
        node->left = (uint32_t)forest->next_leaf++;
        return at + 1;
    }
    node->feature = (int32_t)(next_random(forest) % shape->features);
    node->threshold = (double)(next_random(forest) % 100000) / 64;
    if (shape->bounds > 0) {
        double *bounds = forest->bounds + forest->set_begin[forest->next_set];
        for (size_t b = 0; b < shape->bounds; b++)
            bounds[b] = node->threshold + (double)b * (shape->spread ? 2000 : 0.25);
        node->set = (int32_t)forest->next_set++;
        forest->set_begin[forest->next_set] = (uint32_t)(forest->next_set * shape->bounds);
    }
    node->left = at + 1;
    node->right = grow(forest, shape, (leaves + 1) / 2, at + 1);
    return grow(forest, shape, leaves / 2, node->right);
}

static struct forest forest_create(const struct shape *shape)
{
    const size_t trees = shape->trees, leaves = trees * shape->leaves, nodes = 2 * leaves - trees;
    const size_t sets = shape->bounds > 0 ? leaves - trees : 0;
    const size_t values = leaves * (shape->vector_leaves ? shape->outputs : 1);
    struct forest f = {.state = 1};
    f.nodes = calloc(nodes, sizeof *f.nodes);
    f.roots = calloc(trees + 1, sizeof *f.roots);
    f.leaf_ids = calloc(leaves, sizeof *f.leaf_ids);
    f.tree_output = calloc(trees, sizeof *f.tree_output);
    f.set_begin = calloc(sets + 1, sizeof *f.set_begin);
    f.leaf_values = calloc(values, sizeof *f.leaf_values);
    f.bounds = calloc(sets * shape->bounds + 1, sizeof *f.bounds);
    f.base = calloc(shape->outputs, sizeof *f.base);
    REQUIRE(f.nodes && f.roots && f.leaf_ids && f.tree_output && f.set_begin && f.leaf_values &&
            f.bounds && f.base);
    for (size_t t = 0; t < trees; t++) {
        f.roots[t + 1] = grow(&f, shape, shape->leaves, f.roots[t]);
        f.tree_output[t] = (uint32_t)(t % shape->outputs);
    }
    for (size_t i = 0; i < leaves; i++)
        f.leaf_ids[i] = (uint32_t)i;
    for (size_t i = 0; i < values; i++)
        f.leaf_values[i] = (double)(next_random(&f) % 1000) / 1024;
    f.desc = (struct apx_forest_desc){
        .features = shape->features,
        .outputs = shape->outputs,
        .trees = trees,
        .node_count = nodes,
        .leaf_count = leaves,
        .set_count = sets,
        .roots = f.roots,
        .nodes = f.nodes,
        .tree_output = shape->vector_leaves ? NULL : f.tree_output,
        .leaf_values = f.leaf_values,
        .leaf_ids = f.leaf_ids,
        .set_begin = f.set_begin,
        .bounds = f.bounds,
        .base = f.base,
    };
    return f;
}

static void forest_destroy(struct forest *f)
{
    free(f->nodes);
    free(f->roots);
    free(f->leaf_ids);
    free(f->tree_output);
    free(f->set_begin);
    free(f->leaf_values);
    free(f->bounds);
    free(f->base);
}

/* Bytes of the description. */
static size_t described(const struct apx_forest_desc *desc)
{
    return desc->node_count * sizeof *desc->nodes + desc->trees * 8 + desc->leaf_count * 12 +
           (desc->set_count > 0 ? desc->set_begin[desc->set_count] * sizeof(double) : 0);
}

static void *pack(const struct apx_forest_row *row, const struct apx_forest_desc *desc,
                  size_t *kept)
{
    void *memory = aligned_alloc(64, (row->pack_bound(desc) + 63) / 64 * 64);
    REQUIRE(memory != NULL);
    *kept = row->pack(desc, memory);
    return memory;
}

static bool can_run(const struct apx_forest_row *row)
{
    return (row->needs & ~apx_cpu_caps()) == 0;
}

/* The packed form of every row this processor can run, given to `look`. */
static void each_row(const struct shape *shape, void (*look)(const struct apx_forest_row *row,
                                                             const struct apx_forest_desc *desc,
                                                             const void *packed, size_t bytes))
{
    size_t count, bytes;
    const struct apx_forest_row *rows = apx_forest_rows(&count);
    struct forest forest = forest_create(shape);
    for (size_t i = 0; i < count; i++) {
        if (!can_run(&rows[i]))
            continue;
        void *packed = pack(&rows[i], &forest.desc, &bytes);
        look(&rows[i], &forest.desc, packed, bytes);
        free(packed);
    }
    forest_destroy(&forest);
}

enum { ROWS = 130 };

/* Margins of some rows, which the caller frees. */
static float *evaluate(const struct apx_forest_row *row, const struct apx_forest_desc *desc,
                       const void *packed)
{
    float *x = calloc(ROWS * desc->features, sizeof *x);
    float *margins = calloc(ROWS * desc->outputs, sizeof *margins);
    void *scratch = aligned_alloc(64, (row->scratch_bytes(packed) + 127) / 64 * 64);
    REQUIRE(x != NULL && margins != NULL && scratch != NULL);
    uint32_t state = 7;
    for (size_t i = 0; i < ROWS * desc->features; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = i % 31 == 0 ? NAN : (float)(state >> 8 & 0x3ffff) / 128;
    }
    const struct apx_forest_args args = {.packed = packed,
                                         .rows = ROWS,
                                         .x = x,
                                         .x_row = (ptrdiff_t)desc->features,
                                         .margins = margins,
                                         .scratch = scratch};
    row->run(&args);
    free(x);
    free(scratch);
    return margins;
}

static void check_values(const struct apx_forest_row *row, const struct apx_forest_desc *desc,
                         const void *packed, size_t bytes)
{
    size_t count, ignored;
    const struct apx_forest_row *scalar = apx_forest_rows(&count) + count - 1;
    CHECK(bytes <= row->pack_bound(desc));
    void *plain = pack(scalar, desc, &ignored);
    float *expected = evaluate(scalar, desc, plain), *actual = evaluate(row, desc, packed);
    CHECK(memcmp(expected, actual, ROWS * desc->outputs * sizeof(float)) == 0);
    free(expected);
    free(actual);
    free(plain);
}

static void check_proportion(const struct shape *shape, size_t most)
{
    size_t count;
    const struct apx_forest_row *rows = apx_forest_rows(&count);
    struct forest forest = forest_create(shape);
    for (size_t i = 0; i < count; i++)
        if (!CHECK(rows[i].pack_bound(&forest.desc) / most < described(&forest.desc)))
            fprintf(stderr, "    %s: %zu for %zu bytes\n", rows[i].name,
                    rows[i].pack_bound(&forest.desc), described(&forest.desc));
    forest_destroy(&forest);
}

/* Room in proportion to the forest, whatever its splits are. */
static void bound_is_linear(void)
{
    check_proportion(&(struct shape){500, 255, 28, 1, 2, .spread = true}, 8);
    check_proportion(&(struct shape){1000, 101, 10, 1, 60, .spread = false}, 8);
    check_proportion(&(struct shape){200000, 2, 10, 1, 0, .spread = false}, 8);
}

static void check_small(const struct apx_forest_row *row, const struct apx_forest_desc *desc,
                        const void *packed, size_t bytes)
{
    CHECK(bytes < 3 * described(desc));
    check_values(row, desc, packed, bytes);
}

/* Thousands of sets on one feature: a table holds where its set begins and ends, not the feature's
 * whole range. */
static void set_tables_are_small(void)
{
    each_row(&(struct shape){1000, 31, 1, 1, 3, .spread = false}, check_small);
    each_row(&(struct shape){1000, 31, 1, 1, 3, .spread = true}, check_small);
    each_row(&(struct shape){40, 31, 2, 1, 3, .spread = false}, check_values);
    each_row(&(struct shape){40, 31, 2, 1, 3, .spread = true}, check_values);
    each_row(&(struct shape){40, 31, 2, 1, 500, .spread = false}, check_values);
}

static void check_estimate(const struct apx_forest_row *row, const struct apx_forest_desc *desc,
                           const void *packed, size_t bytes)
{
    struct apx_forest_choice choice;
    row->describe(packed, &choice);
    CHECK(choice.seconds_per_row > 2e-6); /* 0.8 if sets cost nothing */
    check_values(row, desc, packed, bytes);
}

/* A column for each of 31,000 sets is no light work. */
static void estimates_count_sets(void)
{
    each_row(&(struct shape){500, 63, 28, 1, 2, .spread = true}, check_estimate);
}

static void check_groups(const struct apx_forest_row *row, const struct apx_forest_desc *desc,
                         const void *packed, size_t bytes)
{
    check_values(row, desc, packed, bytes);
    if (strstr(row->name, "ranked") == NULL)
        return;
    /* 100 trees of 16 leaves of 300 floats are 1.9 MB, ten times a group. */
    CHECK(((const struct apx_packed *)packed)->groups >= 8);
}

/* Groups of trees fit the cache with all values of their leaves. */
static void groups_count_leaf_values(void)
{
    each_row(&(struct shape){100, 16, 10, 300, 0, .vector_leaves = true}, check_groups);
}

/* The same forest elsewhere in memory makes the same packed bytes. */
static void packed_holds_no_pointers(void)
{
    size_t count, bytes, other_bytes;
    const struct apx_forest_row *rows = apx_forest_rows(&count);
    const struct shape shape = {20, 31, 10, 3, 2, .spread = true};
    struct forest forest = forest_create(&shape), other = forest_create(&shape);
    for (size_t i = 0; i < count; i++) {
        if (!can_run(&rows[i]))
            continue;
        const size_t room = (rows[i].pack_bound(&forest.desc) + 63) / 64 * 64;
        void *packed = aligned_alloc(64, room), *again = aligned_alloc(64, room);
        REQUIRE(packed != NULL && again != NULL);
        memset(packed, 0, room);
        memset(again, 0, room);
        bytes = rows[i].pack(&forest.desc, packed);
        other_bytes = rows[i].pack(&other.desc, again);
        CHECK_EQ(bytes, other_bytes);
        CHECK(memcmp(packed, again, bytes) == 0);
        free(packed);
        free(again);
    }
    forest_destroy(&forest);
    forest_destroy(&other);
}

/* The first tree of each of many outputs, the least of all trees of it. */
static void least_of_many_outputs(void)
{
    const struct shape shape = {60000, 2, 3, 30000, 0, .spread = false};
    size_t count, bytes;
    const struct apx_forest_row *rows = apx_forest_rows(&count);
    struct forest forest = forest_create(&shape);
    forest.desc.sum = APX_FOREST_MIN;
    for (size_t i = 0; i < count; i++) {
        if (!can_run(&rows[i]))
            continue;
        void *packed = pack(&rows[i], &forest.desc, &bytes);
        check_values(&rows[i], &forest.desc, packed, bytes);
        free(packed);
    }
    forest_destroy(&forest);
}

/* A root; on its left a tree of so many leaves, on its right one split of two, which fewer rows
 * come to. */
static struct forest lopsided(size_t leaves)
{
    struct forest f = forest_create(&(struct shape){1, leaves + 2, 1, 1, 0, .spread = false});
    f.next_leaf = 0;
    f.nodes[0] = (struct apx_tree_node){.threshold = -0x1.000008p+0, .set = -1, .left = 1};
    const uint32_t right =
        grow(&f, &(struct shape){1, leaves, 1, 1, 0, .spread = false}, leaves, 1);
    grow(&f, &(struct shape){1, 2, 1, 1, 0, .spread = false}, 2, right);
    f.nodes[0].right = right;
    f.nodes[1].cover = 2;
    f.nodes[right].cover = 1;
    f.desc.compares_double = f.desc.sums_double = true;
    return f;
}

/* Walks take rows by the eight. What scratch held before does not lead those that are not there out
 * of the forest: here, a key greater than all. */
static void missing_rows_stay_inside(void)
{
    enum { FEW = 100 };
    double x[FEW], expected[FEW];
    size_t count, bytes;
    const struct apx_forest_row *rows = apx_forest_rows(&count);
    struct forest forest = lopsided(33000); /* too many for walks over codes */
    for (size_t n = 0; n < FEW; n++)
        x[n] = 15.7 * (double)n - 1.1;
    for (size_t i = count; i-- > 0;) {
        if (!can_run(&rows[i]))
            continue;
        void *packed = pack(&rows[i], &forest.desc, &bytes);
        const size_t room = (rows[i].scratch_bytes(packed) + 127) / 64 * 64;
        void *scratch = aligned_alloc(64, room);
        double margins[FEW];
        REQUIRE(scratch != NULL);
        memset(scratch, 0xff, room);
        rows[i].run(&(struct apx_forest_args){.packed = packed,
                                              .rows = FEW,
                                              .x = x,
                                              .x_is_double = true,
                                              .x_row = 1,
                                              .margins = margins,
                                              .scratch = scratch});
        if (i == count - 1)
            memcpy(expected, margins, sizeof expected);
        CHECK(memcmp(expected, margins, sizeof expected) == 0);
        free(scratch);
        free(packed);
    }
    forest_destroy(&forest);
}

static void check_walks(const struct apx_forest_row *row, const struct apx_forest_desc *desc,
                        const void *packed, size_t bytes)
{
    check_values(row, desc, packed, bytes);
    if (strstr(row->name, "ranked") != NULL)
        CHECK(!((const struct apx_packed *)packed)->one_walks);
}

/* Trees that never grew are leaves like others: for them alone no row's codes are laid out to walk
 * over. */
static void single_leaves_need_no_walks(void)
{
    each_row(&(struct shape){20, 1, 3, 1, 0, .spread = false}, check_walks);
    each_row(&(struct shape){20, 9, 3, 1, 0, .spread = false}, check_walks);
}

/* A tree whose right (or left) children are leaves, down to the last. */
static uint32_t grow_chain(struct forest *forest, const struct shape *shape, size_t leaves,
                           uint32_t at, bool to_left)
{
    for (size_t i = 1; i < leaves; i++) {
        struct apx_tree_node *node = &forest->nodes[at];
        const uint32_t size = 2 * (uint32_t)(leaves - i) - 1;
        *node = (struct apx_tree_node){.set = -1};
        node->feature = (int32_t)(next_random(forest) % shape->features);
        node->threshold = (double)(next_random(forest) % 100000) / 64;
        node->left = at + 1;
        node->right = at + 1 + (to_left ? size : 1);
        const uint32_t leaf = to_left ? node->right : node->left;
        forest->nodes[leaf] = (struct apx_tree_node){.feature = -1, .set = -1};
        at = to_left ? node->left : node->right;
    }
    forest->nodes[at] = (struct apx_tree_node){.feature = -1, .set = -1};
    return at;
}

/* A forest of chains of 1 .. shape->leaves leaves, in an order that changes kinds all the time. */
static struct forest chains(const struct shape *shape)
{
    struct forest f = forest_create(shape);
    uint32_t at = 0;
    f.next_leaf = 0;
    for (size_t t = 0; t < shape->trees; t++) {
        const size_t leaves = 1 + t * 37 % shape->leaves;
        f.roots[t] = at;
        grow_chain(&f, shape, leaves, at, t % 3 != 0);
        for (uint32_t i = at; i < at + 2 * leaves - 1; i++)
            if (f.nodes[i].feature < 0)
                f.nodes[i].left = (uint32_t)f.next_leaf++;
        at += 2 * (uint32_t)leaves - 1;
    }
    f.roots[shape->trees] = at;
    f.desc.node_count = at;
    f.desc.leaf_count = f.next_leaf;
    return f;
}

/* Chains have many nodes in a lane, and each node looks in another window; numbers of columns
 * around what a window and all of them hold. */
static void chains_fit_their_room(void)
{
    static const size_t features[] = {1, 15, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129, 256, 257};
    static const size_t leaves[] = {8, 9, 16, 31, 32, 33, 34, 63, 64, 65, 80};
    size_t count, bytes;
    const struct apx_forest_row *rows = apx_forest_rows(&count);
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        for (size_t k = 0; k < sizeof leaves / sizeof leaves[0]; k++) {
            const size_t trees = 1 + (i * 11 + k * 7) % 90;
            struct forest f =
                chains(&(struct shape){trees, leaves[k], features[i], 1, 0, .spread = false});
            for (size_t r = 0; r < count; r++) {
                if (!can_run(&rows[r]))
                    continue;
                void *packed = pack(&rows[r], &f.desc, &bytes);
                check_values(&rows[r], &f.desc, packed, bytes);
                free(packed);
            }
            forest_destroy(&f);
        }
}

static void check_plain(const struct apx_forest_row *row, const struct apx_forest_desc *desc,
                        const void *packed, size_t bytes)
{
    struct apx_forest_choice choice;
    check_values(row, desc, packed, bytes);
    row->describe(packed, &choice);
    if (strstr(row->name, "ranked") == NULL)
        return;
    CHECK(!((const struct apx_packed *)packed)->tops);
    CHECK(choice.seconds_per_row < 1e-6); /* 15 to 30 if unused features counted */
}

/* A tree that pays for no ranks is walked, and costs the keys of what it compares. */
static void unused_features_cost_nothing(void)
{
    const struct shape shape = {1, 1000, 300, 1, 0, .spread = false};
    each_row(&shape, check_plain);
    struct forest few = forest_create(&shape);
    few.desc.features = 100000;
    size_t count, bytes;
    const struct apx_forest_row *rows = apx_forest_rows(&count);
    for (size_t i = 0; i < count; i++) {
        if (!can_run(&rows[i]))
            continue;
        void *packed = pack(&rows[i], &few.desc, &bytes);
        check_plain(&rows[i], &few.desc, packed, bytes);
        free(packed);
    }
    forest_destroy(&few);
}

static bool takes_reference(const struct shape *shape)
{
    struct forest forest = forest_create(shape);
    const struct apx_forest_row *row = apx_forest_select(APX_CAP_AVX2, &forest.desc);
    forest_destroy(&forest);
    return strcmp(row->isa, "scalar") == 0;
}

/* Few trees see little of many features: nobody looks at the others for them. */
static void sparse_forests_are_walked(void)
{
    CHECK(takes_reference(&(struct shape){10, 1000, 200000, 1, 0, .spread = false}));
    CHECK(takes_reference(&(struct shape){1, 1000, 2000, 1, 0, .spread = false}));
    CHECK(!takes_reference(&(struct shape){1, 1000, 30, 1, 0, .spread = false}));
    CHECK(!takes_reference(&(struct shape){100, 31, 100, 1, 0, .spread = false}));
    CHECK(!takes_reference(&(struct shape){1, 1, 200000, 1, 0, .spread = false}));
    CHECK(!takes_reference(&(struct shape){10, 1000, 200000, 1, 2, .spread = false}));
    /* Many features given, few used. */
    struct forest few = forest_create(&(struct shape){300, 255, 500, 1, 0, .spread = false});
    few.desc.features = 100000;
    CHECK_STR(apx_forest_select(APX_CAP_AVX2, &few.desc)->isa, "avx2");
    forest_destroy(&few);
}

int main(void)
{
    RUN(bound_is_linear);
    RUN(set_tables_are_small);
    RUN(estimates_count_sets);
    RUN(groups_count_leaf_values);
    RUN(packed_holds_no_pointers);
    RUN(least_of_many_outputs);
    RUN(missing_rows_stay_inside);
    RUN(single_leaves_need_no_walks);
    RUN(chains_fit_their_room);
    RUN(unused_features_cost_nothing);
    RUN(sparse_forests_are_walked);
    return check_report();
}
