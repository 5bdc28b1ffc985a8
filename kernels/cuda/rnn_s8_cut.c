/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_s8_cut.c - how many blocks share a tile of rows, and how many rows it has: by an estimate of
 * cycles a step.
 *
 * A warp reads its octet's weights of 32 k (8 cycles of the shared memory that all warps share, 6
 * of a GRU), and two words of h for each tile of eight rows, which feed two products of some two
 * cycles each. Cells are those of float layers and take longer than the products. Float weights of
 * x cost what they cost a float layer. The constants are of instructions' rates and latencies, not
 * measured. */
#include "kernels/cuda/rnn_s8_mma.h"

#include <math.h>

#include "kernels/rnn/rnn_s8.h"

enum {
    LANES = 32,
    MOST_TILES = 4,
    MOST_CLUSTER = 8, /* what every device with clusters can do */
    TABLE = 32,       /* bytes: simd_f32_cuda.cuh */
    RESERVED = 1024,  /* bytes that the system keeps of each block's shared memory */
};

static const double product_cycles = 2.0;    /* of the four tensor cores together */
static const double product_latency = 33;    /* a product after another */
static const double chain_cycles = 4.3;      /* a multiply-add after another */
static const double cell_instructions = 160; /* of one unit and row: activations, integers to
                                                 float and back, the exchange of h */
static const double cell_latency = 400;      /* of one unit and row, nothing beside it */
static const double barrier_cycles = 60, cluster_cycles = 420;
static const double l2_bytes_a_cycle = 20; /* of one multiprocessor while all of them read */
static const double prologue_cycles = 3300;

static bool resets_before(const struct apx_rnn_desc *desc, unsigned gates)
{
    return gates == 3 && !desc->reset_after;
}

size_t apx_rnn_s8_state_bytes(const struct apx_rnn_desc *desc, bool reset_before, unsigned rows)
{
    const bool quantises_x = rnn_s8_quantises_x(desc);
    /* q of x of three steps and one step's x, or x of three steps */
    const size_t x = rnn_s8_x_pitch(desc->input) * sizeof(float) * (quantises_x ? 1 : 3) +
                     (quantises_x ? 3 * rnn_s8_pitch(desc->input) : 0);
    const size_t h = (reset_before ? 3 : 2) * rnn_s8_pitch(desc->hidden);
    /* lengths, and marks of three steps */
    return rnn_s8_round(TABLE + rows * (x + h + 4 * sizeof(int32_t)), 16);
}

bool apx_rnn_s8_cut_complete(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                             unsigned gates, struct rnn_s8_cut *cut)
{
    const size_t octets = rnn_s8_octets(desc);
    cut->octets = (unsigned)((octets + cut->cluster - 1) / cut->cluster);
    if (cut->octets * LANES > (cut->tiles > 1 ? 512u : 1024u))
        return false; /* 128 or 64 registers a thread */
    if (cut->cluster > 1 && cut->octets * (cut->cluster - 1) >= octets)
        return false; /* a block without units */
    const size_t state = apx_rnn_s8_state_bytes(desc, resets_before(desc, gates), 8 * cut->tiles);
    const size_t weights = cut->octets * rnn_s8_octet_words(desc, gates) * sizeof(uint32_t);
    if (state > device->shared_bytes)
        return false;
    cut->resident = state + weights <= device->shared_bytes;
    cut->shared = state + (cut->resident ? weights : 0);
    return true;
}

static double estimate(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                       unsigned gates, size_t rows, size_t steps, const struct rnn_s8_cut *cut)
{
    const bool quantises_x = rnn_s8_quantises_x(desc);
    const double floats = quantises_x ? 0.0 : (double)desc->input;
    const double k =
        (double)rnn_s8_tiles(desc->hidden) + (quantises_x ? (double)rnn_s8_tiles(desc->input) : 0);
    const double tiles = cut->tiles, warps = cut->octets, row_count = 8.0 * tiles;
    const double weights = cut->resident ? rnn_s8_tile_words(gates) / 32.0 : 0.0;
    const double reads = warps * (k * (weights + 2.0 * tiles) +
                                  floats * (cut->resident ? 2.0 : 0.0) + floats * tiles);
    const double far =
        cut->resident ? 0.0
                      : warps * (double)rnn_s8_octet_words(desc, gates) * 4.0 / l2_bytes_a_cycle;
    const double products = warps * k * tiles * 2.0 * product_cycles;
    const double rounding =
        quantises_x ? row_count * (double)desc->input * 8.0 / LANES : 0.0; /* instructions */
    const double issue = (warps * tiles * (2.0 * cell_instructions + 2.2 * gates * floats) +
                          warps * k * (4.0 + 4.0 * tiles) + rounding) /
                         4.0;
    const double barrier =
        (cut->cluster > 1 ? cluster_cycles : barrier_cycles) * (resets_before(desc, gates) ? 2 : 1);
    const double chain = k * product_latency + floats * fmax(chain_cycles, 2.2 * gates * tiles) +
                         cell_latency + (2.0 * tiles - 1.0) * cell_instructions;
    const double threads = cut->tiles > 1 ? 512.0 : 1024.0; /* by registers */
    double together =
        floor((double)(device->shared_bytes + RESERVED) / (double)(cut->shared + RESERVED));
    together = fmax(1.0, fmin(together, floor(threads / (warps * LANES))));
    const double blocks = ceil((double)rows / row_count) * cut->cluster;
    const double a_round =
        fmax(1.0, floor(device->multiprocessors / cut->cluster)) * cut->cluster * together;
    const double busy = fmin(together, ceil(blocks / device->multiprocessors));
    const double step = fmax(chain + barrier, busy * (fmax(fmax(products, reads), issue) + far));
    return ceil(blocks / a_round) * (prologue_cycles + (double)steps * step) / device->clock;
}

bool apx_rnn_s8_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                    unsigned gates, size_t rows, size_t steps, struct rnn_s8_cut *out)
{
    bool found = false;
    /* Later devices run what is translated from sm_80, which knows no clusters. */
    const unsigned most_cluster = device->major == 9 ? MOST_CLUSTER : 1;
    for (unsigned cluster = 1; cluster <= most_cluster; cluster *= 2)
        for (unsigned tiles = 1; tiles <= MOST_TILES; tiles *= 2) {
            struct rnn_s8_cut cut = {.cluster = cluster, .tiles = tiles};
            if (tiles > 1 && tiles * 4 >= rows)
                continue; /* tiles without rows */
            if (!apx_rnn_s8_cut_complete(device, desc, gates, &cut))
                continue;
            cut.seconds = estimate(device, desc, gates, rows, steps, &cut);
            if (found && cut.seconds >= out->seconds)
                continue;
            *out = cut;
            found = true;
        }
    return found;
}

bool apx_rnn_s8_cuda_supports(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                              unsigned gates)
{
    struct rnn_s8_cut cut;
    return rnn_s8_takes(desc, gates == 4 ? 3 : 2) && desc->hidden <= RNN_S8_MOST_UNITS &&
           desc->input <= RNN_S8_MOST_INPUT && apx_rnn_s8_cut(device, desc, gates, 1, 1, &cut);
}
