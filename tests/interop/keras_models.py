# SPDX-License-Identifier: Apache-2.0
"""Models as Keras writes them through tf2onnx.

tf2onnx finds LSTM in the unrolled TensorFlow graph and writes the operator; what it does not recognise it leaves as a
Loop of small operators. `unroll=True` removes the loop and leaves one copy of the cell a step.
"""

import logging
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from keras import layers

from cases import Case

logging.getLogger("tensorflow").setLevel(logging.ERROR)
logging.getLogger("tf2onnx").setLevel(logging.ERROR)


def nets():
    """(name, layers, shape of one row, options)."""
    window = (10, 4)
    listed = []

    def add(name, stack, shape=window, **options):
        listed.append((name, stack, shape, options))

    add("lstm", [layers.LSTM(8), layers.Dense(2)])
    add("lstm_stacked", [layers.LSTM(8, return_sequences=True), layers.Dropout(0.2), layers.LSTM(5), layers.Dense(1)])
    add("lstm_three", [layers.LSTM(8, return_sequences=True), layers.LSTM(8, return_sequences=True), layers.LSTM(8),
                       layers.Dense(2, activation="relu")])
    add("lstm_sequence", [layers.LSTM(8, return_sequences=True), layers.TimeDistributed(layers.Dense(3))])
    add("lstm_bi", [layers.Bidirectional(layers.LSTM(8)), layers.Dense(2)])
    add("lstm_bi_sequence", [layers.Bidirectional(layers.LSTM(8, return_sequences=True)),
                             layers.Bidirectional(layers.LSTM(6)), layers.Dense(2)])
    add("lstm_bi_sum", [layers.Bidirectional(layers.LSTM(8), merge_mode="sum"), layers.Dense(2)])
    add("lstm_backwards", [layers.LSTM(8, go_backwards=True), layers.Dense(2)])
    add("lstm_nobias", [layers.LSTM(8, use_bias=False), layers.Dense(2, use_bias=False)])
    add("lstm_noforget", [layers.LSTM(8, unit_forget_bias=False), layers.Dense(2)])
    add("lstm_relu", [layers.LSTM(8, activation="relu"), layers.Dense(2)])
    add("lstm_hardsigmoid", [layers.LSTM(8, recurrent_activation="hard_sigmoid"), layers.Dense(2)])
    add("lstm_hardsigmoid_free_time", [layers.LSTM(8, recurrent_activation="hard_sigmoid", return_sequences=True),
                                       layers.LSTM(5, recurrent_activation="hard_sigmoid", activation="softsign"),
                                       layers.Dense(2)], (None, 4))
    add("lstm_norm", [layers.LSTM(8, return_sequences=True), layers.LayerNormalization(), layers.LSTM(8),
                      layers.BatchNormalization(), layers.Dense(2)])
    add("lstm_free_time", [layers.LSTM(8, return_sequences=True), layers.LSTM(8), layers.Dense(2)], (None, 4))
    add("lstm_unrolled", [layers.LSTM(4, unroll=True), layers.Dense(2)], (5, 3))
    # Affine scaling in the graph; Normalization itself becomes extra inputs that no caller can fill.
    add("lstm_rescaled", [layers.Rescaling(0.25, offset=-0.5), layers.LSTM(8), layers.Dense(2)])
    add("lstm_autoencoder", [layers.LSTM(6), layers.RepeatVector(10), layers.LSTM(6, return_sequences=True),
                             layers.TimeDistributed(layers.Dense(4))])
    add("gru", [layers.GRU(8), layers.Dense(2)])
    add("gru_before", [layers.GRU(8, reset_after=False), layers.Dense(2)])
    add("gru_stacked", [layers.GRU(8, return_sequences=True), layers.GRU(5), layers.Dense(1)])
    add("gru_before_stacked", [layers.GRU(8, reset_after=False, return_sequences=True), layers.GRU(5, reset_after=False),
                               layers.Dense(1)])
    add("gru_bi", [layers.Bidirectional(layers.GRU(8)), layers.Dense(2)])
    add("gru_free_time", [layers.GRU(8), layers.Dense(2)], (None, 4))
    add("gru_bi_free_time", [layers.Bidirectional(layers.GRU(8, return_sequences=True)),
                             layers.Bidirectional(layers.GRU(5, reset_after=False)), layers.Dense(2)], (None, 4))
    add("gru_nobias", [layers.GRU(8, use_bias=False), layers.Dense(2)])
    add("gru_hardsigmoid_free_time", [layers.GRU(8, recurrent_activation="hard_sigmoid", return_sequences=True),
                                      layers.GRU(5, recurrent_activation="hard_sigmoid", reset_after=False),
                                      layers.Dense(2)], (None, 4))
    # No operator has this cell, these two states or a step that is skipped: the loop's steps one after the other.
    add("gru_silu", [layers.GRU(5, activation="silu"), layers.Dense(2)], (7, 3))
    add("cells", [layers.RNN([layers.GRUCell(4), layers.LSTMCell(3)]), layers.Dense(2)], (6, 3))
    add("gru_masked", [layers.ReLU(), layers.Masking(0.0), layers.GRU(4), layers.Dense(2)], (6, 1))
    add("rnn_free_time", [layers.SimpleRNN(8, return_sequences=True), layers.SimpleRNN(5, activation="relu"),
                          layers.Dense(2)], (None, 4))
    add("gru_unrolled", [layers.GRU(4, unroll=True), layers.Dense(2)], (5, 3))
    add("pool", [layers.LSTM(8, return_sequences=True), layers.GlobalAveragePooling1D(), layers.Dense(2)])
    add("flatten", [layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dense(8, activation="tanh"),
                    layers.Dense(1)])
    for name in ("relu", "tanh", "sigmoid", "softmax", "elu", "selu", "softplus", "softsign", "silu",
                 "hard_sigmoid", "leaky_relu", "exponential", "relu6", "linear", "mish", "hard_silu"):
        add(f"dense_{name}", [layers.Dense(8, activation=name), layers.Dense(3)], (6,))
    add("dense_layers", [layers.Dense(8), layers.LeakyReLU(negative_slope=0.2), layers.Dense(8), layers.PReLU(),
                         layers.BatchNormalization(), layers.Dense(3, activation="softmax")], (6,))
    for opset in (13, 17):
        add(f"lstm_opset{opset}", [layers.LSTM(8, return_sequences=True), layers.LSTM(8), layers.Dense(2)], opset=opset)
    return listed


