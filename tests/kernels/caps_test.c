/* SPDX-License-Identifier: Apache-2.0 */
/* caps_test.c - detection against the compiler's own, limits, and which rows they lead to. */
#include "kernels/kernels.h"
#include "tests/harness/check.h"

#define ALL (APX_CAP_AVX2 | APX_CAP_AVX512 | APX_CAP_AVX512VNNI | APX_CAP_AVX512VBMI)

static void detection_agrees_with_the_compiler(void)
{
    const uint32_t caps = apx_cpu_caps();
    CHECK_EQ((caps & APX_CAP_AVX2) != 0, __builtin_cpu_supports("avx2") &&
                                             __builtin_cpu_supports("fma") &&
                                             __builtin_cpu_supports("bmi2"));
    CHECK_EQ((caps & APX_CAP_AVX512) != 0,
             __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512cd"));
    CHECK_EQ((caps & APX_CAP_AVX512VNNI) != 0,
             (caps & APX_CAP_AVX512) != 0 && __builtin_cpu_supports("avx512vnni"));
    CHECK_EQ((caps & APX_CAP_AVX512VBMI) != 0,
             (caps & APX_CAP_AVX512VNNI) != 0 && __builtin_cpu_supports("avx512vbmi"));
}

static void limits_take_bundles_away(void)
{
    uint32_t limited;
    const uint32_t caps = ALL | APX_CAP_SLOW_GATHER;
    REQUIRE(apx_caps_limit(caps, "scalar", &limited));
    CHECK_EQ(limited, APX_CAP_SLOW_GATHER);
    CHECK_STR(apx_caps_name(limited), "scalar");
    REQUIRE(apx_caps_limit(caps, "avx2", &limited));
    CHECK_EQ(limited, APX_CAP_AVX2 | APX_CAP_SLOW_GATHER);
    CHECK_STR(apx_caps_name(limited), "avx2");
    REQUIRE(apx_caps_limit(caps, "avx512", &limited));
    CHECK_STR(apx_caps_name(limited), "avx512");
    REQUIRE(apx_caps_limit(caps, "avx512vnni", &limited));
    CHECK_STR(apx_caps_name(limited), "avx512vnni");
    REQUIRE(apx_caps_limit(caps, "avx512vbmi", &limited));
    CHECK_EQ(limited, caps);
    /* a limit above what is there adds nothing */
    REQUIRE(apx_caps_limit(APX_CAP_AVX2, "avx512", &limited));
    CHECK_EQ(limited, APX_CAP_AVX2);
    CHECK(!apx_caps_limit(caps, "sse9", &limited));
    CHECK(!apx_caps_limit(caps, "", &limited));
}

static void rows_follow_the_caps(void)
{
    const struct apx_rnn_desc rnn = {
        .input = 4,
        .hidden = 16,
        .act = {{.kind = APX_ACT_SIGMOID}, {.kind = APX_ACT_TANH}, {.kind = APX_ACT_TANH}}};
    const struct apx_dense_desc dense = {.input = 4, .output = 16};
    CHECK_STR(apx_lstm_select(0, &rnn)->isa, "scalar");
    CHECK_STR(apx_gru_select(0, &rnn)->isa, "scalar");
    CHECK_STR(apx_dense_select(0, &dense)->isa, "scalar");
    CHECK_STR(apx_lstm_select(APX_CAP_AVX2, &rnn)->isa, "avx2");
    CHECK_STR(apx_gru_select(APX_CAP_AVX2, &rnn)->isa, "avx2");
    CHECK_STR(apx_dense_select(APX_CAP_AVX2, &dense)->isa, "avx2");
    CHECK_STR(apx_lstm_select(ALL, &rnn)->isa, "avx512");
    CHECK_STR(apx_dense_select(ALL, &dense)->isa, "avx512");
    /* int8 layers have rows of their own; without VNNI they go to AVX2 */
    struct apx_rnn_desc int8 = rnn;
    int8.int8.levels = 127;
    CHECK_STR(apx_lstm_select(0, &int8)->name, "apx_lstm_s8_scalar");
    CHECK_STR(apx_gru_select(0, &int8)->name, "apx_gru_s8_scalar");
    CHECK_STR(apx_lstm_select(APX_CAP_AVX2, &int8)->name, "apx_lstm_s8_avx2");
    CHECK_STR(apx_gru_select(APX_CAP_AVX2 | APX_CAP_AVX512, &int8)->name, "apx_gru_s8_avx2");
    CHECK_STR(apx_lstm_select(ALL, &int8)->name, "apx_lstm_s8_avx512vnni");
    CHECK_STR(apx_gru_select(ALL, &int8)->name, "apx_gru_s8_avx512vnni");
    int8.hidden = 8;
    CHECK_STR(apx_lstm_select(ALL, &int8)->isa, "avx2");
    /* too narrow for vectors of 16 */
    const struct apx_dense_desc narrow = {.input = 4, .output = 8};
    CHECK_STR(apx_dense_select(ALL, &narrow)->isa, "avx2");
    /* a word without the one below it does not occur, but must not be believed either */
    CHECK_STR(apx_dense_select(APX_CAP_AVX512VNNI, &dense)->isa, "scalar");
    const char *isa;
    CHECK(apx_unary_select(0, APX_UNARY_TANH, &isa) != NULL);
    CHECK_STR(isa, "scalar");
    CHECK(apx_unary_select(APX_CAP_AVX2, APX_UNARY_TANH, &isa) != NULL);
    CHECK_STR(isa, "avx2");
    CHECK(apx_unary_select(APX_CAP_AVX2, APX_UNARY_LOG, &isa) != NULL);
    CHECK_STR(isa, "scalar");
}

/* Half-precision weights have rows of their own; where 512-bit work is slow, not of avx512. */
static void half_weights_have_rows(void)
{
    struct apx_rnn_desc desc = {.input = 4, .hidden = 32, .half_weights = true};
    CHECK_STR(apx_lstm_select(0, &desc)->name, "apx_lstm_f16_scalar");
    CHECK_STR(apx_gru_select(APX_CAP_AVX2, &desc)->name, "apx_gru_f16_avx2");
    CHECK_STR(apx_lstm_select(APX_CAP_AVX2 | APX_CAP_AVX512, &desc)->name, "apx_lstm_f16_avx512");
    CHECK_STR(apx_lstm_select(APX_CAP_AVX2 | APX_CAP_AVX512 | APX_CAP_SLOW_512, &desc)->name,
              "apx_lstm_f16_avx2");
}

/* Every table ends in a row that runs anywhere. */
static void tables_end_in_the_scalar_row(void)
{
    size_t count;
    const struct apx_rnn_row *lstm = apx_lstm_rows(&count);
    CHECK(lstm[count - 1].needs == 0 && lstm[count - 1].match == APX_MATCH_REFERENCE);
    const struct apx_rnn_row *gru = apx_gru_rows(&count);
    CHECK(gru[count - 1].needs == 0 && gru[count - 1].match == APX_MATCH_REFERENCE);
    const struct apx_dense_row *dense = apx_dense_rows(&count);
    CHECK(dense[count - 1].needs == 0 && dense[count - 1].match == APX_MATCH_REFERENCE);
    const struct apx_unary_row *unary = apx_unary_rows(&count);
    CHECK(unary[count - 1].needs == 0 && unary[count - 1].match == APX_MATCH_REFERENCE);
    for (int op = 0; op < APX_UNARY_COUNT; op++)
        CHECK(unary[count - 1].run[op] != NULL);
}

int main(void)
{
    RUN(detection_agrees_with_the_compiler);
    RUN(limits_take_bundles_away);
    RUN(rows_follow_the_caps);
    RUN(half_weights_have_rows);
    RUN(tables_end_in_the_scalar_row);
    return check_report();
}
