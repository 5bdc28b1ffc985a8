/* SPDX-License-Identifier: Apache-2.0 */
/* forest_layout.h - a forest as the ranked rows keep it: one block of memory without pointers.
 *
 * The same trees in up to three forms:
 *
 *   the top of each tree, up to 256 exits, as comparisons of one-byte ranks (struct apx_slice),
 *   all rows of a tile side by side; of a small tree the top is the whole tree;
 *   nodes for walks of one row each, which finish what a top has begun, and serve small batches
 *   from the root: over ranks (struct apx_code_node) if the whole forest is ranked, else over keys;
 *   of a ranked forest's small trees, instead of nodes, the bits of struct apx_one_group: all nodes
 *   of many trees side by side for one row.
 *
 * Ranks: the thresholds that tops compare a feature with, sorted, are its cuts. A column of codes
 * says of each row of a tile how many cuts are <= x; `x >= cut k` is `code >= k`, counted from 1. A
 * column holds up to 253 cuts; a feature with more has several. NaN is code 0 (left everywhere),
 * 254 (right everywhere), or, where it goes right at lower cuts and left at higher ones, one
 * between them; a feature whose nodes disagree otherwise has two columns. A set of intervals whose
 * bounds are cuts is a table over codes; its columns are 0 or 255, made once a tile. */
#ifndef APX_TREE_FOREST_LAYOUT_H
#define APX_TREE_FOREST_LAYOUT_H

#include "kernels/kernels.h"

#ifndef APX_INLINE
#    define APX_INLINE static inline __attribute__((always_inline))
#endif

enum {
    APX_CUTS_MAX = 253, /* of a column: the codes 0..253, and one for NaN */
    APX_NAN_CODE = 254,
    APX_EXITS_MAX = 256, /* of a top: the number of a row's exit is a byte */
    APX_SLICES_MAX = APX_EXITS_MAX - 1,
    APX_SLOTS_MAX = 2 * APX_SLICES_MAX + 1, /* masks of reach: the root's and two a node */
};

/* One comparison of a top. Of a tree's slices those come first that have another slice below, in
 * breadth-first order; slice i of these leaves the masks of its sides in slots 2i+1 and 2i+2. */
struct apx_slice {
    uint16_t column;
    uint16_t slot; /* the mask of the rows that come here */
    uint8_t cut;   /* right if code >= cut, 1..253 */
    uint8_t exit;  /* number of the leftmost exit below its right side */
};

/* Nodes for walks. A value's key is an unsigned integer in the order of the floats; NaN has 0.
 * Siblings are neighbours: the next node is left + (key of x >= key). A leaf's key is above all
 * values', so that it never steps right, and its left is itself. */
struct apx_walk8 {
    uint32_t key;    /* of a leaf: APX_WALK_LEAF + its index in the tree; of a set: its index */
    uint16_t column; /* where the keys of the feature are, in units of 8 bytes */
    uint16_t left;   /* index in the tree */
};
struct apx_walk16 {
    uint32_t key; /* of a leaf: APX_WALK_LEAF; of a set: 0 */
    uint32_t column, left;
    uint32_t extra; /* index of the leaf in the tree, or of the set */
};
#define APX_WALK_LEAF  0xffc00000u /* the key of infinity is 0xff800000, of -infinity 0x007fffff */
#define APX_WALK_INDEX 0x003fffffu

/* Nodes for walks that read codes. The next node is `down` further, and one more if code > cut. A
 * leaf has cut 255 and down 0. A tree's nodes: those where walks of one row begin and pairs of
 * siblings between them and the exits of the tile's top; these exits, in order (copies where they
 * have siblings in the top); pairs of siblings below. */
struct apx_code_node {
    uint16_t column; /* where its codes are: in a tile in units of 8 bytes, of one row in bytes */
    uint8_t cut;     /* one less than a slice's */
    uint8_t unused;
    uint16_t down;
    uint16_t leaf; /* index of the leaf in the tree */
};
#define APX_CODE_PLACES 65536 /* of a tree */

/* One row goes through groups of trees (forest_pack_onerow.c): by bits, walking over codes, or
 * both. */
