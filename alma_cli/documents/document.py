"""A file of any format as translatable segments, and back: which reader a file gets, and what a reader gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Protocol

from alma_cli.documents.docx import read_docx
from alma_cli.documents.html import read_html
from alma_cli.documents.jsonl import read_jsonl
from alma_cli.documents.markdown import read_markdown
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.po import read_po
from alma_cli.documents.subtitles import read_srt, read_vtt
from alma_cli.documents.tables import read_csv, read_tsv
from alma_cli.documents.text import read_document as read_text
from alma_cli.documents.tmx import read_tmx
from alma_cli.documents.xliff import read_xliff
from alma_cli.errors import InputError, UsageError, nearest

__all__ = ["FORMATS", "Document", "DocumentOptions", "format_of", "read_document"]

FORMATS: dict[str, tuple[str, ...]] = {  # name -> the endings of its files
    "txt": (".txt", ".text"),
    "tsv": (".tsv", ".tab"),
    "csv": (".csv",),
    "jsonl": (".jsonl", ".ndjson"),
    "srt": (".srt",),
    "vtt": (".vtt",),
    "po": (".po", ".pot"),
    "xliff": (".xlf", ".xliff", ".mxliff", ".sdlxliff"),
    "tmx": (".tmx",),
    "html": (".html", ".htm", ".xhtml"),
    "markdown": (".md", ".markdown"),
    "docx": (".docx", ".docm"),
}
_READERS: dict[str, Callable[[bytes, str, DocumentOptions], Document]] = {
    "txt": lambda content, name, _: read_text(content, name),
    "tsv": read_tsv,
    "csv": read_csv,
    "jsonl": read_jsonl,
    "srt": read_srt,
    "vtt": read_vtt,
    "po": read_po,
    "xliff": read_xliff,
    "tmx": read_tmx,
    "html": read_html,
    "markdown": read_markdown,
    "docx": read_docx,
}
_TO_CONVERT = {
    ".doc": "save it as .docx",
    ".odt": "save it as .docx",
    ".rtf": "save it as .docx",
    ".pdf": "take the file that it was made from, or its text (pdftotext)",
    ".xlsx": "save the sheet as .csv",
    ".mo": "take the .po file that it was made from, or msgunfmt",
}


class Document(Protocol):
    """A file's segments, and the file again with their translations."""

    @property
    def segments(self) -> tuple[str, ...]:
        """What is to be translated, in reading order; inline tags are `<1>...</1>` and `<2/>`."""

    @property
    def locations(self) -> tuple[str, ...]:
        """Where each segment stands, for people: `line 12`, or the format's own name for the place."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left alone and why, with counts, for the user to know."""

    def render(self, translations: Sequence[str | None]) -> bytes:
        """The whole file with each segment's translation in its place; None: what is there stays."""


def read_document(
    content: bytes, name: str, *, format: str = "auto", options: DocumentOptions | None = None
) -> Document:
    """The document in a file's bytes; `auto` goes by the name's ending, and reads what it does not know as text.

    Raises InputError for what cannot be read (the file, the line, what to do), UsageError for an unknown format.
    """
    if format not in (*FORMATS, "auto"):
        raise UsageError(f"unknown format '{format}'", hint=nearest(format, [*FORMATS, "auto"]))
    if not content:
        raise InputError(f"'{name}' is empty")
    if format == "auto":
        if (ending := PurePath(name).suffix.lower()) in _TO_CONVERT:
            raise InputError(f"'{name}': {ending} files cannot be translated", hint=_TO_CONVERT[ending])
        format = format_of(name) or "txt"
    return _READERS[format](content, name, options or DocumentOptions())


def format_of(name: str) -> str | None:
    """The format that a file's ending stands for."""
    ending = PurePath(name).suffix.lower()
    return next((format_ for format_, endings in FORMATS.items() if ending in endings), None)
