/* SPDX-License-Identifier: Apache-2.0 */
/* Forests written as ONNX and read back: leaves and their numbers, sums and predictions to the bit,
 * against the forests' own definition (forest_problem.h); and that it is a forest again, with its
 * sets and its link, not a heap of operators. */
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_onnx.h"
#include "runtime/model/forest/forest_read.h"
#include "runtime/model/forest/forest_sets.h"
#include "tests/harness/check.h"
#include "tests/kernels/forest_problem.h"

void *kcheck_alloc(size_t bytes)
{
    void *memory = malloc(bytes + 1);
    REQUIRE(memory != NULL);
    return memory;
}

static struct apx_error error;

/* ---- from a problem to a file ---------------------------------------------------------------- */

/* Leaves are numbered as the libraries do it: by node of the tree, or from the right. */
static void number_leaves(struct forest_problem *p)
{
    uint32_t *ids = (uint32_t *)(uintptr_t)p->desc.leaf_ids;
    for (size_t t = 0; t < p->desc.trees; t++) {
        uint32_t first = p->desc.roots[t], end = p->desc.roots[t + 1], last = (end - first) / 2;
        for (uint32_t n = first; n < end; n++)
            if (p->desc.nodes[n].feature < 0)
                ids[p->desc.nodes[n].left] = p->desc.sums_double ? last-- : n - first;
    }
}

static struct apx_forest *make_forest(const struct forest_problem *p)
{
    const struct apx_forest_desc *from = &p->desc;
    const size_t width = from->tree_output != NULL ? 1 : from->outputs;
    struct apx_forest_builder *builder;
    struct apx_forest *forest;
    REQUIRE(apx_forest_builder_create(apx_allocator_default(), from->features, from->outputs, width,
                                      &builder, &error) == APX_OK);
    int32_t *sets = kcheck_alloc((from->set_count + 1) * sizeof *sets);
    for (size_t s = 0; s < from->set_count; s++) {
        sets[s] = apx_forest_builder_set(builder, from->bounds + from->set_begin[s],
                                         from->set_begin[s + 1] - from->set_begin[s]);
        REQUIRE(sets[s] >= 0);
    }
    for (size_t t = 0, leaf = 0; t < from->trees; t++) {
        uint32_t first = from->roots[t], count = from->roots[t + 1] - first;
        struct apx_tree_node *nodes = kcheck_alloc(count * sizeof *nodes);
        memcpy(nodes, from->nodes + first, count * sizeof *nodes);
        for (uint32_t n = 0; n < count; n++) {
            bool is_leaf = nodes[n].feature < 0;
            if (!is_leaf && nodes[n].set >= 0)
                nodes[n].set = sets[nodes[n].set];
            nodes[n].right =
                is_leaf ? from->leaf_ids[nodes[n].left] : from->nodes[first + n].right - first;
            nodes[n].left -= is_leaf ? (uint32_t)leaf : first;
        }
        REQUIRE(apx_forest_builder_tree(
                    builder, nodes, count, 0, from->tree_output != NULL ? from->tree_output[t] : 0,
                    from->leaf_values + leaf * width, (count + 1) / 2, &error) == APX_OK);
        leaf += (count + 1) / 2;
        free(nodes);
    }
    free(sets);
    REQUIRE(apx_forest_builder_finish(builder, &forest, &error) == APX_OK);
    apx_forest_builder_destroy(builder);
    memcpy((double *)(uintptr_t)forest->desc.base, from->base, from->outputs * sizeof(double));
    forest->desc.sum = from->sum;
    forest->desc.compares_double = from->compares_double;
    forest->desc.sums_double = forest->output_double = from->sums_double;
    forest->source = "a test, with trees";
    return forest;
}

