/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_stack.h - steps that one launch can take together: recurrent layers one behind the other.
 *
 * Which steps may go together the plan tells; how many do is decided for the extents of a call, by
 * the sooner of the estimates, since the bits are the same either way. */
#ifndef APX_DEVICE_CUDA_STACK_H
#define APX_DEVICE_CUDA_STACK_H

#include "runtime/device/cuda_program.h"

/* Sets steps[].stack and is_between. Slots of the plan that such a launch touches are from then on
 * in use until all of its steps are done. */
void apx_cuda_stack_find(struct apx_cuda_program *program);
/* Steps that the launch which begins with step s takes for these symbols (as steps see them);
 * *seconds, unless NULL: of it, infinite for extents that the plan does not allow. */
int apx_cuda_stack_take(const struct apx_cuda_program *program, int s, const int64_t *symbols,
                        double *seconds);
/* Enqueue `count` steps from s on, at least two, as one. args, weights: of the whole plan; frame:
 * that of step s. 0, CUDA's error or APX_CUDA_CANNOT */
int apx_cuda_stack_launch(const struct apx_cuda_program *program, int s, int count,
                          const char *args, const char *weights,
                          const struct apx_cuda_frame *frame);

#endif
