/* SPDX-License-Identifier: Apache-2.0 */
/* step_forest.c - rows through a tree ensemble: margins, then what is made of them.
 *
 * Rows go in chunks whose margins stay in cache until the link has read them. In a program for a
 * device the margins are a value of their own, and what is made of them a second step, which the
 * host runs: its formulas are to give the same bits everywhere. */
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/memory.h"
#include "runtime/model/forest/forest.h"
#include "runtime/plan/step_cuda.h"
#include "runtime/plan/steps.h"

enum { SCORES, LABELS, MARGINS, LEAVES, OUTPUTS };

struct forest_params {
    const struct apx_forest *forest; /* until the program is made */
    const struct apx_forest_row *row;
    struct apx_link link;
    size_t outputs; /* K */
    size_t trees;
    bool sums_double, output_double;
    bool is_plain;                    /* scores are the margins */
    size_t margin_bytes, score_bytes; /* of a row */
    enum apx_label_rule label_rule;
    double label_threshold;
    const int64_t *labels; /* [label_count] or NULL */
    size_t label_count;
    struct apx_forest_choice choice;
    size_t scratch_bytes;
};

struct forest_args {
    struct apx_ref x, out[OUTPUTS];
    size_t rows;
    ptrdiff_t x_row;
};

#define CHUNK_ROWS 1024

static size_t round_up(size_t bytes)
{
    return (bytes + APX_CACHE_LINE - 1) / APX_CACHE_LINE * APX_CACHE_LINE;
}

static size_t margin_size(const struct forest_params *params)
{
    return params->sums_double ? sizeof(double) : sizeof(float);
}

static void forest_bind(const struct apx_step *step, const struct apx_bound *in,
                        const struct apx_bound *out, void *memory)
{
    struct forest_args *args = memory;
    args->x = apx_ref_to(step->in[0], &in[0]);
    for (int i = 0; i < OUTPUTS; i++) {
        args->out[i] = (struct apx_ref){.slot = -1};
        if (step->out[i] != NULL)
            args->out[i] = apx_ref_to(step->out[i], &out[i]);
    }
    args->rows = in[0].rank == 2 ? (size_t)in[0].extent[0] : 1;
    args->x_row = in[0].rank == 2 ? (ptrdiff_t)in[0].stride[0] : 0;
}

static size_t forest_scratch(const struct apx_step *step, const struct apx_bound *in,
                             const struct apx_bound *out)
{
    (void)out;
    const struct forest_params *params = step->params;
    size_t rows = in[0].rank == 2 ? (size_t)in[0].extent[0] : 1;
    rows = rows < CHUNK_ROWS ? rows : CHUNK_ROWS;
    return round_up(params->scratch_bytes) + rows * params->outputs * margin_size(params);
}

static double margin_at(const struct forest_params *params, const void *margins, size_t i)
{
    return params->sums_double ? ((const double *)margins)[i] : (double)((const float *)margins)[i];
}

static void find_labels(const struct forest_params *params, const void *margins, size_t rows,
                        int64_t *labels)
{
    for (size_t n = 0; n < rows; n++) {
        size_t index = 0;
        if (params->label_rule == APX_LABEL_ABOVE) {
            index = margin_at(params, margins, n) > params->label_threshold;
        } else {
            for (size_t k = 1; k < params->outputs; k++)
                if (margin_at(params, margins, n * params->outputs + k) >
                    margin_at(params, margins, n * params->outputs + index))
                    index = k;
        }
        labels[n] = index < params->label_count ? params->labels[index] : (int64_t)index;
    }
}

