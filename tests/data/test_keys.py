"""Keys and signatures: what is taken for the same text, and how well signatures tell how similar texts are."""

from __future__ import annotations

import random

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from alma_cli.core.languages import Direction
from alma_cli.core.text.characters import Characters
from alma_cli.data.keys import SIGNATURE_BYTES, exact_keys, pair_keys, signatures
from alma_cli.data.records import Pair
from tests.data.hidden_text import exact_similarity

DE_EN = Direction("de", "en")
SENTENCE = "Der Hafen der kleinen Stadt war im Winter oft wochenlang zugefroren, und kein Schiff kam hinein."


def _similarity(one: str, other: str) -> float:
    first, second = signatures(Characters.of([one, other]))
    either = np.count_nonzero(first | second)
    return np.count_nonzero((first == second) & (first != 0)) / max(1, either)


def _finished(key: int) -> int:
    key %= 2**64
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        key = (key ^ key >> 33) * factor % 2**64
    return key ^ key >> 33


def test_equal_texts_have_equal_keys_and_others_have_not() -> None:
    keys = exact_keys(["Haus", "haus", "Haus", "", "Haus "])

    assert keys[0] == keys[2]
    assert len(set(keys.tolist())) == 4


def test_a_text_is_another_in_another_language() -> None:
    keys = exact_keys(["de", "en", "de"], ["Tag", "Tag", "Tag"])

    assert keys[0] == keys[2] != keys[1]


def test_where_one_column_ends_and_the_next_begins_makes_a_difference() -> None:
    keys = exact_keys(["ab", "a", "c"], ["c", "bc", "ab"])

    assert len(set(keys.tolist())) == 3


def test_keys_do_not_depend_on_the_process() -> None:
    # Of each column XXH3 of its UTF-8, added to the key so far times an odd number, through MurmurHash3's finisher.
    expected = _finished(_finished(xxh3_64_intdigest(b"de")) * 0x9E3779B97F4A7C15 + xxh3_64_intdigest(b"Tag"))

    assert exact_keys(["de"], ["Tag"]).tolist() == [expected]


def test_half_a_surrogate_pair_has_a_key_too() -> None:
    assert len(exact_keys(["\ud800"])) == 1


def test_no_texts_have_no_keys() -> None:
    assert exact_keys([]).shape == (0,)
    assert pair_keys([]).pair.shape == (0,)


def test_a_pair_is_the_same_whichever_language_is_its_source() -> None:
    pairs = [Pair(DE_EN, "Ja.", "Yes."), Pair(DE_EN.reverse, "Yes.", "Ja."), Pair(DE_EN, "Yes.", "Ja.")]

    keys = pair_keys(pairs).pair

    assert keys[0] == keys[1] != keys[2]


def test_a_signature_has_a_row_of_bytes_for_each_text() -> None:
    rows = signatures(Characters.of([SENTENCE, "", "kurz"]))

    assert (rows.shape, rows.dtype) == ((3, SIGNATURE_BYTES), np.uint8)


def test_a_signature_does_not_depend_on_the_texts_around_it() -> None:
    alone = signatures(Characters.of([SENTENCE]))[0]

    for texts in (["x" * 50, SENTENCE, "y" * 50], ["a", SENTENCE, "b"], ["", SENTENCE, ""]):
        assert (signatures(Characters.of(texts))[1] == alone).all()


def test_a_long_text_has_the_signature_that_its_grams_have_however_they_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = " ".join(random.Random(0).choices(SENTENCE.split(), k=500))
    whole = signatures(Characters.of([text]))

    monkeypatch.setattr("alma_cli.data.keys._AT_ONCE", 100)

    assert (signatures(Characters.of([text])) == whole).all()


def test_case_punctuation_and_spaces_do_not_change_a_signature() -> None:
    assert _similarity(SENTENCE, f"„{SENTENCE.upper().replace(' ', '  ').rstrip('.')}!“") == 1


def test_texts_with_nothing_in_common_are_not_similar() -> None:
    assert _similarity(SENTENCE, "Seven grey geese fly over the long bridge; nobody on it looks up to them.") < 0.05


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ja", "Ja, ja"),
        ("Seite 1", "Seite 2"),
        ("是", "不是"),
        ("Der Hund lief.\nThe dog ran.", "Die Katze lief.\nThe cat ran."),
        ("Der Hund lief.\nIt ran.", "Die Katze lief.\nIt ran."),
        ("今天下雨。\nIt rains.", "今天下雪。\nIt snows."),
    ],
)
def test_short_texts_with_different_words_are_not_similar(one: str, other: str) -> None:
    assert _similarity(one, other) < 0.8


def test_short_texts_that_are_equal_when_folded_are_similar() -> None:
    assert _similarity("Ja!", "ja") == 1


def test_texts_with_nothing_left_when_folded_are_like_nothing() -> None:
    assert _similarity("...", "?!") == 0
    assert not signatures(Characters.of(["...", "", "?!"])).any()


def test_signatures_estimate_the_exact_similarity() -> None:
    chance = random.Random(7)
    words = [f"{chance.choice('bdfgklmnprst')}{chance.choice('aeiou')}{number}" for number in range(400)]
    errors = []
    for _ in range(300):
        one = chance.choices(words, k=chance.randint(8, 60))
        other = [word if chance.random() < 0.95 else chance.choice(words) for word in one]
        errors.append(_similarity(" ".join(one), " ".join(other)) - exact_similarity(" ".join(one), " ".join(other)))

    assert abs(np.mean(errors)) < 0.01
    assert np.std(errors) < 0.04
