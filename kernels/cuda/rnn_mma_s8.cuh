/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_mma_s8.cuh - products of bytes for rnn_mma_body.cuh, with the bits of the processor's rows.
 *
 * Sums are integers, so they are exact in any order; what becomes of them is written in the
 * processor's order (kernels.h, struct apx_rnn_int8), and cells are its own source
 * (kernels/rnn/rnn_cell.h).
 *
 * h is published rounded, four units in a word. Where x is to be rounded (QX), each thread rounds
 * what it copied itself, before the barrier that ends the step, and marks a row that has a NaN:
 * from that step on its state is NaN. Marks have a place for each of three steps, as the rounded x
 * has, and are never taken back: NaN stays. Else x is multiplied in float. */
#ifndef APX_CUDA_RNN_MMA_S8_CUH
#define APX_CUDA_RNN_MMA_S8_CUH

#include "kernels/cuda/rnn_mma_body.cuh"
#include "kernels/cuda/simd_f32_cuda.cuh"

#include "kernels/rnn/rnn_cell.h"

/* q(v, factor) as a byte; NaN gives -levels, as on the processor. */
SIMT_INLINE uint32_t rnn_s8_level(float v, float factor, float levels)
{
    float scaled = simt_mul(v, factor);
    scaled = scaled > -levels ? scaled : -levels;
    scaled = scaled < levels ? scaled : levels;
    return (uint32_t)simt_round(scaled) & 0xff;
}

/* gates += W x in float: k ascending, COUNT of them, of 8 units' four gates each. */
template <int GATES, int TILES, int COUNT>
SIMT_INLINE void rnn_s8_multiply_floats(const float *w, const float *x, unsigned pitch,
                                        float gates[TILES][2][4])
{
    float weight[COUNT][4];
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        const float4 four = *(const float4 *)(w + i * (4 * RNN_MMA_UNITS));
        weight[i][0] = four.x;
        weight[i][1] = four.y;
        weight[i][2] = four.z;
        weight[i][3] = four.w;
    }
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const float *from = x + (8 * t + j) * pitch;
            float value[2];
            if (COUNT == 2) {
                const float2 two = *(const float2 *)from;
                value[0] = two.x;
                value[1] = two.y;
            } else {
                value[0] = *from;
            }
#pragma unroll
            for (int i = 0; i < COUNT; i++)
#pragma unroll
                for (int g = 0; g < GATES; g++)
                    gates[t][j][g] = simt_fma(value[i], weight[i][g], gates[t][j][g]);
        }
}

