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

/* A function has one body, and an operator of ours may need several: the part behind "_" says which
 * one stands in the file, and nothing to us. */
static bool is_named(const struct apx_op_info *info, const char *name)
{
    size_t length = strlen(info->name);
    if (strncmp(info->name, name, length) != 0)
        return false;
    return name[length] == '\0' || (name[length] == '_' && strcmp(info->domain, "auspex") == 0);
}

bool apx_op_find(const char *domain, const char *name, enum apx_op *op)
{
    for (int i = 0; i < APX_OP_COUNT; i++) {
        if (strcmp(infos[i].domain, domain) == 0 && is_named(&infos[i], name)) {
            *op = (enum apx_op)i;
            return true;
        }
    }
    return false;
}
