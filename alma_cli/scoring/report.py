"""Scores as plain data: rows, flags, averages, and the JSON form that is kept stable.

{"version": 1,
 "significance": null or {"test", "resamples", "seed", "baseline"},
 "rows":  [{"system", "direction", "metric", "score", "low", "high", "p_value", "signature", "segments"}],
 "averages": [{"system", "kind", "metric", "score", "p_value"}],
 "flags": [{"system", "direction", "flag", "count", "lines"}]}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
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
Side = Literal["en-xx", "xx-en", "xx-xx"]
SIDES: tuple[Side, ...] = ("en-xx", "xx-en", "xx-xx")
AverageKind = Side | Literal["all"]


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

    @property
    def place(self) -> str:
        """What the score is of."""
        return self.direction


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
    """The mean score of one system over the directions out of, or into, English, or over all; None where it lacks one.

    `p_value` is that of the difference from the baseline's average, None where that was not tested.
    """

    system: str
    kind: AverageKind
    metric: str
    score: float | None
    p_value: float | None = None

    @property
    def place(self) -> str:
        """What the score is of."""
        return f"average {self.kind}"


@dataclass(frozen=True)
class ScoreReport:
    """Everything that one scoring found: rows by system, then direction, then metric."""

    rows: tuple[ScoreRow, ...]
    flags: tuple[Flag, ...]
    significance: ResamplingFacts | None = None
    average_p_values: Mapping[tuple[str, AverageKind, str], float] = field(default_factory=dict)  # system, kind, metric

    def as_json(self) -> dict[str, Any]:
        """The machine-readable form at the top of this module."""
        return {
            "version": REPORT_VERSION,
            "significance": asdict(self.significance) if self.significance else None,
            "rows": [asdict(row) for row in self.rows],
            "averages": [asdict(average) for average in self.averages],
            "flags": [asdict(flag) for flag in self.flags],
        }

    @cached_property
    def averages(self) -> tuple[AverageRow, ...]:
        """Means over several directions: for each system, kind and metric, in that order."""
        scores = {(row.system, row.direction, row.metric): row.score for row in self.rows}
        return tuple(
            AverageRow(
                *(system, kind, metric),
                score=_mean([scores.get((system, direction, metric)) for direction in members]),
                p_value=self.average_p_values.get((system, kind, metric)),
            )
            for system in self.systems
            for kind, members in averaged_directions(row.direction for row in self.rows).items()
            for metric in self.metrics
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
    def _of_baseline(self) -> dict[tuple[str, str], float | None]:
        """The baseline's scores by place and metric; of two that are called the same, the first."""
        rows: list[ScoreRow | AverageRow] = [*self.averages, *reversed(self.rows)]
        return {(row.place, row.metric): row.score for row in rows if row.system == self.baseline}

    def difference(self, row: ScoreRow | AverageRow) -> Difference | None:
        """How the row's score differs from the baseline's; None where that was not tested."""
        baseline = self._of_baseline.get((row.place, row.metric))
        if row.p_value is None or row.score is None or baseline is None:
            return None
        points = row.score - baseline
        return Difference(
            points=points,
            p_value=row.p_value,
            better=points < 0 if row.metric in LOWER_IS_BETTER else points > 0,
            # Equal scores come out of the bootstrap with the smallest p there is.
            significant=points != 0 and row.p_value < SIGNIFICANT,
            noticed=abs(points) >= NOTICED.get(row.metric, 0),
        )

    def star(self, row: ScoreRow | AverageRow) -> str:
        """`*` where the row's score differs from the baseline's by more than chance, else nothing."""
        difference = self.difference(row)
        return "*" if difference and difference.significant else ""


def metric_name(metric: str) -> str:
    """As it is written in tables."""
    return METRIC_NAMES.get(metric, metric)


def side_of(direction: str) -> Side:
    """Which of the paper's averages a direction belongs to."""
    if direction.startswith("en-"):
        return "en-xx"
    return "xx-en" if direction.endswith("-en") else "xx-xx"


def averaged_directions(directions: Iterable[str]) -> dict[AverageKind, list[str]]:
    """The directions behind each average: those of each side, and all where there are several sides."""
    known = _distinct(directions)
    kinds: dict[AverageKind, list[str]] = {
        side: members for side in SIDES if (members := [one for one in known if side_of(one) == side])
    }
    if len(kinds) > 1:
        kinds["all"] = known
    return {kind: members for kind, members in kinds.items() if len(members) > 1}


def _best(metric: str, scores: list[float]) -> float:
    return min(scores) if metric in LOWER_IS_BETTER else max(scores)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _mean(scores: list[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if len(known) == len(scores) else None
