/* SPDX-License-Identifier: Apache-2.0 */
/* forest_layout.h - a forest as the ranked rows keep it: one block of memory without pointers.
 *
 * Two forms of the same trees:
 *
 *   the top of each tree, up to 256 exits, as comparisons of one-byte ranks (struct apx_slice),
 *   all rows of a tile side by side; of a small tree the top is the whole tree;
 *   every tree from its root on as nodes of 8 or 16 bytes for walks of one row each, which finish
 *   what a top has begun, and serve small batches from the root.
 *
 * Ranks: the thresholds that tops compare a feature with, sorted, are its cuts. A column of codes
 * says of each row of a tile how many cuts are <= x; `x >= cut k` is `code > k`. A column holds up
 * to 254 cuts; a feature with more has several. NaN is code 0 (left everywhere) or 255 (right
 * everywhere); a feature whose nodes disagree has both columns. A set of intervals whose bounds
 * are cuts is a table over codes; its columns are 0 or 255, made once a tile. */
#ifndef APX_TREE_FOREST_LAYOUT_H
#define APX_TREE_FOREST_LAYOUT_H

#include "kernels/kernels.h"

#ifndef APX_INLINE
#    define APX_INLINE static inline __attribute__((always_inline))
#endif

enum {
    APX_CUTS_MAX = 254,  /* of a column: the codes 0..254, and 255 for NaN */
    APX_EXITS_MAX = 256, /* of a top: the number of a row's exit is a byte */
    APX_SLICES_MAX = APX_EXITS_MAX - 1,
    APX_SLOTS_MAX = 2 * APX_SLICES_MAX + 1, /* masks of reach: the root's and two a node */
};

/* One comparison of a top. Of a tree's slices those come first that have another slice below, in
 * breadth-first order; slice i of these leaves the masks of its sides in slots 2i+1 and 2i+2. */
struct apx_slice {
    uint16_t column;
    uint16_t slot; /* the mask of the rows that come here */
    uint8_t cut;   /* right if code > cut */
    uint8_t exit;  /* number of the leftmost exit below its right side */
};

/* Nodes for walks. Siblings are neighbours: the next node is left + (x >= threshold). A leaf's
 * threshold is a NaN, so that it never steps right, and its left is itself. */
struct apx_walk8 {
    float threshold; /* of a leaf: NaN with the leaf's index in the tree, positive; of a set: NaN
                        with the set's index, negative */
    uint16_t feature;
    uint16_t left; /* index in the tree */
};
struct apx_walk16 {
    float threshold;
    uint32_t feature, left;
    uint32_t extra; /* index of the leaf in the tree, or of the set */
};
#define APX_WALK_LEAF_BITS 0x7fc00000u /* + index, 22 bits */
#define APX_WALK_SET_BITS  0xffc00000u /* + index, 22 bits */
#define APX_WALK_INDEX     0x003fffffu

struct apx_packed_tree {
    uint32_t slices; /* first of its slices */
    uint32_t exits;  /* first of its entries in `exits`; if not whole */
    uint32_t leaves; /* first of its leaves */
    uint32_t nodes;  /* first of its walk nodes */
    uint32_t output;
    uint16_t slice_count, stored_count; /* all slices; those that leave masks */
    uint32_t depth, exit_depth;         /* longest walk from the root, and from an exit */
    uint32_t root_usual;                /* as usual_depth, from the root */
    uint32_t usual_depth;               /* a walk from an exit that most rows need */
    uint16_t exit_count;
    bool whole; /* the exits are the tree's leaves, in order */
};

/* The codes of one column, found by a search of two stages (forest_pack_cuts.c): the first picks
 * one of `first` groups of 2^levels cuts, the second goes down a complete tree of that many levels.
 */
struct apx_column {
    uint32_t feature;
    uint32_t table;  /* first float of its search tables, in vectors of `first` floats */
    uint32_t cuts64; /* first of its cuts as doubles; if compares_double */
    uint16_t cuts;
    uint8_t first, levels;
    uint8_t nan_code; /* 0 or 255 */
    bool twin;        /* the column after this has the same codes, but 255 for NaN */
};

/* A column of 0 and 255 over `parts` columns of codes: parity of the parts' table entries. */
struct apx_set_column {
    uint32_t first, step, parts; /* columns whose code for NaN is 255 */
    uint32_t column;             /* the result */
    uint32_t table;              /* [parts][32] bytes: bit c of 256 for code c */
};

/* Arrays: offsets in bytes from the start. */
struct apx_packed {
    size_t bytes, scratch_bytes;
    uint32_t features, outputs, trees, leaf_count;
    uint32_t columns, search_columns, set_columns, groups;
    uint32_t tile, block_tiles, small_rows;
    uint32_t set_count;
    bool tops, compares_double, sums_double, wide, walks, has_sets, has_nan_right, has_linear,
        vector;
    uint8_t sum; /* enum apx_forest_sum */
    size_t trees_at, slices_at, exits_at, walk_at, walk64_at, nan_right_at, group_at;
    size_t column_at, feature_at, set_column_at, set_table_at, table_at, cuts64_at;
    size_t leaf_values_at, leaf_ids_at, base_at, set_begin_at, bounds_at;
    size_t constant_at, begin_at, linear_feature_at, coefficient_at;
    /* scratch, offsets from its start */
    size_t codes_at, sums_at, reach_at, gather_at, index_at;
    double seconds_per_row, seconds_per_row_one;
};

static inline const void *apx_packed_array(const struct apx_packed *p, size_t at)
{
    return (const char *)p + at;
}

/* What an instruction set needs and costs. */
struct apx_forest_isa {
    const char *name;
    uint32_t tile;       /* rows of a tile */
    uint32_t mask_bytes; /* of a mask of reach for a tile */
    uint32_t lanes;      /* floats of a vector: entries of the smallest search table */
    uint32_t first;      /* entries of the largest search table */
    uint8_t bias;        /* what codes are xored with */
    /* nanoseconds, measured (README.md) */
    double slice;      /* a slice for one row */
    double visit;      /* a node of a walk, rows side by side */
    double tree;       /* a tree for one row, over and above */
    double walk_tree;  /* a walk's begin and end, over and above */
    double visit_one;  /* a node of a walk, trees side by side */
    double rank_value; /* transposing a value */
    double rank_step;  /* one table of a value's search */
};

size_t apx_forest_pack_bound(const struct apx_forest_desc *desc);
size_t apx_forest_pack(const struct apx_forest_desc *desc, const struct apx_forest_isa *isa,
                       void *memory);
void apx_forest_describe(const void *packed, struct apx_forest_choice *choice);

#endif
