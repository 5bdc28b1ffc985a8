/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f16_cut.c - how many blocks share a tile of rows, and how many rows it has: by an estimate of
 * cycles a step.
 *
 * A warp reads its octet's weights of 16 k (8 cycles of the shared memory that all warps share),
 * and two words of h for each tile of eight rows, which then feed two products of some two cycles
 * each. The constants are of instructions' rates and latencies, not measured. */
#include "kernels/cuda/rnn_f16_layout.h"

#include <math.h>

enum { LANES = 32, MOST_TILES = 4, MOST_CLUSTER = 8, RESERVED = 1024 };

static const double product_cycles = 2.0;   /* of the four tensor cores together */
static const double cell_instructions = 60; /* of one unit and row */
static const double chain_cycles = 36;      /* a product after another */
static const double barrier_cycles = 60, cluster_cycles = 420;
static const double l2_bytes_a_cycle = 20;
static const double prologue_cycles = 2500;

static size_t state_bytes(const struct apx_rnn_desc *desc, bool reset_before, size_t rows)
{
    const size_t x = rnn_f16_round(desc->input, RNN_F16_K) + 8;
    const size_t h = rnn_f16_round(desc->hidden, RNN_F16_K) + 8;
    return rows * (3 * x * sizeof(float) + (reset_before ? 3 : 2) * h * sizeof(uint16_t) +
                   sizeof(int32_t));
}

bool apx_rnn_f16_cut_complete(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                              bool reset_before, struct rnn_f16_cut *cut)
{
    const size_t octets = rnn_f16_octets(desc);
    cut->octets = (unsigned)((octets + cut->cluster - 1) / cut->cluster);
    if (cut->octets * LANES > (cut->tiles > 1 ? 512u : 1024u))
        return false; /* 128 or 64 registers a thread */
    if (cut->cluster > 1 && cut->octets * (cut->cluster - 1) >= octets)
        return false; /* a block without units */
    const size_t state = rnn_f16_round(state_bytes(desc, reset_before, 8 * cut->tiles), 16);
    const size_t weights =
        cut->octets * rnn_f16_k_tiles(desc) * RNN_F16_TILE_WORDS * sizeof(uint32_t);
    if (state > device->shared_bytes)
        return false;
    cut->resident = state + weights <= device->shared_bytes;
    cut->shared = state + (cut->resident ? weights : 0);
    return true;
}

static double estimate(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                       bool reset_before, size_t rows, size_t steps, const struct rnn_f16_cut *cut)
{
    const double k = (double)rnn_f16_k_tiles(desc), tiles = cut->tiles, warps = cut->octets;
    const double reads = warps * k * ((cut->resident ? 8.0 : 0.0) + 2.0 * tiles);
    const double far =
        cut->resident ? 0.0 : warps * k * RNN_F16_TILE_WORDS * 4.0 / l2_bytes_a_cycle;
    const double products = warps * k * tiles * 2.0 * product_cycles / 4.0 * 2.0;
    const double cells = warps * tiles * 2.0 * cell_instructions / 4.0;
    const double barrier =
        (cut->cluster > 1 ? cluster_cycles : barrier_cycles) * (reset_before ? 2.0 : 1.0);
    const double chain = k * chain_cycles + tiles * 2.0 * cell_instructions + 100.0;
    const double threads = cut->tiles > 1 ? 512.0 : 1024.0;
    double together =
        floor((double)(device->shared_bytes + RESERVED) / (double)(cut->shared + RESERVED));
    together = fmax(1.0, fmin(together, floor(threads / (warps * LANES))));
    const double blocks = ceil((double)rows / (8.0 * tiles)) * cut->cluster;
    const double a_round =
        fmax(1.0, floor(device->multiprocessors / cut->cluster)) * cut->cluster * together;
    const double busy = fmin(together, ceil(blocks / device->multiprocessors));
    const double step = fmax(chain + barrier, busy * (fmax(products, reads) + far + cells));
    return ceil(blocks / a_round) * (prologue_cycles + (double)steps * step) / device->clock;
}

bool apx_rnn_f16_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                     bool reset_before, size_t rows, size_t steps, struct rnn_f16_cut *out)
{
    bool found = false;
    /* Later devices run what is translated from sm_80, which knows no clusters. */
    const unsigned most_cluster = device->major == 9 ? MOST_CLUSTER : 1;
    for (unsigned cluster = 1; cluster <= most_cluster; cluster *= 2)
        for (unsigned tiles = 1; tiles <= MOST_TILES; tiles *= 2) {
            struct rnn_f16_cut cut = {.cluster = cluster, .tiles = tiles};
            if (tiles > 1 && tiles * 4 >= rows)
                continue; /* tiles without rows */
            if (!apx_rnn_f16_cut_complete(device, desc, reset_before, &cut))
                continue;
            cut.seconds = estimate(device, desc, reset_before, rows, steps, &cut);
            if (found && cut.seconds >= out->seconds)
                continue;
            *out = cut;
            found = true;
        }
    return found;
}
