"""Translation sets in, a report out: each metric of each system in each direction, on all the cores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alma_cli.core.dataset import Example
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import Metric, ScoringSettings
from alma_cli.errors import UsageError, nearest
from alma_cli.scoring.comet import (
    COMET_METRICS,
    CometMetric,
    Progress,
    Told,
    comet_metrics,
    measure_with_comet,
    require_sources,
)
from alma_cli.scoring.cores import cores, on_all_cores
from alma_cli.scoring.corpus_scores import Array
from alma_cli.scoring.flagging import FlaggedSegments, flag_sets, listed_flags
from alma_cli.scoring.metrics import Measurement, measure
from alma_cli.scoring.report import AverageKind, ScoreReport, ScoreRow, averaged_directions
from alma_cli.scoring.score_cache import ScoreCache
from alma_cli.scoring.segments import DirectionSegments, SystemOutput
from alma_cli.scoring.significance import Contrast, Resampling, Significance, mean_contrast, significance
from alma_cli.scoring.systems import TranslationSet, find_translations

# Measured with sentences of 20 words on one core.
_SECONDS_PER_SEGMENT: dict[Metric, float] = {
    "bleu": 1e-4,
    "chrf": 6e-5,
    "chrf++": 1e-4,
    "spbleu": 3e-4,
    "ter": 3e-4,
}
_TestSet = tuple[Direction, tuple[tuple[str, ...], ...]]  # a direction and its sets of references
_Contrasts = Mapping[tuple[str, str, str], Contrast]  # with the baseline, by system, direction and metric


@dataclass(frozen=True)
class Comparison:
    """How systems are compared, and with which of them; None: with the first."""

    resampling: Resampling
    baseline: str | None = None


def _silent(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class Means:
    """What scores are computed with; of it, only the settings change them."""

    settings: ScoringSettings = field(default_factory=ScoringSettings)
    cache: ScoreCache | None = None  # None: nothing is kept for the next time
    told: Told = _silent
    progress: Progress = _silent


@dataclass(frozen=True)
class Scored:
    """The report, and the segments it is about."""

    report: ScoreReport
    segments: tuple[DirectionSegments, ...]


def score_translations(
    translations: Path,
    examples: Sequence[Example],
    metrics: Sequence[Metric],
    directions: Sequence[Direction] = (),
    *,
    comparison: Comparison | None = None,
    flags: bool = True,
    means: Means = Means(),
) -> Scored:
    """The scores of every `<translations>/<system>/<direction>.txt` against the prepared test examples.

    `directions` restricts and orders; empty: all that the examples have. Raises InputError where nothing fits.
    """
    sets = find_translations(translations, examples, directions)
    return score_sets(sets, metrics, comparison=comparison, flags=flags, means=means)


def score_sets(
    sets: Sequence[TranslationSet],
    metrics: Sequence[Metric],
    *,
    comparison: Comparison | None = None,
    flags: bool = True,
    means: Means = Means(),
) -> Scored:
    """The report over `sets`, in their order; `flags`: with what is wrong with the translations.

    Without `comparison` it has no intervals and p-values.

    Raises UsageError where no system has the baseline's name; what a metric lacks is told before any is computed.
    """
    baseline = _baseline(sets, comparison.baseline if comparison else None)
    require_sources(sets, metrics)
    by_comet = comet_metrics(metrics, means.settings, told=means.told)
    others = [metric for metric in metrics if metric not in COMET_METRICS]
    measured: list[tuple[Measurement, ...]] = measure_sets(sets, others) if others else [() for _ in sets]
    if by_comet:
        measured = _with_comet(sets, metrics, measured, by_comet, means)
    rows = [[_row(one, measurement) for measurement in found] for one, found in zip(sets, measured, strict=True)]
    contrasts: _Contrasts = {}
    if comparison:
        rows, contrasts = _compared(sets, measured, rows, comparison.resampling, baseline)
    flagged: Sequence[FlaggedSegments] = flag_sets(sets) if flags else [{} for _ in sets]
    report = ScoreReport(
        rows=tuple(row for of_set in rows for row in of_set),
        significance=comparison.resampling.with_baseline(baseline) if comparison else None,
        flags=tuple(listed_flags(sets, flagged)),
        average_p_values=_average_p_values(sets, contrasts),
    )
    return Scored(report, tuple(_segments(sets, measured, flagged)))


def measure_sets(sets: Sequence[TranslationSet], metrics: Sequence[Metric]) -> list[tuple[Measurement, ...]]:
    """For each set its measurements, one a metric. More than a few seconds' work goes to all the cores."""
    jobs = _jobs(sets, metrics, cores())
    seconds = sum(len(one.hypotheses) for one in sets) * sum(_SECONDS_PER_SEGMENT[metric] for metric in metrics)
    finished = on_all_cores(_run, jobs, seconds=seconds)
    by_position = {
        position: measurements
        for job, results in zip(jobs, finished, strict=True)
        for position, measurements in zip(job.positions, results, strict=True)
    }
    return [by_position[position] for position in range(len(sets))]


