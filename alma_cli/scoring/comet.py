"""COMET, COMETKiwi and XCOMET of segments: what is known already is not scored again, and empty lines get no credit."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass

from alma_cli.core.comet import CometPrecision, Triple, comet_scores, comet_signature
from alma_cli.core.recipe import ScoringSettings
from alma_cli.errors import UsageError

# What a cache holds for one signature: the score of (source, hypothesis, reference or "").
KnownScores = MutableMapping[tuple[str, str, str], float]
# These models score from the source and the translation alone.
_WITHOUT_REFERENCE = ("cometkiwi",)
COMET_METRICS = ("comet", "cometkiwi", "xcomet")


@dataclass(frozen=True)
class CometSegments:
    """One system's segments by one model; scores are times 100, as papers print them."""

    scores: tuple[float, ...]  # (segments,)
    system: float  # their mean
    signature: str
    empty: int  # hypotheses without a letter, whose score is 0 where the signature says `empty:0`
    computed: int  # segments that the model had to score


class CometMetric:
    """One of COMET_METRICS with the model that the settings name for it. Raises AlmaError, as all that it does."""

    def __init__(
        self, name: str, settings: ScoringSettings, *, told: Callable[[str], None], references: bool = True
    ) -> None:
        self._model: str = getattr(settings, f"{name}_model")
        self._precision: CometPrecision = settings.comet_precision
        self._batch_size = settings.comet_batch_size
        self._keeps_empty = settings.comet_of_empty == "model"
        self._told = told
        self._with_reference = references and name not in _WITHOUT_REFERENCE
        self._scored_by = comet_signature(self._model, with_reference=self._with_reference, precision=self._precision)

    @property
    def cache_key(self) -> str:
        """Scores under the same key are the same for the same texts."""
        return self._scored_by

    @property
    def signature(self) -> str:
        """What the numbers depend on, to print beside them."""
        return f"{self._scored_by}|empty:{'model' if self._keeps_empty else '0'}"

    def score(
        self, sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str] | None, known: KnownScores
    ) -> CometSegments:
        """The segments' scores. Those that are not `known` are computed, and known from then on, batch by batch."""
        if not sources:
            raise UsageError("COMET needs the sources", hint="name them with --src-text")
        assert references is not None or not self._with_reference, "a metric with references, without any"
        judged_by = references if references is not None and self._with_reference else [""] * len(hypotheses)
        keys = list(zip(sources, hypotheses, judged_by, strict=True))
        empty = [not hypothesis.strip() for hypothesis in hypotheses]
        forced = [is_empty and not self._keeps_empty for is_empty in empty]
        wanted = dict.fromkeys(key for key, is_forced in zip(keys, forced, strict=True) if not is_forced)
        missing = [key for key in wanted if key not in known]
        self._compute(missing, known)
        scores = tuple(0.0 if none else 100 * known[key] for key, none in zip(keys, forced, strict=True))
        return CometSegments(scores, sum(scores) / len(scores), self.signature, sum(empty), len(missing))

    def _compute(self, keys: list[tuple[str, str, str]], known: KnownScores) -> None:
        if not keys:
            return

        def keep(positions: Sequence[int], scores: Sequence[float]) -> None:
            known.update((keys[position], score) for position, score in zip(positions, scores, strict=True))

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
