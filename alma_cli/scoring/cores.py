"""Independent pieces of work, on all the cores where that is faster."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

# Below it new processes cost more than they save.
_SECONDS_WORTH_PROCESSES = 3.0

Job = TypeVar("Job")
Result = TypeVar("Result")


def cores() -> int:
    """How many there are."""
    return os.cpu_count() or 1


def on_all_cores(run: Callable[[Job], Result], jobs: Sequence[Job], *, seconds: float) -> list[Result]:
    """What `run`, a function of a module, makes of each job; `seconds` is about what all take on one core."""
    processes = min(cores(), len(jobs))
    if processes <= 1 or seconds < _SECONDS_WORTH_PROCESSES:
        return [run(job) for job in jobs]
    # spawn: a fork would copy the locks of the threads that torch may have running.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(run, jobs))
