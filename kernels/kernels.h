/* SPDX-License-Identifier: Apache-2.0 */
/* kernels.h - the one public header of the kernel layer: pure computation.
 *
 * Nothing in this layer allocates, does I/O, starts threads or keeps state; every function is
 * re-entrant. Preconditions are asserted, not reported: callers validate at their own border.
 *
 * A kernel is a row in a table (<op>.def). A row says which CPU bits it needs, which descriptors it
 * supports, how it packs weights and how to run. Select once at load, pack once, then only run:
 *
 *     const struct apx_rnn_row *row = apx_lstm_select(caps, &desc);
 *     row->pack(&desc, &weights, packed);      packed: row->packed_bytes(&desc), 64-byte aligned
 *     row->run(&args);
 *
 * Shape letters: N rows (samples), T steps, I input width, H hidden width, K inner width. Arrays
 * are row-major fp32 unless said otherwise; strides are in elements. Buffers never need padding: no
 * kernel reads or writes outside the elements it is given. `scratch` is 64-byte aligned and garbage
 * before and after a call. Same bits: each output row depends only on its own input row. */
#ifndef APX_KERNELS_H
#define APX_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what the processor can do (kernels/cpu) ------------------------------------------------- */

/* Bundles: one bit stands for everything a row of that suffix may use (cmake/isa.cmake). */
enum apx_cap {
    APX_CAP_AVX2 = 1 << 0,       /* AVX2, FMA, F16C, BMI2 */
    APX_CAP_AVX512 = 1 << 1,     /* F, BW, DQ, VL, CD */
    APX_CAP_AVX512VNNI = 1 << 2, /* AVX512 and VNNI */
    APX_CAP_AVX512VBMI = 1 << 3, /* AVX512VNNI and VBMI */
    /* Present but better avoided: a property of the processor, not of the instruction set. */
    APX_CAP_SLOW_GATHER = 1 << 16,
    APX_CAP_SLOW_512 = 1 << 17, /* 512-bit work lowers the clock or runs as two halves */
};

/* Bits that both the processor and the operating system support (CPUID and XGETBV). */
uint32_t apx_cpu_caps(void);
/* caps without the instruction sets above `isa` ("scalar", "avx2", "avx512", "avx512vnni",
 * "avx512vbmi"). Returns false for another word. */
bool apx_caps_limit(uint32_t caps, const char *isa, uint32_t *limited);
/* The highest bundle in caps as a word, "scalar" for none. Static storage. */
const char *apx_caps_name(uint32_t caps);

/* How close a row's result is to the scalar row's. */
enum apx_match {
    APX_MATCH_REFERENCE, /* is the scalar row */
    APX_MATCH_EXACT,     /* same bits */
    APX_MATCH_ULP,       /* within a bound that grows with the inner width */
};

/* ---- activations ----------------------------------------------------------------------------- */

enum apx_act {
    APX_ACT_NONE,
    APX_ACT_RELU,
    APX_ACT_TANH,
    APX_ACT_SIGMOID,
    APX_ACT_HARD_SIGMOID, /* max(0, min(1, alpha x + beta)) */
    APX_ACT_LEAKY_RELU,   /* x < 0 ? alpha x : x */
    APX_ACT_THRESHOLDED_RELU,
    APX_ACT_SCALED_TANH, /* alpha tanh(beta x) */
    APX_ACT_AFFINE,      /* alpha x + beta */
    APX_ACT_ELU,
    APX_ACT_SOFTSIGN,
    APX_ACT_SOFTPLUS,
};

struct apx_activation {
    enum apx_act kind;
    float alpha, beta;
};

/* ---- recurrent layers (kernels/rnn) ---------------------------------------------------------- */

/* Int8 layers (operators QuantizedLSTM and QuantizedGRU of the domain auspex): levels L > 0. With
 * q(v, k) = v k rounded to an integer, halves to even, then bounded to [-L, L], and sums that are
 * exact in 32 bits:
 *
 *     gate = a + (R_scale / L) sum(r_s8[k] q(h[k], L))
 *     a    = bias + sum(w[k] x[k])                                     input_scale s = 0
 *     a    = bias + (W_scale s) sum(w_s8[k] q(x[k], 1 / s))            input_scale s > 0
 *
 * Scales are rounded to float, each + is one fused multiply-add, bias is Wb + Rb. GRU, reset
 * before: q of r h instead of h. Reset after: candidate = tanh(a + r (Rb + (R_scale / L) sum)) with
 * a's bias Wb alone. All else is float and the same as in float layers (kernels/rnn/rnn_cell.h); y
 * and the last states are not quantised. States beyond [-1, 1] are bounded in q alone. A NaN in h0,
 * or in an x that is quantised, makes all of the row's h and c NaN from that step on, as it would
 * in float.
 *
 * Integers are exact, so every row gives the same bits. */
