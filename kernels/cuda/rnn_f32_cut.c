/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f32_cut.c - how many blocks share a tile of rows, and how many rows a tile has: by an
 * estimate of cycles a step.
 *
 * A warp spends, for each k and each row of its tile, `gates` multiply-adds (four warps a cycle)
 * and for each k one read of its weights (`gates` cycles of the shared memory that all warps of the
 * multiprocessor share) and a quarter of a read of h for each row. Whatever the width, one sum is a
 * chain of additions of four cycles each. Then come the activations, the exchange of h and the
 * barrier. The constants are of instructions' latencies and rates, not measured.
 *
 * A stack takes a turn's time for each step of its longest layer and for the turns that its highest
 * one is late; a turn takes what the slowest layer's step does. A layer alone is a stack of one. */
#include "kernels/cuda/rnn_f32_layout.h"

#include <math.h>

enum {
    LANES = 32,
    STATE_PAD = 4,      /* floats between rows of h: other banks */
    MOST_THREADS = 512, /* of a block: 128 registers a thread */
    MOST_TILE = 8,
    MOST_STACK_TILE = 4, /* stacks are for few rows */
    MOST_CLUSTER = 8,    /* what every device with clusters can do */
    TABLE = 32,          /* bytes: simd_f32_cuda.cuh */
    RESERVED = 1024,     /* bytes that the system keeps of each block's shared memory */
};

static const double chain_cycles = 4.3;      /* a multiply-add after another */
static const double cell_instructions = 130; /* activations of one unit and row */
static const double barrier_cycles = 60, cluster_cycles = 420;
static const double l2_bytes_a_cycle = 20; /* of one multiprocessor while all of them read */
static const double prologue_cycles = 2500;

