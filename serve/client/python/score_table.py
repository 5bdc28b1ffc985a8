#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Score the rows of a CSV file with a model of trees, as XGBoost or LightGBM wrote it, and print what its predict()
would. An empty cell or "nan" is a missing value.

    auspex repo add --repository models --model default_risk booster.json
    auspex serve --repository models --listen 127.0.0.1:8500 &
    serve/client/python/score_table.py --model default_risk --skip ID --skip label people.csv
"""
import argparse
import csv
import sys

import auspex_client


def number(cell):
    return float(cell) if cell.strip() else float("nan")


def batches(path, skip, rows):
    """The table's rows as lists of float, `rows` at a time, without the columns of these names."""
    with open(path, newline="") as file:
        reader = csv.reader(file)
        names = next(reader)
        unknown = set(skip) - set(names)
        if unknown:
            raise ValueError(f"{path} has no column {', '.join(sorted(unknown))}")
        kept = [i for i, name in enumerate(names) if name not in skip]
        batch = []
        for cells in reader:
            batch.append([number(cells[i]) for i in kept])
            if len(batch) == rows:
                yield batch
                batch = []
        if batch:
            yield batch


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--address", default="127.0.0.1:8500", help="HOST:PORT or unix:PATH")
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", default="", help="version number or alias; empty: current")
    parser.add_argument("--rows", type=int, default=1000, help="rows a call")
    parser.add_argument("--skip", action="append", default=[], metavar="COLUMN", help="a column that is no feature")
    parser.add_argument("table", help="a CSV file with a line of names")
    arguments = parser.parse_args()
    try:
        with auspex_client.Client(arguments.address) as client:
            for batch in batches(arguments.table, arguments.skip, arguments.rows):
                result = client.batch_predict(arguments.model, batch, version=arguments.version,
                                              value_type=auspex_client.FLOAT64, output_type=auspex_client.FLOAT64)
                for row in range(len(batch)):
                    print(*result.row(row), sep=",")
    except (auspex_client.Error, OSError, ValueError) as error:
        print(f"score_table: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
