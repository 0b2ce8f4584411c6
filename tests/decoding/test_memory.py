"""The most similar pairs of a translation memory: exact ones first, then by chrF, always the same ones."""

from __future__ import annotations

import random

import pytest
from sacrebleu.metrics.chrf import CHRF

from alma_cli.decoding.memory import TranslationMemory

PAIRS = [
    ("Der Hund schläft vor dem Kamin.", "The dog sleeps by the fire."),
    ("Die Katze schläft vor dem Kamin.", "The cat sleeps by the fire."),
    ("Der Zug nach Hamburg fährt um acht.", "The train to Hamburg leaves at eight."),
    ("Der Zug nach Bremen fährt um neun.", "The train to Bremen leaves at nine."),
    ("Das Museum ist geschlossen.", "The museum is closed."),
]


@pytest.fixture(scope="module")
def memory() -> TranslationMemory:
    return TranslationMemory(PAIRS, "de")


def test_the_most_similar_pair_comes_first(memory: TranslationMemory) -> None:
    assert memory.nearest("Der Zug nach Hamburg fährt um zehn.", 2) == [PAIRS[2], PAIRS[3]]


def test_the_very_source_comes_before_all_with_all_its_translations() -> None:
    other = (PAIRS[1][0], "The cat is asleep by the fireplace.")
    memory = TranslationMemory([*PAIRS, other, PAIRS[0]], "de")

    assert memory.nearest(PAIRS[1][0], 3) == [PAIRS[1], other, PAIRS[0]]


def test_one_source_is_shown_once() -> None:
    again = (PAIRS[2][0], "At eight the train to Hamburg leaves.")

    chosen = TranslationMemory([*PAIRS, again], "de").nearest("Der Zug nach Hamburg fährt um elf.", 2)

    assert chosen == [PAIRS[2], PAIRS[3]]


@pytest.mark.parametrize(("source", "count"), [("Xyz 123", 3), ("", 3), (PAIRS[0][0], 0)])
def test_where_nothing_is_alike_or_wanted_nothing_is_found(source: str, count: int, memory: TranslationMemory) -> None:
    assert memory.nearest(source, count) == []


def test_an_empty_memory_has_nothing() -> None:
    assert TranslationMemory([], "de").nearest("Ja", 3) == []


def test_chinese_is_compared_by_two_characters() -> None:
    memory = TranslationMemory([("今天天气很好", "a"), ("股票价格上涨", "b")], "zh")

    assert memory.nearest("明天天气不好", 1) == [("今天天气很好", "a")]


def test_what_it_finds_in_thousands_of_pairs_is_what_chrf_finds_in_all() -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(3, 8))) for _ in range(300)]
    sources = [" ".join(draw.choices(words, k=draw.randint(4, 9))) for _ in range(1200)]
    memory = TranslationMemory([(source, "x") for source in sources], "de")
    metric, alike = CHRF(), 0
    for query in (" ".join(draw.choices(words, k=7)) for _ in range(5)):
        best = max(metric.sentence_score(source, [query]).score for source in sources)
        [(found, _)] = memory.nearest(query, 1)
        score = metric.sentence_score(found, [query]).score
        alike += score > best - 0.01
        assert score > 0.9 * best

    assert alike >= 4


def test_memories_are_told_apart_by_their_pairs(memory: TranslationMemory) -> None:
    assert memory.fingerprint == TranslationMemory(PAIRS, "de").fingerprint
    assert memory.fingerprint != TranslationMemory(PAIRS[1:], "de").fingerprint