struct apx_rnn_int8 {
    int levels;        /* L, at most 127; 0: a float layer, and all else here is ignored */
    float input_scale; /* s, 0 or such that 1 / s is finite. x is h of another int8 layer: 1 / L */
};

/* One direction of one LSTM or GRU layer, ONNX semantics (operators LSTM and GRU, opset 7 to 22).
 * Int8 layers have no peephole, coupled gate or clip, and the operators' default activations. */
struct apx_rnn_desc {
    size_t input, hidden; /* I, H */
    bool reverse;         /* walk each row's valid steps from last to first */
    bool has_peephole;    /* LSTM */
    bool input_forget;    /* LSTM: forget gate = 1 - input gate */
    bool reset_after;     /* GRU: ONNX linear_before_reset = 1 */
    bool half_weights; /* float layers: W and R are rounded to half precision (halves to even) when
                          packed; all else stays as it is. At most 65504 in magnitude */
    float clip;        /* bound on the gates before their activations (not on c); 0: none */
    /* LSTM: f (gates), g (candidate), h (output). GRU: f (gates), g (candidate). */
    struct apx_activation act[3];
    struct apx_rnn_int8 int8;
};

/* Gate order is ONNX's: LSTM i,o,f,c (G = 4); GRU z,r,h (G = 3). */
struct apx_rnn_weights {
    const float *w;        /* [G*H, I] */
    const float *r;        /* [G*H, H] */
    const float *bias_w;   /* [G*H] or NULL for zeros */
    const float *bias_r;   /* [G*H] or NULL for zeros */
    const float *peephole; /* LSTM: [3*H] i,o,f or NULL */
    /* Int8 layers: r_s8 instead of r; w_s8 instead of w if input_scale > 0. -127 to 127. AVX2 takes
     * about half the time for the sums if levels times the largest |weight| is at most 8128 (127
     * and 64, 63 and 127); the smaller it is, the less. */
    const int8_t *w_s8, *r_s8;      /* [G*H, I], [G*H, H] */
    const float *w_scale, *r_scale; /* [G*H], finite and not negative */
};

/* N rows through T steps. x, y, the states and scratch do not overlap. */
struct apx_rnn_args {
    const struct apx_rnn_desc *desc;
    const void *packed;
    size_t rows, steps;
    const float *x; /* element k of row n at step t: x[n*x_row + t*x_step + k] */
    ptrdiff_t x_row, x_step;
    const float *h0; /* [N,H], rows h0_row apart; NULL: zeros */
    const float *c0; /* LSTM, likewise */
    ptrdiff_t h0_row, c0_row;
    const int32_t *lengths; /* [N] in 0..T; NULL: all T. y is zero beyond a row's length; the last
                               states are those after its last valid step; length 0: zeros */
    float *y;               /* h of row n at step t: y[n*y_row + t*y_step + k]; NULL: not wanted */
    ptrdiff_t y_row, y_step;
    float *h_last, *c_last; /* [N,H], rows h_last_row / c_last_row apart; NULL: not wanted */
    ptrdiff_t h_last_row, c_last_row;
    void *scratch; /* row->scratch_bytes(desc, rows) */
};

struct apx_rnn_row {
    const char *isa;
    const char *types; /* "f32", "f16" (weights of half precision), "s8" */
    const char *name;  /* the function's, for reports */
    uint32_t needs, avoids;
    enum apx_match match;
    bool (*supports)(const struct apx_rnn_desc *desc);
    size_t (*packed_bytes)(const struct apx_rnn_desc *desc);
    void (*pack)(const struct apx_rnn_desc *desc, const struct apx_rnn_weights *weights,
                 void *packed);
    size_t (*scratch_bytes)(const struct apx_rnn_desc *desc, size_t rows); /* grows with rows */
    void (*run)(const struct apx_rnn_args *args);
    size_t tile_rows; /* rows handled together; slices are best multiples of it */
};

