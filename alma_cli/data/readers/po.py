"""PO, the catalogues of gettext: entries that are translated, read a line at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from alma_cli.core.languages import Direction
from alma_cli.data.files import BLOCK_BYTES, MOST_RECORD_BYTES, chunks, line_blocks, shown
from alma_cli.data.language_tags import language_of_tag
from alma_cli.data.readers.grouping import Numbered, blocks_of
from alma_cli.data.records import Pair, RawBlock, Row, Unreadable
from alma_cli.errors import InputError

_CHARSET = re.compile(rb'^"Content-Type:[^"]*charset=([^\\"\s;]+)', re.MULTILINE | re.IGNORECASE)
_LANGUAGE = re.compile(rb'^"Language:[ \t]*([A-Za-z_@.-]+)', re.MULTILINE)
_KEYWORD = re.compile(r"(msgctxt|msgid|msgid_plural|msgstr(?:\[\d+\])?)\s*(?=\")")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"\s*$')
_ESCAPE = re.compile(r"\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@final
@dataclass(frozen=True)
class PoPairs:
    """Each translated message with its translation; of one with plurals, the first two forms."""

    path: Path
    direction: Direction
    charset: str = "utf-8"
    block_bytes: int = BLOCK_BYTES

    @classmethod
    def of(cls, path: Path, direction: Direction) -> PoPairs:
        """The reader of a file, whose header is looked at. Raises InputError for a charset that does not exist."""
        return cls(path, direction, _charset(path))

    def blocks(self) -> Iterator[RawBlock]:
        """Entries, as pairs of texts or what is wrong with them."""
        return blocks_of(self._entries(), self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with the number of the line where its entry begins."""
        for place, texts in block.content:
            yield place, texts if isinstance(texts, Unreadable) else Pair(self.direction, *texts)

    def _entries(self) -> Iterator[Numbered]:
        entry = _Entry()
        for number, line, problem in self._lines():
            text = line.strip()
            if entry.is_complete and entry.ends_before(text):
                yield from entry.found()
                entry = _Entry()
            reason = problem if entry.read(number, text) else problem or "invalid_po"
            if not reason or _is_comment(text):
                continue
            if entry.fields:
                entry.problem = entry.problem or Unreadable(reason, shown(text))
            else:
                yield number, Unreadable(reason, shown(text))
        yield from entry.found()

    def _lines(self) -> Iterator[tuple[int, str, str]]:
        """Each line's number, its text as far as it can be read, and why that is not far."""
        for block in line_blocks(self.path):
            if isinstance(block.content, Unreadable):
                yield block.place, block.content.text, block.content.reason
                continue
            for number, line in enumerate(block.content.removesuffix(b"\n").split(b"\n"), block.place):
                try:
                    yield number, line.decode(self.charset), ""
                except UnicodeDecodeError:
                    yield number, line.decode(self.charset, "replace"), "wrong_charset"


def translated_language(path: Path) -> str | None:
    """The language of a catalogue's translations: as its header says, else its name or the folder that it is in."""
    match = _LANGUAGE.search(_start(path))
    tags = [match[1].decode("ascii")] if match else []
    tags += [path.name.partition(".")[0], *(folder.name for folder in list(path.parents)[:2])]
    return next((code for tag in tags if (code := language_of_tag(tag))), None)


@dataclass
class _Entry:
    """One entry as far as it is read."""

    line: int = 0
    fields: dict[str, list[str]] = field(default_factory=dict)
    fuzzy: bool = False
    obsolete: bool = False
    problem: Unreadable | None = None
    size: int = 0
    last: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether a translation was there, so that what is no more of it begins the next entry."""
        return self.last.startswith("msgstr")

    def ends_before(self, text: str) -> bool:
        """Whether a line belongs to the next entry."""
        keyword = text.removeprefix("#~").lstrip() if text.startswith("#~") else text
        return not keyword.startswith(('"', "msgstr"))

    def read(self, number: int, text: str) -> bool:
        """Take a line in; False if it makes no sense."""
        if text.startswith("#~"):
            self.obsolete = True
            text = text[2:].lstrip()
            if text.startswith("|"):
                return True
        elif _is_comment(text):
            self.fuzzy |= text.startswith("#,") and "fuzzy" in re.split(r"[,\s]+", text[2:])
            return True
        if not text:
            return True
        if keyword := _KEYWORD.match(text):
            self.last = keyword[1]
            self.line = self.line or number
            self.fields.setdefault(self.last, [])
            text = text[keyword.end() :]
        string = _STRING.match(text)
        if string is None or not self.last:
            return False
        self.size += len(string[1])
        if self.size <= MOST_RECORD_BYTES:
            self.fields[self.last].append(string[1])
        return True

    def found(self) -> Iterator[Numbered]:
        """The entry's pairs, or why there is none; nothing for the header."""
        if not self.fields:
            return
        message = self._text("msgid")
        if self.fields.get("msgid") and not message and "msgctxt" not in self.fields:
            return
        if reason := self._reason():
            seen = self.problem.text if self.problem else ""
            yield self.line, Unreadable(reason, shown(message) or seen)
        elif "msgid_plural" not in self.fields:
            yield self.line, _translated(message, self._text("msgstr"))
        else:
            yield self.line, _translated(message, self._text("msgstr[0]"))
            if "msgstr[1]" in self.fields:
                yield self.line, _translated(self._text("msgid_plural"), self._text("msgstr[1]"))

    def _reason(self) -> str:
        if self.obsolete:
            return "obsolete"
        if self.size > MOST_RECORD_BYTES:
            return "too_long_record"
        if not self.problem and ("msgid" not in self.fields or not self.is_complete):
            return "invalid_po"
        return self.problem.reason if self.problem else "fuzzy" if self.fuzzy else ""

    def _text(self, name: str) -> str:
        return _ESCAPE.sub(_unescaped, "".join(self.fields.get(name, ())))


def _is_comment(text: str) -> bool:
    return text.startswith("#") and not text.startswith("#~")


def _translated(message: str, translation: str) -> tuple[str, str] | Unreadable:
    return (message, translation) if translation.strip() else Unreadable("untranslated", shown(message))


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "01234567":
        return chr(int(code, 8))
    return chr(int(code[1:], 16)) if code[0] == "x" and len(code) > 1 else _ESCAPED.get(code, code)


def _start(path: Path) -> bytes:
    return next(chunks(path), b"")[: 1 << 16]


def _charset(path: Path) -> str:
    match = _CHARSET.search(_start(path))
    name = match[1].decode("ascii", "replace") if match else "CHARSET"
    if name == "CHARSET":  # what msginit leaves where nobody has filled it in
        return "utf-8"
    try:
        # Structure is looked for in ASCII, a line at a time, so the charset has to contain it.
        if "\n".encode(name) == b"\n" and b'msgid "x\\"'.decode(name) == 'msgid "x\\"':
            return name
    except (LookupError, UnicodeError, ValueError):
        pass
    raise InputError(f"{path} says that its charset is '{name}', which cannot be read", hint="convert it to UTF-8")
