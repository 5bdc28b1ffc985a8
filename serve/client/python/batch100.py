#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ask a server for the forecasts of a hundred made-up virtual machines in one call, print them, and
measure how long such calls take.

    serve/client/python/batch100.py --address 127.0.0.1:8500 --model cpu_forecast --steps 10 --features 4
"""
import argparse
import math
import random
import sys
import time

import auspex_client


def made_up(vms, steps, features):
    """A daily wave with noise for each machine: [vm][step][feature]."""
    dice = random.Random(1)
    windows = []
    for _ in range(vms):
        level, phase = dice.uniform(0.2, 0.8), dice.uniform(0, 2 * math.pi)
        windows.append([[level + 0.2 * math.sin(phase + 2 * math.pi * step / 24 + feature) +
                         0.02 * dice.gauss(0, 1) for feature in range(features)]
                        for step in range(steps)])
    return windows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--address", default="127.0.0.1:8500", help="HOST:PORT or unix:PATH")
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", default="", help="version number or alias; empty: current")
    parser.add_argument("--vms", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--features", type=int, default=4)
    parser.add_argument("--calls", type=int, default=200, help="calls to measure")
    arguments = parser.parse_args()
    windows = made_up(arguments.vms, arguments.steps, arguments.features)
    names = [f"vm-{i:03d}" for i in range(arguments.vms)]

    with auspex_client.Client(arguments.address) as client:
        try:
            result = client.batch_predict(arguments.model, windows, version=arguments.version, keys=names)
        except auspex_client.Error as error:
            print(f"batch100: {error}", file=sys.stderr)
            return 1
        print(f"{len(names)} machines, model {result.model} version {result.version}")
        for row, (name, status) in enumerate(list(zip(result.keys, result.status))[:10]):
            text = " ".join(f"{value:.4f}" for value in result.row(row)[:6])
            print(f"{name:16} {text if status == auspex_client.ROW_OK else 'none'}")
        took = []
        for _ in range(arguments.calls):
            start = time.perf_counter()
            client.batch_predict(arguments.model, windows, version=arguments.version)
            took.append(time.perf_counter() - start)
    if took:
        took.sort()
        p50, p99 = (took[math.ceil(q * len(took)) - 1] * 1e6 for q in (0.5, 0.99))
        print(f"{len(took)} calls of {len(names)} machines: p50 {p50:.0f} us, p99 {p99:.0f} us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
