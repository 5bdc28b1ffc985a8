/* SPDX-License-Identifier: Apache-2.0 */
/* fake_cublaslt.c - a libcublasLt.so.13 for kernels under the emulator: the functions of
 * kernels/cuda/cublaslt.h and nothing else, strict where the library is lenient.
 *
 * What is not known or does not fit together ends the program. Of the kernels that it names for a
 * product only one keeps the contract of lt_product.h: the others split or reduce sums, want
 * memory, or refuse some number of rows that it must take. The one refuses others, so each number
 * must have been checked before. And what they add depends on the number of rows for which
 * they were asked, so that one who asks for each batch anew gets other bits. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cublaslt.h"

#ifndef FAKE_VERSION
#    define FAKE_VERSION 130100
#endif
#define EXPORTED __attribute__((visibility("default")))

/* Set: jobs are handed over with their stream, to be run whenever its turn comes. */
typedef void fake_cublaslt_run(const void *job);
typedef int fake_cublaslt_queue(fake_cublaslt_run *run, const void *job, size_t bytes,
                                void *stream);
EXPORTED extern fake_cublaslt_queue *fake_cublaslt_enqueue;
fake_cublaslt_queue *fake_cublaslt_enqueue;

/* Set: no memory for handles and for the choice of kernels. */
EXPORTED extern int fake_cublaslt_is_full;
int fake_cublaslt_is_full;

enum kind { HANDLE = 0x4c540001, DESC, LAYOUT, PREFERENCE, ALGO };
enum { NAMED = 5, GOOD = 4, ODD_ROWS = 6, UNEVEN_ROWS = 5 };

struct handle {
    enum kind kind;
};
struct desc {
    enum kind kind;
    uint32_t epilogue;
    const float *bias;
};
struct layout {
    enum kind kind;
    uint64_t rows, columns;
    int64_t pitch;
};
struct preference {
    enum kind kind;
    uint64_t workspace;
    uint32_t reductions, align[4]; /* A to D */
};
struct algo { /* in an apx_lt_algo */
    uint64_t kind;
    uint64_t number, backwards, rows, columns, align_a, align_b;
};
struct job {
    const float *a, *b, *bias;
    float *d;
    size_t rows, columns, inner;
    ptrdiff_t a_pitch, b_pitch, d_pitch;
    int backwards;
};

static void check(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "FAIL cuBLASLt: %s\n", what);
    abort();
}

static void *make(enum kind kind, size_t bytes)
{
    enum kind *made = calloc(1, bytes);
    check(made != NULL, "no memory");
    *made = kind;
    return made;
}

static void *known(void *what, enum kind kind)
{
    check(what != NULL && *(enum kind *)what == kind, "not a live object of this kind");
    return what;
}

static int destroy(void *what, enum kind kind)
{
    *(enum kind *)known(what, kind) = 0;
    free(what);
    return 0;
}

/* ---- the sizes of products that were checked ------------------------------------------------- */

enum { CHECKED = 1 << 17 };
static pthread_mutex_t checked_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t checked[CHECKED]; /* hashed by themselves, 0: none */

/* The entry of this size, or the free one where it belongs. The mutex is held. */
static uint64_t *checked_place(uint64_t size)
{
    size_t place = (size_t)(size * 0x9e3779b97f4a7c15u >> 47);
    for (size_t tries = 0; checked[place] != 0 && checked[place] != size; tries++) {
        check(tries < CHECKED, "more sizes than this library remembers");
        place = (place + 1) % CHECKED;
    }
    return &checked[place];
}

static uint64_t size_of(const struct layout *w, const struct layout *x)
{
    check(w->rows >> 21 == 0 && w->columns >> 21 == 0 && x->columns >> 21 == 0, "extents");
    return w->rows << 42 | w->columns << 21 | x->columns;
}

static void remember_checked(const struct layout *w, const struct layout *x)
{
    pthread_mutex_lock(&checked_mutex);
    *checked_place(size_of(w, x)) = size_of(w, x);
    pthread_mutex_unlock(&checked_mutex);
}

static int was_checked(const struct layout *w, const struct layout *x)
{
    pthread_mutex_lock(&checked_mutex);
    const int was = *checked_place(size_of(w, x)) != 0;
    pthread_mutex_unlock(&checked_mutex);
    return was;
}

