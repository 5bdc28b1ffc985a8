# SPDX-License-Identifier: Apache-2.0
"""Remake tests/golden: small models, inputs, and the outputs of ONNX Runtime (or of recurrent_reference.py).

    ci/interop --golden          (makes the Python environment, then runs this)

The tests in C replay them without any Python. manifest.json lists them: per model the file, what made it, the
largest absolute error allowed, the file of tensor values, and one or more sets of inputs and outputs in the order
of the graph, each with its type, extents and byte offset in that file.
"""

import json
import os
import sys

import numpy as np
import onnx

import keras_models
import quantized
import random_recurrent
import random_trees
import sklearn_models
import torch_models
from cases import onnxruntime_outputs

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "golden")
SEED = 7

# One of each kind of graph an exporter writes; the rest of the families runs in ci/interop alone.
TORCH = """legacy_lstm_1 legacy_lstm_2_time legacy_lstm_3_nobias legacy_lstm_bi_hidden legacy_lstm_bi_2_all
legacy_lstm_timefirst legacy_lstm_states legacy_lstm_stream_1 legacy_lstm_finals legacy_lstm_norm_drop
legacy_lstm_hidden_scaled legacy_lstm_fixed legacy_lstm_packed legacy_lstm_opset9 legacy_lstm_opset11 legacy_lstm_nofold
legacy_lstm_initializers_listed legacy_lstm_mean legacy_gru_1 legacy_gru_2_time legacy_gru_bi_2_all legacy_gru_states
legacy_gru_max legacy_gru_packed legacy_gru_nofold legacy_gru_opset13 legacy_mixed legacy_seq2seq legacy_attention
legacy_residual legacy_mlp_batchnorm legacy_mlp_layernorm legacy_window_mlp legacy_act_gelu legacy_act_silu
legacy_act_softplus legacy_act_elu legacy_act_leakyrelu legacy_act_hardtanh legacy_act_logsoftmax
dynamo_lstm_1 dynamo_lstm_2_time dynamo_lstm_3_nobias dynamo_lstm_bi_hidden dynamo_lstm_bi_2_all dynamo_lstm_timefirst_free
dynamo_lstm_states dynamo_lstm_finals dynamo_lstm_auto dynamo_lstm_max dynamo_lstm_unoptimized dynamo_lstm_opset18
dynamo_gru_2_time dynamo_gru_bi_hidden dynamo_gru_states dynamo_gru_norm_drop dynamo_gru_unoptimized dynamo_mixed
dynamo_seq2seq dynamo_attention dynamo_residual dynamo_window_mlp dynamo_mlp_layernorm dynamo_act_gelu_tanh
dynamo_act_mish""".split()
KERAS = """lstm lstm_stacked lstm_sequence lstm_bi lstm_bi_sequence lstm_bi_sum lstm_backwards lstm_nobias lstm_relu
lstm_hardsigmoid lstm_hardsigmoid_free_time lstm_norm lstm_free_time lstm_unrolled lstm_autoencoder gru gru_before gru_stacked
gru_bi gru_free_time gru_bi_free_time gru_nobias gru_hardsigmoid_free_time gru_silu cells gru_masked rnn_free_time gru_unrolled
pool flatten dense_softmax dense_elu dense_layers""".split()
SKLEARN = """standard minmax minmax_range_clip robust maxabs normalizer_l1 normalizer_l2 normalizer_max binarizer polynomial pca
imputer_mean imputer_constant linear linear_two ridge logistic_two_array logistic_three_array logistic_three_map
mlp_classifier_two mlp_classifier_three mlp_regressor_relu mlp_regressor_tanh tree_regressor tree_classifier_three
forest_classifier_two boost_regressor boost_classifier_three pipe_standard_mlp pipe_impute_minmax_logistic
pipe_robust_pca_ridge pipe_poly_standard_linear union boost_two_words hist_three_map hist_holes forest_many voting_two_array
isolation_few pipe_impute_forest""".split()
TREES = 12  # random ensembles

