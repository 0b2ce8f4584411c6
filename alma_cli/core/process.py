"""This process, its memory and its disk: settings to make before torch is imported, and errors put plainly."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import re
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from alma_cli.errors import MemoryExhausted

if TYPE_CHECKING:
    import torch

# <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def set_up_process() -> None:
    """Do both; call it before torch is imported."""
    _keep_freed_memory()
    _quieten_libraries()


def _quieten_libraries() -> None:
    """Keep what the libraries tell their developers off the user's screen; errors still come through."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # a bar in a log is a line of carriage returns
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)


def _keep_freed_memory() -> None:
    """Let freed tensors' memory be used again at once instead of going back to the kernel.

    glibc returns every large block on free, so that each tensor of a training step costs a page fault per 4 KiB: on a
    virtual machine that is most of the time (25 against 190 tokens/s were seen). torch's large buffers ask for huge
    pages too. Other platforms' allocators do not behave so and are left alone.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_TOP_PAD, 2**28)


def forget_peak_memory() -> None:
    """Count the most memory from now on, without the peak of what this process did before; where that can be had."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM is what is resident now (Linux, proc(5))


def peak_memory_gib() -> float:
    """The most memory this process has had, in GiB: allocated on its GPU, else resident on the host.

    Since it began, or since the last `forget_peak_memory`.
    """
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    try:
        # Not getrusage, whose peak a process inherits from the one that started it.
        with Path("/proc/self/status").open(encoding="ascii") as stream:
            return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM")) / 2**20
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**30 if sys.platform == "darwin" else 2**20)


def processor_name(device: torch.device) -> str:
    """What computes: the GPU, else the host's processor, by its maker's name where the system tells it."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with suppress(OSError, StopIteration), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as stream:
        return next(line.partition(":")[2].strip() for line in stream if line.startswith("model name"))
    return platform.processor() or platform.machine()


def free_memory(device: torch.device) -> int:
    """The bytes that nobody has: on the GPU, else on the host."""
    import psutil
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


@contextmanager
def explained_memory_errors(hint: str) -> Iterator[None]:
    """Turn the many ways torch says `out of memory` into MemoryExhausted."""
    try:
        yield
    except MemoryError:
        raise MemoryExhausted("out of memory", hint=hint) from None
    except RuntimeError as error:
        if type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error):
            raise MemoryExhausted("out of memory", hint=hint) from None
        raise


class ErrorsNaming:
    """While `path` is written: whatever fails becomes an OSError that names it.

    A full disk often shows first when a file is closed, where Python no longer says which; safetensors and tokenizers
    wrap the system's error into words: `No space left on device (os error 28)`; and a temporary file tells nobody much.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # No `except`, since tokenizers raises a plain Exception.
        wrapped = re.search(r"\(os error (\d+)\)", str(error)) if isinstance(error, Exception) else None
        number = error.errno if isinstance(error, OSError) else int(wrapped[1]) if wrapped else None
        if number is not None:
            raise OSError(number, os.strerror(number), str(self._path)) from None
