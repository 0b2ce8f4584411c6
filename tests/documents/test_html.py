"""HTML: words of blocks and of attributes that people read change; tags, scripts, code and comments do not."""

from __future__ import annotations

import random
import re

import html5lib
import pytest

from alma_cli.errors import InputError
from tests.documents.changed import all_changed, is_byte_faithful, read

PAGE = """<!DOCTYPE html>\r
<html lang=de><head><meta charset="utf-8">\r
<title>Rotes &amp; Haus</title>
<meta name="description" content="Ein &quot;Haus&quot;"><meta name=viewport content="width=device">
<style>p > a { content: "Stil" }</style>
<script>if (a < b) document.write("<p>Skript</p>")</script>
</head><BODY class='a > b'>
<!-- <p>Kommentar</p> -->
<h1 title='Das "Wort"'>  Ein&nbsp;<EM>rotes</EM> Haus<a id="x"></a> </h1>
<p>Der Text
   mit <b>fetten <i>Wörtern</i></b>, <code>kein Text</code> und <a href="/a?b=1&copy=2" title=Ziel>Verweis</a>.<br>
Zweite Zeile &lt;3 <img src=x.png alt="Bild &auml;"> &copy 2024 AT&T
<ul><li>Eins<li>Zwei <!-- mitten --> drei</ul>
<pre>  unberührt <b>hier</b> </pre>
<p translate="no">Marke</p><p>Die <span class="x notranslate">Firma <b>AG</b></span> ist <wbr>da</p>
<table><tr><td>1,5</td><td><p><b>Ganz</b></p></td></tr></table>
<input type="submit" value='Los'><input value="Wert" placeholder="Name?"><textarea>Feld</textarea>
<p>5 < 6 <b>offen
<div>Ende</div></BODY></html>"""


def words(text: str) -> list[str]:
    """The text nodes, as a browser's parser sees them."""
    tree = html5lib.parse(text, namespaceHTMLElements=False)
    return " ".join(tree.itertext()).split()


def test_texts_and_attributes_that_people_read_are_found() -> None:
    document = read(PAGE, "page.html")

    assert document.segments == (
        "Rotes & Haus",
        'Ein "Haus"',
        'Das "Wort"',
        "Ein\u00a0<1>rotes</1> Haus",
        "Der Text mit <1>fetten <2>Wörtern</2></1>, <3/> und <4>Verweis</4>.",
        "Ziel",
        "Zweite Zeile <3 <1/> © 2024 AT&T",
        "Bild ä",
        "Eins",
        "Zwei <1/> drei",
        "Die <1/> ist <2/>da",
        "Ganz",
        "Los",
        "Name?",
        "5 < 6 <1/>offen",
        "Ende",
    )
    assert is_byte_faithful(document)


def test_only_words_change() -> None:
    after = all_changed(read(PAGE, "page.html"))

    untouched = re.compile(
        r"<script.*?</script>|<style.*?</style>|<pre.*?</pre>|<!--.*?-->|<textarea.*?/textarea>", re.S
    )
    assert untouched.findall(after) == untouched.findall(PAGE)
    assert re.findall(r"</?\w+", after) == re.findall(r"</?\w+", PAGE)
    assert [word.casefold() for word in words(after)] == [word.casefold() for word in words(PAGE)]
    assert '<h1 title=\'DAS "WORT"\'>  EIN&nbsp;<EM>ROTES</EM> HAUS<a id="x"></a> </h1>' in after
    assert '<a href="/a?b=1&copy=2" title="ZIEL">VERWEIS</a>.<br>\nZWEITE ZEILE &lt;3' in after
    assert 'content="EIN &quot;HAUS&quot;"' in after
    assert "<code>kein Text</code>" in after
    assert '<span class="x notranslate">Firma <b>AG</b></span>' in after


@pytest.mark.parametrize(
    "translation", ["<script>x</script>", "a & b < c", "\"><b>'", "<1>", "</1></1>", "\x00\x08", "<2/><2/>"]
)
def test_no_markup_comes_in_through_a_translation(translation: str) -> None:
    document = read(PAGE, "page.html")

    tree = html5lib.parse(document.render([translation] * len(document.segments)).decode(), namespaceHTMLElements=False)

    assert len(list(tree.iter("script"))) == 1
    assert len(list(tree.iter("img"))) == 1
    assert len(list(tree.iter("h1"))) == 1


def test_a_page_in_another_encoding_stays_in_it() -> None:
    content = '<meta charset="windows-1252"><p>Größe – €'.encode("cp1252")

    document = read(content, "x.htm")

    assert document.segments == ("Größe – €",)
    assert document.render(["Žluť €"]) == b'<meta charset="windows-1252"><p>\x8elu&#357; \x80'


@pytest.mark.parametrize("seed", range(30))
def test_any_tag_soup_comes_back_byte_for_byte(seed: int) -> None:
    chance = random.Random(seed)
    soup = [
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<i x='>'>",
        "</i>",
        "<br/>",
        "<!--",
        "-->",
        "<code>",
        "</code>",
        "<",
        ">",
        "&amp;",
    ]
    content = "".join(chance.choices([*soup, "<img alt='ä'>", "<a title=x>", "</a>", *"aä日 \n\r\"'/&;"], k=200))

    assert is_byte_faithful(read(content, "x.html"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<p>\n\xff", "'x.html' line 2 is not UTF-8 (convert the file to UTF-8)"),
        (b"<p>\n\0", "'x.html' line 2 has a NUL byte: it is not a text file"),
        (b"<meta charset=klingon>", "'x.html' says it is in an unknown encoding 'klingon' (convert to UTF-8)"),
        (b"", "'x.html' is empty"),
    ],
)
def test_what_cannot_be_read_is_said(content: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content, "x.html")

    assert str(caught.value) == message
