/* SPDX-License-Identifier: Apache-2.0 */
/* label_map.h - the table of a LabelEncoder: numbers to numbers. */
#ifndef APX_MODEL_LABEL_MAP_H
#define APX_MODEL_LABEL_MAP_H

#include "runtime/model/graph.h"

struct apx_label_map {
    enum apx_dtype from, to; /* of an element and of its label */
    size_t count;
    /* Ascending, [count], by the type of `from`; the other is NULL. A NaN is the first. */
    const int64_t *integers;
    const double *reals;
    const void
        *labels; /* [count + 1] of `to`, in the order of the keys; the last is for the rest */
    const struct apx_allocator *allocator;
};

/* The types alone, for nodes whose table may be looked at.
 *   APX_EFORMAT       no keys or no values, or both in two ways
 *   APX_EUNSUPPORTED  text (field: the node) */
enum apx_status apx_label_map_types(const struct apx_graph *graph, const struct apx_node *node,
                                    enum apx_dtype *from, enum apx_dtype *to,
                                    struct apx_error *error);
/* The table; apx_label_map_fini releases it. A key given twice has its first label.
 *   APX_EFORMAT  more keys than values or the reverse; and as above; APX_ENOMEM */
enum apx_status apx_label_map_init(const struct apx_graph *graph, const struct apx_node *node,
                                   struct apx_label_map *map, struct apx_error *error);
void apx_label_map_fini(struct apx_label_map *map);

/* Index of the label among map->labels. */
size_t apx_label_map_integer(const struct apx_label_map *map, int64_t key);
size_t apx_label_map_real(const struct apx_label_map *map, double key);

#endif