/* The file; the forest belongs to it. */
static enum apx_status write_forest(struct apx_forest *forest, void **data, size_t *bytes,
                                    struct apx_forest_written *written)
{
    struct apx_graph *graph;
    struct apx_onnx *onnx = apx_onnx_create("forest");
    const char **names = kcheck_alloc(forest->desc.features * sizeof *names);
    for (size_t f = 0; f < forest->desc.features; f++)
        names[f] = "column";
    *data = NULL;
    REQUIRE(onnx != NULL);
    REQUIRE(apx_forest_graph(forest, names, &graph, &error) == APX_OK);
    enum apx_status status = apx_forest_to_onnx(graph, onnx, written, &error);
    if (status == APX_OK)
        status = apx_onnx_write_memory(onnx, data, bytes, &error);
    apx_onnx_destroy(onnx);
    apx_graph_destroy(graph);
    free(names);
    return status;
}

/* ---- running files --------------------------------------------------------------------------- */

static struct apx_model *load(const void *data, size_t bytes, const char *trees)
{
    const struct apx_load_options options = {.trees = trees};
    struct apx_model *model;
    if (apx_model_load_memory(data, bytes, &options, &model, &error) != APX_OK) {
        fprintf(stderr, "%s\n", error.message);
        REQUIRE(false);
    }
    return model;
}

/* The output for rows x; release out->data with free(). */
static void run(const void *data, size_t bytes, const char *trees, const struct forest_problem *p,
                struct apx_tensor *out)
{
    const size_t rows = p->plan.rows, count = rows * p->desc.features;
    struct apx_model *model = load(data, bytes, trees);
    struct apx_session *session;
    struct apx_tensor in = {.dtype = p->desc.compares_double ? APX_F64 : APX_F32,
                            .rank = 2,
                            .dims = {(int64_t)rows, (int64_t)p->desc.features}};
    in.data = kcheck_alloc(count * sizeof(double));
    for (size_t i = 0; i < count; i++)
        if (p->desc.compares_double)
            ((double *)in.data)[i] = p->x[i];
        else
            ((float *)in.data)[i] = (float)p->x[i];
    const struct apx_session_options one = {.threads = 1};
    REQUIRE(apx_session_create(model, &one, &session, &error) == APX_OK);
    *out = (struct apx_tensor){0};
    REQUIRE(apx_session_shape(session, &in, 1, out, 1, &error) == APX_OK);
    out->data = kcheck_alloc(out->bytes);
    REQUIRE(apx_session_run(session, &in, 1, out, 1, &error) == APX_OK);
    apx_session_destroy(session);
    apx_model_destroy(model);
    free(in.data);
}

static double at(const struct apx_tensor *tensor, size_t i)
{
    return tensor->dtype == APX_F64   ? ((const double *)tensor->data)[i]
           : tensor->dtype == APX_F32 ? (double)((const float *)tensor->data)[i]
                                      : ((const int32_t *)tensor->data)[i];
}

static size_t size_of(const struct apx_tensor *tensor)
{
    return tensor->bytes / apx_dtype_size(tensor->dtype);
}

static int count_different(const struct apx_tensor *tensor, const double *expected)
{
    int different = 0;
    for (size_t i = 0; i < size_of(tensor); i++) {
        double got = at(tensor, i);
        different += !(got == expected[i] || (isnan(got) && isnan(expected[i])));
    }
    return different;
}

/* Only the Forest node is left, and it counts the sets that were written. */
static void is_one_forest(const void *data, size_t bytes, const char *what, size_t sets)
{
    char counted[32];
    struct apx_model *model = load(data, bytes, NULL);
    char *text;
    int nodes = 0;
    REQUIRE(apx_model_describe(model, &text, &error) == APX_OK);
    const char *end = strstr(text, "\"steps\"");
    for (const char *found = text; (found = strstr(found, "\"op\": ")) != NULL && found < end;
         found++)
        nodes++;
    if (!check_that(nodes == 1, __FILE__, __LINE__, what))
        fprintf(stderr, "%s\n", text);
    CHECK_HAS(text, "\"Forest\"");
    snprintf(counted, sizeof counted, "\"sets\": %zu,", sets);
    CHECK_HAS(text, counted);
    CHECK_STR(apx_model_metadata(model, "source"), "a test, with trees");
    CHECK_HAS(apx_model_metadata(model, "feature_names"), "[\"column\"");
    apx_string_release(text);
    apx_model_destroy(model);
}

/* ---- random forests -------------------------------------------------------------------------- */

static int sets_met_twice; /* forests with a set that two features are asked for */

