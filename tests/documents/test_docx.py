"""Word: words of paragraphs, tables, notes, headers and text boxes change; formats, links and other parts do not."""

from __future__ import annotations

import io
import random
import re
import zipfile
from xml.etree import ElementTree

import docx
import pytest

from alma_cli.errors import InputError
from tests.documents.changed import changed, read
from tests.documents.word import parts_of, with_part, word_file

SEGMENTS = (
    "Die Überschrift",
    "Zelle eins",
    "Das <1>rote</1> Haus & <2>der Garten</2><3/> sind alt.",
    "Seite <1/> von Annalinks",
    "rechts",
    "unten",
    "Siehe <1>unsere Seite</1><2/> heute<3> neu</3>",
    "Im Kasten",
    "Im Feld",
    "Eine Fußnote.",
    "Fußzeile",
    "Kopfzeile",
)
TEXT = re.compile(r"<w:t(?: [^>]*)?>([^<]*)</w:t>")


def texts(part: bytes) -> str:
    """All that a reader sees of a part."""
    return "".join(TEXT.findall(part.decode()))


def test_paragraphs_of_all_parts_are_found() -> None:
    document = read(word_file(), "brief.docx")

    assert sorted(document.segments) == sorted(SEGMENTS)
    assert document.segments[:2] == SEGMENTS[:2]
    assert document.locations[2] == "document, paragraph 4"


def test_only_the_words_change_and_word_s_formats_stay_with_them() -> None:
    content = word_file()
    document = read(content, "brief.docx")

    rendered = document.render([changed(segment) for segment in document.segments])

    before, after = parts_of(content), parts_of(rendered)
    with_text = {name for name in before if re.match(r"word/(document|foot|header)", name)}
    assert list(after) == list(before)
    assert [name for name in before if before[name] != after[name] and name not in with_text] == []
    for name in with_text:
        assert texts(after[name]).casefold() == texts(before[name]).casefold()
        assert sorted(
            re.findall(rb"<w:(?:book|hyper|fld|del|ins|sdt|foot|jc|pict|instr)[^>]*>", after[name])
        ) == sorted(re.findall(rb"<w:(?:book|hyper|fld|del|ins|sdt|foot|jc|pict|instr)[^>]*>", before[name]))


def test_the_result_opens_in_python_docx_with_bold_where_it_was() -> None:
    document = read(word_file(), "brief.docx")

    opened = docx.Document(io.BytesIO(document.render([changed(segment) for segment in document.segments])))

    paragraph = next(p for p in opened.paragraphs if "HAUS" in p.text)
    assert paragraph.text == " DAS ROTE HAUS & DER GARTEN SIND ALT. "
    assert [run.text for run in paragraph.runs if run.bold] == ["ROTE"]
    assert opened.tables[0].cell(0, 0).text == "ZELLE EINS"
    assert opened.tables[0].cell(0, 1).text == "42"
    assert opened.sections[0].header.paragraphs[0].text == "KOPFZEILE"


def test_tags_may_change_places() -> None:
    document = read(word_file(), "brief.docx")
    moved = "<2>The garden</2> and the <1>red</1><3/> house"
    translations = [moved if "rote" in segment else segment for segment in document.segments]

    opened = docx.Document(io.BytesIO(document.render(translations)))

    paragraph = next(p for p in opened.paragraphs if "garden" in p.text)
    assert paragraph.text == " The garden and the red house "
    assert [run.text for run in paragraph.runs if run.bold] == ["red"]
    assert paragraph.hyperlinks[0].text == "The garden"


@pytest.mark.parametrize("seed", range(20))
def test_a_word_file_is_well_formed_whatever_translations_hold(seed: int) -> None:
    chance = random.Random(seed)
    document = read(word_file(), "brief.docx")
    pool = [
        "<1>",
        "</1>",
        "<2>",
        "</2>",
        "<2/>",
        "<3/>",
        "<3>",
        "</3>",
        "<9>",
        "a",
        " ",
        "&",
        "<w:p>",
        "]]>",
        "\x00",
        "\n",
    ]

    rendered = document.render(["".join(chance.choices(pool, k=12)) for _ in document.segments])

    for name, part in parts_of(rendered).items():
        if name.endswith(".xml"):
            ElementTree.fromstring(part)
    body = parts_of(rendered)["word/document.xml"]
    assert body.count(b"<w:footnoteReference") == body.count(b"<w:bookmarkStart") == body.count(b"<w:pict>") == 1
    docx.Document(io.BytesIO(rendered))


def test_a_changed_segment_leaves_the_other_paragraphs_byte_for_byte() -> None:
    content = word_file()
    document = read(content, "brief.docx")

    rendered = document.render(["Neu", *document.segments[1:]])

    before, after = (parts_of(some)["word/document.xml"].decode() for some in (content, rendered))
    assert after == re.sub(r"<w:t>Die Überschrift</w:t>", '<w:t xml:space="preserve">Neu</w:t>', before)


def broken(content: bytes) -> bytes:
    """The archive with a bit turned over inside a part."""
    at = content.index(b"word/document.xml") + 200
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'x.docx' is empty"),
        (b"no archive", "'x.docx' is no Word file, or a damaged one: it cannot be unpacked (open and save it in Word"),
        (word_file()[:9000], "'x.docx' is no Word file, or a damaged one: it cannot be unpacked"),
        (broken(word_file()), "'x.docx' is damaged: its part word/document.xml is (open and save it in Word)"),
        (
            b"\xd0\xcf\x11\xe0" + bytes(600),
            "'x.docx' is an old or a protected Word file (save it as .docx without a pass",
        ),
        (
            with_part(word_file(), "word/document.xml", "<w:document>"),
            "'x.docx/word/document.xml' line 1 is not well-f",
        ),
        (
            with_part(word_file(), "word/document.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"),
            "'x.docx/word/document.xml' decl",
        ),
    ],
)
def test_what_cannot_be_read_is_said(content: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content, "x.docx")

    assert str(caught.value).startswith(message)


def test_an_archive_of_another_kind_is_told() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("content.xml", "<a/>")

    with pytest.raises(InputError, match=r"'x.docx' is no Word file: it has no word/document.xml"):
        read(made.getvalue(), "x.docx")