def _with_comet(
    sets: Sequence[TranslationSet],
    metrics: Sequence[Metric],
    measured: list[tuple[Measurement, ...]],
    by_comet: Sequence[CometMetric],
    means: Means,
) -> list[tuple[Measurement, ...]]:
    """The measurements that there are, and those by COMET, in the order of the metrics."""
    test_sets = [{position: sets[position] for position in positions} for positions in _groups(sets).values()]
    found = [
        measure_with_comet(test_sets, metric, means.cache, told=means.told, progress=means.progress)
        for metric in by_comet
    ]
    return [
        tuple(sorted((*others, *(ours[n] for ours in found)), key=lambda one: metrics.index(one.metric)))
        for n, others in enumerate(measured)
    ]


@dataclass(frozen=True)
class _Job:
    """Sets that share their references, for one process."""

    positions: tuple[int, ...]
    systems: tuple[tuple[str, ...], ...]
    references: tuple[tuple[str, ...], ...]
    target: str
    metrics: tuple[Metric, ...]


def _jobs(sets: Sequence[TranslationSet], metrics: Sequence[Metric], processes: int) -> list[_Job]:
    """Sets with the same references together, so that these are analysed once, unless that leaves cores idle."""
    together = [tuple(positions) for positions in _groups(sets).values()]
    if len(together) < processes:
        together = [(position,) for position in range(len(sets))]
    return [
        _Job(
            positions=positions,
            systems=tuple(sets[position].hypotheses for position in positions),
            references=sets[positions[0]].references,
            target=sets[positions[0]].direction.target,
            metrics=tuple(metrics),
        )
        for positions in together
    ]


def _run(job: _Job) -> list[tuple[Measurement, ...]]:
    columns = [list(measure(metric, job.systems, job.references, job.target)) for metric in job.metrics]
    return list(zip(*columns, strict=True))


def _row(one: TranslationSet, measurement: Measurement) -> ScoreRow:
    return ScoreRow(
        system=one.system,
        direction=str(one.direction),
        metric=measurement.metric,
        score=measurement.score,
        low=None,
        high=None,
        p_value=None,
        signature=measurement.signature,
        segments=len(one.hypotheses),
    )


def _baseline(sets: Sequence[TranslationSet], name: str | None) -> str:
    """The system that the others are compared with: the first, unless named."""
    systems = list(dict.fromkeys(one.system for one in sets))
    if name is None:
        return systems[0]
    if name not in systems:
        raise UsageError(f"no system is named '{name}'", hint=nearest(name, systems))
    return name


def _compared(
    sets: Sequence[TranslationSet],
    measured: Sequence[Sequence[Measurement]],
    rows: Sequence[Sequence[ScoreRow]],
    resampling: Resampling,
    baseline: str,
) -> tuple[list[list[ScoreRow]], _Contrasts]:
    """The rows with intervals, and p-values and contrasts with the baseline where this has the same segments."""
    compared: list[list[ScoreRow]] = [[] for _ in sets]
    contrasts = {}
    for positions in _groups(sets).values():
        systems: list[dict[str, Array]] = [
            {one.metric: one.statistics for one in measured[position]} for position in positions
        ]
        first = next((n for n, position in enumerate(positions) if sets[position].system == baseline), None)
        for position, found in zip(positions, significance(systems, resampling, first), strict=True):
            compared[position] = [_with_significance(row, found[row.metric], resampling) for row in rows[position]]
            for row in rows[position]:
                if contrast := found[row.metric].contrast:
                    contrasts[row.system, row.direction, row.metric] = contrast
    return compared, contrasts


def _average_p_values(
    sets: Sequence[TranslationSet], contrasts: _Contrasts
) -> dict[tuple[str, AverageKind, str], float]:
    """Of each average whose directions were all compared with the baseline's."""
    compared = dict.fromkeys((system, metric) for system, _, metric in contrasts)
    p_values = {}
    for kind, directions in averaged_directions(str(one.direction) for one in sets).items():
        for system, metric in compared:
            found = [contrasts.get((system, direction, metric)) for direction in directions]
            if known := [one for one in found if one] if all(found) else []:
                p_values[system, kind, metric] = mean_contrast(known).p_value
    return p_values


def _with_significance(row: ScoreRow, found: Significance, resampling: Resampling) -> ScoreRow:
    signature = resampling.signature(row.signature)
    return replace(row, low=found.low, high=found.high, p_value=found.p_value, signature=signature)


def _groups(sets: Sequence[TranslationSet]) -> dict[_TestSet, list[int]]:
    """Positions of the sets of each direction together, as long as they have the same references."""
    groups: dict[_TestSet, list[int]] = {}
    for position, one in enumerate(sets):
        groups.setdefault((one.direction, one.references), []).append(position)
    return groups


def _segments(
    sets: Sequence[TranslationSet],
    measured: Sequence[Sequence[Measurement]],
    flagged: Sequence[FlaggedSegments],
) -> Iterator[DirectionSegments]:
    """The sets of each direction together; sets with other references stand for themselves."""
    for (direction, references), positions in _groups(sets).items():
        outputs = tuple(_output(sets[position], measured[position], flagged[position]) for position in positions)
        yield DirectionSegments(str(direction), sets[positions[0]].sources, references, outputs)


def _output(one: TranslationSet, measurements: Sequence[Measurement], flagged: FlaggedSegments) -> SystemOutput:
    scores: dict[str, Sequence[float]] = {one.metric: one.segment_scores for one in measurements}
    return SystemOutput(one.system, one.hypotheses, scores, {name: list(lines) for name, lines in flagged.items()})