static void check_forest(struct forest_problem *p, bool keeps_bits)
{
    const size_t rows = p->plan.rows, k = p->desc.outputs, trees = p->desc.trees;
    double *margins = kcheck_alloc(rows * k * sizeof *margins);
    uint32_t *leaves = kcheck_alloc(rows * trees * sizeof *leaves);
    struct apx_forest_written written = {0};
    struct apx_tensor out;
    void *data;
    size_t bytes, sets;
    number_leaves(p);
    forest_problem_solve(p, margins, leaves);
    struct apx_forest *forest = make_forest(p);
    REQUIRE(apx_forest_sets_count(forest, &sets, &error) == APX_OK);
    sets_met_twice += sets > forest->desc.set_count;
    enum apx_status status = write_forest(forest, &data, &bytes, &written);
    if (!check_that(status == APX_OK, __FILE__, __LINE__, error.message))
        exit(1);
    CHECK_EQ(written.sets, sets);
    CHECK_STR(written.op, p->desc.sums_double ? "TreeEnsemble" : "TreeEnsembleRegressor");
    run(data, bytes, "leaf", p, &out);
    REQUIRE(size_of(&out) == rows * trees);
    int different = 0;
    for (size_t i = 0; i < rows * trees; i++)
        different += at(&out, i) != leaves[i];
    CHECK_EQ(different, 0);
    free(out.data);
    for (int i = 0; i < 2; i++) { /* there is no link: predictions are the sums */
        run(data, bytes, i == 0 ? "margin" : NULL, p, &out);
        REQUIRE(size_of(&out) == rows * k);
        CHECK_EQ(out.dtype, p->desc.sums_double ? APX_F64 : APX_F32);
        CHECK_EQ(count_different(&out, margins), 0);
        free(out.data);
    }
    if (keeps_bits)
        is_one_forest(data, bytes, "one node", sets);
    free(data);
    free(margins);
    free(leaves);
}

static void random_forests_are_read_back(void)
{
    struct rng rng = {21};
    for (int trial = 0; trial < 120; trial++) {
        struct forest_plan plan;
        struct forest_problem problem;
        forest_problem_plan(&rng, &plan);
        plan.linear = false;
        plan.plain_values = true;
        plan.compares_double = plan.sums_double = trial % 2 != 0;
        if (plan.sums_double)
            plan.vector_leaves = false;
        if (plan.sum != APX_FOREST_SUM) /* of K outputs, not all have trees */
            plan.outputs = 1;
        if (trial % 3 == 0)
            plan.sets = 1 + rng_below(&rng, 20);
        plan.rows = plan.rows < 60 ? plan.rows : 60;
        if (plan.trees == 0)
            continue;
        forest_problem_create(&rng, &plan, &problem);
        int before = check_failures;
        check_forest(&problem, true);
        if (check_failures > before)
            fprintf(stderr, "trial %d: %zu trees, %zu leaves, %zu sets, %zu outputs\n", trial,
                    plan.trees, plan.leaves, plan.sets, plan.outputs);
        forest_problem_free(&problem);
    }
    CHECK(sets_met_twice > 0);
}

/* Rows of floats, sums in double: what scikit-learn's forests are. */
static void floats_are_widened_for_sums_in_double(void)
{
    struct rng rng = {5};
    struct forest_plan plan;
    struct forest_problem problem;
    forest_problem_plan(&rng, &plan);
    plan.features = 7, plan.outputs = 2, plan.trees = 20, plan.rows = 50, plan.leaves = 20;
    plan.linear = plan.vector_leaves = plan.compares_double = false;
    plan.plain_values = plan.sums_double = true;
    plan.sum = APX_FOREST_SUM;
    plan.sets = 6;
    forest_problem_create(&rng, &plan, &problem);
    check_forest(&problem, false);
    forest_problem_free(&problem);
}

