# SPDX-License-Identifier: Apache-2.0
# Plans, passes, sessions.
apx_test(golden_test golden_test.c LABELS threads)
apx_test(plan_elementwise_test plan_elementwise_test.c LABELS threads)
apx_test(plan_matrix_test plan_matrix_test.c LABELS threads)
apx_test(plan_shape_test plan_shape_test.c LABELS threads)
apx_test(plan_reduce_test plan_reduce_test.c LABELS threads)
apx_test(plan_rnn_test plan_rnn_test.c LABELS threads)
apx_test(session_test session_test.c LABELS threads)
apx_test(worker_pool_test worker_pool_test.c LABELS threads)
apx_test(view_test view_test.c)
apx_test(arena_layout_test arena_layout_test.c)
apx_test(rows_test rows_test.c)
apx_test(passes_test passes_test.c)
