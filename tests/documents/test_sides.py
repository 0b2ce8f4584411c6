"""One side of translated documents: a segment for each place, also for empty ones."""

from __future__ import annotations

import pytest

from alma_cli.core.languages import Side
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.sides import read_side
from alma_cli.errors import InputError

DE_EN = DocumentOptions("de", "en")
PO = """msgid ""
msgstr "Language: en"

#, fuzzy
msgid "Hallo\\n"
"Welt"
msgstr "Hello\\nworld"

msgid "offen"
msgstr ""

msgid "%d Datei"
msgid_plural "%d Dateien"
msgstr[0] "%d file"
msgstr[1] "%d files"
"""
XLIFF = """<xliff version="1.2"><file source-language="de" target-language="en"><body>
<trans-unit id="1"><source>Ein <g id="1">rotes</g> Haus</source><target>A <g id="1">red</g> house</target></trans-unit>
<trans-unit id="2"><source>offen</source></trans-unit></body></file></xliff>"""
TMX = """<tmx version="1.4"><body>
<tu><tuv xml:lang="de-DE"><seg>Haus</seg></tuv><tuv xml:lang="en"><seg>house</seg></tuv></tu>
<tu><tuv xml:lang="de"><seg>offen</seg></tuv></tu></body></tmx>"""
CSV = 'id;de;en\n1;Haus;"a ""red"" house"\n2;offen;\n3;zwei;"two\nlines"\n'
JSONL = '{"de": "Haus", "en": "a \\"red\\" house"}\n\n{"de": "offen", "en": ""}\n'


@pytest.mark.parametrize(
    ("name", "content", "side", "texts"),
    [
        ("x.po", PO, "source", ("Hallo Welt", "offen", "%d Datei", "%d Dateien")),
        ("x.po", PO, "target", ("Hello world", "", "%d file", "%d files")),
        ("x.xlf", XLIFF, "source", ("Ein <1>rotes</1> Haus", "offen")),
        ("x.xlf", XLIFF, "target", ("A <1>red</1> house", "")),
        ("x.tmx", TMX, "source", ("Haus", "offen")),
        ("x.tmx", TMX, "target", ("house", "")),
        ("x.csv", CSV, "source", ("Haus", "offen", "zwei")),
        ("x.csv", CSV, "target", ('a "red" house', "", "two lines")),
        ("x.tsv", "de\ten\nHaus\thouse\noffen\n", "target", ("house", "")),
        ("x.jsonl", JSONL, "source", ("Haus", "offen")),
        ("x.jsonl", JSONL, "target", ('a "red" house', "")),
        ("x.srt", "1\n00:00:01,000 --> 00:00:02,000\nThe\nhouse\n", "target", ("The house",)),
        ("x.html", "<p>A <b>red</b> house</p><p>Two</p>", "target", ("A <1>red</1> house", "Two")),
        ("x.md", "# Red\n\nA house.\n", "target", ("Red", "A house.")),
    ],
)
def test_each_place_has_one_segment_of_a_side(name: str, content: str, side: Side, texts: tuple[str, ...]) -> None:
    assert read_side(content.encode(), name, side, DE_EN) == texts


def test_a_column_and_a_field_may_be_named() -> None:
    assert read_side(b"a,b\nx,y\n", "x.csv", "target", DocumentOptions("de", "en", column="b")) == ("y",)
    line = b'{"translation": {"en": "y"}}\n'
    assert read_side(line, "x.jsonl", "target", DocumentOptions("de", "en", field="translation.en")) == ("y",)


def test_a_document_without_segments_is_refused() -> None:
    with pytest.raises(InputError, match=r"'x.html' has no segments"):
        read_side(b"<p>42</p>", "x.html", "target", DE_EN)