# These once more as `auspex quantize` (of build/release) makes them.
INT8 = """torch_legacy_lstm_bi_2_all torch_legacy_gru_packed torch_dynamo_lstm_states keras_gru_stacked keras_lstm_backwards""".split()

RANDOM = 36  # the first numbers, in which every form occurs for both operators
RANDOM_SIZE = 9  # rows, steps, inputs and hidden at most


def wanted():
    for module, prefix, names in ((torch_models, "torch_", TORCH), (keras_models, "keras_", KERAS),
                                  (sklearn_models, "sklearn_", SKLEARN)):
        names = {prefix + name for name in names}
        for case in module.cases(SEED, wanted=names):
            names.discard(case.name)
            yield case
            if case.name in INT8:
                yield quantized.int8_case(case)
        if names:
            sys.exit(f"make_golden.py: no such models: {' '.join(sorted(names))}")
    yield from random_trees.cases(SEED, count=TREES)
    for case in random_recurrent.cases(SEED, count=RANDOM, largest=RANDOM_SIZE):
        yield case


def classes_of(model):
    """The words that a classifier's label may be, in the model's order; [] if there are none."""
    lists = [attribute.strings for node in model.graph.node for attribute in node.attribute
             if attribute.name == "classlabels_strings"]
    lists += [tensor.string_data for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.STRING]
    return [word.decode() for word in next(filter(len, lists), [])]


def record(data, name, array, classes):
    """Append the values of a tensor, row-major and little-endian; where they are and what they are. Words are their
    places among `classes`."""
    words = {}
    if not isinstance(array, np.ndarray):
        # A sequence of maps (ZipMap): the scores under it, one column a class.
        array = np.array([list(row.values()) for row in array], np.float32)
    if array.dtype.kind in "OSU":
        array = np.array([classes.index(word) for word in array.flat], np.int64).reshape(array.shape)
        words = {"classes": classes}
    data.extend(b"\0" * (-len(data) % 8))
    described = {"name": name, "dtype": str(array.dtype), "dims": list(array.shape), "offset": len(data), **words}
    data.extend(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
    return described


def main():
    os.makedirs(GOLDEN, exist_ok=True)
    for name in os.listdir(GOLDEN):
        if name.endswith((".onnx", ".bin", ".npy")):
            os.remove(os.path.join(GOLDEN, name))
    models = []
    for case in wanted():
        file = case.name + ".onnx"
        onnx.save(case.model, os.path.join(GOLDEN, file))
        initializers = {tensor.name for tensor in case.model.graph.initializer}
        names = [value.name for value in case.model.graph.input if value.name not in initializers]
        sets, data, classes = [], bytearray(), classes_of(case.model)
        for inputs in [case.inputs] + case.more_inputs[:1]:
            outputs = case.outputs if case.outputs is not None else onnxruntime_outputs(case.model, inputs)
            sets.append({"inputs": [record(data, name, inputs[name], classes) for name in names],
                         "outputs": [record(data, value.name, output, classes)
                                     for value, output in zip(case.model.graph.output, outputs)]})
        with open(os.path.join(GOLDEN, case.name + ".bin"), "wb") as out:
            out.write(data)
        models.append({"name": case.name, "family": case.family, "model": file, "data": case.name + ".bin", "made_by": case.made_by,
                       "tolerance": case.tolerance, "sets": sets})
    import onnxruntime

    manifest = {"remake": "ci/interop --golden", "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__,
                "models": models}
    with open(os.path.join(GOLDEN, "manifest.json"), "w", encoding="utf-8") as out:
        out.write("{\n" + "".join(f'"{key}": {json.dumps(manifest[key])},\n' for key in manifest if key != "models"))
        # One model a line, so that a change of one is one line of a diff.
        out.write('"models": [\n' + ",\n".join(json.dumps(model) for model in models) + "\n]}\n")
    size = sum(os.path.getsize(os.path.join(GOLDEN, name)) for name in os.listdir(GOLDEN))
    print(f"{len(models)} golden models, {size} bytes")


if __name__ == "__main__":
    main()
