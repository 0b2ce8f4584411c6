"""What works on this machine: each thing that alma needs or can use, tried for real, with the command that fixes it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from alma_cli.core.comet_environment import INSTALL_COMMAND, comet_environment, made_python
from alma_cli.core.comet_environment import PROBE as COMET_PROBE
from alma_cli.core.comet_environment import VARIABLE as COMET_VARIABLE
from alma_cli.core.known_models import KNOWN_MODELS, cache_directory, wheel_parts
from alma_cli.core.model_files import local_state
from alma_cli.errors import MachineError

DISTRIBUTION = "alma-cli"
OLDEST_PYTHON = (3, 11)
# The imports of a broken package fail as they like: a shared library that does not load (OSError), an ABI of another
# numpy (ValueError), protobuf (TypeError), a cut file (SyntaxError). The doctor must live to tell of it.
_BROKEN_IMPORT = (ImportError, OSError, RuntimeError, AttributeError, ValueError, TypeError, SyntaxError)
# Of values drawn from N(0, 1), NF4 loses 0.07 on average; twice that is no longer the data type's loss.
_NF4_ERROR = 0.15
# The demo's converted weights alone take 270 MB (135M parameters of 2 bytes): below this, a run may end in the middle.
_LEAST_DISK = 2**30


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "missing", "broken"]
    fact: str
    fix: str = ""
    core: bool = True  # False: alma works without it

    @property
    def fails(self) -> bool:
        """Whether alma cannot be expected to work."""
        return self.core and self.status != "ok"


def examine(*, online: bool = False) -> Iterator[Check]:
    """Every check, one after the other; the hub is asked only with `online`."""
    # On a CPU bitsandbytes complains of an optional package that would make its 4-bit products faster.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    yield _python()
    yield from _core_packages()
    yield _device()
    yield _four_bit()
    yield _memory()
    yield _disk("disk here", Path.cwd())
    yield _disk("disk for the cache", cache_directory())
    yield _cache()
    yield _models()
    yield _demo_model()
    yield _comet()
    yield _optional("ct2", "ctranslate2")
    yield _optional("vllm", "vllm")
    yield from _documents()
    if online:
        yield _hub()


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    oldest = ".".join(map(str, OLDEST_PYTHON))
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", "broken", f"{version}, needs {oldest} or later", f"install Python {oldest} or later")
    return Check("python", "ok", f"{version} in {sys.prefix}")


def _core_packages() -> Iterator[Check]:
    requirements = _requirements()
    if not requirements:
        fact = "neither installed nor in its source tree: what it needs is not known"
        yield Check(DISTRIBUTION, "missing", fact, f"pip install {DISTRIBUTION}", core=False)
    for requirement in requirements:
        yield _package(requirement)


def _requirements(extra: str = "") -> list[str]:
    """What the installed alma-cli needs on this platform, or else its source tree; with `extra`, what that one adds."""
    try:
        texts = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        texts = _source_requirements()
    markers = [(text, Requirement(text).marker) for text in texts]
    always = [text for text, marker in markers if marker is None or marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [text for text, marker in markers if text not in always and marker and marker.evaluate({"extra": extra})]


def _source_requirements() -> list[str]:
    path = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if not path.is_file():
        return []
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    return [
        *project["dependencies"],
        *(f"{text}; extra == '{extra}'" for extra, texts in extras.items() for text in texts),
    ]


def _package(text: str, *, core: bool = True) -> Check:
    """A requirement such as `peft>=0.17`: is it installed, does its version fit, can it be imported?"""
    requirement = Requirement(text)
    name, wanted = requirement.name, str(requirement.specifier)
    fix = f"pip install '{name}{wanted}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "missing", "not installed" + (f", needs {wanted}" if wanted else ""), fix, core)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(name, "broken", f"{version}, needs {wanted}", fix, core)
    failure = _import_failure(name.replace("-", "_"))
    if failure:
        return Check(name, "broken", f"{version} cannot be imported: {failure}", f"{fix} --force-reinstall", core)
    return Check(name, "ok", version, core=core)


def _import_failure(module: str) -> str:
    """Why an installed module cannot be imported; empty if it can, or if there is no module of that name."""
    try:
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)
    except _BROKEN_IMPORT as error:
        return _told(error)
    return ""


def _device() -> Check:
    try:
        import torch

        from alma_cli.core.model import computes_bf16
    except _BROKEN_IMPORT as error:
        return Check(
            "device", "broken", f"torch cannot be imported: {_told(error)}", "pip install --force-reinstall torch"
        )
    if not torch.cuda.is_available():
        precision = "bf16" if computes_bf16(torch.device("cpu")) else "fp32 (bf16 would be emulated)"
        return Check("device", "ok", f"CPU, {torch.get_num_threads()} threads, computes in {precision}; no CUDA device")
    devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    names = ", ".join(f"{device.name} ({_size(device.total_memory)})" for device in devices)
    precision = "bf16" if computes_bf16(torch.device("cuda")) else "fp32 (no bf16)"
    return Check("device", "ok", f"{names}, computes in {precision}")


def _four_bit() -> Check:
    """A small matrix to NF4 and back, as QLoRA does it; no other method needs it."""
    name = "4-bit weights"
    try:
        import torch
        from bitsandbytes import functional

        values = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
        values = values.to("cuda" if torch.cuda.is_available() else "cpu")
        packed, state = functional.quantize_4bit(values, quant_type="nf4")
        loss = float((functional.dequantize_4bit(packed, state) - values).abs().mean())
    except _BROKEN_IMPORT as error:
        return Check(name, "broken", _told(error), "pip install --force-reinstall bitsandbytes", core=False)
    fact = f"NF4 and back changes N(0, 1) by {loss:.3f} on average"
    if not loss < _NF4_ERROR:
        return Check(name, "broken", fact, "install another version of bitsandbytes", core=False)
    return Check(name, "ok", fact, core=False)


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return Check("memory", "ok", "this system does not say", core=False)
    available = _available_memory()
    return Check("memory", "ok", f"{_size(total)}" + (f", {_size(available)} available" if available else ""))


def _available_memory() -> int | None:
    """Bytes that can be had without swapping, where the system says (Linux)."""
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kibibytes[0] * 1024 if kibibytes else None


def _disk(name: str, directory: Path) -> Check:
    free = shutil.disk_usage(_existing(directory)).free
    if free < _LEAST_DISK:
        fix = "free some space, or set ALMA_CACHE and --out to another disk"
        return Check(name, "broken", f"{_size(free)} free at {directory}", fix)
    return Check(name, "ok", f"{_size(free)} free at {directory}")


def _cache() -> Check:
    directory = cache_directory()
    try:
        with tempfile.TemporaryFile(dir=_existing(directory)):
            pass
    except OSError as error:
        fix = "set ALMA_CACHE to a directory that you may write to"
        return Check("cache", "broken", f"cannot write to {directory}: {error.strerror}", fix)
    return Check("cache", "ok", f"{directory} can be written to")


def _existing(path: Path) -> Path:
    """The path, or the nearest one above it that exists."""
    return next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())


def _models() -> Check:
    try:
        states = {name: local_state(model) for name, model in KNOWN_MODELS.items()}
    except _BROKEN_IMPORT as error:
        return Check(
            "models", "broken", f"huggingface_hub fails: {_told(error)}", "pip install huggingface_hub", core=False
        )
    here = [f"{name} ({state})" for name, state in states.items() if state != "no"]
    if not here:
        return Check("models", "missing", "no known model is on this machine", "alma models", core=False)
    return Check("models", "ok", ", ".join(here), core=False)


def _demo_model() -> Check:
    """The wheel that makes `alma run --recipe demo` work without a network."""
    model = KNOWN_MODELS["smollm2-135m"]
    if wheel_parts(model) is None:
        return Check("demo model", "missing", f"{model.wheels[0]} is not installed", model.install_command, core=False)
    return Check("demo model", "ok", model.wheels[0], core=False)


def _comet() -> Check:
    """COMET where `alma score` would run it; it is imported there, since packages that are installed need not work."""
    named = os.environ.get(COMET_VARIABLE)
    fix = f"unset {COMET_VARIABLE}; {INSTALL_COMMAND}" if named else INSTALL_COMMAND
    try:
        environment = comet_environment()
    except MachineError as error:
        missing = not named and not made_python().is_file()
        return Check("comet", "missing" if missing else "broken", error.message, fix, core=False)
    version, where = environment.versions["unbabel-comet"], str(environment.python or sys.executable)
    command = [where, "-W", "ignore", "-c", COMET_PROBE]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("comet", "broken", f"{where}: {_told(error)}", fix, core=False)
    if answer.returncode != 0:
        reason = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
        return Check("comet", "broken", f"{where}: {reason}", fix, core=False)
    return Check("comet", "ok", f"{version} in {where}", core=False)


def _optional(name: str, requirement: str) -> Check:
    check = _package(requirement, core=False)
    return Check(name, check.status, f"{check.name} {check.fact}", check.fix, core=False)


def _documents() -> Iterator[Check]:
    """The packages of the extra `documents`, where this version of alma has one."""
    for requirement in _requirements("documents"):
        yield _optional("documents", requirement)


def _hub() -> Check:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        with urllib.request.urlopen(f"{endpoint}/api/models?limit=1", timeout=10) as answer:
            return Check("hub", "ok", f"{endpoint} answers ({answer.status})", core=False)
    except (OSError, ValueError) as error:
        fix = "check the network and HF_ENDPOINT; `alma models` says what works offline"
        return Check("hub", "missing", f"{endpoint} cannot be reached: {_told(error)}", fix, core=False)


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def _told(error: BaseException) -> str:
    """An error's kind and the first line of what it says."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:160]}" if first else type(error).__name__
