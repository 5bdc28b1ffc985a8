/* SPDX-License-Identifier: Apache-2.0 */
/* unary.c - the table of unary rows and the choice among them, operation by operation. */
#include "kernels/elementwise/unary_rows.h"

#define SLOT(isa, op, name) [APX_UNARY_##op] = apx_unary_##isa##_##name,

/* A vector row has what is marked BOTH. */
#define APX_UNARY_LIBM(isa, op, name)
#define APX_UNARY_BOTH(isa, op, name) SLOT(isa, op, name)

static const apx_unary_fn run_avx512[APX_UNARY_COUNT] = {
#define APX_UNARY_OP(op, name, how) APX_UNARY_##how(avx512, op, name)
#include "kernels/elementwise/unary_ops.def"
#undef APX_UNARY_OP
};

static const apx_unary_fn run_avx2[APX_UNARY_COUNT] = {
#define APX_UNARY_OP(op, name, how) APX_UNARY_##how(avx2, op, name)
#include "kernels/elementwise/unary_ops.def"
#undef APX_UNARY_OP
};

static const apx_unary_fn run_scalar[APX_UNARY_COUNT] = {
#define APX_UNARY_OP(op, name, how) SLOT(scalar, op, name)
#include "kernels/elementwise/unary_ops.def"
#undef APX_UNARY_OP
};

static const struct apx_unary_row rows[] = {
#define APX_UNARY_ROW(isa_word, cpu, class)                                                        \
    {.isa = #isa_word,                                                                             \
     .name = "apx_unary_" #isa_word,                                                               \
     .needs = (cpu),                                                                               \
     .match = (class),                                                                             \
     .run = run_##isa_word},
#include "kernels/elementwise/unary.def"
#undef APX_UNARY_ROW
};

const struct apx_unary_row *apx_unary_rows(size_t *count)
{
    *count = sizeof rows / sizeof rows[0];
    return rows;
}

apx_unary_fn apx_unary_select(uint32_t caps, enum apx_unary op, const char **row_name)
{
    const struct apx_unary_row *row = rows;
    while ((row->needs & ~caps) != 0 || row->run[op] == NULL)
        row++; /* ends at the scalar row, which needs nothing and has all */
    if (row_name != NULL)
        *row_name = row->isa;
    return row->run[op];
}
