"""JSON files: a value a line, or one array of any length, of which never more than a record is held."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from alma_cli.data.files import BLOCK_BYTES, MOST_RECORD_BYTES, line_blocks, lines_in, shown, text_chunks
from alma_cli.data.readers.grouping import Numbered, blocks_of
from alma_cli.data.readers.shapes import ANY_PAIR, PairShape, document_at
from alma_cli.data.records import RawBlock, Row, Unreadable
from alma_cli.errors import InputError

_SPACE = re.compile(r"[ \t\n\r]*")
_EXPECTED = {"[": "'['", "]": "',' or ']'"}


@final
@dataclass(frozen=True)
class JsonPairs:
    """Each object's sentence pair."""

    path: Path
    shape: PairShape = ANY_PAIR
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Lines as bytes, or values of an array."""
        return _blocks(self.path, self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with its line's or its record's number."""
        for place, value in _values(block):
            yield place, value if isinstance(value, Unreadable) else self.shape.read(value)


@final
@dataclass(frozen=True)
class JsonDocuments:
    """Each object's text under a field; with the field `content`, the documents of OSCAR."""

    path: Path
    language: str
    field: str
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Lines as bytes, or values of an array."""
        return _blocks(self.path, self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each document with its line's or its record's number."""
        for place, value in _values(block):
            yield place, value if isinstance(value, Unreadable) else document_at(value, self.field, self.language)


def _blocks(path: Path, block_bytes: int) -> Iterator[RawBlock]:
    start = next(text_chunks(path), b"").lstrip()
    return blocks_of(_array(path), block_bytes) if start.startswith(b"[") else line_blocks(path, block_bytes)


def _values(block: RawBlock) -> Iterator[tuple[int, Any]]:
    if isinstance(block.content, list):
        yield from block.content
        return
    for place, line in lines_in(block):
        yield place, line if isinstance(line, Unreadable) else _value(line)


def _value(line: str) -> Any:
    if not line.strip():
        return Unreadable("empty")
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return Unreadable("invalid_json", shown(line))


def _array(path: Path) -> Iterator[Numbered]:
    """The values of the file's array, numbered from 1. Raises InputError with the line for what is not JSON."""
    text = _ArrayText(path)
    text.expect("[")
    place = 0
    if not text.has("]"):
        while True:
            place += 1
            yield place, text.value(place)
            if not text.has(","):
                break
        text.expect("]")
    text.expect_end()


class _ArrayText:
    """A JSON text that is read as it is needed: a piece that is done with is let go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pieces = text_chunks(path)
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._line, self._column = 1, 1  # of the text's first character
        self._ended = False

    def value(self, place: int) -> Any:
        """The value that comes next."""
        self._skip_space()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                problem = self._error(error.pos, f"is not JSON: {error.msg}")
            except (ValueError, RecursionError):
                raise self._error(self._at, f"(record {place:,}) is not JSON that can be read") from None
            else:
                # A number that reaches the end of what is here may go on.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
                problem = self._error(end, "is not JSON")
            if self._ended:
                raise problem
            if len(self._text) - self._at > MOST_RECORD_BYTES:
                raise self._error(self._at, f"(record {place:,}) is longer than 16 MiB, or is not JSON")
            self._more()

    def has(self, mark: str) -> bool:
        """Whether `mark` comes next; if so, it is read."""
        self._skip_space()
        there = self._text.startswith(mark, self._at)
        self._at += there
        return there

    def expect(self, mark: str) -> None:
        """Read `mark`, which has to come next."""
        if not self.has(mark):
            raise self._error(self._at, f"is not JSON: Expecting {_EXPECTED[mark]}")

    def expect_end(self) -> None:
        """Nothing more may come."""
        self._skip_space()
        if self._at < len(self._text):
            raise self._error(self._at, "is not JSON: Extra data after the array")

    def _skip_space(self) -> None:
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._text) or self._ended:
                return
            self._more()

    def _more(self) -> None:
        self._line, self._column = self._position(self._at)
        piece = next(self._pieces, None)
        self._ended = piece is None
        try:
            more = self._utf8.decode(piece or b"", final=self._ended)
        except UnicodeDecodeError as error:
            line = self._line + self._text.count("\n", self._at) + (piece or b"").count(b"\n", 0, error.start)
            raise InputError(f"{self._path} line {line:,} is not UTF-8", hint="convert it to UTF-8") from None
        self._text = self._text[self._at :] + more
        self._at = 0

    def _position(self, at: int) -> tuple[int, int]:
        feeds = self._text.count("\n", 0, at)
        column = at - self._text.rfind("\n", 0, at) if feeds else self._column + at
        return self._line + feeds, column

    def _error(self, at: int, problem: str) -> InputError:
        line, column = self._position(at)
        return InputError(
            f"{self._path} line {line:,} column {column:,} {problem}", hint="repair it or store one object a line"
        )
