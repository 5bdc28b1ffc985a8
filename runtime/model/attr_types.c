/* SPDX-License-Identifier: Apache-2.0 */
/* attr_types.c - the type of every attribute the engine reads.
 *
 * A name means the same type in all operators of ops.def but for those with an operator beside
 * them. Without this border an attribute of another type would count as left out, and the model
 * would run with the default. */
#include "runtime/model/graph.h"

#include <string.h>

#define ANY (-1)

static const struct {
    const char *name;
    enum apx_attr_type type;
    int op; /* an enum apx_op, or ANY */
} known[] = {
    {"activation_alpha", APX_ATTR_FLOATS, ANY},
    {"activation_beta", APX_ATTR_FLOATS, ANY},
    {"activations", APX_ATTR_STRINGS, ANY},
    {"allowzero", APX_ATTR_INT, ANY},
    {"alpha", APX_ATTR_FLOAT, ANY},
    {"approximate", APX_ATTR_STRING, ANY},
    {"axes", APX_ATTR_INTS, ANY},
    {"axis", APX_ATTR_INT, ANY},
    {"batch_axis", APX_ATTR_INT, ANY},
    {"beta", APX_ATTR_FLOAT, ANY},
    {"block_size", APX_ATTR_INT, ANY},
    {"cats_int64s", APX_ATTR_INTS, ANY},
    {"cats_strings", APX_ATTR_STRINGS, ANY},
    {"classlabels_int64s", APX_ATTR_INTS, ANY},
    {"classlabels_ints", APX_ATTR_INTS, ANY},
    {"classlabels_strings", APX_ATTR_STRINGS, ANY},
    {"clip", APX_ATTR_FLOAT, ANY},
    {"coefficients", APX_ATTR_FLOATS, ANY},
    {"default_float", APX_ATTR_FLOAT, ANY},
    {"default_int64", APX_ATTR_INT, ANY},
    {"default_string", APX_ATTR_STRING, ANY},
    {"default_tensor", APX_ATTR_TENSOR, ANY},
    {"direction", APX_ATTR_STRING, ANY},
    {"end", APX_ATTR_INT, ANY},
    {"ends", APX_ATTR_INTS, ANY},
    {"epsilon", APX_ATTR_FLOAT, ANY},
    {"fmod", APX_ATTR_INT, ANY},
    {"gamma", APX_ATTR_FLOAT, ANY},
    {"hidden_levels", APX_ATTR_INT, ANY},
    {"hidden_size", APX_ATTR_INT, ANY},
    {"imputed_value_floats", APX_ATTR_FLOATS, ANY},
    {"imputed_value_int64s", APX_ATTR_INTS, ANY},
    {"input_forget", APX_ATTR_INT, ANY},
    {"input_scale", APX_ATTR_FLOAT, ANY},
    {"inputdimensions", APX_ATTR_INTS, ANY},
    {"intercepts", APX_ATTR_FLOATS, ANY},
    {"keepdims", APX_ATTR_INT, ANY},
    {"keys_floats", APX_ATTR_FLOATS, ANY},
    {"keys_int64s", APX_ATTR_INTS, ANY},
    {"keys_strings", APX_ATTR_STRINGS, ANY},
    {"keys_tensor", APX_ATTR_TENSOR, ANY},
    {"largest", APX_ATTR_INT, ANY},
    {"layout", APX_ATTR_INT, ANY},
    {"linear_before_reset", APX_ATTR_INT, ANY},
    {"max", APX_ATTR_FLOAT, APX_OP_CLIP},
    {"min", APX_ATTR_FLOAT, APX_OP_CLIP},
    {"mode", APX_ATTR_STRING, APX_OP_PAD},
    {"momentum", APX_ATTR_FLOAT, ANY},
    {"multi_class", APX_ATTR_INT, ANY},
    {"noop_with_empty_axes", APX_ATTR_INT, ANY},
    {"norm", APX_ATTR_STRING, ANY},
    {"num_outputs", APX_ATTR_INT, ANY},
    {"offset", APX_ATTR_FLOATS, APX_OP_SCALER},
    {"output_dtype", APX_ATTR_INT, ANY},
    {"p", APX_ATTR_INT, ANY},
    {"pads", APX_ATTR_INTS, ANY},
    {"perm", APX_ATTR_INTS, ANY},
    {"post_transform", APX_ATTR_STRING, ANY},
    {"replaced_value_float", APX_ATTR_FLOAT, ANY},
    {"replaced_value_int64", APX_ATTR_INT, ANY},
    {"scale", APX_ATTR_FLOATS, APX_OP_SCALER},
    {"select_last_index", APX_ATTR_INT, ANY},
    {"sorted", APX_ATTR_INT, ANY},
    {"spatial", APX_ATTR_INT, ANY},
    {"split", APX_ATTR_INTS, ANY},
    {"start", APX_ATTR_INT, ANY},
    {"starts", APX_ATTR_INTS, ANY},
    {"stash_type", APX_ATTR_INT, ANY},
    {"targets", APX_ATTR_INT, ANY},
    {"threshold", APX_ATTR_FLOAT, ANY},
    {"time_axis", APX_ATTR_INT, ANY},
    {"to", APX_ATTR_INT, ANY},
    {"training_mode", APX_ATTR_INT, ANY},
    {"transA", APX_ATTR_INT, ANY},
    {"transB", APX_ATTR_INT, ANY},
    {"value", APX_ATTR_FLOAT, APX_OP_PAD},
    {"value", APX_ATTR_TENSOR, APX_OP_CONSTANT_OF_SHAPE},
    {"values_floats", APX_ATTR_FLOATS, ANY},
    {"values_int64s", APX_ATTR_INTS, ANY},
    {"values_strings", APX_ATTR_STRINGS, ANY},
    {"values_tensor", APX_ATTR_TENSOR, ANY},
    {"zeros", APX_ATTR_INT, ANY},
};

bool apx_attr_type_find(enum apx_op op, const char *name, enum apx_attr_type *type)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if ((known[i].op == ANY || known[i].op == (int)op) && strcmp(known[i].name, name) == 0) {
            *type = known[i].type;
            return true;
        }
    return false;
}

const char *apx_attr_type_name(enum apx_attr_type type)
{
    static const char *const names[] = {
        [APX_ATTR_INT] = "an integer",          [APX_ATTR_FLOAT] = "a float",
        [APX_ATTR_STRING] = "a string",         [APX_ATTR_INTS] = "a list of integers",
        [APX_ATTR_FLOATS] = "a list of floats", [APX_ATTR_STRINGS] = "a list of strings",
        [APX_ATTR_TENSOR] = "a tensor",
    };
    return names[type];
}
