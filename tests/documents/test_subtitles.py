"""SubRip and WebVTT: the words of cues change; numbers, timings, notes, styles and markup do not."""

from __future__ import annotations

import random
import re

import pytest

from alma_cli.errors import InputError
from tests.documents.changed import TAG, all_changed, is_byte_faithful, read

SRT = (
    "\ufeff1\r\n00:00:01,000 --> 00:00:02,500 X1:40 X2:600\r\n<i>Wir gehen heute\r\nnach Hause.</i>\r\n\r\n"
    "2\r\n00:00:03,000 --> 00:00:04,500\r\n- Kommst <b>du</b>?\r\n- {\\an8}Nein!\r\n\r\n\r\n"
    "3\r\n00:00:05,000 --> 00:00:06,500\r\n♪ ♪\r\n\r\n"
    "4\r\n00:00:07,000 --> 00:00:08,500\r\n\r\n"
    '5\r\n00:00:09,000 --> 00:00:09,500\r\n<font color="#ff0000">3 < 4</font> & mehr'
)
VTT = """WEBVTT - Ein Titel
Kind: captions

STYLE
::cue(b) { color: red }

NOTE
Kein Text: 00:01 gehört
zur Notiz

eins
00:01.000 --> 00:04.000 align:start line:0
<v Anna>Sie sagte: &lt;Nein&gt; &amp; <c.laut>ging
weg</c></v>

00:05.000 --> 00:06.000
Das <00:05.500>ist <i>gut</i>
"""


def test_only_the_words_of_a_subrip_file_change() -> None:
    document = read(SRT, "film.srt")

    assert document.segments == ("Wir gehen heute nach Hause.", "Kommst <1>du</1>?", "<1/>Nein!", "<1>3 < 4</1> & mehr")
    assert document.locations == ("line 3", "line 8", "line 9", "line 21")
    assert is_byte_faithful(document)
    assert all_changed(document).split("\r\n") == [
        line.upper()
        .replace("<I>", "<i>")
        .replace("</I>", "</i>")
        .replace("B>", "b>")
        .replace("{\\AN8}", "{\\an8}")
        .replace('<FONT COLOR="#FF', '<font color="#ff')
        .replace("</FONT", "</font")
        for line in SRT.removeprefix("\ufeff").split("\r\n")
    ]


def test_only_the_words_of_a_webvtt_file_change() -> None:
    document = read(VTT, "film.vtt")

    assert document.segments == ("Sie sagte: <Nein> & <1>ging weg</1>", "Das <1/>ist <2>gut</2>")
    assert is_byte_faithful(document)
    head, _ = VTT.split("\neins\n")
    assert all_changed(document) == head + "\neins\n" + (
        "00:01.000 --> 00:04.000 align:start line:0\n"
        "<v Anna>SIE SAGTE: &lt;NEIN&gt;\n&amp; <c.laut>GING WEG</c></v>\n\n"
        "00:05.000 --> 00:06.000\nDAS <00:05.500>IST <i>GUT</i>\n"
    )


def test_a_translation_is_spread_over_the_lines_of_its_cue() -> None:
    document = read(SRT, "film.srt")

    rendered = document.render(["Today we are all going home on foot.", *document.segments[1:]]).decode()

    assert "<i>Today we are all\r\ngoing home on foot.</i>\r\n\r\n2" in rendered


@pytest.mark.parametrize("translation", ["", "a\n\nb", "00:00:01,000 --> 00:00:02,000", "<1>", "</9>x<1/><1/>"])
def test_a_translation_makes_no_new_cue(translation: str) -> None:
    for content, name in ((SRT, "x.srt"), (VTT, "x.vtt")):
        document = read(content, name)

        rendered = document.render([translation] * len(document.segments)).decode("utf-8-sig")

        assert rendered.count("-->") == content.count("-->")
        assert len(re.split(r"\r?\n\r?\n", rendered)) == len(re.split(r"\r?\n\r?\n", content.removeprefix("\ufeff")))
        assert not TAG.search(rendered)


def test_cues_without_a_blank_line_between_them_are_told_apart() -> None:
    content = "1\n00:00:01,000 --> 00:00:02,000\nEins\n2\n00:00:03,000 --> 00:00:04,000\nZwei\ndrei\n"

    document = read(content, "x.srt")

    assert document.segments == ("Eins", "Zwei drei")
    assert all_changed(document) == content.replace("Eins", "EINS").replace("Zwei\ndrei", "ZWEI\nDREI")


def test_utf_16_comes_back_as_utf_16() -> None:
    content = SRT.encode("utf-16-be")

    document = read(content, "film.srt")

    assert document.render(["Ž", *document.segments[1:]]).decode("utf-16").startswith("1\r\n00:00:01,000")


@pytest.mark.parametrize("seed", range(20))
def test_any_cues_come_back_byte_for_byte(seed: int) -> None:
    chance = random.Random(seed)
    alphabet = [*"aä <>/&;-{}\\\r日\n", "<i>", "</i>", "&amp;", "\n\n00:01.000 --> 00:02.000\n"]
    content = "WEBVTT\n\n00:01.000 --> 00:02.000\n" + "".join(chance.choices(alphabet, k=200))

    document = read(content, chance.choice(["x.srt", "x.vtt"]))

    assert is_byte_faithful(document)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"Only text\n", "x.srt", "'x.srt' has no line with the times of a cue, such as 00:01:02,000 --> 00:01:04,500"),
        (SRT.encode(), "x.vtt", "'x.vtt' line 1 is not `WEBVTT`: it is no WebVTT file (SubRip files end in .srt)"),
        (
            b"1\n00:00:01,000 --> 00:00:02,000\n\xe4\n",
            "x.srt",
            "'x.srt' line 3 is not UTF-8 (convert the file to UTF-8)",
        ),
        ("1\n\0".encode("utf-16"), "x.srt", "'x.srt' line 2 has a NUL byte: it is not a text file"),
        (b"\xff\xfe1\n1", "x.srt", "'x.srt' line 2 is not UTF-16-LE (convert the file to UTF-8)"),
        (b"", "x.srt", "'x.srt' is empty"),
    ],
)
def test_what_cannot_be_read_is_said(content: bytes, name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content, name)

    assert str(caught.value) == message
