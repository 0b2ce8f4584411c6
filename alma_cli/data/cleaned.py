"""Cleaned blocks on disk: a Parquet file each, with the records that were kept, their keys, and the block's account.

N = rows of a block, R = rows of all blocks in their order, K = bytes of a signature
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.core.process import ErrorsNaming
from alma_cli.data.account import Account, Sample
from alma_cli.data.records import Pair

_NOTES = b"alma"
# Of the records that a set of columns is for, in this order.
_PAIR_COLUMNS = ("source_language", "target_language", "source", "target", "directed")
_DOCUMENT_COLUMNS = ("language", "text")


@dataclass(frozen=True)
class Overlap:
    """A record that was left out because of a held-out one, or those of its lines that overlap with it."""

    sample: Sample
    left_out: Literal["record", "lines"]
    held_out: str  # the set and the place in it
    held_out_text: str


@dataclass(frozen=True)
class BlockNotes:
    """What a block's file says beside its rows."""

    account: Account
    overlaps: list[Overlap]


def columns_of_pairs(pairs: Sequence[Pair]) -> dict[str, Any]:
    """The pairs as columns that `records_in` makes pairs of."""
    return {
        "source_language": pa.array([pair.direction.source for pair in pairs], pa.string()),
        "target_language": pa.array([pair.direction.target for pair in pairs], pa.string()),
        "source": pa.array([pair.source for pair in pairs], pa.large_string()),
        "target": pa.array([pair.target for pair in pairs], pa.large_string()),
        "directed": pa.array([pair.directed for pair in pairs], pa.bool_()),
    }


def columns_of_documents(documents: Sequence[Document]) -> dict[str, Any]:
    """The documents as columns that `records_in` makes documents of."""
    return {
        "language": pa.array([document.language for document in documents], pa.string()),
        "text": pa.array([document.text for document in documents], pa.large_string()),
    }


def write_block(path: Path, columns: Mapping[str, Any], notes: BlockNotes) -> None:
    """Write a block, complete or not at all."""
    content = {
        "account": notes.account.as_json(),
        "overlaps": [
            [one.sample.place, one.sample.text, one.sample.file, one.left_out, one.held_out, one.held_out_text]
            for one in notes.overlaps
        ],
    }
    table = pa.table(dict(columns)).replace_schema_metadata({_NOTES: json.dumps(content).encode()})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with ErrorsNaming(path):
        try:
            # zstd's first level: it costs less than the disk would take for what it saves.
            pq.write_table(table, temporary, compression="zstd", compression_level=1, use_dictionary=False)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def notes_of(path: Path) -> BlockNotes | None:
    """What a block's file says beside its rows; None where there is no such file, or not a whole one."""
    try:
        content = json.loads(pq.read_schema(path).metadata[_NOTES])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None
    overlaps = [Overlap(Sample(place, text, file), *facts) for place, text, file, *facts in content["overlaps"]]
    return BlockNotes(Account.from_json(content["account"]), overlaps)


@dataclass(frozen=True)
class Rows:
    """The rows of many blocks as one table that is never whole in memory."""

    files: tuple[Path, ...]

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Of each block the number of its first row, and at the end R."""
        counts = [pq.read_metadata(file).num_rows for file in self.files]
        return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def column(self, name: str) -> Callable[[], Iterator[npt.NDArray[Any]]]:
        """A function that reads one column of numbers (N,), or of signatures (N, K), block by block."""

        def read() -> Iterator[npt.NDArray[Any]]:
            for file in self.files:
                yield _as_numpy(pq.read_table(file, columns=[name]).column(0).combine_chunks())

        return read

    def records(self, kept: npt.NDArray[np.bool_]) -> Iterator[tuple[int, Any]]:
        """The kept rows' numbers and records in their order; `kept` is (R,)."""
        for file, start, end in zip(self.files, self.starts[:-1], self.starts[1:], strict=True):
            wanted = np.flatnonzero(kept[start:end])
            if len(wanted):
                records = records_in(pq.read_table(file, columns=_columns_in(file)).take(wanted))
                yield from zip((wanted + start).tolist(), records, strict=True)

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """A column of numbers, whole, (R,)."""
        parts = list(self.column(name)())
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def samples(self, rows: npt.NDArray[np.int64]) -> list[Sample]:
        """Some rows, to look at."""
        found = {}
        blocks = np.searchsorted(self.starts, rows, side="right") - 1
        for block in np.unique(blocks):
            file, own = self.files[block], np.sort(rows[blocks == block])
            table = pq.read_table(file, columns=[*_columns_in(file), "place", "file"]).take(own - self.starts[block])
            places, files = table["place"].to_pylist(), table["file"].to_pylist()
            for row, record, place, name in zip(own, records_in(table), places, files, strict=True):
                found[int(row)] = Sample(place, shown(record), name)
        return [found[int(row)] for row in rows]


def records_in(table: pa.Table) -> Iterator[Pair | Document]:
    """The records of a block's rows."""
    if "text" in table.column_names:
        yield from map(Document, *(table[name].to_pylist() for name in _DOCUMENT_COLUMNS))
        return
    for source_language, target_language, source, target, directed in zip(
        *(table[name].to_pylist() for name in _PAIR_COLUMNS), strict=True
    ):
        yield Pair(_direction(source_language, target_language), source, target, directed)


_direction = cache(Direction)


def shown(record: Pair | Document) -> str:
    """A record as one text to look at: a pair with a tab between its sides."""
    return record.text if isinstance(record, Document) else f"{record.source}\t{record.target}"


def _columns_in(file: Path) -> list[str]:
    names = pq.read_schema(file).names
    return list(_DOCUMENT_COLUMNS if "text" in names else _PAIR_COLUMNS)


def _as_numpy(column: Any) -> npt.NDArray[Any]:
    if pa.types.is_fixed_size_binary(column.type):
        width = column.type.byte_width
        whole = np.frombuffer(column.buffers()[1], dtype=np.uint8)
        return whole[column.offset * width : (column.offset + len(column)) * width].reshape(len(column), width)
    numbers: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return numbers
