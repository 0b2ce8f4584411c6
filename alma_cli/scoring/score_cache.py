"""What segments scored, on disk as soon as it is known, so that no segment is scored twice: a SQLite file.

<cache>/scores/scores-<n>.sqlite3    digests and numbers, no texts; after damage the next n

Several processes may use it at once. What a killed one had written is there; what it was writing is undone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType

# All that a segment's scores depend on beside the metric: source, hypothesis, reference, or what the metric reads.
Texts = tuple[str, ...]
Values = tuple[float, ...]

_MOST_BYTES = 256 * 2**20
_KEY_BYTES = 16
_AT_ONCE = 500  # keys in one statement: SQLite takes 999 parameters everywhere
_SECONDS_WAITED = 60.0
_SECONDS_A_DAY = 86_400
_TABLE = (
    "CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID"
)


class ScoreCache:
    """Segments' scores by what made them and by their texts. It never stops a scoring: what fails is `told`."""

    def __init__(
        self, directory: Path, *, told: Callable[[str], None], reads: bool = True, most_bytes: int = _MOST_BYTES
    ) -> None:
        """Where it does not read, nothing is found, and what is kept takes the place of what was."""
        self._directory = directory
        self._told = told
        self._reads = reads
        self._most_bytes = most_bytes
        self._number = max(map(_number_of, directory.glob("scores-*.sqlite3")), default=0)
        self._connection: sqlite3.Connection | None = None
        with self._watched():
            directory.mkdir(parents=True, exist_ok=True)
            self._open()

    def __enter__(self) -> ScoreCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def find(self, origin: str, texts: Iterable[Texts]) -> dict[Texts, Values]:
        """What is known of `texts` as scored by `origin`, which is a signature."""
        found: dict[Texts, Values] = {}
        if not self._reads:
            return found
        waiting = iter({_key(origin, one): one for one in texts}.items())
        today = _today()
        with self._watched():
            while self._connection is not None and (some := dict(islice(waiting, _AT_ONCE))):
                marks = ",".join("?" * len(some))
                rows = self._connection.execute(
                    f"SELECT key, value, used FROM scores WHERE key IN ({marks})", list(some)
                ).fetchall()
                for key, value, _ in rows:
                    found[some[key]] = _unpacked(key, value)
                if old := [(today, key) for key, _, used in rows if used != today]:
                    with self._writing(self._connection) as connection:
                        connection.executemany("UPDATE scores SET used = ? WHERE key = ?", old)
        return found

    def keep(self, origin: str, scored: Mapping[Texts, Values]) -> None:
        """Put on disk what was scored: all of it or nothing."""
        today = _today()
        keyed = ((_key(origin, texts), values) for texts, values in scored.items())
        rows = [(key, _packed(key, values), today) for key, values in keyed]
        with self._watched():
            if self._connection is not None:
                with self._writing(self._connection) as connection:
                    connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", rows)
                    self._make_room(connection)

    def _open(self) -> None:
        path = self._directory / f"scores-{self._number}.sqlite3"
        self._connection = sqlite3.connect(path, timeout=_SECONDS_WAITED, isolation_level=None)
        self._connection.execute(_TABLE)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Damage makes the cache begin anew; whatever else keeps it from working ends its use."""
        try:
            try:
                yield
            except (sqlite3.OperationalError, OSError):
                raise
            except sqlite3.DatabaseError as error:
                self._told(f"the cache of scores in {self._directory} was damaged ({error}): it begins anew")
                self.close()
                self._number += 1
                self._open()
                self._remove_former()
        except (sqlite3.Error, OSError) as error:
            self.close()
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._told(f"scores are not kept for the next time in {self._directory}: {reason}")

    @contextlib.contextmanager
    def _writing(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Forget a quarter of all scores, those that nobody has asked for longest, where they take too much room."""
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > self._most_bytes:
            (count,) = connection.execute("SELECT count(*) FROM scores").fetchone()
            connection.execute(
                "DELETE FROM scores WHERE key IN (SELECT key FROM scores ORDER BY used LIMIT ?)", (count // 4,)
            )

    def _remove_former(self) -> None:
        """The damaged files, whose names nobody uses again: a process that still has one open does no harm."""
        for path in self._directory.glob("scores-*.sqlite3*"):
            if _number_of(path) < self._number:
                with contextlib.suppress(OSError):
                    path.unlink()


def _number_of(path: Path) -> int:
    digits = path.name.removeprefix("scores-").partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _today() -> int:
    return int(time.time()) // _SECONDS_A_DAY


def _key(origin: str, texts: Texts) -> bytes:
    return hashlib.sha256(json.dumps([origin, *texts]).encode()).digest()[:_KEY_BYTES]


def _packed(key: bytes, values: Sequence[float]) -> bytes:
    """With a checksum: SQLite notices a broken structure, but no number that has changed."""
    numbers = struct.pack(f"<{len(values)}d", *values)
    return numbers + struct.pack("<I", zlib.crc32(key + numbers))


def _unpacked(key: bytes, value: object) -> Values:
    """The numbers. Raises sqlite3.DatabaseError where they are not what was written."""
    if isinstance(value, bytes) and len(value) % 8 == 4:
        numbers, checksum = value[:-4], value[-4:]
        if struct.pack("<I", zlib.crc32(key + numbers)) == checksum:
            return struct.unpack(f"<{len(numbers) // 8}d", numbers)
    raise sqlite3.DatabaseError("a score is not what was written")