/* ---- what the library exports ---------------------------------------------------------------- */

EXPORTED size_t cublasLtGetVersion(void);
size_t cublasLtGetVersion(void)
{
    return FAKE_VERSION;
}

EXPORTED int cublasLtCreate(void **handle);
int cublasLtCreate(void **handle)
{
    static struct handle only = {HANDLE};
    *handle = &only;
    return fake_cublaslt_is_full ? APX_LT_STATUS_NOT_ALLOCATED : 0;
}

EXPORTED int cublasLtMatmulDescCreate(void **desc, int compute_type, int scale_type);
int cublasLtMatmulDescCreate(void **desc, int compute_type, int scale_type)
{
    check(compute_type == APX_LT_FLOAT_PEDANTIC && scale_type == APX_LT_FLOAT, "types");
    struct desc *made = make(DESC, sizeof *made);
    made->epilogue = 1; /* none */
    *desc = made;
    return 0;
}

EXPORTED int cublasLtMatmulDescDestroy(void *desc);
int cublasLtMatmulDescDestroy(void *desc)
{
    return destroy(desc, DESC);
}

EXPORTED int cublasLtMatmulDescSetAttribute(void *desc, int attribute, const void *value,
                                            size_t bytes);
int cublasLtMatmulDescSetAttribute(void *desc, int attribute, const void *value, size_t bytes)
{
    struct desc *d = known(desc, DESC);
    if (attribute == APX_LT_DESC_EPILOGUE) {
        check(bytes == sizeof d->epilogue, "an epilogue's size");
        memcpy(&d->epilogue, value, bytes);
        check(d->epilogue == APX_LT_EPILOGUE_BIAS, "an epilogue that is not known");
    } else {
        check(attribute == APX_LT_DESC_BIAS, "a descriptor's attribute that is not known");
        check(bytes == sizeof d->bias, "a pointer's size");
        memcpy(&d->bias, value, bytes);
    }
    return 0;
}

EXPORTED int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns,
                                        int64_t pitch);
int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns,
                               int64_t pitch)
{
    check(type == APX_LT_FLOAT, "a matrix's type");
    check(rows > 0 && columns > 0 && pitch > 0 && (uint64_t)pitch >= rows, "a matrix's extents");
    struct layout *made = make(LAYOUT, sizeof *made);
    made->rows = rows;
    made->columns = columns;
    made->pitch = pitch;
    *layout = made;
    return 0;
}

EXPORTED int cublasLtMatrixLayoutDestroy(void *layout);
int cublasLtMatrixLayoutDestroy(void *layout)
{
    return destroy(layout, LAYOUT);
}

EXPORTED int cublasLtMatmulPreferenceCreate(void **preference);
int cublasLtMatmulPreferenceCreate(void **preference)
{
    struct preference *made = make(PREFERENCE, sizeof *made);
    made->reductions = 7;
    for (int i = 0; i < 4; i++)
        made->align[i] = 256;
    *preference = made;
    return 0;
}

EXPORTED int cublasLtMatmulPreferenceDestroy(void *preference);
int cublasLtMatmulPreferenceDestroy(void *preference)
{
    return destroy(preference, PREFERENCE);
}

EXPORTED int cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute,
                                                  const void *value, size_t bytes);
int cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute, const void *value,
                                         size_t bytes)
{
    struct preference *p = known(preference, PREFERENCE);
    if (attribute == APX_LT_PREFER_WORKSPACE) {
        check(bytes == sizeof p->workspace, "a size's size");
        memcpy(&p->workspace, value, bytes);
        return 0;
    }
    check(bytes == sizeof(uint32_t), "a preference's size");
    if (attribute == APX_LT_PREFER_REDUCTIONS) {
        memcpy(&p->reductions, value, bytes);
        return 0;
    }
    check(attribute >= APX_LT_PREFER_ALIGN_A && attribute <= APX_LT_PREFER_ALIGN_D,
          "a preference that is not known");
    uint32_t *align = &p->align[attribute - APX_LT_PREFER_ALIGN_A];
    memcpy(align, value, bytes);
    check(*align >= sizeof(float) && (*align & (*align - 1)) == 0, "an alignment");
    return 0;
}

