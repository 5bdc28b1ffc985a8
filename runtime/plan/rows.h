/* SPDX-License-Identifier: Apache-2.0 */
/* rows.h - which symbol of a graph counts rows that never meet each other. */
#ifndef APX_PLAN_ROWS_H
#define APX_PLAN_ROWS_H

#include "runtime/model/graph.h"

/* The symbol, or -1: there is none. input_axis[input_count] and output_axis[output_count] get the
 * axis that counts the rows, -1 for a tensor without it. For -1 the axis of an input or output is
 * its first axis with the first input's first free symbol, for reports only. Needs an inferred
 * graph. On APX_ENOMEM nothing is set. */
enum apx_status apx_rows_analyse(const struct apx_graph *graph, int *symbol, int *input_axis,
                                 int *output_axis);

#endif
