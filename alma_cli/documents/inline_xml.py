"""The inline elements of XLIFF and TMX as numbered tags, and slots that write a target beside its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from alma_cli.documents.inline import Span
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


def segmented_slots(source: Node) -> list[Slot]:
    """A slot for each `<mrk mtype="seg">` in the element, or the one of all its content."""
    segments = [mark for mark in source.all("mrk") if mark.attributes.get("mtype") == "seg"]
    return [slot for segment in segments or [source] if (slot := content_slot(segment))]


def target_slots(
    source: Node, slots: Sequence[Slot], place: Span, before: str, after: str, location: str
) -> list[Slot]:
    """The slots that write a target at the place: as the source, with what is around the source's texts, too."""
    text, found, position = source.source, list[Slot](), source.inner[0]
    for i, slot in enumerate(slots):
        leading = (before if i == 0 else "") + text[position : slot.start]
        trailing = text[slot.end : source.inner[1]] + after if i == len(slots) - 1 else ""
        position = slot.end
        start = place[1] if i else place[0]
        write = _framed(slot.write, leading, trailing)
        slot = replace(slot, start=start, end=place[1], write=write, location=location)
        found.append(replace(slot, is_target=True, goes_on=i > 0))
    return found


def has_text(target: Node) -> bool:
    """Whether anything but white space and markup is in the element."""
    waiting = [target]
    while waiting:
        node = waiting.pop()
        if node.kind in ("text", "cdata") and node.source[node.start : node.end].strip():
            return True
        waiting += node.children
    return False


def _framed(inner: Write, before: str, after: str) -> Write:
    return lambda events, markup: before + inner(events, markup) + after


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
