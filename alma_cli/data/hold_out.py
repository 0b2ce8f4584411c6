"""Validation data out of training data, where the sources have none of their own."""

from __future__ import annotations

import random

# A small corpus is needed for training: at most one record in so many is held out.
_ONE_IN = 20


def held_out_indices(total: int, most: int, seed: int) -> frozenset[int]:
    """Which of `total` records are held out, by their numbers from 0: `most` at most, chosen by the seed."""
    return frozenset(random.Random(seed).sample(range(total), min(most, total // _ONE_IN)))
