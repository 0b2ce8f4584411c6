"""Text files: what is around the segments comes back byte for byte, whatever is in them."""

from __future__ import annotations

import random

import pytest

from alma_cli.documents.text import read_document
from alma_cli.errors import InputError

BOM = b"\xef\xbb\xbf"
ODD = "\t\r\v\f\x1c\x1d\x1e\x1f\x85\u00a0\u2028\u2029\u3000\u200b\u200f\u202e\ufeff\x01\x1b\x7f"


def fuzzed(seed: int, *, lines: int) -> bytes:
    """Lines of any characters but line feed, NUL and lone surrogates, about every second one odd."""
    chance = random.Random(seed)
    alphabet = [*ODD, *"   aäßж日\u0627🙂\U0001f1e9\U0001f1ea\\n"]
    return "".join("".join(chance.choices(alphabet, k=chance.randrange(30))) + "\n" for _ in range(lines)).encode()


@pytest.mark.parametrize(
    ("content", "segments"),
    [
        (b"eins\nzwei\n", ("eins", "zwei")),
        (b"eins\nzwei", ("eins", "zwei")),
        (b"eins\r\nzwei\r\n", ("eins", "zwei")),
        (b"eins\nzwei\r\ndrei", ("eins", "zwei", "drei")),
        (b"eins\rzwei\n", ("eins\rzwei",)),
        (b"\n", ("",)),
        (b"\n\n\n", ("", "", "")),
        (b" \r\n\t", ("", "")),
        (b"eins\n\n\nzwei\n\n", ("eins", "", "", "zwei", "")),
        (b"  eins\t\n\t zwei  ", ("eins", "zwei")),
        (BOM + b"eins\n", ("eins",)),
        (BOM + b"\n" + BOM + b"eins\n", ("", "\ufeffeins")),
        (
            "eins\u2028zwei\u2029drei\x85vier\x0cfünf\x0bsechs\n".encode(),
            ("eins\u2028zwei\u2029drei\x85vier\x0cfünf\x0bsechs",),
        ),
        ("\u2028\n\u3000x\u00a0\n".encode(), ("", "x")),
        ("🙂\n\u202e\u05e9\u05dc\u05d5\u05dd\n".encode(), ("🙂", "\u202e\u05e9\u05dc\u05d5\u05dd")),
        (b"a\\nEnglish: b\n", ("a\\nEnglish: b",)),
    ],
)
def test_segments_are_lines_and_the_rest_comes_back(content: bytes, segments: tuple[str, ...]) -> None:
    document = read_document(content, "x")

    assert document.segments == segments
    assert document.render(segments) == content


@pytest.mark.parametrize("seed", range(20))
def test_any_text_comes_back_byte_for_byte(seed: int) -> None:
    content = fuzzed(seed, lines=50)

    document = read_document(content, "x")

    assert len(document.segments) == 50
    assert document.render(document.segments) == content


@pytest.mark.parametrize("translation", ["", "one\ntwo", "\n", "\r\n", "one\u2028two\x85three"])
def test_a_translation_adds_no_line(translation: str) -> None:
    rendered = read_document(b"eins\n\nzwei\r\n", "x").render([translation, "", translation])

    assert rendered.count(b"\n") == 3
    assert rendered.endswith(b"\r\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'x' is empty"),
        (BOM, "'x' is empty"),
        (b"ok\n\xff\n", "'x' line 2 is not UTF-8"),
        (b"ok\n\nab\0c\n", "'x' line 3 has a NUL byte"),
        ("ok\n".encode("utf-16"), "'x' line 1 has a NUL byte"),
        (b"ok\ned\xed\xa0\x80\n", "'x' line 2 is not UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_document(content, "x")
