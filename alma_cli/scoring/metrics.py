"""BLEU, chrF2 and TER of a corpus and of each segment, by sacreBLEU, with the signatures that make them comparable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from sacrebleu.metrics.base import Metric as SacreBleuMetric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from alma_cli.core.languages import language
from alma_cli.core.recipe import Metric
from alma_cli.errors import MachineError, UsageError, nearest

METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True)
class Measurement:
    """One metric on one system's output in one direction; scores are percentages (0 to 100; TER may exceed 100)."""

    metric: Metric
    score: float
    signature: str
    segment_scores: tuple[float, ...]  # (segments,)
    statistics: tuple[tuple[float, ...], ...]  # (segments, what the corpus score sums): resampling needs no re-scoring


def parse_metrics(text: str) -> tuple[Metric, ...]:
    """The metrics of `bleu,chrf`, each once, in order. Raises UsageError with the nearest known one."""
    names = dict.fromkeys(name.strip().casefold() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError("--metrics names no metric", hint=f"one or more of: {', '.join(METRICS)}")
    known = {str(metric): metric for metric in METRICS}
    for name in names:
        if name not in known:
            raise UsageError(f"unknown metric '{name}'", hint=nearest(name, known))
    return tuple(known[name] for name in names)


def measure(
    metric: Metric, systems: Iterable[Sequence[str]], references: Sequence[Sequence[str]], target: str
) -> Iterator[Measurement]:
    """One metric for each system's hypotheses; the references, half of the work in chrF, are analysed once.

    `references` is one or several sets of them, (sets, segments), which count as sacreBLEU's do.

    Raises MachineError where a Japanese or Korean BLEU lacks its tokeniser's package.
    """
    scorer = _scorer(metric, target, references)
    # The sum over a corpus of short segments needs four-gram matches; one segment alone may have none.
    of_segment = BLEU(effective_order=True) if metric == "bleu" else scorer
    signature = str(scorer.get_signature())
    for hypotheses in systems:
        assert {len(hypotheses)} == set(map(len, references)) != {0}, f"{len(hypotheses)=} {[*map(len, references)]=}"
        # sacreBLEU's own significance tests start from these two private methods; corpus_score() is their composition.
        statistics = scorer._extract_corpus_statistics(hypotheses, None)
        yield Measurement(
            metric=metric,
            score=scorer._aggregate_and_compute(statistics).score,
            signature=signature,
            segment_scores=tuple(of_segment._aggregate_and_compute([row]).score for row in statistics),
            statistics=tuple(tuple(row) for row in statistics),
        )


def _scorer(metric: Metric, target: str, references: Sequence[Sequence[str]]) -> SacreBleuMetric:
    if metric == "chrf":
        return CHRF(references=references)
    if metric == "ter":
        return TER(references=references)
    tokenizer = language(target).sacrebleu_tokenizer
    try:
        # force: only silences a log line about input that looks tokenised.
        return BLEU(tokenize=tokenizer, force=True, references=references)
    except (RuntimeError, ImportError):
        hint = f'pip install "sacrebleu[{target}]", or use chrf'
        raise MachineError(f"BLEU in '{target}' needs the tokeniser {tokenizer}", hint=hint) from None
