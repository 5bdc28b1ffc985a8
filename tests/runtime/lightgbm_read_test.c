/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_read_test.c - what files of LightGBM mean: sides of splits against LightGBM's rules
 * written out, objectives, averages, linear leaves, versions and line ends. */
#include "tests/runtime/lightgbm_case.h"

static void reads_a_model(void)
{
    struct apx_graph *graph;
    const struct apx_forest *forest = lightgbm_forest(lightgbm_sample, &graph);
    const struct apx_forest_desc *desc = &forest->desc;
    CHECK_EQ(desc->features, 3);
    CHECK_EQ(desc->outputs, 1);
    CHECK_EQ(desc->trees, 2);
    CHECK_EQ(desc->leaf_count, 5);
    CHECK_EQ(desc->node_count, 8);
    CHECK(desc->compares_double && desc->sums_double && forest->output_double);
    CHECK(desc->linear == NULL && desc->sum == APX_FOREST_SUM && desc->base[0] == 0);
    CHECK_EQ(desc->nodes[0].cover, 100);
    CHECK_STR(forest->source, "lightgbm v4, binary");
    CHECK_STR(graph->producer, "lightgbm v4");
    CHECK_STR(graph->metadata[0].value, "[\"a\", \"b=2\", \"\\\"c\"]");
    CHECK_EQ(graph->values[graph->inputs[0]].dtype, APX_F64);
    CHECK_EQ(forest->link.kind, APX_LINK_SIGMOID);
    CHECK_EQ(forest->label_rule, APX_LABEL_ABOVE);
    CHECK(forest->link.a == 0.5 && forest->link.divide == 0);

    const double rows[4][3] = {{0.5, 0, 32}, {0.5, 0, 1}, {0.6, 1, 0}, {0.6, -1, 0}};
    const uint32_t leaf[4] = {0, 2, 3, 3};
    const double value[4] = {0.125, 2.25, 0.1, 0.1};
    double margins[4];
    uint32_t leaves[8];
    lightgbm_run(forest, 4, rows[0], margins, leaves);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(leaves[2 * i], i < 3 ? leaf[i] : 1);
        CHECK_EQ(leaves[2 * i + 1], 0);
        CHECK(margins[i] == (i < 3 ? value[i] : -1.5) + -0.3);
    }
    apx_graph_destroy(graph);
}

/* ---- splits ---------------------------------------------------------------------------------- */

/* LightGBM's predictor, step by step: a row is first freed of values that count as zero. */
static bool number_goes_left(double x, double threshold, int type)
{
    const double zero = (double)1e-35f;
    const int missing = type >> 2;
    if (fabs(x) <= zero)
        x = 0;
    if (isnan(x) && missing != 2)
        x = 0;
    if ((missing == 1 && fabs(x) <= zero) || (missing == 2 && isnan(x)))
        return (type & 2) != 0;
    return x <= threshold;
}

static bool category_goes_left(double x, const uint32_t *words, int count)
{
    if (isnan(x) || !(x > -1 && x < 2147483648.0)) /* beyond an int: the least int on x86 */
        return false;
    int category = (int)x;
    return category / 32 < count && (words[category / 32] >> category % 32 & 1) != 0;
}

/* Around zero, its band, other numbers, and what is no number; each with its two neighbours. */
static size_t probes(double *to)
{
    static const double centres[] = {
        0, 1e-35, (double)1e-35f,        5e-324, 1e-310, 2e-35, 1e-40, 0.5,
        1, 1e300, 1.7976931348623157e308};
    size_t count = 0;
    for (size_t i = 0; i < sizeof centres / sizeof centres[0]; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            double centre = sign * centres[i];
            to[count++] = centre;
            to[count++] = nextafter(centre, INFINITY);
            to[count++] = nextafter(centre, -INFINITY);
        }
    to[count++] = INFINITY;
    to[count++] = -INFINITY;
    to[count++] = NAN;
    return count;
}