/* The kernel that keeps the contract takes all numbers of three significant bits, and not all
 * others.
 */
static int good_refuses(uint64_t columns)
{
    const uint64_t lowest = columns & (~columns + 1);
    return columns / lowest >= 8 && columns % UNEVEN_ROWS == 0;
}

/* All that a product's objects must have in common; 0 if this kernel cannot. */
static int fits(void *handle, void *desc, void *a, void *b, void *c, void *d,
                const struct algo *algo)
{
    const struct desc *what = known(desc, DESC);
    const struct layout *w = known(a, LAYOUT), *x = known(b, LAYOUT), *y = known(d, LAYOUT);
    known(handle, HANDLE);
    check(c == d, "another matrix to be added");
    check(w->columns == x->rows && w->rows == y->rows && x->columns == y->columns,
          "matrices that do not fit together");
    check((what->epilogue == APX_LT_EPILOGUE_BIAS) == (what->bias != NULL), "a bias or none");
    if (algo == NULL)
        return 1;
    check(algo->kind == ALGO && algo->rows == w->rows && algo->columns == w->columns,
          "a kernel that was not named for this");
    const uint64_t pitches[] = {(uint64_t)w->pitch * sizeof(float) % algo->align_a,
                                (uint64_t)x->pitch * sizeof(float) % algo->align_b,
                                (uint64_t)y->pitch * sizeof(float) % algo->align_b};
    for (size_t i = 0; i < 3; i++)
        if (pitches[i] != 0)
            return 0;
    if (algo->number == GOOD && good_refuses(x->columns))
        return 0;
    return algo->number != GOOD - 1 || x->columns != ODD_ROWS;
}

EXPORTED int cublasLtMatmulAlgoGetHeuristic(void *handle, void *desc, void *a, void *b, void *c,
                                            void *d, void *preference, int most,
                                            struct apx_lt_result *results, int *count);
int cublasLtMatmulAlgoGetHeuristic(void *handle, void *desc, void *a, void *b, void *c, void *d,
                                   void *preference, int most, struct apx_lt_result *results,
                                   int *count)
{
    const struct preference *prefer = known(preference, PREFERENCE);
    const struct layout *w = known(a, LAYOUT), *x = known(b, LAYOUT);
    fits(handle, desc, a, b, c, d, NULL);
    if (fake_cublaslt_is_full)
        return APX_LT_STATUS_NOT_ALLOCATED;
    check(prefer->workspace == 0 && prefer->reductions == APX_LT_REDUCTION_NONE,
          "preferences that the contract does not permit");
    check(prefer->align[1] == prefer->align[2] && prefer->align[2] == prefer->align[3] &&
              prefer->align[0] <= 16 && prefer->align[1] <= 16,
          "alignments that the arrays do not have");
    for (*count = 0; *count < most && *count < NAMED; ++*count) {
        const struct algo algo = {.kind = ALGO,
                                  .number = (uint64_t)*count,
                                  .backwards = x->columns < 128,
                                  .rows = w->rows,
                                  .columns = w->columns,
                                  .align_a = prefer->align[0],
                                  .align_b = prefer->align[1]};
        struct apx_lt_result *result = &results[*count];
        memset(result, 0, sizeof *result);
        memcpy(&result->algo, &algo, sizeof algo);
        result->workspace = *count == 1 ? 4096 : 0;
    }
    return 0;
}

EXPORTED int cublasLtMatmulAlgoCheck(void *handle, void *desc, void *a, void *b, void *c, void *d,
                                     const struct apx_lt_algo *algo, struct apx_lt_result *result);
int cublasLtMatmulAlgoCheck(void *handle, void *desc, void *a, void *b, void *c, void *d,
                            const struct apx_lt_algo *algo, struct apx_lt_result *result)
{
    struct algo known_algo;
    memcpy(&known_algo, algo, sizeof known_algo);
    memset(result, 0, sizeof *result);
    result->workspace = known_algo.number == 1 ? 4096 : 0;
    if (!fits(handle, desc, a, b, c, d, &known_algo))
        return APX_LT_STATUS_NOT_SUPPORTED;
    if (known_algo.number == GOOD)
        remember_checked(a, b);
    return 0;
}

