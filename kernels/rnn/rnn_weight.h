/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_weight.h - the weights of W and R as a row's file has them: float, or half precision where
 * the file defines RNN_HALF. They become float as they are read, exactly; half of the bytes come
 * from the far cache. Included after simd_f32_<isa>.h. */
#ifndef APX_KERNELS_RNN_WEIGHT_H
#define APX_KERNELS_RNN_WEIGHT_H

#include <stdbool.h>

#ifdef RNN_HALF
#    define LSTM_TYPES lstm_f16
#    define GRU_TYPES  gru_f16
typedef uint16_t rnn_weight;
#else
#    define LSTM_TYPES lstm_f32
#    define GRU_TYPES  gru_f32
typedef float rnn_weight;
#endif

enum { RNN_IS_HALF = sizeof(rnn_weight) < sizeof(float) };

APX_INLINE vf rnn_weights(const rnn_weight *p)
{
#ifdef RNN_HALF
    return vf_load_half(p);
#else
    return vf_load(p);
#endif
}

/* Whether tiles of m rows want each weight in a register for all their rows. Compilers take them
 * from memory once a row where rows are two or three, and loads are what there are too many of
 * then; from four rows on they do not. Three rows of four vectors leave 16 registers no room. */
APX_INLINE bool rnn_keeps_weights(const int m)
{
    return VF_LANES == 16 ? m == 2 || m == 3 : VF_LANES == 8 && m == 2;
}

APX_INLINE vf rnn_weights_kept(const rnn_weight *p)
{
    vf a = rnn_weights(p);
#if VF_LANES > 1
    __asm__("" : "+v"(a));
#endif
    return a;
}

#endif
