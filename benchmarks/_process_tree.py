"""A command as a process of its own: how long it and its children take, and the most memory that they have at once."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(frozen=True)
class Measured:
    """What a command took; `status` is 0 where it did its work."""

    status: int
    seconds: float
    cpu_seconds: float  # of all of its processes
    peak_bytes: int  # the largest sum over its processes at one time, shared pages counted once (PSS)


def measure(command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end; what it says goes into the log."""
    with log.open("wb") as said:
        start = perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), stdout=said, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
        tree = _Tree(process.pid)
        tree.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        tree.ended.set()
        tree.join()
    return Measured(process.returncode, seconds, usage.ru_utime + usage.ru_stime, tree.peak_bytes)


class _Tree(threading.Thread):
    """Looks at the memory of a process and its descendants ten times a second."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.peak_bytes = 0
        self.most_resident = 0
        self.members = {root}
        self.strangers = _processes() - {root}

    def run(self) -> None:
        while not self.ended.wait(_SECONDS_BETWEEN_LOOKS):
            self._find_children()
            # What is shared takes the kernel 0.1 s a gigabyte to tell, so it is asked only for a new peak.
            resident = sum(map(_resident_bytes, self.members))
            if resident > 1.005 * self.most_resident:
                self.most_resident = resident
                self.peak_bytes = max(self.peak_bytes, sum(map(_proportional_bytes, self.members)))

    def _find_children(self) -> None:
        processes = _processes()
        self.members &= processes
        self.strangers &= processes
        for number in sorted(processes - self.members - self.strangers):
            (self.members if _parent(number) in self.members else self.strangers).add(number)


def _processes() -> set[int]:
    return {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}


def _parent(number: int) -> int | None:
    try:
        # The name, in parentheses, may have spaces and parentheses in it.
        return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _resident_bytes(number: int) -> int:
    try:
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # it has ended
        return 0


def _proportional_bytes(number: int) -> int:
    """A process's resident memory; of what several processes have in common, its part."""
    try:
        rollup = Path(f"/proc/{number}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