static void sends_numbers_where_lightgbm_does(void)
{
    double x[128], margins[128];
    uint32_t leaves[128];
    const size_t count = probes(x);
    for (size_t t = 0; t < count; t++) {
        if (isnan(x[t]))
            continue;
        for (int type = 0; type < 12; type += 2) {
            char text[1024];
            snprintf(text, sizeof text,
                     "tree\nversion=v3\nnum_class=1\nmax_feature_idx=0\n\nTree=0\nnum_leaves=2\n"
                     "num_cat=0\nsplit_feature=0\nthreshold=%.17g\ndecision_type=%d\n"
                     "left_child=-1\nright_child=-2\nleaf_value=1 2\n\nend of trees\n",
                     x[t], type);
            struct apx_graph *graph;
            const struct apx_forest *forest = lightgbm_forest(text, &graph);
            lightgbm_run(forest, count, x, margins, leaves);
            for (size_t i = 0; i < count; i++)
                if (!CHECK(leaves[i] == (number_goes_left(x[i], x[t], type) ? 0 : 1)))
                    fprintf(stderr, "    x %.17g, threshold %.17g, decision type %d\n", x[i], x[t],
                            type);
            apx_graph_destroy(graph);
        }
    }
}

static void sends_categories_where_lightgbm_does(void)
{
    static const uint32_t sets[][3] = {{0, 0, 0},
                                       {1, 0, 0},
                                       {0x80000001u, 1, 0},
                                       {0xffffffffu, 0xffffffffu, 0xffffffffu},
                                       {0xaaaaaaaau, 6, 0x80000000u},
                                       {2, 0, 0x40000000u}};
    double x[512], margins[512];
    uint32_t leaves[512];
    size_t count = probes(x);
    for (int category = -2; category < 99; category++) {
        x[count++] = category;
        x[count++] = category + 0.5;
        x[count++] = nextafter(category, -INFINITY);
    }
    const double large[] = {16777216, 2147483647, 2147483647.5, 2147483648.0, 4294967296.0, 1e19};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        x[count++] = large[i];
        x[count++] = -large[i];
    }
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++)
        for (int words = 1; words <= 3; words++) {
            char list[64] = "", text[1024];
            for (int i = 0; i < words; i++)
                snprintf(list + strlen(list), sizeof list - strlen(list), " %u", sets[s][i]);
            snprintf(text, sizeof text,
                     "tree\nversion=v3\nnum_class=1\nmax_feature_idx=0\n\nTree=0\nnum_leaves=2\n"
                     "num_cat=2\nsplit_feature=0\nthreshold=1\ndecision_type=1\nleft_child=-1\n"
                     "right_child=-2\nleaf_value=1 2\ncat_boundaries=0 1 %d\ncat_threshold=5%s\n\n"
                     "end of trees\n",
                     words + 1, list);
            struct apx_graph *graph;
            const struct apx_forest *forest = lightgbm_forest(text, &graph);
            lightgbm_run(forest, count, x, margins, leaves);
            for (size_t i = 0; i < count; i++)
                if (!CHECK(leaves[i] == (category_goes_left(x[i], sets[s], words) ? 0 : 1)))
                    fprintf(stderr, "    x %.17g, set%s\n", x[i], list);
            apx_graph_destroy(graph);
        }
}

/* ---- around the trees ------------------------------------------------------------------------ */

