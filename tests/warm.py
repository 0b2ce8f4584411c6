"""Commands as processes of their own that need no second to start: forks of one process that has torch loaded already.

Each is a real process, to be stopped and killed as any other, which does what `alma WORDS` does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.typed import REPOSITORY, Typed


@dataclass(frozen=True)
class Fork:
    """A command that runs."""

    server: subprocess.Popen[str]
    process_id: int
    stdout: Path
    stderr: Path

    def send(self, signal_number: int) -> None:
        """Send it a signal; one that has ended is not reaped yet, so that the number is still its own."""
        os.kill(self.process_id, signal_number)

    @property
    def has_ended(self) -> bool:
        """Whether it has, by itself or killed."""
        status = Path(f"/proc/{self.process_id}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "Z"

    def finish(self) -> Typed:
        """Wait for its end."""
        return Typed(int(_ask(self.server, "wait", self.process_id)), self.stdout.read_bytes(), self.stderr.read_text())


class Warm:
    """The process that forks."""

    def __init__(self, screens: Path) -> None:
        self._screens = screens
        self._started = 0
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, *words: str, **environment: str) -> Fork:
        """Start `alma WORDS` in a folder."""
        self._started += 1
        stdout, stderr = (self._screens / f"{self._started}.{name}" for name in ("out", "err"))
        stdout.touch()
        stderr.touch()
        answer = _ask(self._server, "start", str(folder), list(words), str(stdout), str(stderr), environment)
        return Fork(self._server, int(answer), stdout, stderr)

    def close(self) -> None:
        """End the process that forks, and what it has started."""
        self._server.communicate(timeout=30)


def wait_until_ended(fork: Fork, seconds: float = 60) -> None:
    """Wait, but not for ever."""
    until = time.monotonic() + seconds
    while not fork.has_ended and time.monotonic() < until:
        time.sleep(0.002)


def _ask(server: subprocess.Popen[str], *question: object) -> str:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(question) + "\n")
    server.stdin.flush()
    return server.stdout.readline()


def _serve() -> None:
    from alma_cli.core.process import set_up_process

    set_up_process()
    # All that a training and a translation import, so that no fork has to.
    import bitsandbytes  # noqa: F401
    import peft  # noqa: F401
    import transformers.models.auto.modeling_auto
    import transformers.models.llama.modeling_llama  # noqa: F401

    import alma_cli.commands.validation
    import alma_cli.core.stage
    import alma_cli.decoding.translator  # noqa: F401

    running = set()
    for line in sys.stdin:
        task, *details = json.loads(line)
        if task == "start":
            running.add(answer := _fork(*details))
        else:
            running.remove(*details)
            answer = _exit_code(*details)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    for process_id in running:  # of a test that failed
        os.kill(process_id, signal.SIGKILL)


def _fork(folder: str, words: list[str], stdout: str, stderr: str, environment: dict[str, str]) -> int:
    if process_id := os.fork():
        return process_id
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(folder)
        os.environ.update(environment)
        for stream, path in ((sys.stdout, stdout), (sys.stderr, stderr)):
            os.dup2(os.open(path, os.O_WRONLY), stream.fileno())
        os.close(sys.stdin.fileno())
        from alma_cli.cli import run_command

        code = run_command(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if (error := sys.exc_info()[1]) is not None:
            sys.excepthook(type(error), error, error.__traceback__)
        os._exit(code)


def _exit_code(process_id: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1])


if __name__ == "__main__":
    _serve()