static void forest_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct forest_args *args = memory;
    const struct forest_params *params = step->params;
    char *out[OUTPUTS];
    for (int i = 0; i < OUTPUTS; i++)
        out[i] = apx_at(frame, args->out[i]);
    const size_t k = params->outputs, margin_bytes = params->margin_bytes;
    const bool is_narrow = frame->is_narrow[args->x.slot];
    const bool is_float = is_narrow || step->in[0]->dtype == APX_F32;
    const size_t x_size = is_float ? sizeof(float) : sizeof(double);
    const char *x = frame->slot[args->x.slot] + (is_narrow ? args->x.bytes / 2 : args->x.bytes);
    char *scratch = (char *)frame->scratch + round_up(params->scratch_bytes);
    for (size_t first = 0; first < args->rows; first += CHUNK_ROWS) {
        size_t rows = args->rows - first < CHUNK_ROWS ? args->rows - first : CHUNK_ROWS;
        char *margins = out[MARGINS] != NULL ? out[MARGINS] + first * margin_bytes
                        : params->is_plain && out[SCORES] != NULL
                            ? out[SCORES] + first * margin_bytes
                        : out[SCORES] || out[LABELS] != NULL ? scratch
                                                             : NULL;
        struct apx_forest_args kernel = {.packed = apx_packed(frame, step),
                                         .rows = rows,
                                         .x =
                                             x + (ptrdiff_t)first * args->x_row * (ptrdiff_t)x_size,
                                         .x_is_double = !is_float,
                                         .x_row = args->x_row,
                                         .margins = margins,
                                         .scratch = frame->scratch};
        if (out[LEAVES] != NULL)
            kernel.leaves = (uint32_t *)(void *)out[LEAVES] + first * params->trees;
        params->row->run(&kernel);
        if (out[LABELS] != NULL)
            find_labels(params, margins, rows, (int64_t *)(void *)out[LABELS] + first);
        char *scores = out[SCORES] != NULL ? out[SCORES] + first * params->score_bytes : NULL;
        if (scores != NULL && scores != margins)
            apx_link_run(&params->link, rows, k, margins, params->sums_double, scores,
                         params->output_double);
    }
}

static double no_flops(const struct apx_step *step, const struct apx_bound *in,
                       const struct apx_bound *out)
{
    (void)step, (void)in, (void)out;
    return 0;
}

static double forest_seconds(const struct apx_step *step, const struct apx_bound *in,
                             const struct apx_bound *out)
{
    (void)out;
    const struct forest_params *params = step->params;
    return params->choice.seconds_per_row * (in[0].rank == 2 ? (double)in[0].extent[0] : 1.0);
}

static enum apx_status forest_build(struct apx_step *step, const struct apx_allocator *allocator,
                                    void **packed, size_t *bytes)
{
    struct forest_params *params = step->params;
    const struct apx_forest_desc *desc = &params->forest->desc;
    void *draft = apx_alloc(allocator, 1, params->row->pack_bound(desc));
    if (draft == NULL)
        return APX_ENOMEM;
    *bytes = params->row->pack(desc, draft);
    *packed = apx_alloc(allocator, 1, *bytes);
    if (*packed != NULL) {
        memcpy(*packed, draft, *bytes);
        params->row->describe(*packed, &params->choice);
        params->scratch_bytes = params->row->scratch_bytes(*packed);
        step->schedule = params->choice.schedule;
    }
    apx_release(allocator, draft);
    params->forest = NULL;
    return *packed != NULL ? APX_OK : APX_ENOMEM;
}

/* ---- on a GPU -------------------------------------------------------------------------------- */

static bool forest_choose(const struct apx_step *step, const struct apx_cuda_place *place,
                          struct apx_cuda_choice *out)
{
    const struct forest_params *params = step->params;
    const struct apx_cuda_driver *driver = place->driver;
    for (size_t i = 0; i < driver->forest_count; i++)
        if (driver->forest[i].supports(&place->device, &params->forest->desc)) {
            *out = (struct apx_cuda_choice){&driver->forest[i], driver->forest[i].name, NULL};
            return true;
        }
    return false;
}

static size_t forest_cuda_bound(const struct apx_step *step, const struct apx_cuda_choice *choice)
{
    const struct forest_params *params = step->params;
    const struct apx_cuda_forest_row *row = choice->row;
    return row->pack_bound(&params->forest->desc);
}

