"""Validation data out of training data, where the sources have none of their own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from alma_cli.core.dataset import Document, SourceReport
from alma_cli.data.readers import Pair

Record = TypeVar("Record", Pair, Document)

# A small corpus is needed for training: at most one record in so many is held out.
_ONE_IN = 20


def hold_out(
    entries: Sequence[tuple[SourceReport, Record]], most: int, seed: int
) -> tuple[list[tuple[SourceReport, Record]], list[tuple[SourceReport, Record]]]:
    """What stays for training and what is held out, each in the old order; `most` records, chosen by the seed."""
    count = min(most, len(entries) // _ONE_IN)
    chosen = set(random.Random(seed).sample(range(len(entries)), count))
    for index in chosen:
        drop_after_all(entries[index][0], "held_out")
    training = [entry for index, entry in enumerate(entries) if index not in chosen]
    return training, [entries[index] for index in sorted(chosen)]


def drop_after_all(report: SourceReport, reason: str) -> None:
    """Count a record as left out that was counted as kept."""
    report.kept -= 1
    report.drop(reason)
