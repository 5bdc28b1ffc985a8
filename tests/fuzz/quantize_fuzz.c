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

/* What the layers get is a model too. */
static void probe(const uint8_t *data, size_t size)
{
    struct apx_quantize_probes probes;
    struct apx_graph *graph = NULL;
    struct apx_error error = {0};
    enum apx_status status = apx_quantize_probe(data, size, NULL, NULL, &probes, &error);
    promise(status == APX_OK || (error.status == status && error.message[0] != '\0'));
    promise(status != APX_OK || (probes.count > 0) == (probes.model != NULL));
    if (status == APX_OK && probes.count > 0) {
        status = apx_onnx_read(probes.model, probes.model_bytes, NULL, NULL, &graph, &error);
        if (status == APX_OK)
            status = apx_graph_infer(graph, &error);
        promise(status == APX_OK && (size_t)graph->output_count == probes.count);
    }
    apx_graph_destroy(graph);
    apx_quantize_probes_fini(&probes);
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
        const size_t done = report->recurrent_done + report->dense_done;
        promise(done > 0 && report->recurrent_count + report->dense_count == report->layer_count);
        promise(done <= report->layer_count);
        status = apx_onnx_read(made, bytes, NULL, NULL, &graph, &error);
        if (status == APX_OK)
            status = apx_graph_infer(graph, &error);
        promise(status == APX_OK);
    }
    apx_graph_destroy(graph);
    apx_quantize_report_destroy(report);
    free(made);
    probe(data, size);
    return 0;
}
