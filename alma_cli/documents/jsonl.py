"""JSON lines: one field's strings, found where they stand; the rest of a line is never printed again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from alma_cli.documents.decoded import decode
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.pieces import lines, references, slot_of
from alma_cli.documents.splice import Slot, SplicedDocument
from alma_cli.errors import InputError, nearest

_ESCAPE = re.compile(r"(?:\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u....|\\.")
_SPACE = re.compile(r"[ \t\r\n]*")
_OBVIOUS = ("text", "source", "src", "content")
_decode_value = json.JSONDecoder().raw_decode


def read_jsonl(content: bytes, name: str, options: DocumentOptions) -> SplicedDocument:
    """The strings of a field; lists on the way are gone through, so `messages.content` has every message's."""
    decoded = decode(content, name)
    text, slots, without, position = decoded.text, list[Slot](), 0, 0
    value: object = None
    path: list[str] | None = options.field.split(".") if options.field else None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            value = _parsed(line, f"'{name}' line {number}")
            path = _chosen(value, options, name) if path is None else path
            found = list(_spans(text, _skip(text, position), path))
            without += not found
            slots += [slot for span in found for slot in _slots(text, *span)]
        position += len(line) + 1
    if path and not slots and without:
        raise InputError(f"'{name}': no line has text in the field '{'.'.join(path)}'", hint=_hint(value, path))
    notes = (f"{without} lines without the field '{'.'.join(path or [])}' are left as they are",) if without else ()
    return SplicedDocument(content, text, tuple(slots), decoded.codec, decoded.bom, notes=notes)


def jsonl_values(content: bytes, name: str, options: DocumentOptions) -> list[str]:
    """The field's strings of each line, together; empty where it has none."""
    path: list[str] | None = options.field.split(".") if options.field else None
    text, position, found = decode(content, name).text, 0, list[str]()
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            value = _parsed(line, f"'{name}' line {number}")
            path = _chosen(value, options, name) if path is None else path
            spans = _spans(text, _skip(text, position), path)
            found.append(" ".join(json.loads(f'"{text[slice(*span)]}"', strict=False) for span in spans))
        position += len(line) + 1
    if path and not any(found):
        raise InputError(f"'{name}': no line has text in the field '{'.'.join(path)}'")
    return found


def _parsed(line: str, place: str) -> object:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InputError(f"{place} is not JSON: {error}") from None
    except RecursionError:
        raise InputError(f"{place} is nested too deeply") from None


def _chosen(value: object, options: DocumentOptions, name: str) -> list[str]:
    """The field that leaves no doubt: the source language's, or one with a usual name, or the only string."""
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return []
    keys = [key for key, inner in value.items() if isinstance(inner, str)] if isinstance(value, dict) else []
    for key in (options.source, *_OBVIOUS):
        if key in keys:
            return [key]
    if len(keys) == 1:
        return keys
    listed = ", ".join(keys) or "none with text"
    raise InputError(f"'{name}': which field is to be translated? It has: {listed}", hint="name one with --field")


def _hint(value: object, path: Sequence[str]) -> str:
    return nearest(path[0], list(value)) if isinstance(value, dict) else "its lines are not objects"


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _spans(text: str, position: int, path: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where the strings at that path stand, inside their quotes, in the value that begins at the position."""
    if text[position] == "[":
        for item in _items(text, position):
            yield from _spans(text, item, path)
    elif text[position] == '"' and not path:
        yield position + 1, _decode_value(text, position)[1] - 1
    elif text[position] == "{" and path:
        for key, value in _members(text, position):
            if key == path[0]:
                yield from _spans(text, value, path[1:])


def _members(text: str, position: int) -> Iterator[tuple[str, int]]:
    """The keys of an object and where their values begin. The text is JSON: it has been parsed."""
    position = _skip(text, position + 1)
    while text[position] == '"':
        key, position = _decode_value(text, position)
        value = _skip(text, _skip(text, position) + 1)
        yield key, value
        position = _skip(text, _decode_value(text, value)[1])
        position = _skip(text, position + 1) if text[position] == "," else position


def _items(text: str, position: int) -> Iterator[int]:
    """Where the values of a list begin."""
    position = _skip(text, position + 1)
    while text[position] != "]":
        yield position
        position = _skip(text, _decode_value(text, position)[1])
        position = _skip(text, position + 1) if text[position] == "," else position


def _slots(text: str, start: int, end: int) -> list[Slot]:
    escape = _escape(ascii_only="\\u" in text[start:end])
    pieces = references(text, start, end, _ESCAPE, _meaning)
    return [slot for line in lines(pieces) if (slot := slot_of(line, escape=escape))]


def _meaning(escape: str) -> str:
    meant = str(json.loads(f'"{escape}"'))
    return "\ufffd" if "\ud800" <= meant <= "\udfff" else meant  # half a character cannot be shown to a model


def _escape(*, ascii_only: bool) -> Callable[[str], str]:
    return lambda text: json.dumps(text, ensure_ascii=ascii_only)[1:-1]
