"""Several processes of this machine that work on a stream of tasks; a task is begun only when one of them is free."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing.connection import wait
from typing import TypeVar

from alma_cli.core.process import set_up_process
from alma_cli.errors import MemoryExhausted

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks that wait beside those being worked on: enough that nobody is idle while the next one is read.
_WAITING = 1


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """The function's results in the order of the tasks, which are taken as they are needed.

    With one worker, or one task, it all happens in this process. `function` is one that can be pickled. What it raises
    is raised here; tasks being worked on then end first, but for Ctrl-C. Raises MemoryExhausted where the system has
    killed a worker.
    """
    stream = iter(tasks)
    first = list(islice(stream, 2))
    if workers == 1 or len(first) < 2:
        for task in first:
            yield function(task)
        yield from map(function, stream)
        return
    # Not forked: the threads that this process may have do not survive that.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    running: deque[Future[Result]] = deque()
    try:
        for task in chain(first, stream):
            with _ctrl_c_put_off():
                running.append(pool.submit(function, task))
            if len(running) >= workers + _WAITING:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except BrokenProcessPool:
        raise MemoryExhausted(
            "a worker of `alma prepare` was killed, most likely for want of memory",
            hint="--workers 1 needs least; the same command goes on from there",
        ) from None
    except (KeyboardInterrupt, GeneratorExit):  # nobody waits for what they do
        for process in list(pool._processes.values()):
            process.kill()
        raise
    finally:
        # An interrupted shutdown may wait for ever.
        with _ctrl_c_put_off():
            pool.shutdown(cancel_futures=True)


@contextmanager
def _ctrl_c_put_off() -> Iterator[None]:
    """No process is half started when it comes; one that is started here inherits that it does not see it."""
    if threading.current_thread() is not threading.main_thread():  # which is where Ctrl-C is seen
        yield
        return
    seen: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if seen and callable(handler):
            handler(signal.SIGINT, None)


def _begin() -> None:
    """A worker's first act: Ctrl-C is its parent's to see, and without a parent it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_process()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processors are shared out already
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=end_with_parent, daemon=True).start()
