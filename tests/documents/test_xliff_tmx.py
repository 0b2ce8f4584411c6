"""XLIFF and TMX: targets are filled; sources, notes, inline elements, comments, CDATA and attributes do not change."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from alma_cli.errors import AlmaError
from tests.documents.changed import all_changed, changed, read

XLIFF_1 = """\ufeff<?xml version="1.0" encoding="utf-8"?>\r
<!-- <source>no unit</source> -->\r
<xliff version='1.2' xmlns="urn:oasis:names:tc:xliff:document:1.2">\r
<file source-language="en" target-language="de" datatype="plaintext" original="a > b">\r
<header><note>Keep &amp; this</note></header><body>\r
  <trans-unit id="a&quot;1">\r
    <source> Have <x id="1"/> <g id="2">new <g id="3">mail</g></g>&#xA0;&amp; &quot;more&quot; </source>\r
    <note>A note</note>\r
  </trans-unit>\r
  <trans-unit id="2"><source><![CDATA[<b>Bold</b> & more]]></source><target/></trans-unit>\r
  <trans-unit id="3" approved="yes"><source>Done</source><target state="final">Fertig</target></trans-unit>\r
  <trans-unit id="4" translate="no"><source>CODE</source></trans-unit>\r
  <group translate='no'><trans-unit id="5"><source>Code two</source></trans-unit></group>\r
  <trans-unit id="6"><source>A <bpt id="1">{\\b </bpt>B<ept id="1">}</ept> C<ph id="2">&lt;br/></ph></source>\r
    <target xml:lang="de" state="new">alt</target>\r
    <alt-trans><source>s</source><target>t</target></alt-trans></trans-unit>\r
  <trans-unit id="7"><source><g id="1">Whole unit, 5 &lt; 6</g></source></trans-unit>\r
  <trans-unit id="8"><source> </source></trans-unit>\r
</body></file></xliff>\r
"""
XLIFF_2 = """<?xml version="1.0"?>
<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en">
 <file id="f"><notes><note>Note</note></notes>
  <unit id="u1">
   <originalData><data id="d1">&lt;b></data></originalData>
   <segment id="s1" state="initial">
    <source>Press <pc id="1" dataRefStart="d1">OK</pc> or <ph id="2"/>.</source>
   </segment>
   <ignorable><source> </source></ignorable>
   <segment><source>Two <sc id="3"/>words<ec startRef="3"/></source><target>Zwei</target></segment>
   <segment><source>Three</source><target></target></segment>
  </unit>
  <unit id="u2" translate="no"><segment><source>Not me</source></segment></unit>
 </file>
</xliff>"""
TMX = """<?xml version="1.0" encoding="UTF-16"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header creationtool="x" srclang="en-US" adminlang="en"/>
<body>
  <tu tuid="hello"><note>n</note>
    <tuv xml:lang="en-US"><prop type="p">x</prop>
      <seg>Hello <bpt i="1">&lt;b></bpt>world<ept i="1">&lt;/b></ept>!</seg></tuv>
    <tuv xml:lang="fr"><seg>Bonjour</seg></tuv>
  </tu>
  <tu><tuv xml:lang="de_AT"><seg/></tuv><tuv lang="en"><seg>Second &amp; &nbsp;last<hi>!</hi></seg></tuv></tu>
  <tu><tuv xml:lang="en"><seg>Kept</seg></tuv><tuv xml:lang="de"><seg>Behalten</seg></tuv></tu>
  <tu><tuv xml:lang="fr"><seg>Seul</seg></tuv></tu>
