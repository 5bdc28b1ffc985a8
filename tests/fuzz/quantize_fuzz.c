/* SPDX-License-Identifier: Apache-2.0 */
/* quantize_fuzz.c - any bytes to the quantiser: the files that it makes of what it accepts can be
 * read, and their types and extents are in order. */
#include "runtime/model/onnx_read.h"
#include "runtime/quantize.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept)
{
    if (!kept)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apx_quantize_report *report;
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    void *made;
    size_t bytes;
    enum apx_status status = apx_quantize(data, size, NULL, NULL, &made, &bytes, &report, &error);
    promise(status == APX_OK || (error.status == status && error.message[0] != '\0'));
    promise((status == APX_OK) == (made != NULL));
    if (status == APX_OK) {
        promise(report->done_count > 0 && report->done_count <= report->layer_count);
        status = apx_onnx_read(made, bytes, NULL, NULL, &graph, &error);
        if (status == APX_OK)
            status = apx_graph_infer(graph, &error);
        promise(status == APX_OK);
    }
    apx_graph_destroy(graph);
    apx_quantize_report_destroy(report);
    free(made);
    return 0;
}
