/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_case.h - small models of XGBoost as text and as UBJSON, read and run through the
 * reference row. */
#ifndef APX_TESTS_XGBOOST_CASE_H
#define APX_TESTS_XGBOOST_CASE_H

#include "runtime/base/memory.h"
#include "runtime/model/forest/forest_read.h"
#include "tests/harness/text_with.h"

#include <string.h>

/* Two trees over three features: numbers, a set of categories, a single leaf with pruned nodes. */
static const char *const xgboost_sample =
    "{\"learner\":{\"attributes\":{\"best_iteration\":\"0\"},"
    "\"feature_names\":[\"a\",\"b "
    "\\\"2\\\"\",\"\\u00e9\\/\"],\"feature_types\":[\"float\",\"int\",\"c\"],"
    "\"gradient_booster\":{\"model\":{"
    "\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_trees\":\"2\"},"
    "\"tree_info\":[0,0],\"trees\":["
    "{\"base_weights\":[0,0,0,0,0,0,0],\"categories\":[0,2,3],\"categories_nodes\":[2],"
    "\"categories_segments\":[0],\"categories_sizes\":[3],\"default_left\":[1,0,0,0,0,0,0],"
    "\"id\":0,\"left_children\":[1,3,5,-1,-1,-1,-1],\"loss_changes\":[1E0,0,0,0,0,0,0],"
    "\"parents\":[2147483647,0,0,1,1,2,2],\"right_children\":[2,4,6,-1,-1,-1,-1],"
    "\"split_conditions\":[5E-1,-1.5E0,NaN,1.25E-1,-1.5E0,2.25E0,1E-1],"
    "\"split_indices\":[0,1,2,0,0,0,0],\"split_type\":[0,0,1,0,0,0,0],"
    "\"sum_hessian\":[1E2,4E1,6E1,1E1,3E1,2E1,4E1],"
    "\"tree_param\":{\"num_deleted\":\"0\",\"num_feature\":\"3\",\"num_nodes\":\"7\","
    "\"size_leaf_vector\":\"1\"}},"
    "{\"base_weights\":[0,0,0],\"categories\":[],\"categories_nodes\":[],"
    "\"categories_segments\":[],\"categories_sizes\":[],\"default_left\":[0,0,0],\"id\":1,"
    "\"left_children\":[-1,-1,-1],\"loss_changes\":[0,0,0],\"parents\":[2147483647,0,0],"
    "\"right_children\":[-1,-1,-1],\"split_conditions\":[-3E-1,7E0,8E0],"
    "\"split_indices\":[0,2147483647,2147483647],\"split_type\":[0,0,0],\"sum_hessian\":[1,1,1],"
    "\"tree_param\":{\"num_deleted\":\"2\",\"num_feature\":\"3\",\"num_nodes\":\"3\","
    "\"size_leaf_vector\":\"1\"}}]},\"name\":\"gbtree\"},"
    "\"learner_model_param\":{\"base_score\":\"5E-1\",\"num_class\":\"0\",\"num_feature\":\"3\","
    "\"num_target\":\"1\"},"
    "\"objective\":{\"name\":\"reg:squarederror\",\"reg_loss_param\":{\"scale_pos_weight\":\"1\"}}}"
    ","
    "\"version\":[3,0,5]}";

/* The same, the given text freed. */
static inline char *xgboost_change(char *text, const char *from, const char *to)
{
    char *copy = text_with(text, from, to);
    free(text);
    return copy;
}

/* ---- UBJSON ---------------------------------------------------------------------------------- */

/* JSON text as the UBJSON that XGBoost writes: arrays of numbers typed (float32 where one has a
 * point, an exponent or is NaN, else int32), lengths of type L. */
struct xgboost_ubjson {
    unsigned char *bytes;
    size_t count;
};

static inline void ubjson_put(struct xgboost_ubjson *to, uint64_t value, int bytes)
{
    for (int i = bytes; i-- > 0;)
        to->bytes[to->count++] = (unsigned char)(value >> (8 * i));
}

static inline const char *ubjson_string(struct xgboost_ubjson *to, const char *at)
{
    size_t length_at = to->count + 1;
    ubjson_put(to, 'L', 1);
    to->count += 8;
    for (at++; *at != '"'; at++) {
        if (*at == '\\')
            at++;
        to->bytes[to->count++] = (unsigned char)*at;
    }
    size_t end = to->count, length = end - length_at - 8;
    to->count = length_at;
    ubjson_put(to, length, 8);
    to->count = end;
    return at + 1;
}