static void a_forest_without_trees_is_its_base(void)
{
    for (int is_double = 0; is_double < 2; is_double++) {
        const double base[2] = {0.25, -3};
        static const uint32_t zero[1] = {0};
        double x[6] = {1, 2, 3, 4, 5, 6};
        struct forest_problem p = {.plan = {.rows = 2}, .x = x};
        struct apx_forest_written written;
        struct apx_tensor out;
        void *data;
        size_t bytes;
        p.desc = (struct apx_forest_desc){.features = 3,
                                          .outputs = 2,
                                          .roots = zero,
                                          .tree_output = zero,
                                          .base = base,
                                          .compares_double = is_double,
                                          .sums_double = is_double};
        REQUIRE(write_forest(make_forest(&p), &data, &bytes, &written) == APX_OK);
        run(data, bytes, NULL, &p, &out);
        for (size_t i = 0; i < 4; i++)
            CHECK_NEAR(at(&out, i), base[i % 2], 0);
        free(out.data);
        free(data);
    }
}

/* ---- links ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct apx_link link;
    size_t outputs;
    bool only_float;
} links[] = {
    {"none", {APX_LINK_NONE, 0, 0, 0}, 2, false},
    {"divided", {APX_LINK_NONE, 0, 0, 7}, 2, false},
    {"scale", {APX_LINK_SCALE, 0.3, 0, 0}, 2, false},
    {"sigmoid", {APX_LINK_SIGMOID, 2.5, 0, 0}, 3, false},
    {"divided sigmoid", {APX_LINK_SIGMOID, 1, 0, 3}, 1, false},
    {"sigmoid of xgboost", {APX_LINK_SIGMOID_XGB, 0, 0, 0}, 1, true},
    {"softmax", {APX_LINK_SOFTMAX, 0, 0, 0}, 4, false},
    {"divided softmax", {APX_LINK_SOFTMAX, 0, 0, 5}, 4, false},
    {"argmax", {APX_LINK_ARGMAX, 0, 0, 0}, 4, false},
    {"exp", {APX_LINK_EXP, 0, 0, 0}, 1, false},
    {"divided exp", {APX_LINK_EXP, 0, 0, 11}, 1, false},
    {"log1p exp", {APX_LINK_LOG1P_EXP, 0, 0, 0}, 1, false},
    {"divided log1p exp", {APX_LINK_LOG1P_EXP, 0, 0, 2}, 2, false},
    {"signed square", {APX_LINK_SIGNED_SQUARE, 0, 0, 0}, 1, false},
    {"hinge", {APX_LINK_HINGE, 0, 0, 0}, 1, false},
    {"sort", {APX_LINK_SORT, 0, 0, 0}, 5, false},
    {"expectile", {APX_LINK_EXPECTILE, 0, 0, 0}, 4, true},
};

static void make_small(struct rng *rng, size_t outputs, bool is_double, struct forest_problem *p)
{
    struct forest_plan plan;
    forest_problem_plan(rng, &plan);
    plan.features = 5, plan.trees = 12, plan.rows = 40, plan.leaves = 9, plan.sets = 0;
    plan.outputs = outputs;
    plan.linear = plan.vector_leaves = false;
    plan.plain_values = true;
    plan.sum = APX_FOREST_SUM;
    plan.compares_double = plan.sums_double = is_double;
    forest_problem_create(rng, &plan, p);
    number_leaves(p);
}

static void check_link(struct rng *rng, size_t l, bool is_double)
{
    const struct apx_link *link = &links[l].link;
    const size_t k = links[l].outputs;
    struct forest_problem p;
    struct apx_forest_written written;
    struct apx_tensor margins, out;
    void *data;
    size_t bytes;
    make_small(rng, k, is_double, &p);
    struct apx_forest *forest = make_forest(&p);
    forest->link = *link;
    if (!check_that(write_forest(forest, &data, &bytes, &written) == APX_OK, __FILE__, __LINE__,
                    error.message))
        exit(1);
    run(data, bytes, "margin", &p, &margins);
    run(data, bytes, NULL, &p, &out);
    const size_t predictions = p.plan.rows * apx_link_outputs(link, k);
    REQUIRE(size_of(&margins) == p.plan.rows * k && size_of(&out) == predictions);
    CHECK_EQ(out.dtype, is_double ? APX_F64 : APX_F32);
    void *expected = kcheck_alloc(predictions * sizeof(double));
    apx_link_run(link, p.plan.rows, k, margins.data, is_double, expected, is_double);
    CHECK(memcmp(out.data, expected, out.bytes) == 0);
    is_one_forest(data, bytes, links[l].name, 0);
    free(expected);
    free(margins.data);
    free(out.data);
    free(data);
    forest_problem_free(&p);
}

static void links_are_read_back(void)
{
    struct rng rng = {31};
    for (size_t l = 0; l < sizeof links / sizeof links[0]; l++)
        for (int is_double = 0; is_double < 2; is_double++) {
            int before = check_failures;
            if (!links[l].only_float || !is_double)
                check_link(&rng, l, is_double);
            if (check_failures > before)
                fprintf(stderr, "    %s, %s\n", links[l].name, is_double ? "double" : "float");
        }
}

/* ---- edges ----------------------------------------------------------------------------------- */

