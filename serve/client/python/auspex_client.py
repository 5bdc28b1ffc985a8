# SPDX-License-Identifier: Apache-2.0
"""Ask an Auspex server for forecasts, hundreds of machines a call.

    client = auspex_client.Client("127.0.0.1:8500")
    result = client.batch_predict("cpu_forecast", windows)   # [row][step][feature]
    for row, status in enumerate(result.status):
        if status == auspex_client.ROW_OK:
            use(result.row(row))

A model of trees takes a table, NaN where a value is missing; LightGBM's predict() to the last bit:

    result = client.batch_predict("default_risk", table, value_type=auspex_client.FLOAT64,
                                  output_type=auspex_client.FLOAT64)   # [row][feature]

Needs grpcio and protobuf; NumPy arrays are taken where they come, and numpy.asarray makes one of
result.values. The messages are generated from proto/ when the module is first
imported, with the protoc that belongs to them, into a directory of the user's cache; set
AUSPEX_STUBS to a directory that holds auspex/v1/inference_pb2.py to use those instead.
"""
import array
import hashlib
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import tempfile

import grpc

_HERE = pathlib.Path(__file__).resolve().parent
_PROTO = pathlib.Path(os.environ.get("AUSPEX_PROTO", _HERE.parents[2] / "proto"))


def _generate(directory):
    """Run protoc into `directory`: grpcio-tools' own if it is installed, else the system's."""
    sources = ["auspex/v1/inference.proto", "grpc/health/v1/health.proto"]
    arguments = ["-I", str(_PROTO), "--python_out", str(directory), *sources]
    try:
        from grpc_tools import protoc
    except ImportError:
        subprocess.run(["protoc", *arguments], check=True)
    else:
        if protoc.main(["protoc", *arguments]) != 0:
            raise RuntimeError("protoc failed")


def _stubs():
    """The directory with the generated modules; made if it is not there yet."""
    if "AUSPEX_STUBS" in os.environ:
        return os.environ["AUSPEX_STUBS"]
    text = (_PROTO / "auspex/v1/inference.proto").read_bytes()
    version = importlib.metadata.version("protobuf")
    key = hashlib.sha256(text + version.encode()).hexdigest()[:16]
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    target = cache / "auspex" / f"stubs-{key}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            made = pathlib.Path(work) / "stubs"
            made.mkdir()
            _generate(made)
            # grpcio owns the package "grpc": the health messages must not hide it.
            (made / "grpc").rename(made / "auspex_grpc")
            try:
                made.rename(target)
            except OSError:  # another process was faster
                pass
    return str(target)


sys.path.insert(0, _stubs())
from auspex.v1 import inference_pb2 as pb  # noqa: E402
from auspex_grpc.health.v1 import health_pb2  # noqa: E402

sys.path.pop(0)

UNSPECIFIED = pb.NAN_POLICY_UNSPECIFIED
REJECT = pb.NAN_POLICY_REJECT
MARK = pb.NAN_POLICY_MARK
PROPAGATE = pb.NAN_POLICY_PROPAGATE
FLOAT32 = pb.VALUE_TYPE_FLOAT32
FLOAT64 = pb.VALUE_TYPE_FLOAT64
ROW_OK = pb.ROW_OK
ROW_INPUT_NOT_FINITE = pb.ROW_INPUT_NOT_FINITE
ROW_OUTPUT_NOT_FINITE = pb.ROW_OUTPUT_NOT_FINITE

MAX_MESSAGE_BYTES = 64 << 20
_FIELDS = frozenset(pb.BatchPredictRequest.DESCRIPTOR.fields_by_name)


class Error(Exception):
    """A call that failed: `code` (grpc.StatusCode), `message`, the request's `field` at fault ("" if
    none), and `retry_after`, the seconds after which the server wants to be asked again, or None."""

    def __init__(self, error):
        self.code = error.code()
        self.message = error.details() or ""
        start = self.message.split(": ", 1)[0]
        self.field = start if start in _FIELDS else ""
        self.retry_after = None
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-retry-pushback-ms" and value.isdigit():
                self.retry_after = int(value) / 1000
        super().__init__(f"{self.code.name}: {self.message}")


