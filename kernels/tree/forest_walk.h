/* SPDX-License-Identifier: Apache-2.0 */
/* forest_walk.h - from a node down to a leaf, for eight walks side by side.
 *
 * A step is: load the node, load the row's value, compare, add the carry to the index of the left
 * child. One walk would wait some ten cycles for each; eight keep the processor busy. No step
 * branches: a leaf's threshold is NaN and its left child itself, so a walk that is done stays where
 * it is. Walks run together for the usual number of steps, and from then on until none moves.
 *
 * Included by each ISA's row, so that no code of another vector width is mixed in. */
#ifndef APX_TREE_FOREST_WALK_H
#define APX_TREE_FOREST_WALK_H

#include <string.h>

#include "kernels/tree/forest_layout.h"

enum { WALKS = 8 };

/* How x is compared. */
enum walk_values {
    WALK_FLOAT,   /* float x */
    WALK_ROUNDED, /* double x, rounded to float */
    WALK_DOUBLE,  /* double x, double thresholds */
    WALK_VALUES
};

struct walk_forest {
    const struct apx_packed *packed;
    const void *nodes; /* of all trees */
    const double *walk64;
    const uint8_t *nan_right;
};

APX_INLINE struct walk_forest walk_open(const struct apx_packed *packed)
{
    return (struct walk_forest){
        .packed = packed,
        .nodes = apx_packed_array(packed, packed->walk_at),
        .walk64 = apx_packed_array(packed, packed->walk64_at),
        .nan_right = apx_packed_array(packed, packed->nan_right_at),
    };
}

APX_INLINE enum walk_values walk_values_of(const struct apx_packed *packed,
                                           const struct apx_forest_args *args)
{
    return !args->x_is_double ? WALK_FLOAT : packed->compares_double ? WALK_DOUBLE : WALK_ROUNDED;
}

/* One step: the place in the tree after `at`; nodes: of the tree, whose first is `first`. */
APX_INLINE uint32_t walk_step(const struct walk_forest *f, size_t first, uint32_t at, const void *x,
                              const bool wide, const enum walk_values values, const bool nans)
{
    float threshold;
    uint32_t feature, left;
    const size_t index = first + at;
    if (wide) {
        const struct apx_walk16 *node = (const struct apx_walk16 *)f->nodes + index;
        threshold = node->threshold, feature = node->feature, left = node->left;
    } else {
        const struct apx_walk8 *node = (const struct apx_walk8 *)f->nodes + index;
        threshold = node->threshold, feature = node->feature, left = node->left;
    }
    uint32_t right;
    if (values == WALK_DOUBLE) {
        double value = ((const double *)x)[feature];
        right = value >= f->walk64[index];
        if (nans)
            right |= (uint32_t)(value != value) & (f->nan_right[index / 8] >> index % 8 & 1u);
    } else {
        float value = values == WALK_FLOAT ? ((const float *)x)[feature]
                                           : (float)((const double *)x)[feature];
        right = value >= threshold;
        if (nans)
            right |= (uint32_t)(value != value) & (f->nan_right[index / 8] >> index % 8 & 1u);
    }
    return left + right;
}

/* Eight walks; first[i], x[i]: tree and row of walk i; at[i]: from where, then the leaf's place. */
APX_INLINE void walk_eight(const struct walk_forest *f, const size_t first[WALKS],
                           const void *const x[WALKS], uint32_t at[WALKS], uint32_t usual,
                           uint32_t depth, const bool wide, const enum walk_values values,
                           const bool nans)
{
    uint32_t a[WALKS];
    memcpy(a, at, sizeof a);
    for (uint32_t s = 0; s < usual; s++) {
#pragma GCC unroll 8
        for (int i = 0; i < WALKS; i++)
            a[i] = walk_step(f, first[i], a[i], x[i], wide, values, nans);
    }
    for (uint32_t s = usual; s < depth; s++) {
        uint32_t moved = 0;
#pragma GCC unroll 8
        for (int i = 0; i < WALKS; i++) {
            uint32_t next = walk_step(f, first[i], a[i], x[i], wide, values, nans);
            moved |= next ^ a[i];
            a[i] = next;
        }
        if (moved == 0)
            break;
    }
    memcpy(at, a, sizeof a);
}

