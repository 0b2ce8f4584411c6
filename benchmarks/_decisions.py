"""Where two tools differ on the same sentence pairs: by what was planted in them, and why."""

from __future__ import annotations

import html
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

KEPT_BY_BOTH, DROPPED_BY_BOTH, ALMA_ONLY, OPUSFILTER_ONLY = (
    "kept by both",
    "dropped by both",
    "dropped by alma only",
    "dropped by OpusFilter only",
)
OUTCOMES = (KEPT_BY_BOTH, DROPPED_BY_BOTH, ALMA_ONLY, OPUSFILTER_ONLY)

Pair = tuple[str, str]


_SAMPLES = 3
_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Reasons:
    """Why one tool dropped some pairs: how many for each reason, and the first of them."""

    counts: Counter[str]
    samples: dict[str, list[Pair]]

    @classmethod
    def of(cls, pairs: Sequence[Pair], reasons: Sequence[str]) -> Reasons:
        """From one reason for each pair."""
        samples: dict[str, list[Pair]] = {}
        for pair, reason in zip(pairs, reasons, strict=True):
            if len(of_reason := samples.setdefault(reason, [])) < _SAMPLES:
                of_reason.append(pair)
        return cls(Counter(reasons), samples)


@dataclass(frozen=True)
class Decisions:
    """Lines by planted fault and outcome, and the lines on which the tools differ."""

    counts: dict[str, Counter[str]]
    differing: dict[str, list[Pair]]
    changed: int  # pairs that a tool has written, but in a form in which nobody gave them
    reasons: dict[str, Reasons] = field(default_factory=dict)  # by outcome


def compare(
    lines: Iterable[Pair], kinds: Sequence[str], by_alma: Iterable[Pair], by_opusfilter: Iterable[Pair]
) -> Decisions:
    """What became of each line, from the pairs that each tool has kept.

    Of equal lines the first that a tool could have kept is the one that it kept. What is neither letter nor digit
    makes no difference: alma mends white space, quotation marks of another encoding and HTML entities.
    """
    kept = [Counter(map(_key, pairs)) for pairs in (by_alma, by_opusfilter)]
    counts: dict[str, Counter[str]] = {}
    differing: dict[str, list[Pair]] = {ALMA_ONLY: [], OPUSFILTER_ONLY: []}
    for pair, kind in zip(lines, kinds, strict=True):
        key = _key(pair)
        alma, opusfilter = (tool[key] > 0 for tool in kept)
        for tool in compress(kept, (alma, opusfilter)):
            tool[key] -= 1
        outcome = OUTCOMES[(0 if opusfilter else 3) if alma else (2 if opusfilter else 1)]
        counts.setdefault(kind, Counter())[outcome] += 1
        if outcome in differing:
            differing[outcome].append(pair)
    return Decisions(counts, differing, sum(tool.total() for tool in kept))


def read_lines(sources: Path, targets: Path) -> Iterator[Pair]:
    """The pairs of two line-aligned files."""
    with sources.open(encoding="utf-8", newline="\n") as left, targets.open(encoding="utf-8", newline="\n") as right:
        for source, target in zip(left, right, strict=True):
            yield source.rstrip("\n"), target.rstrip("\n")


def read_prepared(split: Path) -> Iterator[Pair]:
    """The pairs that `alma prepare` has written."""
    import zstandard

    for shard in sorted(split.glob("*.jsonl.zst")):
        with shard.open("rb") as compressed:
            reader = zstandard.ZstdDecompressor().stream_reader(compressed, read_across_frames=True)
            for line in io.TextIOWrapper(reader, encoding="utf-8", newline="\n"):
                row = json.loads(line)
                yield row["source"], row["target"]


def _key(pair: Pair) -> int:
    texts = (unicodedata.normalize("NFKC", html.unescape(text)) for text in pair)
    return hash(tuple(_NO_WORD.sub("", text) for text in texts))