def cases(seed=1, only=None, wanted=None):
    made_by = f"keras {keras.__version__}, tensorflow {tf.__version__}, tf2onnx {tf2onnx.__version__}"
    # Layers take the seeds of their weights when they are made.
    keras.utils.set_random_seed(seed)
    for name, stack, shape, options in nets():
        full = f"keras_{name}"
        if (only and only not in full) or (wanted is not None and full not in wanted):
            continue
        generator = np.random.default_rng([seed, len(name)])
        net = keras.Sequential([keras.Input(shape, name="x")] + stack)
        # Fresh Keras nets have zero biases and unit norms, which would hide a misread one.
        for layer in net.layers:
            if layer.weights:
                layer.set_weights([np.abs(w + generator.standard_normal(w.shape).astype(w.dtype) * 0.1)
                                   if "variance" in v.name else
                                   w + generator.standard_normal(w.shape).astype(w.dtype) * 0.1
                                   for v, w in zip(layer.weights, layer.get_weights())])
        spec = (tf.TensorSpec((None,) + shape, tf.float32, name="x"),)
        call = tf.function(lambda x, net=net: net(x, training=False), input_signature=spec)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, _ = tf2onnx.convert.from_function(call, input_signature=spec, opset=options.get("opset", 15))
        model.doc_string = ""
        model.graph.doc_string = ""
        fixed = tuple(6 if k is None else k for k in shape)
        other = tuple(11 if k is None else k for k in shape)
        values = generator.standard_normal((3,) + fixed).astype(np.float32)
        more = [{"x": generator.standard_normal((rows,) + other).astype(np.float32)} for rows in (1, 9)]
        yield Case("keras", full, model, {"x": values}, made_by, more_inputs=more)
