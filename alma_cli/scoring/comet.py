"""COMET, COMETKiwi and XCOMET of segments: what is known already is not scored again, and empty lines get no credit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from alma_cli.core.comet import CometPrecision, Triple, close_comet, comet_scores, comet_signature
from alma_cli.core.recipe import CometName, Metric, ScoringSettings
from alma_cli.errors import UsageError
from alma_cli.scoring.metrics import Measurement
from alma_cli.scoring.score_cache import ScoreCache
from alma_cli.scoring.systems import TranslationSet

COMET_METRICS: tuple[CometName, ...] = get_args(CometName)
# These models score from the source and the translation alone.
_WITHOUT_REFERENCE: tuple[CometName, ...] = ("cometkiwi",)

Told = Callable[[str], None]
# What is scored, how many segments are done, and of how many.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CometSegments:
    """Segments by one model; scores are times 100, as papers print them."""

    scores: tuple[float, ...]  # (segments,)
    signature: str
    known: int  # segments whose score the cache had
    computed: int  # segments that the model had to score; equal ones and empty ones are no work


class CometMetric:
    """One of COMET_METRICS with the model that the settings name for it. Raises AlmaError, as all that it does."""

    def __init__(self, name: CometName, settings: ScoringSettings, *, told: Told) -> None:
        self.name: CometName = name
        self._model: str = getattr(settings, f"{name}_model")
        self._precision: CometPrecision = settings.comet_precision
        self._batch_size = settings.comet_batch_size
        self._keeps_empty = settings.comet_of_empty == "model"
        self._told = told
        self._with_reference = name not in _WITHOUT_REFERENCE
        self._scored_by = comet_signature(self._model, with_reference=self._with_reference, precision=self._precision)

    def signature(self, reference_sets: int) -> str:
        """What the numbers depend on, to print beside them; over several references they are the mean."""
        scored_by = self._scored_by.replace("|refs:1|", f"|refs:{reference_sets}|")
        return f"{scored_by}|empty:{'model' if self._keeps_empty else '0'}"

    def score(
        self,
        sources: Sequence[str],
        hypotheses: Sequence[str],
        references: Sequence[Sequence[str]],
        cache: ScoreCache | None,
        progress: Callable[[int, int], None],
    ) -> CometSegments:
        """The segments' scores: of each with its reference of every set, (sets, segments), the mean.

        Those that the cache lacks are computed, and kept there batch by batch.
        """
        sets = references if self._with_reference else [[""] * len(hypotheses)]
        keys = [list(zip(sources, hypotheses, judged_by, strict=True)) for judged_by in sets]
        forced = [not (self._keeps_empty or hypothesis.strip()) for hypothesis in hypotheses]
        wanted = dict.fromkeys(
            key for column in keys for key, is_forced in zip(column, forced, strict=True) if not is_forced
        )
        before = cache.find(self._scored_by, wanted) if cache else {}
        known = {key: before[key][0] for key in wanted if key in before}
        missing = [key for key in wanted if key not in known]
        computed = self._computed(missing, cache, progress)
        found = known | computed
        scores = tuple(
            0.0 if is_forced else 100 * sum(found[key] for key in row) / len(row)
            for row, is_forced in zip(zip(*keys, strict=True), forced, strict=True)
        )
        return CometSegments(scores, self.signature(len(references)), len(known), len(missing))

    def _computed(
        self, keys: list[tuple[str, str, str]], cache: ScoreCache | None, progress: Callable[[int, int], None]
    ) -> dict[tuple[str, str, str], float]:
        if not keys:
            return {}
        computed: dict[tuple[str, str, str], float] = {}

        def keep(positions: Sequence[int], scores: Sequence[float]) -> None:
            some = {keys[position]: score for position, score in zip(positions, scores, strict=True)}
            if cache:
                cache.keep(self._scored_by, {key: (score,) for key, score in some.items()})
            computed.update(some)
            progress(len(computed), len(keys))

        triples = [
            Triple(source, text, reference if self._with_reference else None) for source, text, reference in keys
        ]
        comet_scores(
            self._model,
            triples,
            precision=self._precision,
            batch_size=self._batch_size,
            scored=keep,
            told=self._told,
        )
        return computed


def comet_metrics(metrics: Sequence[Metric], settings: ScoringSettings, *, told: Told) -> tuple[CometMetric, ...]:
    """Those of `metrics` that are COMET's; a model that is not here is fetched. Raises AlmaError where that fails."""
    return tuple(CometMetric(name, settings, told=told) for name in COMET_METRICS if name in metrics)


def require_sources(sets: Sequence[TranslationSet], metrics: Sequence[Metric]) -> None:
    """Raises UsageError where a metric that reads the sources lacks some."""
    reading = [metric for metric in metrics if metric in COMET_METRICS]
    for one in sets:
        if reading and one.sources is None:
            raise UsageError(
                f"{reading[0]} needs the source text of {one.direction}",
                hint="name it: --src-text FILE or DIR",
            )


def measure_with_comet(
    test_sets: Iterable[Mapping[int, TranslationSet]],
    metric: CometMetric,
    cache: ScoreCache | None,
    *,
    told: Told,
    progress: Progress,
) -> dict[int, Measurement]:
    """One measurement a set, by its number. All systems of a test set together: what they share is read once."""
    found: dict[int, Measurement] = {}
    known = computed = 0
    for numbered in test_sets:
        together = list(numbered.values())
        what, set_count = f"{metric.name} {together[0].direction}", len(together[0].references)
        scored = metric.score(
            [source for one in together for source in one.sources or ()],
            [hypothesis for one in together for hypothesis in one.hypotheses],
            [[text for one in together for text in one.references[which]] for which in range(set_count)],
            cache,
            lambda done, total, what=what: progress(what, done, total),  # type: ignore[misc]
        )
        known, computed = known + scored.known, computed + scored.computed
        start = 0
        for number, one in numbered.items():
            scores = scored.scores[start : start + len(one.hypotheses)]
            found[number] = Measurement(
                metric=metric.name,
                score=sum(scores) / len(scores),
                signature=scored.signature,
                segment_scores=scores,
                statistics=np.array([(score, 1.0) for score in scores]),  # a corpus's score is their mean
            )
            start += len(scores)
    if known:
        told(f"{metric.name}: {known:,} of {known + computed:,} segments were scored before")
    # One model at a time: the next one may need all the memory.
    close_comet()
    return found