_CODES = {pb.VALUE_TYPE_UNSPECIFIED: "f", FLOAT32: "f", FLOAT64: "d"}


def _floats(little_endian, value_type):
    values = array.array(_CODES[value_type], little_endian)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _pack(values, value_type=FLOAT32):
    """(bytes, rows, steps, features) of [row][step][feature], [row][feature] or such a NumPy array."""
    code = _CODES[value_type]
    if hasattr(values, "shape") and hasattr(values, "astype"):
        if values.ndim not in (2, 3):
            raise ValueError(f"values have {values.ndim} dimensions, 2 or 3 are needed")
        steps = values.shape[1] if values.ndim == 3 else 1
        return values.astype("<" + {"f": "f4", "d": "f8"}[code]).tobytes(), values.shape[0], steps, values.shape[-1]
    windows = [row if len(row) > 0 and hasattr(row[0], "__len__") else [row] for row in values]
    steps = len(windows[0]) if windows else 1
    features = len(windows[0][0]) if windows else 1
    flat = array.array(code)
    for index, window in enumerate(windows):
        if len(window) != steps or any(len(step) != features for step in window):
            raise ValueError(f"row {index} is not {steps} steps of {features} features, as row 0 is")
        for step in window:
            flat.extend(step)
    if sys.byteorder == "big":
        flat.byteswap()
    return flat.tobytes(), len(windows), steps, features


class Result:
    """The answer: `values`, an array [rows * outputs] of float32, or of float64 if that was asked for
    (its `typecode` tells), `outputs`, `status` (bytes, one for each row), `keys`, `model`, `version` (the number that answered), and the server's times in
    seconds: `queue`, `compute`, `total`."""

    def __init__(self, reply):
        self.model = reply.model
        self.version = reply.version
        self.outputs = reply.outputs
        if reply.value_type not in _CODES:
            raise ValueError(f"the server answers in a type of values that this client does not know: {reply.value_type}")
        self.values = _floats(reply.values, reply.value_type)
        self.status = reply.status
        self.keys = list(reply.keys)
        self.queue = reply.queue_us / 1e6
        self.compute = reply.compute_us / 1e6
        self.total = reply.total_us / 1e6

    def row(self, index):
        """The answer for one row, an array of `outputs` values."""
        return self.values[index * self.outputs:(index + 1) * self.outputs]


class Client:
    """A connection to HOST:PORT or unix:PATH, to be shared by any number of threads."""

    def __init__(self, target, options=()):
        limit = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
        self._channel = grpc.insecure_channel(target, limit + list(options))
        self._predict = self._channel.unary_unary(
            "/auspex.v1.Inference/BatchPredict",
            request_serializer=pb.BatchPredictRequest.SerializeToString,
            response_deserializer=pb.BatchPredictReply.FromString)
        self._check = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString)

    def close(self):
        self._channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def batch_predict(self, model, values, *, version="", output="", keys=(), lengths=(),
                      nan_policy=UNSPECIFIED, value_type=FLOAT32, output_type=FLOAT32, timeout=10.0):
        """values: [row][step][feature], or [row][feature] for a model without a time axis; they are
        sent as value_type and come back as output_type. Without a nan_policy trees take NaN for
        "missing", and all other models refuse it. The server reads `timeout` (seconds) and refuses
        what it cannot finish in time. Raises Error."""
        block, rows, steps, features = _pack(values, value_type)
        request = pb.BatchPredictRequest(
            model=model, version=version, output=output, rows=rows, steps=steps, features=features,
            values=block, keys=keys, lengths=lengths, nan_policy=nan_policy,
            value_type=value_type, output_type=output_type)
        try:
            return Result(self._predict(request, timeout=timeout))
        except grpc.RpcError as error:
            raise Error(error) from None

    def serving(self, model="", timeout=10.0):
        """Is this model served; "" asks for any. Raises Error (NOT_FOUND) for a model nobody knows."""
        request = health_pb2.HealthCheckRequest(service=model)
        try:
            reply = self._check(request, timeout=timeout)
        except grpc.RpcError as error:
            raise Error(error) from None
        return reply.status == health_pb2.HealthCheckResponse.SERVING
