/* SPDX-License-Identifier: Apache-2.0 */
/* label_map.c - keys sorted, so that a label is found by halving. */
#include "runtime/model/label_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "runtime/base/fail.h"
#include "runtime/base/memory.h"

/* Keys or values as the node has them. */
struct list {
    enum apx_dtype dtype;
    size_t count;
    const void *data;
};

static enum apx_status find_list(const struct apx_graph *graph, const struct apx_node *node,
                                 const char *const *names, struct list *list,
                                 struct apx_error *error)
{
    int found = 0;
    for (int form = 0; form < 4; form++) {
        const struct apx_attr *attr = apx_node_attr(node, names[form]);
        if (attr == NULL || (attr->type != APX_ATTR_TENSOR && attr->count == 0))
            continue;
        found++;
        switch (attr->type) {
        case APX_ATTR_INTS:
            *list = (struct list){APX_I64, attr->count, attr->ints};
            break;
        case APX_ATTR_FLOATS:
            *list = (struct list){APX_F32, attr->count, attr->floats};
            break;
        case APX_ATTR_TENSOR: {
            const struct apx_value *value = &graph->values[attr->tensor];
            size_t size = apx_dtype_size(value->dtype);
            *list = (struct list){value->dtype, size > 0 ? value->bytes / size : 0, value->data};
            break;
        }
        default:
            list->dtype = APX_STRING;
        }
    }
    if (found != 1)
        return apx_fail(error, APX_EFORMAT, node->name, "LabelEncoder has %s of %s, %s, %s and %s",
                        found == 0 ? "none" : "more than one", names[0], names[1], names[2],
                        names[3]);
    if (list->dtype == APX_STRING || list->dtype == APX_BOOL)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "a LabelEncoder of %s, which is not read; map it before the model",
                        list->dtype == APX_BOOL ? "booleans" : "text");
    return APX_OK;
}

static enum apx_status find_lists(const struct apx_graph *graph, const struct apx_node *node,
                                  struct list *keys, struct list *values, struct apx_error *error)
{
    static const char *const key_names[] = {"keys_int64s", "keys_floats", "keys_strings",
                                            "keys_tensor"};
    static const char *const value_names[] = {"values_int64s", "values_floats", "values_strings",
                                              "values_tensor"};
    *keys = *values = (struct list){APX_DTYPE_NONE, 0, NULL};
    if (apx_node_attr(node, "classes_strings") != NULL)
        return apx_fail(error, APX_EUNSUPPORTED, node->name,
                        "a LabelEncoder of text, which is not read; map it before the model");
    enum apx_status status = find_list(graph, node, key_names, keys, error);
    return status != APX_OK ? status : find_list(graph, node, value_names, values, error);
}

enum apx_status apx_label_map_types(const struct apx_graph *graph, const struct apx_node *node,
                                    enum apx_dtype *from, enum apx_dtype *to,
                                    struct apx_error *error)
{
    struct list keys, values;
    enum apx_status status = find_lists(graph, node, &keys, &values, error);
    *from = keys.dtype;
    *to = values.dtype;
    return status;
}

/* ---- sorting --------------------------------------------------------------------------------- */

struct entry {
    int64_t integer;
    double real;
    size_t at; /* in the node's lists */
};

