/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack.h - what the parts of packing share: a forest in the making and its work space. */
#ifndef APX_TREE_FOREST_PACK_H
#define APX_TREE_FOREST_PACK_H

#include <math.h>
#include <string.h>

#include "kernels/tree/forest_layout.h"

/* Per node of the description. */
struct apx_pack_node {
    uint32_t size;   /* nodes of the subtree */
    uint32_t height; /* steps to its deepest leaf */
    uint32_t place;  /* in the tree's walk nodes */
    uint32_t pair;   /* place of its children */
    bool sliced;     /* part of the top */
    bool topped;     /* of one row, part of what bits decide */
    bool begins;     /* of one row, an exit of that */
};

/* What one row takes of a tree. */
struct apx_one_tree {
    uint32_t nodes;          /* decided by bits, of a lane */
    uint32_t usual, highest; /* steps of walks: of most rows, of any */
};

/* What NaN does at a feature's ranked nodes. Nodes that take it for a number, as LightGBM's take it
 * for 0, need one code for it between those of the others. */
enum apx_pack_nan {
    APX_PACK_UNUSED,
    APX_PACK_LEFT,
    APX_PACK_RIGHT, /* and sets */
    APX_PACK_BOTH,  /* two columns */
    APX_PACK_BETWEEN
};

/* Keys of a feature's thresholds. */
struct apx_nan_range {
    uint64_t right, left; /* the greatest where NaN goes right, the least where it goes left */
};

/* Work space behind the packed forest, and where the next array goes. */
struct apx_pack {
    const struct apx_forest_desc *desc;
    const struct apx_forest_isa *isa;
    struct apx_packed *packed;
    char *base;
    size_t end;                  /* bytes of the packed forest so far */
    struct apx_pack_node *nodes; /* [node_count] */
    uint32_t *cut_begin;         /* [features + 1] into cuts */
    uint64_t *cuts;              /* keys (apx_double_key), ascending inside of a feature */
    uint32_t *cut_count;         /* [features] distinct ones */

    uint8_t *wanted;                /* [features] enum apx_pack_nan */
    struct apx_nan_range *nans;     /* [features] */
    bool coded;                     /* walks over codes: all thresholds are cuts */
    uint32_t *walk_column;          /* [features] of the keys that walks read */
    uint64_t *set_keys;             /* [set_columns] ascending, one a set column */
    bool slice_sets;                /* sets may be part of tops */
    bool *has_begun;                /* [outputs] a tree of this output has been packed */
    uint8_t *one_kind;              /* [trees] how one row goes through; if coded */
    struct apx_one_tree *one_trees; /* [trees] */
    uint64_t *one_order;            /* [trees] */
    uint32_t *one_root;             /* [trees] first node over codes of those walked */
};

/* An array of the packed forest: its place, zeroed. */
static inline size_t apx_pack_array(struct apx_pack *pack, size_t count, size_t size)
{
    size_t at = (pack->end + 63) / 64 * 64;
    memset(pack->base + pack->end, 0, at + count * size - pack->end);
    pack->end = at + count * size;
    return at;
}

static inline void *apx_pack_at(const struct apx_pack *pack, size_t at)
{
    return pack->base + at;
}

/* The least float >= t. For a float x, x >= t is x >= that. */
static inline float apx_float_above(double t)
{
    float f = (float)t;
    return (double)f < t ? nextafterf(f, INFINITY) : f;
}

static inline double apx_key_double(uint64_t key)
{
    double value;
    key = key >> 63 ? key & ~((uint64_t)1 << 63) : ~key;
    memcpy(&value, &key, sizeof value);
    return value;
}

static inline uint64_t apx_set_key(const struct apx_tree_node *node)
{
    return (uint64_t)(uint32_t)node->set << 22 | (uint64_t)(uint32_t)node->feature << 1 |
           node->nan_right;
}

static inline uint32_t apx_set_size(const struct apx_forest_desc *desc, int32_t set)
{
    return desc->set_begin[set + 1] - desc->set_begin[set];
}

