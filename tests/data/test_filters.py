"""Each reason to drop a record, and the account that is kept of them."""

from __future__ import annotations

import pytest

from alma_cli.core.dataset import Document, SourceReport
from alma_cli.core.languages import Direction
from alma_cli.data.files import Unreadable
from alma_cli.data.filters import Duplicates, HeldOutText, keep, normal_form, repair, unusable
from alma_cli.data.hold_out import hold_out
from alma_cli.data.readers import Pair

DE_EN = Direction("de", "en")


def pair(source: str, target: str) -> Pair:
    return Pair(DE_EN, source, target)


def report() -> SourceReport:
    return SourceReport("a.tsv", "", "parallel", "train", "de-en")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (pair("a", "b"), None),
        (pair("", "b"), "empty"),
        (pair("a", ""), "empty"),
        (pair("a\0", "b"), "control_characters"),
        (pair("a", "\ud83d"), "invalid_utf8"),
        (Document("de", ""), "empty"),
    ],
)
def test_text_that_no_model_can_learn_from_has_a_reason(record: Pair | Document, reason: str | None) -> None:
    assert unusable(record) == reason


@pytest.mark.parametrize(
    ("record", "repaired"),
    [
        (pair(" a ", "b\n"), pair("a", "b")),
        (pair("a\n b", "c\u2028d\r\ne"), pair("a b", "c d e")),
        (pair("a  b", "c\td"), pair("a  b", "c\td")),
        (Document("de", "\n a\nb \n"), Document("de", "a\nb")),
    ],
)
def test_white_space_is_repaired_and_documents_keep_their_lines(
    record: Pair | Document, repaired: Pair | Document
) -> None:
    assert repair(record) == repaired


def test_a_hundred_thousand_spaces_do_not_slow_the_repair() -> None:
    assert repair(pair("a" + " " * 100_000 + "b", "c")) == pair("a" + " " * 100_000 + "b", "c")


def test_every_record_read_is_kept_or_counted_under_a_reason() -> None:
    account = report()
    rows = [pair("a ", "b"), pair("a", "b"), Unreadable("invalid_utf8"), pair("", "b"), pair("c", "d")]
    assert list(keep(rows, account, (unusable, Duplicates()))) == [pair("a", "b"), pair("c", "d")]
    assert account.dropped == {"duplicate": 1, "invalid_utf8": 1, "empty": 1}
    assert (account.read, account.kept, account.repaired) == (5, 2, 1)


def test_a_pair_is_a_duplicate_in_either_direction() -> None:
    duplicates = Duplicates()
    assert duplicates(pair("a", "b")) is None
    assert duplicates(Pair(DE_EN.reverse, "b", "a")) == "duplicate"
    assert duplicates(pair("b", "a")) is None


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("„Straße“, sagte er!", "strasse sagte er"),
        ("\uff21\uff22 \u3000 c", "ab c"),
        ("Don't", "dont"),
        ("...", ""),
    ],
)
def test_text_is_compared_without_case_punctuation_and_width(text: str, normal: str) -> None:
    assert normal_form(text) == normal


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        (pair("Das ist ein Testsatz", "Something else."), "in_test_or_valid"),
        (pair("Etwas anderes.", "this is a TEST sentence!"), "in_test_or_valid"),
        (Pair(DE_EN.reverse, "This is a test sentence.", "Etwas anderes."), "in_test_or_valid"),
        (Pair(Direction("cs", "en"), "Něco jiného.", "This is a test sentence."), "in_test_or_valid"),
        (pair("Ja.", "Sure."), None),
        (pair("Sicher.", "Yes."), None),
        (pair("Ja!", "yes"), "in_test_or_valid"),
        (pair("This is a test sentence.", "Etwas anderes."), None),
        (pair("...", "Something"), None),
    ],
)
def test_training_pairs_that_share_a_side_with_a_test_pair_are_dropped(training: Pair, reason: str | None) -> None:
    held_out = HeldOutText(
        [pair("Das ist ein Testsatz.", "This is a test sentence."), pair("Ja.", "Yes."), pair("…", "!")]
    )
    assert held_out(training) == reason


@pytest.mark.parametrize(("text", "reason"), [("这是一个测试句子。", "in_test_or_valid"), ("是的。", None)])
def test_chinese_segments_are_measured_in_characters(text: str, reason: str | None) -> None:
    zh_en = Direction("zh", "en")
    assert HeldOutText([Pair(zh_en, text, "One.")])(Pair(zh_en, text, "Two.")) == reason


@pytest.mark.parametrize(("most", "held"), [(200, 5), (3, 3), (0, 0)])
def test_at_most_one_record_in_twenty_is_held_out(most: int, held: int) -> None:
    account = report()
    entries = [(account, pair(str(i), str(i))) for i in range(100)]
    account.read = account.kept = 100
    train, valid = hold_out(entries, most, seed=1)
    assert (len(train), len(valid)) == (100 - held, held)
    assert account.read == account.kept + sum(account.dropped.values())
    assert sorted(train + valid, key=lambda e: int(e[1].source)) == entries
    assert hold_out(entries, most, seed=1) == (train, valid)
