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

#endif