enum apx_one_kind {
    APX_ONE_BITS32, /* 16 trees of 32 leaves at most */
    APX_ONE_BITS64, /* 8 trees of 64 leaves at most */
    APX_ONE_TOPS,   /* 16 trees, a top of 32 exits of each by bits */
    APX_ONE_WALKS,  /* 16 trees */
    APX_ONE_KINDS
};
enum {
    APX_ONE_LANES = 16,  /* trees of a group at most */
    APX_ONE_EXITS = 32,  /* of a top, whose walks begin at one_root + one_exit */
    APX_ONE_GROUPS = 4,  /* begun together */
    APX_ONE_UNASKED = 3, /* steps that it takes to find out whether all walks have ended */
    APX_ONE_ROWS = 8,    /* that go through the groups together */
    APX_ONE_SHAPES = 6,  /* of search tables */
    /* of bits (forest_pack_bits.c) */
    APX_BITS_LEAVES = 8,    /* of a lane */
    APX_BITS_NODES = 32,    /* of a lane at most */
    APX_BITS_REGISTERS = 2, /* of a group at most */
    APX_BITS_UNIT = 32,     /* bytes */
    APX_WINDOW = 16         /* columns */
};
struct apx_one_group {
    uint32_t first; /* of its trees in one_tree, one_leaves, one_root */
    uint32_t block; /* the first, in units of APX_BITS_UNIT; the registers' one behind the other */
    uint32_t exit;  /* first of its entries in one_exit: [trees][APX_ONE_EXITS] */
    uint32_t highest; /* steps of a walk that any row needs */
    uint16_t usual;   /* that most rows need */
    uint16_t blocks[APX_BITS_REGISTERS];
    bool windows[APX_BITS_REGISTERS]; /* do its blocks look in two of them, or in all columns? */
    uint8_t kind, trees;
};

/* Lanes of a tree. */
static inline uint32_t apx_one_parts(enum apx_one_kind kind)
{
    return kind == APX_ONE_BITS64 ? 8 : 4;
}

/* Bytes of a register's blocks: columns, cuts less one, and what they drop, each a byte a lane; and
 * the two windows of each block. */
static inline size_t apx_one_bits_bytes(uint32_t blocks, uint32_t lanes, bool windows)
{
    const size_t bytes = (size_t)blocks * (3 * lanes + (windows ? 2 : 0));
    return (bytes + APX_BITS_UNIT - 1) / APX_BITS_UNIT * APX_BITS_UNIT;
}

/* A column's search for one row: the table's first stage, then level by level, or where levels are
 * many the group's other cuts side by side. */
struct apx_one_search {
    uint32_t feature, table; /* table: first float */
    uint32_t within;         /* first float in one_cuts: its cuts, ascending; if kept in groups */
    uint32_t cuts64;
    uint16_t column, cuts;
};
/* A column where NaN has a code above 0; its other codes are column `from`'s. */
struct apx_one_nan {
    uint32_t feature;
    uint16_t column, from;
};

/* Bytes from one column of 32-bit keys to the next: a cache line more than the rows need, so that
 * the columns of one row do not fall into a few sets of the cache. */
#define APX_KEYS_STRIDE(tile) ((tile)*4 + 64)

static inline uint32_t apx_float_key(float value)
{
    uint32_t bits;
    value += 0.0f; /* both zeros have the same key */
    __builtin_memcpy(&bits, &value, sizeof bits);
    return value != value ? 0 : bits >> 31 ? ~bits : bits | 0x80000000u;
}

