"""The inline elements of XLIFF and TMX as numbered tags, and slots that write a target beside its source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from alma_cli.documents.pieces import Piece, slot_of
from alma_cli.documents.splice import Slot, Write
from alma_cli.documents.xml_tree import Node, escape_like, only_cdata, text_pieces

_AROUND_TEXT = {"g", "mrk", "pc", "hi"}
_OPENING = {"bpt", "bx", "sc", "sm"}
_CLOSING = {"ept", "ex", "ec", "em"}
_KEYS = ("i", "rid", "startRef", "id")


def content_slot(source: Node) -> Slot | None:
    """The slot for an element's content, where it stands."""
    text = source.source
    pieces = list(_pieces(source))
    if cdata := only_cdata(pieces, text):
        return slot_of(cdata[0], escape=cdata[1], letters=False)
    return slot_of(pieces, escape=escape_like(pieces, text), letters=False)


def target_slot(source: Node, slot: Slot, start: int, end: int, before: str, after: str, location: str) -> Slot:
    """The slot that writes a target there: as the source, with what is around the source's text around it, too."""
    text = source.source
    leading, trailing = text[source.inner[0] : slot.start], text[slot.end : source.inner[1]]
    write = _framed(slot.write, before + leading, trailing + after)
    return replace(slot, start=start, end=end, write=write, is_target=True, location=location)


def _framed(inner: Write, before: str, after: str) -> Write:
    return lambda events, markup: before + inner(events, markup) + after


def has_text(target: Node) -> bool:
    """Whether anything but white space is in the element."""
    return bool(target.source[slice(*target.inner)].strip())


def _pieces(element: Node) -> Iterator[Piece]:
    for node in element.children:
        if node.kind != "element":
            yield from text_pieces([node])
        elif node.local in _AROUND_TEXT and node.inner[0] < node.inner[1]:
            yield Piece("open", node.start, node.inner[0], key=f"<{node.start}")
            yield from _pieces(node)
            yield Piece("close", node.inner[1], node.end, key=f"<{node.start}")
        elif node.local in _OPENING or node.local in _CLOSING:
            key = next((node.attributes[name] for name in _KEYS if name in node.attributes), "")
            yield Piece("open" if node.local in _OPENING else "close", node.start, node.end, key=key)
        else:
            yield Piece("alone", node.start, node.end)
