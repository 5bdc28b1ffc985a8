/* SPDX-License-Identifier: Apache-2.0 */
/* forest_walk.h - from a node down to a leaf, for eight walks side by side.
 *
 * Walks read the tile's values as keys, unsigned integers in the order of the floats (or of the
 * doubles, if the tile has values that are no floats): [columns][stride], a column's rows side by
 * side. A step loads the node's column and the row's key in it, compares it with the node's key,
 * and adds the carry to the index of the left child: five instructions, ten cycles from one node
 * to the next, so eight walks keep the processor busy. Compared as floats a step would take twice
 * as long. No step branches: a leaf's key is above all others and its left child itself, so a walk
 * that is done stays where it is. Walks run together for the usual number of steps, and from then
 * on until none moves.
 *
 * NaN has the key 0 and goes left; only tiles with a NaN pay for looking at the node's direction.
 *
 * Included by each ISA's row, so that no code of another vector width is mixed in. */
#ifndef APX_TREE_FOREST_WALK_H
#define APX_TREE_FOREST_WALK_H

#include <string.h>

#include "kernels/tree/forest_layout.h"

enum {
    WALKS = 8,
    WALK_WIDE = 10,   /* steps that are worth four times as many walks */
    WALK_HIGH = 12,   /* steps of a walk that may end early */
    WALK_UNASKED = 4, /* steps that it takes to ask whether all have ended */
};

struct walk_forest {
    const struct apx_packed *packed;
    const char *nodes; /* of all trees */
    const uint64_t *keys64;
    const uint8_t *nan_right;
};

/* The keys of a tile. */
struct walk_tile {
    const char *keys;
    bool is64; /* of doubles: strides are twice as long */
    bool nans;
};

APX_INLINE struct walk_forest walk_open(const struct apx_packed *packed)
{
    return (struct walk_forest){
        .packed = packed,
        .nodes = apx_packed_array(packed, packed->walk_at),
        .keys64 = apx_packed_array(packed, packed->walk64_at),
        .nan_right = apx_packed_array(packed, packed->nan_right_at),
    };
}

/* The place in its tree after place `at`; first: the tree's first node. */
APX_INLINE uint32_t walk_step(const struct walk_forest *f, const size_t first, const uint32_t at,
                              const char *keys, const size_t row, const bool wide, const bool is64,
                              const bool nans)
{
    uint32_t node_key, left;
    size_t column;
    const size_t index = first + at;
    if (wide) {
        const struct apx_walk16 *node = (const struct apx_walk16 *)f->nodes + index;
        node_key = node->key, column = node->column, left = node->left;
    } else {
        const struct apx_walk8 *node = (const struct apx_walk8 *)f->nodes + index;
        node_key = node->key, column = node->column, left = node->left;
    }
    uint32_t right;
    bool nan;
    if (is64) {
        const uint64_t key = *(const uint64_t *)(keys + column * 16 + row * 8);
        right = key >= f->keys64[index];
        nan = key == 0;
    } else {
        const uint32_t key = *(const uint32_t *)(keys + column * 8 + row * 4);
        right = key >= node_key;
        nan = key == 0;
    }
    if (nans)
        right |= (uint32_t)nan & (f->nan_right[index / 8] >> index % 8 & 1u);
    return left + right;
}

/* One step of eight walks over codes; codes: the first row's in column 0. The carry of a comparison
 * goes straight into the place: five instructions a walk, of which compilers make eight to eleven
 * (they load bytes by way of mask registers, for one). */
