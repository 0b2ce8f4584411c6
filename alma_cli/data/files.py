"""Bytes, blocks of whole lines, and lines out of plain, .gz, .xz and .zst files, in bounded memory."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import lzma
import os
import stat
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from alma_cli.core.text_files import missing_file
from alma_cli.data.records import RawBlock, Unreadable
from alma_cli.errors import InputError

COMPRESSIONS = (".gz", ".xz", ".zst")
BLOCK_BYTES = 8 << 20
MOST_RECORD_BYTES = 16 << 20
"""What is longer than this, a line or another record, is marked and never held."""

_CHUNK_BYTES = 1 << 20
_XZ_BYTES = 256 << 20  # a file names the memory that it wants; `xz -9` needs 65 MiB
_SHOWN_CHARACTERS = 100


def existing_file(path: Path) -> Path:
    """`path`, if a file is there. Raises InputError with the nearest name in its folder."""
    mode = mode_of(path)
    if mode is not None and stat.S_ISREG(mode):
        return path
    if mode is None:
        raise _missing(path)
    what = "is a folder, not a file" if stat.S_ISDIR(mode) else "is no regular file, and it has to be read twice"
    raise InputError(f"{path} {what}")


def mode_of(path: Path) -> int | None:
    """What is at `path`, as stat has it; None for nothing. Raises InputError where one may not look."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from None


def is_folder(path: Path) -> bool:
    """Whether a folder is there. Raises InputError where one may not look, and for one that cannot be listed."""
    mode = mode_of(path)
    if mode is None or not stat.S_ISDIR(mode):
        return False
    try:
        os.scandir(path).close()
    except OSError as error:
        raise _unreadable(path, error) from None
    return True


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes as they are stored, in hex."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


def plain_name(path: Path) -> str:
    """The file's name without the ending of its compression."""
    return path.stem if path.suffix in COMPRESSIONS else path.name


def shown(text: str) -> str:
    """As much of a text as a report shows of what could not be read."""
    return text[:_SHOWN_CHARACTERS]


def chunks(path: Path) -> Iterator[bytes]:
    """The file's content in pieces of at most 1 MiB, decompressed. Raises InputError for a damaged or cut-off file."""
    lines = 0
    try:
        with existing_file(path).open("rb") as stream:
            for piece in _decompressed(path, stream):
                if piece:
                    yield piece
                    lines += piece.count(b"\n")
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise _damaged(path, error, lines) from None
    except OSError as error:
        # Arrow's errors about damaged content are OSErrors without a number.
        raise (_unreadable(path, error) if error.errno else _damaged(path, error, lines)) from None


def text_chunks(path: Path) -> Iterator[bytes]:
    """The same without the BOM of UTF-8. Raises InputError for a file in UTF-16 or UTF-32."""
    pieces = chunks(path)
    first = next(pieces, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        raise InputError(f"{path} is in UTF-16, not in UTF-8", hint="convert it: iconv -f UTF-16 -t UTF-8")
    yield first.removeprefix(codecs.BOM_UTF8)
    yield from pieces


def line_blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[RawBlock]:
    """Blocks that hold the bytes of whole lines, or that one line is Unreadable since it is too long to be held.

    A block ends after the last line feed of its first `block_bytes`, or with its first line, if that is longer.
    Raises InputError for a damaged archive.
    """
    assert block_bytes <= MOST_RECORD_BYTES, f"{block_bytes=}"
    place, rest, skipping = 1, bytearray(), False
    for piece in text_chunks(path):
        if skipping:
            _, feed, piece = piece.partition(b"\n")
            skipping = not feed
        rest += piece
        while len(rest) >= block_bytes:
            end = rest.rfind(b"\n", 0, block_bytes) + 1 or rest.find(b"\n", block_bytes) + 1
            if (end - 1 if end else len(rest)) > MOST_RECORD_BYTES:
                yield RawBlock(place, _unreadable_line("too_long_line", bytes(rest[: 4 * _SHOWN_CHARACTERS])))
                place, skipping = place + 1, not end
                del rest[: end or len(rest)]
            elif end:
                content = bytes(memoryview(rest)[:end])
                yield RawBlock(place, content)
                place += content.count(b"\n")
                del rest[:end]
            else:
                break
    if rest:
        yield RawBlock(place, bytes(rest))


def lines_in(block: RawBlock) -> Iterator[tuple[int, str | Unreadable]]:
    """The lines of such a block with their numbers, without their ends (LF or CRLF).

    Only LF ends a line: U+2028 and its kin occur inside real sentences.
    """
    if isinstance(block.content, Unreadable):
        yield block.place, block.content
        return
    yield from enumerate(_lines(block.content), block.place)


def numbered_lines(path: Path) -> Iterator[tuple[int, str | Unreadable]]:
    """Every line of a file."""
    for block in line_blocks(path, _CHUNK_BYTES):
        yield from lines_in(block)


def first_line(path: Path) -> str:
    """The first line of a file as far as it can be read; empty where there is none."""
    for _, line in numbered_lines(path):
        return line.text if isinstance(line, Unreadable) else line
    return ""


def _lines(content: bytes) -> list[str] | list[str | Unreadable]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return [_line(line.removesuffix(b"\r")) for line in content.removesuffix(b"\n").split(b"\n")]
    lines = text.removesuffix("\n").split("\n")
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def _line(content: bytes) -> str | Unreadable:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _unreadable_line("invalid_utf8", content)


def _unreadable_line(reason: str, content: bytes) -> Unreadable:
    return Unreadable(reason, shown(content.decode("utf-8", "replace")))


def _decompressed(path: Path, stream: BinaryIO) -> Iterator[bytes]:
    if path.suffix == ".gz":
        return iter(partial(gzip.GzipFile(fileobj=stream).read1, _CHUNK_BYTES), b"")
    if path.suffix == ".zst":
        # Not the package zstandard: its reader takes a cut-off file for a complete one, its decompressor has no bound.
        import pyarrow

        return iter(partial(pyarrow.CompressedInputStream(stream, "zstd").read, _CHUNK_BYTES), b"")
    if path.suffix == ".xz":
        return _decompress_xz(stream)
    return iter(partial(stream.read, _CHUNK_BYTES), b"")


def _decompress_xz(stream: BinaryIO) -> Iterator[bytes]:
    data = stream.read(_CHUNK_BYTES)
    while data:
        part = lzma.LZMADecompressor(memlimit=_XZ_BYTES)
        while not part.eof:
            if part.needs_input and not data and not (data := stream.read(_CHUNK_BYTES)):
                raise EOFError("the file ends in the middle")
            yield part.decompress(data, _CHUNK_BYTES)
            data = b""
        data = part.unused_data
        # Between parts, and after the last one, there may be zeros.
        while not (data := data.lstrip(b"\0")) and (data := stream.read(_CHUNK_BYTES)):
            pass


def _missing(path: Path) -> InputError:
    try:
        return missing_file(path)
    except OSError as error:
        return _unreadable(path.parent, error)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot read '{path}': {error.strerror or error}")


def _damaged(path: Path, error: Exception, lines: int) -> InputError:
    part = f"; its first {lines:,} lines can be read" if lines else ""
    return InputError(f"{path} cannot be decompressed: {error}{part}", hint="download or compress it again")
