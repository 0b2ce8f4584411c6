"""Text files as people hand them over: UTF-8, lines that end at line feeds only, and clear words when they are not."""

from __future__ import annotations

import codecs
from pathlib import Path

from alma_cli.errors import InputError, nearest

_MOST_NAMES_LISTED = 12


def decode_text(content: bytes, name: str) -> str:
    """UTF-8 without its BOM. Raises InputError that names the line of the first wrong or NUL byte."""
    content = content.removeprefix(codecs.BOM_UTF8)
    if (nul := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise InputError(f"'{name}' line {line} has a NUL byte: it is not a text file")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"'{name}' line {line} is not UTF-8", hint="convert the file to UTF-8") from None


def read_bytes(path: Path) -> bytes:
    """A file's content. Raises InputError for one that is missing, a directory or unreadable."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise missing_file(path) from None
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from None


def split_lines(text: str) -> list[str]:
    r"""The lines between `\n`; the last one may lack its line feed.

    Not str.splitlines: U+2028, U+0085 and form feeds are text, and splitting there moves every later line.
    """
    lines = text.split("\n")
    if not lines[-1]:
        del lines[-1]
    return lines


def missing_file(path: Path) -> InputError:
    """The error for a path that does not exist, with the nearest name in the nearest folder that does."""
    if not path.parent.is_dir():
        return InputError(f"'{path}' does not exist", hint=f"there is no folder '{path.parent}'")
    names = [entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    hint = nearest(path.name, names)
    if len(names) > _MOST_NAMES_LISTED and hint.startswith("one of"):
        hint = f"no name among the {len(names)} in '{path.parent}' is like it"
    return InputError(f"'{path}' does not exist", hint=hint)
