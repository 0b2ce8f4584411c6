"""A document as its own text with slots: translations go into the slots, everything else comes back byte for byte.

    <p>Ein <b>Haus</b>.</p>          the text, never parsed and printed again
       ^^^^^^^^^^^^^^^^              a slot; its segment is `Ein <1>Haus</1>.`

A format is a function that finds the slots. Slots may lie inside a tag of another slot (the `alt` of an image).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from alma_cli.documents.inline import Event, Span, Tag, events_of

Markup = Callable[[Span], str]  # what the document has there, with the translations of the slots inside it
Write = Callable[[Sequence[Event], Markup], str]


def written_with(escape: Callable[[str], str] = str, *, before: str = "", after: str = "") -> Write:
    """Writes a translation's texts escaped, its tags as they stand in the document, and the frame around all."""

    def write(events: Sequence[Event], markup: Markup) -> str:
        return before + "".join(_piece(event, escape, markup) for event in events) + after

    return write


def _piece(event: Event, escape: Callable[[str], str], markup: Markup) -> str:
    if event.tag is None:
        return escape(event.text)
    if event.kind == "close":
        assert event.tag.closing is not None
        return markup(event.tag.closing)
    return markup(event.tag.opening)


_AS_IT_IS = written_with()


@dataclass(frozen=True)
class Slot:
    """A place for one translation."""

    start: int  # characters; where start == end the translation is put in between
    end: int
    segment: str  # what is to be translated, in one line
    tags: tuple[Tag, ...] = ()
    write: Write = _AS_IT_IS
    is_target: bool = False  # beside its source: written even where the translation equals it
    location: str = ""  # for people; else the line
    goes_on: bool = False  # writes on where the slot before it ended: both are written, or neither


@dataclass(frozen=True)
class SplicedDocument:
    """A file's text, its slots in reading order, and how it was encoded."""

    content: bytes
    text: str
    slots: tuple[Slot, ...]
    codec: str = "utf-8"
    bom: bytes = b""
    unencodable: str = "strict"  # "xmlcharrefreplace" where the format has character references
    notes: tuple[str, ...] = ()  # what was left alone, for the user to know
    additions: tuple[tuple[int, str], ...] = ()  # put in where anything is translated, such as the target language

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """What is to be translated, one translation each."""
        return tuple(slot.segment for slot in self.slots)

    @cached_property
    def locations(self) -> tuple[str, ...]:
        """Where each segment stands: its line, or the format's own name for the place."""
        feeds = [match.start() for match in re.finditer("\n", self.text)]
        return tuple(slot.location or f"line {bisect_left(feeds, slot.start) + 1}" for slot in self.slots)

    def render(self, translations: Sequence[str | None]) -> bytes:
        """The file with each translation in its place; None leaves the place as it was.

        The file as it came, where every segment came back as it was.
        """
        assert len(translations) == len(self.slots), f"{len(translations)=} {len(self.slots)=}"
        if all(new in (None, old) for new, old in zip(translations, self.segments, strict=True)):
            return self.content
        return self.bom + self.spliced(translations).encode(self.codec, self.unencodable)

    def spliced(self, translations: Sequence[str | None]) -> str:
        """The text with the translations in it."""
        translations = self._together(translations)
        added = [Slot(at, at, "", write=written_with(before=text), is_target=True) for at, text in self.additions]
        pairs: list[tuple[Slot, str | None]] = list(zip(self.slots, translations, strict=True))
        pairs += [(slot, "") for slot in added]
        pairs.sort(key=lambda pair: (pair[0].start, -pair[0].end))
        splice = _Splice(self.text, [slot for slot, _ in pairs], [translation for _, translation in pairs])
        return splice.between(0, len(self.text), 0)

    def _together(self, translations: Sequence[str | None]) -> list[str | None]:
        """The translations, with the source in place of None where a part of the same value is written."""
        together = list(translations)
        first = 0
        for i in range(1, len(together) + 1):
            if i < len(together) and self.slots[i].goes_on:
                continue
            if any(translation is not None for translation in together[first:i]):
                together[first:i] = [
                    self.segments[k] if together[k] is None and i - first > 1 else together[k] for k in range(first, i)
                ]
            first = i
        return together


@dataclass(frozen=True)
class _Splice:
    """One rendering: slots sorted by where they start, outer ones first."""

    text: str
    slots: Sequence[Slot]
    translations: Sequence[str | None]

    @cached_property
    def starts(self) -> list[int]:
        return [slot.start for slot in self.slots]

    def between(self, start: int, end: int, i: int) -> str:
        """That part of the text, with the slots from the i-th on that lie in it."""
        pieces = []
        while i < len(self.slots) and (self.slots[i].start < end or end == len(self.text)):
            slot = self.slots[i]
            if slot.start >= start and slot.end <= end:  # else it lies in one that is written already
                pieces += [self.text[start : slot.start], self.written(i)]
                start = slot.end
            i += 1
        return "".join([*pieces, self.text[start:end]])

    def written(self, i: int) -> str:
        slot, translation = self.slots[i], self.translations[i]
        if translation is None or (translation == slot.segment and not slot.is_target):
            return self.between(slot.start, slot.end, i + 1)
        in_one_line = " ".join(translation.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
        return slot.write(events_of(in_one_line, slot.tags, slot.segment), self.markup)

    def markup(self, span: Span) -> str:
        return self.between(*span, bisect_right(self.starts, span[0]))
