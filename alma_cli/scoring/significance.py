"""Whether systems differ by more than chance: paired bootstrap and approximate randomisation, and 95% intervals.

sacreBLEU's tests (Koehn 2004; Riezler and Maxwell 2005) with its random numbers, so with its p-values and intervals to
the last bit. It gathers each resample's segments and scores them one by one; here a resample is a row of counts, and a
product of matrices sums the statistics of all systems and metrics:

    (R, S) how often each segment was drawn  @  (S, K) statistics of every system and metric  =  (R, K) sums to score

R = resamples or trials, S = segments, K = statistics of all systems and metrics together
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np

from alma_cli.scoring.corpus_scores import Array, corpus_scores, has_exact_sums
from alma_cli.scoring.report import ResamplingFacts

Test = Literal["bootstrap", "randomization"]
_DEFAULT_RESAMPLES: dict[Test, int] = {"bootstrap": 1000, "randomization": 10_000}
_RESAMPLES_FOR_INTERVALS = 1000
_OUTSIDE = 40  # one in so many resamples lies below the 95% interval, and one above
_CHUNK = 2_000_000  # drawn segments at once: 16 MB an array
_EVEN = 32  # trials in a chunk are a multiple of it: so many coins are tossed with one random number


@dataclass(frozen=True)
class Resampling:
    """How differences are tested, and against which system; with these the numbers can be computed again."""

    test: Test
    resamples: int
    seed: int

    @staticmethod
    def of(test: Test, resamples: int | None = None, seed: int = 12345) -> Resampling:
        """The test with as many resamples as sacreBLEU takes by default, unless told."""
        return Resampling(test, resamples or _DEFAULT_RESAMPLES[test], seed)

    def with_baseline(self, baseline: str) -> ResamplingFacts:
        """As the report has it."""
        return ResamplingFacts(self.test, self.resamples, self.seed, baseline)

    @property
    def for_intervals(self) -> int:
        """How many bootstrap resamples the intervals come from."""
        return self.resamples if self.test == "bootstrap" else _RESAMPLES_FOR_INTERVALS

    def signature(self, metric_signature: str) -> str:
        """The metric's signature with the resampling in it, as sacreBLEU writes it."""
        trials = f"|ar:{self.resamples}" if self.test == "randomization" else ""
        resampling = f"bs:{self.for_intervals}{trials}|seed:{self.seed}"
        first, bar, rest = metric_signature.partition("|")
        if first.startswith("nrefs:"):
            return f"{first}|{resampling}{bar}{rest}"
        return f"{metric_signature}|{resampling}"


@dataclass(frozen=True)
class Contrast:
    """How a system's score differs from the baseline's, and how it does by chance."""

    points: float  # above the baseline's
    test: Test
    by_chance: Array = field(repr=False, compare=False)  # (R,) the same difference in the resamples or the trials

    @property
    def p_value(self) -> float:
        """The real difference counts as one of those by chance: no p-value is 0."""
        sizes = np.abs(self.by_chance)
        if self.test == "bootstrap":  # of which the mean is about the real difference
            sizes = sizes - sizes.mean()
        return (int(np.sum(sizes > abs(self.points))) + 1) / (len(sizes) + 1)


def mean_contrast(contrasts: Sequence[Contrast]) -> Contrast:
    """Of the average over several test sets, of which each was resampled with the same seed.

    Sets of equal length have the same draws: as it should be where line N is the same sentence in all of them, and of
    no effect where it is not.
    """
    return Contrast(
        points=sum(one.points for one in contrasts) / len(contrasts),
        test=contrasts[0].test,
        by_chance=np.stack([one.by_chance for one in contrasts]).mean(axis=0, dtype=np.float64),
    )


@dataclass(frozen=True)
class Significance:
    """What resampling says of one system's score in one metric."""

    mean: float  # of the bootstrap resamples
    low: float  # 95% of the resamples score from here
    high: float  # to here
    contrast: Contrast | None  # with the baseline; None for the baseline itself

    @property
    def p_value(self) -> float | None:
        """Of the difference from the baseline."""
        return self.contrast.p_value if self.contrast else None


