/* SPDX-License-Identifier: Apache-2.0 */
/* tree_ensemble_score.c - from votes to scores.
 *
 * Where the standard is silent ONNX Runtime is followed, where it contradicts the standard the
 * standard is:
 *
 *   - Two classes of which only the first is voted for: the sum m speaks for the second. If no vote
 *     is negative the scores are (1 - m, m) and m > 0.5 decides, else (-m, m) and m > 0. LOGISTIC
 *     makes (sigmoid(-m), sigmoid(m)) of either, SOFTMAX changes nothing: as ONNX Runtime has it.
 *   - Otherwise the label is that of the first largest sum. ONNX Runtime looks at the sign of the
 *     second sum when there are two classes, and does not name the class it means.
 *   - A single class: its score, and 1 where it is positive, else 0: as ONNX Runtime has it.
 *   - One base value for several sums is each one's.
 *   - Transforms apply to a single target too; ONNX Runtime leaves out all but PROBIT there. */
#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/forest/tree_ensemble.h"

static bool is_any_negative(const struct apx_tree_reals *reals)
{
    for (size_t i = 0; i < reals->count; i++)
        if (apx_tree_real(reals, i) < 0)
            return true;
    return false;
}

static size_t count_labels(const struct apx_tree_attrs *attrs)
{
    return attrs->word_count > 0 ? attrs->word_count : attrs->labels.count;
}

static bool is_first_alone(const struct apx_tree_attrs *attrs)
{
    for (size_t i = 0; i < attrs->vote_ids.count; i++)
        if (attrs->vote_ids.data[i] != 0)
            return false;
    return attrs->vote_ids.count > 0;
}

static enum apx_status plan_classes(const struct apx_tree_attrs *attrs,
                                    struct apx_tree_score *score, struct apx_error *error)
{
    if (attrs->word_count > 0 && attrs->labels.count > 0)
        return apx_fail(error, APX_EFORMAT, "",
                        "two lists of labels: classlabels_int64s and classlabels_strings exclude "
                        "each other");
    score->targets = count_labels(attrs);
    if (score->targets == 0)
        return apx_fail(
            error, APX_EFORMAT, "",
            "a classifier without labels: classlabels_int64s and classlabels_strings are "
            "missing");
    if (score->targets == 2 && attrs->base.count <= 1 && is_first_alone(attrs)) {
        score->classes = APX_TREE_PAIR;
        score->mirrored = attrs->transform == APX_TREE_PROBIT;
    }
    return APX_OK;
}

enum apx_status apx_tree_plan_score(const struct apx_tree_attrs *attrs, bool is_classifier,
                                    struct apx_tree_score *score, struct apx_error *error)
{
    enum apx_status status = APX_OK;
    *score = (struct apx_tree_score){.is_classifier = is_classifier};
    if (is_classifier)
        status = plan_classes(attrs, score, error);
    else if (!attrs->has_targets || attrs->targets < 1)
        status =
            apx_fail(error, APX_EFORMAT, "",
                     "n_targets is missing or not positive; it says how many outputs a row has");
    else
        score->targets = (size_t)attrs->targets;
    if (status != APX_OK)
        return status;
    if (score->targets > APX_LIMIT_TREE_OUTPUTS)
        return apx_fail(error, APX_ELIMIT, "",
                        "%zu targets; at most APX_LIMIT_TREE_OUTPUTS (%d) are read", score->targets,
                        APX_LIMIT_TREE_OUTPUTS);
    score->outputs = score->targets;
    if (score->classes == APX_TREE_PAIR && !score->mirrored)
        score->outputs = 1;
    if (attrs->base.count > 1 && attrs->base.count != score->targets)
        return apx_fail(error, APX_EFORMAT, "",
                        "base_values has %zu numbers for %zu targets; it has one, or one for each",
                        attrs->base.count, score->targets);
    if (attrs->aggregate == APX_TREE_MIN || attrs->aggregate == APX_TREE_MAX) {
        score->is_extreme = true;
        score->nothing = attrs->aggregate == APX_TREE_MIN ? (double)INFINITY : -(double)INFINITY;
    }
    return APX_OK;
}

/* ---- the finished forest --------------------------------------------------------------------- */

static double base_of(const struct apx_tree_attrs *attrs, size_t output)
{
    return attrs->base.count == 0 ? 0
                                  : apx_tree_real(&attrs->base, attrs->base.count > 1 ? output : 0);
}

/* Averages and extremes go into the leaves: only sums look at the base. */
static void settle_sums(const struct apx_tree_attrs *attrs, const struct apx_tree_score *score,
                        struct apx_forest_desc *desc)
{
    double *base = (double *)(uintptr_t)desc->base;
    double *leaves = (double *)(uintptr_t)desc->leaf_values;
    size_t width = desc->tree_output == NULL ? desc->outputs : 1;
    for (size_t i = 0; attrs->aggregate == APX_TREE_AVERAGE && i < desc->leaf_count * width; i++)
        leaves[i] /= (double)desc->trees;
    for (size_t i = 0; score->is_extreme && i < desc->leaf_count * width; i++)
        leaves[i] += base_of(attrs, i % width);
    for (size_t k = 0; !score->is_extreme && k < desc->outputs; k++)
        base[k] = base_of(attrs, k);
    if (score->mirrored) {
        base[0] = 1 - base_of(attrs, 0);
        base[1] = base_of(attrs, 0);
    }
}

