"""Scores as plain data: rows, flags, averages, and the JSON form that is kept stable.

{"version": 1,
 "rows":  [{"system", "direction", "metric", "score", "low", "high", "p_value", "signature", "segments"}],
 "flags": [{"system", "direction", "flag", "count", "lines"}]}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from alma_cli.core.flags import FlagName

REPORT_VERSION = 1
LOWER_IS_BETTER = frozenset({"ter"})

# The paper's two tables (arXiv 2309.11674, tables 1 and 2), and whatever has English on neither side.
AverageKind = Literal["en-xx", "xx-en", "xx-xx"]
AVERAGE_KINDS: tuple[AverageKind, ...] = ("en-xx", "xx-en", "xx-xx")


@dataclass(frozen=True)
class ScoreRow:
    """One metric of one system in one direction."""

    system: str
    direction: str
    metric: str
    score: float
    low: float | None  # the 95% interval and p_value against the first system: None until significance is tested
    high: float | None
    p_value: float | None
    signature: str
    segments: int


@dataclass(frozen=True)
class Flag:
    """Segments of one system in one direction that a score alone hides; `lines` are the first few, from 1."""

    system: str
    direction: str
    flag: FlagName
    count: int
    lines: tuple[int, ...]


@dataclass(frozen=True)
class AverageRow:
    """The mean score of one system over the directions out of, or into, English; None where it lacks one of them."""

    system: str
    kind: AverageKind
    metric: str
    score: float | None


@dataclass(frozen=True)
class ScoreReport:
    """Everything that one scoring found: rows by system, then direction, then metric."""

    rows: tuple[ScoreRow, ...]
    flags: tuple[Flag, ...]

    def as_json(self) -> dict[str, Any]:
        """The machine-readable form at the top of this module."""
        return {
            "version": REPORT_VERSION,
            "rows": [asdict(row) for row in self.rows],
            "flags": [asdict(flag) for flag in self.flags],
        }

    @property
    def averages(self) -> tuple[AverageRow, ...]:
        """Means over each kind with more than one direction: for each system, kind and metric, in that order."""
        directions = _distinct(row.direction for row in self.rows)
        kinds = {kind: [d for d in directions if average_kind(d) == kind] for kind in AVERAGE_KINDS}
        scores = {(row.system, row.direction, row.metric): row.score for row in self.rows}
        return tuple(
            AverageRow(system, kind, metric, _mean([scores.get((system, d, metric)) for d in members]))
            for system in _distinct(row.system for row in self.rows)
            for kind, members in kinds.items()
            for metric in _distinct(row.metric for row in self.rows)
            if len(members) > 1
        )

    @property
    def best(self) -> frozenset[tuple[str, str, str]]:
        """(system, direction, metric) of the best score in each direction where several systems compete."""
        rivals: dict[tuple[str, str], list[ScoreRow]] = {}
        for row in self.rows:
            rivals.setdefault((row.direction, row.metric), []).append(row)
        return frozenset(
            (row.system, row.direction, row.metric)
            for rows in rivals.values()
            for row in rows
            if len(rows) > 1 and row.score == _best(row.metric, [rival.score for rival in rows])
        )


def average_kind(direction: str) -> AverageKind:
    """Which average a direction belongs to."""
    if direction.startswith("en-"):
        return "en-xx"
    return "xx-en" if direction.endswith("-en") else "xx-xx"


def _best(metric: str, scores: list[float]) -> float:
    return min(scores) if metric in LOWER_IS_BETTER else max(scores)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _mean(scores: list[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if len(known) == len(scores) else None
