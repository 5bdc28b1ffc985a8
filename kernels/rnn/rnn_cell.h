/* SPDX-License-Identifier: Apache-2.0 */
/* rnn_cell.h - the arithmetic of a cell of LSTM and GRU with their default activations, over the
 * vector vocabulary (include a simd_f32_<isa>.h first). Every ISA gives the same bits.
 *
 * Activations that stand alone (kernels/cpu/activations.h) keep their relative accuracy out to the
 * far tails and pay a division each. In a cell they are factors of sums, so absolute accuracy is
 * what counts, and they come in products, which share a division. Hence fractions:
 *
 *     sigmoid(x) = 1 / (1 + a)            a = e^-x
 *     tanh(x)    = (1 - b) / (1 + b)      b = e^-2x
 *
 *     i g        = (1 - b) / ((1 + a) (1 + b)), o tanh(c) likewise: LSTM has 3 divisions, not 5.
 *
 * a and b are 2^t with 8 t = m + f, m an integer and |f| <= 1/2: 2^(m/8) is a table of eight
 * significands and a shift, 2^(f/8) = 1 + p(f) a polynomial of degree 3 whose relative error is
 * 2.7e-8. tanh's numerator is computed as (1 - s) - s p, with s = 2^(m/8), so that it loses nothing
 * near 0; its denominator as (1 + s) + s p, so that errors of p cancel where b is large.
 *
 * Bounds: |x| <= 67 for sigmoid, which never gets below 8e-30, and |x| <= 10 for tanh, which is 1
 * by then. So no product of two of these denominators overflows, and no number is subnormal.
 *
 * Largest errors against float64: sigmoid 9e-8; tanh 1.5e-7, and 1.3e-6 of its value; c 2.6e-7 of
 * 1 + |c|; h 2.4e-7 (LSTM), 2.6e-7 (GRU) (tests/kernels/rnn_cell_test.c holds them to it). NaN
 * gives NaN; infinities give the limits.
 *
 * A cell is a chain of some 110 cycles, of which a processor can keep few in sight. What is here
 * takes n values through each stage side by side, and what comes after the first division is apart,
 * so that callers can put other work in between. */
#ifndef APX_KERNELS_RNN_CELL_H
#define APX_KERNELS_RNN_CELL_H

#include <stddef.h>

#define CELL_ROUND_BIAS   0x1.8p23f
#define CELL_EIGHTH_LOG2E 0x1.715476p3f /* 8 / ln 2 */
#define CELL_GATE_BOUND   67.0f
#define CELL_TANH_BOUND   10.0f
#define CELL_MOST         8 /* values side by side */

enum cell_curve { CELL_GATE, CELL_TANH };

/* n values x: sigmoid is 1 / below, tanh is above / below. */
APX_INLINE void cell_fractions(const int n, const enum cell_curve curve[], const vf x[], vf above[],
                               vf below[])
{
    const vf one = vf_set1(1.0f);
    vf t[CELL_MOST], f[CELL_MOST], p[CELL_MOST], biased[CELL_MOST];
    APX_UNROLL_FOR (i, n) {
        const float bound = curve[i] == CELL_GATE ? CELL_GATE_BOUND : CELL_TANH_BOUND;
        t[i] = vf_min(vf_set1(bound), vf_max(vf_set1(-bound), x[i]));
    }
    APX_UNROLL_FOR (i, n) {
        const vf factor = vf_set1((curve[i] == CELL_GATE ? -1.0f : -2.0f) * CELL_EIGHTH_LOG2E);
        biased[i] = vf_fma(t[i], factor, vf_set1(CELL_ROUND_BIAS));
        f[i] = vf_fma(t[i], factor, vf_sub(vf_set1(CELL_ROUND_BIAS), biased[i]));
    }
    APX_UNROLL_FOR (i, n)
        p[i] = vf_fma(f[i], vf_set1(0x1.c69ffcp-14f), vf_set1(0x1.ec0c38p-9f));
    APX_UNROLL_FOR (i, n)
        p[i] = vf_fma(f[i], p[i], vf_set1(0x1.62e432p-4f));
    APX_UNROLL_FOR (i, n) {
        const vf scale = vf_exp2_eighths_biased(biased[i]);
        if (curve[i] == CELL_GATE) {
            below[i] = vf_fma(scale, vf_fma(f[i], p[i], one), one);
        } else {
            p[i] = vf_mul(f[i], p[i]);
            above[i] = vf_fnma(scale, p[i], vf_sub(one, scale));
            below[i] = vf_fma(scale, p[i], vf_add(one, scale));
        }
    }
}

enum { CELL_I, CELL_O, CELL_F, CELL_C, CELL_LSTM_GATES };

/* LSTM: the new c from the gates' sums [i, o, f, c] and the old c; the output gate is 1 / *out. */
APX_INLINE vf cell_lstm_c(const vf sums[CELL_LSTM_GATES], vf c, vf *out)
{
    static const enum cell_curve curve[CELL_LSTM_GATES] = {CELL_GATE, CELL_GATE, CELL_GATE,
                                                           CELL_TANH};
    vf above[CELL_LSTM_GATES], below[CELL_LSTM_GATES];
    cell_fractions(CELL_LSTM_GATES, curve, sums, above, below);
    *out = below[CELL_O];
    const vf added = vf_div(above[CELL_C], vf_mul(below[CELL_I], below[CELL_C]));
    return vf_fma(vf_div(vf_set1(1.0f), below[CELL_F]), c, added);
}

/* And n new h from c and what cell_lstm_c left in out. */
APX_INLINE void cell_lstm_h(const int n, const vf c[], const vf out[], vf h[])
{
    static const enum cell_curve curve[CELL_MOST] = {CELL_TANH, CELL_TANH, CELL_TANH, CELL_TANH,
                                                     CELL_TANH, CELL_TANH, CELL_TANH, CELL_TANH};
    vf above[CELL_MOST], below[CELL_MOST];
    cell_fractions(n, curve, c, above, below);
    APX_UNROLL_FOR (i, n)
        h[i] = vf_div(above[i], vf_mul(out[i], below[i]));
}

/* GRU: z and r from their sums. */
APX_INLINE void cell_gru_gates(vf *z, vf *r)
{
    static const enum cell_curve curve[2] = {CELL_GATE, CELL_GATE};
    const vf sums[2] = {*z, *r};
    vf below[2];
    cell_fractions(2, curve, sums, NULL, below);
    *z = vf_div(vf_set1(1.0f), below[0]);
    *r = vf_div(vf_set1(1.0f), below[1]);
}

/* And n new h from the candidates' sums, z and the old h: g + z (h - g), g = tanh(sum). */
APX_INLINE void cell_gru_h(const int n, const vf sums[], const vf z[], vf h[])
{
    static const enum cell_curve curve[CELL_MOST] = {CELL_TANH, CELL_TANH, CELL_TANH, CELL_TANH,
                                                     CELL_TANH, CELL_TANH, CELL_TANH, CELL_TANH};
    vf above[CELL_MOST], below[CELL_MOST];
    cell_fractions(n, curve, sums, above, below);
    APX_UNROLL_FOR (i, n) {
        const vf g = vf_div(above[i], below[i]);
        h[i] = vf_fma(z[i], vf_sub(h[i], g), g);
    }
}

#endif