static int compare_integers(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->integer != y->integer)
        return x->integer < y->integer ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static int compare_reals(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (isnan(x->real) != isnan(y->real))
        return isnan(x->real) ? -1 : 1;
    if (!isnan(x->real) && x->real != y->real)
        return x->real < y->real ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The label of keys that are not in the table. */
static enum apx_status read_default(const struct apx_graph *graph, const struct apx_node *node,
                                    enum apx_dtype to, void *label, struct apx_error *error)
{
    const struct apx_attr *tensor = apx_node_attr(node, "default_tensor");
    int64_t integer = apx_node_int(node, "default_int64", -1);
    float real = apx_node_float(node, "default_float", -0.0f);
    if (tensor != NULL) {
        const struct apx_value *value = &graph->values[tensor->tensor];
        if (value->dtype != to || value->bytes != apx_dtype_size(to))
            return apx_fail(error, APX_EFORMAT, node->name,
                            "default_tensor is not one number of the values' type");
        memcpy(label, value->data, value->bytes);
        return APX_OK;
    }
    if (to == APX_F32 || to == APX_F64)
        apx_cast(1, APX_F32, &real, (int)to, label);
    else
        apx_cast(1, APX_I64, &integer, (int)to, label);
    return APX_OK;
}

static enum apx_status fill(const struct apx_graph *graph, const struct apx_node *node,
                            const struct list *keys, const struct list *values,
                            struct entry *entries, struct apx_label_map *map,
                            struct apx_error *error)
{
    const size_t count = keys->count, size = apx_dtype_size(values->dtype);
    const bool is_real = keys->dtype == APX_F32 || keys->dtype == APX_F64;
    int64_t *integers = is_real ? NULL : apx_alloc(graph->allocator, count + 1, sizeof *integers);
    double *reals = is_real ? apx_alloc(graph->allocator, count + 1, sizeof *reals) : NULL;
    char *labels = apx_alloc(graph->allocator, count + 1, size);
    map->integers = integers;
    map->reals = reals;
    map->labels = labels;
    if (labels == NULL || (is_real ? (void *)reals : (void *)integers) == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    const char *key = keys->data;
    for (size_t i = 0; i < count; i++, key += apx_dtype_size(keys->dtype)) {
        entries[i].at = i;
        if (is_real)
            apx_cast(1, (int)keys->dtype, key, APX_F64, &entries[i].real);
        else
            apx_cast(1, (int)keys->dtype, key, APX_I64, &entries[i].integer);
    }
    if (count > 1)
        qsort(entries, count, sizeof *entries, is_real ? compare_reals : compare_integers);
    for (size_t i = 0; i < count; i++) {
        if (is_real)
            reals[i] = entries[i].real;
        else
            integers[i] = entries[i].integer;
        memcpy(labels + i * size, (const char *)values->data + entries[i].at * size, size);
    }
    return read_default(graph, node, values->dtype, labels + count * size, error);
}

enum apx_status apx_label_map_init(const struct apx_graph *graph, const struct apx_node *node,
                                   struct apx_label_map *map, struct apx_error *error)
{
    struct list keys, values;
    enum apx_status status = find_lists(graph, node, &keys, &values, error);
    *map = (struct apx_label_map){.allocator = graph->allocator};
    if (status != APX_OK)
        return status;
    if (keys.count != values.count)
        return apx_fail(error, APX_EFORMAT, node->name, "%zu keys and %zu values", keys.count,
                        values.count);
    map->from = keys.dtype;
    map->to = values.dtype;
    map->count = keys.count;
    struct entry *entries = apx_alloc(graph->allocator, keys.count + 1, sizeof *entries);
    if (entries == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory");
    status = fill(graph, node, &keys, &values, entries, map, error);
    apx_release(graph->allocator, entries);
    if (status != APX_OK)
        apx_label_map_fini(map);
    return status;
}

void apx_label_map_fini(struct apx_label_map *map)
{
    const void *parts[] = {map->integers, map->reals, map->labels};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        apx_release(map->allocator, (void *)(uintptr_t)parts[i]);
    map->integers = NULL;
    map->reals = NULL;
    map->labels = NULL;
}

/* ---- looking up ------------------------------------------------------------------------------ */

size_t apx_label_map_integer(const struct apx_label_map *map, int64_t key)
{
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->integers[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < map->count && map->integers[low] == key ? low : map->count;
}

size_t apx_label_map_real(const struct apx_label_map *map, double key)
{
    size_t low = 0, high = map->count;
    if (isnan(key))
        return map->count > 0 && isnan(map->reals[0]) ? 0 : map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (isnan(map->reals[middle]) || map->reals[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < map->count && map->reals[low] == key ? low : map->count;
}
