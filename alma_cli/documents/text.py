"""Plain text: a segment a line; line ends, BOM, blank lines and outer white space come back as they were."""

from __future__ import annotations

import codecs

from alma_cli.core.text_files import decode_text, split_lines
from alma_cli.documents.splice import Slot, SplicedDocument
from alma_cli.errors import InputError


def read_document(content: bytes, name: str) -> SplicedDocument:
    """The document in a file's bytes, its blank lines being empty segments.

    Raises InputError where they are empty or not UTF-8 text (with the line).
    """
    text = decode_text(content, name)
    if not text:
        raise InputError(f"'{name}' is empty")
    slots, position = [], 0
    for line in split_lines(text):
        segment = line.strip()
        start = position + line.index(segment)
        slots.append(Slot(start, start + len(segment), segment))
        position += len(line) + 1
    bom = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    return SplicedDocument(content, text, tuple(slots), bom=bom)
