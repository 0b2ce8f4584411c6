"""A text file as its segments, one a line, as sacreBLEU, translators and `wc -l` count them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from alma_cli.core.languages import Direction, Side
from alma_cli.core.text_files import decode_text, read_bytes, split_lines
from alma_cli.errors import InputError
from alma_cli.scoring.parting import parting_line

# The segments of a file on one side of a direction; which formats there are is the caller's affair.
ReadSegments = Callable[[Path, Direction, Side], tuple[str, ...]]


def read_lines(path: Path) -> tuple[str, ...]:
    r"""The lines of a UTF-8 file, without `\n` or `\r\n`.

    Raises InputError for a file that is missing, a directory, unreadable, or not UTF-8 text (with the line).
    """
    return tuple(line.removesuffix("\r") for line in split_lines(decode_text(read_bytes(path), str(path))))


def read_plain(path: Path, _direction: Direction, _side: Side) -> tuple[str, ...]:
    """A plain text's segments, whichever side it is."""
    return read_segments(path)


def read_segments(path: Path) -> tuple[str, ...]:
    """A plain text's segments. Raises InputError for an empty file, too."""
    lines = read_lines(path)
    if not lines:
        raise InputError(f"'{path}' is empty")
    return lines


def require_same_count(name: str, lines: Sequence[str], other: str, other_lines: Sequence[str], *, hint: str) -> None:
    """Raises InputError with both counts and the first line at which they seem to differ, unless they are equal."""
    count, other_count = len(lines), len(other_lines)
    if count == other_count:
        return
    at = parting_line(lines, other_lines)
    shorter, last = (name, count) if count < other_count else (other, other_count)
    where = f"they seem to part at line {at}" if at else f"{shorter} ends at line {last}"
    raise InputError(f"{name} has {_lines(count)}, {other} has {_lines(other_count)}: {where}", hint=hint)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"
