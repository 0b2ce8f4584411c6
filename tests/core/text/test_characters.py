"""Texts as one array of code points: counts, kinds, and the form in which they are compared."""

from __future__ import annotations

import sys
import unicodedata

import numpy as np
import pytest

from alma_cli.core.text.characters import (
    CONTROL,
    DIGIT,
    LETTER,
    MARK,
    PUNCTUATION,
    SPACE,
    SYMBOL,
    UNASSIGNED,
    Characters,
)


def folded(*texts: str) -> list[str]:
    characters = Characters.of(texts).folded
    return [characters.text(index) for index in range(len(texts))]


@pytest.mark.parametrize("texts", [[], [""], ["", "a", ""], ["Ä\u0308", "\ud83d", "\U0001f600", "\0"]])
def test_texts_come_back_as_they_were(texts: list[str]) -> None:
    characters = Characters.of(texts)
    assert [characters.text(index) for index in range(len(texts))] == texts
    assert characters.lengths.tolist() == [len(text) for text in texts]


def test_each_character_is_of_a_kind() -> None:
    kinds = Characters.of(
        ["a中\u0308", "7Ⅳ", "!“", "+€", " \u00a0\u3000\t\n\x85", "\0\ue000\ud800\u200b", "\u0378"]
    ).kinds
    assert kinds.tolist() == [
        *(LETTER, LETTER, MARK),
        *(DIGIT, DIGIT),
        *(PUNCTUATION, PUNCTUATION),
        *(SYMBOL, SYMBOL),
        *(SPACE,) * 6,
        *(CONTROL,) * 4,
        UNASSIGNED,
    ]


def test_every_code_point_has_the_kind_of_its_category() -> None:
    of_category = {"L": LETTER, "M": MARK, "N": DIGIT, "P": PUNCTUATION, "S": SYMBOL, "Z": SPACE, "C": CONTROL}
    some = [code for code in range(0, sys.maxunicode + 1, 7) if code != 0x85]
    categories = [unicodedata.category(chr(code)) for code in some]
    expected = [UNASSIGNED if category == "Cn" else of_category[category[0]] for category in categories]
    white_space = [chr(code) in "\t\n\v\f\r" for code in some]
    expected = [SPACE if white else kind for white, kind in zip(white_space, expected, strict=True)]
    assert Characters.of([chr(code) for code in some]).kinds.tolist() == expected


def test_characters_are_counted_by_text() -> None:
    characters = Characters.of(["a1b2", "", "33", "c"])
    assert characters.count(characters.kinds == DIGIT).tolist() == [2, 0, 2, 0]


def test_a_table_is_looked_up_for_more_characters_than_one_piece_has() -> None:
    table = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    table[ord("b")] = 7
    assert Characters.of(["a" * 200_000 + "b"]).look_up(table).sum() == 7


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("„Straße“, sagte er!", "strase sagte er"),
        ("\uff21\uff22 \u3000 c", "ab c"),
        ("Don't", "dont"),
        ("Ñandú", "ñandú"),
        ("e\u0301", "e"),
        (" . a  .  b . ", "a b"),
        ("...", ""),
        ("  ", ""),
        ("", ""),
        ("x²", "x2"),
        ("ﬁn", "fn"),
        ("a\0b", "ab"),
    ],
)
def test_texts_are_compared_without_case_width_and_punctuation(text: str, form: str) -> None:
    assert folded(text) == [form]


def test_spaces_are_folded_within_a_text_and_never_across_two() -> None:
    assert folded("a ", " b", " ", "- -", "c - d", " .e. ") == ["a", "b", "", "", "c d", "e"]


def test_folding_does_not_depend_on_where_the_pieces_are_cut() -> None:
    text = "Ab  c, d. " * 20_000
    assert folded(text, "E f ")[0] == " ".join(["ab c d"] * 20_000)
    assert folded(text, "E f ")[1] == "e f"
