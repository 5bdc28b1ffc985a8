/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_split.c - what a split of LightGBM asks, as a threshold or a set of intervals.
 *
 * Numbers. LightGBM takes |x| <= Z for 0, where Z is the float 1e-35: its predictor leaves such
 * values out of a row, and the row begins as zeros. So all of [-Z, Z] goes where 0 goes, and a
 * threshold inside of it moves to its edge. What NaN does depends on the missing type that the
 * split was trained with:
 *   none   it is a 0
 *   zero   it is a 0, and [-Z, Z] takes the default side whatever the threshold
 *   NaN    it takes the default side
 * Everything else: left if x <= threshold.
 *
 * Categories. The number is cut toward zero, so all of (-1, 1) is category 0; a category in the bit
 * set goes left, all else (NaN, negative numbers, categories beyond the set or beyond an int) goes
 * right. Members of a set go right in struct apx_tree_node, so the caller swaps the children. */
#include "runtime/model/forest/lightgbm_reader.h"

#include <math.h>

#define ZERO_BAND  ((double)1e-35f)
#define MOST_WORDS ((size_t)1 << 26) /* of a bit set: its categories are ints */

static bool use_set(struct apx_forest_builder *builder, const double *bounds, size_t count,
                    struct apx_tree_node *node)
{
    node->set = apx_forest_builder_set(builder, bounds, count);
    return node->set >= 0;
}

static bool use_threshold(double threshold, struct apx_tree_node *node)
{
    node->threshold = threshold;
    node->set = -1;
    return true;
}

bool apx_lightgbm_split_number(struct apx_forest_builder *builder, double threshold,
                               int32_t decision_type, struct apx_tree_node *node)
{
    const bool default_right = (decision_type & APX_LIGHTGBM_DEFAULT_LEFT) == 0;
    const int32_t missing = APX_LIGHTGBM_MISSING(decision_type);
    double above_zero, from; /* right if x >= from, if any number is */
    bool any = true;
    apx_above_double(ZERO_BAND, &above_zero);
    if (threshold < -ZERO_BAND || threshold >= ZERO_BAND)
        any = apx_above_double(threshold, &from);
    else
        from = threshold < 0 ? -ZERO_BAND : above_zero;
    const bool zero_right = any && from <= -ZERO_BAND;

    node->nan_right = missing == 0 ? zero_right : default_right;
    if (missing == APX_LIGHTGBM_MISSING_ZERO && zero_right && !default_right) {
        const double bounds[] = {from, -ZERO_BAND, above_zero};
        return from < -ZERO_BAND ? use_set(builder, bounds, 3, node)
                                 : use_threshold(above_zero, node);
    }
    if (missing == APX_LIGHTGBM_MISSING_ZERO && !zero_right && default_right) {
        const double bounds[] = {-ZERO_BAND, above_zero, from};
        return any && from == above_zero ? use_threshold(-ZERO_BAND, node)
                                         : use_set(builder, bounds, any ? 3 : 2, node);
    }
    return any ? use_threshold(from, node) : use_set(builder, NULL, 0, node);
}

size_t apx_lightgbm_count_bounds(const uint32_t *words, size_t count)
{
    size_t bounds = 1; /* the end of a run that reaches over the last word */
    uint32_t before = 0;
    for (size_t i = 0; i < count && i < MOST_WORDS; i++) {
        bounds += (size_t)__builtin_popcount(words[i] ^ (words[i] << 1 | before >> 31));
        before = words[i];
    }
    return bounds;
}

int32_t apx_lightgbm_split_categories(struct apx_forest_builder *builder, const uint32_t *words,
                                      size_t count, double *bounds)
{
    size_t bound_count = 0;
    if (count > MOST_WORDS)
        count = MOST_WORDS;
    bool inside = false;
    for (size_t category = 0; category < 32 * count; category++) {
        bool member = (words[category / 32] >> category % 32 & 1) != 0;
        if (member != inside)
            bounds[bound_count++] =
                category > 0 ? (double)category : nextafter(-1.0, (double)INFINITY);
        inside = member;
    }
    if (inside)
        bounds[bound_count++] = 32.0 * (double)count;
    return apx_forest_builder_set(builder, bounds, bound_count);
}
