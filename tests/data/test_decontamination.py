"""Held-out text is found wherever it hides in training data, and only there."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.core.text.characters import Characters
from alma_cli.data.decontamination import HeldOutText
from alma_cli.data.held_out_index import HeldOutRecord
from alma_cli.data.key_table import KeyTable
from alma_cli.data.letters import WORD, Letters
from alma_cli.data.records import Pair
from tests.data.hidden_text import VARIANTS, alma_pairs, embedded, overlaps, side_of

DE_EN, ZH_EN = Direction("de", "en"), Direction("zh", "en")
LONG = Pair(
    DE_EN,
    "Der Fährmann sagte, er habe die Straße am anderen Ufer – seit jenem Winter – nie wieder betreten.",
    "The ferryman said that he hadn't set foot on the road on the well-known other bank since that winter.",
)
SHORT = Pair(DE_EN, "Der Mond schien nicht.", "No moon shone that night.")
TINY = Pair(DE_EN, "Guter Brunnen!", "Good well!")
BARE = Pair(DE_EN, "?!", "...")
CHINESE = Pair(ZH_EN, "摆渡人说，自从那个冬天以后，他再也没有走过对岸的路。", "He never did again.")
MIXED = Pair(ZH_EN, "请用 Linux 系统打开", "Open on Linux")
SET = [LONG, SHORT, TINY, BARE, CHINESE, MIXED]


@pytest.fixture(scope="module")
def held_out() -> HeldOutText:
    return HeldOutText.of([HeldOutRecord("test", place, pair) for place, pair in enumerate(SET, 1)], ngram_words=8)


def _found(held_out: HeldOutText, record: Pair | Document) -> str:
    number = int(overlaps(held_out, [record])[0])
    return held_out.found(number).text if number >= 0 else ""


@pytest.mark.parametrize("pair", SET)
def test_a_held_out_pair_is_found_in_either_direction(held_out: HeldOutText, pair: Pair) -> None:
    assert _found(held_out, pair) == pair.source
    assert _found(held_out, Pair(pair.direction.reverse, pair.target, pair.source)) == pair.source


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.lower,
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: unicodedata.normalize("NFKD", text.upper()),
        lambda text: text.replace(" – ", "—").replace(".", "").replace(",", ";"),
        lambda text: text.replace(" ", "-"),
        lambda text: text.replace(" ", ""),
        lambda text: text.replace("-", "").replace("'", "\u2019"),
        lambda text: text.replace("-", " ").replace("'", ""),
        lambda text: f"« {text} »",
        lambda text: "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text),
        lambda text: text.replace("e", "e\u00ad").replace(" ", "\u00a0\u200b "),
    ],
)
@pytest.mark.parametrize("side", [LONG.source, LONG.target, SHORT.source, SHORT.target])
def test_one_side_is_found_whatever_was_done_to_its_case_and_punctuation(
    held_out: HeldOutText, side: str, change: Callable[[str], str]
) -> None:
    assert _found(held_out, Pair(DE_EN, change(side), "something else")) == side


@pytest.mark.parametrize("side", [LONG.source, LONG.target, SHORT.source, CHINESE.source, MIXED.source])
@pytest.mark.parametrize("change", [str, str.upper, lambda text: text.replace("-", "").replace("–", ",")])
def test_a_sentence_is_found_in_a_longer_document(
    held_out: HeldOutText, side: str, change: Callable[[str], str]
) -> None:
    assert _found(held_out, Document("de", f"Davor steht etwas. {change(side)} Danach auch.")) == side


def test_eight_words_in_a_row_are_an_overlap_and_seven_are_none(held_out: HeldOutText) -> None:
    words = LONG.source.replace("–", "").split()

    assert _found(held_out, Document("de", "Und " + " ".join(words[3:11]) + " hier")) == LONG.source
    assert _found(held_out, Document("de", "Und " + " ".join(words[3:10]) + " hier")) == ""


def test_sixteen_chinese_characters_in_a_row_are_an_overlap_and_fifteen_are_none(held_out: HeldOutText) -> None:
    assert _found(held_out, Document("zh", "然而" + CHINESE.source[5:22] + "吗")) == CHINESE.source
    assert _found(held_out, Document("zh", "然而" + CHINESE.source[5:21] + "吗")) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Der Mond schien nichtig.",
        "Oder Mond schien nicht.",
        "Der Mond schien gestern nicht.",
        "Guter Brunnen!",
        "Guter Brunnen, gutes Wasser.",
        "Good well, good water.",
        "?!",
        "",
    ],
)
def test_what_is_no_overlap_is_left_alone(held_out: HeldOutText, text: str) -> None:
    assert _found(held_out, Document("de", text)) == ""
    assert _found(held_out, Pair(DE_EN, text, "Nothing to see here.")) == ""


def test_a_short_pair_is_found_in_a_longer_pair_with_both_sides(held_out: HeldOutText) -> None:
    longer = Pair(DE_EN, "Ein guter Brunnen, gutes Wasser.", "A GOOD WELL, good water.")

    assert _found(held_out, longer) == TINY.source
    assert _found(held_out, Pair(DE_EN.reverse, longer.target, longer.source)) == TINY.source


def test_two_sides_of_different_short_pairs_are_no_overlap(held_out: HeldOutText) -> None:
    assert _found(held_out, Pair(DE_EN, "Ein guter Brunnen.", "Please open on Linux.")) == ""


def test_a_pair_without_letters_is_another_in_other_languages(held_out: HeldOutText) -> None:
    assert _found(held_out, Pair(DE_EN, "? !", "...")) == "?!"
    assert _found(held_out, Pair(Direction("cs", "en"), "?!", "...")) == ""
    assert _found(held_out, Pair(DE_EN, "?", "...")) == ""


def test_each_record_gets_its_own_answer(held_out: HeldOutText) -> None:
    records = [Document("de", text) for text in ("", "Nichts.", SHORT.source, "", LONG.source, "Ende.", "")]

    assert (overlaps(held_out, records) >= 0).tolist() == [False, False, True, False, True, False, False]


def test_an_overlap_does_not_reach_from_one_record_into_the_next(held_out: HeldOutText) -> None:
    parts = [*SHORT.source.split(), *LONG.source.replace(" – ", " ").split()]
    records = [Document("de", part) for part in parts]

    assert (overlaps(held_out, records) < 0).all()


def test_no_records_have_no_overlaps(held_out: HeldOutText) -> None:
    assert held_out.overlaps([([], Characters.of([]))]).shape == (0,)


def test_nothing_overlaps_with_no_held_out_text() -> None:
    nothing = HeldOutText.of([], ngram_words=8)

    assert _found(nothing, LONG) == ""


def test_what_was_found_has_its_set_and_place(held_out: HeldOutText) -> None:
    found = held_out.found(int(overlaps(held_out, [Document("en", LONG.target)])[0]))

    assert (found.set, found.place, found.text) == ("test", 1, LONG.target)


def test_documents_can_be_held_out_as_well() -> None:
    records = [HeldOutRecord("pages", 7, Document("de", LONG.source)), HeldOutRecord("test", 1, TINY)]
    held_out = HeldOutText.of(records, ngram_words=8)

    assert _found(held_out, Document("de", f"Hier: {LONG.source}")) == LONG.source
    assert _found(held_out, TINY) == TINY.source


def test_what_is_saved_and_loaded_finds_the_same(held_out: HeldOutText, tmp_path: Path) -> None:
    held_out.save(tmp_path / "held-out")
    loaded = HeldOutText.load(tmp_path / "held-out")
    records = [*SET, Pair(DE_EN, "Etwas anderes.", "Something else.")]

    assert overlaps(loaded, records).tolist() == overlaps(held_out, records).tolist()
    assert loaded.sha256 == held_out.sha256
    assert loaded.found(3) == held_out.found(3)
    assert list(tmp_path.iterdir()) == [tmp_path / "held-out"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="held-out"):
        HeldOutText.load(tmp_path / "held-out")


def test_the_hash_tells_other_sentences_places_and_settings_apart() -> None:
    sets = [
        ([HeldOutRecord("test", 1, LONG)], 8),
        ([HeldOutRecord("test", 1, LONG)], 9),
        ([HeldOutRecord("test", 2, LONG)], 8),
        ([HeldOutRecord("valid", 1, LONG)], 8),
        ([HeldOutRecord("test", 1, SHORT)], 8),
    ]
    hashes = {HeldOutText.of(records, ngram_words=words).sha256 for records, words in sets}

    assert len(hashes) == len(sets)
    assert HeldOutText.of(sets[0][0], ngram_words=8).sha256 in hashes


def test_fewer_words_in_a_row_can_be_asked_for() -> None:
    held_out = HeldOutText.of([HeldOutRecord("test", 1, LONG)], ngram_words=5)

    assert _found(held_out, Document("de", "Wo er die Straße am anderen Ufer fand")) == LONG.source


def test_a_long_document_keeps_its_other_lines(held_out: HeldOutText) -> None:
    document = Document("de", f"Erste Zeile.\n{SHORT.source} Und mehr.\nDritte Zeile.")

    assert held_out.cut(document) == Document("de", "Erste Zeile.\nDritte Zeile.")


def test_a_document_is_given_up_where_the_overlap_goes_over_lines(held_out: HeldOutText) -> None:
    assert held_out.cut(Document("de", "Der Mond\nschien nicht.\nNoch etwas.")) is None
    assert held_out.cut(Document("de", SHORT.source)) is None


def test_words_are_counted_as_people_count_them() -> None:
    letters = Letters.of(Characters.of(["Don't ask", "well-known – man", "使用 Linux 系统", "", "3.5 km", "日本語"]))

    assert (letters.text_weights / WORD).tolist() == [2, 3, 3, 0, 3, 1.5]


@pytest.mark.parametrize("text", ["Straße", "ﬁnd", "한국어", "が", "½ m²", "İstanbul", "नमस्ते", "สวัสดีครับ", "ЙОД"])
def test_letters_are_the_same_however_they_are_encoded(text: str) -> None:
    forms = [text, text.upper(), *(unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD"))]

    letters = Letters.of(Characters.of(forms))
    keys = letters.hashes(letters.first_words[:-1], letters.starts[1:])

    assert len(set(keys.tolist())) == 1


def test_a_run_has_the_same_key_wherever_it_stands() -> None:
    texts = ["roter Fuchs", "x" * 9000 + " ein roter Fuchs"]

    letters = Letters.of(Characters.of(texts))
    keys = letters.hashes(np.array([0, 4]), letters.starts[1:])

    assert keys[0] == keys[1]


def test_a_table_finds_the_keys_it_has_with_their_least_numbers() -> None:
    keys = np.random.default_rng(0).integers(0, 2**64, 3000, dtype=np.uint64)
    table = KeyTable.of(np.concatenate((keys[:1000], keys[:1000])), np.arange(2000, dtype=np.int32)[::-1].copy())

    found, numbers = table.find(keys)

    assert found.tolist() == list(range(1000))
    assert numbers.tolist() == list(range(999, -1, -1))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_one_of_200_planted_wmt_pairs_is_found(shared_data: Path, variant: str, seed: int) -> None:
    test, train = alma_pairs(shared_data, "test"), [one.record for one in alma_pairs(shared_data, "train")]
    held_out = HeldOutText.of(test, ngram_words=8)
    chance = random.Random(seed)
    change = VARIANTS[variant]
    chosen = [one.record for one in chance.sample(test, 200)]
    hidden = [Pair(one.direction, change(one.source, chance), change(one.target, chance)) for one in chosen]
    longer = [embedded(pair, train, chance) for pair in hidden]
    weights = Letters.of(Characters.of([pair.source for pair in chosen])).text_weights
    documents = [side_of(pair) for pair, weight in zip(longer, weights, strict=True) if weight >= 4 * WORD]

    assert (overlaps(held_out, hidden) >= 0).all()
    assert (overlaps(held_out, longer) >= 0).all()
    assert (overlaps(held_out, documents) >= 0).all()
    assert len(documents) > 180


def test_next_to_nothing_is_found_in_training_data_as_it_is(shared_data: Path) -> None:
    held_out = HeldOutText.of(alma_pairs(shared_data, "test"), ngram_words=8)
    train = [one.record for one in alma_pairs(shared_data, "train")]

    # Slogans, idioms and "Time is running out.": nobody has put WMT'22 into ALMA's training data.
    assert 0 < np.count_nonzero(overlaps(held_out, train) >= 0) < len(train) / 500
