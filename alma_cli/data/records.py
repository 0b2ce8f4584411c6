"""What flows through prepare: records as a corpus has them, in blocks that one worker cleans at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, final

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction


@final
@dataclass(frozen=True)
class Pair:
    """A sentence pair as its corpus has it; a directed one is test material for its own direction only."""

    direction: Direction
    source: str
    target: str
    directed: bool = False


@final
@dataclass(frozen=True)
class Unreadable:
    """What stands where a record could not be read, with what could be seen of it."""

    reason: str
    text: str = ""


Record = TypeVar("Record", Pair, Document)
Row = Pair | Document | Unreadable


@dataclass(frozen=True)
class RawBlock:
    """A run of a corpus that is read but not taken apart: bytes with whole lines, or records where only a parser
    knows their ends. What a block holds depends on the corpus alone, never on the machine."""

    place: int  # of its first record in its file: a line's number, or a record's where lines mean nothing; from 1
    content: Any
    file: str = ""  # of several; empty where the corpus has one


class Reader(Protocol):
    """One corpus's format; small and picklable, since its blocks are taken apart in other processes."""

    def blocks(self) -> Iterator[RawBlock]:
        """The corpus from its start, about 8 MiB at a time, in bounded memory. Raises AlmaError for what is broken."""
        ...

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """The block's records, each with its place in its file; nothing that was there is skipped."""
        ...


def texts_of(record: Pair | Document) -> tuple[str, ...]:
    """The record's texts: of a pair the source first."""
    return (record.text,) if isinstance(record, Document) else (record.source, record.target)


def languages_of(record: Pair | Document) -> tuple[str, ...]:
    """The languages of the record's texts, in their order."""
    if isinstance(record, Document):
        return (record.language,)
    return (record.direction.source, record.direction.target)


def rows_of(reader: Reader) -> Iterator[Row]:
    """Every record of a corpus, one after the other."""
    for block in reader.blocks():
        for _, row in reader.rows(block):
            yield row


def columns_of(records: Sequence[Pair] | Sequence[Document]) -> tuple[list[str], ...]:
    """The texts of many records side by side: one list of documents, or one of sources and one of targets."""
    return tuple(list(column) for column in zip(*(texts_of(record) for record in records), strict=True))