static size_t count_leaves(const struct apx_forest_desc *desc, size_t tree)
{
    size_t count = 0;
    for (uint32_t n = desc->roots[tree]; n < desc->roots[tree + 1]; n++)
        count += desc->nodes[n].feature < 0;
    return count;
}

/* The least or greatest of no votes at all is 0, which the kernels do not know: there must be a
 * tree that votes for the target whatever the row. */
static enum apx_status check_extremes(const struct apx_tree_score *score,
                                      const struct apx_forest_desc *desc, struct apx_error *error)
{
    for (size_t k = 0; k < desc->outputs; k++) {
        size_t t = 0, first = 0;
        for (; t < desc->trees; t++) {
            size_t count = count_leaves(desc, t), votes = 0;
            for (size_t i = first; i < first + count; i++)
                votes += desc->leaf_values[i * desc->outputs + k] != score->nothing;
            if (votes == count)
                break;
            first += count;
        }
        if (t == desc->trees)
            return apx_fail(error, APX_EUNSUPPORTED, "",
                            "MIN or MAX over trees none of which always votes for target %zu", k);
    }
    return APX_OK;
}

static void choose_link(const struct apx_tree_attrs *attrs, const struct apx_tree_score *score,
                        struct apx_forest *forest)
{
    static const enum apx_link_kind links[] = {
        [APX_TREE_NONE] = APX_LINK_NONE,        [APX_TREE_SOFTMAX] = APX_LINK_SOFTMAX,
        [APX_TREE_LOGISTIC] = APX_LINK_SIGMOID, [APX_TREE_SOFTMAX_ZERO] = APX_LINK_SOFTMAX_ZERO,
        [APX_TREE_PROBIT] = APX_LINK_PROBIT,
    };
    forest->link.kind = links[attrs->transform];
    forest->link.a = 1;
    if (score->classes != APX_TREE_PAIR || score->mirrored)
        return;
    forest->link.kind = attrs->transform == APX_TREE_LOGISTIC ? APX_LINK_PAIR_SIGMOID
                        : is_any_negative(&attrs->weights)    ? APX_LINK_PAIR_NEGATIVE
                                                              : APX_LINK_PAIR;
}

static enum apx_status choose_labels(const struct apx_tree_attrs *attrs,
                                     const struct apx_tree_score *score, struct apx_forest *forest,
                                     struct apx_error *error)
{
    static const int64_t yes_or_no[] = {0, 1};
    const int64_t *from = attrs->labels.data;
    size_t count = attrs->labels.count;
    forest->label_rule = forest->desc.outputs == 1 ? APX_LABEL_ABOVE : APX_LABEL_ARGMAX;
    if (score->classes == APX_TREE_PAIR && !is_any_negative(&attrs->weights))
        forest->label_threshold = 0.5;
    if (score->targets == 1) {
        from = yes_or_no;
        count = 2;
    }
    forest->labels_are_text = attrs->word_count > 0;
    if (forest->labels_are_text) {
        forest->words = score->targets > 1 ? attrs->words : NULL; /* one has the indices 0 and 1 */
        forest->word_count = score->targets > 1 ? attrs->word_count : 0;
        return APX_OK;
    }
    int64_t *labels = apx_forest_alloc(forest, count * sizeof *labels);
    if (labels == NULL)
        return apx_fail(error, APX_ENOMEM, "", "out of memory for the trees");
    memcpy(labels, from, count * sizeof *labels);
    forest->labels = labels;
    forest->label_count = count;
    return APX_OK;
}

enum apx_status apx_tree_finish(const struct apx_tree_attrs *attrs,
                                const struct apx_tree_score *score, struct apx_forest *forest,
                                struct apx_error *error)
{
    static const enum apx_forest_sum sums[] = {
        [APX_TREE_AVERAGE] = APX_FOREST_SUM,
        [APX_TREE_SUM] = APX_FOREST_SUM,
        [APX_TREE_MIN] = APX_FOREST_MIN,
        [APX_TREE_MAX] = APX_FOREST_MAX,
    };
    forest->desc.sum = sums[attrs->aggregate];
    forest->desc.compares_double = forest->desc.sums_double = true;
    forest->source = "ONNX";
    if (score->is_extreme) {
        enum apx_status status = check_extremes(score, &forest->desc, error);
        if (status != APX_OK)
            return status;
    }
    settle_sums(attrs, score, &forest->desc);
    choose_link(attrs, score, forest);
    return score->is_classifier ? choose_labels(attrs, score, forest, error) : APX_OK;
}
