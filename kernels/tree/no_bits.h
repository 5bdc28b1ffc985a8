/* SPDX-License-Identifier: Apache-2.0 */
/* no_bits.h - of a row of the table that decides no tree by bits. */
#ifndef APX_TREE_NO_BITS_H
#define APX_TREE_NO_BITS_H

#include "kernels/tree/forest_layout.h"

/* Never called. */
static void one_bits(const struct apx_packed *packed, const struct apx_one_group *group,
                     const uint8_t *codes, uint32_t *leaf)
{
    (void)packed, (void)group, (void)codes;
    for (int i = 0; i < APX_ONE_LANES; i++)
        leaf[i] = 0;
}

#endif
