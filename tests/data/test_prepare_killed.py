"""A preparation that is killed, stopped or has no room on the disk goes on with the same command: to the same bytes."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.data.conftest import random_sentences, sentences, write_tsv
from tests.small_disk import small_disk
from tests.typed import finish, start, typed

RECIPE = """
name = "tiny"
model = "no-such-model"
directions = ["de-en", "en-de"]
[data]
shard_megabytes = 1
[data.parallel]
sources = [{ path = "pairs/*.tsv", pair = "de-en" }, { path = "test.de-en.tsv" }]
[data.mono]
sources = [{ path = "mono/*.de.txt", language = "de" }, { path = "mono/*.en.txt", language = "en" }]
[stages.mono]
[stages.parallel]
"""
DATA = "runs/tiny/data"
WORDS = ("prepare", "--workers", "2", "--quiet")
FILES = 10  # of pairs, and of text in each language


def fill(folder: Path, size: int) -> Path:
    """Put a recipe of both stages and its corpora there, each file a block; with equal and similar lines."""
    (folder / "mono").mkdir(parents=True)
    (folder / "alma.toml").write_text(RECIPE)
    write_tsv(folder / "test.de-en.tsv", sentences(10))
    for number in range(FILES):
        pairs = random_sentences(size, number)
        write_tsv(folder / "pairs" / f"{number}.tsv", pairs)
        for code, side in (("de", 0), ("en", 1)):
            texts = [pair[side] for pair in pairs]
            lines = (" ".join(texts[place : place + 5]) + "\n" for place in range(0, size, 2))
            (folder / "mono" / f"{number}.{code}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def everything(data: Path) -> dict[str, bytes]:
    """Every file, cleaned blocks and temporary files, too."""
    return {str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe and its corpora."""
    return fill(tmp_path_factory.mktemp("corpora"), 1200)


