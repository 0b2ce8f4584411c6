"""A GGUF file, once, to a plain Hugging Face directory in the cache: loading GGUF takes minutes, that one seconds."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alma_cli.core.known_models import cache_directory
from alma_cli.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def converted_directory(name: str, file: Path) -> Path:
    """Where the conversion of `file` is kept; another file of the same name gets another directory."""
    status = file.stat()
    return cache_directory() / "models" / f"{name}-{status.st_size:x}-{int(status.st_mtime):x}"


def convert_gguf(file: Path, target: Path) -> None:
    """Write `file` as bf16 safetensors with its tokenizer into `target`, complete or not at all. Raises InputError."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        metadata = _metadata(file)
        where: dict[str, Any] = {"gguf_file": file.name}
        model: Any = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.bfloat16, **where)
        # transformers 5 refuses to save what it thinks is still quantised; the weights are plain bf16 by now.
        for attribute in ("hf_quantizer", "quantization_method"):
            if hasattr(model, attribute):
                delattr(model, attribute)
        model.is_quantized = False
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        tokenizer = _tokenizer(file, metadata)
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(model.config, key, getattr(tokenizer, key))
            setattr(model.generation_config, key, getattr(tokenizer, key))
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        adds_bos = bool(metadata.get("tokenizer.ggml.add_bos_token", metadata["tokenizer.ggml.model"] == "llama"))
        (temporary / "alma.json").write_text(json.dumps({"adds_bos": adds_bos, "converted_from": file.name}) + "\n")
        temporary.replace(target)
    except (KeyError, ValueError) as error:
        raise InputError(f"{file} cannot be read as a GGUF model: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _metadata(file: Path) -> dict[str, Any]:
    from gguf import GGUFReader

    return {key: field.contents() for key, field in GGUFReader(file).fields.items() if "tokens" not in key}


def _tokenizer(file: Path, metadata: dict[str, Any]) -> PreTrainedTokenizerBase:
    """The file's tokenizer with the special tokens its metadata names.

    transformers 4.57 and 5 differ in what they make of the same file (BOS added or not, another EOS), so only the
    vocabulary and merges are taken from them. BOS is never added here: `alma.json` says whether it has to be.
    """
    from tokenizers import decoders
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    loaded = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    backend = loaded.backend_tokenizer
    backend.post_processor = None
    if metadata["tokenizer.ggml.model"] == "gpt2":
        backend.decoder = decoders.ByteLevel()
    special = {}
    for key, field in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        if (token_id := metadata.get(f"tokenizer.ggml.{field}_token_id")) is not None:
            special[f"{key}_token"] = backend.id_to_token(int(token_id))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        chat_template=metadata.get("tokenizer.chat_template"),
        clean_up_tokenization_spaces=False,
        **special,
    )