APX_INLINE void walk_code_step(const struct apx_code_node *nodes, const uint8_t *codes,
                               uint64_t at[WALKS])
{
    uint64_t cut, column;
#define WALK_STEP(i)                                                                               \
    "movzbl 2(%[nodes],%[at" #i "],8), %k[cut]\n\t"                                                \
    "movzwl (%[nodes],%[at" #i "],8), %k[column]\n\t"                                              \
    "cmpb " #i "(%[codes],%[column],8), %b[cut]\n\t"                                               \
    "movzwl 4(%[nodes],%[at" #i "],8), %k[column]\n\t"                                             \
    "adcl %k[column], %k[at" #i "]\n\t"
    __asm__(WALK_STEP(0) WALK_STEP(1) WALK_STEP(2) WALK_STEP(3) WALK_STEP(4) WALK_STEP(5)
                WALK_STEP(6) WALK_STEP(7)
            : [at0] "+&r"(at[0]), [at1] "+&r"(at[1]), [at2] "+&r"(at[2]), [at3] "+&r"(at[3]),
              [at4] "+&r"(at[4]), [at5] "+&r"(at[5]), [at6] "+&r"(at[6]), [at7] "+&r"(at[7]),
              [cut] "=&q"(cut), [column] "=&r"(column)
            : [nodes] "r"(nodes), [codes] "r"(codes)
            : "cc", "memory");
#undef WALK_STEP
}

/* The same of one row through a tree each: places are in the forest. */
APX_INLINE void walk_one_step(const struct apx_code_node *nodes, const uint8_t *codes,
                              uint64_t at[WALKS])
{
    uint64_t cut, column;
#define WALK_STEP(i)                                                                               \
    "movzbl 2(%[nodes],%[at" #i "],8), %k[cut]\n\t"                                                \
    "movzwl (%[nodes],%[at" #i "],8), %k[column]\n\t"                                              \
    "cmpb (%[codes],%[column]), %b[cut]\n\t"                                                       \
    "movzwl 4(%[nodes],%[at" #i "],8), %k[column]\n\t"                                             \
    "adcl %k[column], %k[at" #i "]\n\t"
    __asm__(WALK_STEP(0) WALK_STEP(1) WALK_STEP(2) WALK_STEP(3) WALK_STEP(4) WALK_STEP(5)
                WALK_STEP(6) WALK_STEP(7)
            : [at0] "+&r"(at[0]), [at1] "+&r"(at[1]), [at2] "+&r"(at[2]), [at3] "+&r"(at[3]),
              [at4] "+&r"(at[4]), [at5] "+&r"(at[5]), [at6] "+&r"(at[6]), [at7] "+&r"(at[7]),
              [cut] "=&q"(cut), [column] "=&r"(column)
            : [nodes] "r"(nodes), [codes] "r"(codes)
            : "cc", "memory");
#undef WALK_STEP
}

/* One step of eight walks over 32-bit keys, from the first row's on. */
APX_INLINE void walk_key_step(const struct apx_walk8 *nodes, const char *keys, uint64_t at[WALKS])
{
    uint64_t key, column;
#define WALK_STEP(i, disp)                                                                         \
    "movzwl 4(%[nodes],%[at" #i "],8), %k[column]\n\t"                                             \
    "movl " #disp "(%[keys],%[column],8), %k[key]\n\t"                                             \
    "cmpl (%[nodes],%[at" #i "],8), %k[key]\n\t"                                                   \
    "movzwl 6(%[nodes],%[at" #i "],8), %k[at" #i "]\n\t"                                           \
    "sbbl $-1, %k[at" #i "]\n\t"
    __asm__(WALK_STEP(0, 0) WALK_STEP(1, 4) WALK_STEP(2, 8) WALK_STEP(3, 12) WALK_STEP(4, 16)
                WALK_STEP(5, 20) WALK_STEP(6, 24) WALK_STEP(7, 28)
            : [at0] "+&r"(at[0]), [at1] "+&r"(at[1]), [at2] "+&r"(at[2]), [at3] "+&r"(at[3]),
              [at4] "+&r"(at[4]), [at5] "+&r"(at[5]), [at6] "+&r"(at[6]), [at7] "+&r"(at[7]),
              [key] "=&r"(key), [column] "=&r"(column)
            : [nodes] "r"(nodes), [keys] "r"(keys)
            : "cc", "memory");
#undef WALK_STEP
}

