/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_f32_cut.c - how many blocks share a tile of rows, and how many rows a tile has: by an
 * estimate of cycles a step.
 *
 * A warp spends, for each k and each row of its tile, `gates` multiply-adds (four warps a cycle)
 * and for each k one read of its weights (`gates` cycles of the shared memory that all warps of the
 * multiprocessor share) and a quarter of a read of h for each row. Whatever the width, one sum is a
 * chain of additions of four cycles each. Then come the activations, the exchange of h and the
 * barrier. The constants are of instructions' latencies and rates, not measured. */
#include "kernels/cuda/rnn_f32_layout.h"

#include <math.h>

enum {
    LANES = 32,
    STATE_PAD = 4,      /* floats between rows of h: other banks */
    MOST_THREADS = 512, /* of a block: 128 registers a thread */
    MOST_TILE = 8,
    MOST_CLUSTER = 8, /* what every device with clusters can do */
    TABLE = 32,       /* bytes: simd_f32_cuda.cuh */
    RESERVED = 1024,  /* bytes that the system keeps of each block's shared memory */
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
    const size_t most_threads = cut->tile > 1 ? MOST_THREADS : 2 * MOST_THREADS;
    if ((size_t)cut->units * cut->groups > most_threads)
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

static double estimate(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                       unsigned gates, bool reset_before, size_t rows, size_t steps,
                       const struct rnn_f32_cut *cut)
{
    const double k = (double)(desc->input + desc->hidden), tile = cut->tile;
    const double warps = ceil((double)cut->units * cut->groups / LANES);
    const double resident = k - cut->first_k;
    const double issue = warps * (k * gates * tile * 1.1 + tile * cell_instructions) / 4.0;
    const double reads = warps * (resident * gates + k * tile / 4.0 + tile * cut->cluster);
    const double far = cut->first_k * (double)cut->units * gates * 4.0 / l2_bytes_a_cycle;
    const double barrier =
        (cut->cluster > 1 ? cluster_cycles : barrier_cycles) * (reset_before ? 2.0 : 1.0);
    const double chain = k * fmax(chain_cycles, gates * tile * 1.1) + tile * cell_instructions;
    /* Blocks that share a multiprocessor hide each other's latency, not each other's work. */
    const double blocks = ceil((double)rows / cut->rows) * cut->cluster;
    double together =
        floor((double)(device->shared_bytes + RESERVED) / (double)(cut->shared + RESERVED));
    const double threads = cut->tile > 1 ? MOST_THREADS : 2 * MOST_THREADS; /* by registers */
    together = fmax(1.0, fmin(together, floor(threads / (warps * LANES))));
    const double a_round =
        fmax(1.0, floor(device->multiprocessors / cut->cluster)) * cut->cluster * together;
    const double rounds = ceil(blocks / a_round);
    const double busy = fmin(together, ceil(blocks / device->multiprocessors));
    const double step = fmax(chain + barrier, busy * (fmax(issue, reads) + far));
    return rounds * (prologue_cycles + (double)steps * step) / device->clock;
}

bool apx_rnn_f32_cut(const struct apx_cuda_device *device, const struct apx_rnn_desc *desc,
                     unsigned gates, bool reset_before, size_t rows, size_t steps,
                     struct rnn_f32_cut *out)
{
    bool found = false;
    /* Later devices run what is translated from sm_80, which knows no clusters. */
    const unsigned most_cluster = device->major == 9 ? MOST_CLUSTER : 1;
    for (unsigned cluster = 1; cluster <= most_cluster; cluster *= 2)
        for (unsigned tile = 1; tile <= MOST_TILE; tile *= 2)
            for (unsigned groups = 1; groups <= 16; groups *= 2) {
                struct rnn_f32_cut cut = {.cluster = cluster, .tile = tile, .groups = groups};
                if (groups > 1 && (size_t)tile * groups / 2 >= rows)
                    continue; /* groups without rows */
                if (!apx_rnn_f32_cut_complete(device, desc, gates, reset_before, &cut))
                    continue;
                cut.seconds = estimate(device, desc, gates, reset_before, rows, steps, &cut);
                if (found && cut.seconds >= out->seconds)
                    continue;
                *out = cut;
                found = true;
            }
    return found;
}
