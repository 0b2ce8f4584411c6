"""TER's edits are sacreBLEU's own, whatever the texts."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from sacrebleu.metrics.lib_ter import BeamEditDistance, _flip_trace, trace_to_alignment
from sacrebleu.metrics.ter import TER

from alma_cli.scoring.metrics import measure
from alma_cli.scoring.shifts import MOST_TRIED, distances_after_shifts, possible_shifts, shifted
from alma_cli.scoring.ter_statistics import Search, finish
from alma_cli.scoring.word_alignment import Reference, align


def edited(words: list[str], vocabulary: list[str], chance: random.Random) -> list[str]:
    """Some runs exchanged, some words lost, others replaced."""
    for _ in range(chance.randint(0, 3)):
        first, second, end = sorted(chance.choices(range(len(words) + 1), k=3))
        words = [*words[:first], *words[second:end], *words[first:second], *words[end:]]
    return [chance.choice(vocabulary) if chance.random() < 0.2 else word for word in words if chance.random() > 0.1]


def texts(seed: int, *, segments: int, words: int, vocabulary: int) -> tuple[list[str], list[str]]:
    """Hypotheses and references of up to so many words, half of the hypotheses edited references."""
    chance = random.Random(seed)
    known = [f"W{n}" for n in range(vocabulary)]
    references = [chance.choices(known, k=chance.randint(0, words)) for _ in range(segments)]
    hypotheses = [
        edited(one, known, chance) if chance.random() < 0.5 else chance.choices(known, k=chance.randint(0, words))
        for one in references
    ]
    return [" ".join(one) for one in hypotheses], [" ".join(one) for one in references]


def assert_equal_to_sacrebleu(hypotheses: list[str], references: list[list[str]]) -> None:
    (measured,) = measure("ter", [hypotheses], references, "en")
    assert measured.statistics.tolist() == TER()._extract_corpus_statistics(hypotheses, references)


@pytest.mark.parametrize("vocabulary", [1, 2, 3, 5, 8, 13, 21])
@pytest.mark.parametrize("seed", range(4))
def test_short_texts_of_few_words_have_the_edits_of_sacrebleu(seed: int, vocabulary: int) -> None:
    hypotheses, references = texts(seed, segments=40, words=12, vocabulary=vocabulary)
    assert_equal_to_sacrebleu(hypotheses, [references])


@pytest.mark.parametrize("vocabulary", [10, 25, 60])
@pytest.mark.parametrize("seed", range(4))
def test_sentences_have_the_edits_of_sacrebleu(seed: int, vocabulary: int) -> None:
    hypotheses, references = texts(seed, segments=10, words=40, vocabulary=vocabulary)
    assert_equal_to_sacrebleu(hypotheses, [references])


@pytest.mark.parametrize(("words", "vocabulary"), [(90, 60), (120, 300), (250, 2500)])
def test_texts_longer_than_the_beam_is_wide_have_the_edits_of_sacrebleu(words: int, vocabulary: int) -> None:
    hypotheses, references = texts(words, segments=3, words=words, vocabulary=vocabulary)
    assert_equal_to_sacrebleu(hypotheses, [references])


@pytest.mark.parametrize(("ours", "theirs"), [(1, 200), (3, 160), (4, 60), (60, 4), (200, 1), (200, 30)])
def test_lengths_that_differ_widely_are_compared_as_sacrebleu_does(ours: int, theirs: int) -> None:
    words = [f"W{n % 37}" for n in range(ours)]
    others = [f"W{(n * 5 + 3) % 41}" for n in range(theirs)]
    assert_equal_to_sacrebleu([" ".join(words)], [[" ".join(others)]])


@pytest.mark.parametrize(
    ("vocabulary", "shifts"),
    [
        ("abc", 0),  # 1,000 are tried before the first shift is taken
        ("abcde", 2),  # after two shifts
        ("abcdefghijkl", 4),  # after four, by the thousandth
    ],
)
def test_a_search_ends_where_sacrebleu_has_tried_too_many_shifts(vocabulary: str, shifts: int) -> None:
    chance = random.Random(55)
    reference, hypothesis = chance.choices(vocabulary, k=55), chance.choices(vocabulary, k=55)
    search = Search(hypothesis, Reference(reference))

    finish([search])

    assert search.shifts == shifts
    assert search.tried >= MOST_TRIED
    assert_equal_to_sacrebleu([" ".join(hypothesis)], [[" ".join(reference)]])


@pytest.mark.parametrize(
    ("hypothesis", "reference"),
    [
        ("", ""),
        ("", "a b c"),
        ("a b c", ""),
        (" ", "\u3000"),
        ("A b C", "a B c"),
        ("b a", "a b"),
        ("今天 天气 很 好 。", "天气 今天 很 好 。"),
        ("今天天气很好。", "今天的天气很好。"),
        ("猫は 魚を 食べた。 昨日", "昨日 猫は 魚を 食べた。"),
        ("&quot;a&quot; b\u2028c", '"a" b c'),
        ("\ud800 x y", "y x \ud800"),
    ],
)
def test_odd_texts_have_the_edits_of_sacrebleu(hypothesis: str, reference: str) -> None:
    assert_equal_to_sacrebleu([hypothesis], [[reference]])


@pytest.mark.parametrize("sets", [2, 3])
def test_the_closest_of_several_references_counts_and_their_mean_length(sets: int) -> None:
    hypotheses, first = texts(sets, segments=60, words=15, vocabulary=6)
    others = [texts(seed, segments=60, words=15, vocabulary=6)[1] for seed in range(10, 9 + sets)]
    assert_equal_to_sacrebleu(hypotheses, [first, *others])


def test_more_segments_than_are_searched_at_once_keep_their_order() -> None:
    hypotheses, references = texts(0, segments=1100, words=4, vocabulary=3)
    assert_equal_to_sacrebleu(hypotheses, [references])


@pytest.mark.parametrize("direction", ["de-en", "en-de", "cs-en", "en-ru", "is-en", "en-zh", "zh-en"])
def test_real_outputs_have_the_edits_of_sacrebleu(shared_data: Path, direction: str) -> None:
    source, target = direction.split("-")
    published = shared_data / "alma" / "wmt22"
    system, test_set = (
        (published / folder / f"{source}{target}" / f"test.{direction}.{target}").read_text("utf-8").split("\n")[:-1]
        for folder in ("ALMA-13B-R", "wmt-testset")
    )
    assert_equal_to_sacrebleu(system[::80], [test_set[::80]])


@pytest.mark.parametrize("words", [5, 30, 80, 200])
@pytest.mark.parametrize("seed", range(5))
def test_words_are_aligned_as_sacrebleu_aligns_them(seed: int, words: int) -> None:
    hypotheses, references = texts(seed, segments=12, words=words, vocabulary=words)
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        ours, theirs = hypothesis.split(), reference.split()
        aligned = align(ours, Reference(theirs))

        distance, trace = BeamEditDistance(theirs)(ours)
        places, reference_errors, errors = trace_to_alignment(_flip_trace(trace))
        assert aligned.distance == distance
        assert aligned.boundaries == [0, *(places[n] + 1 for n in range(len(theirs)))]
        assert [n for n in range(len(ours)) if aligned.next_errors[n] == n] == np.flatnonzero(errors).tolist()
        wrong = [n for n in range(len(theirs)) if aligned.next_reference_errors[n] == n]
        assert wrong == np.flatnonzero(reference_errors).tolist()


def test_a_path_outside_the_beam_is_not_found() -> None:
    words = [f"W{n}" for n in range(80)]
    aligned = align([*words[27:], *words[:27]], Reference(words))
    assert aligned.rows.distance == 27 + 27  # lost at the beginning, and added at the end: 27 words off the diagonal
    assert aligned.distance == 80  # every word is another one


@pytest.mark.parametrize("words", [12, 20, 64, 65, 150])
def test_distances_after_shifts_are_those_of_the_shifted_words(words: int) -> None:
    chance = random.Random(words)
    lines = [chance.choices("abcdefghijklmnop", k=words) for _ in range(6)]
    references = [Reference(edited(line, [*"abcdef"], chance) or ["a"]) for line in lines]
    aligned = [align(line, reference) for line, reference in zip(lines, references, strict=True)]
    shifts = [
        sorted(possible_shifts(line, reference, one, 10)[0])[::7]
        for line, reference, one in zip(lines, references, aligned, strict=True)
    ]
    pairs = [(owner, number) for owner, some in enumerate(shifts) for number in some]
    owners, numbers = np.array(pairs, dtype=np.int64).reshape(-1, 2).T

    found = distances_after_shifts(aligned, numbers, owners)

    expected = [align(shifted(lines[owner], n), references[owner]).rows.distance for owner, n in pairs]
    assert found.tolist() == expected != []
