"""Results as files: whether they can be written is known before the work, and they are complete or not there."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile

from alma_cli.core.process import ErrorsNaming
from alma_cli.errors import MachineError, UsageError


def require_writable(output: Path, *inputs: Path) -> None:
    """Raises, before any work is done, where the result could not be kept, or is one of the inputs."""
    if output.is_dir():
        raise UsageError(f"--output {output} is a directory", hint="name a file")
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no directory {output.parent}")
    if output.exists() and any(one.exists() and output.samefile(one) for one in inputs):
        raise UsageError(f"--output {output} is the input itself", hint="name another file")
    if not is_device(output):
        require_writable_directory(output.resolve().parent, told=output)


def require_writable_directory(directory: Path, *, told: Path) -> None:
    """Raises where no file can be made there; `told` is what the user called it."""
    try:
        with TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise MachineError(f"--output {told}: cannot write there: {error.strerror}") from None


def write_output(output: Path, content: bytes) -> None:
    """Put a result in place, complete or not at all; a device or a pipe is written to as it is. Raises OSError."""
    if is_device(output):
        with ErrorsNaming(output):
            output.write_bytes(content)
        return
    output = output.resolve()  # behind a link: the link stays
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        with ErrorsNaming(output):
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


def is_device(path: Path) -> bool:
    """Whether it is something else than a file: a terminal, a pipe, /dev/null."""
    return path.exists() and not path.is_file()
