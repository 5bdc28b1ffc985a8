/* SPDX-License-Identifier: Apache-2.0 */
/* forest_build_test.c - trees as files have them: what the builder makes of them, what it refuses,
 * and each allocation failing once. */
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest.h"
#include "tests/harness/check.h"
#include "tests/harness/counted_heap.h"
#include "tests/harness/rng.h"

#define LEAF(value, name)                                                                          \
    {                                                                                              \
        .feature = -1, .set = -1, .left = (value), .right = (name)                                 \
    }
#define SPLIT(column, value, l, r)                                                                 \
    {                                                                                              \
        .feature = (column), .set = -1, .threshold = (value), .left = (l), .right = (r)            \
    }

static struct apx_error error;

static struct apx_forest_builder *builder(size_t features, size_t outputs, size_t leaf_width)
{
    struct apx_forest_builder *b;
    REQUIRE(apx_forest_builder_create(apx_allocator_default(), features, outputs, leaf_width, &b,
                                      &error) == APX_OK);
    return b;
}

static struct apx_forest *finish(struct apx_forest_builder *b)
{
    struct apx_forest *forest;
    REQUIRE(apx_forest_builder_finish(b, &forest, &error) == APX_OK);
    apx_forest_builder_destroy(b);
    return forest;
}

/* ---- what it makes --------------------------------------------------------------------------- */

static void trees_come_out_in_preorder(void)
{
    /* Node 2 is the root; 0 belongs to nobody; the right subtree stands before the left one. */
    const struct apx_tree_node nodes[] = {
        SPLIT(7, 9.0, 1, 1), /* would be refused if it were looked at */
        LEAF(2, 40),
        {.feature = 1,
         .set = -1,
         .threshold = 0.5,
         .left = 6,
         .right = 3,
         .nan_right = true,
         .cover = 10},
        SPLIT(0, 1.5, 1, 5),
        LEAF(3, 99),
        LEAF(0, 42),
        LEAF(1, 41),
    };
    const double values[] = {10.0, 11.0, 12.0, 13.0};
    struct apx_forest_builder *b = builder(3, 2, 1);
    CHECK_EQ(apx_forest_builder_tree(b, nodes, 7, 2, 1, values, 4, &error), APX_OK);
    const struct apx_tree_node stump[] = {LEAF(0, 5)};
    CHECK_EQ(apx_forest_builder_tree(b, stump, 1, 0, 0, values + 3, 1, &error), APX_OK);
    const uint32_t *index;
    CHECK_EQ(apx_forest_builder_leaves(b, &index), 4);
    CHECK(index[0] == 1 && index[1] == 2 && index[2] == 0 && index[3] == 0);
    struct apx_forest *forest = finish(b);
    const struct apx_forest_desc *desc = &forest->desc;
    CHECK_EQ(desc->features, 3);
    CHECK_EQ(desc->outputs, 2);
    CHECK_EQ(desc->trees, 2);
    CHECK_EQ(desc->node_count, 6);
    CHECK_EQ(desc->leaf_count, 4);
    CHECK_EQ(desc->set_count, 0);
    CHECK(desc->roots[0] == 0 && desc->roots[1] == 5 && desc->roots[2] == 6);
    CHECK(desc->tree_output[0] == 1 && desc->tree_output[1] == 0);
    const struct apx_tree_node *n = desc->nodes;
    CHECK(n[0].feature == 1 && n[0].threshold == 0.5 && n[0].nan_right && n[0].cover == 10.0f);
    CHECK(n[0].left == 1 && n[0].right == 2);
    CHECK(n[1].feature == -1 && n[1].left == 0);
    CHECK(n[2].feature == 0 && n[2].threshold == 1.5 && !n[2].nan_right);
    CHECK(n[2].left == 3 && n[2].right == 4);
    CHECK(n[3].feature == -1 && n[3].left == 1 && n[4].feature == -1 && n[4].left == 2);
    CHECK(n[5].feature == -1 && n[5].left == 3);
    static const double expected_values[] = {11.0, 12.0, 10.0, 13.0};
    static const uint32_t expected_ids[] = {41, 40, 42, 5};
    for (size_t i = 0; i < 4; i++) {
        CHECK(desc->leaf_values[i] == expected_values[i]);
        CHECK_EQ(desc->leaf_ids[i], expected_ids[i]);
    }
    CHECK(desc->base[0] == 0.0 && desc->base[1] == 0.0);
    CHECK(desc->linear == NULL);
    apx_forest_destroy(forest);
}

