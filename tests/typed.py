"""Commands as a person types them, without a new process: the exit code and what went to which stream."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from alma_cli.cli import run_command

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Typed:
    """What a command left on the screen."""

    code: int
    stdout: bytes
    err: str

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def errors(self) -> list[str]:
        """The lines of stderr, but for the note that says which recipe it is."""
        return [line for line in self.err.split("\n") if line and not line.startswith("recipe ")]


def typed(folder: Path, *words: str) -> Typed:
    """Run `alma WORDS` in a folder."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = run_command(list(words))
    assert isinstance(out.buffer, io.BytesIO)
    return Typed(code, out.buffer.getvalue(), err.getvalue())


def start(
    folder: Path, *words: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE, **environment: str
) -> subprocess.Popen[bytes]:
    """Start `python -m alma_cli WORDS` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "alma_cli", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        # Where pytest runs in the background of a shell, SIGINT is ignored, and that would be inherited.
        preexec_fn=_heed_ctrl_c,
    )


def finish(process: subprocess.Popen[bytes], given: bytes = b"", *, seconds: int = 100) -> Typed:
    """Wait for a process, so long at most."""
    out, err = process.communicate(given, timeout=seconds)
    return Typed(process.returncode, out or b"", (err or b"").decode())


def wait_for(stream: IO[bytes] | None, words: str) -> str:
    """Read lines until one has these words in it, and return all that was read."""
    assert stream is not None
    read = ""
    for line in stream:
        read += line.decode()
        if words in read:
            return read
    raise AssertionError(f"{words!r} never came: {read}")


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
