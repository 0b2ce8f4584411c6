"""Long texts in pieces: nothing is left out, nothing is longer than allowed, and tags stay with what they enclose."""

from __future__ import annotations

import pytest

from alma_cli.decoding import pieces

SENTENCES = "Das ist der erste Satz. Hier kommt der zweite! Und der dritte?"


def test_a_short_text_is_one_piece() -> None:
    assert pieces.split(SENTENCES, "de", most_letters=100) == [(SENTENCES, "")]


def test_a_longer_text_is_its_sentences() -> None:
    found = pieces.split(SENTENCES, "de", most_letters=60)

    assert [piece for piece, _ in found] == ["Das ist der erste Satz.", "Hier kommt der zweite!", "Und der dritte?"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (SENTENCES * 20, "de"),
        ("Wort " * 3000, "de"),
        ("x" * 5000, "de"),
        ("a, b; c " * 700, "en"),
        ("他们来了。" * 300, "zh"),
        ("我" * 2000, "zh"),
        ("  " + SENTENCES * 9 + " \n", "de"),
        ("a" + " " * 3000 + "b", "de"),
    ],
)
def test_the_pieces_are_the_text_and_none_is_too_long(text: str, code: str) -> None:
    found = pieces.split(text, code, most_letters=300)

    assert "".join(piece + after for piece, after in found) == text
    assert max(len(piece) for piece, _ in found) <= (100 if code == "zh" else 300)


def test_a_sentence_that_is_too_long_is_cut_where_it_pauses() -> None:
    text = "Als er kam, war niemand da; also ging er wieder, ohne zu fragen, nach Hause zu den anderen zurück"

    found = pieces.split(text, "de", most_letters=60)

    assert [piece for piece, _ in found] == [
        "Als er kam, war niemand da;",
        "also ging er wieder, ohne zu fragen,",
        "nach Hause zu den anderen zurück",
    ]


def test_tags_stay_with_what_they_enclose() -> None:
    found = pieces.by_sentences("Eins <1>zwei. Drei</1> vier. Fünf sechs.", "de")

    assert [piece for piece, _ in found] == ["Eins <1>zwei. Drei</1> vier.", "Fünf sechs."]


@pytest.mark.parametrize(
    ("between", "code", "expected"),
    [
        ([" ", ""], "en", "A. B."),
        (["", ""], "en", "A. B."),
        ([" ", ""], "zh", "A.B."),
        (["\n\n", ""], "zh", "A.\n\nB."),
    ],
)
def test_translations_are_joined_as_their_language_does(between: list[str], code: str, expected: str) -> None:
    assert pieces.join(["A.", "B."], between, code) == expected
