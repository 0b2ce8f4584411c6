"""The utilities of all with all are sacreBLEU's sentence scores, to the last digit that matters."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from alma_cli.decoding.ngrams import characters_of, count_ngrams, words_of
from alma_cli.decoding.utility import bleu_of_all, chrf_of_all

GOODS = [
    "The goods cost less than they did last year.",
    "The goods cost less than last year.",
    "Goods are cheaper than they were a year ago .",
    "The goods cost less than they did last year.",
    "The the the the the goods goods",
    "Goods",
    "G",
    "",
    "   ",
    "Das ist etwas ganz anderes, nämlich: 3,5 % mehr!",
    "\u201cEmoji\u201d 👍🏽 and \u202bעברית\u202c, e\u0301 and é",
    "a b",
    "one two three",
]
CHINESE = ["货物比去年便宜。", "这些货物的价格比去年低。", "货物 2024 年便宜 5%。", "", "货"]


@pytest.mark.parametrize("texts", [GOODS, CHINESE], ids=["words", "Chinese"])
def test_chrf_of_all_is_sacrebleus(texts: list[str]) -> None:
    expected = [[CHRF().sentence_score(one, [other]).score for other in texts] for one in texts]

    np.testing.assert_allclose(chrf_of_all(texts), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("texts", "target", "tokenizer"), [(GOODS, "en", "13a"), (CHINESE, "zh", "zh")])
def test_bleu_of_all_is_sacrebleus(texts: list[str], target: str, tokenizer: str) -> None:
    metric = BLEU(effective_order=True, tokenize=tokenizer)
    expected = [[metric.sentence_score(one, [other]).score for other in texts] for one in texts]

    np.testing.assert_allclose(bleu_of_all(texts, target), expected, rtol=1e-12, atol=1e-12)


def test_both_are_sacrebleus_on_random_texts() -> None:
    draw = random.Random(0)
    texts = [" ".join(draw.choices(["a", "the", "go", "od", "x.", "1,5"], k=draw.randint(0, 12))) for _ in range(40)]
    chrf, bleu = CHRF(), BLEU(effective_order=True)

    np.testing.assert_allclose(
        chrf_of_all(texts), [[chrf.sentence_score(one, [other]).score for other in texts] for one in texts], atol=1e-9
    )
    np.testing.assert_allclose(
        bleu_of_all(texts, "en"),
        [[bleu.sentence_score(one, [other]).score for other in texts] for one in texts],
        atol=1e-9,
    )


def test_matches_are_the_intersections_of_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alma_cli.decoding.ngrams._MOST_CELLS", 12)  # in blocks of a few columns
    texts = ["aaaa", "aa", "abab", "bababa", ""]

    totals, matches = count_ngrams([characters_of(text) for text in texts], 3)

    for order in range(3):
        counts = [Counter(text[i : i + order + 1] for i in range(len(text) - order)) for text in texts]
        assert totals[order].tolist() == [count.total() for count in counts]
        assert matches[order].tolist() == [[(one & other).total() for other in counts] for one in counts]


def test_nothing_at_all_has_nothing_in_common() -> None:
    assert chrf_of_all([]).shape == (0, 0)
    assert chrf_of_all([""]).tolist() == [[0]]
    assert chrf_of_all(["only"]) == pytest.approx(100)
    assert count_ngrams(words_of([[], []]), 2)[1].sum() == 0
