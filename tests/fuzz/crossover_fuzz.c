/* SPDX-License-Identifier: Apache-2.0 */
/* crossover_fuzz.c - any bytes as a file of measured figures; what is accepted keeps its limits,
 * and the choice that follows from it is one of its sizes or between them. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/device/crossover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept)
{
    if (!kept)
        abort();
}

static void look(const struct apx_crossover *c)
{
    promise(c->point_count >= 1 && c->point_count <= APX_LIMIT_CROSSOVER_POINTS);
    promise(c->threads >= 1 && c->steps >= 0 && strlen(c->measured) == 20);
    for (int i = 0; i < c->point_count; i++) {
        promise(c->points[i].cpu_ns > 0 && c->points[i].gpu_ns > 0);
        promise(c->points[i].rows > (i > 0 ? c->points[i - 1].rows : 0));
    }
    promise(c->from_rows == -1 || (c->from_rows >= c->points[0].rows &&
                                   c->from_rows <= c->points[c->point_count - 1].rows));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct apx_crossover_key key = {"m", "fp32", "g", "d", "c", "i"};
    struct apx_crossovers found;
    struct apx_error error = {0};
    enum apx_status status = apx_crossovers_read((const char *)data, size, &key,
                                                 apx_allocator_default(), &found, &error);
    promise((status == APX_OK) == (found.count > 0));
    promise((status == APX_OK) == (error.message[0] == '\0'));
    promise(strchr(error.message, '\n') == NULL);
    for (int i = 0; i < found.count; i++) {
        look(&found.list[i]);
        promise(apx_crossovers_find(&found, found.list[i].threads, found.list[i].steps) ==
                &found.list[i]);
    }
    apx_crossovers_release(&found);
    return 0;
}
