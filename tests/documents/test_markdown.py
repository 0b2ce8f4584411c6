"""Markdown: words of paragraphs, headings, items and cells change; code, front matter, addresses and marks do not."""

from __future__ import annotations

import random

import pytest
from markdown_it import MarkdownIt

from tests.documents.changed import all_changed, is_byte_faithful, read

PAGE = r"""---
title: Kein Text
---

# Ein *rotes* Haus #

Der Absatz geht **über
zwei** Zeilen mit `code` und [einem Verweis](https://a.de/b_(c) "T"), siehe https://x.de/a_b.
Harte Zeile@
danach\
Ende mit 5 * 3 und snake_case_name \*kein\* <b>HTML</b>.

> Zitat über
> zwei Zeilen[^1] ![Ein Bild](b.png) hier
>
> - Punkt im Zitat

Untertitel
==========

1. Erstens
   weiter
   - [x] Erledigt ~~nicht~~
2. ![Nur Bild](x.png)

```python
print("kein Text")
```

    auch kein Text

| Kopf | a\|b |
|------|:----:|
| Zelle **fett** | Haus |
| 12 | Haus |

[^1]: Die Fußnote.

[ref]: https://a.de "Kein Titel"

<div class="x">
<p>HTML <em>Block</em></p>
</div>

<!-- Kommentar -->
Letzte Zeile [mit Bezug][ref]""".replace("@", "  ")


def shape(text: str) -> list[tuple[str, str]]:
    """The blocks, and inside them the inline elements, as a parser sees them."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inline = [child for token in tokens for child in token.children or [] if child.type not in ("text", "softbreak")]
    return [(t.type, str(t.attrs)) for t in [*tokens, *inline]]


def test_words_are_found_with_their_marks_as_tags() -> None:
    document = read(PAGE, "page.md")

    assert document.segments == (
        "Ein <1>rotes</1> Haus",
        "Der Absatz geht <1>über zwei</1> Zeilen mit <2/> und <3>einem Verweis</3>, siehe <4/>. Harte Zeile",
        "danach",
        r"Ende mit 5 * 3 und snake_case_name \*kein\* <1>HTML</1>.",
        "Zitat über zwei Zeilen<1/> <2/> hier",
        "Ein Bild",
        "Punkt im Zitat",
        "Untertitel",
        "Erstens weiter",
        "Erledigt <1>nicht</1>",
        "Nur Bild",
        "Kopf",
        r"a\|b",
        "Zelle <1>fett</1>",
        "Haus",
        "Haus",
        "Die Fußnote.",
        "HTML <1>Block</1>",
        "Letzte Zeile <1>mit Bezug</1>",
    )
    assert document.locations[:2] == ("line 5", "line 7")
    assert is_byte_faithful(document)


def test_only_words_change() -> None:
    after = all_changed(read(PAGE, "page.md"))

    kept = [
        line
        for line in PAGE.split("\n")
        if line.startswith(("---", "title", "```", "print", "    a", "|--", "[ref]", "<div", "<!--"))
    ]
    assert [line for line in kept if line not in after] == []
    assert (
        'DER ABSATZ GEHT **ÜBER ZWEI** ZEILEN MIT `code` UND [EINEM VERWEIS](https://a.de/b_(c) "T"), SIEHE https'
        in after
    )
    assert "> ZITAT ÜBER ZWEI ZEILEN[^1] ![EIN BILD](b.png) HIER\n>\n> - PUNKT" in after
    assert [name for name, _ in shape(after)] == [name for name, _ in shape(PAGE)]


@pytest.mark.parametrize("translation", ["# x", "- x", "1. x", "> x", "```", "<script>", "a | b", "x\n\n# y", "+ x"])
def test_a_translation_begins_no_block(translation: str) -> None:
    document = read("Absatz\n\n| a | b |\n|---|---|\n| Zelle | Haus |\n", "x.md")

    after = document.render([translation] * len(document.segments)).decode()

    before = shape("Absatz\n\n| a | b |\n|---|---|\n| Zelle | Haus |\n")
    assert [name for name, _ in shape(after) if "inline" not in name] == [
        name for name, _ in before if "inline" not in name
    ]


def test_windows_line_ends_stay() -> None:
    content = PAGE.replace("\n", "\r\n")

    document = read(content, "page.md")

    assert document.segments == read(PAGE, "page.md").segments
    assert all_changed(document) == all_changed(read(PAGE, "page.md")).replace("\n", "\r\n")


@pytest.mark.parametrize("seed", range(30))
def test_any_markdown_comes_back_byte_for_byte(seed: int) -> None:
    chance = random.Random(seed)
    marks = [
        "**",
        "*",
        "_",
        "`",
        "[",
        "](x)",
        "![",
        "\n> ",
        "\n- ",
        "\n1. ",
        "\n# ",
        "\n\n",
        "  \n",
        "\\",
        "<b>",
        "</b>",
        "|",
    ]
    content = "".join(chance.choices([*marks, "\n|-|-|\n", "\t", "\r", *"aä日 \n<>&~"], k=150))

    assert is_byte_faithful(read(content, "x.md"))
