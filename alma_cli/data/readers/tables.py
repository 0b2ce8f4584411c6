"""TSV and CSV: two columns of a table, chosen by number, by the names in its first line, or because there are two."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from alma_cli.core.languages import Direction
from alma_cli.data.files import BLOCK_BYTES, first_line, line_blocks, lines_in, numbered_lines, shown
from alma_cli.data.readers.grouping import Numbered, blocks_of
from alma_cli.data.records import Pair, RawBlock, Row, Unreadable
from alma_cli.errors import InputError, nearest

# A quote that is never closed must not take the rest of the file into one cell.
_MOST_CHARACTERS_OVER_LINES = 1 << 20


@final
@dataclass(frozen=True)
class Columns:
    """The two columns with the texts, counted from 0; `header` if the first line has their names."""

    source: int = 0
    target: int = 1
    header: bool = False
    width: int | None = 2
    """How many columns a line must have; None: as many as it takes."""

    @classmethod
    def of(cls, path: Path, names: Sequence[str], fields: tuple[str, str] | None, direction: Direction) -> Columns:
        """The columns that `fields` choose (numbers from 1, or names), or that the first line's names offer.

        Raises InputError for a name that is not among those of the first line.
        """
        if fields and all(field.isdecimal() and int(field) for field in fields):
            return cls(int(fields[0]) - 1, int(fields[1]) - 1, width=None)
        folded = [name.strip().casefold() for name in names]
        if fields is None:
            for choice in ((direction.source, direction.target), ("source", "target"), ("src", "tgt"), ("src", "trg")):
                if set(choice) <= set(folded):
                    return cls(folded.index(choice[0]), folded.index(choice[1]), header=True, width=len(names))
            return cls()
        for field in fields:
            if field.casefold() not in folded:
                raise InputError(f"{path} has no column '{field}' in its first line", hint=nearest(field, names))
        source, target = (folded.index(field.casefold()) for field in fields)
        return cls(source, target, header=True, width=len(names))

    def row(self, place: int, cells: Sequence[str], direction: Direction) -> Row | None:
        """The pair of one line; None for the line with the columns' names."""
        if self.header and place == 1:
            return None
        if not any(cell.strip() for cell in cells):
            return Unreadable("empty")
        if len(cells) <= max(self.source, self.target) or self.width not in (None, len(cells)):
            return Unreadable("wrong_columns", shown("\t".join(cells)))
        return Pair(direction, cells[self.source], cells[self.target])


@final
@dataclass(frozen=True)
class TsvPairs:
    """Two of the columns that tabs separate; nothing is quoted."""

    path: Path
    direction: Direction
    columns: Columns = Columns()
    block_bytes: int = BLOCK_BYTES

    @classmethod
    def of(cls, path: Path, direction: Direction, fields: tuple[str, str] | None = None) -> TsvPairs:
        """The reader of a file, whose first line is looked at."""
        return cls(path, direction, Columns.of(path, first_line(path).split("\t"), fields, direction))

    def blocks(self) -> Iterator[RawBlock]:
        """Whole lines, as bytes."""
        return line_blocks(self.path, self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with its line's number."""
        for place, line in lines_in(block):
            if isinstance(line, Unreadable):
                yield place, line
            elif row := self.columns.row(place, line.split("\t"), self.direction):
                yield place, row


@final
@dataclass(frozen=True)
class CsvPairs:
    """Two of the columns that commas separate; a cell between quotes may have commas and line ends in it."""

    path: Path
    direction: Direction
    columns: Columns = Columns()
    delimiter: str = ","
    block_bytes: int = BLOCK_BYTES

    @classmethod
    def of(cls, path: Path, direction: Direction, fields: tuple[str, str] | None = None) -> CsvPairs:
        """The reader of a file, whose first line is looked at: one without commas has semicolons, as Excel writes."""
        line = first_line(path)
        delimiter = ";" if ";" in line and "," not in line else ","
        try:
            names = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            names = []
        return cls(path, direction, Columns.of(path, names, fields, direction), delimiter)

    def blocks(self) -> Iterator[RawBlock]:
        """Cells: where a record ends, only the parser knows."""
        return blocks_of(_records(self.path, self.delimiter), self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with the number of its first line."""
        for place, cells in block.content:
            if isinstance(cells, Unreadable):
                yield place, cells
            elif row := self.columns.row(place, cells, self.direction):
                yield place, row


def _records(path: Path, delimiter: str) -> Iterator[Numbered]:
    """The cells of each record, after the number of its first line."""
    lines = _Lines(path)
    while True:
        try:
            for cells in csv.reader(lines, delimiter=delimiter, strict=True):
                yield lines.done(), cells
            return
        except csv.Error:
            yield from lines.give_up()


class _Lines:
    """A file's lines as csv.reader takes them; those that a stray quote took in are read again."""

    def __init__(self, path: Path) -> None:
        self._rest = numbered_lines(path)
        self._ahead: deque[tuple[int, str | Unreadable]] = deque()
        self._taken: list[tuple[int, str]] = []
        self._characters = 0  # in the lines that are taken
        self._patience = _MOST_CHARACTERS_OVER_LINES  # characters that may yet be read again

    def done(self) -> int:
        """A record is complete: the number of its first line."""
        place = self._taken[0][0]
        self._taken.clear()
        self._characters = 0
        return place

    def give_up(self) -> list[Numbered]:
        """What is unreadable: the first of the lines that were taken, while the others come again.

        Where that has happened so often that it would never end, all of them are unreadable.
        """
        if not self._taken:
            return [self._ahead.popleft()]
        self._patience -= self._characters
        bad = self._taken[:1] if self._patience > 0 else self._taken[:]
        self._ahead.extendleft(reversed(self._taken[len(bad) :]))
        self.done()
        return [(place, Unreadable("invalid_csv", shown(line))) for place, line in bad]

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        following = self._ahead.popleft() if self._ahead else self._new()
        place, line = following
        if isinstance(line, Unreadable) or (self._taken and self._characters > _MOST_CHARACTERS_OVER_LINES):
            self._ahead.appendleft(following)
            raise csv.Error("the quotes are not closed")
        self._taken.append((place, line))
        self._characters += len(line)
        return line + "\n"

    def _new(self) -> tuple[int, str | Unreadable]:
        place, line = next(self._rest)
        if isinstance(line, str):
            self._patience += 2 * len(line)
        return place, line
