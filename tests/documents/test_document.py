"""One way in for all formats: which reader a file gets, what all readers promise, what cannot be read."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from alma_cli.documents.document import FORMATS, DocumentOptions, format_of, read_document
from alma_cli.documents.inline import NUMBERED
from alma_cli.errors import AlmaError, InputError, UsageError
from tests.documents.changed import is_byte_faithful, read
from tests.documents.word import word_file

OPTIONS = {"source": "de", "target": "en", "column": "1", "field": "text", "retranslate": True}
# One text in each format, as it stands in the file.
MADE: dict[str, Callable[[str], str]] = {
    "txt": lambda text: f"{text}\n",
    "tsv": lambda text: f"{text}\t1\n",
    "csv": lambda text: '"' + text.replace('"', '""') + '",1\r\n',
    "jsonl": lambda text: '{"text": "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"}\n',
    "srt": lambda text: f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n\n",
    "vtt": lambda text: f"WEBVTT\n\n00:01.000 --> 00:02.000\n{escaped(text)}\n",
    "po": lambda text: 'msgid "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"\nmsgstr ""\n',
    "xliff": lambda text: (
        f'<xliff version="1.2"><trans-unit id="1"><source>{escaped(text)}</source></trans-unit></xliff>'
    ),
    "tmx": lambda text: f'<tmx><body><tu><tuv xml:lang="de"><seg>{escaped(text)}</seg></tuv></tu></body></tmx>',
    "html": lambda text: f"<p>{escaped(text)}</p>",
    "markdown": lambda text: f"{text}\n",
}


def escaped(text: str) -> str:
    """The text in XML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@pytest.mark.parametrize("name", ["a.TXT", "b/c.Html", "d.xlf", "e.MD", "f.docx", "g.jsonl", "stdin", "README"])
def test_the_ending_says_the_format(name: str) -> None:
    expected = {"TXT": "txt", "Html": "html", "xlf": "xliff", "MD": "markdown", "docx": "docx", "jsonl": "jsonl"}

    assert format_of(name) == expected.get(name.split(".")[-1])


def test_every_format_is_tested_here() -> None:
    assert {*MADE, "docx"} == set(FORMATS)


@pytest.mark.parametrize("format_", MADE)
def test_a_translation_stands_in_the_file_as_it_is(format_: str) -> None:
    document = read_document(
        MADE[format_]("Haus").encode(), "stdin", format=format_, options=DocumentOptions(**OPTIONS)
    )

    rendered = document.render(['5 & 6 "x" \\ Straße'])

    if format_ in ("xliff", "tmx", "po"):
        assert document.segments == ("Haus",)
        assert rendered.count("Straße".encode()) == 1
    else:
        again = read_document(rendered, "stdin", format=format_, options=DocumentOptions(**OPTIONS))
        assert again.segments == ('5 & 6 "x" \\ Straße',)


@pytest.mark.parametrize("format_", MADE)
@pytest.mark.parametrize("seed", range(5))
def test_any_text_comes_back_byte_for_byte(format_: str, seed: int) -> None:
    chance = random.Random(seed)
    texts = ["".join(chance.choices('aä日🙂"\\&<>{}%*_`[]()#-|$~ \u00a0\u200b\u2028\x85', k=30)) for _ in range(10)]
    content = MADE[format_](" ".join(texts))

    assert is_byte_faithful(read(content, f"x{FORMATS[format_][0]}", **OPTIONS))


@pytest.mark.parametrize("format_", MADE)
def test_a_line_of_a_hundred_thousand_characters_is_one_segment_in_little_time(format_: str) -> None:
    text = "Ein <1> Haus & ein Garten. " * 4000
    before = time.monotonic()

    document = read_document(MADE[format_](text).encode(), "x", format=format_, options=DocumentOptions(**OPTIONS))
    rendered = document.render([segment.upper() for segment in document.segments])

    assert len(document.segments) == 1
    assert rendered.upper().count(b"GARTEN") == (8000 if format_ in ("xliff", "tmx", "po") else 4000)
    assert time.monotonic() - before < 20


@pytest.mark.parametrize("format_", ["html", "xliff", "tmx", "vtt", "markdown"])
def test_text_that_looks_like_a_numbered_tag_stays_text(format_: str) -> None:
    content = MADE[format_](r"Taste <1> und <2/>" if format_ != "markdown" else r"Taste \<1> und \<2/>").encode()

    document = read_document(content, "x", format=format_, options=DocumentOptions(**OPTIONS))

    rendered = document.render([segment.replace("Taste", "Key") for segment in document.segments])
    assert rendered.count(b"1>") + rendered.count(b"1&gt;") == (2 if format_ in ("xliff", "tmx") else 1)


def test_numbered_tags_are_told_by_one_pattern() -> None:
    segment = read("<p>Ein <b>rotes</b> <img src=x> Haus</p>", "x.html").segments[0]

    assert [match[0] for match in NUMBERED.finditer(segment)] == ["<1>", "</1>", "<2/>"]


@pytest.mark.parametrize("format_", [name for name in FORMATS if name != "txt"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xfe\0", bytes(range(256))])
def test_what_is_no_text_is_refused_in_one_line(format_: str, content: bytes) -> None:
    with pytest.raises(AlmaError) as caught:
        read_document(content, "x", format=format_, options=DocumentOptions(**OPTIONS))

    assert "'x'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "x.pdf",
            "'x.pdf': .pdf files cannot be translated (take the file that it was made from, or its text (pdftotext))",
        ),
        ("x.odt", "'x.odt': .odt files cannot be translated (save it as .docx)"),
        ("x.bin", "'x.bin' line 1 has a NUL byte: it is not a text file"),
    ],
)
def test_a_file_of_another_kind_is_told_from_text(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_document(b"%PDF\0", name)

    assert str(caught.value) == message


def test_an_unknown_format_is_a_usage_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"unknown format 'mardown' \(did you mean 'markdown'\?\)"):
        read_document(b"x", "x", format="mardown")


def test_a_word_file_without_its_ending_is_told_apart_from_text() -> None:
    with pytest.raises(InputError, match=r"'x' line \d+ (has a NUL byte|is not UTF-8)"):
        read_document(word_file(), "x")
