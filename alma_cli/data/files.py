"""Lines and JSON values out of plain, .gz and .zst files; what cannot be read comes out marked with its reason."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from alma_cli.core.text_files import missing_file
from alma_cli.errors import InputError, MachineError

COMPRESSIONS = (".gz", ".zst")
_CHUNK_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Unreadable:
    """A record that cannot be read, with the reason that it is counted under."""

    reason: str


def existing_file(path: Path) -> Path:
    """`path`, if a file is there. Raises InputError with the nearest name in its folder."""
    if path.is_file():
        return path
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a file")
    raise missing_file(path)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes as they are stored, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_lines(path: Path) -> Iterator[str | Unreadable]:
    """Every line without its end (LF or CRLF) and without the file's BOM; a line of invalid UTF-8 is Unreadable.

    Only LF ends a line: U+2028 and its kin occur inside real sentences. Raises InputError for a damaged archive.
    """
    for number, line in enumerate(_raw_lines(_chunks(existing_file(path)))):
        content = line.removesuffix(b"\r")
        try:
            yield (content.removeprefix(_BOM) if number == 0 else content).decode("utf-8")
        except UnicodeDecodeError:
            yield Unreadable("invalid_utf8")


def read_json(path: Path) -> Iterator[Any]:
    """Every value of a file that is one JSON array or has one value a line; a bad line is Unreadable.

    Raises InputError with the line for an array that is not JSON.
    """
    with closing(_chunks(existing_file(path))) as chunks:
        start = next(chunks, b"")
    if start.removeprefix(_BOM).lstrip().startswith(b"["):
        yield from _json_array(path)
        return
    for line in read_lines(path):
        yield line if isinstance(line, Unreadable) else _json_value(line)


def _json_value(line: str) -> Any:
    if not line.strip():
        return Unreadable("empty")
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return Unreadable("invalid_json")


def _json_array(path: Path) -> Iterator[Any]:
    try:
        values = json.loads(b"".join(_chunks(path)).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InputError(
            f"{path} {where} is not JSON: {error.msg}", hint="repair it or store one object a line"
        ) from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON that can be read", hint="store one object a line") from None
    yield from values


def _raw_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _chunks(path: Path) -> Generator[bytes, None, None]:
    """The file's content in pieces, decompressed. Raises InputError for a damaged or cut-off archive."""
    try:
        with path.open("rb") as stream:
            if path.suffix == ".gz":
                yield from iter(partial(gzip.GzipFile(fileobj=stream).read, _CHUNK_BYTES), b"")
            elif path.suffix == ".zst":
                yield from _decompress_zst(path, stream)
            else:
                yield from iter(partial(stream.read, _CHUNK_BYTES), b"")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} cannot be decompressed: {error}", hint="download or compress it again") from None


def _decompress_zst(path: Path, stream: BinaryIO) -> Iterator[bytes]:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise MachineError(f"{path} needs the package zstandard", hint="pip install zstandard") from None
    # zstandard's own stream reader takes a cut-off file for a complete one; the frame's `eof` tells them apart.
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        for piece in iter(partial(stream.read, _CHUNK_BYTES), b""):
            rest = piece
            while rest:
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(rest)
                rest = frame.unused_data
    except zstandard.ZstdError as error:
        raise InputError(f"{path} cannot be decompressed: {error}", hint="download or compress it again") from None
    if not frame.eof:
        raise EOFError("the file ends in the middle")


def plain_name(path: Path) -> str:
    """The file's name without the ending of its compression."""
    return path.stem if path.suffix in COMPRESSIONS else path.name
