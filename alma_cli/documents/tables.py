"""TSV and CSV: one column's cells; the others, and the quotes of those that stay, are never printed again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from alma_cli.documents.decoded import Decoded, decode
from alma_cli.documents.inline import Event
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.pieces import Piece, lines, references, slot_of
from alma_cli.documents.splice import Markup, Slot, SplicedDocument
from alma_cli.errors import InputError, nearest

Cell = tuple[int, int]  # where it stands, its quotes included
Row = list[Cell]

_TSV_CELL = re.compile(r"[^\t\n]*?(?=\r?\n|\t|\r?\Z)")
_TWO_QUOTES = re.compile('""')
_OBVIOUS = ("source", "src", "text")


def read_tsv(content: bytes, name: str, options: DocumentOptions) -> SplicedDocument:
    """Cells between tabs, rows between line feeds; a cell in quotes is read as a spreadsheet does."""
    decoded = decode(content, name)
    return _document(content, decoded, _rows(decoded.text, _TSV_CELL, "\t"), name, options, _tsv_cell)


def read_csv(content: bytes, name: str, options: DocumentOptions) -> SplicedDocument:
    """Cells between commas, semicolons or tabs, whichever the first row has most of; quoted ones may go over lines."""
    decoded = decode(content, name)
    delimiter = _delimiter(decoded.text)
    rows = _rows(decoded.text, _csv_pattern(delimiter), delimiter)
    return _document(content, decoded, rows, name, options, _csv_cell(delimiter))


def tsv_cells(content: bytes, name: str, options: DocumentOptions) -> list[str]:
    """The column's text in each row; empty where a row is too short."""
    text = decode(content, name).text
    return _cells(text, _rows(text, _TSV_CELL, "\t"), name, options)


def csv_cells(content: bytes, name: str, options: DocumentOptions) -> list[str]:
    """The same of a CSV."""
    text = decode(content, name).text
    delimiter = _delimiter(text)
    return _cells(text, _rows(text, _csv_pattern(delimiter), delimiter), name, options)


def _cells(text: str, rows: Iterator[Row], name: str, options: DocumentOptions) -> list[str]:
    first = next(rows, [])
    column, is_header = _column([text[start:end].strip('" ') for start, end in first], options, name)
    found = []
    for row in rows if is_header else chain([first], rows):
        cell = text[slice(*row[column])] if column < len(row) else ""
        is_quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
        found.append(cell[1:-1].replace('""', '"') if is_quoted else cell)
    return found


def _delimiter(text: str) -> str:
    first = re.sub(r'"(?:[^"]|"")*"', "", text[: 1 << 20]).split("\n")[0]
    return max(",;\t", key=first.count)


def _csv_pattern(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf'"(?:[^"]|"")*"(?=[{delimiter}\r\n]|\Z)|[^{delimiter}\r\n]*')


def _rows(text: str, cell: re.Pattern[str], delimiter: str) -> Iterator[Row]:
    position = 0
    while position < len(text):
        row: Row = []
        while True:
            match = cell.match(text, position)
            assert match is not None
            row.append(match.span())
            position = match.end()
            if text[position : position + 1] != delimiter:
                break
            position += 1
        yield row
        position = position + 2 if text.startswith("\r\n", position) else position + 1


def _document(
    content: bytes,
    decoded: Decoded,
    rows: Iterator[Row],
    name: str,
    options: DocumentOptions,
    slots_of: Callable[[str, Cell], list[Slot]],
) -> SplicedDocument:
    text, first = decoded.text, next(rows, [])
    names = [text[start:end].strip('" ') for start, end in first]
    column, is_header = _column(names, options, name)
    slots = [] if is_header else slots_of(text, first[column]) if column < len(first) else []
    short, reached = int(not is_header and column >= len(first)), column < len(first)
    for row in rows:
        if column < len(row):
            reached = True
            slots += slots_of(text, row[column])
        elif len(row) > 1 or row[0][0] < row[0][1]:
            short += 1
    if not reached:
        raise InputError(f"'{name}': no row has a column {column + 1}", hint=f"the first row has {len(first)}")
    notes = (f"{short} rows without column {column + 1} are left as they are",) if short else ()
    return SplicedDocument(content, text, tuple(slots), decoded.codec, decoded.bom, notes=notes)


def _column(names: Sequence[str], options: DocumentOptions, file: str) -> tuple[int, bool]:
    """The column, from 0, and whether the first row has the names and is to be left alone."""
    if options.column.isdecimal() and int(options.column):
        return int(options.column) - 1, False
    folded = [name.casefold() for name in names]
    if options.column:
        if options.column.casefold() not in folded:
            hint = nearest(options.column, names)
            raise InputError(f"'{file}' has no column '{options.column}' in its first row", hint=hint)
        return folded.index(options.column.casefold()), True
    for usual in (options.source, *_OBVIOUS):
        if usual in folded:
            return folded.index(usual), True
    if len(names) <= 1:
        return 0, False
    shown = ", ".join(name[:20] for name in names[:8])
    raise InputError(
        f"'{file}': which of its {len(names)} columns is to be translated? The first row has: {shown}",
        hint="name it or number it with --column",
    )


def _quoted_slots(text: str, cell: Cell, escape: Callable[[str], str]) -> list[Slot]:
    pieces = references(text, cell[0] + 1, cell[1] - 1, _TWO_QUOTES, lambda _: '"')
    return [slot for line in lines(pieces) if (slot := slot_of(line, escape=escape))]


def _plain_slots(text: str, cell: Cell, escape: Callable[[str], str]) -> list[Slot]:
    """The slot is the whole cell, so that quotes, where a translation needs them, come around its white space, too."""
    slot = slot_of([Piece("text", *cell, text[slice(*cell)])])
    if slot is None:
        return []
    before, after = text[cell[0] : slot.start], text[slot.end : cell[1]]

    def write(events: Sequence[Event], _: Markup) -> str:
        return escape(before + "".join(event.text for event in events) + after)

    return [replace(slot, start=cell[0], end=cell[1], write=write)]


def _tsv_cell(text: str, cell: Cell) -> list[Slot]:
    if re.fullmatch(r'"(?:[^"]|"")*"', text[slice(*cell)]):
        return _quoted_slots(text, cell, lambda t: t.replace('"', '""').replace("\t", " "))
    return _plain_slots(text, cell, lambda t: t.replace("\t", " "))


def _csv_cell(delimiter: str) -> Callable[[str, Cell], list[Slot]]:
    def slots_of(text: str, cell: Cell) -> list[Slot]:
        if re.fullmatch(r'"(?:[^"]|"")*"', text[slice(*cell)]):
            return _quoted_slots(text, cell, lambda t: t.replace('"', '""'))
        return _plain_slots(text, cell, lambda t: _quoted_if_needed(t, delimiter))

    return slots_of


def _quoted_if_needed(text: str, delimiter: str) -> str:
    return '"' + text.replace('"', '""') + '"' if delimiter in text or '"' in text else text
