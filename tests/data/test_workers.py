"""Several processes that work on a stream: in order, no faster than needed, and nothing of them stays behind."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alma_cli.data.workers import processors, work
from alma_cli.errors import InputError, MemoryExhausted


def doubled(number: int) -> int:
    """Sooner for higher numbers, so that they overtake."""
    time.sleep(0.05 / number)
    return 2 * number


def process_id(_: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def fail_at_three(number: int) -> int:
    if number == 3:
        raise InputError("file.tsv line 3 is broken", hint="mend it")
    return number


def write_nowhere(path: Path) -> None:
    path.write_text("")


def end_at_three(number: int) -> int:
    if number == 3:
        os._exit(1)
    return number


def take_a_minute(number: int) -> int:
    time.sleep(60)
    return number


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    assert list(work(doubled, range(1, 20), workers)) == list(range(2, 40, 2))


@pytest.mark.parametrize(("workers", "tasks"), [(1, 3), (2, 1), (2, 0)])
def test_one_worker_or_one_task_stays_in_this_process(workers: int, tasks: int) -> None:
    assert set(work(process_id, range(tasks), workers)) <= {os.getpid()}


def test_two_workers_are_two_other_processes() -> None:
    found = set(work(process_id, range(6), 2))
    assert len(found) == 2
    assert os.getpid() not in found
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("workers", "most"), [(1, 2), (2, 4)])
def test_tasks_are_taken_as_they_are_needed(workers: int, most: int) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(1, 100):
            taken.append(number)
            yield number

    results = work(doubled, tasks(), workers)
    assert next(results) == 2
    assert len(taken) <= most
    results.close()
    assert len(taken) <= most


def test_nobody_waits_for_results_that_nobody_wants() -> None:
    started = time.monotonic()
    results = work(take_a_minute, iter([1, 2, 3]), 2)
    with pytest.raises(KeyboardInterrupt):
        _interrupted(results)
    results.close()
    assert time.monotonic() - started < 30
    assert multiprocessing.active_children() == []


def _interrupted(results: Iterator[int]) -> None:
    """Press Ctrl-C after a second."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(1)
    try:
        next(results)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_worker_raises_is_raised_here_after_the_results_before_it(workers: int) -> None:
    found: list[int] = []
    with pytest.raises(InputError, match=r"^file\.tsv line 3 is broken \(mend it\)$"):
        found.extend(work(fail_at_three, range(10), workers))
    assert multiprocessing.active_children() == []


def test_an_error_of_the_disk_keeps_the_name_of_its_file(tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "file"
    with pytest.raises(FileNotFoundError) as raised:
        list(work(write_nowhere, [gone, gone], 2))
    assert raised.value.filename == str(gone)


def test_what_the_tasks_raise_is_raised_and_the_workers_end() -> None:
    def tasks() -> Iterator[int]:
        yield from (1, 2, 3)
        raise InputError("file.tsv.gz is cut off")

    with pytest.raises(InputError, match="is cut off"):
        list(work(doubled, tasks(), 2))
    assert multiprocessing.active_children() == []


def test_a_worker_that_the_system_kills_is_told_as_want_of_memory() -> None:
    with pytest.raises(MemoryExhausted, match=r"^a worker of `alma prepare` was killed, .* \(--workers 1 needs least"):
        list(work(end_at_three, range(10), 2))
    assert multiprocessing.active_children() == []


def test_every_error_of_ours_crosses_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(InputError("what", hint="do")))
    assert (error.message, error.hint, str(error)) == ("what", "do", "what (do)")


def test_there_is_a_processor() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)
