"""HTML: the text of blocks with their inline tags, and the attributes that people read; all else stays as it is."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator

from alma_cli.documents.decoded import decode
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.pieces import Piece, between_breaks, references, slot_of
from alma_cli.documents.splice import Slot, SplicedDocument
from alma_cli.documents.xml_tree import legal

_TOKEN = re.compile(
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<[!?][^>]*>|<(/?)([a-zA-Z][^\s/>]*)((?:[^>\"']++|\"[^\"]*\"|'[^']*')*+)>", re.S
)
_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?([-\w]+)|<\?xml[^>]+encoding\s*=\s*["']([-\w]+)""", re.I)
REFERENCE = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*);?")
_ATTRIBUTE = re.compile(r"""\s([a-zA-Z][-:\w]*)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""")

_INLINE_NAMES = """
a abbr acronym b bdi bdo big cite data del dfn em font i ins label mark nobr q rp rt ruby s small span strike strong sub
sup time tt u
"""
INLINE = frozenset(_INLINE_NAMES.split())
_ALONE = {"img", "wbr", "input"}
_WHOLE = {"code", "kbd", "samp", "var", "svg", "math"}  # one tag that stands alone, with what is in it
_UNTOUCHED = {"script", "style", "pre", "textarea", "iframe", "object", "noembed", "noframes", "xmp", "template"}
_READ_BY_PEOPLE = {"title", "alt", "placeholder", "aria-label", "aria-description"}
_META = re.compile(r"""\s(?:name|property)\s*=\s*["']?(?:description|og:title|og:description|twitter:\w+)\b""", re.I)
_META_TWITTER_OTHER = re.compile(r"twitter:(?:card|site|creator|image|url)", re.I)
_BUTTON = re.compile(r"""\stype\s*=\s*["']?(?:submit|button|reset)\b""", re.I)
_NOT_TRANSLATED = re.compile(r"""\stranslate\s*=\s*["']?no\b|\sclass\s*=\s*["'][^"']*\bnotranslate\b""", re.I)


def read_html(content: bytes, name: str, _: DocumentOptions) -> SplicedDocument:
    """The document in its own encoding; what that cannot hold is written as a reference."""
    match = _CHARSET.search(content[:4096])
    decoded = decode(content, name, declared=(match[1] or match[2]).decode() if match else "utf-8")
    slots = list(html_slots(decoded.text, 0, len(decoded.text)))
    return SplicedDocument(content, decoded.text, tuple(slots), decoded.codec, decoded.bom, "xmlcharrefreplace")


def html_slots(text: str, start: int, end: int) -> list[Slot]:
    """The slots in that stretch of HTML, in reading order."""
    slots: list[Slot] = []
    pieces: list[Piece] = []
    for piece, found in _pieces(text, start, end):
        slots += found
        pieces.append(piece)
    for group in between_breaks(pieces):
        if slot := slot_of(group, escape=escape_like(group, text), one_space=True, tags_outside=True):
            slots.append(slot)
    return sorted(slots, key=lambda slot: (slot.start, -slot.end))


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[Piece, list[Slot]]]:
    """Texts, inline tags, and breaks where blocks begin and end; with each tag the slots of its attributes."""
    position = start
    while match := _TOKEN.search(text, position, end):
        for piece in references(text, position, match.start(), REFERENCE, html.unescape):
            yield piece, []
        name, is_closing = (match[2] or "").lower(), bool(match[1])
        position = match.end()
        kept = name and not is_closing and not match[3].endswith("/") and _is_kept(name, match[3])
        if kept:
            position = _end_of(text, name, position, end)
        slots = (
            [] if kept or not name or is_closing else list(_attribute_slots(text, name, match.start(3), match.end(3)))
        )
        if name in INLINE and not kept:
            yield Piece("close" if is_closing else "open", match.start(), position, key=name), slots
        elif not name or name in INLINE | _ALONE | _WHOLE:
            yield Piece("alone", match.start(), position), slots
        else:
            yield Piece("break", match.start(), position), slots
    for piece in references(text, position, end, REFERENCE, html.unescape):
        yield piece, []


def _is_kept(name: str, attributes: str) -> bool:
    """Whether the element stays as it is, with all that is in it."""
    return name in _WHOLE | _UNTOUCHED or _NOT_TRANSLATED.search(attributes) is not None


def _end_of(text: str, name: str, position: int, end: int) -> int:
    """Where the element that was opened before the position ends; the position itself for one never closed."""
    depth, at = 1, position
    pattern = re.compile(rf"<(/?){re.escape(name)}(?=[\s/>])[^>]*>", re.I)
    nests = name not in _UNTOUCHED
    for match in pattern.finditer(text, position, end):
        if match[1]:
            depth -= 1
        elif nests and not match[0].endswith("/>"):
            depth += 1
        if not depth:
            at = match.end()
            break
    return at


def _attribute_slots(text: str, tag: str, start: int, end: int) -> Iterator[Slot]:
    attributes = text[start:end]
    for match in _ATTRIBUTE.finditer(text, start, end):
        name = match[1].lower()
        is_content = tag == "meta" and name == "content" and _META.search(attributes)
        is_value = tag == "input" and name == "value" and _BUTTON.search(attributes)
        if name in _READ_BY_PEOPLE or (is_content and not _META_TWITTER_OTHER.search(attributes)) or is_value:
            yield from _value_slots(text, match.start(2), match.end(2))


def _value_slots(text: str, start: int, end: int) -> Iterator[Slot]:
    is_quoted = text[start] in "\"'"
    inside = references(text, start + is_quoted, end - is_quoted, REFERENCE, html.unescape)
    quote = text[start] if is_quoted else '"'
    write = escape_like(inside, text)
    around = "" if is_quoted else quote

    def escape(translation: str) -> str:
        return around + write(translation).replace(quote, "&quot;" if quote == '"' else "&#39;") + around

    if slot := slot_of(inside, escape=escape, one_space=True):
        yield slot


def escape_like(pieces: Iterable[Piece], text: str) -> Callable[[str], str]:
    """Writes text as HTML; a character that the source writes as a reference is written so again."""
    written = {
        piece.text: text[piece.start : piece.end]
        for piece in pieces
        if piece.kind == "text" and len(piece.text) == 1 and not piece.is_literal
    }
    table = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"} | written)
    return lambda translation: legal(translation).translate(table)