/* One step of eight walks over 32-bit keys through a tree each; nodes[i]: the tree's. */
APX_INLINE void walk_tree_step(const struct apx_walk8 *const nodes[WALKS], const char *keys,
                               uint64_t at[WALKS])
{
    uint64_t base, key, column;
#define WALK_STEP(i, disp)                                                                         \
    "movq " #disp "(%[nodes]), %[base]\n\t"                                                        \
    "movzwl 4(%[base],%[at" #i "],8), %k[column]\n\t"                                              \
    "movl (%[keys],%[column],8), %k[key]\n\t"                                                      \
    "cmpl (%[base],%[at" #i "],8), %k[key]\n\t"                                                    \
    "movzwl 6(%[base],%[at" #i "],8), %k[at" #i "]\n\t"                                            \
    "sbbl $-1, %k[at" #i "]\n\t"
    __asm__(WALK_STEP(0, 0) WALK_STEP(1, 8) WALK_STEP(2, 16) WALK_STEP(3, 24) WALK_STEP(4, 32)
                WALK_STEP(5, 40) WALK_STEP(6, 48) WALK_STEP(7, 56)
            : [at0] "+&r"(at[0]), [at1] "+&r"(at[1]), [at2] "+&r"(at[2]), [at3] "+&r"(at[3]),
              [at4] "+&r"(at[4]), [at5] "+&r"(at[5]), [at6] "+&r"(at[6]), [at7] "+&r"(at[7]),
              [base] "=&r"(base), [key] "=&r"(key), [column] "=&r"(column)
            : [nodes] "r"(nodes), [keys] "r"(keys)
            : "cc", "memory");
#undef WALK_STEP
}

/* Eight walks, `usual` steps, then until they end, `depth` steps at most. */
#define WALK_EIGHT(first, at, row)                                                                 \
    for (uint32_t s = 0; s < usual; s++) {                                                         \
        _Pragma("GCC unroll 8") for (size_t i = 0; i < WALKS; i++) at[i] =                         \
            walk_step(f, first, at[i], keys, row, wide, is64, nans);                               \
    }                                                                                              \
    for (uint32_t s = usual; s < depth; s++) {                                                     \
        uint32_t moved = 0;                                                                        \
        _Pragma("GCC unroll 8") for (size_t i = 0; i < WALKS; i++)                                 \
        {                                                                                          \
            uint32_t next = walk_step(f, first, at[i], keys, row, wide, is64, nans);               \
            moved |= next ^ at[i];                                                                 \
            at[i] = next;                                                                          \
        }                                                                                          \
        if (moved == 0)                                                                            \
            break;                                                                                 \
    }

/* The leaf, as an index in its tree, that stands at a place. */
APX_INLINE uint32_t walk_leaf(const struct walk_forest *f, size_t first, uint32_t at,
                              const bool wide)
{
    return wide ? ((const struct apx_walk16 *)f->nodes)[first + at].extra
                : ((const struct apx_walk8 *)f->nodes)[first + at].key & APX_WALK_INDEX;
}

/* One walk, through sets too. */
static uint32_t walk_one(const struct walk_forest *f, size_t first, uint32_t at,
                         const struct walk_tile *tile, size_t row)
{
    const struct apx_packed *packed = f->packed;
    const uint32_t *set_begin = apx_packed_array(packed, packed->set_begin_at);
    const uint64_t *bounds64 = apx_packed_array(packed, packed->bounds64_at);
    const uint32_t *bounds32 = apx_packed_array(packed, packed->bounds32_at);
    const bool wide = packed->wide;
    for (;;) {
        const size_t index = first + at;
        uint32_t node_key, left, set;
        size_t column;
        if (wide) {
            const struct apx_walk16 *node = (const struct apx_walk16 *)f->nodes + index;
            node_key = node->key, column = node->column, left = node->left, set = node->extra;
        } else {
            const struct apx_walk8 *node = (const struct apx_walk8 *)f->nodes + index;
            node_key = node->key, column = node->column, left = node->left;
            set = node_key & APX_WALK_INDEX;
        }
        if (left == at)
            return at;
        const uint64_t key = tile->is64 ? *(const uint64_t *)(tile->keys + column * 16 + row * 8)
                                        : *(const uint32_t *)(tile->keys + column * 8 + row * 4);
        uint32_t right;
        if (key == 0) {
            right = f->nan_right[index / 8] >> index % 8 & 1u;
        } else if (node_key <= APX_WALK_INDEX) {
            /* How many bounds are <= x: the set's are sorted. */
            uint32_t low = set_begin[set], high = set_begin[set + 1];
            while (low < high) {
                uint32_t middle = (low + high) / 2;
                if ((tile->is64 ? bounds64[middle] : bounds32[middle]) <= key)
                    low = middle + 1;
                else
                    high = middle;
            }
            right = (low - set_begin[set]) & 1;
        } else {
            right = key >= (tile->is64 ? f->keys64[index] : node_key);
        }
        at = left + right;
    }
}

