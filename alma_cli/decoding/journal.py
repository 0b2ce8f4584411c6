"""Translations on disk as soon as they are made, so that none is made twice: append-only files of records.

<cache>/translations/<origin>/origin.json       what made these translations: model, direction, settings
<cache>/translations/<origin>/journal-0.jsonl   a record a translation; -1, -2 ... for those that write meanwhile

A record is one line and one write, so that it outlives its process; every few seconds it is forced onto the disk, so
that a power cut costs no more than those. What a killed process or a full disk left of a record is recognised by its
missing end, and dropped.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from alma_cli.core.dataset import write_atomically
from alma_cli.core.process import ErrorsNaming

JOURNAL_VERSION = 1

_SECONDS_BETWEEN_SYNCS = 5.0
_KEY_START = '{"key": "'
_KEY_DIGITS = 32  # hexadecimal
_BACK = 1 << 16  # bytes that are read at a time from the end


@dataclass(frozen=True)
class Kept:
    """A translation as the journal has it; under which source, its key tells."""

    text: str
    new_tokens: int
    reached_limit: bool
    source_cut: bool
    guidance_cut: bool = False
    utility_before: float | None = None  # of the model's own choice, where there was a reranking
    utility: float | None = None


def key_of(source: str, context: Sequence[str] = ()) -> str:
    """What a source's translation is filed under; `context` is all that its prompt has beside it."""
    return hashlib.sha256(json.dumps([source, *context]).encode()).hexdigest()[:_KEY_DIGITS]


class Journal:
    """The translations of one origin. As a context it keeps a file open to write to, which no other process has."""

    def __init__(self, root: Path, origin: Mapping[str, Any], *, about: Mapping[str, Any] | None = None) -> None:
        """`origin` is all that translations depend on beside their sources; `about` is for people to read."""
        text = json.dumps({"version": JOURNAL_VERSION, **origin}, ensure_ascii=False, sort_keys=True)
        self.directory = root / hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
        self._origin = {**(about or {}), **json.loads(text)}
        self._file: _File | None = None

    def find(self, keys: Iterable[str]) -> dict[str, Kept]:
        """The translations that there are of these keys."""
        wanted = set(keys)
        found: dict[str, Kept] = {}
        for path in sorted(self.directory.glob("journal-*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
            for line in _whole_lines(path):
                if line[len(_KEY_START) : len(_KEY_START) + _KEY_DIGITS].decode("ascii", "replace") in wanted:
                    found.update(_parsed(line))
        return found

    def __enter__(self) -> Journal:
        if not (self.directory / "origin.json").is_file():
            write_atomically(
                self.directory / "origin.json", json.dumps(self._origin, ensure_ascii=False, indent=1) + "\n"
            )
        self._file = _File.open_free_one(self.directory)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None

    def add(self, key: str, translation: Kept) -> None:
        """Put a translation on disk. Raises OSError that names the file; those before it are safe."""
        assert self._file is not None
        self._file.append(json.dumps({"key": key, **asdict(translation)}, ensure_ascii=False).encode() + b"\n")


class _File:
    """A file that one process at a time appends to."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._end = _drop_torn_record(descriptor)
        self._synced = time.monotonic()

    @classmethod
    def open_free_one(cls, directory: Path) -> _File:
        """The first file that nobody else writes to."""
        number = 0
        while True:
            path = directory / f"journal-{number}.jsonl"
            with ErrorsNaming(path):
                # Texts may be confidential.
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return cls(path, descriptor)
            except BlockingIOError:
                os.close(descriptor)
                number += 1

    def append(self, line: bytes) -> None:
        with ErrorsNaming(self._path):
            try:
                written = 0
                while written < len(line):
                    written += os.pwrite(self._descriptor, line[written:], self._end + written)
            except OSError:
                os.ftruncate(self._descriptor, self._end)
                raise
            self._end += len(line)
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()

    def close(self) -> None:
        with ErrorsNaming(self._path):
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)


def _drop_torn_record(descriptor: int) -> int:
    """Cut the file after its last whole record, and say where that is."""
    end = size = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BACK)
        line_feed = os.pread(descriptor, end - start, start).rfind(b"\n")
        if line_feed >= 0:
            end = start + line_feed + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
    return end


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The lines that have an end; another process may be writing the next one."""
    with ErrorsNaming(path), path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield line


def _parsed(line: bytes) -> dict[str, Kept]:
    """A record by its key; nothing where a power cut left something else in its place."""
    try:
        record = json.loads(line)
        return {record.pop("key"): Kept(**record)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