def significance(
    systems: Sequence[Mapping[str, Array]], resampling: Resampling, baseline: int | None = 0
) -> list[dict[str, Significance]]:
    """For each system its metrics, from the (S, statistics) of each; all on the same resamples.

    `baseline` is the system that the others are compared with; None: they are not compared.
    """
    tables = [
        _Table(system, metric, values) for system, found in enumerate(systems) for metric, values in found.items()
    ]
    resampled = _bootstrap(tables, resampling.for_intervals, resampling.seed)
    contrasts: dict[tuple[int, str], Contrast] = {}
    if baseline is not None and resampling.test == "bootstrap":
        contrasts = _contrasts_of_bootstrap(tables, baseline, resampled)
    elif baseline is not None:
        contrasts = _contrasts_of_randomization(tables, baseline, resampling)
    results: list[dict[str, Significance]] = [{} for _ in systems]
    for table in tables:
        scores = np.sort(resampled[table.key])
        low, high = scores[len(scores) // _OUTSIDE], scores[len(scores) - len(scores) // _OUTSIDE - 1]
        results[table.system][table.metric] = Significance(
            float(scores.mean()), float(low), float(high), contrasts.get(table.key)
        )
    return results


@dataclass(frozen=True)
class _Table:
    """The statistics of one system in one metric."""

    system: int
    metric: str
    statistics: Array  # (S, of the metric) float64

    @property
    def key(self) -> tuple[int, str]:
        return self.system, self.metric

    @property
    def score(self) -> float:
        return float(corpus_scores(self.metric, self.statistics.sum(axis=0)[None])[0])


_Scores = dict[tuple[int, str], Array]


def _bootstrap(tables: Sequence[_Table], resamples: int, seed: int) -> _Scores:
    """(R,) scores of each table."""
    segments = len(tables[0].statistics)
    together = np.concatenate([table.statistics for table in tables], axis=1)
    sums: list[list[Array]] = [[] for _ in tables]
    generator = np.random.default_rng(seed)
    for rows in _chunks(resamples, segments):
        drawn = generator.choice(segments, size=(rows, segments), replace=True)
        flat = drawn + segments * np.arange(rows)[:, None]
        counts = np.bincount(flat.ravel(), minlength=rows * segments).reshape(rows, segments)
        parts = _split(counts.astype(np.float64) @ together, tables)
        for table, part, found in zip(tables, parts, sums, strict=True):
            found.append(part if _sums_exactly(table) else _gathered(table.statistics, drawn))
    return {
        table.key: corpus_scores(table.metric, _as_resampled(table.metric, np.concatenate(found)))
        for table, found in zip(tables, sums, strict=True)
    }


def _sums_exactly(table: _Table) -> bool:
    """Counts and halves do; words of three references on average are thirds, whose sum depends on the order."""
    return has_exact_sums(table.metric) or table.metric != "ter" or not (table.statistics * 2 % 1).any()


def _gathered(statistics: Array, drawn: Array) -> Array:
    """The sums in the order in which sacreBLEU adds, in its float32."""
    values = statistics.astype(np.float32)
    return np.stack([values[row].sum(0) for row in drawn])


def _as_resampled(metric: str, sums: Array) -> Array:
    """sacreBLEU's metrics are resampled in float32."""
    return sums.astype(np.float32) if has_exact_sums(metric) or metric == "ter" else sums


def _contrasts_of_bootstrap(
    tables: Sequence[_Table], baseline: int, resampled: _Scores
) -> dict[tuple[int, str], Contrast]:
    """The differences in the resamples."""
    return {
        table.key: Contrast(table.score - other.score, "bootstrap", resampled[table.key] - resampled[other.key])
        for table, other in _pairs(tables, baseline)
    }


def _contrasts_of_randomization(
    tables: Sequence[_Table], baseline: int, resampling: Resampling
) -> dict[tuple[int, str], Contrast]:
    """The differences of two systems that swap segments at random."""
    pairs = list(_pairs(tables, baseline))
    if not pairs:
        return {}
    segments = len(tables[0].statistics)
    swapped = np.concatenate([other.statistics - table.statistics for table, other in pairs], axis=1)
    differences: list[list[Array]] = [[] for _ in pairs]
    generator = np.random.default_rng(resampling.seed)
    for rows in _chunks(resampling.resamples, segments):
        heads = generator.integers(2, size=(rows, segments), dtype=bool)
        parts = _split(heads.astype(np.float64) @ swapped, [table for table, _ in pairs])
        for (table, other), part, found in zip(pairs, parts, differences, strict=True):
            first = corpus_scores(table.metric, table.statistics.sum(axis=0) + part)
            second = corpus_scores(table.metric, other.statistics.sum(axis=0) - part)
            found.append(first - second)
    return {
        table.key: Contrast(table.score - other.score, "randomization", np.concatenate(found))
        for (table, other), found in zip(pairs, differences, strict=True)
    }


def _pairs(tables: Sequence[_Table], baseline: int) -> Iterator[tuple[_Table, _Table]]:
    """Each other system's table beside the baseline's in the same metric."""
    of_baseline = {table.metric: table for table in tables if table.system == baseline}
    for table in tables:
        if table.system != baseline and table.metric in of_baseline:
            yield table, of_baseline[table.metric]


def _chunks(resamples: int, segments: int) -> Iterator[int]:
    """Parts of the resamples that together draw what one draw of all would."""
    rows = max(_CHUNK // segments // _EVEN, 1) * _EVEN
    for start in range(0, resamples, rows):
        yield min(rows, resamples - start)


def _split(sums: Array, tables: Sequence[_Table]) -> list[Array]:
    borders = [0, *accumulate(table.statistics.shape[1] for table in tables)]
    return [sums[:, start:end] for start, end in pairwise(borders)]