static size_t forest_cuda_pack(const struct apx_step *step, const struct apx_cuda_choice *choice,
                               void *packed)
{
    struct forest_params *params = step->params;
    const struct apx_cuda_forest_row *row = choice->row;
    return row->pack(&params->forest->desc, packed);
}

static size_t rows_of(const struct apx_bound *in)
{
    return in[0].rank == 2 ? (size_t)in[0].extent[0] : 1;
}

static size_t forest_cuda_scratch(const struct apx_step *step, const struct apx_cuda_choice *choice,
                                  const void *header, const struct apx_bound *in,
                                  const struct apx_bound *out)
{
    (void)step, (void)out;
    const struct apx_cuda_forest_row *row = choice->row;
    return row->scratch_bytes(header, rows_of(in));
}

static int forest_launch(const struct apx_step *step, const void *memory,
                         const struct apx_cuda_frame *frame)
{
    const struct forest_args *args = memory;
    const struct apx_cuda_forest_row *row = frame->choice.row;
    const struct apx_forest_args kernel = {.packed = frame->packed,
                                           .rows = args->rows,
                                           .x = apx_at(&frame->frame, args->x),
                                           .x_is_double = step->in[0]->dtype == APX_F64,
                                           .x_row = args->x_row,
                                           .margins = apx_at(&frame->frame, args->out[MARGINS]),
                                           .leaves = apx_at(&frame->frame, args->out[LEAVES]),
                                           .scratch = frame->frame.scratch};
    return args->rows > 0
               ? row->launch(&frame->place->device, frame->header, &kernel, frame->stream)
               : 0;
}

static double forest_cuda_seconds(const struct apx_step *step, const struct apx_cuda_place *place,
                                  const struct apx_cuda_choice *choice, const void *header,
                                  const struct apx_bound *in, const struct apx_bound *out)
{
    (void)step, (void)out;
    const struct apx_cuda_forest_row *row = choice->row;
    return row->seconds(&place->device, header, rows_of(in));
}

static const struct apx_step_cuda forest_cuda = {.choose = forest_choose,
                                                 .packed_bound = forest_cuda_bound,
                                                 .pack = forest_cuda_pack,
                                                 .header_bytes = APX_CUDA_FOREST_HEADER,
                                                 .scratch = forest_cuda_scratch,
                                                 .launch = forest_launch,
                                                 .seconds = forest_cuda_seconds};

static const struct apx_step_class forest_class = {.name = "forest",
                                                   .args_bytes = sizeof(struct forest_args),
                                                   .reads_narrow = true,
                                                   .bind = forest_bind,
                                                   .scratch = forest_scratch,
                                                   .run = forest_run,
                                                   .flops = no_flops,
                                                   .seconds = forest_seconds,
                                                   .build = forest_build,
                                                   .cuda = &forest_cuda};

/* ---- what is made of margins, where they are a value ----------------------------------------- */

static void link_run(const struct apx_step *step, const void *memory, struct apx_frame *frame)
{
    const struct forest_args *args = memory; /* x: the margins */
    const struct forest_params *params = step->params;
    const void *margins = apx_at(frame, args->x);
    void *scores = apx_at(frame, args->out[SCORES]), *labels = apx_at(frame, args->out[LABELS]);
    if (labels != NULL)
        find_labels(params, margins, args->rows, labels);
    if (scores != NULL)
        apx_link_run(&params->link, args->rows, params->outputs, margins, params->sums_double,
                     scores, params->output_double);
}

static const struct apx_step_class link_class = {
    .name = "link", .args_bytes = sizeof(struct forest_args), .bind = forest_bind, .run = link_run};

/* The features of a row side by side, rows anywhere. */
static bool is_readable(const struct apx_view *x)
{
    struct apx_dim one = apx_dim_constant(1);
    return apx_dim_is_one(&x->extent[x->rank - 1]) || apx_dim_equal(&x->stride[x->rank - 1], &one);
}

