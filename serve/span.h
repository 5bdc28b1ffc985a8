/* SPDX-License-Identifier: Apache-2.0 */
/* span.h - a piece of a message as the network delivered it. A message is a list of spans. */
#ifndef APX_SERVE_SPAN_H
#define APX_SERVE_SPAN_H

#include <stddef.h>
#include <stdint.h>

struct apx_span {
    const uint8_t *data;
    size_t size;
};

#endif
