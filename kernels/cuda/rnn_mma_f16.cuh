/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_mma_f16.cuh - products of halves, sums and states in float, for rnn_mma_body.cuh.
 *
 * h is kept as halves; x as floats, which every warp rounds as it reads them. */
#ifndef APX_CUDA_RNN_MMA_F16_CUH
#define APX_CUDA_RNN_MMA_F16_CUH

#include "kernels/cuda/rnn_mma_body.cuh"

/* Activations for results of halves. */
SIMT_INLINE float rnn_f16_sigmoid(float x)
{
    return simt_fast_reciprocal(1.0f + simt_fast_exp(-x));
}
SIMT_INLINE float rnn_f16_tanh(float x)
{
    return 1.0f - 2.0f * simt_fast_reciprocal(1.0f + simt_fast_exp(2.0f * x));
}

struct rnn_f16 {
    /* Zeros where the tiles of k are filled up: weights are zeros there, but a product with what
     * memory happens to hold might be NaN. */
    static SIMT_MEMBER void begin(const struct rnn_mma_job &job, const struct rnn_mma_place &at)
    {
        const unsigned pitch = job.layer.x_pitch;
        for (unsigned i = threadIdx.x; i < 3 * at.tile.rows * pitch; i += blockDim.x)
            if (i % pitch >= job.batch.input)
                at.x[i] = 0.0f;
    }
    static SIMT_MEMBER void begin_h(const struct rnn_mma_job &job, const struct rnn_mma_place &at)
    {
        const unsigned width = job.layer.h_pitch / 2, tile = at.tile.rows * width;
        const unsigned tiles = job.layer.reset_before ? 3 : 2; /* with r h, which lies behind */
        uint16_t *to = (uint16_t *)at.h;
        for (unsigned i = threadIdx.x; i < tiles * tile; i += blockDim.x) {
            const unsigned unit = i % width;
            if (i < tile)
                to[i] = (uint16_t)simt_halves(rnn_tile_initial(job.batch, at.tile, i / width, unit,
                                                               job.batch.h0, job.batch.h0_row),
                                              0.0f);
            else if (unit >= job.batch.hidden) /* the rest is written before it is read */
                to[i] = 0;
        }
    }
    static SIMT_MEMBER void fetch(const struct rnn_mma_job &job, const struct rnn_mma_place &at,
                                  unsigned step)
    {
        rnn_tile_fetch(job.batch, at.tile, step, at.x + step % 3 * at.tile.rows * job.layer.x_pitch,
                       job.layer.x_pitch);
    }
    static SIMT_MEMBER void complete(const struct rnn_mma_job &, const struct rnn_mma_place &,
                                     unsigned)
    {
        simt_copy_wait();
    }
    static SIMT_MEMBER void publish(const struct rnn_mma_job &job, const struct rnn_mma_place &at,
                                    uint8_t *row, float value)
    {
        const uint16_t half = (uint16_t)simt_halves(value, 0.0f);
        uint16_t *to = (uint16_t *)row + at.unit;
        if (!at.exists)
            return;
        if (job.cut.cluster == 1) {
            *to = half;
            return;
        }
#pragma unroll 1
        for (unsigned rank = 0; rank < job.cut.cluster; rank++)
            *simt_peer(to, rank) = half;
    }
    static SIMT_MEMBER bool is_spoiled(const struct rnn_mma_place &, unsigned, unsigned)
    {
        return false; /* NaN goes through sums by itself */
    }

    template <int TILES> struct Sums {
        float bias[4], sums[TILES][2][4];

        SIMT_MEMBER float &at(int t, int j, int sum)
        {
            return sums[t][sum / 2][sum % 2 * 2 + j];
        }
        SIMT_MEMBER void start(const struct rnn_mma_job &job, const struct rnn_mma_place &place)
        {
            rnn_mma_constants(job, place, 0, bias);
        }
        /* sums += weights times `tiles` tiles of k; right(t, tile, b) gives the other operand. */
        template <int HALF, class Right>
        SIMT_MEMBER void multiply(const struct rnn_mma_place &place, const uint32_t *weights,
                                  unsigned tiles, const Right &right)
        {
            weights += 4 * place.lane;
#pragma unroll(TILES > 2 ? 1 : 2)
            for (unsigned tile = 0; tile < tiles; tile++) {
                uint32_t a[2][4];
#pragma unroll
                for (int half = 0; half < 2; half++)
                    if (HALF >> half & 1)
                        rnn_mma_load(weights + tile * 256 + half * 128, a[half]);
#pragma unroll
                for (int t = 0; t < TILES; t++) {
                    uint32_t b[2];
                    right(t, tile, b);
                    if (HALF & HALF_LOW)
                        simt_mma_f16(sums[t][0], a[0], b);
                    if (HALF & HALF_HIGH)
                        simt_mma_f16(sums[t][1], a[1], b);
                }
            }
        }
        /* From the biases. */
        SIMT_MEMBER void add_x(const struct rnn_mma_job &job, const struct rnn_mma_place &place,
                               unsigned step)
        {
            const unsigned pitch = job.layer.x_pitch;
            const float *x =
                place.x + (step % 3 * place.tile.rows + place.lane / 4) * pitch + place.pair;
#pragma unroll
            for (int i = 0; i < 8 * TILES; i++)
                sums[i / 8][i / 4 % 2][i % 4] = bias[i % 8 / 2];
            multiply<HALF_BOTH>(place, place.weights, job.layer.x_tiles,
                                [&](int t, unsigned tile, uint32_t b[2]) {
                                    const float *from = x + 8 * t * pitch + tile * RNN_MMA_F16_K;
                                    const float2 first = *(const float2 *)from;
                                    const float2 second = *(const float2 *)(from + 8);
                                    b[0] = simt_halves(first.x, first.y);
                                    b[1] = simt_halves(second.x, second.y);
                                });
        }
        template <int HALF>
        SIMT_MEMBER void add_h(const struct rnn_mma_job &job, const struct rnn_mma_place &place,
                               const uint8_t *h)
        {
            const unsigned pitch = job.layer.h_pitch;
            h += place.lane / 4 * pitch + 2 * place.pair;
            multiply<HALF>(place, place.weights + job.layer.x_words, job.layer.h_tiles,
                           [&](int t, unsigned tile, uint32_t b[2]) {
                               const uint8_t *from = h + 8 * t * pitch + tile * RNN_MMA_F16_K * 2;
                               b[0] = *(const uint32_t *)from;
                               b[1] = *(const uint32_t *)(from + 16);
                           });
        }
        template <int HALF> SIMT_MEMBER void finish(int, int)
        {
        }
    };
};

#endif