APX_INLINE void walk_rows_shape(const struct walk_forest *f, const struct apx_packed_tree *tree,
                                const char *keys, size_t rows, const uint8_t *exits,
                                const uint32_t *exit_place, uint32_t *leaf, const bool wide,
                                const bool is64, const bool nans)
{
    const size_t first = tree->nodes;
    const uint32_t usual = exits != NULL ? tree->exit_depth : tree->root_usual;
    const uint32_t depth = exits != NULL ? tree->exit_depth : tree->depth;
    for (size_t r = 0; r < rows; r += WALKS, keys += is64 ? WALKS * 8 : WALKS * 4) {
        uint32_t at[WALKS];
#pragma GCC unroll 8
        for (size_t i = 0; i < WALKS; i++)
            at[i] = exits != NULL ? exit_place[exits[r + i]] : 1;
        WALK_EIGHT(first, at, i)
#pragma GCC unroll 8
        for (size_t i = 0; i < WALKS; i++)
            leaf[r + i] = walk_leaf(f, first, at[i], wide);
    }
}

/* `sets` times eight rows for what is usual: narrow nodes, floats, no NaN. */
APX_INLINE void walk_sets(const struct apx_walk8 *nodes, const char *keys, const uint8_t *exits,
                          const uint32_t *exit_place, const uint32_t depth, const size_t sets,
                          uint32_t *leaf)
{
    /* Few walks of a high tree are long, and looking for the end is cheap beside them. */
    const uint32_t unasked = depth < WALK_HIGH ? depth : depth / 2;
    uint64_t at[4][WALKS], before = 0;
#pragma GCC unroll 32
    for (size_t i = 0; i < sets * WALKS; i++)
        at[i / WALKS][i % WALKS] = exits != NULL ? exit_place[exits[i]] : 1;
    for (uint32_t s = 0; s < unasked; s++)
#pragma GCC unroll 4
        for (size_t g = 0; g < sets; g++)
            walk_key_step(nodes, keys + g * WALKS * 4, at[g]);
    for (uint32_t s = unasked; s < depth; s++) {
        uint64_t after = 0;
#pragma GCC unroll 4
        for (size_t g = 0; g < sets; g++) {
            walk_key_step(nodes, keys + g * WALKS * 4, at[g]);
#pragma GCC unroll 8
            for (size_t i = 0; i < WALKS; i++)
                after += at[g][i];
        }
        if (before == after)
            break;
        before = after;
    }
#pragma GCC unroll 32
    for (size_t i = 0; i < sets * WALKS; i++)
        leaf[i] = nodes[at[i / WALKS][i % WALKS]].key & APX_WALK_INDEX;
}

/* High trees are large, and their nodes far away: more walks wait for memory side by side, at the
 * price of keeping their places in memory. */
static __attribute__((noinline)) void
walk_rows_usual(const struct walk_forest *f, const struct apx_packed_tree *tree, const char *keys,
                size_t rows, const uint8_t *exits, const uint32_t *exit_place, uint32_t *leaf)
{
    const struct apx_walk8 *nodes = (const struct apx_walk8 *)f->nodes + tree->nodes;
    const uint32_t depth = exits != NULL ? tree->exit_depth : tree->depth;
    size_t r = 0;
    for (; depth >= WALK_WIDE && r + 4 * WALKS <= rows; r += 4 * WALKS)
        walk_sets(nodes, keys + r * 4, exits != NULL ? exits + r : NULL, exit_place, depth, 4,
                  leaf + r);
    for (; r < rows; r += WALKS)
        walk_sets(nodes, keys + r * 4, exits != NULL ? exits + r : NULL, exit_place, depth, 1,
                  leaf + r);
}