/* The leaf, as an index in its tree, that stands at a place. */
APX_INLINE uint32_t walk_leaf(const struct walk_forest *f, size_t first, uint32_t at,
                              const bool wide)
{
    if (wide)
        return ((const struct apx_walk16 *)f->nodes)[first + at].extra;
    uint32_t bits;
    memcpy(&bits, &((const struct apx_walk8 *)f->nodes)[first + at].threshold, sizeof bits);
    return bits & APX_WALK_INDEX;
}

/* One walk with everything there is: sets, and NaN. */
static uint32_t walk_one(const struct walk_forest *f, size_t first, uint32_t at, const void *x,
                         const bool wide, const enum walk_values values)
{
    const struct apx_packed *packed = f->packed;
    const uint32_t *set_begin = apx_packed_array(packed, packed->set_begin_at);
    const double *bounds = apx_packed_array(packed, packed->bounds_at);
    for (;;) {
        const size_t index = first + at;
        float threshold;
        uint32_t feature, left, set;
        if (wide) {
            const struct apx_walk16 *node = (const struct apx_walk16 *)f->nodes + index;
            threshold = node->threshold, feature = node->feature, left = node->left;
            set = node->extra;
        } else {
            const struct apx_walk8 *node = (const struct apx_walk8 *)f->nodes + index;
            uint32_t bits;
            memcpy(&bits, &node->threshold, sizeof bits);
            threshold = node->threshold, feature = node->feature, left = node->left;
            set = bits & APX_WALK_INDEX;
        }
        if (left == at)
            return at;
        double value = values == WALK_FLOAT     ? (double)((const float *)x)[feature]
                       : values == WALK_ROUNDED ? (double)(float)((const double *)x)[feature]
                                                : ((const double *)x)[feature];
        uint32_t right;
        if (value != value) {
            right = f->nan_right[index / 8] >> index % 8 & 1u;
        } else if (threshold != threshold) {
            /* How many bounds are <= x: the set's are sorted. */
            uint32_t low = set_begin[set], high = set_begin[set + 1];
            while (low < high) {
                uint32_t middle = (low + high) / 2;
                if (bounds[middle] <= value)
                    low = middle + 1;
                else
                    high = middle;
            }
            right = (low - set_begin[set]) & 1;
        } else {
            right = values == WALK_DOUBLE ? value >= f->walk64[index] : value >= (double)threshold;
        }
        at = left + right;
    }
}

APX_INLINE const void *walk_row(const struct apx_forest_args *args, size_t row)
{
    const ptrdiff_t at = (ptrdiff_t)row * args->x_row;
    return args->x_is_double ? (const void *)((const double *)args->x + at)
                             : (const void *)((const float *)args->x + at);
}

/* Is any of the rows' values NaN? */
static bool walk_meets_nan(const struct apx_forest_args *args, size_t row0, size_t rows,
                           size_t features)
{
    uint32_t found = 0;
    for (size_t r = row0; r < row0 + rows; r++) {
        if (args->x_is_double) {
            const double *x = walk_row(args, r);
            uint64_t any = 0;
            for (size_t i = 0; i < features; i++)
                any |= x[i] != x[i];
            found |= any != 0;
        } else {
            const float *x = walk_row(args, r);
            uint32_t any = 0;
            for (size_t i = 0; i < features; i++)
                any |= x[i] != x[i];
            found |= any;
        }
    }
    return found != 0;
}

/* A tile's rows from the exits of one tree's top to its leaves: leaf[r] index in the tree. */
APX_INLINE void walk_rows_shape(const struct walk_forest *f, const struct apx_packed_tree *tree,
                                const struct apx_forest_args *args, size_t row0, size_t rows,
                                const uint8_t *exits, const uint32_t *exit_place, uint32_t *leaf,
                                const bool wide, const enum walk_values values, const bool nans)
{
    for (size_t r = 0; r < rows; r += WALKS) {
        const void *x[WALKS];
        size_t first[WALKS];
        uint32_t at[WALKS];
#pragma GCC unroll 8
        for (size_t i = 0; i < WALKS; i++) {
            size_t row = r + i < rows ? r + i : rows - 1; /* the last one again */
            x[i] = walk_row(args, row0 + row);
            at[i] = exit_place[exits[row]];
            first[i] = tree->nodes;
        }
        walk_eight(f, first, x, at, tree->usual_depth, tree->exit_depth, wide, values, nans);
#pragma GCC unroll 8
        for (size_t i = 0; i < WALKS; i++)
            leaf[r + i] = walk_leaf(f, tree->nodes, at[i], wide);
    }
}

