"""Parquet: the rows of a table of which only the columns with texts are read, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from alma_cli.core.languages import LANGUAGES
from alma_cli.data.files import BLOCK_BYTES, existing_file
from alma_cli.data.readers.shapes import ANY_PAIR, NESTED, OWN_PAIR, PairShape, document_at
from alma_cli.data.records import RawBlock, Row
from alma_cli.errors import InputError, nearest

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_MOST_ROWS = 65_536
_BUFFER_BYTES = 1 << 20


@final
@dataclass(frozen=True)
class ParquetPairs:
    """Each row's sentence pair, in the shapes that JSON has."""

    path: Path
    shape: PairShape = ANY_PAIR
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Batches of rows, in Arrow's own form."""
        return _batches(self.path, self._columns, self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with its row's number."""
        for place, row in enumerate(block.content.to_pylist(), block.place):
            yield place, self.shape.read(row)

    def _columns(self, names: list[str]) -> list[str]:
        if self.shape.fields:
            return [_column(self.path, field, names) for field in self.shape.fields]
        direction = self.shape.direction
        if direction is None:
            wanted = {NESTED, *OWN_PAIR, *LANGUAGES}
        else:
            wanted = {NESTED, *OWN_PAIR, str(direction), direction.source, direction.target}
        found = [name for name in names if name in wanted]
        if not found:
            listed = ", ".join(names[:12])
            raise InputError(f"{self.path} has no column for a pair; it has {listed}", hint="choose two with `fields`")
        return found


@final
@dataclass(frozen=True)
class ParquetDocuments:
    """Each row's text in one column."""

    path: Path
    language: str
    field: str
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Batches of rows, in Arrow's own form."""
        return _batches(self.path, lambda names: [_column(self.path, self.field, names)], self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each document with its row's number."""
        for place, row in enumerate(block.content.to_pylist(), block.place):
            yield place, document_at(row, self.field, self.language)


def _batches(path: Path, choose: Callable[[list[str]], list[str]], block_bytes: int) -> Iterator[RawBlock]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    place = 1
    try:
        with ParquetFile(existing_file(path), buffer_size=_BUFFER_BYTES, pre_buffer=False) as table:
            columns = choose(table.schema_arrow.names)
            for group in range(table.num_row_groups):
                rows = _rows_in_block(table, group, columns, block_bytes)
                for batch in table.iter_batches(rows, row_groups=[group], columns=columns):
                    yield RawBlock(place, batch)
                    place += batch.num_rows
    except (pyarrow.ArrowException, OSError) as error:
        problem = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as Parquet: {problem}", hint="download or write it again") from None


def _rows_in_block(table: ParquetFile, group: int, columns: list[str], block_bytes: int) -> int:
    """So many rows of a group as have about `block_bytes` of the chosen columns."""
    known = table.metadata.row_group(group)
    chunks = [known.column(number) for number in range(known.num_columns)]
    chosen = {name.partition(".")[0] for name in columns}
    size = sum(int(c.total_uncompressed_size) for c in chunks if c.path_in_schema.partition(".")[0] in chosen)
    return max(1, min(_MOST_ROWS, block_bytes * int(known.num_rows) // max(1, size)))


def _column(path: Path, field: str, names: list[str]) -> str:
    if field in names or field.partition(".")[0] in names:
        return field
    raise InputError(f"{path} has no column '{field}'", hint=nearest(field, names))
