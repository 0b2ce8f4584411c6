"""One side of a document that is translated already: a segment for each place, also where there is nothing."""

from __future__ import annotations

from collections.abc import Callable

from alma_cli.core.languages import Side
from alma_cli.documents.document import format_of, read_document
from alma_cli.documents.jsonl import jsonl_values
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.po import po_messages
from alma_cli.documents.tables import csv_cells, tsv_cells
from alma_cli.documents.tmx import tmx_units
from alma_cli.documents.xliff import xliff_units
from alma_cli.errors import InputError

# Each place's text in a file of one language, and each place's source and translation in a file of two.
_ALONE: dict[str, Callable[[bytes, str, DocumentOptions], list[str]]] = {
    "csv": csv_cells,
    "tsv": tsv_cells,
    "jsonl": jsonl_values,
}
_BOTH: dict[str, Callable[[bytes, str, DocumentOptions], list[tuple[str, str]]]] = {
    "po": po_messages,
    "xliff": xliff_units,
    "tmx": tmx_units,
}


def holds_both_sides(name: str) -> bool:
    """Whether a file of that name has the sources beside their translations."""
    return format_of(name) in _BOTH


def read_side(content: bytes, name: str, side: Side, options: DocumentOptions) -> tuple[str, ...]:
    """The texts of one side in reading order, each in one line; a row, message or unit without one has an empty text.

    Raises InputError where the file cannot be read or has none.
    """
    format_ = format_of(name) or "txt"
    language = options.source if side == "source" else options.target
    if format_ in _BOTH:
        texts = [source if side == "source" else target for source, target in _BOTH[format_](content, name, options)]
    elif format_ in _ALONE:
        own = DocumentOptions(language, column=options.column, field=options.field)
        texts = _ALONE[format_](content, name, own)
    else:
        texts = list(read_document(content, name).segments)
    if not texts:
        raise InputError(f"'{name}' has no segments")
    return tuple(" ".join(text.split()) for text in texts)
