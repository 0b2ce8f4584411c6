"""A text file as its segments, one a line, as sacreBLEU, translators and `wc -l` count them."""

from __future__ import annotations

from pathlib import Path

from alma_cli.core.text_files import decode_text, read_bytes, split_lines
from alma_cli.errors import InputError


def read_lines(path: Path) -> tuple[str, ...]:
    r"""The lines of a UTF-8 file, without `\n` or `\r\n`.

    Raises InputError for a file that is missing, a directory, unreadable, or not UTF-8 text (with the line).
    """
    return tuple(line.removesuffix("\r") for line in split_lines(decode_text(read_bytes(path), str(path))))


def require_same_count(name: str, count: int, other: str, other_count: int, *, hint: str) -> None:
    """Raises InputError with both counts and where the shorter one ends, unless they are equal."""
    if count != other_count:
        shorter, last = (name, count) if count < other_count else (other, other_count)
        raise InputError(
            f"{name} has {_lines(count)}, {other} has {_lines(other_count)}: {shorter} ends at line {last}", hint=hint
        )


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"
