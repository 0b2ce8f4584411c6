"""Word documents: the paragraphs of the text, tables, text boxes, notes, headers and footers; every other part stays.

Only the runs of paragraphs that are translated are written anew; the parts of the archive that hold none are copied.
"""

from __future__ import annotations

import copy
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.splice import SplicedDocument
from alma_cli.documents.word_paragraph import paragraph_slots, paragraphs
from alma_cli.documents.xml_tree import read_xml
from alma_cli.errors import InputError

_PARTS = re.compile(r"word/(document|footnotes|endnotes|header|footer)\d*\.xml")
_ORDER = ("document", "footnotes", "endnotes", "header", "footer")
_OLE = b"\xd0\xcf\x11\xe0"
_MOST_BYTES = 1 << 29  # unpacked: more is an attack, or a book of a hundred thousand pages


@dataclass(frozen=True)
class WordDocument:
    """An archive, and those of its parts that have text."""

    content: bytes
    parts: dict[str, SplicedDocument]
    notes: tuple[str, ...] = ()

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The paragraphs of all parts, cut at line breaks and tabs."""
        return tuple(segment for part in self.parts.values() for segment in part.segments)

    @cached_property
    def locations(self) -> tuple[str, ...]:
        """The part and the paragraph."""
        return tuple(location for part in self.parts.values() for location in part.locations)

    def render(self, translations: Sequence[str | None]) -> bytes:
        """The archive with the parts whose segments have changed; as it came, where none has."""
        assert len(translations) == len(self.segments), f"{len(translations)=} {len(self.segments)=}"
        if all(new in (None, old) for new, old in zip(translations, self.segments, strict=True)):
            return self.content
        rendered, position = {}, 0
        for name, part in self.parts.items():
            rendered[name] = part.render(translations[position : position + len(part.segments)])
            position += len(part.segments)
        return _repacked(self.content, rendered)


def read_docx(content: bytes, name: str, _: DocumentOptions) -> WordDocument:
    """The document. Raises InputError for one that is damaged, protected, or of another kind."""
    if content.startswith(_OLE):
        raise InputError(f"'{name}' is an old or a protected Word file", hint="save it as .docx without a password")
    parts: dict[str, SplicedDocument] = {}
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            found = [info for info in archive.infolist() if _PARTS.fullmatch(info.filename)]
            if sum(info.file_size for info in archive.infolist()) > _MOST_BYTES:
                raise InputError(f"'{name}' unpacks to more than {_MOST_BYTES >> 20} MiB")
            damaged = archive.testzip()
            if damaged:
                raise InputError(f"'{name}' is damaged: its part {damaged} is", hint="open and save it in Word")
            for info in sorted(found, key=lambda info: (_kind(info.filename), info.filename)):
                parts[info.filename] = _part(archive.read(info), name, info.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError):
        hint = "open and save it in Word, or copy it again"
        raise InputError(f"'{name}' is no Word file, or a damaged one: it cannot be unpacked", hint=hint) from None
    except (RuntimeError, NotImplementedError):
        raise InputError(f"'{name}' is packed with a password or in an unknown way", hint="save it in Word") from None
    if not any(_kind(part) == 0 for part in parts):
        raise InputError(f"'{name}' is no Word file: it has no word/document.xml")
    return WordDocument(content, parts)


def _kind(part: str) -> int:
    match = _PARTS.fullmatch(part)
    assert match is not None
    return _ORDER.index(match[1])


def _part(content: bytes, name: str, part: str) -> SplicedDocument:
    decoded, document = read_xml(content, f"{name}/{part}")
    stem = part.removeprefix("word/").removesuffix(".xml")
    slots = [
        slot
        for number, paragraph in enumerate(paragraphs(document), start=1)
        for slot in paragraph_slots(paragraph, f"{stem}, paragraph {number}")
    ]
    slots.sort(key=lambda slot: (slot.start, -slot.end))
    return SplicedDocument(content, decoded.text, tuple(slots), decoded.codec, decoded.bom, "xmlcharrefreplace")


def _repacked(content: bytes, changed: dict[str, bytes]) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        new.comment = old.comment
        for info in old.infolist():
            data = changed[info.filename] if info.filename in changed else old.read(info)
            new.writestr(copy.copy(info), data, compress_type=info.compress_type)
    return packed.getvalue()