/* Into how many levels either way a row w[inner] of an int8 matrix is best rounded (its scale is
 * then its largest magnitude / levels): the most for which sums of products with q within h_levels
 * take AVX2 little more than half the time of float. That is 32 to 64 for 127 levels of h, 65 to
 * 127 for 63; the error of h outweighs that of the weights in either case. */
int apx_int8_weight_levels(const float *w, size_t inner, int h_levels);

/* Best row for these bits; never NULL (the scalar rows support every float and every int8 layer).
 */
const struct apx_rnn_row *apx_lstm_select(uint32_t caps, const struct apx_rnn_desc *desc);
const struct apx_rnn_row *apx_gru_select(uint32_t caps, const struct apx_rnn_desc *desc);
/* All rows, best first; int8, half_weights, float, the scalar row at the end of each; *count is
 * set. Static storage. */
const struct apx_rnn_row *apx_lstm_rows(size_t *count);
const struct apx_rnn_row *apx_gru_rows(size_t *count);

/* ---- dense layer (kernels/dense) ------------------------------------------------------------- */

/* Int8 layers (operator QuantizedLinear of the domain auspex): levels L > 0. With q and sums as in
 * int8 recurrent layers,
 *
 *     y = act(bias + (w_scale s) sum(w_s8[k] q(x[k], 1 / s)))
 *
 * w_scale s is rounded to float, the + is one fused multiply-add. A NaN in x makes the whole row
 * act(NaN). Integers are exact, so every row gives the same bits. */
struct apx_dense_int8 {
    int levels;        /* L, at most 127; 0: a float layer, and all else here is ignored */
    float input_scale; /* s, positive, with a finite reciprocal */
};

/* y[N,O] = act(x[N,K] . W^T + bias), O = output width. */
struct apx_dense_desc {
    size_t input, output; /* K, O */
    struct apx_activation act;
    struct apx_dense_int8 int8;
};

struct apx_dense_weights {
    const float *w; /* element (o, k): w[o*w_out + k*w_in] */
    ptrdiff_t w_out, w_in;
    const float *bias; /* [O] or NULL */
    /* Int8 layers: these instead of w; what is said of recurrent layers holds here too. */
    const int8_t *w_s8;   /* [O,K], -127 to 127 */
    const float *w_scale; /* [O], finite and not negative */
};

struct apx_dense_args {
    const struct apx_dense_desc *desc;
    const void *packed;
    size_t rows;
    const float *x; /* rows x_row apart */
    ptrdiff_t x_row;
    float *y; /* rows y_row apart; does not overlap x */
    ptrdiff_t y_row;
    void *scratch; /* row->scratch_bytes(desc, rows) */
};

struct apx_dense_row {
    const char *isa;
    const char *types; /* "f32", "s8" */
    const char *name;
    uint32_t needs, avoids;
    enum apx_match match;
    bool (*supports)(const struct apx_dense_desc *desc);
    size_t (*packed_bytes)(const struct apx_dense_desc *desc);
    void (*pack)(const struct apx_dense_desc *desc, const struct apx_dense_weights *weights,
                 void *packed);
    size_t (*scratch_bytes)(const struct apx_dense_desc *desc, size_t rows); /* grows with rows */
    void (*run)(const struct apx_dense_args *args);
    size_t tile_rows;
};

/* As for recurrent layers: never NULL; all rows, int8 before float, a scalar row ends either. */
const struct apx_dense_row *apx_dense_select(uint32_t caps, const struct apx_dense_desc *desc);
const struct apx_dense_row *apx_dense_rows(size_t *count);

/* ---- tree ensembles (kernels/tree) ------------------------------------------------------------
 */

/* One node. x is the row's value of `feature`, rounded to float first unless compares_double.
 *   set < 0    right if x >= threshold, else left
 *   set >= 0   right if an odd number of the set's bounds are <= x: a set is a union of half-open
 *              intervals [b0, b1), [b2, b3), ...; the last may be open to the right
 *   NaN        right if nan_right, else left
 *   leaf       feature is -1 and `left` its index among the leaves of the forest */
struct apx_tree_node {
    double threshold;
    int32_t feature, set;
    uint32_t left, right; /* index in forest->nodes */
    float cover;          /* share of the training rows that came here, any unit; 0: unknown */
    bool nan_right;
};

enum apx_forest_sum { APX_FOREST_SUM, APX_FOREST_MIN, APX_FOREST_MAX };

/* A leaf that is a linear function of the row: constant + sum(coefficient * x), in order, in
 * double; the leaf's plain value if one of its features is NaN. */