/* GATES: sums that have weights; AFTER: a GRU's with reset after. */
template <int GATES, bool AFTER, bool QX> struct rnn_s8 {
    static SIMT_MEMBER void begin(const struct rnn_mma_job &, const struct rnn_mma_place &at)
    {
        vf_make_table();
        for (unsigned i = threadIdx.x; i < 3 * at.tile.rows; i += blockDim.x)
            at.marks[i] = 0;
    }
    static SIMT_MEMBER void begin_h(const struct rnn_mma_job &job, const struct rnn_mma_place &at)
    {
        const unsigned words = (job.batch.hidden + 3) / 4;
        for (unsigned i = threadIdx.x; i < at.tile.rows * words; i += blockDim.x) {
            const unsigned row = i / words, unit = i % words * 4;
            uint32_t word = 0;
            for (unsigned j = 0; j < 4; j++) {
                const float h = rnn_tile_initial(job.batch, at.tile, row, unit + j, job.batch.h0,
                                                 job.batch.h0_row);
                word |= rnn_s8_level(h, job.layer.levels, job.layer.levels) << 8 * j;
                for (unsigned mark = 0; mark < 3 && h != h; mark++)
                    simt_or(at.marks + mark * at.tile.rows + row, 1);
            }
            *(uint32_t *)(at.h + row * job.layer.h_pitch + unit) = word;
        }
    }
    static SIMT_MEMBER float *x_of(const struct rnn_mma_job &job, const struct rnn_mma_place &at,
                                   unsigned step)
    {
        return at.x + (QX ? 0 : step % 3 * at.tile.rows * job.layer.x_pitch);
    }
    static SIMT_MEMBER uint8_t *qx_of(const struct rnn_mma_job &job, const struct rnn_mma_place &at,
                                      unsigned step)
    {
        return at.qx + step % 3 * at.tile.rows * job.layer.qx_pitch;
    }
    static SIMT_MEMBER void fetch(const struct rnn_mma_job &job, const struct rnn_mma_place &at,
                                  unsigned step)
    {
        rnn_tile_fetch(job.batch, at.tile, step, x_of(job, at, step), job.layer.x_pitch);
    }
    static SIMT_MEMBER void complete(const struct rnn_mma_job &job, const struct rnn_mma_place &at,
                                     unsigned step)
    {
        simt_copy_wait();
        if (!QX)
            return;
        uint8_t *to = qx_of(job, at, step);
        rnn_tile_pieces(job.batch, at.tile, step, [&](unsigned row, unsigned k) {
            const float *x = at.x + row * job.layer.x_pitch + k;
            uint32_t word = 0;
            bool has_nan = false;
#pragma unroll
            for (unsigned j = 0; j < 4; j++)
                if (k + j < job.batch.input) {
                    word |= rnn_s8_level(x[j], job.layer.factor, job.layer.levels) << 8 * j;
                    has_nan = has_nan || x[j] != x[j];
                }
            *(uint32_t *)(to + row * job.layer.qx_pitch + k) = word;
            if (has_nan)
                simt_or(at.marks + step % 3 * at.tile.rows + row, 1);
        });
    }
    /* Four units' lanes make a word, and each of them writes it to some of the blocks. */
    static SIMT_MEMBER void publish(const struct rnn_mma_job &job, const struct rnn_mma_place &at,
                                    uint8_t *row, float value)
    {
        const unsigned place = at.lane / 4 % 4, first = at.unit - place;
        const float levels = job.layer.levels;
        uint32_t word = at.exists ? rnn_s8_level(value, levels, levels) << 8 * place : 0;
        word |= simt_shuffle_xor(word, 4);
        word |= simt_shuffle_xor(word, 8);
        if (first >= job.batch.hidden)
            return;
        uint32_t *to = (uint32_t *)(row + first);
        if (job.cut.cluster == 1) {
            if (place == 0)
                *to = word;
            return;
        }
#pragma unroll 1
        for (unsigned rank = place; rank < job.cut.cluster; rank += 4)
            *simt_peer(to, rank) = word;
    }
    static SIMT_MEMBER bool is_spoiled(const struct rnn_mma_place &at, unsigned step, unsigned row)
    {
        return at.marks[step % 3 * at.tile.rows + row] != 0;
    }

    /* Constants are read at every step, from the L1 cache, since registers are scarcer. */
    template <int TILES> struct Sums {
        float gates[TILES][2][4], h_scale[4];
        int32_t products[TILES][2][4];

        SIMT_MEMBER float &at(int t, int j, int sum)
        {
            return gates[t][j][sum];
        }
        SIMT_MEMBER void start(const struct rnn_mma_job &, const struct rnn_mma_place &)
        {
        }

        SIMT_MEMBER void clear()
        {
#pragma unroll
            for (int i = 0; i < 8 * TILES; i++)
                products[i / 8][i / 4 % 2][i % 4] = 0;
        }
        /* products += weights times `tiles` tiles of values [rows][pitch]. */
        template <int HALF>
        SIMT_MEMBER void multiply(const struct rnn_mma_place &place, const uint32_t *weights,
                                  unsigned tiles, const uint8_t *values, unsigned pitch)
        {
            enum { HIGH_WORDS = GATES == 4 ? 4 : 2 }; /* of a lane */
            const uint32_t *low = weights + 4 * place.lane,
                           *high = weights + 128 + HIGH_WORDS * place.lane;
            const uint8_t *from = values + place.lane / 4 * pitch + place.lane % 4 * 8;
#pragma unroll 2
            for (unsigned tile = 0; tile < tiles; tile++) {
                const unsigned word = tile * (128 + 32 * HIGH_WORDS);
                uint32_t a[2][4] = {};
                if (HALF & HALF_LOW)
                    rnn_mma_load(low + word, a[0]);
                if ((HALF & HALF_HIGH) && GATES == 4) {
                    rnn_mma_load(high + word, a[1]);
                } else if (HALF & HALF_HIGH) {
                    const uint2 two = *(const uint2 *)(high + word);
                    a[1][0] = two.x;
                    a[1][2] = two.y;
                }
#pragma unroll
                for (int t = 0; t < TILES; t++) {
                    const uint2 two = *(const uint2 *)(from + 8 * t * pitch + tile * RNN_MMA_S8_K);
                    const uint32_t b[2] = {two.x, two.y};
                    if (HALF & HALF_LOW)
                        simt_mma_s8(products[t][0], a[0], b);
                    if (HALF & HALF_HIGH)
                        simt_mma_s8(products[t][1], a[1], b);
                }
            }
        }
        /* A gate += its products times `scale`; of h with reset after, the candidate's stay apart.
         */
        template <bool APART> SIMT_MEMBER void scale(int t, int j, int g, const float scale[4])
        {
            float &to = gates[t][j][APART && g == 2 ? 3 : g];
            to = simt_fma(simt_to_float(products[t][g / 2][g % 2 * 2 + j]), scale[g], to);
        }
        /* From the biases. */
        SIMT_MEMBER void add_x(const struct rnn_mma_job &job, const struct rnn_mma_place &place,
                               unsigned step)
        {
            float bias[4], x_scale[4];
            rnn_mma_constants(job, place, 0, bias);
#pragma unroll
            for (int i = 0; i < 8 * TILES; i++)
                gates[i / 8][i / 4 % 2][i % 4] = bias[i % 4];
            if (QX) {
                clear();
                rnn_mma_constants(job, place, 1, x_scale);
                multiply<HALF_BOTH>(place, place.weights, job.layer.x_tiles,
                                    qx_of(job, place, step), job.layer.qx_pitch);
#pragma unroll
                for (int i = 0; i < 2 * TILES * GATES; i++)
                    scale<false>(i / GATES / 2, i / GATES % 2, i % GATES, x_scale);
            } else {
                const float *w = (const float *)place.weights + place.lane / 4 * 4;
                const float *x = x_of(job, place, step) + place.pair * job.layer.x_pitch;
                unsigned k = 0;
#pragma unroll 1
                for (; k + 2 <= job.batch.input; k += 2)
                    rnn_s8_multiply_floats<GATES, TILES, 2>(w + k * (4 * RNN_MMA_UNITS), x + k,
                                                            job.layer.x_pitch, gates);
                if (k < job.batch.input)
                    rnn_s8_multiply_floats<GATES, TILES, 1>(w + k * (4 * RNN_MMA_UNITS), x + k,
                                                            job.layer.x_pitch, gates);
            }
            clear();
        }
        template <int HALF>
        SIMT_MEMBER void add_h(const struct rnn_mma_job &job, const struct rnn_mma_place &place,
                               const uint8_t *h)
        {
            rnn_mma_constants(job, place, 2, h_scale);
            multiply<HALF>(place, place.weights + job.layer.x_words, job.layer.h_tiles, h,
                           job.layer.h_pitch);
        }
        /* Row by row, each before its cell: all at once they take more registers than there are. */
        template <int HALF> SIMT_MEMBER void finish(int t, int j)
        {
#pragma unroll
            for (int g = HALF & HALF_LOW ? 0 : 2; g < (HALF & HALF_HIGH ? GATES : 2); g++)
                scale<AFTER>(t, j, g, h_scale);
        }
    };
};

#endif
