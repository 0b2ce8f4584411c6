"""Files in which a line is a record: text with a document a line, and two files whose lines are translations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.data.files import BLOCK_BYTES, line_blocks, lines_in
from alma_cli.data.records import Pair, RawBlock, Row, Unreadable
from alma_cli.errors import InputError

_Lines = bytes | Unreadable


@final
@dataclass(frozen=True)
class TextDocuments:
    """Each line a document."""

    path: Path
    language: str
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Whole lines, as bytes."""
        return line_blocks(self.path, self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each line with its number."""
        for place, line in lines_in(block):
            yield place, line if isinstance(line, Unreadable) else Document(self.language, line)


@final
@dataclass(frozen=True)
class LinePairs:
    """Line n of one file with line n of the other."""

    source: Path
    target: Path
    direction: Direction
    directed: bool = False
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """As many lines of the one as of the other, as a pair of bytes.

        Raises InputError where one of them ends before the other.
        """
        place = 1
        sides = [_Side(path, self.block_bytes // 2 or 1) for path in (self.source, self.target)]
        while lines := min(side.lines for side in sides):
            yield RawBlock(place, tuple(side.take(lines) for side in sides))
            place += lines
        if any(side.lines for side in sides):
            counts = [place - 1 + side.lines_left() for side in sides]
            short = self.source if counts[0] < counts[1] else self.target
            raise InputError(
                f"{self.source} has {counts[0]:,} lines and {self.target} {counts[1]:,}: "
                f"{short.name} ends after line {min(counts):,}",
                hint="line n of one must be the translation of line n of the other",
            )

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with its line's number; a bad line takes its translation with it."""
        sides = [lines_in(RawBlock(block.place, content)) for content in block.content]
        for (place, source), (_, target) in zip(*sides, strict=True):
            if isinstance(source, Unreadable):
                yield place, source
            elif isinstance(target, Unreadable):
                yield place, target
            else:
                yield place, Pair(self.direction, source, target, self.directed)


class _Side:
    """One of the two files: the block at hand, from which lines are taken, and what comes after it."""

    def __init__(self, path: Path, block_bytes: int) -> None:
        self._blocks = line_blocks(path, block_bytes)
        self._next()

    @property
    def lines(self) -> int:
        """Lines in the block at hand; 0 at the file's end."""
        return len(self._ends) - self._taken

    def take(self, lines: int) -> _Lines:
        """So many of them, which must not be more than there are."""
        start = int(self._ends[self._taken - 1]) if self._taken else 0
        self._taken += lines
        end = int(self._ends[self._taken - 1])
        content = self._content if isinstance(self._content, Unreadable) else self._content[start:end]
        if not self.lines:
            self._next()
        return content

    def lines_left(self) -> int:
        """Lines to the file's end, all of which are taken."""
        left = 0
        while self.lines:
            left += self.lines
            self._next()
        return left

    def _next(self) -> None:
        block = next(self._blocks, None)
        self._content: _Lines = block.content if block else b""
        self._ends = _ends(self._content)
        self._taken = 0


def _ends(content: _Lines) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where each line ends, after its line feed."""
    if isinstance(content, Unreadable):
        return np.zeros(1, dtype=np.int64)
    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n")) + 1
    return ends if content.endswith(b"\n") or not content else np.append(ends, len(content))