/* Pruned nodes keep their numbers in XGBoost: a leaf's may be beyond all nodes. */
static void leaves_with_numbers_beyond_are_counted(void)
{
    static const struct apx_tree_node nodes[3] = {
        {.threshold = 0.5, .feature = 0, .set = -1, .left = 1, .right = 2},
        {.feature = -1, .set = -1, .left = 0},
        {.feature = -1, .set = -1, .left = 1}};
    static const uint32_t roots[2] = {0, 3}, zero[1] = {0}, ids[2] = {1, 90};
    static const double values[2] = {10, 20}, base[1] = {0};
    double x[2] = {0, 1};
    struct forest_problem p = {.plan = {.rows = 2}, .x = x};
    struct apx_forest_written written;
    struct apx_tensor out;
    void *data;
    size_t bytes;
    p.desc = (struct apx_forest_desc){.features = 1,
                                      .outputs = 1,
                                      .trees = 1,
                                      .node_count = 3,
                                      .leaf_count = 2,
                                      .roots = roots,
                                      .nodes = nodes,
                                      .tree_output = zero,
                                      .leaf_values = values,
                                      .leaf_ids = ids,
                                      .base = base};
    REQUIRE(write_forest(make_forest(&p), &data, &bytes, &written) == APX_OK);
    run(data, bytes, "leaf", &p, &out);
    CHECK_EQ(at(&out, 0), 1);
    CHECK_EQ(at(&out, 1), 2);
    free(out.data);
    run(data, bytes, NULL, &p, &out);
    CHECK_NEAR(at(&out, 0), 10, 0);
    CHECK_NEAR(at(&out, 1), 20, 0);
    free(out.data);
    free(data);
}

static void what_onnx_cannot_say_is_refused(void)
{
    struct rng rng = {3};
    struct apx_forest_written written;
    struct forest_problem p;
    static const double number[1] = {0};
    void *data;
    size_t bytes;
    const struct apx_forest_linear linear = {.constant = number};
    for (int what = 0; what < 3; what++) {
        make_small(&rng, 2, what == 1, &p);
        if (what == 1) { /* two values in each leaf, in double */
            double *values = kcheck_alloc(2 * p.desc.leaf_count * sizeof *values);
            memset(values, 0, 2 * p.desc.leaf_count * sizeof *values);
            p.desc.tree_output = NULL;
            p.desc.leaf_values = values;
        }
        struct apx_forest *forest = make_forest(&p);
        if (what == 0)
            forest->desc.linear = &linear;
        if (what == 2)
            forest->link.kind = APX_LINK_PROBIT;
        CHECK_EQ(write_forest(forest, &data, &bytes, &written), APX_EUNSUPPORTED);
        CHECK_STR(error.field, what == 0 ? "linear_tree" : what == 1 ? "leaf_vector" : "link");
        CHECK(data == NULL);
        if (what == 1)
            free((void *)(uintptr_t)p.desc.leaf_values);
        forest_problem_free(&p);
    }
}

int main(void)
{
    RUN(random_forests_are_read_back);
    RUN(floats_are_widened_for_sums_in_double);
    RUN(a_forest_without_trees_is_its_base);
    RUN(links_are_read_back);
    RUN(leaves_with_numbers_beyond_are_counted);
    RUN(what_onnx_cannot_say_is_refused);
    return check_report();
}
