"""The steps of cleaning: their order, what each of the recipe's settings does, and what is repaired."""

from __future__ import annotations

import pickle
import time

import pytest

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import Filters, PairFilters
from alma_cli.data.cleaning import Cleaner
from alma_cli.data.reasons import REASONS, reasons_table
from alma_cli.data.records import Pair

DE_EN = Direction("de", "en")
GERMAN, ENGLISH = "Die alte Brücke wird im Sommer gesperrt.", "The old bridge will be closed in summer."


def pair(source: str, target: str) -> Pair:
    return Pair(DE_EN, source, target)


def reason(source: str, target: str, filters: PairFilters | None = None) -> str | None:
    return Cleaner(filters or PairFilters(), "train")([pair(source, target)]).reasons[0]


def document_reason(text: str, filters: Filters | None = None) -> str | None:
    return Cleaner(filters or Filters(), "train")([Document("de", text)]).reasons[0]


def count_words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_nothing_comes_of_nothing() -> None:
    cleaned = Cleaner(PairFilters(), "train")([])
    assert (cleaned.records, cleaned.reasons, cleaned.repaired, cleaned.tokens) == ([], [], 0, [])


@pytest.mark.parametrize(
    ("source", "target", "clean"),
    [
        (f" {GERMAN} ", f"{ENGLISH}\n", (GERMAN, ENGLISH)),
        ("Die Brücke\n ist zu.", "The bridge\u2028is\r\nclosed.", ("Die Brücke ist zu.", "The bridge is closed.")),
        ("Die Brücke  ist zu.", "The bridge\tis closed.", ("Die Brücke  ist zu.", "The bridge\tis closed.")),
        ("\x84Die Br\xfccke\x93 ist zu.", "The bridge is closed.", ("„Die Brücke“ ist zu.", "The bridge is closed.")),
        ("Wald &amp; Wiese", "Woods & meadows", ("Wald & Wiese", "Woods & meadows")),
        ("Wald &amp; Wiese", "Woods &amp; meadows", ("Wald &amp; Wiese", "Woods &amp; meadows")),
        ("5&nbsp;Kilo &#8211; mehr nicht", "5 kilos, no more", ("5\xa0Kilo – mehr nicht", "5 kilos, no more")),
    ],
)
def test_what_can_be_put_right_is(source: str, target: str, clean: tuple[str, str]) -> None:
    cleaned = Cleaner(PairFilters(), "train")([pair(source, target)])
    assert cleaned.reasons == [None]
    assert (cleaned.records[0].source, cleaned.records[0].target) == clean
    assert cleaned.repaired == (clean != (source, target))


def test_lines_of_boilerplate_are_taken_out_of_a_document() -> None:
    text = f"Startseite\n{GERMAN}\n  Weiterlesen \n\n{GERMAN[::-1]}\n"
    cleaned = Cleaner(Filters(language=False), "train")([Document("de", text)])
    assert cleaned.records == [Document("de", f"{GERMAN}\n\n{GERMAN[::-1]}")]
    assert (cleaned.reasons, cleaned.repaired) == ([None], 1)


def test_records_keep_their_order_their_direction_and_who_was_repaired_is_counted() -> None:
    records = [pair(GERMAN, ENGLISH), Pair(DE_EN.reverse, ENGLISH, GERMAN + " "), pair("", "x"), pair(GERMAN, GERMAN)]
    cleaned = Cleaner(PairFilters(), "train")(records)
    assert cleaned.records[:2] == [records[0], Pair(DE_EN.reverse, ENGLISH, GERMAN)]
    assert cleaned.reasons == [None, None, "empty", "copied_source"]
    assert cleaned.repaired == 1


def test_the_first_reason_in_the_order_of_the_table_is_given() -> None:
    wrong_in_every_way = pair("f\ufffd \0" + "ha " * 50, "fÃ¼r")
    assert Cleaner(PairFilters(), "train")([wrong_in_every_way]).reasons == ["invalid_utf8"]
    assert reason("fÃ¼r \0" + "ha " * 50, "for") == "mojibake"
    assert reason("\0" + "ha " * 50, "for") == "control_characters"
    assert reason("ha " * 50, "for") == "repetition"