struct apx_forest_linear {
    const double *constant;    /* [leaf_count] */
    const uint32_t *begin;     /* [leaf_count + 1] into feature and coefficient */
    const uint32_t *feature;   /* [begin[leaf_count]] */
    const double *coefficient; /* likewise */
};

/* Trees of a forest: tree t is nodes [roots[t], roots[t+1]), in preorder (a node, its left subtree,
 * its right subtree), a proper binary tree. Its leaves have consecutive indices in that order.
 *
 * Margins: sums of leaf values, one tree after the other from the first on, beginning with `base`,
 * in float or in double. With outputs > 1 a leaf holds one value, for the output tree_output[t], or
 * (tree_output NULL) one value for each output. MIN and MAX do not look at `base`; an output
 * without a tree is 0. */
struct apx_forest_desc {
    size_t features, outputs; /* F, K */
    size_t trees, node_count, leaf_count, set_count;
    const uint32_t *roots; /* [trees + 1] */
    const struct apx_tree_node *nodes;
    const uint32_t *tree_output; /* [trees] or NULL */
    const double *leaf_values;   /* [leaf_count], or [leaf_count, K] if tree_output is NULL */
    const uint32_t *leaf_ids;    /* [leaf_count] what the training library calls the leaf */
    const uint32_t *set_begin;   /* [set_count + 1] into bounds */
    const double *bounds;        /* ascending inside of a set; floats unless compares_double */
    const double *base;          /* [K] */
    const struct apx_forest_linear *linear; /* or NULL */
    enum apx_forest_sum sum;
    bool compares_double; /* thresholds and bounds are doubles; else floats stored as doubles */
    bool sums_double;     /* leaf values and base likewise */
};

/* Rows through a forest. Two calls never touch the same scratch. */
struct apx_forest_args {
    const void *packed;
    size_t rows;
    const void *x; /* [rows, F]: element k of row n is x[n * x_row + k] */
    bool x_is_double;
    ptrdiff_t x_row;  /* in elements */
    void *margins;    /* [rows, K], float or double as the forest sums; NULL: not wanted */
    uint32_t *leaves; /* [rows, trees] leaf ids; NULL: not wanted */
    void *scratch;    /* row->scratch_bytes(packed), 64-byte aligned */
};

/* What a row made of a forest, for reports. */
struct apx_forest_choice {
    const char *schedule;       /* static text: how large batches are evaluated */
    size_t bytes;               /* packed */
    double seconds_per_row;     /* estimate, large batches, one core */
    double seconds_per_row_one; /* estimate, a batch of one row */
};

struct apx_forest_row {
    const char *isa, *name;
    uint32_t needs, avoids;
    enum apx_match match;
    /* Packed forests hold no pointers: they may be moved with memcpy (64-byte aligned). */
    size_t (*pack_bound)(const struct apx_forest_desc *desc); /* bytes that pack may touch */
    size_t (*pack)(const struct apx_forest_desc *desc, void *memory); /* bytes to keep */
    size_t (*scratch_bytes)(const void *packed);
    void (*run)(const struct apx_forest_args *args);
    void (*describe)(const void *packed, struct apx_forest_choice *choice);
    size_t tile_rows;
};

const struct apx_forest_row *apx_forest_select(uint32_t caps, const struct apx_forest_desc *desc);
const struct apx_forest_row *apx_forest_rows(size_t *count);

/* From margins to predictions, row by row. The formulas are those of the library that trained the
 * forest; float forests compute in float and double forests in double unless said otherwise.
 * K margins of a row give J = apx_link_outputs(link, K) predictions. */
