"""TMX, XLIFF and PO as translators' tools write them: pairs without their codes, and a reason for every other unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alma_cli.core.languages import Direction
from alma_cli.data.language_tags import language_of_tag
from alma_cli.data.readers.po import PoPairs, translated_language
from alma_cli.data.readers.tmx import TmxPairs
from alma_cli.data.readers.xliff import XliffPairs
from alma_cli.data.records import Pair, Reader, Row, Unreadable, rows_of
from alma_cli.errors import InputError

DE_EN, EN_DE = Direction("de", "en"), Direction("en", "de")

TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en-US" datatype="plaintext"><note>no segment</note></header><body>
<tu tuid="1"><note>skip me</note><tuv xml:lang="de-DE"><seg>Hallo &amp; <b>willkommen</b></seg></tuv>
  <tuv lang="EN"><prop type="x">skip</prop><seg>Hello &#38; welcome</seg></tuv></tu>
<tu><tuv xml:lang="de"><seg>Ein <bpt i="1">&lt;b></bpt>Wort<ept i="1">&lt;/b></ept><ph x="2">%s</ph><ut>\\b</ut>
 <hi>mit <it>[i]</it>Ton</hi></seg></tuv><tuv xml:lang="en"><seg>A word<ph>f<sub> note</sub></ph></seg></tuv>
</tu><tu><tuv xml:lang="fr"><seg>Bonjour</seg></tuv><tuv xml:lang="en"><seg>Hello</seg></tuv></tu>
<tu><tuv xml:lang="deu"><seg>Ja</seg></tuv><tuv lang="de-AT"><seg>Jo</seg></tuv><tuv lang="en"><seg>Yes</seg></tuv></tu>
<tu></tu>
<tu><tuv xml:lang="de"><seg>Weit&nbsp;weg</seg></tuv><tuv xml:lang="en"><seg>Far</seg></tuv></tu>
</body></tmx>
"""

XLIFF_1 = """<?xml version="1.0"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file original="a" source-language="en-US" target-language="de-DE" datatype="x"><body><group>
<trans-unit id="1"><source>Press <g id="1">OK</g><x id="2"/> now</source><seg-source><mrk>Press</mrk></seg-source>
 <target state="final">Jetzt <g id="1">OK</g> drücken<ph id="3">code</ph></target>
 <alt-trans><source>Other</source><target>Anderes</target></alt-trans></trans-unit>
<trans-unit id="2"><source>Open</source></trans-unit>
<trans-unit id="3"><source>Close</source><target/></trans-unit>
<trans-unit id="4"><source>Save</source><target state="needs-translation">Save</target></trans-unit>
</group></body></file>
<file original="b" source-language="en" target-language="fr"><body>
<trans-unit id="1"><source>Yes</source><target>Oui</target></trans-unit></body></file></xliff>
"""

XLIFF_2 = """<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.1" srcLang="en" trgLang="de">
<file id="f"><unit id="u"><mtc:matches xmlns:mtc="m"><mtc:match ref="#1"><source>Old</source><target>Alt</target>
</mtc:match></mtc:matches><segment id="1"><source>A <pc id="1">big</pc> dog<ph id="2"/></source><target>Ein <pc
 id="1">großer</pc> Hund</target></segment><ignorable><source> </source></ignorable>
<segment><source>A cat</source></segment></unit></file></xliff>
"""

PO = r"""# Header
msgid ""
msgstr ""
"Project-Id-Version: x\n"
"Language: de\n"
"Content-Type: text/plain; charset=UTF-8\n"

#: src/a.c:12
msgid "Hello"
msgstr "Hallo"

#, fuzzy, c-format
#| msgid "Old %s"
msgid "New %s"
msgstr "Alt %s"

msgid "Untranslated"
msgstr ""

#, c-format
msgctxt "files"
msgid "%d \"file\"\n"
msgid_plural "%d files"
msgstr[0] "%d \"Datei\"\n"
msgstr[1] "%d "
"Dateien"

msgid "tight"
msgstr "eng"
msgid "next"
msgstr "nächste"

msgid "broken
msgstr "kaputt"

#~ msgid "gone"
#~ msgstr "weg"
"""


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def placed(reader: Reader) -> list[tuple[int, Row]]:
    return [row for block in reader.blocks() for row in reader.rows(block)]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_tmx_units_give_pairs_without_their_codes(tmp_path: Path, codec: str) -> None:
    content = TMX.replace('encoding="UTF-8"', f'encoding="{codec.removesuffix("-sig").upper()}"')
    assert placed(TmxPairs(write(tmp_path / "a.tmx", content.encode(codec)), (DE_EN,))) == [
        (4, Pair(DE_EN, "Hallo & willkommen", "Hello & welcome")),
        (6, Pair(DE_EN, "Ein Wort\n mit Ton", "A word note")),
        (8, Unreadable("other_language", "fr: Bonjour; en: Hello")),
        (9, Pair(DE_EN, "Ja", "Yes")),
        (9, Pair(DE_EN, "Jo", "Yes")),
        (10, Unreadable("empty")),
        (11, Unreadable("unknown_entity", "Weit&nbsp;weg")),
    ]


def test_a_tmx_of_three_languages_serves_every_pair_that_is_wanted(tmp_path: Path) -> None:
    texts = {"de": "Ja", "en": "Yes", "cs": "Ano"}
    tuvs = "".join(f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in texts.items())
    path = write(tmp_path / "a.tmx", f"<tmx><body><tu>{tuvs}</tu></body></tmx>")
    en_cs = Direction("en", "cs")
    assert list(rows_of(TmxPairs(path, (DE_EN, en_cs)))) == [Pair(DE_EN, "Ja", "Yes"), Pair(en_cs, "Yes", "Ano")]