static void leaves_may_hold_a_vector(void)
{
    const struct apx_tree_node nodes[] = {SPLIT(0, 0.0, 2, 1), LEAF(0, 8), LEAF(1, 9)};
    const double values[] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0};
    struct apx_forest_builder *b = builder(1, 3, 3);
    CHECK_EQ(apx_forest_builder_tree(b, nodes, 3, 0, 77, values, 2, &error), APX_OK);
    struct apx_forest *forest = finish(b);
    CHECK(forest->desc.tree_output == NULL);
    for (size_t i = 0; i < 6; i++)
        CHECK(forest->desc.leaf_values[i] == values[(i + 3) % 6]);
    apx_forest_destroy(forest);
}

static void sets_are_kept(void)
{
    struct apx_forest_builder *b = builder(2, 1, 1);
    const double everything[] = {-INFINITY}, some[] = {1.0, 2.0, 5.0};
    CHECK_EQ(apx_forest_builder_set(b, NULL, 0), 0); /* the very first is empty */
    CHECK_EQ(apx_forest_builder_set(b, everything, 1), 1);
    CHECK_EQ(apx_forest_builder_set(b, some, 3), 2);
    CHECK_EQ(apx_forest_builder_set(b, NULL, 0), 0); /* equal sets are one */
    CHECK_EQ(apx_forest_builder_set(b, some, 3), 2);
    CHECK_EQ(apx_forest_builder_set(b, some, 2), 3);
    for (int i = 0; i < 1000; i++) {
        const double own[] = {i, i + 0.5};
        CHECK_EQ(apx_forest_builder_set(b, own, 2), 4 + i);
    }
    for (int i = 0; i < 1000; i++) {
        const double own[] = {i, i + 0.5};
        CHECK_EQ(apx_forest_builder_set(b, own, 2), 4 + i);
    }
    const struct apx_tree_node nodes[] = {
        /* no threshold to look at */
        {.feature = 1, .set = 2, .threshold = NAN, .left = 1, .right = 2},
        LEAF(0, 0),
        LEAF(0, 1)};
    const double value = 1.0;
    CHECK_EQ(apx_forest_builder_tree(b, nodes, 3, 0, 0, &value, 1, &error), APX_OK);
    struct apx_forest *forest = finish(b);
    const struct apx_forest_desc *desc = &forest->desc;
    CHECK_EQ(desc->set_count, 1004);
    for (size_t i = 0; i < 6; i++)
        CHECK_EQ(desc->set_begin[i], ((const uint32_t[]){0, 0, 1, 4, 6, 8})[i]);
    CHECK(desc->bounds[0] == -(double)INFINITY && desc->bounds[1] == 1.0 && desc->bounds[3] == 5.0);
    CHECK_EQ(desc->nodes[0].set, 2);
    apx_forest_destroy(forest);
}

static void no_trees_are_a_forest(void)
{
    struct apx_forest *forest = finish(builder(0, 1, 1));
    CHECK_EQ(forest->desc.trees, 0);
    CHECK_EQ(forest->desc.leaf_count, 0);
    CHECK_EQ(forest->desc.roots[0], 0);
    apx_forest_destroy(forest);
}

/* The subtree at `from` of the raw tree is the subtree at `at` of the forest; where the next one
 * begins. */