enum apx_link_kind {
    APX_LINK_NONE,
    APX_LINK_SCALE,       /* m * a: averages */
    APX_LINK_SIGMOID,     /* 1 / (1 + exp(-a m)) */
    APX_LINK_SIGMOID_XGB, /* 1 / (exp(min(-m, 88.7)) + 1 + 1e-16), float */
    APX_LINK_SOFTMAX,
    APX_LINK_ARGMAX,        /* index of the first largest margin; J = 1 */
    APX_LINK_EXP,           /* exp(m) */
    APX_LINK_LOG1P_EXP,     /* log1p(exp(m)) */
    APX_LINK_SIGNED_SQUARE, /* sign(m) m m */
    APX_LINK_HINGE,         /* m > 0 ? 1 : 0 */
    APX_LINK_SORT,          /* ascending */
    APX_LINK_EXPECTILE,     /* m0, then each plus 1e-6 + softplus of the next: cumulative */
    APX_LINK_SOFTMAX_ZERO,  /* softmax over the margins that are not 0; those stay 0 (ai.onnx.ml) */
    APX_LINK_PROBIT,        /* sqrt(2) erfinv(2 m - 1) (ai.onnx.ml) */
    APX_LINK_PAIR,          /* K = 1: (1 - m, m); J = 2 */
    APX_LINK_PAIR_NEGATIVE, /* K = 1: (-m, m); J = 2 */
    APX_LINK_PAIR_SIGMOID,  /* K = 1: (sigmoid(-m), sigmoid(m)); J = 2 */
    APX_LINK_PAIR_SOFTMAX,  /* K = 1: softmax of (-m, m); J = 2 */
    APX_LINK_ANOMALY,       /* -exp2(-m a): score of an isolation forest */
};
struct apx_link {
    enum apx_link_kind kind;
    double a, b;   /* ANOMALY: b is subtracted from the score (scikit-learn's offset_) */
    double divide; /* not 0: every margin is divided by it first (LightGBM's average_output) */
};
size_t apx_link_outputs(const struct apx_link *link, size_t margins);
/* y[rows, J] from margins[rows, K], float or double each. May not be in place unless J = K and the
 * types are equal. */
void apx_link_run(const struct apx_link *link, size_t rows, size_t k, const void *margins,
                  bool margins_double, void *y, bool y_double);

/* ---- elementwise, reductions, shapes (kernels/elementwise, kernels/shape) -------------------- */

#define APX_ND_RANK 8

/* A walk over an output of `rank` extents. Operand j's element at index (i0, i1, ...) lies at
 * sum(i_d * stride[j][d]); stride 0 broadcasts. The output is dense. rank 0 is one element. */
struct apx_nd {
    int rank;
    size_t extent[APX_ND_RANK];
    ptrdiff_t stride[3][APX_ND_RANK];
};

/* y = f(x), dense, in place allowed. Rows: elementwise.def. */
enum apx_unary {
    APX_UNARY_ABS,
    APX_UNARY_NEG,
    APX_UNARY_SQRT,
    APX_UNARY_EXP,
    APX_UNARY_LOG,
    APX_UNARY_RECIPROCAL,
    APX_UNARY_FLOOR,
    APX_UNARY_CEIL,
    APX_UNARY_ROUND /* half to even */,
    APX_UNARY_SIGN,
    APX_UNARY_ERF,
    APX_UNARY_SIN,
    APX_UNARY_COS,
    APX_UNARY_RELU,
    APX_UNARY_TANH,
    APX_UNARY_SIGMOID,
    APX_UNARY_HARD_SIGMOID,
    APX_UNARY_LEAKY_RELU,
    APX_UNARY_THRESHOLDED_RELU,
    APX_UNARY_ELU,
    APX_UNARY_SELU, /* beta: gamma */
    APX_UNARY_CELU,
    APX_UNARY_SOFTPLUS,
    APX_UNARY_SOFTSIGN,
    APX_UNARY_HARD_SWISH,
    APX_UNARY_GELU /* exact, erf */,
    APX_UNARY_GELU_TANH,
    APX_UNARY_MISH,
    APX_UNARY_CLIP, /* alpha: least, beta: greatest; NaN stays */
    APX_UNARY_SILU, /* x sigmoid(x) */
    APX_UNARY_COUNT
};
/* y[i] = op(x[i]) */
enum apx_binary {
    APX_BINARY_ADD,
    APX_BINARY_SUB,
    APX_BINARY_MUL,
    APX_BINARY_DIV,
    APX_BINARY_POW,
    APX_BINARY_MIN,
    APX_BINARY_MAX,
    APX_BINARY_MOD /* C fmod */,
    APX_BINARY_PRELU /* a < 0 ? a b : a */,
    APX_BINARY_COUNT
};
enum apx_compare { APX_COMPARE_EQ, APX_COMPARE_LT, APX_COMPARE_LE, APX_COMPARE_GT, APX_COMPARE_GE };
enum apx_logic { APX_LOGIC_AND, APX_LOGIC_OR, APX_LOGIC_XOR };
enum apx_reduce {
    APX_REDUCE_SUM,
    APX_REDUCE_MEAN,
    APX_REDUCE_MAX,
    APX_REDUCE_MIN,
    APX_REDUCE_PROD,
    APX_REDUCE_L1,
    APX_REDUCE_L2,
    APX_REDUCE_SUM_SQUARE,
    APX_REDUCE_LOG_SUM_EXP,
    APX_REDUCE_LOG_SUM,
    APX_REDUCE_ARGMAX,
    APX_REDUCE_ARGMIN /* int64 results, first of equals unless `last` */
};

