"""Every way a command can fail, with its exit code, and the nearest right name for a wrong one.

    AlmaError                      what is wrong; hint: what to do next
    |-- UsageError        exit 2   an option, a recipe key, a name that does not exist
    |-- InputError        exit 3   a file or line that cannot be used as it is
    |-- MachineError      exit 4   package, model, device or disk
    |-- MemoryExhausted   exit 5   out of memory on the host or the device
    `-- Interrupted       exit 130 Ctrl-C; says what was kept and how to go on

Anything else that reaches the top is a bug of ours: exit 1 with its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AlmaError(Exception):
    """An error of the user's world: one line that says what is wrong, and a hint that says what to do."""

    exit_code = 1
    process: int | None = None  # of several, the one that alone has it

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(AlmaError):
    """A command, option, recipe key, language code or name that does not exist or does not fit."""

    exit_code = 2


class InputError(AlmaError):
    """Input data that cannot be read or used; the message names the file and, where known, the line."""

    exit_code = 3


class MachineError(AlmaError):
    """Something this machine lacks: a package, a model, a device, a permission, disk space."""

    exit_code = 4


class MemoryExhausted(AlmaError):
    """The host or the device ran out of memory."""

    exit_code = 5


class Interrupted(AlmaError):
    """The user stopped the command; the hint says how to go on from what was saved."""

    exit_code = 130


def nearest(name: str, choices: Iterable[str]) -> str:
    """The nearest of `choices` as `did you mean 'x'?`, or the list of them when none is near."""
    known = sorted(set(choices))
    folded = {choice.casefold(): choice for choice in known}
    matches = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if matches:
        return f"did you mean '{folded[matches[0]]}'?"
    return f"one of: {', '.join(known)}" if known else "there is none to choose from"