@pytest.fixture(scope="module")
def uninterrupted(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a preparation that nothing disturbed."""
    folder = beside(corpora, tmp_path_factory.mktemp("uninterrupted"))
    done = finish(start(folder, *WORDS))
    assert done.code == 0, done.err
    return everything(folder / DATA)


def beside(corpora: Path, folder: Path) -> Path:
    """A folder whose recipe reads the same files, since the manifest names them."""
    recipe = RECIPE.replace('path = "', f'path = "{corpora}/')
    (folder / "alma.toml").write_text(recipe)
    return folder


def processes_in(folder: Path) -> list[psutil.Process]:
    """Those that run in a folder, whoever their parent is."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # ended meanwhile, or not ours
            continue
    return found


def none_is_left(folder: Path, seconds: float = 20) -> bool:
    """Whether all processes that run in a folder end soon."""
    until = time.monotonic() + seconds
    while (running := processes_in(folder)) and time.monotonic() < until:
        time.sleep(0.02)
    return not running


def watch(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> bool:
    """Wait until the condition holds, or the process has ended."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.001)
    return False


def blocks_in(data: Path) -> set[Path]:
    """Those that are cleaned."""
    return set(data.glob(".cleaned/*/*/*.parquet"))


Moment = Callable[[Path], Callable[[], bool]]
"""Of a data directory as it is, a condition."""


def at_once(data: Path) -> Callable[[], bool]:
    return lambda: True


def after_a_block(data: Path) -> Callable[[], bool]:
    before = blocks_in(data)
    return lambda: bool(blocks_in(data) - before)


def in_a_block(data: Path) -> Callable[[], bool]:
    return lambda: any(data.glob(".cleaned/*/*/.*.parquet.*.tmp"))


def in_a_split(data: Path) -> Callable[[], bool]:
    return lambda: any(data.glob("*/.*.tmp"))


def between_stages(data: Path) -> Callable[[], bool]:
    return lambda: (data / "report.json").is_file()


def in_the_last_split(data: Path) -> Callable[[], bool]:
    return lambda: any(data.glob("mono/.*.tmp"))


# How often, and how many seconds later at most.
PLAN: list[tuple[Moment, int, float]] = [
    (at_once, 3, 2.0),
    (after_a_block, 4, 0.2),
    (in_a_split, 3, 0.2),
    (between_stages, 1, 0.1),
    (in_a_block, 2, 0.02),
    (after_a_block, 3, 0.2),
    (in_the_last_split, 4, 0.2),
]


# --- killed -----------------------------------------------------------------------------------------------------


def test_twenty_kills_leave_no_trace_and_no_process(
    corpora: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    folder = beside(corpora, tmp_path)
    chance = random.Random(4)
    kills = [(moment, chance.uniform(0, latest)) for moment, times, latest in PLAN for _ in range(times)]
    ended = []
    for moment, later in kills:
        process = start(folder, *WORDS)
        watch(process, moment(folder / DATA))
        time.sleep(later)
        process.kill()
        ended.append(finish(process).code)
        assert none_is_left(folder), moment
    done = finish(start(folder, *WORDS))

    assert len(kills) == 20
    assert ended == [-signal.SIGKILL] * 20
    assert done.code == 0, done.err
    assert everything(folder / DATA) == uninterrupted


def test_a_killed_worker_is_told_and_the_same_command_goes_on(
    corpora: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    folder = beside(corpora, tmp_path)
    process = start(folder, *WORDS)
    watch(process, lambda: len(blocks_in(folder / DATA)) > 2)  # the test set, and what workers have done
    workers = [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]
    workers[0].kill()
    stopped = finish(process)

    assert len(workers) == 2
    assert stopped.code == 5
    assert stopped.errors[-1] == (
        "error: a worker of `alma prepare` was killed, most likely for want of memory "
        "(--workers 1 needs least; the same command goes on from there)"
    )
    assert "Traceback" not in stopped.err
    assert none_is_left(folder)
    assert finish(start(folder, *WORDS)).code == 0
    assert everything(folder / DATA) == uninterrupted


# --- Ctrl-C -----------------------------------------------------------------------------------------------------


def workers_begin(data: Path) -> Callable[[], bool]:
    return lambda: len(processes_in(data.parents[2])) > 2


def test_ctrl_c_once_or_twice_is_one_line_and_leaves_no_trace(
    corpora: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    folder = beside(corpora, tmp_path)
    chance = random.Random(1)
    moments: list[tuple[Moment, int]] = [
        (workers_begin, 2),
        (after_a_block, 1),
        (after_a_block, 2),
        (in_a_split, 2),
        (in_the_last_split, 1),
    ]
    stopped = []
    for moment, times in moments:
        process = start(folder, *WORDS)
        watch(process, moment(folder / DATA))
        for _ in range(times):
            # As a terminal does: to all that run there.
            for one in processes_in(folder):
                one.send_signal(signal.SIGINT)
            time.sleep(chance.uniform(0, 0.02))
        stopped.append(finish(process))
        assert none_is_left(folder)
    done = finish(start(folder, *WORDS))

    assert [one.code for one in stopped] == [130] * 5, stopped
    line = "error: stopped (run the same command again: what is complete is not done again)"
    assert [one.errors[-1] for one in stopped] == [line] * 5
    assert not any("Traceback" in one.err for one in stopped), stopped
    assert done.code == 0, done.err
    assert everything(folder / DATA) == uninterrupted


# --- no room ----------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of our own, of 8 MiB."""
    with small_disk(tmp_path / "disk", "8m", lazily=True) as disk:
        yield disk


def fill_up(disk: Path, *, leave: int) -> None:
    """Leave so many pages."""
    (disk / "filler").unlink(missing_ok=True)
    status = os.statvfs(disk)
    with (disk / "filler").open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, (status.f_bavail - leave) * status.f_frsize)


def with_more_and_more_room(disk: Path) -> set[str]:
    """Prepare over and over until the disk has room enough; the kinds of files that there was none for.

    Each time one line says so, and nothing half-written is left.
    """
    kinds, leave = set(), 0
    while True:
        fill_up(disk, leave=leave)
        done = typed(disk, "prepare", "--workers", "1", "--quiet")
        if done.code == 0:
            return kinds
        line = re.fullmatch(
            r"error: No space left on device \((?P<path>.+)\) \(check the path, its permissions and the free space\)",
            done.errors[-1],
        )
        assert line, done
        assert (done.code, done.out, "Traceback" in done.err) == (4, "", False)
        assert not list((disk / "runs").rglob("*.tmp"))
        kinds.add(Path(line["path"]).suffix or Path(line["path"]).name.partition("-")[0])
        leave += 2 + leave // 8


@pytest.fixture
def with_room_enough(tmp_path: Path) -> Path:
    """A folder whose little corpora are prepared."""
    corpora = fill(tmp_path / "corpora", 200)
    folder = tmp_path / "enough"
    folder.mkdir()
    assert typed(beside(corpora, folder), "prepare", "--workers", "1", "--quiet").code == 0
    return folder


@pytest.mark.parametrize(
    ("cleaned_before", "kinds"), [(False, {".parquet", "held"}), (True, {"train", ".json", ".html"})]
)
def test_whatever_a_full_disk_stops_goes_on_once_there_is_room(
    cleaned_before: bool, kinds: set[str], disk: Path, with_room_enough: Path
) -> None:
    beside(with_room_enough.parent / "corpora", disk)
    if cleaned_before:
        shutil.copytree(with_room_enough / DATA / ".cleaned", disk / DATA / ".cleaned")

    named = with_more_and_more_room(disk)

    assert kinds <= named
    assert everything(disk / DATA) == everything(with_room_enough / DATA)


def test_a_worker_without_room_on_the_disk_says_so(disk: Path, tmp_path: Path) -> None:
    folder = beside(fill(tmp_path / "corpora", 200), disk)
    fill_up(disk, leave=12)
    done = finish(start(folder, *WORDS))
    assert (done.code, done.out) == (4, "")
    assert re.match(rf"error: No space left on device \({DATA}/\S+\) \(check the path", done.errors[-1])
    assert "Traceback" not in done.err
    assert none_is_left(folder)
    (disk / "filler").unlink()
    assert typed(folder, "prepare", "--workers", "1", "--quiet").code == 0
