"""Where COMET runs: in this environment, in one that the user names, or in one made for it, with this one's torch."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from packaging.requirements import Requirement

from alma_cli.core import comet_worker
from alma_cli.core.known_models import cache_directory
from alma_cli.errors import MachineError

INSTALL_COMMAND = "alma doctor --install comet"
VARIABLE = "ALMA_COMET_PYTHON"
PINS = Path(__file__).with_name("comet-pins.txt")
WORKER = Path(comet_worker.__file__)
# numpy 1 has no wheels for later ones.
_LAST_PYTHON = (3, 12)
_TRANSFORMERS_TOO_NEW = 5
# Wheels that a CUDA build of torch loads, beside pure Python ones.
_WITH_TORCH = re.compile(r"nvidia-|cuda-|triton|pytorch-triton|intel-|tbb|mkl")
PROBE = "import comet, comet.models"


@dataclass(frozen=True)
class CometEnvironment:
    """A Python that has unbabel-comet."""

    python: Path | None  # None: this process
    versions: dict[str, str]  # of python and of packages

    @property
    def problem(self) -> str:
        """Why its packages cannot score; empty where they can."""
        for package in comet_worker.PACKAGES:
            if package not in self.versions:
                return f"has no {package}"
        transformers = self.versions["transformers"]
        if int(transformers.partition(".")[0]) >= _TRANSFORMERS_TOO_NEW:
            return f"has transformers {transformers}, with which unbabel-comet cannot predict"
        return ""


def comet_environment() -> CometEnvironment:
    """The one that $ALMA_COMET_PYTHON names, else this one if COMET works here, else the one made for it.

    Raises MachineError where there is none, or the named one does not have what it takes.
    """
    if named := os.environ.get(VARIABLE):
        environment = _other(Path(named).expanduser())
        if environment.problem:
            raise MachineError(f"{VARIABLE}={named} {environment.problem}", hint=f"unset it and run: {INSTALL_COMMAND}")
        return environment
    here = CometEnvironment(None, comet_worker.versions())
    if not here.problem and _imports_here():
        return here
    made = made_python()
    if not made.is_file():
        raise MachineError("COMET is not installed", hint=f"{INSTALL_COMMAND} (once, some minutes)")
    return _other(made)


def made_python() -> Path:
    """The Python of the environment that `alma doctor --install comet` makes, whether it is there or not.

    Its name depends on the pins, on this Python and on its torch: after an upgrade it is another one.
    """
    torch = importlib.metadata.distribution("torch")
    parts = (PINS.read_text(encoding="utf-8"), sys.version, torch.version, str(torch.locate_file("")))
    return cache_directory() / "comet" / hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12] / "bin" / "python"


def install_comet(told: Callable[[str], None]) -> Path:
    """Make that environment, unless it is there: complete or not at all. Its Python; raises MachineError."""
    python = made_python()
    directory = python.parents[1]
    if python.is_file() and not _other(python).problem:
        told(f"COMET is installed in {directory}")
        return python
    if sys.version_info[:2] > _LAST_PYTHON:
        last = ".".join(map(str, _LAST_PYTHON))
        raise MachineError(
            f"unbabel-comet runs on Python {last} at most (numpy 1), this is {sys.version.split()[0]}",
            hint=f"in an environment of Python {last}: pip install torch -r {PINS}; then {VARIABLE}=its bin/python",
        )
    _remove_unfinished(directory)
    shutil.rmtree(directory, ignore_errors=True)  # one that no longer works
    temporary = directory.with_name(f"{directory.name}.{os.getpid()}.tmp")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        _make(temporary, told)
        if not directory.is_dir():  # another installation may have been faster
            temporary.rename(directory)
    except OSError as error:
        raise MachineError(
            f"cannot make {directory}: {error.strerror}", hint="set ALMA_CACHE to another disk"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    told(f"COMET is installed in {directory}")
    return python


def _make(directory: Path, told: Callable[[str], None]) -> None:
    told(f"1/3 an environment in {directory.parent}")
    _run([sys.executable, "-m", "venv", str(directory)], "python -m venv failed", "install the venv of your Python")
    python = directory / "bin" / "python"
    site = next(directory.glob("lib/python*/site-packages"))
    for entry in _torch_entries():
        if not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    count = sum(1 for line in PINS.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    told(f"2/3 {count} packages, and this environment's torch {importlib.metadata.version('torch')}")
    pip = [str(python), "-I", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    # --no-deps: the pins are complete, and nothing can draw in another torch.
    arguments = ["--no-deps", "--only-binary", ":all:", "--retries", "2", "--no-compile", "-r", str(PINS)]
    _run([*pip, *arguments], "pip could not install unbabel-comet", "go online and run it again")
    told("3/3 trying it")
    _run(
        [str(python), "-I", "-W", "ignore", "-c", PROBE],
        "unbabel-comet does not start",
        f"see whether {PINS} fits this system",
    )


def _torch_entries() -> Iterator[Path]:
    """What lies in site-packages of torch and of the compiled libraries that it asks for: to be linked, not copied."""
    seen: set[str] = set()
    waiting = ["torch"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.distribution(name)
            root = Path(str(found.locate_file(""))).resolve()
            tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
            yield from (root / top for top in sorted(tops))
            requirements = [Requirement(text) for text in found.requires or ()]
            waiting += [
                one.name
                for one in requirements
                if _WITH_TORCH.match(one.name.lower()) and (one.marker is None or one.marker.evaluate({"extra": ""}))
            ]


def _run(command: list[str], failure: str, hint: str) -> None:
    """Run a command. Raises MachineError with the line of its errors that says most."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        telling = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
        raise MachineError(f"{failure}: {telling[-1].removeprefix('ERROR: ')}", hint=hint)


def _remove_unfinished(directory: Path) -> None:
    """What installations left that were killed."""
    for path in directory.parent.glob("*.tmp"):
        process = path.name.split(".")[-2]
        if process.isdigit() and not Path(f"/proc/{process}").exists():
            shutil.rmtree(path, ignore_errors=True)


def _imports_here() -> bool:
    if importlib.util.find_spec("comet") is None:
        return False
    try:
        importlib.import_module("comet.models")
    except (ImportError, OSError, RuntimeError, AttributeError, ValueError, TypeError):
        return False
    return True


@lru_cache
def _other(python: Path) -> CometEnvironment:
    """Another environment, asked for its versions: a process of a tenth of a second."""
    try:
        command = [str(python), "-I", str(WORKER), "--versions"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
        versions = json.loads(answer.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise MachineError(
            f"COMET's Python {python} does not run: {type(error).__name__}",
            hint=f"set {VARIABLE} to another, or run: {INSTALL_COMMAND}",
        ) from None
    return CometEnvironment(python, versions)