</body></tmx>
"""


def sources(text: str) -> list[str]:
    """The text of every source and note, as a parser sees it."""
    root = ElementTree.fromstring(text.encode())
    return ["".join(element.itertext()) for element in root.iter() if element.tag.endswith(("source", "note"))]


def test_missing_targets_of_xliff_1_are_filled() -> None:
    document = read(XLIFF_1, "job.xlf")

    assert document.segments == (
        'Have <1/> <2>new <3>mail</3></2>\u00a0& "more"',
        "<b>Bold</b> & more",
        "A <1>B</1> C<2/>",
        "Whole unit, 5 < 6",
    )
    assert document.locations == ("unit a&quot;1", "unit 2", "unit 6", "unit 7")
    assert document.notes == ("1 translations that were there are kept",)


def test_only_targets_of_xliff_1_change() -> None:
    after = all_changed(read(XLIFF_1, "job.xlf"))

    filled = re.compile(r"\s*<target[^>]* state-qualifier=.*?</target>", re.S)
    assert filled.sub("", after) == re.sub(
        r"<target/>|\s*<target xml.*?alt</target>", "", XLIFF_1.removeprefix("\ufeff")
    )
    assert sources(after) == sources(XLIFF_1.removeprefix("\ufeff"))
    state = 'state="needs-review-translation" state-qualifier="mt-suggestion"'
    assert [target.strip() for target in filled.findall(after)] == [
        f'<target {state}> HAVE <x id="1"/> <g id="2">NEW <g id="3">MAIL</g></g>&#xA0;&amp; &quot;MORE&quot; </target>',
        f"<target {state}><![CDATA[<B>BOLD</B> & MORE]]></target>",
        f'<target xml:lang="de" {state}>A <bpt id="1">{{\\b </bpt>B<ept id="1">}}</ept>'
        ' C<ph id="2">&lt;br/></ph></target>',
        f'<target {state}><g id="1">WHOLE UNIT, 5 &lt; 6</g></target>',
    ]


def test_a_unit_in_segments_gets_a_target_in_segments() -> None:
    marked = '<mrk mtype="seg" mid="1">{}</mrk> <g id="1"><mrk mtype="seg" mid="2">{}</mrk></g>'
    unit = (
        '<xliff version="1.2"><trans-unit id="1"><source>One. Two.</source>'
        "<seg-source>{}</seg-source>{}</trans-unit></xliff>"
    )
    content = unit.format(marked.format("One.", "Two."), "<target>" + marked.format("", "") + "</target>")

    document = read(content, "job.sdlxliff")

    assert document.segments == ("One.", "Two.")
    state = ' state="needs-review-translation" state-qualifier="mt-suggestion"'
    filled = f"<target{state}>" + marked.format("1 &amp;", "Two.") + "</target>"
    assert document.render(["1 &", None]).decode() == unit.format(marked.format("One.", "Two."), filled)


def test_only_targets_of_xliff_2_change() -> None:
    document = read(XLIFF_2, "job.xliff", target="de")

    assert document.segments == ("Press <1>OK</1> or <2/>.", "Three")
    assert document.notes == ("1 translations that were there are kept",)
    assert all_changed(document) == (
        XLIFF_2.replace(' srcLang="en">', ' srcLang="en" trgLang="de">')
        .replace(' state="initial">', ' state="translated">')
        .replace(
            'or <ph id="2"/>.</source>',
            'or <ph id="2"/>.</source>\n    '
            '<target>PRESS <pc id="1" dataRefStart="d1">OK</pc> OR <ph id="2"/>.</target>',
        )
        .replace(
            "<segment><source>Three</source><target>", '<segment state="translated"><source>Three</source><target>THREE'
        )
    )


def test_only_the_target_language_of_a_tmx_changes() -> None:
    content = TMX.encode("utf-16")

    document = read(content, "memory.tmx", source="en", target="de")

    assert document.segments == ("Hello <1>world</1>!", "Second & <1/>last<2>!</2>")
    assert document.locations == ("unit hello", "unit 2")
    rendered = document.render([changed(segment) for segment in document.segments])
    assert rendered.decode("utf-16") == TMX.replace(
        "!</seg></tuv>\n",
        "!</seg></tuv>\n    "
        '<tuv xml:lang="de"><seg>HELLO <bpt i="1">&lt;b></bpt>WORLD<ept i="1">&lt;/b></ept>!</seg></tuv>\n',
    ).replace("<seg/>", "<seg>SECOND &amp; &nbsp;LAST<hi>!</hi></seg>")


@pytest.mark.parametrize(
    "translation",
    [
        "",
        "<2>x",
        "</2></3>",
        "<3><2>x</3>y</2>",
        "<1/><1/><9/>",
        "a & b < c > ]]> \x00\x0b\ud800",
        "<1>",
        "<b>",
        "a\nb",
    ],
)
def test_a_target_is_well_formed_whatever_a_translation_holds(translation: str) -> None:
    for content, options in ((XLIFF_1, {}), (XLIFF_2, {"target": "de"})):
        document = read(content, "job.xlf", **options)

        rendered = document.render([translation] * len(document.segments))

        root = ElementTree.fromstring(rendered)
        assert sum(1 for element in root.iter() if element.tag.endswith("}x")) in (0, 2)


def test_a_latin_1_file_gets_references_for_what_it_cannot_hold() -> None:
    content = XLIFF_1.removeprefix("\ufeff").replace("utf-8", "iso-8859-1").replace("A note", "Größe").encode("latin-1")

    document = read(content, "job.xlf")

    rendered = document.render(["日本", *document.segments[1:]])
    assert b"&#26085;&#26412;" in rendered
    assert "Größe".encode("latin-1") in rendered
    ElementTree.fromstring(rendered)


BOMB = '<!DOCTYPE tmx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><tmx>&b;</tmx>'
OUTSIDE = '<!DOCTYPE tmx [<!ENTITY a SYSTEM "file:///etc/passwd">]><tmx>&a;</tmx>'


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (
            XLIFF_1.partition("    <note>A")[0],
            "x.xlf",
            "'x.xlf' line 8 is not well-formed XML: no element found (the file seems to be cut off)",
        ),
        (
            XLIFF_2[:300],
            "x.xlf",
            "'x.xlf' line 7 is not well-formed XML: unclosed token (the file seems to be cut off)",
        ),
        ("<xliff><a></b></xliff>", "x.xlf", "'x.xlf' line 1 is not well-formed XML: mismatched tag"),
        ("<html></html>", "x.xlf", "'x.xlf' is no XLIFF file: its root is <html>"),
        ("<html></html>", "x.tmx", "'x.tmx' is no TMX file: its root is <html>"),
        ("<a>" * 300 + "</a>" * 300, "x.tmx", "'x.tmx': its elements are nested in more than 200 levels"),
        (BOMB, "x.tmx", "'x.tmx' declares the entity 'a': none is expanded here (write its text where it is used)"),
        (OUTSIDE, "x.tmx", "'x.tmx' declares the entity 'a': none is expanded here (write its text where it is used)"),
        (
            TMX.replace('lang="en', 'lang="cs').replace("UTF-16", "UTF-8"),
            "x.tmx",
            "'x.tmx' has no text in 'en' (it has: cs, de, fr)",
        ),
        (
            '<?xml version="1.0" encoding="klingon"?><a/>',
            "x.tmx",
            "'x.tmx' says it is in an unknown encoding 'klingon'",
        ),
        ("<tmx>\n\0</tmx>", "x.tmx", "'x.tmx' line 2 has a NUL byte: it is not a text file"),
        ("", "x.tmx", "'x.tmx' is empty"),
    ],
)
def test_what_cannot_be_read_is_said(content: str, name: str, message: str) -> None:
    with pytest.raises(AlmaError) as caught:
        read(content, name, source="en", target="de")

    assert str(caught.value).startswith(message)


def test_a_language_that_is_needed_is_asked_for() -> None:
    with pytest.raises(AlmaError, match=r"'x.tmx' has many languages \(name both with --src and --tgt\)"):
        read(TMX, "x.tmx")
    with pytest.raises(AlmaError, match=r"'x.xlf' names no target language \(name it with --tgt\)"):
        read(XLIFF_2, "x.xlf")
