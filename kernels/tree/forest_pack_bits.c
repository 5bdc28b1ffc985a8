/* SPDX-License-Identifier: Apache-2.0 */
/* forest_pack_bits.c - blocks of nodes that decide trees by bits, for one row.
 *
 * A tree of 32 (64) leaves is a word of as many bits, the leftmost leaf the highest. Where a row
 * turns right, all leaves on the left are out of its reach; what all nodes that the row would turn
 * right at, whether it comes there or not, leave of the word has the leaf it ends in as the highest
 * bit. So nodes may come in any order, and those of many trees side by side.
 *
 * A lane is a byte of such a word, eight leaves of a tree, and a register as many lanes as it has
 * bytes. A node is in every lane that has some of its left leaves: mostly in one, for the left
 * sides of most nodes are small. A block is one node of each lane: the columns of their codes,
 * their cuts, and the leaves they drop. Nothing has to be moved from lane to lane; lanes that have
 * no more nodes have some that drop nothing.
 *
 * With AVX2 a look-up is in sixteen columns, and a choice among eight of them costs more than all
 * the rest. So a block takes its nodes from two windows of sixteen columns, and every block from
 * other ones: those that most lanes have nodes in, and the lanes first that have most nodes left.
 * Where that makes too many blocks, one looks in all windows. */
#include "kernels/tree/forest_pack.h"

enum {
    LANES_MAX = 64,
    WINDOWS_MAX = 8,
    EXITS_MAX = 64,
    /* In halves, how many times as many blocks there may be for the sake of windows. */
    WINDOWS_WORTH = 3,
    BLOCKS_MAX = APX_BITS_NODES * WINDOWS_WORTH / 2
};

/* A node of a top and the exits on its left. */
struct node_range {
    uint32_t node, first, count;
};

struct lane_node {
    uint8_t column, cut, drop;
};

struct lanes {
    uint32_t most; /* nodes of a lane */
    uint32_t count[LANES_MAX];
    struct lane_node node[LANES_MAX][APX_BITS_NODES];
};

/* What of a register's nodes is in which block. */
struct plan {
    uint32_t blocks;
    uint8_t window[BLOCKS_MAX][2];
    uint8_t node[BLOCKS_MAX][LANES_MAX]; /* index in the lane, or APX_BITS_NODES */
};

/* The marked nodes of a tree; how many. */
static uint32_t find_ranges(const struct apx_pack *pack, size_t tree,
                            struct node_range ranges[EXITS_MAX - 1])
{
    const struct apx_forest_desc *desc = pack->desc;
    uint32_t exits[EXITS_MAX], exit_count = 0, seen = 0, count = 0;
    for (uint32_t i = desc->roots[tree]; i < desc->roots[tree + 1]; i++)
        if (pack->nodes[i].begins)
            exits[exit_count++] = i;
    for (uint32_t i = desc->roots[tree]; i < desc->roots[tree + 1];) {
        if (pack->nodes[i].begins) {
            seen++;
            i += pack->nodes[i].size;
            continue;
        }
        uint32_t left = 0;
        while (exits[seen + left] < desc->nodes[i].right)
            left++;
        ranges[count++] = (struct node_range){i, seen, left};
        i++;
    }
    return count;
}

/* Of lane `part` of a tree, the bits of some leaves, 0 if they are in others. */
static uint32_t bits_of(const struct node_range *range, uint32_t part)
{
    const uint32_t begin = part * APX_BITS_LEAVES, end = begin + APX_BITS_LEAVES;
    const uint32_t last = range->first + range->count;
    if (range->first >= end || last <= begin)
        return 0;
    const uint32_t from = range->first > begin ? range->first - begin : 0;
    const uint32_t to = last < end ? last - begin : APX_BITS_LEAVES;
    return (0xffu >> from) & ~(0xffu >> to);
}

uint32_t apx_pack_bits_nodes(const struct apx_pack *pack, size_t tree, enum apx_one_kind kind)
{
    struct node_range ranges[EXITS_MAX - 1];
    const uint32_t count = find_ranges(pack, tree, ranges);
    uint32_t most = 1;
    for (uint32_t part = 0; part < apx_one_parts(kind); part++) {
        uint32_t nodes = 0;
        for (uint32_t i = 0; i < count; i++)
            nodes += bits_of(&ranges[i], part) != 0;
        most = nodes > most ? nodes : most;
    }
    return most;
}

/* The nodes of a tree to its lanes, from `lane` on. */
static void add_tree(const struct apx_pack *pack, size_t tree, enum apx_one_kind kind,
                     uint32_t lane, struct lanes *lanes)
{
    struct node_range ranges[EXITS_MAX - 1];
    const uint32_t count = find_ranges(pack, tree, ranges), parts = apx_one_parts(kind);
    for (uint32_t i = 0; i < count; i++) {
        const struct apx_cut_place place =
            apx_pack_find_cut(pack, &pack->desc->nodes[ranges[i].node]);
        for (uint32_t part = 0; part < parts; part++) {
            const uint32_t drop = bits_of(&ranges[i], part);
            const uint32_t to = lane + parts - 1 - part; /* the leftmost leaves are the high byte */
            if (drop != 0)
                lanes->node[to][lanes->count[to]++] = (struct lane_node){
                    (uint8_t)place.column, (uint8_t)(place.cut - 1), (uint8_t)drop};
            if (lanes->count[to] > lanes->most)
                lanes->most = lanes->count[to];
        }
    }
}

