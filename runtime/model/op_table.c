/* SPDX-License-Identifier: Apache-2.0 */
/* op_table.c - ops.def as a table, and its rows by name. */
#include "runtime/model/graph.h"

#include <string.h>

static const struct apx_op_info infos[APX_OP_COUNT] = {
#define APX_OP(kind, domain, name, min_in, max_in, min_out, max_out, infer, lower)                 \
    [APX_OP_##kind] = {domain, name, min_in, max_in, min_out, max_out},
#include "runtime/model/ops.def"
#undef APX_OP
};

const struct apx_op_info *apx_op_info(enum apx_op op)
{
    return &infos[op];
}

bool apx_op_find(const char *domain, const char *name, enum apx_op *op)
{
    for (int i = 0; i < APX_OP_COUNT; i++) {
        if (strcmp(infos[i].name, name) == 0 && strcmp(infos[i].domain, domain) == 0) {
            *op = (enum apx_op)i;
            return true;
        }
    }
    return false;
}
