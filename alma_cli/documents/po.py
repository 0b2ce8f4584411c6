"""gettext catalogues: each msgstr that lacks a translation is filled from its msgid; comments, flags, order stay.

#, c-format, fuzzy               flags are kept: what was marked for review stays marked
#| msgid "%d old file"           the source before it changed; never touched
msgid "%d file"                  source of msgstr[0]
msgid_plural "%d files"          source of every other msgstr[n], and of an only one (Chinese)
msgstr[0] ""
msgstr[1] ""
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from alma_cli.documents.decoded import decode
from alma_cli.documents.inline import Event
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.pieces import Piece, lines, references, slot_of
from alma_cli.documents.splice import Markup, Slot, SplicedDocument, Write
from alma_cli.errors import InputError

_KEYWORD = re.compile(r"(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d+)\])?)(?=[ \t]*\")")
_STRING = re.compile(r'[ \t]*"((?:[^"\\\n]|\\.)*)"[ \t]*\r?$')
_ESCAPE = re.compile(r"\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)")
_MEANING = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\a": "\a", r"\b": "\b", r"\f": "\f", r"\v": "\v"}
_WRITTEN = {"\\": r"\\", '"': r"\"", "\t": r"\t", "\r": r"\r", "\n": r"\n"}
_CHARSET = re.compile(rb"charset=([-\w]+)")


@dataclass
class _Value:
    """A string over one or more lines: each part as it stands between its quotes."""

    start: int  # of the first quote
    end: int  # past the last quote
    parts: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class _Entry:
    """What one message has."""

    line: int
    fuzzy: bool
    values: dict[str, _Value] = field(default_factory=dict)


def read_po(content: bytes, name: str, options: DocumentOptions) -> SplicedDocument:
    """The messages without a translation, and the fuzzy ones; with retranslate, all but the header."""
    charset = _CHARSET.search(content[: 1 << 16])
    if charset and charset[1].lower() not in (b"utf-8", b"utf8", b"us-ascii", b"ascii", b"charset"):
        named = charset[1].decode()
        raise InputError(f"'{name}' is in {named}, which has not every letter", hint="msgconv -t UTF-8 converts it")
    decoded = decode(content, name)
    feed = "\r\n" if "\r\n" in decoded.text else "\n"
    slots: list[Slot] = []
    kept = 0
    for entry in _entries(decoded.text, name):
        sources = entry.values.get("msgid"), entry.values.get("msgid_plural")
        if sources[0] is None or not _meaning(decoded.text, sources[0]):
            continue
        targets = {key: value for key, value in entry.values.items() if key.startswith("msgstr")}
        for key, target in targets.items():
            is_singular = key == "msgstr" or (key == "msgstr[0]" and len(targets) > 1)
            source = (None if is_singular else sources[1]) or sources[0]
            if _meaning(decoded.text, target) and not entry.fuzzy and not options.retranslate:
                kept += 1
                continue
            slots += _slots(decoded.text, source, target, feed, f"line {entry.line}")
    notes = (f"{kept} translations that were there are kept",) if kept else ()
    return SplicedDocument(content, decoded.text, tuple(slots), decoded.codec, decoded.bom, notes=notes)


def po_messages(content: bytes, name: str, _: DocumentOptions) -> list[tuple[str, str]]:
    """Each message and its translation, plural forms one by one; empty where it has none."""
    text = decode(content, name).text
    found: list[tuple[str, str]] = []
    for entry in _entries(text, name):
        sources = entry.values.get("msgid"), entry.values.get("msgid_plural")
        if sources[0] is None or not _meaning(text, sources[0]):
            continue
        for key, target in entry.values.items():
            if key.startswith("msgstr"):
                source = (None if key in ("msgstr", "msgstr[0]") else sources[1]) or sources[0]
                found.append((_meaning(text, source), _meaning(text, target)))
    return found


def _entries(text: str, name: str) -> Iterator[_Entry]:
    """The messages, obsolete ones (`#~`) left out. Raises InputError for a line that is none of the format's."""
    entry, position, fuzzy = _Entry(0, fuzzy=False), 0, False
    value: _Value | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        start, position = position, position + len(line) + 1
        bare = line.strip(" \t\r")
        if bare.startswith("#") or not bare:
            if bare.startswith("#,"):
                fuzzy = fuzzy or "fuzzy" in re.split(r"[,\s]+", bare)
            elif bare.startswith("#~"):
                fuzzy = False
            continue
        keyword = _KEYWORD.match(text, start + len(line) - len(line.lstrip()))
        if keyword:
            is_first = keyword[1] == "msgid" and (not entry.values or "msgid" in entry.values)
            if is_first or keyword[1] == "msgctxt":
                yield entry
                entry, fuzzy = _Entry(number, fuzzy), False
            start = keyword.end()
            value = entry.values[keyword[1]] = _Value(text.index('"', start), 0)
        string = _STRING.match(text[start : position - 1])
        if string is None or value is None:
            hint = "msgfmt --check shows more"
            raise InputError(f"'{name}' line {number} is no line of a PO file: {bare[:40]}", hint=hint)
        value.parts.append((start + string.start(1), start + string.end(1)))
        value.end = start + string.end(1) + 1
    yield entry


def _pieces(text: str, value: _Value) -> list[Piece]:
    return [piece for part in value.parts for piece in references(text, *part, _ESCAPE, _meant)]


def _meaning(text: str, value: _Value) -> str:
    return "".join(piece.text for piece in _pieces(text, value))


def _meant(escape: str) -> str:
    if escape[1] in "01234567":
        return chr(int(escape[1:], 8))
    return chr(int(escape[2:], 16)) if escape[1] == "x" and len(escape) > 2 else _MEANING.get(escape, escape[1:])


def _slots(text: str, source: _Value, target: _Value, feed: str, location: str) -> list[Slot]:
    """A slot for each line of the source; together they write the whole target, its line feeds and outer white space.

    The first stands where the target's strings are; the others right behind it.
    """
    found: list[tuple[str, Slot]] = []  # what stands between the slots, each with the slot after it
    before = ""
    rows = list(lines(_pieces(text, source)))
    for i, row in enumerate(rows):
        written = "".join(piece.text for piece in row)
        slot = slot_of(row, letters=False)
        stripped = written.strip()
        if slot is None:
            before += written
        else:
            found.append((before + written[: written.index(stripped)], slot))
            before = written[written.index(stripped) + len(stripped) :]
        before += "\n" if i < len(rows) - 1 else ""
    if not found:
        return []
    slots = []
    for i, (leading, slot) in enumerate(found):
        opening = "" if i else '"' if len(found) == 1 else f'""{feed}"'
        write = _writer(opening, leading, before if i == len(found) - 1 else None, feed)
        start = target.end if i else target.start
        slot = replace(slot, start=start, end=target.end, write=write, location=location)
        slots.append(replace(slot, is_target=True, goes_on=i > 0))
    return slots


def _writer(opening: str, leading: str, trailing: str | None, feed: str) -> Write:
    """Writes one line of a target; `trailing` is what the last line ends with."""

    def escaped(text: str) -> str:
        return "".join(_WRITTEN.get(character, character) for character in text).replace("\\n", f'\\n"{feed}"')

    def write(events: Sequence[Event], _: Markup) -> str:
        text = opening + escaped(leading) + _escaped_text(events)
        if trailing is None:
            return text
        return (text + escaped(trailing)).removesuffix(f'"{feed}"') + '"'

    return write


def _escaped_text(events: Sequence[Event]) -> str:
    return "".join(_WRITTEN.get(character, character) for event in events for character in event.text)