EXPORTED int cublasLtMatmulAlgoConfigGetAttribute(const struct apx_lt_algo *algo, int attribute,
                                                  void *value, size_t bytes, size_t *written);
int cublasLtMatmulAlgoConfigGetAttribute(const struct apx_lt_algo *algo, int attribute, void *value,
                                         size_t bytes, size_t *written)
{
    struct algo from;
    memcpy(&from, algo, sizeof from);
    check(from.kind == ALGO, "not a kernel");
    check(bytes == sizeof(uint32_t), "a configuration's size");
    check(attribute == APX_LT_CONFIG_SPLIT || attribute == APX_LT_CONFIG_REDUCTION,
          "a configuration's attribute that is not known");
    const uint32_t split = from.number == 0 ? 4 : 1, reduction = from.number == 2 ? 2 : 0;
    memcpy(value, attribute == APX_LT_CONFIG_SPLIT ? &split : &reduction, bytes);
    *written = bytes;
    return 0;
}

/* One column of y after the other: k ascending (or not), the bias last. */
static void run(const void *memory)
{
    const struct job *job = memory;
    float *sums = malloc(job->rows * sizeof *sums);
    check(sums != NULL, "no memory");
    for (size_t n = 0; n < job->columns; n++) {
        const float *x = job->b + (ptrdiff_t)n * job->b_pitch;
        memset(sums, 0, job->rows * sizeof *sums);
        for (size_t i = 0; i < job->inner; i++) {
            const size_t k = job->backwards ? job->inner - 1 - i : i;
            const float *w = job->a + (ptrdiff_t)k * job->a_pitch;
            for (size_t m = 0; m < job->rows; m++)
                sums[m] += w[m] * x[k];
        }
        for (size_t m = 0; m < job->rows; m++)
            job->d[(ptrdiff_t)n * job->d_pitch + (ptrdiff_t)m] =
                sums[m] + (job->bias != NULL ? job->bias[m] : 0.0f);
    }
    free(sums);
}

EXPORTED int cublasLtMatmul(void *handle, void *desc, const void *alpha, const void *a,
                            void *a_layout, const void *b, void *b_layout, const void *beta,
                            const void *c, void *c_layout, void *d, void *d_layout,
                            const struct apx_lt_algo *algo, void *workspace, size_t workspace_bytes,
                            void *stream);
int cublasLtMatmul(void *handle, void *desc, const void *alpha, const void *a, void *a_layout,
                   const void *b, void *b_layout, const void *beta, const void *c, void *c_layout,
                   void *d, void *d_layout, const struct apx_lt_algo *algo, void *workspace,
                   size_t workspace_bytes, void *stream)
{
    struct algo chosen;
    memcpy(&chosen, algo, sizeof chosen);
    if (!fits(handle, desc, a_layout, b_layout, c_layout, d_layout, &chosen))
        return APX_LT_STATUS_NOT_SUPPORTED;
    const struct desc *what = desc;
    const struct layout *w = a_layout, *x = b_layout, *y = d_layout;
    check(*(const float *)alpha == 1.0f && *(const float *)beta == 0.0f, "factors");
    check(workspace == NULL && workspace_bytes == 0, "memory that was not asked for");
    check(chosen.number == GOOD, "a kernel that the contract does not permit");
    check(was_checked(w, x), "a number of rows that was not checked");
    check(c == d && d != b && d != a, "which matrix is which");
    check((uintptr_t)a % chosen.align_a == 0 && (uintptr_t)b % chosen.align_b == 0 &&
              (uintptr_t)d % chosen.align_b == 0 && (uintptr_t)what->bias % sizeof(float) == 0,
          "arrays that are not aligned as was said");
    const struct job job = {.a = a,
                            .b = b,
                            .bias = what->bias,
                            .d = d,
                            .rows = w->rows,
                            .columns = x->columns,
                            .inner = w->columns,
                            .a_pitch = (ptrdiff_t)w->pitch,
                            .b_pitch = (ptrdiff_t)x->pitch,
                            .d_pitch = (ptrdiff_t)y->pitch,
                            .backwards = chosen.backwards != 0};
    if (fake_cublaslt_enqueue != NULL)
        return fake_cublaslt_enqueue(run, &job, sizeof job, stream);
    run(&job);
    return 0;
}