/* forest_cost.c: the top of every tree, and the estimates. */
void apx_pack_choose_tops(struct apx_pack *pack);
/* How few rows are not worth a tile; when all but the leaves is packed. */
void apx_pack_choose_few(struct apx_pack *pack);
/* forest_pack_cuts.c: cuts, columns, search tables. */
void apx_pack_collect_cuts(struct apx_pack *pack); /* of sliced nodes, or of all if coded */
void apx_pack_cuts(struct apx_pack *pack);
/* The column and cut of a threshold or set. */
struct apx_cut_place {
    uint32_t column;
    uint8_t cut;
};
struct apx_cut_place apx_pack_find_cut(const struct apx_pack *pack,
                                       const struct apx_tree_node *node);
/* Ascending, repeats dropped; what is left. */
size_t apx_sort_unique(uint64_t *keys, size_t count);
/* Columns of a feature with so many cuts; one if its only nodes are sets without bounds. */
static inline uint32_t apx_parts_of(uint32_t cuts)
{
    return cuts == 0 ? 1 : (cuts + APX_CUTS_MAX - 1) / APX_CUTS_MAX;
}
/* forest_pack_sets.c: the distinct sets that are ranked, their tables in *tables. */
size_t apx_pack_collect_sets(struct apx_pack *pack, size_t *tables);
/* Columns of sets, and a node's. */
void apx_pack_sets(struct apx_pack *pack);
uint32_t apx_pack_find_set(const struct apx_pack *pack, const struct apx_tree_node *node);
/* forest_pack_trees.c: slices, and the nodes by way of the two files below. */
void apx_pack_trees(struct apx_pack *pack);
/* Places below a node whose pair is known. */
void apx_pack_place_children(struct apx_pack *pack, uint32_t parent);
/* forest_pack_keys.c: nodes for walks over keys. */
void apx_pack_key_arrays(struct apx_pack *pack);
void apx_pack_key_nodes(struct apx_pack *pack, size_t tree, const struct apx_packed_tree *out);
/* forest_pack_codes.c: nodes for walks over codes; the number of those of a tree, and their making
 * from place `at` on. exits: [exit_count] of the top, as indices in the description. */
size_t apx_pack_code_count(const struct apx_pack *pack, size_t tree);
void apx_pack_code_nodes(struct apx_pack *pack, size_t tree, const uint32_t *exits, size_t at,
                         struct apx_packed_tree *out);
/* Bytes that decide a tree by bits, at most: a lane has no more nodes than the tree, blocks are
 * half as many again and three bytes and some for each lane. */
static inline size_t apx_pack_bits_bound(size_t leaves)
{
    const size_t nodes = leaves - 1 < APX_BITS_NODES ? leaves - 1 : APX_BITS_NODES;
    return (nodes * 3 / 2 + 1) * (leaves > 32 && leaves <= 64 ? 8 : 4) * 7 / 2;
}

/* Of groups that are not full, one of each kind. */
static inline size_t apx_pack_bits_spare(void)
{
    return 3 * 8 * apx_pack_bits_bound(64);
}

/* forest_pack_bits.c: of a tree whose top is marked, the most nodes of a lane; the blocks of a
 * group of trees, which are one_order's from `first` on. */
uint32_t apx_pack_bits_nodes(const struct apx_pack *pack, size_t tree, enum apx_one_kind kind);
void apx_pack_bits(struct apx_pack *pack, size_t first, struct apx_one_group *group);
/* forest_pack_onerow.c: how one row goes through the trees (before the trees are packed), the
 * estimate of it in nanoseconds, and the groups. */
void apx_pack_one_kinds(struct apx_pack *pack);
double apx_pack_one_cost(const struct apx_pack *pack);
void apx_pack_one_groups(struct apx_pack *pack);

/* Sets with more bounds are left to the walks, and all sets of a forest that would need more tables
 * (16 MiB of them); a slice names its column with 16 bits. */
enum {
    APX_SET_BOUNDS_MAX = 1024,
    APX_SET_FEATURES_MAX = 1 << 20,
    APX_SET_TABLES_MAX = 1 << 19,
    APX_SET_TABLE_BYTES = 32,
    APX_COLUMNS_MAX = UINT16_MAX
};

static inline bool apx_can_slice(const struct apx_forest_desc *desc,
                                 const struct apx_tree_node *node)
{
    return node->set < 0 || (apx_set_size(desc, node->set) <= APX_SET_BOUNDS_MAX &&
                             node->feature < APX_SET_FEATURES_MAX);
}

#endif
