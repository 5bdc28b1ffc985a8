/* SPDX-License-Identifier: Apache-2.0 */
/* The fake driver keeps what cuda_driver.h promises, as far as driver_check.h asks. */
#include "tests/device/driver_check.h"
#include "tests/device/fake_cuda.h"

static void keeps_its_promises(void)
{
    fake_cuda_reset();
    driver_check(&fake_cuda_driver);
    CHECK_EQ(fake_cuda.memory + fake_cuda.pinned + fake_cuda.streams + fake_cuda.graphs, 0);
    if (!CHECK(fake_cuda.broken == 0))
        fprintf(stderr, "    %s\n", fake_cuda.rule);
}

int main(void)
{
    RUN(keeps_its_promises);
    return check_report();
}
