"""Rows that repeat earlier ones: which stay, in whatever memory and however the rows are cut into blocks."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from alma_cli.core.text.characters import Characters
from alma_cli.data.duplicates import beyond_the_cap, near_duplicates
from alma_cli.data.keys import SIGNATURE_BYTES, exact_keys, signatures

SENTENCES = (
    "Der Hafen der kleinen Stadt war im Winter oft wochenlang zugefroren, und kein Schiff kam hinein.",
    "Im Frühjahr wurde das Eis auf dem Fluss dünn, und die Kinder durften nicht mehr hinaus.",
    "Niemand im Dorf wusste, wer den alten Brunnen gegraben hatte, doch sein Wasser war das beste.",
)


def _in_blocks(rows: npt.NDArray[Any], size: int) -> Callable[[], list[npt.NDArray[Any]]]:
    return lambda: [rows[first : first + size] for first in range(0, len(rows), size)]


def _near(texts: Sequence[str], similarity: float = 0.8, block: int = 2, **budget: int) -> dict[int, int]:
    rows = signatures(Characters.of(texts))
    dropped, like = near_duplicates(_in_blocks(rows, block), np.ones(len(texts), bool), similarity, **budget)
    return dict(zip(dropped.tolist(), like.tolist(), strict=True))


@pytest.mark.parametrize(("most", "expected"), [(1, [2, 3, 5]), (2, [3, 5]), (3, [5]), (4, [])])
def test_the_first_rows_of_each_key_stay(most: int, expected: list[int]) -> None:
    keys = exact_keys(["a", "b", "a", "a", "c", "a"])

    assert beyond_the_cap(_in_blocks(keys, 4), np.ones(6, bool), most).tolist() == expected


def test_rows_that_are_not_kept_do_not_count() -> None:
    keys = exact_keys(["a", "a", "a"])

    assert beyond_the_cap(_in_blocks(keys, 1), np.array([False, True, True]), 1).tolist() == [2]


def test_no_rows_have_no_duplicates() -> None:
    nothing = np.zeros(0, bool)

    assert beyond_the_cap(lambda: [], nothing, 1).tolist() == []
    assert near_duplicates(lambda: [], nothing, 0.8)[0].tolist() == []


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("budget", [2**12, 2**16, 2**28])
def test_any_budget_finds_what_counting_finds(most: int, budget: int) -> None:
    chance = random.Random(most)
    texts = [str(chance.randrange(1500)) for _ in range(4000)]
    kept = np.array([chance.random() < 0.9 for _ in texts])
    seen: Counter[str] = Counter()
    expected = []
    for row in np.flatnonzero(kept).tolist():
        if seen[texts[row]] >= most:
            expected.append(row)
        seen[texts[row]] += 1

    assert beyond_the_cap(_in_blocks(exact_keys(texts), 333), kept, most, budget=budget).tolist() == expected


def test_of_nearly_equal_texts_the_first_stays() -> None:
    texts = [*SENTENCES, SENTENCES[1].replace("dünn", "dünner"), SENTENCES[0].upper(), SENTENCES[1] + " Nie."]

    assert _near(texts) == {3: 1, 4: 0, 5: 1}


def test_a_dropped_row_is_like_a_row_that_stays() -> None:
    # Each is like the one before it, the last one like no other.
    chain = [SENTENCES[0]]
    for word in ("kleinen", "Winter", "oft", "wochenlang", "zugefroren", "Schiff"):
        chain.append(chain[-1].replace(word, word[::-1]))

    found = _near(chain, 0.7)

    assert set(found.values()).isdisjoint(found)
    assert 0 < len(found) < len(chain) - 1


def test_rows_that_are_not_kept_are_not_compared() -> None:
    rows = signatures(Characters.of([SENTENCES[0], SENTENCES[0], SENTENCES[0]]))

    dropped, like = near_duplicates(_in_blocks(rows, 2), np.array([False, True, True]), 0.8)

    assert (dropped.tolist(), like.tolist()) == ([2], [1])


def test_texts_of_punctuation_only_are_no_near_duplicates() -> None:
    assert _near(["...", "?!", "—", ""]) == {}


def test_sentences_that_differ_in_a_word_of_few_are_no_near_duplicates() -> None:
    assert (
        _near(["Der Hund lief.\nThe dog ran.", "Die Katze lief.\nThe cat ran.", "Der Hahn lief.\nThe cock ran."]) == {}
    )


def test_the_threshold_decides() -> None:
    texts = [SENTENCES[2], SENTENCES[2].replace("alten", "neuen")]

    assert _near(texts, 0.7) == {1: 0}
    assert _near(texts, 0.95) == {}


def test_a_thousand_variants_of_one_text_leave_the_first() -> None:
    texts = [f"{SENTENCES[0]} {SENTENCES[1]} {SENTENCES[2]} Nr. {number}" for number in range(1000)]

    assert _near(texts, block=64) == dict.fromkeys(range(1, 1000), 0)


@pytest.mark.parametrize("budget", [2**14, 2**18])
def test_near_duplicates_are_found_in_any_memory(budget: int) -> None:
    chance = random.Random(3)
    words = SENTENCES[0].split() + SENTENCES[1].split() + SENTENCES[2].split()
    texts = [" ".join(chance.choices(words, k=20)) for _ in range(400)]
    texts += [text + " und" for text in texts[:200]]

    assert _near(texts, block=100, budget=budget) == {400 + row: row for row in range(200)}


def test_the_result_does_not_depend_on_the_blocks() -> None:
    chance = random.Random(4)
    words = SENTENCES[0].split()
    texts = [" ".join(chance.choices(words, k=8)) for _ in range(600)]

    assert _near(texts, 0.6, block=7) == _near(texts, 0.6, block=600)


@pytest.mark.parametrize("alike", [False, True])
def test_memory_stays_within_the_budget(alike: bool) -> None:
    rows = np.random.default_rng(0).integers(1, 255, (60_000, SIGNATURE_BYTES), dtype=np.uint8)
    if alike:
        rows[:, 12:] = 7
    budget = 2**22
    kept = np.ones(len(rows), bool)
    tracemalloc.start()

    near_duplicates(_in_blocks(rows, 5000), kept, 0.8, budget=budget)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # What is remembered comes on top: of each row up to 2 pairs of 16 bytes, four times while they are put in order.
    assert peak < 2 * budget + len(rows) * 2 * 16 * 4
