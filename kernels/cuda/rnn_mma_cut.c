/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_mma_cut.c - how many blocks share a tile of rows, and how many rows it has: by an estimate of
 * cycles a step.
 *
 * A warp reads its octet's weights of a tile of k (8 cycles of the shared memory that all warps
 * share, 6 of a GRU of bytes), and two words of h for each tile of eight rows, which then feed two
 * products. Cells of bytes are those of float layers and take longer than the products; those of
 * halves are short. Float weights of x cost what they cost a float layer. The constants are of
 * instructions' rates and latencies, not measured. */
#include "kernels/cuda/rnn_mma.h"

#include <math.h>

#include "kernels/rnn/rnn_s8.h"

enum {
    LANES = 32,
    MOST_TILES = 4,
    MOST_CLUSTER = 8, /* what every device with clusters can do */
    RESERVED = 1024,  /* bytes that the system keeps of each block's shared memory */
};

static const double chain_cycles = 4.3; /* a multiply-add after another */
static const double barrier_cycles = 60, cluster_cycles = 420;
static const double l2_bytes_a_cycle = 20; /* of one multiprocessor while all of them read */

/* What halves and bytes differ in. */
struct costs {
    double product_cycles;    /* of one octet, tile of k and of rows, all tensor cores together */
    double product_latency;   /* a product after another */
    double cell_instructions; /* of one unit and row; bytes: with integers to float and back and the
                                 exchange of h */
    double cell_latency;      /* of one unit and row, nothing beside it */
    double prologue_cycles;
};
static const struct costs f16_costs = {2.0, 36.0, 60.0, 160.0, 2500.0};
static const struct costs s8_costs = {4.0, 33.0, 160.0, 400.0, 3300.0};

bool apx_rnn_mma_cut_complete(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                              unsigned gates, struct rnn_mma_cut *cut)
{
    const struct rnn_mma_layer layer = apx_rnn_mma_layer(desc, gates);
    cut->octets = (layer.octets + cut->cluster - 1) / cut->cluster;
    if (cut->octets * LANES > (cut->tiles > 1 ? 512u : 1024u))
        return false; /* 128 or 64 registers a thread */
    if (cut->cluster > 1 && cut->octets * (cut->cluster - 1) >= layer.octets)
        return false; /* a block without units */
    const size_t state = apx_rnn_mma_room(&layer, 8 * cut->tiles).weights;
    const size_t weights = (size_t)cut->octets * layer.octet_words * sizeof(uint32_t);
    if (state > device->shared_bytes)
        return false;
    cut->resident = state + weights <= device->shared_bytes;
    cut->shared = state + (cut->resident ? weights : 0);
    return true;
}

/* Cycles of a multiprocessor for one block and step. */
static double work(const struct rnn_mma_layer *layer, const struct costs *costs, size_t input,
                   const struct rnn_mma_cut *cut)
{
    const double k = layer->x_tiles + layer->h_tiles, floats = layer->floats;
    const double tiles = cut->tiles, warps = cut->octets;
    const double weights = cut->resident ? layer->tile_words / 32.0 : 0.0;
    const double reads = warps * (k * (weights + 2.0 * tiles) +
                                  floats * (cut->resident ? 2.0 : 0.0) + floats * tiles);
    const double far = cut->resident ? 0.0 : warps * layer->octet_words * 4.0 / l2_bytes_a_cycle;
    const double products = warps * k * tiles * costs->product_cycles;
    const double cells = warps * tiles * 2.0 * costs->cell_instructions;
    if (!layer->is_int8)
        return fmax(products, reads) + far + cells / 4.0;
    const double rounding =
        layer->factor > 0.0f ? 8.0 * tiles * (double)input * 8.0 / LANES : 0.0; /* instructions */
    const double issue = (cells + warps * tiles * 2.2 * layer->gates * floats +
                          warps * k * (4.0 + 4.0 * tiles) + rounding) /
                         4.0;
    return fmax(fmax(products, reads), issue) + far;
}

static double estimate(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                       unsigned gates, size_t rows, size_t steps, const struct rnn_mma_cut *cut)
{
    const struct rnn_mma_layer layer = apx_rnn_mma_layer(desc, gates);
    const struct costs *costs = layer.is_int8 ? &s8_costs : &f16_costs;
    const double k = layer.x_tiles + layer.h_tiles, floats = layer.floats, tiles = cut->tiles;
    const double barrier =
        (cut->cluster > 1 ? cluster_cycles : barrier_cycles) * (layer.reset_before ? 2.0 : 1.0);
    const double chain = k * costs->product_latency +
                         floats * fmax(chain_cycles, 2.2 * gates * tiles) + costs->cell_latency +
                         (2.0 * tiles - 1.0) * costs->cell_instructions;
    const double threads = cut->tiles > 1 ? 512.0 : 1024.0; /* by registers */
    double together =
        floor((double)(device->shared_bytes + RESERVED) / (double)(cut->shared + RESERVED));
    together = fmax(1.0, fmin(together, floor(threads / ((double)cut->octets * LANES))));
    const double blocks = ceil((double)rows / (8.0 * tiles)) * cut->cluster;
    const double a_round =
        fmax(1.0, floor(device->multiprocessors / cut->cluster)) * cut->cluster * together;
    const double busy = fmin(together, ceil(blocks / device->multiprocessors));
    const double step = fmax(chain + barrier, busy * work(&layer, costs, desc->input, cut));
    return ceil(blocks / a_round) * (costs->prologue_cycles + (double)steps * step) / device->clock;
}

bool apx_rnn_mma_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                     unsigned gates, size_t rows, size_t steps, struct rnn_mma_cut *out)
{
    bool found = false;
    /* Later devices run what is translated from sm_80, which knows no clusters. */
    const unsigned most_cluster = device->major == 9 ? MOST_CLUSTER : 1;
    for (unsigned cluster = 1; cluster <= most_cluster; cluster *= 2)
        for (unsigned tiles = 1; tiles <= MOST_TILES; tiles *= 2) {
            struct rnn_mma_cut cut = {.cluster = cluster, .tiles = tiles};
            if (tiles > 1 && tiles * 4 >= rows)
                continue; /* tiles without rows */
            if (!apx_rnn_mma_cut_complete(device, desc, gates, &cut))
                continue;
            cut.seconds = estimate(device, desc, gates, rows, steps, &cut);
            if (found && cut.seconds >= out->seconds)
                continue;
            *out = cut;
            found = true;
        }
    return found;
}

bool apx_rnn_mma_supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                          unsigned gates)
{
    struct rnn_mma_cut cut;
    return rnn_has_defaults(desc, gates == 4 ? 3 : 2) && desc->hidden <= RNN_MMA_MOST_UNITS &&
           desc->input <= RNN_MMA_MOST_INPUT && apx_rnn_mma_cut(device, desc, gates, 1, 1, &cut);
}