static size_t round_up(size_t value, size_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/* Of a block, by the registers that a thread needs. */
static unsigned most_threads(unsigned tile, size_t layers)
{
    return tile > 1 || layers > 1 ? MOST_THREADS : 2 * MOST_THREADS;
}

size_t apx_rnn_f32_state_bytes(const struct apx_rnn_desc *desc, bool reset_before, unsigned rows)
{
    const size_t h = round_up(desc->hidden, 4) + STATE_PAD;
    const size_t x = round_up(desc->input, 4) + STATE_PAD;
    /* h twice (r h besides), x of three steps, lengths */
    return TABLE + rows * (((reset_before ? 3 : 2) * h + 3 * x) * sizeof(float) + sizeof(int32_t));
}

bool apx_rnn_f32_cut_complete(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                              unsigned gates, bool reset_before, struct rnn_f32_cut *cut)
{
    const size_t sum = desc->input + desc->hidden;
    cut->units = (unsigned)((desc->hidden + cut->cluster - 1) / cut->cluster);
    cut->rows = cut->tile * cut->groups;
    if ((size_t)cut->units * cut->groups > most_threads(cut->tile, 1))
        return false;
    if (cut->units * (cut->cluster - 1) >= desc->hidden && cut->cluster > 1)
        return false; /* a block without units */
    const size_t state = round_up(apx_rnn_f32_state_bytes(desc, reset_before, cut->rows), 16);
    if (state > device->shared_bytes)
        return false;
    const size_t a_k = (size_t)cut->units * gates * sizeof(float);
    const size_t fit = (device->shared_bytes - state) / a_k;
    /* Both halves of k are cut at multiples of four only. */
    size_t first = fit >= sum ? 0 : sum - fit;
    if (first > 0 && first <= desc->input)
        first = round_up(first, 4) > desc->input ? desc->input : round_up(first, 4);
    else if (first > desc->input)
        first = desc->input + round_up(first - desc->input, 4);
    if (first > sum)
        first = sum;
    cut->first_k = (unsigned)first;
    cut->shared = state + (sum - first) * a_k;
    return true;
}

/* Cycles that a step takes at least, however little else there is to do. */
static double chain_cycles_of(const struct apx_rnn_desc *desc, unsigned gates,
                              const struct rnn_f32_cut *cut)
{
    const double k = (double)(desc->input + desc->hidden), tile = cut->tile;
    return k * fmax(chain_cycles, gates * tile * 1.1) + tile * cell_instructions;
}

/* Cycles for which a block's step keeps its multiprocessor busy; `above`: blocks of another layer
 * that get its h as well. */
static double work_cycles_of(const struct apx_rnn_desc *desc, unsigned gates,
                             const struct rnn_f32_cut *cut, unsigned above)
{
    const double k = (double)(desc->input + desc->hidden), tile = cut->tile;
    const double warps = ceil((double)cut->units * cut->groups / LANES);
    const double resident = k - cut->first_k;
    const double issue = warps * (k * gates * tile * 1.1 + tile * cell_instructions) / 4.0;
    const double reads =
        warps * (resident * gates + k * tile / 4.0 + tile * (cut->cluster + above));
    const double far = cut->first_k * (double)cut->units * gates * 4.0 / l2_bytes_a_cycle;
    return fmax(issue, reads) + far;
}

static double estimate(const struct apx_cuda_device *device,
                       const struct apx_rnn_desc *const *descs, unsigned gates, bool reset_before,
                       size_t rows, size_t steps, const struct rnn_f32_stack_cut *cut)
{
    const struct rnn_f32_cut *layer = cut->layer;
    const double barrier =
        (cut->cluster > 1 ? cluster_cycles : barrier_cycles) * (reset_before ? 2.0 : 1.0);
    /* Blocks that share a multiprocessor hide each other's latency, not each other's work. */
    const double blocks = ceil((double)rows / layer[0].rows) * cut->cluster;
    double together =
        floor((double)(device->shared_bytes + RESERVED) / (double)(cut->shared + RESERVED));
    const double threads = most_threads(layer[0].tile, cut->layers);
    const double warps = ceil((double)cut->threads / LANES);
    together = fmax(1.0, fmin(together, floor(threads / (warps * LANES))));
    const double a_round =
        fmax(1.0, floor(device->multiprocessors / cut->cluster)) * cut->cluster * together;
    const double rounds = ceil(blocks / a_round);
    const double busy = fmin(together, ceil(blocks / device->multiprocessors));
    double turn = 0.0;
    for (unsigned l = 0; l < cut->layers; l++) {
        const unsigned above = l + 1 < cut->layers ? layer[l + 1].cluster : 0;
        turn = fmax(turn, fmax(chain_cycles_of(descs[l], gates, &layer[l]) + barrier,
                               busy * work_cycles_of(descs[l], gates, &layer[l], above)));
    }
    const double turns = (double)steps + RNN_F32_LAG * (cut->layers - 1.0);
    return rounds * (prologue_cycles + turns * turn) / device->clock;
}

bool apx_rnn_f32_stack_complete(const struct apx_cuda_device *device,
                                const struct apx_rnn_desc *const *descs, unsigned gates,
                                bool reset_before, struct rnn_f32_stack_cut *cut)
{
    cut->threads = 0;
    cut->shared = 0;
    for (unsigned l = 0; l < cut->layers; l++) {
        struct rnn_f32_cut *layer = &cut->layer[l];
        if (!apx_rnn_f32_cut_complete(device, descs[l], gates, reset_before, layer))
            return false;
        const unsigned threads = layer->units * layer->groups;
        cut->threads = threads > cut->threads ? threads : cut->threads;
        cut->shared = layer->shared > cut->shared ? layer->shared : cut->shared;
    }
    return cut->threads <= most_threads(cut->layer[0].tile, cut->layers);
}

/* One block for each layer; of the others each goes where a block has most to multiply. */
static void share_blocks(const struct apx_rnn_desc *const *descs, struct rnn_f32_stack_cut *cut)
{
    for (unsigned l = 0; l < cut->layers; l++)
        cut->layer[l].cluster = 1;
    for (unsigned spare = cut->cluster - cut->layers; spare > 0; spare--) {
        size_t most = 0;
        unsigned slowest = 0;
        for (unsigned l = 0; l < cut->layers; l++) {
            const size_t blocks = cut->layer[l].cluster;
            const size_t products =
                (descs[l]->hidden + blocks - 1) / blocks * (descs[l]->input + descs[l]->hidden);
            if (products <= most)
                continue;
            most = products;
            slowest = l;
        }
        cut->layer[slowest].cluster++;
    }
}

/* The fastest cut of layers that may be a stack, or of one. */
static bool find_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *const *descs,
                     size_t layers, unsigned gates, bool reset_before, size_t rows, size_t steps,
                     struct rnn_f32_stack_cut *out)
{
    bool found = false;
    /* Later devices run what is translated from sm_80, which knows no clusters. */
    const unsigned most_cluster = device->major == 9 ? MOST_CLUSTER : 1;
    const unsigned most_tile = layers > 1 ? MOST_STACK_TILE : MOST_TILE;
    for (unsigned cluster = 1; cluster <= most_cluster; cluster *= 2)
        for (unsigned tile = 1; tile <= most_tile && cluster >= layers; tile *= 2)
            for (unsigned groups = 1; groups <= 16; groups *= 2) {
                struct rnn_f32_stack_cut cut = {.layers = (unsigned)layers, .cluster = cluster};
                if (groups > 1 && (size_t)tile * groups / 2 >= rows)
                    continue; /* groups without rows */
                share_blocks(descs, &cut);
                for (size_t l = 0; l < layers; l++) {
                    cut.layer[l].tile = tile;
                    cut.layer[l].groups = groups;
                }
                if (!apx_rnn_f32_stack_complete(device, descs, gates, reset_before, &cut))
                    continue;
                cut.seconds = estimate(device, descs, gates, reset_before, rows, steps, &cut);
                if (found && cut.seconds >= out->seconds)
                    continue;
                *out = cut;
                found = true;
            }
    return found;
}

bool apx_rnn_f32_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                     unsigned gates, bool reset_before, size_t rows, size_t steps,
                     struct rnn_f32_cut *out)
{
    struct rnn_f32_stack_cut cut;
    if (!find_cut(device, &desc, 1, gates, reset_before, rows, steps, &cut))
        return false;
    *out = cut.layer[0];
    out->seconds = cut.seconds;
    return true;
}

bool apx_rnn_f32_stack_cut(const struct apx_cuda_device *device,
                           const struct apx_rnn_desc *const *descs, size_t layers, unsigned gates,
                           bool reset_before, size_t rows, size_t steps,
                           struct rnn_f32_stack_cut *out)
{
    if (layers < 2 || layers > APX_CUDA_MOST_STACKED)
        return false;
    for (size_t l = 1; l < layers; l++)
        if (descs[l]->input != descs[l - 1]->hidden || descs[l]->reverse != descs[0]->reverse ||
            descs[l]->reset_after != descs[0]->reset_after)
            return false;
    return find_cut(device, descs, layers, gates, reset_before, rows, steps, out);
}