typedef void (*apx_unary_fn)(size_t count, const float *x, float *y, float alpha, float beta);
typedef void (*apx_binary_fn)(size_t count, const float *a, size_t a_stride, const float *b,
                              size_t b_stride, float *y); /* strides 0 or 1 */
struct apx_unary_row {
    const char *isa, *name;
    uint32_t needs;
    enum apx_match match;
    const apx_unary_fn *run; /* [APX_UNARY_COUNT]; NULL: look further down the table */
};
/* The function of the best row that has one; never NULL. *row_name (if not NULL) gets its isa. */
apx_unary_fn apx_unary_select(uint32_t caps, enum apx_unary op, const char **row_name);
const struct apx_unary_row *apx_unary_rows(size_t *count);

/* y = a op b, operands 0 and 1 of nd. */
void apx_binary_f32(enum apx_binary op, const struct apx_nd *nd, const float *a, const float *b,
                    float *y);
void apx_binary_i64(
    enum apx_binary op, const struct apx_nd *nd, const int64_t *a, const int64_t *b,
    int64_t *y); /* ADD SUB MUL DIV (0 for a zero divisor) MIN MAX, MOD (sign of b) */
void apx_compare_f32(enum apx_compare op, const struct apx_nd *nd, const float *a, const float *b,
                     uint8_t *y);
void apx_compare_i64(enum apx_compare op, const struct apx_nd *nd, const int64_t *a,
                     const int64_t *b, uint8_t *y);
void apx_logic_bool(enum apx_logic op, const struct apx_nd *nd, const uint8_t *a, const uint8_t *b,
                    uint8_t *y);
/* y = condition ? a : b; operands: condition 0, a 1, b 2; `width` bytes an element (1, 4, 8). */
void apx_where(const struct apx_nd *nd, size_t width, const uint8_t *condition, const void *a,
               const void *b, void *y);
/* Copy operand 0 of nd to a dense output: transposes, slices, expansions. width 1, 4 or 8 bytes. */
void apx_copy_nd(const struct apx_nd *nd, size_t width, const void *x, void *y);

/* Reduce x[outer, K, inner] over its middle extent to y[outer, inner]. One fixed order per output.
 * ARGMAX/ARGMIN write int64 to y, the others float. K = 0: SUM, L1, L2, SUM_SQUARE 0; PROD 1; MEAN
 * NaN; MAX -inf; MIN +inf; LOG_SUM* -inf; ARG* are not allowed. */
void apx_reduce_f32(enum apx_reduce op, bool last, size_t outer, size_t k, size_t inner,
                    const float *x, void *y);
/* The same of integers, exactly; what exceeds 64 bits wraps. MEAN is cut toward zero. K = 0: MEAN
 * 0; MAX and MIN the least and the greatest integer. L2 and LOG_* are not allowed. */
void apx_reduce_i64(enum apx_reduce op, bool last, size_t outer, size_t k, size_t inner,
                    const int64_t *x, int64_t *y);
/* Softmax, or its logarithm, of x[outer, K, inner] over K. In place allowed. */
void apx_softmax_f32(bool logarithm, size_t outer, size_t k, size_t inner, const float *x,
                     float *y);
/* y[outer,K] = (x - mean) / sqrt(variance + epsilon) * scale + bias over the last extent;
 * scale, bias: [K] or NULL. In place allowed. */
void apx_layer_norm_f32(size_t outer, size_t k, float epsilon, const float *x, const float *scale,
                        const float *bias, float *y);
/* Cast `count` elements between the types of enum apx_dtype's numbers (1 f32, 2 f64, 3 i32, 4 i64,
 * 5 bool, 6 u8, 7 i8). Float to integer truncates and saturates, NaN gives 0. */
void apx_cast(size_t count, int from, const void *x, int to, void *y);
/* y[batch,N,M] = a[batch,N,K] . b[batch,K,M], both inputs computed (no packing); strides of whole
 * matrices, 0 broadcasts. One fixed order: k ascending, fused multiply-add. */
void apx_matmul_f32(size_t batch, size_t n, size_t k, size_t m, const float *a, size_t a_batch,
                    const float *b, size_t b_batch, float *y);

#endif
