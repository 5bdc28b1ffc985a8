/* SPDX-License-Identifier: Apache-2.0 */
/* dims.h - extents of tensors as integer polynomials over named symbols ("batch", "sequence").
 *
 * An extent is a sum of at most APX_DIM_TERMS terms, each an integer times a product of symbols:
 * 10, batch, batch*sequence, sequence-1. Shape arithmetic of a model (Shape, Gather, Concat,
 * Reshape chains) is done once at load on these expressions; a call only evaluates them.
 * What does not fit (too many terms, an inexact division) is "unknown", and the caller refuses.
 * Values are normalised (terms sorted, no zero coefficient), so equal extents compare equal.
 * Nothing here allocates; all functions are pure. */
#ifndef APX_MODEL_DIMS_H
#define APX_MODEL_DIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APX_MAX_SYMBOLS 8
#define APX_DIM_TERMS   4

struct apx_dim {
    int terms; /* 0: the number zero; -1: unknown */
    struct apx_dim_term {
        int64_t coefficient;                /* never 0 */
        uint8_t exponents[APX_MAX_SYMBOLS]; /* all 0: the constant term */
    } term[APX_DIM_TERMS];
};

struct apx_dim apx_dim_constant(int64_t value);
struct apx_dim apx_dim_symbol(int symbol); /* 0 <= symbol < APX_MAX_SYMBOLS */
struct apx_dim apx_dim_unknown(void);

bool apx_dim_is_known(const struct apx_dim *a);
bool apx_dim_is_constant(const struct apx_dim *a, int64_t *value);    /* value may be NULL */
bool apx_dim_is_symbol(const struct apx_dim *a, int *symbol);         /* exactly one bare symbol */
bool apx_dim_equal(const struct apx_dim *a, const struct apx_dim *b); /* unknown equals nothing */
/* True if `symbol` occurs in any term. */
bool apx_dim_depends_on(const struct apx_dim *a, int symbol);

/* Unknown if an operand is unknown, a coefficient overflows int64, or the terms do not fit. */
struct apx_dim apx_dim_add(const struct apx_dim *a, const struct apx_dim *b);
struct apx_dim apx_dim_subtract(const struct apx_dim *a, const struct apx_dim *b);
struct apx_dim apx_dim_multiply(const struct apx_dim *a, const struct apx_dim *b);
/* a / b if the division leaves no rest; unknown otherwise, and for b == 0. */
struct apx_dim apx_dim_divide(const struct apx_dim *a, const struct apx_dim *b);
/* a with every `from` replaced by `to`. */
struct apx_dim apx_dim_rename(const struct apx_dim *a, int from, int to);
/* a with every `symbol` replaced by the number `value`. */
struct apx_dim apx_dim_substitute(const struct apx_dim *a, int symbol, int64_t value);

/* Value for symbols[APX_MAX_SYMBOLS]. Returns false on overflow or an unknown extent. */
bool apx_dim_evaluate(const struct apx_dim *a, const int64_t *symbols, int64_t *value);

/* True if a > 0 for all positive symbols can be read off its coefficients. */
bool apx_dim_is_positive(const struct apx_dim *a);

/* "2*batch*sequence-1" into text[size], cut if it does not fit; names[i] is symbol i's. Returns
 * text. */
char *apx_dim_format(const struct apx_dim *a, const char *const *names, char *text, size_t size);

#endif