/* A tile's rows through one tree: from the exits of its top, or (exits NULL) from its root.
 * leaf[r]: index in the tree. Rows up to the next multiple of WALKS are walked, whatever their
 * keys. */
static __attribute__((noinline)) void walk_rows(const struct walk_forest *f,
                                                const struct apx_packed_tree *tree,
                                                const struct walk_tile *tile, size_t rows,
                                                const uint8_t *exits, uint32_t *leaf)
{
    const struct apx_packed *packed = f->packed;
    const uint32_t *exit_place =
        (const uint32_t *)apx_packed_array(packed, packed->exits_at) + tree->exits;
    if (packed->has_sets) {
        for (size_t r = 0; r < rows; r++) {
            uint32_t at = exits != NULL ? exit_place[exits[r]] : 1;
            at = walk_one(f, tree->nodes, at, tile, r);
            leaf[r] = walk_leaf(f, tree->nodes, at, packed->wide);
        }
        return;
    }
#define WALK(w, d, n)                                                                              \
    if (packed->wide == (w) && tile->is64 == (d) && tile->nans == (n))                             \
    walk_rows_shape(f, tree, tile->keys, rows, exits, exit_place, leaf, w, d, n)
    if (!packed->wide && !tile->is64 && !tile->nans)
        walk_rows_usual(f, tree, tile->keys, rows, exits, exit_place, leaf);
    WALK(false, false, true);
    WALK(false, true, false);
    WALK(false, true, true);
    WALK(true, false, false);
    WALK(true, false, true);
    WALK(true, true, false);
    WALK(true, true, true);
#undef WALK
}

/* Where the walks over codes take their leaves: to float sums, to double sums, to leaf[] */
enum walk_sink { WALK_TO_FLOAT, WALK_TO_DOUBLE, WALK_TO_LEAF };

APX_INLINE void walk_codes_shape(const struct apx_packed *packed,
                                 const struct apx_packed_tree *tree, const uint8_t *codes,
                                 size_t rows, const uint8_t *exits, void *to,
                                 const enum walk_sink sink)
{
    const struct apx_code_node *nodes =
        (const struct apx_code_node *)apx_packed_array(packed, packed->code_at) + tree->codes;
    const void *all = apx_packed_array(packed, packed->leaf_values_at);
    const float *values = (const float *)all + (sink == WALK_TO_FLOAT ? tree->leaves : 0);
    const double *values64 = (const double *)all + (sink == WALK_TO_DOUBLE ? tree->leaves : 0);
    const uint32_t depth = tree->exit_depth;
    for (size_t r = 0; r < rows; r += WALKS, codes += WALKS) {
        uint64_t at[WALKS];
#pragma GCC unroll 8
        for (size_t i = 0; i < WALKS; i++)
            at[i] = exits[r + i];
        for (uint32_t s = 0; s < depth; s++)
            walk_code_step(nodes, codes, at);
#pragma GCC unroll 8
        for (size_t i = 0; i < WALKS; i++) {
            const uint32_t leaf = nodes[at[i]].leaf;
            if (sink == WALK_TO_FLOAT)
                ((float *)to)[r + i] += values[leaf];
            else if (sink == WALK_TO_DOUBLE)
                ((double *)to)[r + i] += values64[leaf];
            else
                ((uint32_t *)to)[r + i] = leaf;
        }
    }
}

/* As walk_rows, over the tile's codes. */
static __attribute__((noinline)) void
walk_codes(const struct apx_packed *packed, const struct apx_packed_tree *tree,
           const uint8_t *codes, size_t rows, const uint8_t *exits, void *to, enum walk_sink sink)
{
    if (sink == WALK_TO_FLOAT)
        walk_codes_shape(packed, tree, codes, rows, exits, to, WALK_TO_FLOAT);
    else if (sink == WALK_TO_DOUBLE)
        walk_codes_shape(packed, tree, codes, rows, exits, to, WALK_TO_DOUBLE);
    else
        walk_codes_shape(packed, tree, codes, rows, exits, to, WALK_TO_LEAF);
}

