#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Python server for the same calls: grpcio and ONNX Runtime, XGBoost or LightGBM, whoever wrote the model, as a team would
write it in an afternoon.

    serve_peer.py MODEL.onnx|MODEL.json|MODEL.txt --stubs DIR --port-file FILE [--threads N] [--workers 10]

It answers auspex.v1.Inference/BatchPredict for one model, checks what it must to answer at all, and does without batching,
deadlines and health: whatever those cost, it does not pay.
"""
import argparse
import concurrent.futures
import os
import signal
import sys
import time

import grpc
import numpy as np


def load_onnx(path, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def load_xgboost(path, threads):
    import xgboost
    booster = xgboost.Booster({"nthread": threads} if threads else None, model_file=path)
    return lambda x: booster.inplace_predict(x[:, 0])


def load_lightgbm(path, threads):
    import lightgbm
    booster = lightgbm.Booster(model_file=path)
    arguments = {"num_threads": threads} if threads else {}
    return lambda x: booster.predict(x[:, 0], **arguments).astype(np.float32)


LOADERS = {".onnx": load_onnx, ".json": load_xgboost, ".txt": load_lightgbm}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--stubs", required=True, help="directory of auspex/v1/inference_pb2.py")
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--threads", type=int, default=0, help="the engine's threads; 0: its default")
    parser.add_argument("--workers", type=int, default=10, help="threads that answer calls")
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.stubs)
    from auspex.v1 import inference_pb2 as pb

    run = LOADERS[os.path.splitext(arguments.model)[1]](arguments.model, arguments.threads)

    def predict(request, context):
        start = time.perf_counter_ns()
        if len(request.values) != 4 * request.rows * request.steps * request.features:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "values: sizes do not multiply out")
        x = np.frombuffer(request.values, np.float32).reshape(request.rows, request.steps, request.features)
        y = run(x).reshape(request.rows, -1)
        return pb.BatchPredictReply(
            model=request.model, version="1", rows=request.rows, outputs=y.shape[1], values=y.tobytes(),
            status=bytes(request.rows), keys=request.keys, total_us=(time.perf_counter_ns() - start) // 1000)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(arguments.workers),
                         options=[("grpc.max_receive_message_length", 64 << 20)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("auspex.v1.Inference", {
        "BatchPredict": grpc.unary_unary_rpc_method_handler(
            predict, request_deserializer=pb.BatchPredictRequest.FromString,
            response_serializer=pb.BatchPredictReply.SerializeToString)}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with open(arguments.port_file + ".new", "w") as file:
        print(port, file=file)
    os.rename(arguments.port_file + ".new", arguments.port_file)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(1).wait()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
