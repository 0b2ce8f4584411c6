"""Terms are found as they are inflected and written, the longest first, and what is kept to them is counted."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from alma_cli.core.languages import Direction
from alma_cli.decoding.glossary import Adherence, Glossary, Term
from alma_cli.decoding.term_words import TermIndex, contains
from alma_cli.errors import InputError

DE_EN = Direction("de", "en")


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("Die Ware ist da.", "Ware"),
        ("Die Waren sind da.", "Ware"),
        ("Des Vertrages wegen", "Vertrag"),
        ("Both parties agreed", "party"),
        ("The Party's over", "party"),
        ("THE PARTY", "party"),
        ("ein iPhone", "iPhone"),
        ("EIN IPHONE", "iPhone"),
        ("podle smlouvami a", "smlouva"),
        ("v ženy", "žena"),
        ("mnoho žen", "žena"),
        ("купил книгу", "книга"),
        ("e-mail address", "e-mail"),
        ("C++ und C", "C++"),
        ("the European\u00a0Union's rule", "European Union"),
        ("(goods)", "goods"),
        ("这份合同很重要", "合同"),
        ("使用API接口", "API"),
    ],
)
def test_a_term_is_found(text: str, term: str) -> None:
    assert contains(text, term)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("Der Warenkorb", "Ware"),
        ("Vertragspartner", "Vertrag"),
        ("the partition", "party"),
        ("ware", "Ware"),
        ("apple", "Apple"),
        ("us", "US"),
        ("The cat", "catalogue"),
        ("his partner", "party"),
        ("Verträge", "Vertrag"),
        ("on", "one"),
        ("10 apples", "1"),
        ("C", "C++"),
        ("合 同", "合约"),
        ("", "term"),
        ("the European rules of the Union", "European Union"),
    ],
)
def test_another_word_is_no_term(text: str, term: str) -> None:
    assert not contains(text, term)


def test_the_longest_term_is_found_and_none_within_it() -> None:
    index = TermIndex(["Union", "European Union", "European Union law", "law"])

    found = index.find("European Union law, the European Union, a Union and laws")

    assert [one.number for one in found] == [2, 1, 0, 3]
    assert (found[0].start, found[0].end) == (0, 18)


def test_of_two_terms_the_one_that_is_exactly_there_is_found() -> None:
    assert TermIndex(["party", "parties"]).find("parties")[0].number == 1
    assert TermIndex(["parties", "party"]).find("party")[0].number == 1


def test_a_large_glossary_is_searched_fast() -> None:
    draw = random.Random(0)
    terms = ["".join(draw.choices("abcdefghij", k=draw.randint(3, 9))) for _ in range(50_000)]
    index = TermIndex(terms)
    text = " ".join(draw.choices(terms, k=20))

    start = time.perf_counter()
    for _ in range(50):
        assert len(index.find(text)) == 20
    assert time.perf_counter() - start < 2


# --- files --------------------------------------------------------------------------------------------------------


def glossary(tmp_path: Path, content: bytes) -> Glossary:
    path = tmp_path / "terms.tsv"
    path.write_bytes(content)
    return Glossary.read(path, DE_EN)


def test_a_file_has_terms_comments_and_alternatives(tmp_path: Path) -> None:
    content = "\ufeffsource\ttarget\n# ours\n\nLager\twarehouse\tnot storage\r\nWare \t goods\nLager\tdepot\n".encode()

    assert glossary(tmp_path, content).terms == (Term("Lager", ("warehouse", "depot")), Term("Ware", ("goods",)))


@pytest.mark.parametrize("header", ["de\ten\n", "Source\tTarget\tNote\n", ""])
def test_a_header_is_no_term(header: str, tmp_path: Path) -> None:
    assert glossary(tmp_path, f"{header}Ware\tgoods\n".encode()).terms == (Term("Ware", ("goods",)),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Ware\tgoods\nLager\n", "line 2 is no term: 'Lager'"),
        (b"\tgoods\n", "line 1 is no term: 'goods'"),
        (b"Ware\t \tcomment\n", "line 1 is no term: 'Ware"),
        (b"# nothing\n", "has no terms"),
        (b"", "has no terms"),
        (b"Ware\t\xff\n", "line 1 is not UTF-8"),
    ],
)
def test_what_is_no_term_is_an_error_of_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        glossary(tmp_path, content)

    assert message in error.value.message
    assert "\n" not in str(error.value)


# --- adherence ----------------------------------------------------------------------------------------------------

TERMS = Glossary([Term("Ware", ("goods",)), Term("Lager", ("warehouse", "depot"))])


def test_only_the_terms_of_a_source_are_told_in_its_order() -> None:
    assert TERMS.pairs_in("Im Lager liegt Ware neben Ware.") == (("Lager", "warehouse"), ("Ware", "goods"))
    assert TERMS.pairs_in("Nichts davon.") == ()


def test_adherence_counts_each_term_once_a_segment_and_takes_any_target() -> None:
    sources = ["Ware auf Ware", "Die Ware im Lager", "Die Waren im Lager", "Nichts"]
    translations = ["goods on goods", "The goods are in storage", "Items in the depots", "Nothing"]

    assert TERMS.adherence(sources, translations) == Adherence(kept=3, matched=5, segments=3)
    assert TERMS.adherence(sources, translations).rate == 0.6
    assert [term.source for term in TERMS.missing(sources[1], translations[1])] == ["Lager"]


def test_where_there_is_no_term_nothing_is_missing() -> None:
    assert TERMS.adherence(["Nichts"], ["Nothing"]).rate == 1.0


def test_glossaries_are_told_apart_by_their_terms() -> None:
    assert TERMS.fingerprint == Glossary(TERMS.terms).fingerprint
    assert TERMS.fingerprint != Glossary(TERMS.terms[:1]).fingerprint
