/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_failure_test.c - each allocation of the quantiser fails once: it says so, gives nothing
 * and leaks nothing (the sanitizers look). The linker sends malloc and its kin here (--wrap). */
#include "runtime/base/file.h"
#include "runtime/quantize.h"
#include "tests/harness/check.h"

static long left = -1; /* allocations that still succeed; -1: all */

static int refused(void)
{
    return left >= 0 && left-- == 0;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    return refused() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return refused() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return refused() ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return refused() ? NULL : __real_aligned_alloc(align, bytes);
}

/* A Loop; constants computed by nodes, lengths. */
static const char *const files[] = {"tests/golden/keras_gru.onnx",
                                    "tests/golden/torch_legacy_lstm_packed.onnx"};

static void each_allocation_fails_once(void)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct apx_quantize_report *report;
        struct apx_error error = {0};
        char *data;
        void *made, *whole;
        size_t bytes, made_bytes, whole_bytes;
        REQUIRE(apx_file_read(files[i], 1 << 20, &data, &bytes, &error) == APX_OK);
        REQUIRE(apx_quantize(data, bytes, NULL, NULL, &whole, &whole_bytes, &report, &error) ==
                APX_OK);
        apx_quantize_report_destroy(report);
        long failed = 0, count = 0;
        for (;; count++) {
            left = count;
            enum apx_status status =
                apx_quantize(data, bytes, NULL, NULL, &made, &made_bytes, &report, &error);
            bool came_to_it = left < 0;
            left = -1;
            /* Where inference or folding can do without, the result may differ, but is one. */
            CHECK((status == APX_OK) == (made != NULL));
            if (status == APX_ENOMEM) {
                CHECK(report == NULL);
                CHECK_STR(apx_status_name(error.status), "APX_ENOMEM");
                failed++;
            } else {
                CHECK(status == APX_OK || status == APX_EUNSUPPORTED);
            }
            bool same = status == APX_OK && made_bytes == whole_bytes &&
                        memcmp(made, whole, whole_bytes) == 0;
            apx_quantize_report_destroy(report);
            free(made);
            if (!came_to_it) {
                CHECK(same);
                break;
            }
        }
        CHECK(failed > 100);
        CHECK(failed > count * 9 / 10);
        free(whole);
        free(data);
    }
}

int main(void)
{
    RUN(each_allocation_fails_once);
    return check_report();
}
