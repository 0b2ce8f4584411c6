"""A translation that is stopped, at any moment and in any way, goes on and does nothing twice."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small_disk import small_disk
from tests.warm import Fork, Warm, wait_until_ended

LINES = [f"Hund {number} und Katze {number * 7}" for number in range(490)] + ["Hund 1 und Katze 7", ""] * 5
WORDS = ["translate", "long.txt", "-s", "de", "-t", "en", "-o", "out.txt", "--beams", "1"]
WORDS += ["--set", "decoding.sentences_at_once=8"]  # so that records come a few at a time
PAGE = 4096  # of a tmpfs


@pytest.fixture
def folder(folder: Path) -> Path:
    """A folder with a file of 500 lines."""
    (folder / "long.txt").write_text("".join(line + "\n" for line in LINES))
    return folder


def start(warm: Warm, folder: Path, *more: str) -> Fork:
    """Start the command, with the journals in the folder, too."""
    return warm.start(folder, *WORDS, *more, ALMA_JOURNALS=str(folder / "journals"))


def records(folder: Path) -> list[tuple[str, str]]:
    """The whole records of all journals: what made them, and of what."""
    found = []
    for path in folder.glob("journals/*/journal-*.jsonl"):
        lines = path.read_bytes().split(b"\n")[:-1]
        found += [(path.parent.name, json.loads(line)["key"]) for line in lines]
    return found


def undisturbed(warm: Warm, folder: Path) -> tuple[bytes, set[tuple[str, str]]]:
    """The output and the records of a run that nothing stops; both are then taken away."""
    done = start(warm, folder).finish()
    assert done.code == 0, done.err
    expected = (folder / "out.txt").read_bytes(), set(records(folder))
    for path in (*folder.glob("out.txt*"), *folder.glob("journals/*/journal-*")):
        path.unlink()
    return expected


def test_twenty_kills_leave_no_trace_and_nothing_is_translated_twice(warm: Warm, folder: Path) -> None:
    output, made = undisturbed(warm, folder)
    chance = random.Random(5)
    progress = []

    for _ in range(20):
        before = len(records(folder))
        more = chance.randrange(40)
        fork = start(warm, folder)
        while not fork.has_ended and len(records(folder)) < before + more:
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, 0.02))
        fork.send(signal.SIGKILL)
        wait_until_ended(fork)
        assert fork.finish().code == -signal.SIGKILL
        assert not (folder / "out.txt").exists()
        progress.append(len(records(folder)) - before)
    done = start(warm, folder).finish()

    assert done.code == 0, done.err
    assert (folder / "out.txt").read_bytes() == output
    assert len(records(folder)) == len(set(records(folder)))
    assert set(records(folder)) == made
    assert sum(progress) > 100
    assert not list(folder.glob(".*tmp"))


def test_ctrl_c_goes_on_and_nothing_is_translated_twice(warm: Warm, folder: Path) -> None:
    output, made = undisturbed(warm, folder)
    fork = start(warm, folder)
    while len(records(folder)) < 30:
        assert not fork.has_ended
    fork.send(signal.SIGINT)
    stopped = fork.finish()

    done = start(warm, folder).finish()

    assert stopped.code == 130
    assert stopped.errors[-1] == "error: stopped (run the same command again: what is complete is not done again)"
    assert "segments were translated before" in done.err
    assert (folder / "out.txt").read_bytes() == output
    assert sorted(records(folder)) == sorted(made)


def test_partial_writes_what_is_there_and_the_rest_stays_as_it_was(warm: Warm, folder: Path) -> None:
    output, _ = undisturbed(warm, folder)
    fork = start(warm, folder)
    while len(records(folder)) < 30:
        assert not fork.has_ended
    fork.send(signal.SIGKILL)
    fork.finish()

    done = start(warm, folder, "--partial").finish()

    assert done.code == 0, done.err
    lines = (folder / "out.txt").read_text().split("\n")
    same = sum(line == source for line, source in zip(lines, LINES, strict=False) if source)
    assert len(lines) == len(output.split(b"\n"))
    assert 0 < same < 495
    assert f"warning: {same} of 495 segments are not translated yet and keep their source" in done.err


def test_a_second_run_and_another_file_cost_nothing(warm: Warm, folder: Path) -> None:
    output, _ = undisturbed(warm, folder)
    start(warm, folder).finish()
    made = records(folder)
    (folder / "long.txt").write_text("".join(line + "\n" for line in reversed(LINES)))

    done = start(warm, folder).finish()

    assert records(folder) == made
    assert "\nmodel " not in done.err  # it was not even loaded
    assert (folder / "out.txt").read_text().split("\n")[-2::-1] == output.decode().split("\n")[:-1]


def test_without_resuming_all_is_translated_again(warm: Warm, folder: Path) -> None:
    output, made = undisturbed(warm, folder)
    start(warm, folder).finish()

    done = start(warm, folder, "--no-resume").finish()

    assert done.code == 0, done.err
    assert len(records(folder)) == 2 * len(made)
    assert (folder / "out.txt").read_bytes() == output


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A small disk of our own below the folder, for the journals."""
    with small_disk(folder / "journals", "1m") as disk:
        yield disk


def fill_up(disk: Path, *, leave: int) -> None:
    """Leave so many pages."""
    (disk / "filler").unlink(missing_ok=True)
    free = os.statvfs(disk).f_bavail - leave
    with (disk / "filler").open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, free * PAGE)


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(warm: Warm, folder: Path, disk: Path) -> None:
    output, made = undisturbed(warm, folder)
    (folder / "out.txt").write_text("old")
    stops = 0
    for leave in (0, 1, 3, 5, 8):
        fill_up(disk, leave=leave)
        done = start(warm, folder).finish()
        if done.code == 0:
            break
        stops += 1
        assert done.code == 4, done.err
        assert done.errors[-1].startswith("error: No space left on device (")
        assert done.errors[-1].endswith(" (make room on the disk, and the same command goes on)")
        assert (folder / "out.txt").read_text() == "old"
    (disk / "filler").unlink()

    done = start(warm, folder).finish()

    assert done.code == 0, done.err
    assert stops >= 2
    assert (folder / "out.txt").read_bytes() == output
    assert sorted(records(folder)) == sorted(made)
