/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the one clock that arrivals, deadlines and measured times are read from. */
#ifndef APX_SERVE_CLOCK_H
#define APX_SERVE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in nanoseconds. */
static inline int64_t apx_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
