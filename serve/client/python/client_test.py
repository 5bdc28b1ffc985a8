#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python client against a running server: AUSPEX_TARGET, and AUSPEX_MODEL, which takes windows of
10 steps and 4 features."""
import os
import struct
import sys
import unittest

import grpc

import auspex_client

TARGET = os.environ.get("AUSPEX_TARGET")
MODEL = os.environ.get("AUSPEX_MODEL", "")


def windows(rows, steps=10, features=4):
    return [[[((row * 7 + step * 3 + feature) % 17) / 17 for feature in range(features)]
             for step in range(steps)] for row in range(rows)]


class Packing(unittest.TestCase):
    def test_windows_are_packed_row_by_row(self):
        block, rows, steps, features = auspex_client._pack([[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]])
        self.assertEqual((rows, steps, features), (2, 3, 2))
        self.assertEqual(struct.unpack("<12f", block), (1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2))

    def test_tables_have_one_step(self):
        self.assertEqual(auspex_client._pack([[1, 2, 3], [4, 5, 6]])[1:], (2, 1, 3))

    def test_float64_is_packed_whole(self):
        block, rows, _, _ = auspex_client._pack([[1 / 3, 2], [3, 4]], auspex_client.FLOAT64)
        self.assertEqual(rows, 2)
        self.assertEqual(struct.unpack("<4d", block), (1 / 3, 2, 3, 4))

    def test_uneven_rows_are_refused(self):
        for uneven in ([[1, 2], [3]], [[[1], [2]], [[3]]]):
            with self.assertRaises(ValueError):
                auspex_client._pack(uneven)


@unittest.skipUnless(TARGET, "AUSPEX_TARGET is not set")
class Calls(unittest.TestCase):
    def setUp(self):
        self.client = auspex_client.Client(TARGET)
        self.addCleanup(self.client.close)

    def test_a_row_gives_the_same_bits_alone_and_in_a_batch(self):
        keys = [f"vm-{i}" for i in range(100)]
        batch = self.client.batch_predict(MODEL, windows(100), keys=keys)
        alone = self.client.batch_predict(MODEL, windows(100)[99:])
        self.assertEqual(batch.row(99).tobytes(), alone.row(0).tobytes())
        self.assertEqual(batch.keys, keys)
        self.assertEqual(batch.status, bytes(100))

    def test_errors_name_the_field(self):
        with self.assertRaises(auspex_client.Error) as caught:
            self.client.batch_predict(MODEL, windows(2, features=5))
        self.assertEqual(caught.exception.code, grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(caught.exception.field, "features")
        with self.assertRaises(auspex_client.Error) as caught:
            self.client.batch_predict("no-such-model", windows(2))
        self.assertEqual(caught.exception.code, grpc.StatusCode.NOT_FOUND)
        self.assertEqual(caught.exception.field, "model")

    def test_nan_policy(self):
        dirty = windows(3)
        dirty[1][2][3] = float("nan")
        with self.assertRaises(auspex_client.Error) as caught:
            self.client.batch_predict(MODEL, dirty)
        self.assertEqual(caught.exception.field, "values")
        marked = self.client.batch_predict(MODEL, dirty, nan_policy=auspex_client.MARK)
        self.assertEqual(list(marked.status), [0, auspex_client.ROW_INPUT_NOT_FINITE, 0])

    def test_value_types(self):
        narrow = self.client.batch_predict(MODEL, windows(3))
        self.assertEqual(narrow.values.typecode, "f")
        wide = self.client.batch_predict(MODEL, windows(3), value_type=auspex_client.FLOAT64,
                                         output_type=auspex_client.FLOAT64)
        self.assertEqual(wide.values.typecode, "d")
        self.assertEqual(list(wide.values), list(narrow.values))  # the model's input is float32
        with self.assertRaises(auspex_client.Error) as caught:
            self.client.batch_predict(MODEL, [[[1e300] * 4] * 10], value_type=auspex_client.FLOAT64)
        self.assertEqual(caught.exception.field, "values")

    def test_health(self):
        self.assertTrue(self.client.serving())
        self.assertTrue(self.client.serving(MODEL))
        with self.assertRaises(auspex_client.Error):
            self.client.serving("no-such-model")


if __name__ == "__main__":
    sys.exit(unittest.main())
