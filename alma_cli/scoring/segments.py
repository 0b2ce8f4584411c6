"""The segments behind the scores: sources, references and every system's outputs, packed for the page's script."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alma_cli.scoring.words import length_bounds, rare_bounds, rare_shares, word_counts

# A whole page of ten systems in ten directions is some 30 MB of text; level 9 takes twice as long for 1% less.
_COMPRESSION = 6


@dataclass(frozen=True)
class SystemOutput:
    """What one system made of the segments of a direction."""

    system: str
    hypotheses: tuple[str, ...]  # (segments,)
    scores: Mapping[str, Sequence[float]]  # metric: (segments,)
    flags: Mapping[str, Sequence[int]]  # flag: the segments that have it, from 0


@dataclass(frozen=True)
class DirectionSegments:
    """All the texts of one direction; the sources may be unknown, the references are one or several sets."""

    direction: str
    sources: tuple[str, ...] | None  # (segments,)
    references: tuple[tuple[str, ...], ...]  # (sets, segments)
    outputs: tuple[SystemOutput, ...]

    @property
    def count(self) -> int:
        """How many segments there are."""
        return len(self.outputs[0].hypotheses)


def packed(segments: DirectionSegments) -> str:
    """The direction as deflated JSON in base64, which no text can break out of: each different text once.

    What is alike stands together, all versions of one segment before the next, within deflate's reach of 32 KiB.
    """
    data = json.dumps(as_data(segments), ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(data.encode("utf-8", "backslashreplace"), _COMPRESSION)).decode()


def as_data(segments: DirectionSegments) -> dict[str, Any]:
    """What the script reads: texts, and for each column of the page the numbers of its texts."""
    has_source = segments.sources is not None
    columns = [
        *([segments.sources] if segments.sources is not None else []),
        *segments.references,
        *(output.hypotheses for output in segments.outputs),
    ]
    assert {len(column) for column in columns} == {segments.count}, f"{[len(column) for column in columns]=}"
    numbers: dict[str, int] = {}
    for row in zip(*columns, strict=True):
        for text in row:
            numbers.setdefault(text, len(numbers))
    indices = [[numbers[text] for text in column] for column in columns]
    texts_of_length = segments.sources or segments.references[0]
    lengths, shares = word_counts(texts_of_length), rare_shares(segments.references[0])
    first_output = has_source + len(segments.references)
    return {
        "texts": list(numbers),
        "source": indices[0] if has_source else None,
        "references": indices[has_source:first_output],
        "outputs": [
            {
                "system": output.system,
                "texts": column,
                "scores": {metric: _rounded(scores) for metric, scores in output.scores.items()},
                "flags": {flag: list(lines) for flag, lines in output.flags.items() if lines},
            }
            for output, column in zip(segments.outputs, indices[first_output:], strict=True)
        ],
        "words": lengths,
        "rare": shares,
        "wordBounds": length_bounds(lengths),
        "rareBounds": rare_bounds(shares),
    }


def _rounded(scores: Sequence[float]) -> list[float]:
    """To what is shown: one decimal, whole numbers without it; four decimals where all lie around 0 to 1."""
    decimals = 1 if any(abs(score) > 2 for score in scores) else 4
    found = (round(score, decimals) for score in scores)
    return [int(score) if score == int(score) else score for score in found]
