#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Python server for the same calls: grpcio and ONNX Runtime, as a team would write it in an afternoon.

    serve_peer.py MODEL.onnx --stubs DIR --port-file FILE [--threads N] [--workers 10]

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
import onnxruntime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--stubs", required=True, help="directory of auspex/v1/inference_pb2.py")
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--threads", type=int, default=0, help="ONNX Runtime's threads; 0: its default")
    parser.add_argument("--workers", type=int, default=10, help="threads that answer calls")
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.stubs)
    from auspex.v1 import inference_pb2 as pb

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def predict(request, context):
        start = time.perf_counter_ns()
        if len(request.values) != 4 * request.rows * request.steps * request.features:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "values: sizes do not multiply out")
        x = np.frombuffer(request.values, np.float32).reshape(request.rows, request.steps, request.features)
        y = session.run(None, {name: x})[0]
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
