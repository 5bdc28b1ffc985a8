# SPDX-License-Identifier: Apache-2.0
# Plans, passes, sessions.
apx_test(golden_test golden_test.c LABELS threads)
