"""A training whose disk is full or cannot be written to: one line, nothing half written, and the same bytes later."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from alma_cli.core.run import StageDirectory
from tests.commands.conftest import outcome
from tests.small_disk import small_disk
from tests.warm import Warm

STAGE = "folder/runs/tiny/parallel"
PAGE = 4096  # of a tmpfs
WORDS = ["train", "--stage", "parallel", "--quiet"] + [
    f"--set=stages.parallel.{setting}"
    for setting in ("max_steps=8", "epochs=9", "validations=4", "precision=fp32", "learning_rate=1e-3")
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of our own, of 8 MiB."""
    with small_disk(tmp_path / "disk", "8m") as disk:
        yield disk


@pytest.fixture(scope="module")
def uninterrupted(warm: Warm, prepared_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage's directory after a run with room enough."""
    folder = Path(shutil.copytree(prepared_once, tmp_path_factory.mktemp("uninterrupted") / "folder"))
    assert warm.start(folder, *WORDS).finish().code == 0
    return folder / "runs/tiny/parallel"


def fill_up(disk: Path, *, leave: int) -> None:
    """Leave so many pages."""
    (disk / "filler").unlink(missing_ok=True)
    free = os.statvfs(disk).f_bavail - leave
    with (disk / "filler").open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, free * PAGE)


def half_written(stage: Path) -> list[Path]:
    """What should never be left by a command that ends by itself."""
    return [path for path in stage.rglob(".*") if path.name.endswith(".tmp")]


def stopped_by(error: str) -> tuple[str, int]:
    """The file that the one line names, and the step that it says the command goes on after."""
    line = re.fullmatch(
        r"error: No space left on device \((?P<path>.+)\) "
        r"\(make room on the disk, and the same command goes on( after step (?P<step>\d))?\)",
        error,
    )
    assert line, error
    return Path(line["path"]).name, int(line["step"] or 0)


def with_more_and_more_room(warm: Warm, disk: Path) -> list[str]:
    """Run the command over and over until the disk has room enough, and return which file had none each time.

    Each time nothing half-written is left, and the newest checkpoint is the one that was told, and loads.
    """
    named, leave = [], 0
    while True:
        fill_up(disk, leave=leave)
        done = warm.start(disk / "folder", *WORDS).finish()
        if done.code == 0:
            return named
        assert done.code == 4, done.err
        file, step = stopped_by(done.errors[-1])
        named.append(file)
        assert half_written(disk) == []
        kept = StageDirectory(disk / STAGE).newest_checkpoint()
        assert step == (kept.progress.step if kept else 0)
        leave += 2 + leave // 4


def test_whatever_a_full_disk_stops_goes_on_once_there_is_room(
    warm: Warm, prepared_once: Path, uninterrupted: Path, disk: Path
) -> None:
    shutil.copytree(prepared_once, disk / "folder")

    named = with_more_and_more_room(warm, disk)

    assert outcome(disk / STAGE) == outcome(uninterrupted)
    assert {"run.json", "report.html", "weights.safetensors", "optimizer.safetensors"} <= set(named)


def test_a_result_that_does_not_fit_is_saved_once_there_is_room(
    warm: Warm, prepared_once: Path, uninterrupted: Path, disk: Path
) -> None:
    folder = Path(shutil.copytree(prepared_once, disk / "folder"))
    fork = warm.start(folder, *WORDS)
    while not any((disk / STAGE).glob(".model.*.tmp")):
        assert not fork.has_ended
    fork.send(signal.SIGKILL)
    assert fork.finish().code == -signal.SIGKILL
    shutil.rmtree(next((disk / STAGE).glob(".model.*.tmp")))

    named = with_more_and_more_room(warm, disk)

    assert outcome(disk / STAGE) == outcome(uninterrupted)
    assert {"metrics.jsonl", "model"} <= set(named)


@pytest.mark.parametrize("begun", [False, True])
def test_a_disk_that_is_read_only_is_told(begun: bool, warm: Warm, prepared_once: Path, disk: Path) -> None:
    folder = Path(shutil.copytree(prepared_once, disk / "folder"))
    if begun:
        fill_up(disk, leave=40)
        assert warm.start(folder, *WORDS).finish().code == 4
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    done = warm.start(folder, *WORDS).finish()
    again = warm.start(folder, *WORDS, "--no-resume").finish()

    for one in (done, again):
        assert (one.code, one.out) == (4, "")
        assert re.fullmatch(
            r"error: Read-only file system \(runs/tiny/parallel(/\w+\.\w+)?\) "
            r"\(see to the path and its permissions, and the same command goes on( after step \d)?\)",
            one.errors[-1],
        ), one.err