static void walk_rows(const struct walk_forest *f, const struct apx_packed_tree *tree,
                      const struct apx_forest_args *args, size_t row0, size_t rows,
                      const uint8_t *exits, bool nans, uint32_t *leaf)
{
    const struct apx_packed *packed = f->packed;
    const uint32_t *exit_place =
        (const uint32_t *)apx_packed_array(packed, packed->exits_at) + tree->exits;
    const bool wide = packed->wide;
    const enum walk_values values = walk_values_of(packed, args);
    if (packed->has_sets) {
        for (size_t r = 0; r < rows; r++) {
            uint32_t at = walk_one(f, tree->nodes, exit_place[exits[r]], walk_row(args, row0 + r),
                                   wide, values);
            leaf[r] = walk_leaf(f, tree->nodes, at, wide);
        }
        return;
    }
#define WALK(w, v, n)                                                                              \
    if (wide == (w) && values == (v) && nans == (n))                                               \
    walk_rows_shape(f, tree, args, row0, rows, exits, exit_place, leaf, w, v, n)
    WALK(false, WALK_FLOAT, false);
    WALK(false, WALK_FLOAT, true);
    WALK(false, WALK_ROUNDED, false);
    WALK(false, WALK_ROUNDED, true);
    WALK(false, WALK_DOUBLE, false);
    WALK(false, WALK_DOUBLE, true);
    WALK(true, WALK_FLOAT, false);
    WALK(true, WALK_FLOAT, true);
    WALK(true, WALK_ROUNDED, false);
    WALK(true, WALK_ROUNDED, true);
    WALK(true, WALK_DOUBLE, false);
    WALK(true, WALK_DOUBLE, true);
#undef WALK
}

/* One row through all trees from their roots, eight trees side by side: leaf[t] index in tree t. */
APX_INLINE void walk_trees_shape(const struct walk_forest *f, const struct apx_packed_tree *trees,
                                 size_t count, const void *x, uint32_t *leaf, const bool wide,
                                 const enum walk_values values, const bool nans)
{
    for (size_t t = 0; t < count; t += WALKS) {
        const void *xs[WALKS];
        size_t first[WALKS];
        uint32_t at[WALKS], usual = UINT32_MAX, depth = 0;
#pragma GCC unroll 8
        for (size_t i = 0; i < WALKS; i++) {
            const struct apx_packed_tree *tree = &trees[t + i < count ? t + i : count - 1];
            xs[i] = x;
            at[i] = 1;
            first[i] = tree->nodes;
            usual = tree->root_usual < usual ? tree->root_usual : usual;
            depth = tree->depth > depth ? tree->depth : depth;
        }
        walk_eight(f, first, xs, at, usual, depth, wide, values, nans);
        for (size_t i = 0; i < WALKS && t + i < count; i++)
            leaf[t + i] = walk_leaf(f, first[i], at[i], wide);
    }
}

static void walk_trees(const struct walk_forest *f, const struct apx_packed_tree *trees,
                       size_t count, const void *x, enum walk_values values, bool nans,
                       uint32_t *leaf)
{
    const bool wide = f->packed->wide;
    if (f->packed->has_sets) {
        for (size_t t = 0; t < count; t++) {
            uint32_t at = walk_one(f, trees[t].nodes, 1, x, wide, values);
            leaf[t] = walk_leaf(f, trees[t].nodes, at, wide);
        }
        return;
    }
#define WALK(w, v, n)                                                                              \
    if (wide == (w) && values == (v) && nans == (n))                                               \
    walk_trees_shape(f, trees, count, x, leaf, w, v, n)
    WALK(false, WALK_FLOAT, false);
    WALK(false, WALK_FLOAT, true);
    WALK(false, WALK_ROUNDED, false);
    WALK(false, WALK_ROUNDED, true);
    WALK(false, WALK_DOUBLE, false);
    WALK(false, WALK_DOUBLE, true);
    WALK(true, WALK_FLOAT, false);
    WALK(true, WALK_FLOAT, true);
    WALK(true, WALK_ROUNDED, false);
    WALK(true, WALK_ROUNDED, true);
    WALK(true, WALK_DOUBLE, false);
    WALK(true, WALK_DOUBLE, true);
#undef WALK
}

#endif