def test_xliff_1_gives_the_units_that_have_a_translation(tmp_path: Path) -> None:
    assert placed(XliffPairs(write(tmp_path / "a.xlf", XLIFF_1), (DE_EN,))) == [
        (4, Pair(EN_DE, "Press OK now", "Jetzt OK drücken")),
        (7, Unreadable("untranslated", "Open")),
        (8, Unreadable("untranslated", "Close")),
        (9, Unreadable("untranslated", "Save")),
        (12, Unreadable("other_language", "en: Yes; fr: Oui")),
    ]


def test_xliff_2_gives_the_segments_and_not_the_matches(tmp_path: Path) -> None:
    assert placed(XliffPairs(write(tmp_path / "a.xlf", XLIFF_2), (EN_DE,))) == [
        (3, Pair(EN_DE, "A big dog", "Ein großer Hund")),
        (5, Unreadable("untranslated", "A cat")),
    ]


def test_xliff_without_languages_takes_those_that_it_is_said_to_have(tmp_path: Path) -> None:
    unit = "<trans-unit><source>Yes</source><target>Ja</target></trans-unit>"
    path = write(tmp_path / "a.xlf", f"<xliff><file><body>{unit}</body></file></xliff>")
    assert list(rows_of(XliffPairs(path, (EN_DE,), EN_DE))) == [Pair(EN_DE, "Yes", "Ja")]
    assert list(rows_of(XliffPairs(path, (EN_DE,)))) == [Unreadable("other_language", ": Yes; : Ja")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_po_gives_what_is_translated_and_says_why_the_rest_is_not(tmp_path: Path, end: str) -> None:
    assert placed(PoPairs.of(write(tmp_path / "de.po", PO.replace("\n", end)), EN_DE)) == [
        (9, Pair(EN_DE, "Hello", "Hallo")),
        (14, Unreadable("fuzzy", "New %s")),
        (17, Unreadable("untranslated", "Untranslated")),
        (21, Pair(EN_DE, '%d "file"\n', '%d "Datei"\n')),
        (21, Pair(EN_DE, "%d files", "%d Dateien")),
        (28, Pair(EN_DE, "tight", "eng")),
        (30, Pair(EN_DE, "next", "nächste")),
        (33, Unreadable("invalid_po", 'msgid "broken')),
        (36, Unreadable("obsolete", "gone")),
    ]


@pytest.mark.parametrize("charset", ["ISO-8859-1", "windows-1252", "GB18030", "Shift_JIS"])
def test_po_is_decoded_by_the_charset_of_its_header(tmp_path: Path, charset: str) -> None:
    text = "表ソ" if charset == "Shift_JIS" else "größer" if charset != "GB18030" else "較大"
    content = PO.replace("UTF-8", charset).replace("Hallo", text).replace("nächste", "x")
    rows = list(rows_of(PoPairs.of(write(tmp_path / "de.po", content.encode(charset)), EN_DE)))
    assert rows[0] == Pair(EN_DE, "Hello", text)


def test_a_po_that_is_not_in_its_charset_loses_the_entries_that_show_it(tmp_path: Path) -> None:
    path = write(tmp_path / "de.po", PO.encode("iso-8859-1"))
    rows = list(rows_of(PoPairs.of(path, EN_DE)))
    assert Unreadable("wrong_charset", "next") in rows
    assert Pair(EN_DE, "tight", "eng") in rows
    assert len(rows) == 9


@pytest.mark.parametrize("charset", ["klingon", "UTF-16", "base64", "unicode_escape"])
def test_a_po_with_a_charset_that_cannot_be_read_is_named(tmp_path: Path, charset: str) -> None:
    path = write(tmp_path / "de.po", PO.replace("UTF-8", charset))
    with pytest.raises(InputError, match=rf"de\.po says that its charset is '{charset}'.*\(convert it to UTF-8\)"):
        PoPairs.of(path, EN_DE)


def test_the_language_of_a_po_is_in_its_header_its_name_or_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cs" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    bare = 'msgid "Hello"\nmsgstr "Ahoj"\n'
    assert translated_language(write(tmp_path / "x.po", PO.replace("Language: de", "Language: de_AT"))) == "de"
    assert translated_language(write(tmp_path / "is.po", bare)) == "is"
    assert translated_language(write(folder / "program.po", bare)) == "cs"


@pytest.mark.parametrize(
    ("tag", "code"),
    [("de", "de"), ("DE-at", "de"), ("de_CH@x", "de"), ("deu", "de"), ("zho-Hans-CN", "zh"), ("nb_NO", "no")],
)
def test_language_tags_are_known_by_their_first_part(tag: str, code: str) -> None:
    assert language_of_tag(tag) == code
    assert language_of_tag(f"x-{tag}") is None


def test_units_and_their_places_do_not_depend_on_the_blocks_size(tmp_path: Path) -> None:
    readers = [
        TmxPairs(write(tmp_path / "a.tmx", TMX), (DE_EN,)),
        XliffPairs(write(tmp_path / "a.xlf", XLIFF_1), (DE_EN,)),
        PoPairs.of(write(tmp_path / "de.po", PO), EN_DE),
    ]
    for reader in readers:
        parts = replace(reader, block_bytes=1)
        assert placed(parts) == placed(reader)
        assert len(list(parts.blocks())) > len(list(reader.blocks())) == 1
