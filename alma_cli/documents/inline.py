"""Inline tags as a model sees them: `<1>bold</1>` and `<2/>`; a translation's tags matched with the source's, repaired.

Numbered tags are short (few tokens), alike for every format, and cannot be translated by mistake, as the name of an
attribute or the words of a link's address can.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Span = tuple[int, int]  # characters of the document's text: first, one past the last

NUMBERED = re.compile(r"<(/?)(\d+)(/?)>")
_AS_MODELS_WRITE_THEM = re.compile(r"< ?(/?) ?(\d{1,4}) ?(/?) ?>")


@dataclass(frozen=True)
class Tag:
    """One numbered tag of a segment, and where its markup stands in the document."""

    number: int
    opening: Span
    closing: Span | None = None  # None: it stands alone, as an image or a placeholder does


@dataclass(frozen=True)
class Event:
    """A piece of a translation: a text, or a tag that opens, closes, or stands alone."""

    kind: Literal["text", "open", "close", "alone"]
    text: str = ""
    tag: Tag | None = None


def free_numbers(text: str) -> set[int]:
    """The numbers that no tag may have, because the text itself holds something that looks like it."""
    return {int(number) for _, number, _ in NUMBERED.findall(text)}


def events_of(translation: str, tags: Sequence[Tag], segment: str) -> list[Event]:
    """The translation cut at its tags, which are balanced whatever it holds.

    A pair that crosses another is closed with it; a second use of a number and a number that the source does not have
    are left out; a lost pair is lost (the text stays); a lost tag that stands alone is put at the end.
    """
    known = {tag.number: tag for tag in tags}
    literal = free_numbers(segment) - known.keys()
    found: list[Event] = []
    opened: list[Tag] = []
    used: set[int] = set()
    position = 0
    for match in _AS_MODELS_WRITE_THEM.finditer(translation):
        closing, number, tag = match[1] == "/", int(match[2]), known.get(int(match[2]))
        if tag is None and number in literal:
            continue
        found.append(Event("text", translation[position : match.start()]))
        position = match.end()
        if tag is None:
            continue
        if closing and tag in opened:
            while True:
                inner = opened.pop()
                found.append(Event("close", tag=inner))
                if inner is tag:
                    break
        elif not closing and number not in used and not (tag.closing and match[3]):
            used.add(number)
            if tag.closing:
                opened.append(tag)
            found.append(Event("open" if tag.closing else "alone", tag=tag))
    found.append(Event("text", translation[position:]))
    found += [Event("close", tag=tag) for tag in reversed(opened)]
    found += [Event("alone", tag=tag) for tag in tags if not tag.closing and tag.number not in used]
    return [event for event in found if event.kind != "text" or event.text]
