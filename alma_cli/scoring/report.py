"""Scores as plain data: rows, flags, averages, and the JSON form that is kept stable.

{"version": 1,
 "significance": null or {"test", "resamples", "seed", "baseline"},
 "rows":  [{"system", "direction", "metric", "score", "low", "high", "p_value", "signature", "segments"}],
 "flags": [{"system", "direction", "flag", "count", "lines"}]}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from alma_cli.core.flags import FlagName

REPORT_VERSION = 1
LOWER_IS_BETTER = frozenset({"ter"})
METRIC_NAMES = {
    "bleu": "BLEU",
    "chrf": "chrF2",
    "chrf++": "chrF2++",
    "spbleu": "spBLEU",
    "ter": "TER",
    "comet": "COMET",
    "cometkiwi": "COMETKiwi",
    "xcomet": "XCOMET",
}
SIGNIFICANT = 0.05
# Smaller differences agree with people less than 80% of the time (Kocmi et al. 2024, arXiv 2401.06760).
NOTICED = {"bleu": 2.3, "comet": 0.56}

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
class ResamplingFacts:
    """Where the intervals and p-values come from, and the system that the others are compared with."""

    test: Literal["bootstrap", "randomization"]
    resamples: int
    seed: int
    baseline: str

    @property
    def words(self) -> str:
        """The test and its settings, for a reader."""
        return f"paired {self.test}, {self.resamples:,} resamples, seed {self.seed}"


@dataclass(frozen=True)
class Difference:
    """Of a system's score from the baseline's."""

    points: float  # above the baseline's score where positive
    p_value: float
    better: bool
    significant: bool
    noticed: bool  # by people, too: not smaller than NOTICED, where that is known


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
    significance: ResamplingFacts | None = None

    def as_json(self) -> dict[str, Any]:
        """The machine-readable form at the top of this module."""
        return {
            "version": REPORT_VERSION,
            "significance": asdict(self.significance) if self.significance else None,
            "rows": [asdict(row) for row in self.rows],
            "flags": [asdict(flag) for flag in self.flags],
        }

    @cached_property
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

    @cached_property
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

    @cached_property
    def systems(self) -> list[str]:
        """Their names, in order."""
        return _distinct(row.system for row in self.rows)

    @cached_property
    def metrics(self) -> list[str]:
        """Their names, in order."""
        return _distinct(row.metric for row in self.rows)

    @property
    def baseline(self) -> str:
        """The system that the others are compared with."""
        return self.significance.baseline if self.significance else self.rows[0].system

    @cached_property
    def _of_baseline(self) -> dict[tuple[str, str], ScoreRow]:
        """The baseline's rows by direction and metric; of two that are called the same, the first."""
        return {(row.direction, row.metric): row for row in reversed(self.rows) if row.system == self.baseline}

    def difference(self, row: ScoreRow) -> Difference | None:
        """How the row's score differs from the baseline's; None where that was not tested."""
        baseline = self._of_baseline.get((row.direction, row.metric))
        if row.p_value is None or baseline is None:
            return None
        points = row.score - baseline.score
        return Difference(
            points=points,
            p_value=row.p_value,
            better=points < 0 if row.metric in LOWER_IS_BETTER else points > 0,
            # Equal scores come out of the bootstrap with the smallest p there is.
            significant=points != 0 and row.p_value < SIGNIFICANT,
            noticed=abs(points) >= NOTICED.get(row.metric, 0),
        )


def metric_name(metric: str) -> str:
    """As it is written in tables."""
    return METRIC_NAMES.get(metric, metric)


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