static inline const char *ubjson_numbers(struct xgboost_ubjson *to, const char *at)
{
    size_t count = 1, length = strcspn(at, "]");
    bool is_float = false;
    for (size_t i = 0; i < length; i++) {
        count += at[i] == ',';
        is_float |= at[i] == '.' || at[i] == 'E' || at[i] == 'N';
    }
    ubjson_put(to, '$', 1);
    ubjson_put(to, is_float ? 'd' : 'l', 1);
    ubjson_put(to, '#', 1);
    ubjson_put(to, 'L', 1);
    ubjson_put(to, count, 8);
    for (size_t i = 0; i < count; i++) {
        char *after;
        if (is_float) {
            float value = strtof(at, &after);
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            ubjson_put(to, bits, 4);
        } else {
            ubjson_put(to, (uint64_t)strtol(at, &after, 10), 4);
        }
        at = after + 1;
    }
    return at;
}

static inline const char *ubjson_value(struct xgboost_ubjson *to, const char *at)
{
    if (*at == '{') {
        ubjson_put(to, '{', 1);
        for (at++; *at != '}'; at += *at == ',') {
            at = ubjson_string(to, at);
            at = ubjson_value(to, at + 1);
        }
        ubjson_put(to, '}', 1);
        return at + 1;
    }
    if (*at == '"') {
        ubjson_put(to, 'S', 1);
        return ubjson_string(to, at);
    }
    if (*at != '[') {
        char *after;
        ubjson_put(to, 'l', 1);
        ubjson_put(to, (uint64_t)strtol(at, &after, 10), 4);
        return after;
    }
    ubjson_put(to, '[', 1);
    if (at[1] == '-' || at[1] == 'N' || (at[1] >= '0' && at[1] <= '9'))
        return ubjson_numbers(to, at + 1);
    for (at++; *at != ']'; at += *at == ',')
        at = ubjson_value(to, at);
    ubjson_put(to, ']', 1);
    return at + 1;
}

/* The caller frees the bytes. */
static inline struct xgboost_ubjson xgboost_ubjson_of(const char *text)
{
    struct xgboost_ubjson to = {malloc(16 * strlen(text) + 64), 0};
    REQUIRE(to.bytes != NULL);
    ubjson_value(&to, text);
    return to;
}

/* ---- reading and running --------------------------------------------------------------------- */

/* From a copy without a byte to spare, so that a read beyond it is seen. */
static inline enum apx_status xgboost_read(const void *data, size_t length,
                                           struct apx_graph **graph, struct apx_error *error)
{
    char *exact = malloc(length > 0 ? length : 1);
    REQUIRE(exact != NULL);
    memcpy(exact, data, length);
    *error = (struct apx_error){0};
    enum apx_status status = apx_xgboost_read(exact, length, apx_allocator_default(), graph, error);
    free(exact);
    CHECK((status == APX_OK) == (*graph != NULL));
    CHECK_EQ(error->status, status);
    CHECK((status == APX_OK) == (error->message[0] == '\0'));
    return status;
}

/* The forest of a text that must be readable, as UBJSON if `binary`; the graph is the caller's. */
static inline const struct apx_forest *xgboost_forest(const char *text, bool binary,
                                                      struct apx_graph **graph)
{
    struct apx_error error;
    enum apx_status status;
    if (binary) {
        struct xgboost_ubjson ubjson = xgboost_ubjson_of(text);
        status = xgboost_read(ubjson.bytes, ubjson.count, graph, &error);
        free(ubjson.bytes);
    } else {
        status = xgboost_read(text, strlen(text), graph, &error);
    }
    if (!CHECK(status == APX_OK))
        fprintf(stderr, "    %s\n", error.message);
    REQUIRE(*graph != NULL && (*graph)->node_count == 1);
    return (*graph)->nodes[0].forest;
}

/* Margins [rows, outputs] and leaves [rows, trees] of x [rows, features]. */
static inline void xgboost_run(const struct apx_forest *forest, size_t rows, const float *x,
                               float *margins, uint32_t *leaves)
{
    size_t count;
    const struct apx_forest_row *row = apx_forest_rows(&count) + count - 1; /* the reference */
    const struct apx_allocator *allocator = apx_allocator_default();
    void *packed = apx_alloc(allocator, 1, row->pack_bound(&forest->desc));
    REQUIRE(packed != NULL);
    row->pack(&forest->desc, packed);
    void *scratch = apx_alloc(allocator, 1, row->scratch_bytes(packed));
    REQUIRE(scratch != NULL);
    row->run(&(struct apx_forest_args){.packed = packed,
                                       .rows = rows,
                                       .x = x,
                                       .x_row = (ptrdiff_t)forest->desc.features,
                                       .margins = margins,
                                       .leaves = leaves,
                                       .scratch = scratch});
    apx_release(allocator, scratch);
    apx_release(allocator, packed);
}

#endif
