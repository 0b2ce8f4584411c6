"""From the pieces of a text (words, references, inline tags) to slots: split, trimmed, their tags numbered.

Each piece knows where it stands, so white space and tags at the edges stay outside a slot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from alma_cli.documents.inline import Tag, free_numbers
from alma_cli.documents.splice import Slot, Write, written_with


@dataclass(frozen=True)
class Piece:
    """A stretch of the document: a text with its meaning, or an inline tag; a break is where a segment ends."""

    kind: Literal["text", "open", "close", "alone", "break"]
    start: int
    end: int
    text: str = ""
    key: str = ""  # a closing tag belongs to the last opening one with the same key

    @property
    def is_literal(self) -> bool:
        """Whether it is written as it is meant, so that it can be cut anywhere."""
        return len(self.text) == self.end - self.start


def references(text: str, start: int, end: int, pattern: re.Pattern[str], meaning: Callable[[str], str]) -> list[Piece]:
    """That stretch as text pieces, those that match the pattern having another meaning than they look."""
    found = []
    for match in pattern.finditer(text, start, end):
        if match.start() > start:
            found.append(Piece("text", start, match.start(), text[start : match.start()]))
        found.append(Piece("text", match.start(), match.end(), meaning(match[0])))
        start = match.end()
    if start < end:
        found.append(Piece("text", start, end, text[start:end]))
    return found


def lines(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """The pieces of each line of a value; the line feeds themselves are left out."""
    line: list[Piece] = []
    for piece in pieces:
        if piece.kind != "text" or "\n" not in piece.text:
            line.append(piece)
            continue
        position = piece.start
        *full, last = piece.text.split("\n") if piece.is_literal else ("", "")
        for part in full:
            yield [*line, Piece("text", position, position + len(part), part)]
            line = []
            position += len(part) + 1
        if last:
            line.append(Piece("text", position, piece.end, last))
    yield line


def between_breaks(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """The pieces from one break to the next."""
    group: list[Piece] = []
    for piece in pieces:
        if piece.kind == "break":
            yield group
            group = []
        else:
            group.append(piece)
    yield group


def slot_of(
    pieces: Sequence[Piece],
    *,
    escape: Callable[[str], str] = str,
    write: Write | None = None,
    one_space: bool = False,
    tags_outside: bool = False,
    letters: bool = True,
) -> Slot | None:
    """The slot for these pieces; None where they hold no letter (or, with letters=False, nothing at all).

    With one_space, white space is one space to the model, as it is to a browser; with tags_outside, tags that stand
    alone at the edges stay out of the slot.
    """
    pieces = trimmed(pieces, tags_outside=tags_outside)
    plain = "".join(piece.text for piece in pieces if piece.kind == "text")
    if not (any(map(str.isalpha, plain)) if letters else plain):
        return None
    tags, written = numbered(pieces, plain)
    segment = re.sub(r"[ \t\r\n\f]+" if one_space else r"[ \t\r]*\n\s*", " ", written)
    return Slot(pieces[0].start, pieces[-1].end, segment, tags, write or written_with(escape))


def numbered(pieces: Sequence[Piece], plain: str) -> tuple[tuple[Tag, ...], str]:
    """The tags of the pieces and the text with them in it."""
    taken = free_numbers(plain)
    numbers = (number for number in count(1) if number not in taken)
    pairs = partners(pieces)
    tags: list[Tag] = []
    by_opening: dict[int, Tag] = {}
    written = []
    for i, piece in enumerate(pieces):
        if piece.kind == "text":
            written.append(piece.text)
        elif piece.kind == "close" and i in pairs:
            written.append(f"</{by_opening[pairs[i]].number}>")
        else:
            closing = pieces[pairs[i]] if i in pairs else None
            tag = Tag(next(numbers), (piece.start, piece.end), (closing.start, closing.end) if closing else None)
            by_opening[i] = tag
            tags.append(tag)
            written.append(f"<{tag.number}>" if closing else f"<{tag.number}/>")
    return tuple(tags), "".join(written)


def trimmed(pieces: Sequence[Piece], *, tags_outside: bool) -> list[Piece]:
    """The pieces without white space, and tags around everything, at the edges."""
    left, pairs = list(pieces), partners(pieces)
    first, last = 0, len(left) - 1
    while first <= last:
        if pairs.get(first) == last:
            first, last = first + 1, last - 1
        elif tags_outside and pairs.get(first) == first + 1:
            first += 2
        elif tags_outside and pairs.get(last) == last - 1:
            last -= 2
        elif _is_space(left[first]) or (tags_outside and left[first].kind != "text" and first not in pairs):
            first += 1
        elif _is_space(left[last]) or (tags_outside and left[last].kind != "text" and last not in pairs):
            last -= 1
        else:
            break
    left = left[first : last + 1]
    if left and left[0].kind == "text" and left[0].is_literal:
        text = left[0].text.lstrip()
        left[0] = replace(left[0], start=left[0].end - len(text), text=text)
    if left and left[-1].kind == "text" and left[-1].is_literal:
        text = left[-1].text.rstrip()
        left[-1] = replace(left[-1], end=left[-1].start + len(text), text=text)
    return left


def _is_space(piece: Piece) -> bool:
    return piece.kind == "text" and not piece.text.strip()


def partners(pieces: Sequence[Piece]) -> dict[int, int]:
    """Which opening piece and which closing piece belong together, properly nested ones only; both ways."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for i, piece in enumerate(pieces):
        if piece.kind == "open":
            opened.append(i)
        elif piece.kind == "close":
            depth = next((d for d in range(len(opened) - 1, -1, -1) if pieces[opened[d]].key == piece.key), None)
            if depth is not None:
                found[i], found[opened[depth]] = opened[depth], i
                del opened[depth:]
    return found