static uint32_t compare_subtree(const struct apx_forest_desc *desc, uint32_t at,
                                const struct apx_tree_node *raw, uint32_t from,
                                const double *values, uint32_t *leaf)
{
    const struct apx_tree_node *node = &desc->nodes[at];
    CHECK_EQ(node->feature, raw[from].feature);
    if (raw[from].feature < 0) {
        CHECK_EQ(node->left, *leaf);
        CHECK(desc->leaf_values[*leaf] == values[raw[from].left]);
        CHECK_EQ(desc->leaf_ids[*leaf], raw[from].right);
        *leaf += 1;
        return at + 1;
    }
    CHECK(node->threshold == raw[from].threshold);
    CHECK_EQ(node->left, at + 1);
    uint32_t next = compare_subtree(desc, node->left, raw, raw[from].left, values, leaf);
    CHECK_EQ(node->right, next);
    return compare_subtree(desc, node->right, raw, raw[from].right, values, leaf);
}

/* A tree of `leaves` leaves whose nodes lie anywhere in raw[count]; its root. */
static uint32_t scatter(struct rng *rng, size_t leaves, struct apx_tree_node *raw, size_t count,
                        size_t features)
{
    uint32_t *place = malloc(count * sizeof *place), *open = malloc(count * sizeof *open);
    REQUIRE(place != NULL && open != NULL);
    for (size_t i = 0; i < count; i++) {
        size_t j = rng_below(rng, i + 1);
        place[i] = place[j];
        place[j] = (uint32_t)i;
        raw[i] = (struct apx_tree_node){.feature = 1 << 20}; /* may not be looked at */
    }
    size_t used = 1, open_count = 1;
    open[0] = place[0];
    while (open_count < leaves) {
        size_t at = rng_below(rng, open_count);
        struct apx_tree_node *node = &raw[open[at]];
        *node = (struct apx_tree_node)SPLIT((int32_t)rng_below(rng, features),
                                            (double)rng_real(rng), place[used], place[used + 1]);
        open[at] = place[used];
        open[open_count++] = place[used + 1];
        used += 2;
    }
    for (size_t i = 0; i < leaves; i++)
        raw[open[i]] =
            (struct apx_tree_node)LEAF((uint32_t)rng_below(rng, leaves), (uint32_t)rng_next(rng));
    uint32_t root = place[0];
    free(place);
    free(open);
    return root;
}

static void scattered_trees_stay_the_same(void)
{
    enum { TREES = 40, LEAVES = 120 };
    static struct apx_tree_node raw[TREES][2 * LEAVES + 5];
    static double values[TREES][LEAVES];
    uint32_t root[TREES];
    struct rng rng = {7};
    struct apx_forest_builder *b = builder(9, 1, 1);
    for (size_t t = 0; t < TREES; t++) {
        const size_t leaves = 1 + rng_below(&rng, LEAVES);
        const size_t count = 2 * leaves - 1 + rng_below(&rng, 6);
        root[t] = scatter(&rng, leaves, raw[t], count, 9);
        for (size_t i = 0; i < leaves; i++)
            values[t][i] = (double)rng_real(&rng);
        CHECK_EQ(apx_forest_builder_tree(b, raw[t], count, root[t], 0, values[t], leaves, &error),
                 APX_OK);
    }
    struct apx_forest *forest = finish(b);
    uint32_t leaf = 0;
    for (size_t t = 0; t < TREES; t++)
        CHECK_EQ(compare_subtree(&forest->desc, forest->desc.roots[t], raw[t], root[t], values[t],
                                 &leaf),
                 forest->desc.roots[t + 1]);
    CHECK_EQ(leaf, forest->desc.leaf_count);
    apx_forest_destroy(forest);
}

