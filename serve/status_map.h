/* SPDX-License-Identifier: Apache-2.0 */
/* status_map.h - the library's statuses as codes on the wire; nowhere else are they translated. */
#ifndef APX_SERVE_STATUS_MAP_H
#define APX_SERVE_STATUS_MAP_H

#include "serve/transport.h"

enum apx_code apx_code_of_status(enum apx_status status);

#endif
