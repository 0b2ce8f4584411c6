"""A split on disk: lines in compressed shards, complete or absent, read in little memory and from any place on.

data/mono/train/00000.jsonl.zst     the first lines
data/mono/train/00001.jsonl.zst     the next ones
data/mono/train.jsonl               in their place: one plain file, as people write it by hand
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import zstandard

from alma_cli.core.process import ErrorsNaming
from alma_cli.errors import InputError

PREPARE_AGAIN = "run `alma prepare` again"

_LEVEL = 3
_PIECE_BYTES = 2**20
# What is decompressed at a time: of most text a kilobyte makes three, but of the most repetitive 11 MB (measured).
_SMALLEST_READ, _LARGEST_READ, _LONG_TEXT = 2**6, 2**10, 2**17


@dataclass(frozen=True)
class Place:
    """How far a split has been read: so many bytes (before compression) and lines of one of its files."""

    shard: int = 0
    bytes: int = 0
    lines: int = 0


START = Place()


def is_split(path: Path) -> bool:
    """Whether a split is there, be it an empty one."""
    return bool(split_files(path))


def split_files(path: Path) -> list[Path]:
    """The files of a split in their order; none where it is absent. Raises InputError where one is missing.

    Shards and a plain file at once are an error, too: whichever was taken, it might not be the one that is meant.
    """
    plain = _plain(path)
    found = set(path.glob("*.jsonl.zst")) if path.is_dir() else set()
    if plain.is_file() and found:
        raise InputError(f"{path} and {plain} are both there", hint="delete the one that is not meant")
    shards = [_shard(path, number) for number in range(len(found))]
    missing = [shard for shard in shards if shard not in found]
    if missing:
        raise InputError(f"{missing[0]} is missing", hint=PREPARE_AGAIN)
    return [plain] if plain.is_file() else shards


def split_sha256(path: Path) -> str:
    """The SHA-256 of a split's files as they are stored, one after the other, in hex."""
    digest = hashlib.sha256()
    for file in split_files(path):
        with file.open("rb") as stream:
            for piece in iter(partial(stream.read, _PIECE_BYTES), b""):
                digest.update(piece)
    return digest.hexdigest()


def write_lines(path: Path, lines: Iterable[str], shard_bytes: int | None = None) -> None:
    """Write a split in place of the one that is there; until all of it is on the disk, that one stays as it is.

    A shard ends with the line that makes it `shard_bytes` of text before compression; None: all is one shard. The
    lines have their line feeds. Raises OSError that names the split where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with ErrorsNaming(path):
            _delete_leftovers(path)
            temporary.mkdir(parents=True)
        for number, pieces in groupby(_pieces(lines, shard_bytes), key=lambda piece: piece[0]):
            _write_shard(_shard(temporary, number), (text for _, text in pieces), path)
        with ErrorsNaming(path):
            _put(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def lines_after(path: Path, place: Place) -> Iterator[tuple[bytes, Path, Place]]:
    """The lines of a split that come after a place, without line feeds, each with its file and the place where it ends.

    Raises InputError for a shard that is damaged.
    """
    for number, file in enumerate(split_files(path)):
        if number >= place.shard:
            before = place if number == place.shard else Place(number)
            for line, end in _lines(_text_after(file, before.bytes), before):
                yield line, file, end


def _plain(path: Path) -> Path:
    return path.with_name(f"{path.name}.jsonl")


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.jsonl.zst"


def _pieces(lines: Iterable[str], shard_bytes: int | None) -> Iterator[tuple[int, bytes]]:
    """The lines, many together, each time with the number of their shard; the first shard is there in any case."""
    number, written, piece = 0, 0, bytearray()
    yield number, b""
    for line in lines:
        piece += line.encode("utf-8")
        is_full = shard_bytes is not None and written + len(piece) >= shard_bytes
        if is_full or len(piece) >= _PIECE_BYTES:
            yield number, bytes(piece)
            number, written = (number + 1, 0) if is_full else (number, written + len(piece))
            piece.clear()
    if piece:
        yield number, bytes(piece)


def _write_shard(file: Path, pieces: Iterable[bytes], path: Path) -> None:
    """Write one shard and see it on the disk."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    # Without a buffer, which would fail once more when it is closed; and what making the pieces fails of is not ours.
    with file.open("wb", buffering=0) as stream:
        for piece in pieces:
            compressed = compressor.compress(piece)
            with ErrorsNaming(path):
                _write(stream.fileno(), compressed)
        with ErrorsNaming(path):
            _write(stream.fileno(), compressor.flush())
            os.fsync(stream.fileno())


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _put(temporary: Path, path: Path) -> None:
    """Put a whole folder in the place of a split; killed in between, it leaves none."""
    _sync(temporary)
    before = path.with_name(f".{path.name}.{os.getpid()}.old.tmp")
    if path.is_dir():
        path.replace(before)
    _plain(path).unlink(missing_ok=True)
    temporary.replace(path)
    _sync(path.parent)
    shutil.rmtree(before, ignore_errors=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete_leftovers(path: Path) -> None:
    """Delete what processes left that were killed while they wrote this split."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        name = re.fullmatch(rf"\.{re.escape(path.name)}\.(\d+)(\.old)?\.tmp", leftover.name)
        if name and (int(name[1]) == os.getpid() or not _is_running(int(name[1]))):
            shutil.rmtree(leftover)


def _is_running(process: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(process))


def _lines(pieces: Iterable[bytes], place: Place) -> Iterator[tuple[bytes, Place]]:
    """The lines in some text that begins at a place, each with the place where it ends."""
    begun: list[bytes] = []  # in pieces, since joining them each time would take forever for a line of gigabytes
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.append(first)
        if others:
            for line in (b"".join(begun), *others[:-1]):
                place = Place(place.shard, place.bytes + len(line) + 1, place.lines + 1)
                yield line, place
            begun = [others[-1]]
    if last := b"".join(begun):
        yield last, Place(place.shard, place.bytes + len(last), place.lines + 1)


def _text_after(file: Path, place: int) -> Iterator[bytes]:
    """A file's text from a byte on, in pieces."""
    with file.open("rb") as stream:
        if file.suffix != ".zst":
            stream.seek(place)
            yield from iter(partial(stream.read, _PIECE_BYTES), b"")
            return
        for piece in _decompressed(file, stream):
            if len(piece) > place:
                yield piece[place:]
            place = max(0, place - len(piece))


def _decompressed(file: Path, stream: BinaryIO) -> Iterator[bytes]:
    # zstandard's stream reader would bound the memory by itself, but takes a file that is cut off for a whole one.
    frame = zstandard.ZstdDecompressor().decompressobj()
    size = _SMALLEST_READ
    try:
        while compressed := stream.read(size):
            piece = frame.decompress(compressed)
            size = max(_SMALLEST_READ, size // 2) if len(piece) > _LONG_TEXT else min(_LARGEST_READ, size * 2)
            yield piece
    except zstandard.ZstdError as error:
        raise InputError(f"{file} is damaged: {error}", hint=PREPARE_AGAIN) from None
    if not frame.eof:
        raise InputError(f"{file} is cut off", hint=PREPARE_AGAIN)
