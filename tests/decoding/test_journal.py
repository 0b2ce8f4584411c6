"""The journal: what is whole is found again, and what is not is as if it had never been written."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from alma_cli.decoding.journal import Journal, Kept, key_of
from tests.small_disk import small_disk
from tests.typed import REPOSITORY

DOG = Kept("dog", 3, reached_limit=False, source_cut=False)
CAT = Kept("cat\u2028\n🙂", 9, reached_limit=True, source_cut=True)
KEYS = [key_of("Hund"), key_of("Katze")]


def filled(root: Path) -> Journal:
    journal = Journal(root, {"model": "a"})
    with journal:
        journal.add(KEYS[0], DOG)
        journal.add(KEYS[1], CAT)
    return journal


def file_of(journal: Journal) -> Path:
    return journal.directory / "journal-0.jsonl"


def test_what_was_added_is_found_again(tmp_path: Path) -> None:
    filled(tmp_path)

    found = Journal(tmp_path, {"model": "a"}).find([*KEYS, key_of("Maus")])

    assert found == {KEYS[0]: DOG, KEYS[1]: CAT}


def test_another_origin_has_another_journal(tmp_path: Path) -> None:
    filled(tmp_path)

    assert Journal(tmp_path, {"model": "b"}).find(KEYS) == {}


def test_a_source_in_another_context_is_another_source() -> None:
    assert len({key_of("a"), key_of("a", ["b"]), key_of("a", ["b", "c"]), key_of("a", ["c", "b"]), key_of("b")}) == 5


def test_texts_are_for_their_owner_only(tmp_path: Path) -> None:
    assert stat.S_IMODE(file_of(filled(tmp_path)).stat().st_mode) == 0o600


def test_a_record_cut_anywhere_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    content = file_of(journal).read_bytes()
    first = content.index(b"\n") + 1
    for cut in range(first, len(content)):
        file_of(journal).write_bytes(content[:cut])

        assert journal.find(KEYS) == {KEYS[0]: DOG}

    with journal:
        journal.add(KEYS[1], CAT)
    assert file_of(journal).read_bytes() == content


def test_a_torn_record_longer_than_a_read_is_dropped(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    content = file_of(journal).read_bytes()
    file_of(journal).write_bytes(content + b"x" * 200_000)

    with journal:
        pass

    assert file_of(journal).read_bytes() == content


@pytest.mark.parametrize(
    "line", [b"\0" * 90, b"[]", b'{"key": "%s"}', b'{"key": "%s", "text": "a", "more": 1}', b"\xff"]
)
def test_what_is_no_record_is_passed_over(tmp_path: Path, line: bytes) -> None:
    journal = filled(tmp_path)
    damaged = line.replace(b"%s", KEYS[0].encode()) + b"\n"
    file_of(journal).write_bytes(damaged + file_of(journal).read_bytes() + damaged)

    assert journal.find(KEYS) == {KEYS[0]: DOG, KEYS[1]: CAT}


def test_two_writers_at_once_have_a_file_each(tmp_path: Path) -> None:
    one, other = (Journal(tmp_path, {"model": "a"}) for _ in range(2))
    with one, other:
        one.add(KEYS[0], DOG)
        other.add(KEYS[1], CAT)

        found = Journal(tmp_path, {"model": "a"}).find(KEYS)

    assert found == {KEYS[0]: DOG, KEYS[1]: CAT}
    assert sorted(path.name for path in one.directory.iterdir()) == [
        "journal-0.jsonl",
        "journal-1.jsonl",
        "origin.json",
    ]


WRITER = """
from pathlib import Path
from alma_cli.decoding.journal import Journal, Kept, key_of
with Journal(Path({root!r}), {{"model": "a"}}) as journal:
    for number in range(10**6):
        journal.add(key_of(str(number)), Kept("x" * 1000, 1, False, False))
        print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_had_added(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER.format(root=str(tmp_path))],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(100)]
    process.send_signal(signal.SIGKILL)
    told += [int(line) for line in process.stdout.read().split()]
    process.wait()

    found = Journal(tmp_path, {"model": "a"}).find(key_of(str(number)) for number in told)

    assert len(found) == len(told)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of our own, of 16 KiB."""
    with small_disk(tmp_path / "disk", "16k") as disk:
        yield disk


def test_a_full_disk_names_the_file_and_keeps_what_was_before(disk: Path) -> None:
    journal = Journal(disk, {"model": "a"})
    with journal:
        journal.add(KEYS[0], DOG)
        with pytest.raises(OSError, match="No space left") as raised:
            journal.add(KEYS[1], Kept("x" * 20_000, 1, reached_limit=False, source_cut=False))

    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(file_of(journal))
    assert journal.find(KEYS) == {KEYS[0]: DOG}
