"""What a translation depends on beside its source: weights, direction, prompt, settings, device."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from alma_cli import __version__
from alma_cli.core.languages import Direction
from alma_cli.core.model import precision_of
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.recipe import DecodingSettings

# They say how fast, not what; or what a translation is filed under says it.
_WITHOUT_EFFECT = {"sentences_at_once", "max_source_letters", "context_sentences"}
_HASHED_BYTES = 1 << 24
_MODEL_FILES = ("*.safetensors", "*.json", "*.model", "*.jinja", "vocab.txt", "merges.txt")


def origin_of(files: ModelFiles, direction: Direction, settings: DecodingSettings, style: str) -> dict[str, Any]:
    """All of it, as a JSON object: where two are equal, a source's translations are, too."""
    precision = precision_of()
    return {
        "alma": __version__,
        "direction": str(direction),
        "weights": identity_of(files.weights),
        "adapter": identity_of(files.adapter) if files.adapter else None,
        "style": style,
        "decoding": settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT),
        "device": precision.device.type,
        "precision": str(precision.dtype).removeprefix("torch."),
    }


def identity_of(directory: Path) -> list[list[str | int]]:
    """Tells a model from another without reading gigabytes: small files (an adapter, tokenizer and config among them)
    by their content, large ones by size and time."""
    files = sorted(path for pattern in _MODEL_FILES for path in directory.glob(pattern))
    return [[path.name, path.stat().st_size, _fingerprint(path)] for path in files]


def _fingerprint(path: Path) -> str | int:
    if path.stat().st_size > _HASHED_BYTES:
        return path.stat().st_mtime_ns
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
