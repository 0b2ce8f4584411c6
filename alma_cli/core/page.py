"""What our HTML pages have in common: one file that loads nothing, dark and light, with everybody's text escaped."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

Figure = tuple[str, str, str]  # a name, a value, and what to know about it


def page(title: str, subtitle: str, body: str, *, footer: str, styles: Sequence[str] = (), script: str = "") -> str:
    """A whole page; `body` and `footer` are HTML, `styles` CSS after the common one.

    The browser itself is told that it needs nothing from anywhere, and runs no script but the one that is given.
    """
    script = f"\n{script}" if script else ""
    allowed = "default-src 'none'; style-src 'unsafe-inline'; img-src data:" + (
        f"; script-src 'sha256-{_sha256(script)}'" if script else ""
    )
    style = "".join((beside("alma_cli.core", "page.css"), *styles))
    return "".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy"\n content="{allowed}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n',
            f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n",
            '<a class="skip" href="#main">Skip to the content</a>\n',
            f'<header><h1>{escape(title)}</h1>\n<p>{escape(subtitle)}</p></header>\n<main id="main" tabindex="-1">\n',
            f"{body}</main>\n<footer>{footer}</footer>\n",
            f"<script>{script}</script>\n" if script else "",
            "</body>\n</html>\n",
        )
    )


def beside(package: str, name: str) -> str:
    """A file of a package, such as its CSS."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def key_figures(figures: Iterable[Figure]) -> str:
    """Large numbers in a row."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in figures
    )
    return f'<dl class="figures">{cells}</dl>\n'


def facts_table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values below each other."""
    cells = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f"<table><tbody>{cells}</tbody></table>"


def wide_table(names: Sequence[str], rows: Iterable[Sequence[str]], label: str, css_class: str = "numbers") -> str:
    """A table whose first column names the row; it scrolls where it is wider than the page, by keyboard, too."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{foreign_text(row[0])}</th>'
        + "".join(f"<td>{foreign_text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" role="region" aria-label="{escape(label)}" tabindex="0"><table class="{css_class}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )


def foreign_text(text: str) -> str:
    """Anybody's text as HTML: what cannot be seen by its code point; its direction does not change ours."""
    return f"<bdi>{''.join(map(_seen, text))}</bdi>"


def big_number(number: float) -> str:
    """A count in words: `1.24 billion`, `3.5 million`, `950`."""
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return f"{number:,.0f}"


def share_text(count: int, total: int) -> str:
    """A percentage of which at least two digits count: `0.031%`, `12.5%`; `0%` is none, `100%` is all."""
    if not count or not total:
        return "0%"
    percent = 100 * count / total
    return "100%" if count >= total else f"{percent:.2g}%" if percent < 9.95 else f"{min(percent, 99.9):.1f}%"


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _seen(character: str) -> str:
    if character in "\n\t" or character.isprintable() or unicodedata.category(character) == "Zs":
        return escape(character)
    return f'<span class="unseen">U+{ord(character):04X}</span>'
