# SPDX-License-Identifier: Apache-2.0
"""How the tables write ratios, batches and how often something was measured."""

MANY_ROUNDS = 7


def times_text(value):
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def rows_text(rows):
    return f"{rows:,} row{'s' * (rows > 1)}"


def few_rounds(batch):
    """Behind a figure that rests on fewer rounds than usual: how many."""
    count = len(batch["rounds"])
    return f" ({count} round{'s' * (count > 1)})" if count < MANY_ROUNDS else ""
