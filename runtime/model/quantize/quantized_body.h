/* SPDX-License-Identifier: Apache-2.0 */
/* quantized_body.h - int8 operators in standard operators. */
#ifndef APX_MODEL_QUANTIZED_BODY_H
#define APX_MODEL_QUANTIZED_BODY_H

#include "runtime/onnx_build.h"

/* Oldest opset of ai.onnx in which the bodies can be written (Scan, Where, ConstantOfShape). */
#define APX_QUANTIZED_OPSET_FIRST 9

enum apx_quantized_direction {
    APX_QUANTIZED_FORWARD,
    APX_QUANTIZED_REVERSE,
    APX_QUANTIZED_BIDIRECTIONAL
};

/* What a function body cannot find out by itself: each variant is a function of its own. */
struct apx_quantized_variant {
    bool is_lstm;
    enum apx_quantized_direction direction;
    bool reset_after;                 /* GRU: linear_before_reset = 1 */
    bool quantises_x;                 /* input_scale > 0 */
    bool has_lengths, has_h0, has_c0; /* optional inputs that are given; B always is */
    int levels;                       /* below opset 12 a body cannot read attributes of its call */
    int64_t opset;                    /* of ai.onnx in the model */
};

/* "QuantizedLSTM_reverse_x8_lens_h0": equal names, equal bodies within a model. Returns name. */
const char *apx_quantized_name(const struct apx_quantized_variant *variant, char name[96]);

/* The function of that name in the domain auspex: inputs and outputs of the operator, its
 * attributes, all of which a call must give. Below opset 12 hidden_levels is taken to be `levels`
 * and input_scale 1 / `levels`. */
void apx_quantized_body(struct apx_onnx *onnx, const struct apx_quantized_variant *variant);

/* The same of dense layers. They need an opset in which a body reads its call's attributes. */
#define APX_QUANTIZED_LINEAR_OPSET_FIRST 12
const char *apx_quantized_linear_name(bool has_bias);
void apx_quantized_linear_body(struct apx_onnx *onnx, int64_t opset, bool has_bias);

#endif