/* Deep enough to end any recursion. */
static void chains_may_be_deep(void)
{
    enum { DEPTH = 1000000 };
    struct apx_tree_node *nodes = malloc((2 * DEPTH + 1) * sizeof *nodes);
    REQUIRE(nodes != NULL);
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < DEPTH; i++) {
            const uint32_t deep = 2 * i + 2, leaf = 2 * i + 1;
            nodes[2 * i] =
                (struct apx_tree_node)SPLIT(0, (double)i, side ? deep : leaf, side ? leaf : deep);
            nodes[leaf] = (struct apx_tree_node)LEAF(0, leaf);
        }
        nodes[2 * DEPTH] = (struct apx_tree_node)LEAF(0, 2 * DEPTH);
        const double value = 1.0;
        struct apx_forest_builder *b = builder(1, 1, 1);
        CHECK_EQ(apx_forest_builder_tree(b, nodes, 2 * DEPTH + 1, 0, 0, &value, 1, &error), APX_OK);
        struct apx_forest *forest = finish(b);
        CHECK_EQ(forest->desc.leaf_count, DEPTH + 1);
        CHECK_EQ(forest->desc.leaf_ids[0], side ? 2 * DEPTH : 1);
        apx_forest_destroy(forest);
    }
    free(nodes);
}

/* ---- what it refuses ------------------------------------------------------------------------- */

static void refuses(enum apx_status status, const struct apx_tree_node *nodes, size_t count,
                    uint32_t root, uint32_t output, const char *text, int line)
{
    const double values[] = {1.0, 2.0};
    const struct apx_tree_node good[] = {LEAF(0, 0)};
    struct apx_forest_builder *b = builder(3, 2, 1);
    REQUIRE(apx_forest_builder_tree(b, good, 1, 0, 0, values, 2, &error) == APX_OK);
    memset(&error, 0, sizeof error);
    if (!CHECK(apx_forest_builder_tree(b, nodes, count, root, output, values, 2, &error) == status))
        fprintf(stderr, "    of line %d\n", line);
    CHECK_STR(error.field, "tree 1");
    CHECK_HAS(error.message, text);
    apx_forest_builder_destroy(b);
}
#define REFUSES(root, output, text, ...)                                                           \
    do {                                                                                           \
        const struct apx_tree_node refused[] = {__VA_ARGS__};                                      \
        refuses(APX_EFORMAT, refused, sizeof refused / sizeof refused[0], root, output, text,      \
                __LINE__);                                                                         \
    } while (0)

static void broken_trees_are_refused(void)
{
    REFUSES(0, 0, "node 0: a child outside", SPLIT(0, 0.0, 1, 3), LEAF(0, 0), LEAF(0, 0));
    REFUSES(0, 0, "node 0: a child outside", SPLIT(0, 0.0, UINT32_MAX, 1), LEAF(0, 0), LEAF(0, 0));
    REFUSES(3, 0, "a root outside", SPLIT(0, 0.0, 1, 2), LEAF(0, 0), LEAF(0, 0));
    REFUSES(UINT32_MAX, 0, "a root outside", LEAF(0, 0));
    REFUSES(0, 0, "node 0: a node with two parents", SPLIT(0, 0.0, 0, 1), LEAF(0, 0));
    REFUSES(0, 0, "node 1: a node with two parents", SPLIT(0, 0.0, 1, 1), LEAF(0, 0));
    REFUSES(0, 0, "a node with two parents", SPLIT(0, 0.0, 1, 2), SPLIT(0, 0.0, 2, 3), LEAF(0, 0),
            LEAF(0, 0));
    REFUSES(0, 0, "a node with two parents", SPLIT(0, 0.0, 1, 2), LEAF(0, 0), SPLIT(0, 0.0, 3, 0),
            LEAF(0, 0));
    REFUSES(0, 0, "node 0: a feature", SPLIT(3, 0.0, 1, 2), LEAF(0, 0), LEAF(0, 0));
    REFUSES(0, 0, "node 0: a feature", SPLIT(INT32_MAX, 0.0, 1, 2), LEAF(0, 0), LEAF(0, 0));
    REFUSES(0, 0, "node 0: a feature", SPLIT(-2, 0.0, 1, 2), LEAF(0, 0), LEAF(0, 0));
    REFUSES(0, 0, "node 0: a feature", SPLIT(INT32_MIN, 0.0, 1, 2), LEAF(0, 0), LEAF(0, 0));
    REFUSES(0, 0, "node 0: a set", {.feature = 0, .set = 0, .left = 1, .right = 2}, LEAF(0, 0),
            LEAF(0, 0));
    REFUSES(0, 0, "node 0: a set", {.feature = 0, .set = INT32_MAX, .left = 1, .right = 2},
            LEAF(0, 0), LEAF(0, 0));
    REFUSES(0, 0, "node 0: a threshold that is NaN", SPLIT(0, NAN, 1, 2), LEAF(0, 0), LEAF(0, 0));
    REFUSES(0, 0, "node 2: a leaf without", SPLIT(0, 0.0, 1, 2), LEAF(0, 0), LEAF(2, 0));
    REFUSES(0, 0, "node 0: a leaf without", LEAF(UINT32_MAX, 0));
    REFUSES(0, 2, "an output", LEAF(0, 0));
    refuses(APX_EFORMAT, NULL, 0, 0, 0, "a root outside", __LINE__);
    /* and as the very first tree */
    struct apx_forest_builder *b = builder(1, 1, 1);
    CHECK_EQ(apx_forest_builder_tree(b, NULL, 0, 0, 0, NULL, 0, &error), APX_EFORMAT);
    apx_forest_builder_destroy(b);
}

