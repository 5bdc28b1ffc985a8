/* SPDX-License-Identifier: Apache-2.0 */
/* step_rnn.h - operands and parameters of a recurrent step. */
#ifndef APX_PLAN_STEP_RNN_H
#define APX_PLAN_STEP_RNN_H

#include "runtime/plan/steps.h"

/* Operands: x and y [T,B,.], lengths [B] int32, states [B,H]; all but x may be left out. Their last
 * axis has stride 1. */
enum { APX_RNN_X, APX_RNN_LENGTHS, APX_RNN_H0, APX_RNN_C0, APX_RNN_INS };
enum { APX_RNN_Y, APX_RNN_H_LAST, APX_RNN_C_LAST, APX_RNN_OUTS };

struct apx_rnn_params {
    struct apx_rnn_desc desc;
    struct apx_rnn_weights weights;
    const struct apx_rnn_row *row;
    bool is_lstm;
};

extern const struct apx_step_class apx_lstm_class, apx_gru_class;

/* Step s (a recurrent one) writes a y of which the others read the last step only: the one that its
 * h_last holds too. Judged on a lowered program whose y was not replaced yet. */
bool apx_rnn_reads_last_only(const struct apx_program *program, int s);
/* Every reader of a replaced y does so through views in which the step axis has one element. */
bool apx_rnn_is_replaceable(const struct apx_program *program, int slot);

#endif