@pytest.mark.parametrize(
    ("source", "target", "why", "off"),
    [
        ("fÃ¼r", "for", "mojibake", {"characters": False, "language": False}),
        ("a\x07b", "ab", "control_characters", {"characters": False}),
        ("<b>Das</b>", "That", "markup", {"characters": False}),
        ("---", "***", "mostly_symbols", {"characters": False}),
        ("Nein " * 20, "No", "repetition", {"repetition": False, "max_length_ratio": None}),
        ("Weiterlesen", "Read more", "boilerplate", {"boilerplate": False}),
        (GERMAN, GERMAN, "copied_source", {"copied_source": False, "language": False}),
        (GERMAN * 3, "Closed", "length_ratio", {"max_length_ratio": None}),
        (GERMAN * 3, "The old bridge", "length_ratio", {"max_length_ratio": 20}),
        ("Siehe www.a.example/b", "See www.a.example/c", "urls", {"urls": False}),
        ("Im Jahr 1987", "In the year 1978", "numbers", {"numbers": False}),
        (ENGLISH, GERMAN, "sides_swapped", {"language": False}),
        (ENGLISH, "The bridge is closed for good.", "wrong_language", {"language": False}),
    ],
)
def test_each_setting_of_the_recipe_turns_its_steps_off(
    source: str, target: str, why: str, off: dict[str, object]
) -> None:
    assert reason(source, target) == why
    assert reason(source, target, PairFilters.model_validate(off)) is None


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [("", "a", "empty"), ("\ud83d", "a", "invalid_utf8"), ("a\0", "a", "control_characters")],
)
def test_what_no_model_can_read_goes_whatever_the_recipe_says(source: str, target: str, why: str) -> None:
    assert reason(source, target, PairFilters(characters=False, boilerplate=False, language=False)) == why


def test_a_test_set_loses_what_is_unreadable_or_empty_and_nothing_else() -> None:
    records = [
        pair("fÃ¼r", "für"),
        pair(GERMAN, GERMAN),
        pair("Weiterlesen &amp; \x84so\x93", "Read on"),
        pair("", "a"),
        pair("a", "\udc00"),
        pair(" a\nb ", "c"),
    ]
    cleaned = Cleaner(PairFilters(max_tokens=1), "test", count_words)(records)
    assert cleaned.reasons == [None, None, None, "empty", "invalid_utf8", None]
    assert cleaned.records[:3] == records[:3]
    assert cleaned.records[5] == pair("a b", "c")


def test_texts_with_too_few_or_too_many_tokens_are_left_out() -> None:
    clean = Cleaner(PairFilters(min_tokens=2, max_tokens=7), "train", count_words)
    cleaned = clean(
        [pair("Die alte Brücke", "The old bridge"), pair("Ja.", "Oh yes."), pair(GERMAN, ENGLISH), pair("", "")]
    )
    assert cleaned.reasons == [None, "too_short", "too_long", "empty"]
    assert cleaned.tokens == [(3, 3), (1, 2), (7, 8), ()]


def test_tokens_are_counted_only_where_the_recipe_limits_them() -> None:
    assert Cleaner(PairFilters(), "train", count_words)([pair(GERMAN, ENGLISH)]).tokens == []
    assert Cleaner(Filters(max_tokens=9), "train", count_words)([Document("de", GERMAN)]).tokens == [(7,)]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Windows 10", "Windows 10"),
        ("Johann Sebastian Bach", "Johann Sebastian Bach"),
        ("git clone", "git clone"),
        ("ISO 9001:2015", "ISO 9001:2015"),
        ("NATO, UNO, EU", "NATO, UNO, EU"),
        ("info@beispiel.example", "info@beispiel.example"),
    ],
)
def test_names_terms_and_numbers_may_be_the_same_on_both_sides(source: str, target: str) -> None:
    assert reason(source, target) is None


