/* SPDX-License-Identifier: Apache-2.0 */
/* passes.c - the order of the passes.
 *
 * What is known goes first, since it leaves constants behind; then copies, so that constants behind
 * an Identity are constants; folding then sees longer chains. What none of them can do is left to
 * the lowering: there Transpose, Reshape and Slice are views and cost nothing, and bias and
 * activation join their product. */
#include "runtime/model/passes/passes.h"

#include "runtime/base/fail.h"

enum apx_status apx_passes_run(struct apx_graph *graph, const struct apx_backend *evaluator,
                               struct apx_error *error)
{
    enum apx_status status = apx_pass_drop_known(graph);
    apx_pass_drop_copies(graph);
    if (status == APX_OK)
        status = apx_pass_fold_constants(graph, evaluator);
    apx_graph_sweep(graph);
    return status == APX_OK ? status : apx_fail(error, status, "", "out of memory");
}
