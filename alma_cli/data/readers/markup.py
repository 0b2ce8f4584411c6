"""XML read in pieces: no entity is ever defined or loaded, and nothing in the file can make it take much memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn, Protocol
from xml.parsers import expat

from alma_cli.data.files import MOST_RECORD_BYTES, chunks, shown
from alma_cli.data.readers.grouping import Numbered
from alma_cli.data.records import Unreadable
from alma_cli.errors import InputError

_MOST_DEPTH = 256
_MOST_NAMES = 10_000
_VARIANT_CHARACTERS = 64  # what an element weighs, beside its text


class Units(Protocol):
    """What a format makes of the elements: units, each put into `found` when it ends."""

    found: list[Numbered]
    text: InlineText

    def start(self, name: str, attributes: Mapping[str, str], line: int) -> None:
        """An element begins; its name is without its prefix."""
        ...

    def end(self, name: str) -> None:
        """It ends."""
        ...


class InlineText:
    """The text of a segment, without what the codes in it stand for, and of a unit as much as may be held."""

    def __init__(self, codes: frozenset[str]) -> None:
        self._codes = codes
        self._kept: list[bool] = []
        self._parts: list[str] = []
        self._size = 0
        self._unknown_entity = False

    @property
    def inside(self) -> bool:
        """Whether a segment has begun."""
        return bool(self._kept)

    @property
    def too_long(self) -> bool:
        """Whether the unit has more text than may be held."""
        return self._size > MOST_RECORD_BYTES

    def begin_unit(self) -> None:
        """Forget what the last unit had."""
        self._kept, self._parts, self._size, self._unknown_entity = [], [], 0, False

    def begin(self) -> None:
        """A segment begins."""
        self._kept, self._parts = [True], []
        self._size += _VARIANT_CHARACTERS

    def start(self, name: str) -> None:
        """An element begins within it; <sub> is text even inside a code: a footnote, or an image's description."""
        self._kept.append(name == "sub" or (self._kept[-1] and name not in self._codes))

    def end(self) -> None:
        """That element ends."""
        self._kept.pop()

    def finish(self) -> str:
        """The segment's text."""
        text = "".join(self._parts)
        self._kept, self._parts = [], []
        return text

    def add(self, text: str) -> None:
        """Characters of the file, wherever they are."""
        if self._kept and self._kept[-1]:
            self._size += len(text)
            if not self.too_long:
                self._parts.append(text)

    def miss(self, entity: str) -> None:
        """A character that only the DTD could tell, which is not loaded."""
        self._unknown_entity |= self.inside
        self.add(f"&{entity};")

    def problem(self, text: str) -> Unreadable | None:
        """Why the unit cannot be used, whatever its texts are."""
        if self.too_long:
            return Unreadable("too_long_record", shown(text))
        return Unreadable("unknown_entity", shown(text)) if self._unknown_entity else None


def read_units(path: Path, units: Units) -> Iterator[Numbered]:
    """The file's units as they end. Raises InputError with the line for entities, and for what is not XML."""
    parser = expat.ParserCreate()
    depth = 0

    def refuse(problem: str, hint: str) -> NoReturn:
        raise InputError(f"{path} line {parser.CurrentLineNumber:,} {problem}", hint=hint)

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MOST_DEPTH:
            refuse(f"has elements more than {_MOST_DEPTH} deep", "repair the file")
        units.start(_local(name), attributes, parser.CurrentLineNumber)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        units.end(_local(name))

    def entity(name: str, *_: object) -> NoReturn:
        refuse(f"defines the entity '{name}'", "entities are never expanded: write their text into the file")

    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = units.text.add
    parser.EntityDeclHandler = entity
    parser.SkippedEntityHandler = lambda name, _: units.text.miss(name)
    fed = 0
    pieces = chunks(path)
    while True:
        piece = next(pieces, b"")
        try:
            parser.Parse(piece, not piece)
        except expat.ExpatError as error:
            problem = expat.ErrorString(error.code)
            raise InputError(f"{path} line {error.lineno:,} is not XML: {problem}", hint="repair the file") from None
        fed += len(piece)
        # expat holds a tag or a comment until it ends, and every name for good.
        if fed - parser.CurrentByteIndex > MOST_RECORD_BYTES:
            refuse("begins a tag or comment of more than 16 MiB", "repair the file")
        if len(parser.intern) > _MOST_NAMES:
            refuse(f"has more than {_MOST_NAMES:,} names of elements", "is it of the format that its name says?")
        yield from units.found
        units.found.clear()
        if not piece:
            return


def _local(name: str) -> str:
    return name.rpartition(":")[2] if ":" in name else name
