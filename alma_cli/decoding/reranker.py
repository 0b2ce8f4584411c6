"""Translations with their candidates through the reranking that the settings ask for, as they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from alma_cli.core.comet import Triple, comet_scores
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import DecodingSettings, ScoringSettings
from alma_cli.decoding.glossary import Glossary
from alma_cli.decoding.rerank import (
    Pool,
    Scorer,
    Utilities,
    bleu_utilities,
    choose,
    chrf_utilities,
    learned_utilities,
    quality_utilities,
)
from alma_cli.decoding.translator import Translation

# Sentences whose candidates a learned metric scores together: enough to fill its batches.
_AT_ONCE_WITH_MODEL = 16


@dataclass(frozen=True)
class Reranker:
    """Chooses among a translation's candidates."""

    utilities: Utilities | None
    terms_kept: Callable[[str, str], int] | None
    at_once: int = 1

    def reranked(self, translations: Iterable[Translation], sources: Sequence[str]) -> Iterator[Translation]:
        """The translations with the best candidate's text; those without a choice as they are."""
        rest = iter(translations)
        while some := list(islice(rest, self.at_once)):
            open_ones = [one for one in some if len(one.candidates) > 1]
            pools = [Pool(sources[one.index], one.candidates) for one in open_ones]
            choices = dict(
                zip((one.index for one in open_ones), choose(pools, self.utilities, self.terms_kept), strict=True)
            )
            for one in some:
                if (choice := choices.get(one.index)) is None:
                    yield one
                    continue
                best = choice.candidate
                changed = replace(one, text=best.text, new_tokens=best.tokens, reached_limit=best.reached_limit)
                utilities = (choice.utility_before, choice.utility) if self.utilities else None
                yield replace(changed, utilities=utilities)


def reranker_of(settings: DecodingSettings, direction: Direction, glossary: Glossary | None) -> Reranker | None:
    """What the settings and a glossary ask for; None where the model's first candidate is taken."""
    terms_kept = glossary.kept_in if glossary else None
    if settings.rerank is None:
        return Reranker(None, terms_kept) if terms_kept else None
    if settings.rerank == "qe":
        score = comet_scorer(settings.rerank_model or KIWI)
        return Reranker(quality_utilities(score), terms_kept, at_once=_AT_ONCE_WITH_MODEL)
    if settings.rerank_metric == "comet":
        score = comet_scorer(settings.rerank_model or COMET)
        return Reranker(learned_utilities(score), terms_kept, at_once=_AT_ONCE_WITH_MODEL)
    utilities = chrf_utilities() if settings.rerank_metric == "chrf" else bleu_utilities(direction.target)
    return Reranker(utilities, terms_kept)


def evaluation_metric(settings: DecodingSettings) -> str | None:
    """What `alma score` calls the metric that the settings choose by."""
    if settings.rerank is None:
        return None
    return "cometkiwi" if settings.rerank == "qe" else settings.rerank_metric


# The defaults of the recipe's section [scoring].
COMET, KIWI = ScoringSettings().comet_model, ScoringSettings().cometkiwi_model


def comet_scorer(model: str) -> Scorer:
    """A checkpoint of COMET's, which is loaded when there is something to score."""
    return partial(_comet_scores, model)


def _comet_scores(
    model: str, sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str] | None
) -> list[float]:
    if not sources:
        return []
    others = references if references is not None else [None] * len(sources)
    triples = [Triple(*row) for row in zip(sources, hypotheses, others, strict=True)]
    return list(comet_scores(model, triples).segments)
