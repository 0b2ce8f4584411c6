"""A model's files to weights and back: precision, load, quantise, attach LoRA, merge, save."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from alma_cli.core.examples import TextFormat
from alma_cli.core.model_files import ModelFiles, resolve_model
from alma_cli.core.process import ErrorsNaming
from alma_cli.core.prompt import PromptStyle
from alma_cli.core.recipe import StageSettings
from alma_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Precision:
    """What the matrix products are computed in on a device."""

    device: torch.device
    dtype: torch.dtype


def precision_of(setting: str = "auto") -> Precision:
    """The best device here, and bf16 where it computes in it (a GPU from Ampere on, a CPU with AVX-512 BF16 or AMX)."""
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else _CPU
    if setting == "auto":
        setting = "bf16" if computes_bf16(device) else "fp32"
    return Precision(device, torch.bfloat16 if setting == "bf16" else torch.float32)


def computes_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32 there, not merely emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    cpu: Any = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())


_CPU = torch.device("cpu")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model's name."""
    return tokenizer_of(resolve_model(name))


def tokenizer_of(files: ModelFiles) -> PreTrainedTokenizerBase:
    """The tokenizer of a model. Raises InputError where there is none, or none with an EOS token."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(files.tokenizer, use_fast=True)
    except (OSError, ValueError) as error:
        there = [name for name in _TOKENIZER_FILES if (files.tokenizer / name).is_file()]
        why = _first_line(error) if there else f"there is neither {' nor '.join(_TOKENIZER_FILES)}"
        hint = "copy the tokenizer's files of its base model there"
        raise InputError(f"{files.tokenizer} has no usable tokenizer: {why}", hint=hint) from None
    if tokenizer.eos_token_id is None:
        raise InputError(f"the tokenizer in {files.tokenizer} has no EOS token", hint="a translation could never end")
    return cast("PreTrainedTokenizerBase", tokenizer)


def text_format_of(files: ModelFiles, tokenizer: PreTrainedTokenizerBase, style: PromptStyle) -> TextFormat:
    """How texts for this model begin: as it was trained by us, else as its tokenizer does by itself."""
    recorded = files.recorded
    adds_bos = recorded.get("adds_bos")
    if adds_bos is None:
        ids: list[int] = tokenizer("a")["input_ids"]
        adds_bos = tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]
    return TextFormat(recorded.get("style") or style, bool(adds_bos))


def config_of(files: ModelFiles) -> PretrainedConfig:
    """The model's architecture, without its weights. Raises InputError for one that transformers does not know."""
    from transformers import AutoConfig

    try:
        return cast("PretrainedConfig", AutoConfig.from_pretrained(files.weights))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot read the model in {files.weights}: {_first_line(error)}") from None


def generation_config_of(files: ModelFiles) -> Any:
    """What a model's own settings say of generating, such as its end tokens; its config where it has none."""
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(files.weights)
    except (OSError, ValueError):
        return config_of(files)


def eos_ids_of(generation_config: Any) -> list[int]:
    """What a model's own generation config ends a turn with; it may be more than the tokenizer's EOS."""
    configured = getattr(generation_config, "eos_token_id", None)
    return [token for token in (configured if isinstance(configured, list) else [configured]) if isinstance(token, int)]


def load_model(
    files: ModelFiles, precision: Precision, *, dtype: torch.dtype, four_bit: bool = False
) -> PreTrainedModel:
    """The weights as `dtype` on the device, an adapter merged in; with `four_bit`, as NF4 with double quantisation.

    Raises InputError for a directory that cannot be loaded, UsageError for four bits with an adapter.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "device_map": {"": str(precision.device)}}
    if four_bit:
        assert files.adapter is None, "an adapter cannot be merged into 4-bit weights"
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=precision.dtype,
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(files.weights, **options)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        hint = "copy its files there again: one is missing or damaged"
        raise InputError(f"cannot load the model in {files.weights}: {_first_line(error)}", hint=hint) from None
    if four_bit:
        _keep_differentiable(model)
    if files.adapter is not None:
        model = with_adapter(model, files.adapter).merge_and_unload()
    return cast("PreTrainedModel", model)


def with_adapter(model: PreTrainedModel, adapter: Path) -> Any:
    """The model under a trained adapter, not merged in. Raises InputError for one that does not fit."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, str(adapter))
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"adapter {adapter} does not fit its base model: {_first_line(error)}") from None


def add_lora(model: PreTrainedModel, settings: StageSettings) -> PreTrainedModel:
    """The model with new LoRA layers; only they train, in fp32, and they start as the identity."""
    from peft import LoraConfig, get_peft_model

    targets = "all-linear" if settings.lora_targets == ("all-linear",) else list(settings.lora_targets)
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    try:
        return cast("PreTrainedModel", get_peft_model(model, config))
    except ValueError as error:
        raise UsageError(f"lora_targets {list(settings.lora_targets)} do not fit: {_first_line(error)}") from None


def causal_lm_of(model: Any) -> Any:
    """The transformers model inside a PEFT wrapper, with its adapters still in place."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def decoder_of(causal_lm: Any) -> Any:
    """What is below the output layer; transformers 4 names it wrongly for Gemma 3, and gives the whole model."""
    decoder = causal_lm.base_model
    return causal_lm.model if decoder is causal_lm else decoder


def save_model(
    model: Any, tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, directory: Path, *, base: ModelFiles
) -> None:
    """Write weights (an adapter alone, naming its `base`) with tokenizer and format, complete or not at all.

    Raises OSError where they cannot be written.
    """
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with ErrorsNaming(directory):
            temporary.mkdir(parents=True)
            _save_into(temporary, model, tokenizer, base=base)
            record_format(temporary, text_format, note=base.note, base=os.path.relpath(base.weights, directory))
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(directory, ignore_errors=True)
    temporary.replace(directory)


def record_format(directory: Path, text_format: TextFormat, *, note: str, base: str = "") -> None:
    """Write beside a model what its files' `recorded` reads; `base` is a path on this machine, seen from there."""
    recorded = {"style": text_format.style, "adds_bos": text_format.adds_bos, "note": note}
    (directory / "alma.json").write_text(json.dumps(recorded | ({"base": base} if base else {})) + "\n")


def _save_into(directory: Path, model: Any, tokenizer: PreTrainedTokenizerBase, *, base: ModelFiles) -> None:
    if hasattr(model, "peft_config"):
        for config in model.peft_config.values():
            config.base_model_name_or_path = base.hub_id or str(base.weights.resolve())
        # False, not "auto", which asks the hub about the base model; no LoRA of ours is on an embedding.
        model.save_pretrained(directory, save_embedding_layers=False)
    else:
        model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _keep_differentiable(model: Any) -> None:
    """Keep bitsandbytes (0.50) from repacking 4-bit weights for its inference kernel on the CPU.

    It does so at the first forward pass in eval mode, such as a validation, and for good; the kernel has no backward
    pass, so that all later training would silently lose the gradient through every frozen layer.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]