@pytest.mark.parametrize(
    ("source", "target", "agree"),
    [
        ("1.250,50 Euro", "€1,250.50", True),
        ("am 3. 10. 1990", "on October 3, 1990", True),
        ("12 und 34", "34 and 12", True),
        ("20.15 Uhr", "8:15 p.m.", True),
        ("gegen 23.45 Uhr", "at about 11.45", True),
        ("am Bahnhof 1987", "at the station in 1978", False),
        ("100 km", "62 miles", True),
        ("fünfzig", "50", True),
        ("zwei Millionen 500", "2.5 million", True),
        ("um 14 Uhr", "at 14:00", True),
        ("COVID-19 im Jahr 2020", "the pandemic of 2020", True),
        ("im Jahr 1987", "in 1978", False),
        ("35 Leute", "53 people", False),
        ("1.250 Leute", "1,520 people", False),
        ("von 10 bis 20 Leuten", "from 10 to 30 people", False),
    ],
)
def test_numbers_disagree_only_where_nothing_explains_it(source: str, target: str, agree: bool) -> None:
    assert reason(source, target) == (None if agree else "numbers")


@pytest.mark.parametrize(
    ("source", "target", "agree"),
    [
        ("Siehe https://www.a.example/.", "See http://a.example", True),
        ("Das meldet der Anzeiger.", "The www.anzeiger.example reports this.", True),
        ("Siehe https://a.example/x.", "See there.", False),
        ("Siehe https://a.example/x.", "See https://a.example/y.", False),
        ("Siehe www.a.example.", "See www.b.example.", False),
        ("An a@b.example", "To c@b.example", False),
    ],
)
def test_addresses_have_to_be_the_same(source: str, target: str, agree: bool) -> None:
    assert reason(source, target) == (None if agree else "urls")


@pytest.mark.parametrize(
    ("direction", "source", "target", "why"),
    [
        (
            "zh-en",
            "经过长时间的谈判，双方终于签署了合同。",
            "After long negotiations both sides have signed a contract.",
            None,
        ),
        ("zh-en", "好。", "After long negotiations both sides finally signed the contract.", "length_ratio"),
        (
            "ja-en",
            "長い交渉の末、双方は契約に署名した。",
            "After long negotiations both sides signed the contract.",
            None,
        ),
    ],
)
def test_a_character_of_chinese_is_worth_several_of_english(
    direction: str, source: str, target: str, why: str | None
) -> None:
    cleaned = Cleaner(PairFilters(), "train")([Pair(Direction.parse(direction), source, target)])
    assert cleaned.reasons == [why]


def test_a_long_document_is_not_given_up_for_a_few_characters() -> None:
    text = "\n".join(f"{GERMAN} Das war der Satz mit der Nummer {number}." for number in range(100))
    assert document_reason(text + "\ufffd\x07 fÃ¼r") is None
    assert document_reason(text[:500] + "\ufffd" * 5) == "invalid_utf8"
    assert document_reason(text + "\0") == "control_characters"
    assert document_reason(text[:500] + " fÃ¼r schÃ¶n grÃ¼n") == "mojibake"


def test_a_verdict_is_the_same_alone_and_in_company() -> None:
    records = [pair(GERMAN, ENGLISH), pair(ENGLISH, GERMAN), pair("Ja aaaaaaaaaaaaaaa", "Yes"), pair("1 <b>", "&")] * 50
    clean = Cleaner(PairFilters(), "train")
    assert clean(records).reasons == [clean([record]).reasons[0] for record in records[:4]] * 50


def test_a_cleaner_goes_to_other_processes() -> None:
    cleaner = pickle.loads(pickle.dumps(Cleaner(PairFilters(), "train")))
    assert cleaner([pair(GERMAN, ENGLISH)]).reasons == [None]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000,
        "a@" * 100_000,
        "<a " * 100_000,
        "Ä?a " * 50_000,
        "аБВГ " * 50_000,
        "1 000 " * 50_000,
        "&amp" * 50_000,
        "銆" + "字" * 200_000,
        "x | " * 50_000,
        "www." * 50_000,
        " " * 200_000 + "a" + " " * 200_000 + "b",
    ],
)
def test_a_hostile_line_takes_no_longer_than_a_long_one(text: str) -> None:
    start = time.process_time()
    Cleaner(PairFilters(), "train")([pair(text, text[::-1]), pair(text, "a")])
    Cleaner(Filters(), "train")([Document("de", text)])
    assert time.process_time() - start < 10


def test_every_reason_has_one_line_of_meaning() -> None:
    assert all(meaning and "\n" not in meaning for meaning in REASONS.values())
    assert reasons_table().count("\n") == len(REASONS) + 2
