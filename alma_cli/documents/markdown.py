"""Markdown: paragraphs, headings, list items and table cells; code, front matter, links' addresses and HTML tags stay.

markdown-it finds the blocks; what it calls inline content is looked up in the lines it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from alma_cli.documents.decoded import decode
from alma_cli.documents.html import INLINE, html_slots
from alma_cli.documents.inline import Event, Span
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.pieces import Piece, between_breaks, partners, slot_of
from alma_cli.documents.splice import Markup, Slot, SplicedDocument, Write

_FRONT_MATTER = re.compile(r"\A(?:---[ \t]*\r?\n.*?^(?:---|\.\.\.)|\+\+\+[ \t]*\r?\n.*?^\+\+\+)[ \t]*\r?$", re.S | re.M)
_TASK = re.compile(r"\[[ xX]\][ \t]+")
_BLOCK_MARK = re.compile(r"^(\s*(?:\d+)?)(#{1,6}(?=\s)|[-+*](?=\s)|(?<=\d)[.)](?=\s)|>|`{3}|~{3})")
_TAG_MARK = re.compile(r"<(?=[a-zA-Z/!?])")
_IMAGE = re.compile(r"!\[([^\[\]\n]*)\](?=[(\[])")
_LINK_END = r"\]\((?:<[^<>\n]*>|[^\s()<>]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
_INLINE = re.compile(
    rf"""
    (?P<escape>\\[!-/:-@\[-`{{-~])
    | (?P<code>(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))
    | (?P<image>!\[[^\[\]]*{_LINK_END} | !\[[^\[\]]*\]\[[^\]]*\])
    | (?P<auto><[a-zA-Z][a-zA-Z0-9+.-]*:[^\s<>]*>|<[^\s<>@]+@[^\s<>]+>)
    | (?P<html><!--.*?-->|<(?P<slash>/?)(?P<tag>[a-zA-Z][a-zA-Z0-9-]*)(?:\s[^<>]*)?/?>)
    | (?P<note>\[\^[^\]\s]+\]:?)
    | (?P<close>{_LINK_END}|\]\[[^\]\n]*\])
    | (?P<open>\[)
    | (?P<mark>\*\*\*|\*\*|\*|(?<!\w)_{{1,3}}(?=\S)|(?<=\S)_{{1,3}}(?!\w)|~~)
    | (?P<url>https?://[^\s<>()\[\]]*[^\s<>()\[\].,;:!?'"*_~])
    """,
    re.X | re.S | re.M,
)


def read_markdown(content: bytes, name: str, _: DocumentOptions) -> SplicedDocument:
    """CommonMark with GitHub's tables and struck-through text, and front matter."""
    decoded = decode(content, name)
    text = decoded.text
    front = _FRONT_MATTER.match(text)
    begin = front.end() if front else 0
    slots = sorted(_slots(text, begin), key=lambda slot: (slot.start, -slot.end))
    return SplicedDocument(content, text, tuple(slots), decoded.codec, decoded.bom)


def _slots(text: str, begin: int) -> Iterator[Slot]:
    from markdown_it import MarkdownIt

    starts = [begin, *(match.end() for match in re.finditer("\n", text[begin:]))]
    starts[1:] = [begin + start for start in starts[1:]]
    ends = [*starts[1:], len(text)]
    position = 0  # cells of one row are looked for one behind the other
    in_cell = False
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for token in parser.parse(text[begin:].replace("\r\n", "\n").replace("\r", " ")):
        in_cell = token.type in ("th_open", "td_open") or (in_cell and token.type == "inline")
        if token.map is None or token.map[0] >= len(starts):
            continue
        start, end = starts[token.map[0]], ends[min(token.map[1], len(ends)) - 1]
        if token.type == "html_block":
            yield from html_slots(text, start, end)
        elif token.type == "inline" and (found := _places(text, token.content, max(start, position), end, in_cell)):
            position = found[-1][1]
            yield from _inline_slots(text, found, in_cell)


def _places(text: str, content: str, start: int, end: int, in_cell: bool) -> list[Span]:
    """Where the content's lines stand in the document, one behind the other; none if they cannot be found."""
    found = []
    for line in content.split("\n"):
        bare = line.strip().replace("|", r"\|") if in_cell else line.strip()
        at = text.find(bare, start, end)
        if at < 0:
            return []
        start = at + len(bare)
        found.append((at, start))
    return found


def _inline_slots(text: str, lines: Sequence[Span], in_cell: bool) -> Iterator[Slot]:
    escape = _escape_in_cell if in_cell else _escape
    for start, end in lines:
        for match in _IMAGE.finditer(text, start, end):
            if slot := slot_of([Piece("text", *match.span(1), match[1])], escape=escape):
                yield slot
    for group in between_breaks(_pieces(text, lines)):
        if slot := slot_of(_paired(text, group), escape=escape, one_space=True, tags_outside=True):
            begins_line = not in_cell and any(slot.start == start for start, _ in lines)
            yield replace(slot, write=_first_marked(slot.write)) if begins_line else slot


def _escape(translation: str) -> str:
    """What would begin a tag is marked as text."""
    return _TAG_MARK.sub(r"\<", translation)


def _escape_in_cell(translation: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\|", _escape(translation))


def _first_marked(write: Write) -> Write:
    """Writes the same, and what would begin a block is marked as text."""

    def written(events: Sequence[Event], markup: Markup) -> str:
        line = write(events, markup)
        return _BLOCK_MARK.sub(r"\1\\\2", line) if events and events[0].tag is None else line

    return written


def _pieces(text: str, lines: Sequence[Span]) -> list[Piece]:
    found: list[Piece] = []
    task = _TASK.match(text, *lines[0])
    for i, (start, end) in enumerate(lines):
        after = lines[i + 1][0] if i + 1 < len(lines) else end
        is_break = after > end and re.match(r" {2,}\r?\n", text[end:after]) is not None
        if after > end and text.endswith("\\", start, end):
            is_break, end = True, end - 1
        if task and not i:
            found.append(Piece("alone", *task.span()))
            start = task.end()
        found += _line_pieces(text, start, end)
        if after > end:
            found.append(Piece("break" if is_break else "text", end, after, "" if is_break else " "))
    return found


def _line_pieces(text: str, start: int, end: int) -> Iterator[Piece]:
    for match in _INLINE.finditer(text, start, end):
        if start < match.start():
            yield Piece("text", start, match.start(), text[start : match.start()])
        span, start = match.span(), match.end()
        tag = (match["tag"] or "").lower()
        if match["escape"]:
            yield Piece("text", *span, match[0])
        elif tag in INLINE:
            yield Piece("close" if match["slash"] else "open", *span, key=f"<{tag}")
        elif tag == "br":
            yield Piece("break", *span)
        elif match["open"] or match["close"]:
            yield Piece("open" if match["open"] else "close", *span, key="[")
        elif match["mark"]:
            yield Piece("open", *span, key=match[0])
        else:
            yield Piece("alone", *span)
    if start < end:
        yield Piece("text", start, end, text[start:end])


def _paired(text: str, pieces: Sequence[Piece]) -> list[Piece]:
    """Marks of emphasis told to open or to close; those, and brackets, that do neither are text."""
    found: list[Piece] = []
    opened: list[str] = []
    for piece in pieces:
        if piece.key and piece.key[0] in "*_~":
            goes_on = piece.start > 0 and not text[piece.start - 1].isspace()
            if piece.key in opened and goes_on:
                del opened[opened.index(piece.key) :]
                piece = replace(piece, kind="close")
            elif not text[piece.end : piece.end + 1].isspace():
                opened.append(piece.key)
            else:
                piece = Piece("text", piece.start, piece.end, piece.key)
        found.append(piece)
    matched = partners(found)
    return [
        Piece("text", piece.start, piece.end, text[piece.start : piece.end])
        if piece.kind in ("open", "close") and i not in matched and not piece.key.startswith("<")
        else piece
        for i, piece in enumerate(found)
    ]