static void knows_the_objectives(void)
{
    static const struct {
        const char *line;
        enum apx_link_kind kind;
        double a;
        enum apx_label_rule rule;
    } known[] = {
        {"regression", APX_LINK_NONE, 1, APX_LABEL_NONE},
        {"regression sqrt", APX_LINK_SIGNED_SQUARE, 1, APX_LABEL_NONE},
        {"regression_l1", APX_LINK_NONE, 1, APX_LABEL_NONE},
        {"huber sqrt", APX_LINK_NONE, 1, APX_LABEL_NONE},
        {"fair", APX_LINK_NONE, 1, APX_LABEL_NONE},
        {"quantile alpha:0.9", APX_LINK_NONE, 1, APX_LABEL_NONE},
        {"mape", APX_LINK_NONE, 1, APX_LABEL_NONE},
        {"poisson", APX_LINK_EXP, 1, APX_LABEL_NONE},
        {"gamma", APX_LINK_EXP, 1, APX_LABEL_NONE},
        {"tweedie tweedie_variance_power:1.5", APX_LINK_EXP, 1, APX_LABEL_NONE},
        {"binary sigmoid:1", APX_LINK_SIGMOID, 1, APX_LABEL_ABOVE},
        {"binary sigmoid:2.34567", APX_LINK_SIGMOID, 2 + 34567 / 1e5, APX_LABEL_ABOVE},
        {"binary sigmoid:1.5e-05", APX_LINK_SIGMOID, 1.5 / 1e5, APX_LABEL_ABOVE},
        {"binary sigmoid:1.25e+10", APX_LINK_SIGMOID, 1.25e10, APX_LABEL_ABOVE},
        {"cross_entropy", APX_LINK_SIGMOID, 1, APX_LABEL_NONE},
        {"xentropy", APX_LINK_SIGMOID, 1, APX_LABEL_NONE},
        {"cross_entropy_lambda", APX_LINK_LOG1P_EXP, 1, APX_LABEL_NONE},
        {"lambdarank", APX_LINK_NONE, 1, APX_LABEL_NONE},
        {"rank_xendcg", APX_LINK_NONE, 1, APX_LABEL_NONE},
        {"multiclass num_class:1", APX_LINK_SOFTMAX, 1, APX_LABEL_ARGMAX},
        {"multiclassova num_class:1 sigmoid:3", APX_LINK_SIGMOID, 3, APX_LABEL_ARGMAX},
        {"custom", APX_LINK_NONE, 1, APX_LABEL_NONE},
    };
    struct apx_graph *graph;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char *text = text_with(lightgbm_sample, "binary sigmoid:0.5", known[i].line);
        const struct apx_forest *forest = lightgbm_forest(text, &graph);
        CHECK_EQ(forest->link.kind, known[i].kind);
        CHECK(forest->link.a == known[i].a);
        if (!CHECK(forest->label_rule == known[i].rule))
            fprintf(stderr, "    %s\n", known[i].line);
        apx_graph_destroy(graph);
        free(text);
    }
    char *text = text_with(lightgbm_sample, "objective=binary sigmoid:0.5\n", "");
    CHECK_EQ(lightgbm_forest(text, &graph)->link.kind, APX_LINK_NONE);
    CHECK_STR(graph->nodes[0].forest->source, "lightgbm v4, custom objective");
    apx_graph_destroy(graph);
    free(text);
}

static void averages_by_iteration(void)
{
    char *text = text_with(lightgbm_sample, "feature_names=", "average_output\nfeature_names=");
    struct apx_graph *graph;
    CHECK(lightgbm_forest(text, &graph)->link.divide == 2);
    apx_graph_destroy(graph);
    free(text);
}

static void deals_trees_to_classes(void)
{
    char *classes = text_with(lightgbm_sample, "num_class=1\nnum_tree_per_iteration=1",
                              "num_class=2\nnum_tree_per_iteration=2");
    char *text = text_with(classes, "binary sigmoid:0.5", "multiclass num_class:2");
    struct apx_graph *graph;
    const struct apx_forest *forest = lightgbm_forest(text, &graph);
    const double x[3] = {0.5, 0, 32};
    double margins[2];
    uint32_t leaves[2];
    CHECK_EQ(forest->desc.outputs, 2);
    lightgbm_run(forest, 1, x, margins, leaves);
    CHECK(margins[0] == 0.125 && margins[1] == -0.3);
    apx_graph_destroy(graph);
    free(classes);
    free(text);
}

