"""The pairs of a translation memory: any file of sentence pairs that a recipe could name, TMX and TSV among them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from alma_cli.core.languages import Direction
from alma_cli.core.prompt import TextPair, one_line
from alma_cli.data.records import Pair, Unreadable, rows_of
from alma_cli.data.sources import corpus_of_pairs
from alma_cli.errors import InputError


@dataclass(frozen=True)
class MemoryPairs:
    """What a file has in one direction, each side on one line, and how many of its records are of no use, by reason."""

    pairs: tuple[TextPair, ...]
    left_out: Counter[str]


def read_memory(path: Path, direction: Direction) -> MemoryPairs:
    """The pairs of a file in these two languages, whichever of them it has first.

    A table's columns are in the order of the direction, unless its name (`memory.en-de.tsv`) or its first line says
    otherwise. Raises InputError where there is no such pair, UsageError for a format that is not known.
    """
    pairs: list[TextPair] = []
    left_out: Counter[str] = Counter()
    for row in rows_of(corpus_of_pairs(path, direction).reader):
        if isinstance(row, Unreadable):
            left_out[row.reason] += 1
        elif not isinstance(row, Pair) or direction not in (row.direction, row.direction.reverse):
            left_out["other_language"] += 1
        else:
            sides = (one_line(row.source), one_line(row.target))
            source, target = sides if row.direction == direction else reversed(sides)
            if source and target:
                pairs.append((source, target))
            else:
                left_out["empty"] += 1
    if not pairs:
        hint = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in left_out.most_common(3))
        raise InputError(f"'{path}' has no pairs in {direction}", hint=hint)
    return MemoryPairs(tuple(pairs), left_out)
