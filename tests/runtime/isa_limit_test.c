/* SPDX-License-Identifier: Apache-2.0 */
/* AUSPEX_ISA caps what a loaded model runs with: the best rows up to the word, none above it, the
 * same bits from all of them. What was chosen is printed, one line for each word. */
#include <jansson.h>

#include "tests/runtime/run_case.h"

#define WIDTH 32 /* of both layers: wide enough for vectors of 16 */

static void *model_data;
static size_t model_bytes;
static struct apx_tensor x;

/* y [b,32] = dense(last step of LSTM(x [t,b,4])) */
static void make_model(void)
{
    struct rng rng = {11};
    struct apx_error error = {0};
    struct apx_onnx *m = case_begin(17, "x:f[t,b,4]", "y");
    struct apx_tensor w = run_random(&rng, 3, 1, 4 * WIDTH, 4),
                      r = run_random(&rng, 3, 1, 4 * WIDTH, WIDTH),
                      d = run_random(&rng, 2, WIDTH, WIDTH);
    apx_onnx_tensor(m, "w", APX_F32, 3, w.dims, w.data);
    apx_onnx_tensor(m, "r", APX_F32, 3, r.dims, r.data);
    apx_onnx_tensor(m, "d", APX_F32, 2, d.dims, d.data);
    case_ints(m, "zero", 1, 0LL);
    case_node(m, "LSTM", "x w r", "- h");
    apx_onnx_int(m, "hidden_size", WIDTH);
    case_node(m, "Squeeze", "h zero", "last");
    case_node(m, "MatMul", "last d", "y");
    REQUIRE(apx_onnx_write_memory(m, &model_data, &model_bytes, &error) == APX_OK);
    apx_onnx_destroy(m);
    run_release(&w, 1);
    run_release(&r, 1);
    run_release(&d, 1);
    x = run_random(&rng, 3, 3, 7, 4);
}

/* The model run under the environment's word and the option's. Returns the bundle of all its
 * kernels, "mixed" if they differ. */
static const char *chosen(const char *environment, const char *option, struct apx_tensor *out)
{
    static char isa[32];
    if (environment != NULL)
        setenv("AUSPEX_ISA", environment, 1);
    else
        unsetenv("AUSPEX_ISA");
    REQUIRE(run_once(model_data, model_bytes, option, 1, 0, &x, 1, out));
    json_t *plan = json_loads(run_plan, 0, NULL);
    json_t *steps = json_object_get(plan, "steps"), *step;
    size_t i, kernels = 0;
    isa[0] = '\0';
    json_array_foreach (steps, i, step) {
        const char *word = json_string_value(json_object_get(step, "isa"));
        const char *kind = json_string_value(json_object_get(step, "step"));
        REQUIRE(kind != NULL);
        if (strcmp(kind, "lstm") != 0 && strcmp(kind, "dense") != 0)
            continue;
        REQUIRE(word != NULL);
        if (kernels++ > 0 && strcmp(isa, word) != 0)
            word = "mixed";
        snprintf(isa, sizeof isa, "%s", word);
    }
    CHECK_EQ(kernels, 2);
    json_decref(plan);
    unsetenv("AUSPEX_ISA");
    return isa;
}

/* What these rows of fp32 are on this processor, said by hand. */
static const char *best(bool may_avx2, bool may_avx512)
{
    const uint32_t caps = apx_cpu_caps();
    if (may_avx512 && (caps & APX_CAP_AVX512) != 0)
        return "avx512";
    return may_avx2 && (caps & APX_CAP_AVX2) != 0 ? "avx2" : "scalar";
}

static void the_environment_caps_the_rows(void)
{
    static const struct {
        const char *word;
        bool avx2, avx512;
    } words[] = {{NULL, true, true},        {"", true, true},       {"scalar", false, false},
                 {"avx2", true, false},     {"avx512", true, true}, {"avx512vnni", true, true},
                 {"avx512vbmi", true, true}};
    struct apx_tensor first[1] = {{0}}, out[1] = {{0}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const char *isa = chosen(words[i].word, NULL, i == 0 ? first : out);
        CHECK_STR(isa, best(words[i].avx2, words[i].avx512));
        printf("AUSPEX_ISA %s runs %s\n", i == 0 ? "unset" : i == 1 ? "empty" : words[i].word, isa);
        if (i > 0) {
            CHECK_EQ(out[0].bytes, first[0].bytes);
            CHECK(memcmp(out[0].data, first[0].data, first[0].bytes) == 0);
        }
        run_release(out, 1);
    }
    run_release(first, 1);
}

static void the_lower_of_option_and_environment_counts(void)
{
    static const char *const words[] = {"scalar", "avx2", "avx512", "avx512vnni", "avx512vbmi"};
    struct apx_tensor out[1] = {{0}};
    for (size_t e = 0; e < 5; e++)
        for (size_t o = 0; o < 5; o++) {
            const size_t lower = e < o ? e : o;
            CHECK_STR(chosen(words[e], words[o], out), best(lower >= 1, lower >= 2));
            run_release(out, 1);
        }
}

int main(void)
{
    make_model();
    RUN(the_environment_caps_the_rows);
    RUN(the_lower_of_option_and_environment_counts);
    free(model_data);
    run_release(&x, 1);
    run_end();
    return check_report();
}
