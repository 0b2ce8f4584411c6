"""Reranking raises what it looks at, gives the same choice every time, and settles ties as the model would."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF

from alma_cli.core.languages import Direction
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.engine import Candidate
from alma_cli.decoding.glossary import Glossary, Term
from alma_cli.decoding.rerank import (
    Pool,
    Utilities,
    bleu_utilities,
    choose,
    chrf_utilities,
    learned_utilities,
    quality_utilities,
)
from alma_cli.decoding.reranker import reranker_of


def pool(*texts: str, source: str = "Die Ware") -> Pool:
    """Candidates in the order of the model, each a little less probable than the one before."""
    return Pool(source, tuple(Candidate(text, -float(n), 5, reached_limit=False) for n, text in enumerate(texts)))


def length_metric(sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str] | None) -> list[float]:
    """A real, if simple, metric: hypotheses as long as the reference, or the source, are good."""
    others = sources if references is None else references
    return [-abs(len(one) - len(other)) / 100 for one, other in zip(hypotheses, others, strict=True)]


def random_pools(count: int) -> list[Pool]:
    draw = random.Random(7)
    words = ["the", "goods", "cost", "less", "than", "last", "year", "wares", "are", "cheaper", "items"]
    return [
        pool(*(" ".join(draw.choices(words, k=draw.randint(3, 9))) for _ in range(12)), source=f"Satz {number}")
        for number in range(count)
    ]


ALL = [
    ("mbr chrF", chrf_utilities()),
    ("mbr BLEU", bleu_utilities("en")),
    ("mbr learned", learned_utilities(length_metric)),
    ("qe", quality_utilities(length_metric)),
]
EACH = pytest.mark.parametrize("utilities", [utilities for _, utilities in ALL], ids=[name for name, _ in ALL])


@EACH
def test_reranking_raises_its_own_utility(utilities: Utilities) -> None:
    choices = choose(random_pools(30), utilities)

    assert all(choice.utility >= choice.utility_before for choice in choices)
    assert np.mean([one.utility for one in choices]) > np.mean([one.utility_before for one in choices])
    assert any(choice.position for choice in choices)


@EACH
def test_reranking_is_reproducible_and_no_pool_changes_anothers_choice(utilities: Utilities) -> None:
    pools = random_pools(10)
    together = choose(pools, utilities)

    assert choose(pools, utilities) == together
    assert [choose([one], utilities)[0] for one in pools] == together
    assert choose(pools[::-1], utilities)[::-1] == together


@EACH
def test_of_equal_candidates_the_models_first_is_taken(utilities: Utilities) -> None:
    assert choose([pool("the same", "the same", "the same")], utilities)[0].position == 0


def test_ties_that_only_rounding_breaks_are_ties() -> None:
    # Each is as like the two others as they are like it: a ring.
    [choice] = choose([pool("ab cd ef", "cd ef ab", "ef ab cd")], bleu_utilities("en"))

    assert choice.position == 0


def test_expected_utility_is_the_mean_score_against_all_candidates() -> None:
    texts = ["goods cost less", "the goods cost less", "the goods cost less", "wares"]
    means = [np.mean([CHRF().sentence_score(one, [other]).score for other in texts]) for one in texts]

    [choice] = choose([pool(*texts)], chrf_utilities())

    assert choice.position == int(np.argmax(means)) == 1
    assert choice.utility == pytest.approx(means[1])
    assert choice.utility_before == pytest.approx(means[0])


def test_a_text_that_was_drawn_often_counts_often() -> None:
    once, often = "completely other words here", "the goods cost less"

    assert choose([pool(once, often, often)], chrf_utilities())[0].candidate.text == often


def test_a_learned_metric_scores_each_different_row_once() -> None:
    rows: list[tuple[str, str, str]] = []

    def counted(sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str] | None) -> list[float]:
        assert references is not None
        rows.extend(zip(sources, hypotheses, references, strict=True))
        return length_metric(sources, hypotheses, references)

    choose([pool("a", "bb", "a", source="x"), pool("a", "ccc", source="y")], learned_utilities(counted))

    assert len(rows) == len(set(rows)) == 8


def test_a_single_candidate_is_chosen_by_every_utility() -> None:
    for _, utilities in ALL:
        assert choose([pool("only"), pool("")], utilities)[1].candidate.text == ""


# --- terms --------------------------------------------------------------------------------------------------------

TERMS = Glossary([Term("Ware", ("goods",)), Term("Lager", ("warehouse",))])


def test_candidates_that_keep_more_terms_come_first() -> None:
    one = pool("stuff in storage", "goods in storage", "goods in the warehouse", source="Die Ware im Lager")

    assert choose([one], None, TERMS.kept_in)[0].position == 2


def test_of_those_that_keep_as_many_terms_utility_decides() -> None:
    one = pool("the stuff costs less", "goods", "the goods cost less", "the stuff costs less")

    assert choose([one], chrf_utilities(), TERMS.kept_in)[0].position == 2
    assert choose([one], chrf_utilities())[0].position == 0


def test_without_terms_or_utilities_the_models_choice_stays() -> None:
    assert choose([pool("b", "a", source="Nichts")], None, TERMS.kept_in)[0].position == 0


# --- COMET --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("comet_at_hand")
@pytest.mark.parametrize(("rerank", "kind"), [("mbr", "regression"), ("qe", "referenceless")])
def test_comet_reranks_reproducibly_and_raises_its_own_utility(
    rerank: Literal["mbr", "qe"], kind: str, comet_checkpoints: Path
) -> None:
    words = ["the", "house", "stands", "at", "the", "river", "and", "the", "river", "is", "wide"]
    draw = random.Random(1)
    pools = [
        pool(*(" ".join(draw.choices(words, k=draw.randint(2, 8))) for _ in range(4)), source="Das Haus steht am Fluss")
        for _ in range(4)
    ]
    settings = DecodingSettings(rerank=rerank, rerank_metric="comet", rerank_model=str(comet_checkpoints / kind))
    reranker = reranker_of(settings, Direction("de", "en"), None)
    assert reranker is not None
    assert reranker.utilities is not None

    choices = choose(pools, reranker.utilities)

    assert all(one.utility >= one.utility_before for one in choices)
    assert any(one.position for one in choices)
    assert [one.position for one in choose(pools, reranker.utilities)] == [one.position for one in choices]
