"""A model written for other tools: merged, as an adapter, or for CTranslate2; in place when it is complete."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import torch

from alma_cli import __version__
from alma_cli.core.examples import TextFormat
from alma_cli.core.known_models import KNOWN_MODELS
from alma_cli.core.model import (
    Precision,
    eos_ids_of,
    load_model,
    precision_of,
    record_format,
    save_model,
    text_format_of,
    tokenizer_of,
    with_adapter,
)
from alma_cli.core.model_files import ModelFiles, resolve_model
from alma_cli.core.process import ErrorsNaming, free_memory
from alma_cli.core.prompt import PromptStyle
from alma_cli.errors import InputError, MachineError, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EXPORT_VERSION = 1
MANIFEST = "export.json"
Format = Literal["merged", "adapter", "ctranslate2"]
Quantization = Literal[
    "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32"
]
FORMATS: tuple[Format, ...] = get_args(Format)
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
_BYTES = {"int8": 1, "int16": 2, "float16": 2, "bfloat16": 2, "float32": 4}
_SPARE_BYTES = 2**26  # tokenizer, card, and what a file system takes for itself


@dataclass(frozen=True)
class ExportPlan:
    """What will be written, and what it is checked in."""

    files: ModelFiles
    format: Format
    kind: str  # of the numbers on disk: bf16, fp32 or CTranslate2's quantization; empty for an adapter
    target: Path
    tokenizer: PreTrainedTokenizerBase
    text_format: TextFormat
    precision: Precision

    @property
    def identity(self) -> dict[str, Any]:
        """What makes it this export and no other; weights by name, size and time, without reading gigabytes."""
        return {
            "version": EXPORT_VERSION,
            "format": self.format,
            "kind": self.kind,
            "weights": _identity(self.files.weights),
            "adapter": _identity(self.files.adapter) if self.files.adapter else [],
            "text_format": [self.text_format.style, self.text_format.adds_bos],
        }


def plan_export(
    files: ModelFiles,
    *,
    format: Format,
    target: Path,
    style: PromptStyle,
    dtype: str = "bf16",
    quantization: Quantization = "int8",
) -> ExportPlan:
    """Decide everything before a weight is read. Raises AlmaError for what cannot be exported so."""
    if format == "adapter" and files.adapter is None:
        raise InputError(f"{files.name} has no adapter: its weights are whole", hint="take --format merged")
    if format == "adapter" and not (cast(Path, files.adapter) / "adapter_model.safetensors").is_file():
        raise InputError(f"the adapter in {files.adapter} is not in safetensors", hint="take --format merged")
    if format == "ctranslate2":
        _require_ctranslate2()
    if any(target.resolve() == own.resolve() for own in (files.weights, files.adapter) if own is not None):
        raise UsageError(f"{target} is the model itself", hint="--to DIR writes elsewhere")
    tokenizer = tokenizer_of(files)
    kind = {"merged": dtype, "adapter": "", "ctranslate2": quantization}[format]
    return ExportPlan(
        files=files,
        format=format,
        kind=kind,
        target=target,
        tokenizer=tokenizer,
        text_format=text_format_of(files, tokenizer, style),
        precision=_precision_to_check_in(files, exact=kind in ("fp32", "float32")),
    )


def finished_export(plan: ExportPlan, *, resume: bool) -> dict[str, Any] | None:
    """The manifest of the same export where the target holds it already; None where it is to be written.

    Raises UsageError where the target holds anything else; without `resume`, another export may be replaced.
    """
    target, manifest = plan.target, plan.target / MANIFEST
    if target.resolve() == Path.cwd():
        raise UsageError(f"{target} is the current directory", hint="--to DIR names one below it")
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file", hint="--to DIR names a directory")
    if not target.is_dir() or not any(target.iterdir()):
        return None
    try:
        found = cast("dict[str, Any]", json.loads(manifest.read_text(encoding="utf-8")))
        identity = cast("dict[str, Any]", found["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{target} is not empty, and no export of ours", hint="--to DIR writes elsewhere") from None
    if not resume:
        return None
    different = [key for key, value in plan.identity.items() if identity.get(key) != json.loads(json.dumps(value))]
    if different:
        what = "other weights" if {"weights", "adapter"} & set(different) else f"another {' and '.join(different)}"
        raise UsageError(
            f"{target} holds an export of {what}" if "weights" in what else f"{target} holds an export with {what}",
            hint="--no-resume replaces it, --to DIR writes elsewhere",
        )
    return found


@contextmanager
def writing(plan: ExportPlan) -> Iterator[Path]:
    """A directory to fill, that takes the target's place at the end of the block; after an error nothing is left.

    Raises MachineError where the disk is too small for what is to come.
    """
    target = plan.target.resolve()  # behind a link: the link stays
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    _require_space(plan, target.parent)
    folder = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    before = target.with_name(f".{target.name}.{os.getpid()}.old")
    folder.mkdir()
    try:
        yield folder
        if target.is_dir():
            target.replace(before)
        folder.replace(target)
    finally:
        if before.is_dir() and not target.exists():
            before.replace(target)
        _remove_leftovers(target, of=os.getpid())


def load_source(plan: ExportPlan) -> PreTrainedModel:
    """The model as it was trained: over unquantised weights, an adapter not merged in. Raises InputError."""
    model: Any = load_model(replace(plan.files, adapter=None), plan.precision, dtype=plan.precision.dtype)
    if plan.files.adapter is not None:
        model = with_adapter(model, plan.files.adapter)
    return cast("PreTrainedModel", model.eval())


def write_weights(plan: ExportPlan, source: PreTrainedModel, folder: Path) -> None:
    """Write the source in the plan's format with its tokenizer; `source` is of no use afterwards.

    Raises InputError for a model that CTranslate2 does not know, OSError where it cannot be written.
    """
    with ErrorsNaming(plan.target):
        if plan.format == "adapter":
            _write_adapter(plan, folder)
        elif plan.format == "merged":
            _write_merged(plan, source, folder)
        else:
            _write_ctranslate2(plan, _plain(source), folder)


def load_written(plan: ExportPlan, folder: Path) -> PreTrainedModel:
    """What was written, loaded as a user of it would; not for CTranslate2."""
    return load_source(replace(plan, files=resolve_model(str(folder))))


def stop_ids(model: Any, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end a translation: the tokenizer's EOS, then others that the model's own settings name."""
    own = [token for token in (tokenizer.eos_token_id,) if isinstance(token, int)]
    return list(dict.fromkeys([*own, *eos_ids_of(model.generation_config)]))