/* A model that a program changed the line ends of, and what versions differ in. */
static void reads_versions_and_line_ends(void)
{
    static const char *const changes[][2] = {
        {"version=v4", "version=v2"},
        {"version=v4", "version=v3"},
        {"importance_type=0\n", ""},
        {"feature_infos=[-1:1] [0:9] 0:1:2:3\n", ""},
        {"end of trees\n\nfeature_importances:\n", "feature importances:\n"},
        {"leaf_weight=1 1 1 1\n", ""},
        {"leaf_count=10 20 30 40\n", "leaf_count=\n"},
        {"is_linear=0\n", ""},
        {"num_tree_per_iteration=1\n", ""},
        {"\n\nTree=1", "\nTree=1"},
        {"pandas_categorical:null\n", ""}};
    const double x[3] = {0.5, 0, 32};
    double margin;
    uint32_t leaves[2];
    struct apx_graph *graph;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char *text = text_with(lightgbm_sample, changes[i][0], changes[i][1]);
        lightgbm_run(lightgbm_forest(text, &graph), 1, x, &margin, leaves);
        CHECK(margin == 0.125 + -0.3 && leaves[0] == 0);
        apx_graph_destroy(graph);
        free(text);
    }
    char crlf[4096];
    size_t length = 0;
    for (const char *at = lightgbm_sample; *at != '\0'; at++) {
        if (*at == '\n')
            crlf[length++] = '\r';
        crlf[length++] = *at;
    }
    crlf[length] = '\0';
    lightgbm_run(lightgbm_forest(crlf, &graph), 1, x, &margin, leaves);
    CHECK(margin == 0.125 + -0.3);
    CHECK_STR(graph->metadata[0].value, "[\"a\", \"b=2\", \"\\\"c\"]");
    apx_graph_destroy(graph);
}

static void no_trees_is_a_model(void)
{
    struct apx_graph *graph;
    const struct apx_forest *forest =
        lightgbm_forest("tree\nversion=v4\nnum_class=2\nnum_tree_per_iteration=2\n"
                        "max_feature_idx=0\nfeature_names=x\ntree_sizes=\n\nend of trees\n",
                        &graph);
    double margins[2] = {1, 1}, x = 0;
    CHECK_EQ(forest->desc.trees, 0);
    lightgbm_run(forest, 1, &x, margins, NULL);
    CHECK(margins[0] == 0 && margins[1] == 0);
    apx_graph_destroy(graph);
}

/* ---- linear leaves --------------------------------------------------------------------------- */

static void adds_linear_leaves(void)
{
    const char *text = "tree\nversion=v4\nnum_class=1\nmax_feature_idx=1\n\n"
                       "Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=0\n"
                       "decision_type=8\nleft_child=-2\nright_child=-1\nleaf_value=4 8\n\n"
                       "Tree=1\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=0\n"
                       "decision_type=8\nleft_child=-2\nright_child=-1\nleaf_value=100 200\n"
                       "is_linear=1\nleaf_const=1 0.5\nnum_features=0 2\nleaf_features= 1 0  \n"
                       "leaf_coeff= 3 -0.10000000000000001  \n\n"
                       "Tree=2\nnum_leaves=1\nnum_cat=0\nleaf_value=7\nis_linear=1\n"
                       "leaf_const=0.25\nnum_features=1\nleaf_features=1\nleaf_coeff=2\n\n"
                       "end of trees\n";
    struct apx_graph *graph;
    const struct apx_forest *forest = lightgbm_forest(text, &graph);
    REQUIRE(forest->desc.linear != NULL);
    const double x[4][2] = {{-0.7, 0.3}, {-0.7, (double)NAN}, {0.7, 0.3}, {(double)NAN, 0.3}};
    double margins[4];
    uint32_t leaves[12];
    lightgbm_run(forest, 4, x[0], margins, leaves);
    double linear = 0.5;
    linear += 3 * 0.3;
    linear += -0.1 * -0.7;
    const double last = 0.25 + 2 * 0.3;
    CHECK(margins[0] == 8 + linear + last && leaves[1] == 1);
    CHECK(margins[1] == 8.0 + 200 + 7); /* NaN: the plain values */
    CHECK(margins[2] == 4 + 1 + last && leaves[7] == 0);
    CHECK(margins[3] == 4 + 1 + last); /* NaN went right, where x is not used */
    apx_graph_destroy(graph);
}

int main(void)
{
    RUN(reads_a_model);
    RUN(sends_numbers_where_lightgbm_does);
    RUN(sends_categories_where_lightgbm_does);
    RUN(knows_the_objectives);
    RUN(averages_by_iteration);
    RUN(deals_trees_to_classes);
    RUN(reads_versions_and_line_ends);
    RUN(no_trees_is_a_model);
    RUN(adds_linear_leaves);
    return check_report();
}
