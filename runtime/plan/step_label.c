/* SPDX-License-Identifier: Apache-2.0 */
/* step_label.c - each element looked up in a table. */
#include <string.h>

#include "runtime/model/infer.h"
#include "runtime/model/label_map.h"
#include "runtime/plan/steps.h"

struct label_args {
    struct apx_ref in, out;
    size_t count;
};

static void label_bind(const struct apx_step *step, const struct apx_bound *in,
                       const struct apx_bound *out, void *memory)
{
    struct label_args *args = memory;
    args->in = apx_ref_to(step->in[0], &in[0]);
    args->out = apx_ref_to(step->out[0], &out[0]);
    args->count = (size_t)apx_bound_count(&out[0]);
}

static void label_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct label_args *args = memory;
    const struct apx_label_map *map = step->params;
    const void *x = apx_at(frame, args->in);
    char *y = apx_at(frame, args->out);
    size_t size = apx_dtype_size(map->to);
    for (size_t i = 0; i < args->count && y != NULL; i++) {
        size_t label = map->integers != NULL ? apx_label_map_integer(map, ((const int64_t *)x)[i])
                                             : apx_label_map_real(map, ((const double *)x)[i]);
        memcpy(y + i * size, (const char *)map->labels + label * size, size);
    }
}

static const struct apx_step_class label_class = {.name = "labels",
                                                  .args_bytes = sizeof(struct label_args),
                                                  .bind = label_bind,
                                                  .run = label_run};

/* Into the plan's memory, which the graph's does not outlive. */
static const void *keep(struct apx_lowering *lo, const void *from, size_t count, size_t size)
{
    void *to = from != NULL ? apx_lower_take(lo, count, size) : NULL;
    if (to != NULL)
        memcpy(to, from, count * size);
    return to;
}

void apx_lower_label_encoder(struct apx_lowering *lo, const struct apx_node *node)
{
    int order[APX_MAX_RANK];
    struct apx_label_map map;
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL || !apx_lower_check(lo, apx_label_map_init(lo->graph, node, &map, lo->error)))
        return;
    x = apx_emit_packed(lo, apx_emit_cast(lo, x, map.integers != NULL ? APX_I64 : APX_F64), order);
    struct apx_view *y = x != NULL ? apx_lower_new(lo, map.to, x->rank, x->extent, order) : NULL;
    struct apx_step *step =
        y != NULL ? apx_lower_step(lo, &label_class, 1, 1, sizeof(struct apx_label_map)) : NULL;
    if (step != NULL) {
        struct apx_label_map *kept = step->params;
        *kept = map;
        kept->integers = keep(lo, map.integers, map.count + 1, sizeof *map.integers);
        kept->reals = keep(lo, map.reals, map.count + 1, sizeof *map.reals);
        kept->labels = keep(lo, map.labels, map.count + 1, apx_dtype_size(map.to));
        kept->allocator = NULL;
        step->in[0] = x;
        step->out[0] = y;
        apx_lower_set(lo, node, 0, y);
    }
    apx_label_map_fini(&map);
}