APX_INLINE void walk_trees_shape(const struct walk_forest *f, const struct apx_packed_tree *trees,
                                 size_t count, const char *keys, uint32_t *leaf, const bool wide,
                                 const bool is64, const bool nans)
{
    for (size_t t = 0; t < count; t += WALKS) {
        size_t first[WALKS];
        uint32_t at[WALKS], usual = UINT32_MAX, depth = 0;
#pragma GCC unroll 8
        for (size_t i = 0; i < WALKS; i++) {
            const struct apx_packed_tree *tree = &trees[t + i < count ? t + i : count - 1];
            at[i] = 1;
            first[i] = tree->nodes;
            usual = tree->root_usual < usual ? tree->root_usual : usual;
            depth = tree->depth > depth ? tree->depth : depth;
        }
        WALK_EIGHT(first[i], at, 0)
        for (size_t i = 0; i < WALKS && t + i < count; i++)
            leaf[t + i] = walk_leaf(f, first[i], at[i], wide);
    }
}

/* The same for what is usual: narrow nodes, floats, no NaN. */
static __attribute__((noinline)) void walk_trees_usual(const struct walk_forest *f,
                                                       const struct apx_packed_tree *trees,
                                                       size_t count, const char *keys,
                                                       uint32_t *leaf)
{
    for (size_t t = 0; t < count; t += 2 * WALKS) {
        const struct apx_walk8 *nodes[2][WALKS];
        uint64_t at[2][WALKS], before = 0;
        uint32_t usual = UINT32_MAX, depth = 0;
        for (size_t i = 0; i < 2 * WALKS; i++) {
            const struct apx_packed_tree *tree = &trees[t + i < count ? t + i : count - 1];
            nodes[i / WALKS][i % WALKS] = (const struct apx_walk8 *)f->nodes + tree->nodes;
            at[i / WALKS][i % WALKS] = 1;
            usual = tree->root_usual < usual ? tree->root_usual : usual;
            depth = tree->depth > depth ? tree->depth : depth;
        }
        const uint32_t unasked = depth < usual + WALK_UNASKED ? depth : usual + 1;
        for (uint32_t s = 0; s < unasked; s++) {
            walk_tree_step(nodes[0], keys, at[0]);
            walk_tree_step(nodes[1], keys, at[1]);
        }
        for (uint32_t s = unasked; s < depth; s++) {
            uint64_t after = 0;
            walk_tree_step(nodes[0], keys, at[0]);
            walk_tree_step(nodes[1], keys, at[1]);
#pragma GCC unroll 8
            for (size_t i = 0; i < WALKS; i++)
                after += at[0][i] + at[1][i];
            if (before == after)
                break;
            before = after;
        }
        for (size_t i = 0; i < 2 * WALKS && t + i < count; i++)
            leaf[t + i] =
                nodes[i / WALKS][i % WALKS][at[i / WALKS][i % WALKS]].key & APX_WALK_INDEX;
    }
}

/* One row of a tile through all trees from their roots, eight trees side by side. leaf[t]: index in
 * tree t. */
static __attribute__((noinline)) void walk_trees(const struct walk_forest *f,
                                                 const struct apx_packed_tree *trees, size_t count,
                                                 const struct walk_tile *tile, size_t row,
                                                 uint32_t *leaf)
{
    const struct apx_packed *packed = f->packed;
    if (packed->has_sets) {
        for (size_t t = 0; t < count; t++) {
            uint32_t at = walk_one(f, trees[t].nodes, 1, tile, row);
            leaf[t] = walk_leaf(f, trees[t].nodes, at, packed->wide);
        }
        return;
    }
    const char *keys = tile->keys + row * (tile->is64 ? 8 : 4);
#define WALK(w, d, n)                                                                              \
    if (packed->wide == (w) && tile->is64 == (d) && tile->nans == (n))                             \
    walk_trees_shape(f, trees, count, keys, leaf, w, d, n)
    if (!packed->wide && !tile->is64 && !tile->nans)
        walk_trees_usual(f, trees, count, keys, leaf);
    WALK(false, false, true);
    WALK(false, true, false);
    WALK(false, true, true);
    WALK(true, false, false);
    WALK(true, false, true);
    WALK(true, true, false);
    WALK(true, true, true);
#undef WALK
}

#endif
