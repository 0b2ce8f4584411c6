"""BLEU, chrF and TER of a corpus and of each segment, as sacreBLEU has them, with the signatures to compare them by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
from portalocker.exceptions import LockException
from sacrebleu.metrics.base import Metric as SacreBleuMetric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
from sacrebleu.utils import SACREBLEU_DIR

from alma_cli.core.languages import language
from alma_cli.core.recipe import Metric
from alma_cli.errors import MachineError, UsageError, nearest
from alma_cli.scoring.corpus_scores import Array, corpus_scores, segment_scores
from alma_cli.scoring.counters import Counter, bleu_counter, chrf_counter, ter_counter

_FLORES_URL = SPM_MODELS["flores200"]["url"]
METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True)
class Measurement:
    """One metric on one system's output in one direction; scores are percentages (0 to 100; TER may exceed 100)."""

    metric: Metric
    score: float
    signature: str
    segment_scores: tuple[float, ...]  # (segments,)
    statistics: Array = field(compare=False)  # (segments, what the corpus score sums) float64, to be resampled


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
    scorer, count = _scorer(metric, target, references)
    signature = str(scorer.get_signature())
    for hypotheses in systems:
        assert {len(hypotheses)} == set(map(len, references)) != {0}, f"{len(hypotheses)=} {[*map(len, references)]=}"
        statistics = count(hypotheses).astype(np.float64)
        yield Measurement(
            metric=metric,
            score=float(corpus_scores(metric, statistics.sum(axis=0)[None])[0]),
            signature=signature,
            segment_scores=tuple(segment_scores(metric, statistics)),
            statistics=statistics,
        )


def _scorer(metric: Metric, target: str, references: Sequence[Sequence[str]]) -> tuple[SacreBleuMetric, Counter]:
    """What signs the scores, and what counts for them."""
    if metric == "ter":
        ter = TER()
        ter.num_refs = len(references)
        return ter, ter_counter(ter, references)
    if metric in ("bleu", "spbleu"):
        bleu = _spbleu() if metric == "spbleu" else _bleu(language(target).sacrebleu_tokenizer, target)
        bleu.num_refs = len(references)  # for the signature; sacreBLEU itself sets it where it reads references
        return bleu, bleu_counter(bleu, references)
    chrf = CHRF(word_order=2 if metric == "chrf++" else 0)
    chrf.num_refs = len(references)
    return chrf, chrf_counter(chrf, references)


def _bleu(tokenizer: str, target: str) -> BLEU:
    try:
        # force: only silences a log line about input that looks tokenised.
        return BLEU(tokenize=tokenizer, force=True)
    except (RuntimeError, ImportError):
        hint = f'pip install "sacrebleu[{target}]", or use chrf'
        raise MachineError(f"BLEU in '{target}' needs the tokeniser {tokenizer}", hint=hint) from None


def _spbleu() -> BLEU:
    """BLEU of FLORES-200's pieces of words, for any language; sacreBLEU downloads their model once."""
    try:
        return BLEU(tokenize="flores200", force=True)
    except (OSError, RuntimeError, LockException) as error:
        path = Path(SACREBLEU_DIR) / "models" / Path(_FLORES_URL).name
        hint = f"download {_FLORES_URL} to {path}, or use chrf++"
        raise MachineError(f"spbleu needs the tokeniser model of FLORES-200: {error}", hint=hint) from None