static inline uint64_t apx_double_key(double value)
{
    uint64_t bits;
    value += 0.0;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return value != value ? 0 : bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

struct apx_packed_tree {
    uint32_t slices; /* first of its slices */
    uint32_t exits;  /* first of its entries in `exits`; if not whole and not coded */
    uint32_t leaves; /* first of its leaves */
    uint32_t nodes;  /* first of its nodes over keys */
    uint32_t codes;  /* its first exit among the nodes over codes */
    uint32_t output;
    uint16_t slice_count, stored_count; /* all slices; those that leave masks */
    uint32_t depth, exit_depth;         /* longest walk from the root, and from an exit */
    uint32_t root_usual;                /* a walk from the root that most rows need */
    uint16_t exit_count;
    bool whole;  /* the exits are the tree's leaves, in order */
    bool begins; /* the first tree of its output */
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
    uint8_t nan_code; /* where NaN goes left 0, right APX_NAN_CODE, else the code between them */
    bool twin;        /* the column after this has the same codes, but APX_NAN_CODE for NaN */
};

/* A column of 0 and 255 over `parts` columns of codes: parity of the parts' table entries. */
struct apx_set_column {
    uint32_t first, step, parts; /* columns that hold its bounds; there NaN is APX_NAN_CODE */
    uint32_t column;             /* the result */
    uint32_t table;              /* [parts][32] bytes: bit c of 256 for code c */
};

/* Arrays: offsets in bytes from the start. */
struct apx_packed {
    size_t bytes, scratch_bytes;
    uint32_t features, outputs, trees, leaf_count;
    uint32_t columns, search_columns, set_columns, groups;
    uint32_t tile, block_tiles, small_rows;
    uint32_t set_count, walk_columns;
    uint32_t one_groups, one_twins, one_nans; /* of one_nan: the first ones are twins */
    uint32_t one_stride;                      /* bytes of a row's codes */
    uint32_t one_shape_end[APX_ONE_SHAPES];   /* of one_search, sorted by shape */
    uint32_t one_within;                      /* bit l: cuts of l levels are kept in groups */
    bool one_in_order;                        /* the groups' trees are the forest's, in order */
    bool one_walks;                           /* some group walks */
    uint8_t leaf_ids;                         /* enum apx_leaf_ids */
    bool tops, coded, compares_double, sums_double, wide, walks, has_sets, has_nan_right,
        has_linear, vector;
    uint8_t sum; /* enum apx_forest_sum */
    size_t trees_at, slices_at, exits_at, code_at, walk_at, walk64_at, nan_right_at, group_at;
    size_t column_at, feature_at, set_column_at, set_table_at, table_at, cuts64_at;
    size_t leaf_values_at, leaf_ids_at, base_at, set_begin_at, bounds32_at, bounds64_at;
    size_t walk_feature_at; /* [walk_columns] ascending */
    size_t constant_at, begin_at, linear_feature_at, coefficient_at;
    size_t one_group_at, one_tree_at, one_leaves_at, one_root_at, one_block_at, one_exit_at;
    size_t one_search_at, one_nan_at, one_cuts_at;
    /* scratch, offsets from its start */
    size_t one_codes_at, one_spread_at;
    size_t codes_at, keys_at, keys_step, sums_at, reach_at, gather_at, index_at;
    double seconds_per_row, seconds_per_row_one;
};

/* What the training library calls a leaf: a number, or its index in its tree or in the forest. */
enum apx_leaf_ids { APX_LEAF_IDS_32, APX_LEAF_IDS_16, APX_LEAF_IDS_TREE, APX_LEAF_IDS_FOREST };

static inline const void *apx_packed_array(const struct apx_packed *p, size_t at)
{
    return (const char *)p + at;
}

/* leaf: index in the forest; first: of its tree's first leaf. */
static inline uint32_t apx_packed_leaf_id(const struct apx_packed *p, size_t leaf, size_t first)
{
    switch (p->leaf_ids) {
    case APX_LEAF_IDS_32:
        return ((const uint32_t *)apx_packed_array(p, p->leaf_ids_at))[leaf];
    case APX_LEAF_IDS_16:
        return ((const uint16_t *)apx_packed_array(p, p->leaf_ids_at))[leaf];
    case APX_LEAF_IDS_TREE:
        return (uint32_t)(leaf - first);
    default:
        return (uint32_t)leaf;
    }
}

/* What an instruction set needs and costs. */
struct apx_forest_isa {
    const char *name;
    uint32_t tile;       /* rows of a tile */
    uint32_t mask_bytes; /* of a mask of reach for a tile */
    uint32_t lanes;      /* floats of a vector: entries of the smallest search table */
    uint32_t first;      /* entries of the largest search table */
    uint32_t block;      /* nodes that are decided by bits together */
    bool windows;        /* a block looks in two windows of columns, if not in all */
    /* bit l: of searches of l levels, one row finds cuts in groups, which take memory; always, or
     * where there is room */
    uint32_t within, within_room;
    uint32_t bit_columns; /* of a forest decided by bits, at most */
    /* nanoseconds, measured (README.md) */
    double slice;      /* a slice for one row */
    double visit;      /* a node of a walk over keys, rows side by side */
    double visit_code; /* likewise over codes */
    double tree;       /* a tree for one row, over and above */
    double walk_tree;  /* a walk's begin and end, over and above */
    double visit_one;  /* a node of a walk over keys, trees side by side */
    /* of one row: a column's code and a level of its search, a set's table, a block of bits, a step
     * over codes, a tree's leaf */
    double one_column, one_level, one_set, one_block, one_visit, one_tree;
    double rank_value; /* transposing a value */
    double rank_step;  /* one table of a value's search */
    double set_part;   /* a value's bit in one table of a set, for one row */
};

size_t apx_forest_pack_bound(const struct apx_forest_desc *desc);
size_t apx_forest_pack(const struct apx_forest_desc *desc, const struct apx_forest_isa *isa,
                       void *memory);
void apx_forest_describe(const void *packed, struct apx_forest_choice *choice);

#endif
