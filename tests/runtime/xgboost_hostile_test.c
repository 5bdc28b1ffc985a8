/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_hostile_test.c - files of XGBoost that are cut off, damaged or made to harm: a clear
 * error with the place, and the same for each allocation that fails. */
#include "tests/harness/counted_heap.h"
#include "tests/runtime/xgboost_case.h"

static void says_what_is_wrong(void)
{
    static const struct {
        const char *from, *to;
        enum apx_status status;
        const char *field, *message;
    } changes[] = {
        {"\"learner\"", "\"leaner\"", APX_EFORMAT, "learner", "no member learner"},
        {"\"version\"", "\"ver\"", APX_EFORMAT, "version", "no member version"},
        {"[3,0,5]", "[3,0]", APX_EFORMAT, "version", "no member version"},
        {"\"learner_model_param\"", "\"x\"", APX_EFORMAT, "learner.learner_model_param",
         "no member"},
        {"\"objective\":{\"name\"", "\"objective\":{\"nam\"", APX_EFORMAT, "learner.objective.name",
         "no member"},
        {"reg:squarederror", "reg:mine", APX_EUNSUPPORTED, "objective", "\"reg:mine\""},
        {"\"name\":\"gbtree\"", "\"name\":\"gblinear\"", APX_EUNSUPPORTED, "gradient_booster",
         "\"gblinear\" has no trees"},
        {"\"name\":\"gbtree\"", "\"nam\":\"gbtree\"", APX_EFORMAT, "learner.gradient_booster.name",
         "no member"},
        {"\"model\"", "\"mode\"", APX_EFORMAT, "learner.gradient_booster.model", "no member"},
        {"\"trees\"", "\"tree\"", APX_EFORMAT, "learner.gradient_booster.model.trees", "no member"},
        {"\"base_score\":\"5E-1\"", "\"base_score\":\"5E-1x\"", APX_EFORMAT, "base_score",
         "neither a number"},
        {"\"base_score\":\"5E-1\"", "\"base_score\":\"[]\"", APX_EFORMAT, "base_score",
         "neither a number"},
        {"\"base_score\":\"5E-1\"", "\"base_score\":\"[1,2]\"", APX_EFORMAT, "base_score",
         "2 numbers for 1 outputs"},
        {"\"base_score\":\"5E-1\"", "\"base_score\":\"[1\"", APX_EFORMAT, "base_score", "neither"},
        {"\"base_score\":\"5E-1\"", "\"base_score\":\"NaN\"", APX_EFORMAT, "base_score",
         "not finite"},
        {"\"base_score\":\"5E-1\"", "\"base_score\":\"1E39\"", APX_EFORMAT, "base_score",
         "not finite"},
        {"\"base_score\":\"5E-1\"", "\"base_score\":[1,2,3]", APX_EFORMAT, "base_score",
         "3 numbers"},
        {"\"base_score\":\"5E-1\"", "\"base_scor\":\"5E-1\"", APX_EFORMAT,
         "learner.learner_model_param.base_score", "no member"},
        {"\"num_feature\":\"3\",\"num_target\"", "\"num_feature\":\"-3\",\"num_target\"",
         APX_EFORMAT, "num_feature", "\"-3\", no whole number"},
        {"\"num_feature\":\"3\",\"num_target\"", "\"num_feature\":\"99999999999\",\"num_target\"",
         APX_EFORMAT, "num_feature", "no whole number"},
        {"\"num_feature\":\"3\",\"num_target\"", "\"num_feature\":\"9999999\",\"num_target\"",
         APX_ELIMIT, "features", "9999999 features"},
        {"\"num_feature\":\"3\",\"num_target\"", "\"num_feature\":\"2\",\"num_target\"",
         APX_EFORMAT, "tree 0", "tree 0, node 2: a feature that the model does not have"},
        {"\"num_target\":\"1\"", "\"num_target\":\"9999999\"", APX_ELIMIT, "outputs", "9999999"},
        {"\"num_class\":\"0\",\"num_feature\":\"3\",\"num_target\":\"1\"",
         "\"num_class\":\"2\",\"num_feature\":\"3\",\"num_target\":\"2\"", APX_EFORMAT,
         "num_target", "2 classes and 2 targets"},
        {"\"tree_info\":[0,0]", "\"tree_info\":[0]", APX_EFORMAT, "tree_info", "2 trees"},
        {"\"tree_info\":[0,0]", "\"tree_info\":[0,1]", APX_EFORMAT, "tree 1",
         "an output that the model does not have"},
        {"\"tree_info\":[0,0]", "\"tree_info\":[-1,0]", APX_EFORMAT, "tree_info",
         "tree 0 has output -1"},
        {"\"num_trees\":\"2\"", "\"num_trees\":\"3\"", APX_EFORMAT, "num_trees", "there are 2"},
        {"\"id\":1", "\"id\":0", APX_EFORMAT, "tree 1", "its place"},
        {"\"id\":1", "\"id\":-1", APX_EFORMAT, "id", "id is -1"},
        {"\"num_nodes\":\"7\"", "\"num_nodes\":\"6\"", APX_EFORMAT, "tree 0",
         "left_children has 7 elements, not 6"},
        {"\"size_leaf_vector\":\"1\"}},", "\"size_leaf_vector\":\"2\"}},", APX_EFORMAT, "tree 0",
         "size_leaf_vector is 2; the model has 1"},
        {"\"size_leaf_vector\":\"1\"}}]", "\"size_leaf_vector\":\"2\"}}]", APX_EFORMAT, "tree 1",
         "unlike the model's"},
        {"\"left_children\":[1,3,5,", "\"left_children\":[1,3,7,", APX_EFORMAT, "tree 0",
         "node 2: its left child is outside"},
        {"\"left_children\":[1,3,5,", "\"left_children\":[1,3,-2,", APX_EFORMAT, "tree 0",
         "node 2: its left child is outside"},
        {"\"left_children\":[1,3,5,", "\"left_children\":[1,3,4,", APX_EFORMAT, "tree 0",
         "node 2: its right child"},
        {"\"left_children\":[1,3,5,", "\"left_children\":[1,3,x,", APX_EFORMAT, "", "byte"},
        {"\"left_children\":[1,3,5,", "\"left_children\":[1,3,,", APX_EFORMAT, "left_children",
         "no integer at byte"},
        {"\"left_children\":[1,3,5,", "\"left_children\":[1,3,5.5,", APX_EFORMAT, "left_children",
         "no integer at byte"},
        {"\"left_children\":[1,3,5,", "\"left_children\":[\"1\",3,5,", APX_EFORMAT, "tree 0",
         "left_children is missing or no array"},
        {"\"left_children\":[1,3,5,-1,-1,-1,-1],", "", APX_EFORMAT, "tree 0", "left_children"},
        {"\"right_children\":[2,4,6,", "\"right_children\":[2,4,5,", APX_EFORMAT, "tree 0",
         "node 2: its right child is not the one behind its left"},
        {"\"left_children\":[1,3,5,-1,-1,-1,-1],\"loss_changes\":[1E0,0,0,0,0,0,0],"
         "\"parents\":[2147483647,0,0,1,1,2,2],\"right_children\":[2,4,6",
         "\"left_children\":[1,0,5,-1,-1,-1,-1],\"right_children\":[2,1,6", APX_EFORMAT, "tree 0",
         "two parents"},
        {"\"split_conditions\":[5E-1,", "\"split_conditions\":[", APX_EFORMAT, "tree 0",
         "split_conditions has 6 elements, not 7"},
        {"\"split_conditions\":[5E-1,", "\"split_conditions\":[5E,", APX_EFORMAT,
         "split_conditions", "no number at byte"},
        {"\"split_conditions\":[5E-1,", "\"split_conditions\":[0x1,", APX_EFORMAT, "",
         "array of numbers"},
        {"\"split_indices\":[0,1,2,", "\"split_indices\":[0,1,-1,", APX_EFORMAT, "tree 0",
         "node 2: a feature"},
        {"\"split_indices\":[0,1,2,", "\"split_indices\":[0,1,4294967296,", APX_EFORMAT, "tree 0",
         "node 2: a feature"},
        {"\"categories_nodes\":[2]", "\"categories_nodes\":[7]", APX_EFORMAT, "tree 0",
         "categories of a node that is not there"},
        {"\"categories_nodes\":[2]", "\"categories_nodes\":[-1]", APX_EFORMAT, "tree 0",
         "categories of a node that is not there"},
        {"\"categories_nodes\":[2]", "\"categories_nodes\":[2,2]", APX_EFORMAT, "tree 0",
         "categories_sizes has 1 elements, not 2"},
        {"\"categories_sizes\":[3]", "\"categories_sizes\":[4]", APX_EFORMAT, "tree 0",
         "more categories than the tree has"},
        {"\"categories_sizes\":[3]", "\"categories_sizes\":[-1]", APX_EFORMAT, "tree 0",
         "more categories than the tree has"},
        {"\"categories\":[0,2,3]", "\"categories\":[-1,2,3]", APX_EFORMAT, "tree 0",
         "node 2: a category below 0"},
        {"\"name\":\"gbtree\"", "\"name\":\"gbtree\",\"weight_drop\":[1]", APX_EFORMAT,
         "weight_drop", "2 trees"},
        {"\"name\":\"gbtree\"", "\"name\":\"gbtree\",\"weight_drop\":{}", APX_EFORMAT,
         "weight_drop", "2 trees"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char *text = text_with(xgboost_sample, changes[i].from, changes[i].to);
        struct apx_graph *graph;
        struct apx_error error;
        bool ok = CHECK(xgboost_read(text, strlen(text), &graph, &error) == changes[i].status);
        CHECK_HAS(error.message, changes[i].message);
        CHECK_STR(error.field, changes[i].field);
        if (!ok)
            fprintf(stderr, "    %s: %s\n", changes[i].to, error.message);
        apx_graph_destroy(graph);
        free(text);
    }
}

static void refuse(const void *data, size_t bytes, enum apx_status status, const char *message)
{
    struct apx_graph *graph;
    struct apx_error error;
    if (!CHECK(xgboost_read(data, bytes, &graph, &error) == status))
        fprintf(stderr, "    for %s\n", message);
    CHECK_HAS(error.message, message);
    apx_graph_destroy(graph);
}

static void refuses_what_is_no_model(void)
{
    static const struct {
        const char *text;
        enum apx_status status;
        const char *message;
    } cases[] = {
        {"", APX_EFORMAT, "no object at byte 0"},
        {"  x", APX_EFORMAT, "no object at byte 2"},
        {"binf\x01\x02", APX_EUNSUPPORTED, "old binary format"},
        {" [{\"nodeid\":0}]", APX_EUNSUPPORTED, "dump_model"},
        {"{}", APX_EFORMAT, "no member learner"},
        {"{} x", APX_EFORMAT, "byte 3: something follows"},
        {"{\"a\":1,}", APX_EFORMAT, "byte 7: a string is due"},
        {"{\"a\" 1}", APX_EFORMAT, "byte 5: a colon is due"},
        {"{\"a\":1 2}", APX_EFORMAT, "byte 7: a comma or }"},
        {"{\"a\":[\"b\" 2]}", APX_EFORMAT, "byte 10: a comma or ]"},
        {"{\"a\":nul}", APX_EFORMAT, "byte 5: no value"},
        {"{\"a\":}", APX_EFORMAT, "byte 5: no value"},
        {"{\"a\":\"b\nc\"}", APX_EFORMAT, "byte 7: a control character"},
        {"{\"a\":\"b\\", APX_EFORMAT, "ends here"},
        {"{\"learner\":[]}", APX_EFORMAT, "no member learner"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(cases[i].text, strlen(cases[i].text), cases[i].status, cases[i].message);
    char deep[4096] = "{\"a\":";
    memset(deep + 5, '[', sizeof deep - 5);
    refuse(deep, sizeof deep, APX_ELIMIT, "APX_LIMIT_DOCUMENT_NESTING");
}

#define L8(n) "L\0\0\0\0\0\0\0" n

/* Lengths and counts that promise more than there is. */
static void refuses_hostile_ubjson(void)
{
#define CASE(bytes, text)                                                                          \
    {                                                                                              \
        bytes, sizeof bytes - 1, text                                                              \
    }
    static const struct {
        const char *bytes;
        size_t count;
        const char *message;
    } cases[] = {
        CASE("{", "ends here"),
        CASE("{L", "ends here"),
        CASE("{Lx\0\0\0\0\0\0\0", "ends here"),
        CASE("{L\xff\xff\xff\xff\xff\xff\xff\xff}", "length is negative"),
        CASE("{L\x7f\xff\xff\xff\xff\xff\xff\xff}", "ends here"),
        CASE("{i\xff}", "length is negative"),
        CASE("{U\x01"
             "aSd\x01\x02",
             "array is due here"),
        CASE("{U\x01"
             "a[$d#" L8("\xff"),
             "ends here"),
        CASE("{U\x01"
             "a[$L#L\x20\0\0\0\0\0\0\0",
             "more numbers than the file has bytes"),
        CASE("{U\x01"
             "a[$S#" L8("\x01"),
             "holds numbers"),
        CASE("{U\x01"
             "a[$di\x01",
             "has a count"),
        CASE("{U\x01"
             "a[$",
             "ends here"),
        CASE("{U\x01"
             "a[#L\x7f\xff\xff\xff\xff\xff\xff\xff",
             "ends here"),
        CASE("{U\x01"
             "aH",
             "no value begins"),
        CASE("{U\x01"
             "a",
             "ends here"),
        CASE("{U\x01"
             "aZ}x",
             "something follows"),
        CASE("{$i#i\x01U\x01"
             "a\x01}",
             "gives all members one type"),
        CASE("{#i\x01U\x01"
             "aZ",
             "no member learner"),
        CASE("{NU\x01"
             "aNZN}NN",
             "no member learner"),
        CASE("{U\x01"
             "aT}",
             "no member learner"),
        CASE("{U\x07learner"
             "D\x40\0\0\0\0\0\0\0}",
             "no member learner"),
    };
#undef CASE
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(cases[i].bytes, cases[i].count, APX_EFORMAT, cases[i].message);
    char deep[4096] = "{U\x01"
                      "a";
    memset(deep + 4, '[', sizeof deep - 4);
    refuse(deep, sizeof deep, APX_ELIMIT, "APX_LIMIT_DOCUMENT_NESTING");
}

/* Every beginning of a file is refused. */
static void refuses_what_is_cut_off(void)
{
    struct xgboost_ubjson ubjson = xgboost_ubjson_of(xgboost_sample);
    const void *forms[] = {xgboost_sample, ubjson.bytes};
    const size_t lengths[] = {strlen(xgboost_sample), ubjson.count};
    for (int form = 0; form < 2; form++)
        for (size_t length = 0; length < lengths[form]; length++) {
            struct apx_graph *graph;
            struct apx_error error;
            if (!CHECK(xgboost_read(forms[form], length, &graph, &error) == APX_EFORMAT))
                fprintf(stderr, "    after %zu bytes: %s\n", length, error.message);
            apx_graph_destroy(graph);
        }
    free(ubjson.bytes);
}

/* ---- allocations that fail ------------------------------------------------------------------- */

static void survives_failing_allocations(void)
{
    char *text = text_with(xgboost_sample, "\"name\":\"gbtree\"",
                           "\"name\":\"gbtree\",\"weight_drop\":[1E0,5E-1]");
    struct apx_graph *graph;
    struct apx_error error;
    heap.fail_count = 0;
    heap.count = 0;
    CHECK_EQ(apx_xgboost_read(text, strlen(text), &counted, &graph, &error), APX_OK);
    apx_graph_destroy(graph);
    CHECK_EQ(heap.live, 0);
    const long total = heap.count;
    CHECK(total > 20);
    for (long i = 0; i < total; i++) {
        heap.count = 0;
        heap.fail_from = i;
        heap.fail_count = 1;
        CHECK_EQ(apx_xgboost_read(text, strlen(text), &counted, &graph, &error), APX_ENOMEM);
        CHECK(graph == NULL);
        CHECK_EQ(heap.live, 0);
    }
    free(text);
}

int main(void)
{
    RUN(says_what_is_wrong);
    RUN(refuses_what_is_no_model);
    RUN(refuses_hostile_ubjson);
    RUN(refuses_what_is_cut_off);
    RUN(survives_failing_allocations);
    return check_report();
}