static void limits_are_named(void)
{
    struct apx_forest_builder *b;
    const struct apx_allocator *allocator = apx_allocator_default();
    CHECK_EQ(apx_forest_builder_create(allocator, APX_LIMIT_FEATURES + 1, 1, 1, &b, &error),
             APX_ELIMIT);
    CHECK_STR(error.field, "features");
    CHECK(b == NULL);
    CHECK_EQ(apx_forest_builder_create(allocator, 1, 0, 1, &b, &error), APX_ELIMIT);
    CHECK_STR(error.field, "outputs");
    CHECK_EQ(apx_forest_builder_create(allocator, 1, APX_LIMIT_TREE_OUTPUTS + 1, 1, &b, &error),
             APX_ELIMIT);
    CHECK_STR(error.field, "outputs");
    b = builder(APX_LIMIT_FEATURES, APX_LIMIT_TREE_OUTPUTS, 1);
    const struct apx_tree_node node = LEAF(0, 0);
    const double value = 0.0;
    size_t added = 0;
    while (added <= APX_LIMIT_TREES &&
           apx_forest_builder_tree(b, &node, 1, 0, 0, &value, 1, &error) == APX_OK)
        added++;
    CHECK_EQ(added, APX_LIMIT_TREES);
    CHECK_EQ(error.status, APX_ELIMIT);
    CHECK_HAS(error.message, "APX_LIMIT_TREES");
    apx_forest_builder_destroy(b);
}

/* ---- without memory -------------------------------------------------------------------------- */

static enum apx_status build(void)
{
    enum { LEAVES = 50 };
    struct apx_tree_node raw[2 * LEAVES - 1];
    double values[LEAVES] = {0};
    const double bounds[] = {1.0, 2.0};
    struct apx_forest_builder *b;
    struct apx_forest *forest = NULL;
    struct rng rng = {3};
    heap.count = 0;
    enum apx_status status = apx_forest_builder_create(&counted, 4, 1, 1, &b, &error);
    if (status != APX_OK) {
        CHECK(b == NULL);
        return status;
    }
    for (size_t i = 0; i < 40 && status == APX_OK; i++)
        if (apx_forest_builder_set(b, bounds, 2) < 0)
            status = APX_ENOMEM;
    for (size_t t = 0; t < 20 && status == APX_OK; t++) {
        uint32_t root = scatter(&rng, LEAVES, raw, 2 * LEAVES - 1, 4);
        status = apx_forest_builder_tree(b, raw, 2 * LEAVES - 1, root, 0, values, LEAVES, &error);
    }
    if (status == APX_OK)
        status = apx_forest_builder_finish(b, &forest, &error);
    if (status == APX_OK && apx_forest_alloc(forest, 100) == NULL)
        status = APX_ENOMEM;
    CHECK((forest == NULL) == (status != APX_OK) || heap.fail_count > 0);
    apx_forest_destroy(forest);
    apx_forest_builder_destroy(b);
    return status;
}