static bool take_labels(struct apx_lowering *lo, const struct apx_forest *forest,
                        struct forest_params *params)
{
    params->label_rule = forest->label_rule;
    params->label_threshold = forest->label_threshold;
    params->label_count = forest->labels != NULL ? forest->label_count : 0;
    int64_t *labels = apx_lower_take(lo, params->label_count, sizeof *labels);
    if (labels == NULL)
        return false;
    if (params->label_count > 0)
        memcpy(labels, forest->labels, params->label_count * sizeof *labels);
    params->labels = labels;
    return true;
}

/* Margins as a value [rows, K], and the step that reads them. */
static struct apx_step *split(struct apx_lowering *lo, struct apx_step *forest)
{
    const struct apx_view *x = forest->in[0];
    const struct forest_params *params = forest->params;
    const struct apx_dim extent[2] = {x->rank == 2 ? x->extent[0] : apx_dim_constant(1),
                                      apx_dim_constant((int64_t)params->outputs)};
    forest->out[MARGINS] =
        apx_lower_new(lo, params->sums_double ? APX_F64 : APX_F32, 2, extent, NULL);
    struct apx_step *link = forest->out[MARGINS] != NULL
                                ? apx_lower_step(lo, &link_class, 1, OUTPUTS, sizeof *params)
                                : NULL;
    if (link == NULL)
        return NULL;
    memcpy(link->params, params, sizeof *params);
    link->in[0] = forest->out[MARGINS];
    return link;
}

void apx_lower_forest(struct apx_lowering *lo, const struct apx_node *node)
{
    const struct apx_forest *forest = node->forest;
    struct apx_view *x = apx_lower_in(lo, node, 0);
    if (x == NULL)
        return;
    if (forest == NULL) {
        apx_lower_fail(lo, APX_EUNSUPPORTED, "the trees have been released");
        return;
    }
    if (x->dtype != APX_F32 && x->dtype != APX_F64)
        x = apx_emit_cast(lo, x, forest->desc.compares_double ? APX_F64 : APX_F32);
    if (x != NULL && !is_readable(x))
        x = apx_emit_copy(lo, x, NULL);
    struct apx_step *step =
        x != NULL ? apx_lower_step(lo, &forest_class, 1, OUTPUTS, sizeof(struct forest_params))
                  : NULL;
    if (step == NULL)
        return;
    struct forest_params *params = step->params;
    params->forest = forest;
    params->row = apx_forest_select(lo->program->caps, &forest->desc);
    params->link = forest->link;
    params->outputs = forest->desc.outputs;
    params->trees = forest->desc.trees;
    params->sums_double = forest->desc.sums_double;
    params->output_double = forest->output_double;
    params->is_plain = params->link.kind == APX_LINK_NONE && params->link.divide == 0 &&
                       params->output_double == params->sums_double;
    params->margin_bytes = params->outputs * margin_size(params);
    params->score_bytes = apx_link_outputs(&params->link, params->outputs) *
                          (params->output_double ? sizeof(double) : sizeof(float));
    step->kernel = params->row->name;
    step->isa = params->row->isa;
    step->tile_rows = params->row->tile_rows;
    step->in[0] = x;
    if (!take_labels(lo, forest, params))
        return;
    struct apx_step *link = lo->program->is_for_device ? split(lo, step) : step;
    for (int i = 0; i < OUTPUTS && lo->status == APX_OK; i++) {
        if (i >= node->out_count || node->out[i] < 0)
            continue;
        const struct apx_value *value = &lo->graph->values[node->out[i]];
        struct apx_step *writer = i == SCORES || i == LABELS ? link : step;
        struct apx_view *view = NULL;
        if (value->dtype == APX_STRING)
            apx_lower_fail(lo, APX_EUNSUPPORTED, "labels that are text");
        else
            view = apx_lower_new(lo, value->dtype, value->rank, value->dims, NULL);
        if (view == NULL)
            return;
        /* The link has margins from the forest already. */
        if (i == MARGINS && link != step)
            apx_emit_copy_into(lo, link->in[0], view);
        else
            writer->out[i] = view;
        apx_lower_set(lo, node, i, view);
    }
}
