"""A translator that changes every text and no tag, and what the tests of all formats ask of a document."""

from __future__ import annotations

import re

from alma_cli.documents.document import Document, DocumentOptions, read_document
from alma_cli.documents.splice import SplicedDocument

TAG = re.compile(r"(</?\d+/?>)")


def changed(segment: str) -> str:
    """The words in capitals; tags and everything that is no letter as they were."""
    return "".join(part if TAG.fullmatch(part) else part.upper() for part in TAG.split(segment))


def all_changed(document: Document) -> str:
    """The file with every segment in capitals."""
    return document.render([changed(segment) for segment in document.segments]).decode("utf-8-sig")


def read(content: str | bytes, name: str, **options: str | bool) -> Document:
    """The document, whose bytes come back from an identity translator, and one by one where segments change."""
    data = content if isinstance(content, bytes) else content.encode()
    document = read_document(data, name, options=DocumentOptions(**options))  # type: ignore[arg-type]
    assert len(document.locations) == len(document.segments)
    assert document.render(document.segments) == data
    return document


def is_byte_faithful(document: Document) -> bool:
    """Whether what is around a segment comes back byte for byte when it alone changes."""
    assert isinstance(document, SplicedDocument)
    some = sorted({0, len(document.slots) // 2, len(document.slots) - 1}) if document.slots else []
    return all(_only_one_differs(document, i) for i in some)


def _only_one_differs(document: SplicedDocument, i: int) -> bool:
    rendered = document.render([*document.segments[:i], "@@", *document.segments[i + 1 :]]).removeprefix(document.bom)
    before, after = document.text[: document.slots[i].start], document.text[document.slots[i].end :]
    text = rendered.decode(document.codec)
    return text.startswith(before) and text.endswith(after) and "@@" in text[len(before) : len(text) - len(after)]
