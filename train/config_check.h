/* SPDX-License-Identifier: Apache-2.0 */
/* config_check.h - what keys of a configuration say together. */
#ifndef APX_TRAIN_CONFIG_CHECK_H
#define APX_TRAIN_CONFIG_CHECK_H

#include "train/config.h"

/* APX_EINVAL with the key in `field`. */
enum apx_status apx_train_config_check(const struct apx_train_config *config,
                                       struct apx_error *error);

#endif
