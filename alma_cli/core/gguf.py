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
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

# token_type in a GGUF file
_CONTROL, _USER_DEFINED = 3, 4


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
        recorded = {
            "adds_bos": bool(metadata.get("tokenizer.ggml.add_bos_token", metadata["tokenizer.ggml.model"] == "llama")),
            "note": f"from a quantised export ({file.name})",
        }
        (temporary / "alma.json").write_text(json.dumps(recorded) + "\n")
        temporary.replace(target)
    except (KeyError, ValueError) as error:
        raise InputError(f"{file} cannot be read as a GGUF model: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _metadata(file: Path) -> dict[str, Any]:
    from gguf import GGUFReader

    return {key: field.contents() for key, field in GGUFReader(file).fields.items()}


def _tokenizer(file: Path, metadata: dict[str, Any]) -> PreTrainedTokenizerBase:
    """The file's tokenizer with the special tokens its metadata names.

    transformers 4.57 and 5 make different tokenizers of the same file (another algorithm for SentencePiece, BOS added
    or not, another EOS), so only byte-level BPE is taken from them. BOS is never added here: `alma.json` says whether
    it has to be.
    """
    from tokenizers import decoders
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if metadata["tokenizer.ggml.model"] == "llama":
        backend = _sentencepiece(metadata)
    else:
        backend = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).backend_tokenizer
        backend.post_processor = None
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


def _sentencepiece(metadata: dict[str, Any]) -> Tokenizer:
    """A SentencePiece BPE model from its pieces and scores: two pieces merge if they make one, the best score first."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    pieces: list[str] = metadata["tokenizer.ggml.tokens"]
    scores: list[float] = metadata["tokenizer.ggml.scores"]
    kinds: list[int] = metadata["tokenizer.ggml.token_type"]
    rank = {piece: index for index, piece in enumerate(pieces)}
    merges = []
    for piece, score in zip(pieces, scores, strict=True):
        halves = ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        found = [(left, right) for left, right in halves if left in rank and right in rank]
        merges += [(-score, rank[left], rank[right], left, right) for left, right in found]
    backend = Tokenizer(
        models.BPE(
            vocab=rank,
            merges=[(left, right) for *_, left, right in sorted(merges)],
            unk_token=pieces[int(metadata["tokenizer.ggml.unknown_token_id"])],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefixed = metadata.get("tokenizer.ggml.add_space_prefix", True)
    steps = [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    backend.normalizer = normalizers.Sequence(steps if prefixed else steps[1:])
    pieces_to_text = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*pieces_to_text, *([decoders.Strip(" ", 1, 0)] if prefixed else [])])
    by_kind: dict[int, list[str]] = {}
    for piece, kind in zip(pieces, kinds, strict=True):
        by_kind.setdefault(kind, []).append(piece)
    backend.add_special_tokens(
        [AddedToken(piece, normalized=False, special=True) for piece in by_kind.get(_CONTROL, ())]
    )
    backend.add_tokens([AddedToken(piece, normalized=False) for piece in by_kind.get(_USER_DEFINED, ())])
    return backend