static void plan_all(const struct lanes *lanes, struct plan *plan)
{
    plan->blocks = lanes->most;
    for (uint32_t b = 0; b < lanes->most; b++)
        for (uint32_t l = 0; l < LANES_MAX; l++)
            plan->node[b][l] = (uint8_t)(b < lanes->count[l] ? b : APX_BITS_NODES);
}

/* Nodes that are not yet in a block: of each lane, and of each lane and window. */
struct rest {
    uint32_t lanes, most;
    uint32_t left[LANES_MAX], unused[LANES_MAX]; /* unused: a bit for each node */
    uint8_t of_window[LANES_MAX][WINDOWS_MAX];
};

/* The two windows that serve best; of lanes with many nodes left rather. */
static void choose_windows(const struct rest *rest, uint8_t window[2])
{
    uint32_t best = 0;
    for (uint8_t a = 0; a < WINDOWS_MAX; a++)
        for (uint8_t b = a; b < WINDOWS_MAX; b++) {
            uint32_t worth = 0;
            for (uint32_t l = 0; l < rest->lanes; l++)
                if (rest->of_window[l][a] != 0 || rest->of_window[l][b] != 0)
                    worth += rest->left[l] + rest->most * (rest->left[l] == rest->most ? 5 : 1);
            if (worth > best) {
                best = worth;
                window[0] = a;
                window[1] = b;
            }
        }
}

/* False if it takes too many blocks. */
static bool plan_windows(const struct lanes *lanes, uint32_t count, struct plan *plan)
{
    struct rest rest = {.lanes = count};
    const uint32_t blocks_max = lanes->most * WINDOWS_WORTH / 2;
    for (uint32_t l = 0; l < count; l++) {
        rest.left[l] = lanes->count[l];
        for (uint32_t i = 0; i < lanes->count[l]; i++) {
            rest.of_window[l][lanes->node[l][i].column / APX_WINDOW]++;
            rest.unused[l] |= 1u << i;
        }
    }
    for (plan->blocks = 0;; plan->blocks++) {
        rest.most = 0;
        for (uint32_t l = 0; l < count; l++)
            rest.most = rest.left[l] > rest.most ? rest.left[l] : rest.most;
        if (rest.most == 0)
            return true;
        if (plan->blocks == blocks_max)
            return false;
        uint8_t *window = plan->window[plan->blocks];
        choose_windows(&rest, window);
        for (uint32_t l = 0; l < count; l++) {
            const uint8_t *of = rest.of_window[l];
            const uint8_t from = of[window[1]] > of[window[0]] ? window[1] : window[0];
            uint8_t *node = &plan->node[plan->blocks][l];
            *node = APX_BITS_NODES;
            for (uint8_t i = 0; i < lanes->count[l] && of[from] > 0; i++)
                if ((rest.unused[l] >> i & 1) != 0 &&
                    lanes->node[l][i].column / APX_WINDOW == from) {
                    *node = i;
                    rest.unused[l] &= ~(1u << i);
                    rest.of_window[l][from]--;
                    rest.left[l]--;
                    break;
                }
        }
    }
}

/* A register's blocks, and behind them, if they have windows, the first columns of these. */
static void fill_blocks(const struct lanes *lanes, const struct plan *plan, uint32_t count,
                        bool by_window, uint8_t *to)
{
    uint8_t *windows = to + (size_t)plan->blocks * 3 * count;
    for (uint32_t b = 0; b < plan->blocks; b++, to += 3 * count) {
        for (uint32_t i = 0; i < 2 && by_window; i++)
            *windows++ = (uint8_t)(plan->window[b][i] * APX_WINDOW);
        for (uint32_t l = 0; l < count; l++) {
            if (plan->node[b][l] == APX_BITS_NODES)
                continue;
            const struct lane_node *node = &lanes->node[l][plan->node[b][l]];
            uint8_t column = node->column;
            if (by_window)
                column = (uint8_t)(column % APX_WINDOW |
                                   (column / APX_WINDOW != plan->window[b][0] ? 0x80u : 0u));
            to[l] = column;
            to[count + l] = node->cut;
            to[2 * count + l] = node->drop;
        }
    }
}

void apx_pack_bits(struct apx_pack *pack, size_t first, struct apx_one_group *group)
{
    const enum apx_one_kind kind = (enum apx_one_kind)group->kind;
    const uint32_t count = pack->isa->block, trees = count / apx_one_parts(kind);
    group->block = (uint32_t)((pack->end - pack->packed->one_block_at) / APX_BITS_UNIT);
    for (uint32_t r = 0; r * trees < group->trees; r++) {
        struct lanes lanes = {.most = 0};
        struct plan plan;
        for (uint32_t i = r * trees; i < group->trees && i < (r + 1) * trees; i++)
            add_tree(pack, (uint32_t)pack->one_order[first + i], kind,
                     (i - r * trees) * apx_one_parts(kind), &lanes);
        const bool by_window = pack->isa->windows && plan_windows(&lanes, count, &plan);
        if (!by_window)
            plan_all(&lanes, &plan);
        const size_t bytes = apx_one_bits_bytes(plan.blocks, count, by_window);
        uint8_t *to = apx_pack_at(pack, pack->end);
        memset(to, 0, bytes);
        fill_blocks(&lanes, &plan, count, by_window, to);
        pack->end += bytes;
        group->blocks[r] = (uint16_t)plan.blocks;
        group->windows[r] = by_window;
    }
}
