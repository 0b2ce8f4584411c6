"""A small disk of our own, for tests of what happens when it is full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str, *, lazily: bool = False) -> Iterator[Path]:
    """The folder, made and with a tmpfs of that size (`16k`, `8m`) on it; where that cannot be, the test is skipped.

    `lazily`: something on it may still be in use, such as mapped into memory, when it is taken away.
    """
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a disk to fill up has to be mounted, which only root may do")
    yield folder
    subprocess.run(["umount", *(["--lazy"] if lazily else []), str(folder)], check=True)