def known_hub_id(name: str) -> str:
    """The hub id that a model's name is or stands for; empty for a name that means something on this machine only."""
    if name in KNOWN_MODELS:
        return KNOWN_MODELS[name].hub_id
    # `mono/model` is where a stage leaves its weights, seen from another directory.
    shaped = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) is not None
    return name if shaped and not name.endswith("/model") and not Path(name).exists() else ""


def base_hub_id_of(files: ModelFiles) -> str:
    """Where others find the weights below the adapter, or the model itself; empty where that is not known."""
    if files.adapter is None:
        return files.hub_id or known_hub_id(files.name)
    config = json.loads((files.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    stage = files.adapter.parent / "stage.json"
    trained_over = json.loads(stage.read_text(encoding="utf-8")).get("base_name") if stage.is_file() else ""
    names = (config.get("base_model_name_or_path"), trained_over)
    return next((found for name in names if name and (found := known_hub_id(str(name)))), "")


def facts_of(plan: ExportPlan) -> dict[str, Any]:
    """The export's manifest, but for the checks."""
    return {
        "version": EXPORT_VERSION,
        "format": plan.format,
        "kind": plan.kind,
        "model": plan.files.name,
        "note": plan.files.note,
        "base": base_hub_id_of(plan.files),
        "prompt": {"style": plan.text_format.style, "adds_bos": plan.text_format.adds_bos},
        "versions": {
            "alma_cli": __version__,
            **{name: _version(name) for name in ("torch", "transformers", "peft", "ctranslate2")},
        },
        "identity": plan.identity,
    }


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Say in the directory what it is; whatever has this file may be replaced by a later export."""
    (folder / MANIFEST).write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _require_ctranslate2() -> None:
    try:
        importlib.import_module("ctranslate2")
    except (ImportError, OSError) as error:
        missing = importlib.util.find_spec("ctranslate2") is None
        what = "is not installed" if missing else f"does not import: {str(error).splitlines()[0]}"
        raise MachineError(f"CTranslate2 {what}", hint="pip install ctranslate2") from None


def _write_merged(plan: ExportPlan, source: Any, folder: Path) -> None:
    """Merged in the precision of the check and rounded once, at the end."""
    from transformers import GenerationConfig

    model = _plain(source).to(DTYPES[plan.kind])
    stops = stop_ids(model, plan.tokenizer)
    pad = plan.tokenizer.pad_token_id
    ids = {
        "bos_token_id": plan.tokenizer.bos_token_id,
        "eos_token_id": stops if len(stops) > 1 else stops[0],
        "pad_token_id": stops[0] if pad is None else pad,
    }
    default = GenerationConfig(do_sample=False)  # a chat model's own settings draw lots, which no translation needs
    for name in ("do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"):
        setattr(model.generation_config, name, getattr(default, name))
    model.generation_config._from_model_config = False  # else transformers may make it anew from config.json
    for name, value in ids.items():
        setattr(model.config, name, value)
        setattr(model.generation_config, name, value)
    save_model(model, plan.tokenizer, plan.text_format, folder, base=plan.files)
    record_format(folder, plan.text_format, note=plan.files.note)  # without the base's path on this machine


def _write_adapter(plan: ExportPlan, folder: Path) -> None:
    """The adapter's own file, byte for byte; its base by hub id, where others can get it."""
    adapter = cast(Path, plan.files.adapter)
    shutil.copyfile(adapter / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_hub_id_of(plan.files) or str(plan.files.weights.resolve())
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    plan.tokenizer.save_pretrained(folder)
    base = os.path.relpath(plan.files.weights.resolve(), plan.target.resolve())
    record_format(folder, plan.text_format, note=plan.files.note, base=base)


def _write_ctranslate2(plan: ExportPlan, model: Any, folder: Path) -> None:
    """CTranslate2's own converter (4.8), given the model and tokenizer in memory instead of a name to load."""
    transformers_converter = importlib.import_module("ctranslate2.converters.transformers")

    class Converter(transformers_converter.TransformersConverter):  # type: ignore[misc, name-defined]
        def load_model(self, *_: Any, **__: Any) -> Any:
            return model.to("cpu")

        def load_tokenizer(self, *_: Any, **__: Any) -> Any:
            return plan.tokenizer

        def _load(self) -> Any:
            spec = super()._load()
            for name in ("bos_token", "eos_token", "unk_token"):
                # Written as null, it would keep the model from being loaded.
                if getattr(spec.config, name) is None:
                    setattr(spec.config, name, "")
            return spec

    _name_rope_theta(model.config)
    what = type(model.config).__name__.removesuffix("Config")
    try:
        Converter(str(plan.files.weights)).convert(str(folder), quantization=plan.kind, force=True)
    except (ValueError, NotImplementedError, KeyError, AttributeError) as error:
        unknown = "No conversion is registered" in str(error)
        why = "" if unknown else f": {str(error).splitlines()[0][:120]}"
        raise InputError(
            f"CTranslate2 {_version('ctranslate2')} cannot convert a model of the kind {what}{why}",
            hint="take --format merged, which vLLM and llama.cpp can use",
        ) from None
    plan.tokenizer.save_pretrained(folder)
    record_format(folder, plan.text_format, note=plan.files.note)


def _name_rope_theta(config: Any) -> None:
    """Say the rotary base where the converter looks for it: it takes 10,000 under transformers 4 for scaled RoPE."""
    scaling = getattr(config, "rope_scaling", None)
    if isinstance(scaling, dict) and (theta := getattr(config, "rope_theta", None)) is not None:
        scaling.setdefault("rope_theta", theta)


def _plain(source: Any) -> Any:
    """The model with its adapter merged in."""
    return source.merge_and_unload() if hasattr(source, "peft_config") else source


def _precision_to_check_in(files: ModelFiles, *, exact: bool) -> Precision:
    """fp32 where the weights fit so: it shows what the export changed, and no rounding on the way."""
    best = precision_of()
    needed = 4 * _parameters(files.weights) * 1.25 + 2**30
    return Precision(best.device, torch.float32 if exact or needed < free_memory(best.device) else torch.bfloat16)


def _parameters(directory: Path) -> int:
    from safetensors import SafetensorError, safe_open

    total = 0
    for file in directory.glob("*.safetensors"):
        try:
            with safe_open(file, framework="pt") as tensors:
                total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
        except SafetensorError as error:
            raise InputError(f"cannot load the model in {directory}: {error}") from None
    return total


def _require_space(plan: ExportPlan, directory: Path) -> None:
    if plan.format == "adapter":
        weights = (cast(Path, plan.files.adapter) / "adapter_model.safetensors").stat().st_size
    else:
        name = {"bf16": "bfloat16", "fp32": "float32"}.get(plan.kind, plan.kind).partition("_")[0]
        weights = _parameters(plan.files.weights) * _BYTES[name]
    needed, free = weights + _SPARE_BYTES, shutil.disk_usage(directory).free
    if free < needed:
        raise MachineError(
            f"not enough space in {directory}: about {needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} are free",
            hint="free some space, or --to DIR writes elsewhere",
        )


def _remove_leftovers(target: Path, *, of: int | None = None) -> None:
    """Delete what exports to this target left that were killed, or what one process left."""
    pattern = re.compile(rf"\.+{re.escape(target.name)}\.(\d+)\.(?:tmp|old)(?:\.\d+\.tmp)?")
    for path in target.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and (int(match[1]) == of if of else not _is_running(int(match[1]))):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _identity(directory: Path) -> list[list[str | int]]:
    files = sorted(directory.glob("*.safetensors"))
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _version(package: str) -> str:
    """Empty where the package is not here."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