static void every_failure_is_survived(void)
{
    heap.fail_count = 0;
    CHECK_EQ(build(), APX_OK);
    CHECK_EQ(heap.live, 0);
    const long total = heap.count;
    CHECK(total > 30);
    for (long i = 0; i < total; i++)
        for (int all = 0; all < 2; all++) {
            heap.fail_from = i;
            heap.fail_count = all ? total : 1;
            CHECK_EQ(build(), APX_ENOMEM);
            CHECK_EQ(heap.live, 0);
        }
    heap.fail_count = 0;
}

static void memory_lives_with_the_forest(void)
{
    struct apx_forest *forest = finish(builder(1, 1, 1));
    unsigned char *some = apx_forest_alloc(forest, 1000);
    REQUIRE(some != NULL);
    for (size_t i = 0; i < 1000; i++)
        CHECK(some[i] == 0);
    CHECK(apx_forest_alloc(forest, SIZE_MAX) == NULL);
    CHECK(apx_forest_alloc(forest, SIZE_MAX - 100) == NULL);
    apx_forest_destroy(forest);
    apx_forest_destroy(NULL);
    apx_forest_builder_destroy(NULL);
}

/* ---- the next number above ------------------------------------------------------------------- */

static void above_is_the_next_number(void)
{
    double y;
    CHECK(apx_above_float(1.0f, &y) && y == 1.0 + 0x1p-23);
    CHECK(apx_above_float(-1.0f, &y) && y == -1.0 + 0x1p-24);
    CHECK(apx_above_float(0.0f, &y) && y == 0x1p-149);
    CHECK(apx_above_float(-0.0f, &y) && y == 0x1p-149);
    CHECK(apx_above_float(-0x1p-149f, &y) && y == 0.0);
    CHECK(apx_above_float(0x1.fffffep127f, &y) && isinf(y) && y > 0);
    CHECK(apx_above_float(-INFINITY, &y) && y == -0x1.fffffep127);
    CHECK(!apx_above_float(INFINITY, &y));
    CHECK(apx_above_double(1.0, &y) && y == 1.0 + 0x1p-52);
    CHECK(apx_above_double(0.0, &y) && y == 0x1p-1074);
    CHECK(apx_above_double(-0.0, &y) && y == 0x1p-1074);
    CHECK(apx_above_double(0x1.fffffffffffffp1023, &y) && isinf(y) && y > 0);
    CHECK(apx_above_double(-(double)INFINITY, &y) && y == -0x1.fffffffffffffp1023);
    CHECK(!apx_above_double((double)INFINITY, &y));
    /* x <= t is !(x >= above(t)) */
    struct rng rng = {11};
    for (size_t i = 0; i < 20000; i++) {
        uint32_t bits = (uint32_t)rng_next(&rng), other = bits + (uint32_t)rng_below(&rng, 5) - 2;
        float t, x;
        memcpy(&t, &bits, sizeof t);
        memcpy(&x, &other, sizeof x);
        if (isnan(t) || isnan(x) || !apx_above_float(t, &y))
            continue;
        CHECK((x <= t) == !((double)x >= y));
    }
}

int main(void)
{
    RUN(trees_come_out_in_preorder);
    RUN(leaves_may_hold_a_vector);
    RUN(sets_are_kept);
    RUN(no_trees_are_a_forest);
    RUN(scattered_trees_stay_the_same);
    RUN(chains_may_be_deep);
    RUN(broken_trees_are_refused);
    RUN(limits_are_named);
    RUN(every_failure_is_survived);
    RUN(memory_lives_with_the_forest);
    RUN(above_is_the_next_number);
    return check_report();
}
