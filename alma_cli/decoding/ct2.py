"""CTranslate2 as the engine (extra `ct2`): the model is converted once, to 8-bit weights in the cache."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from alma_cli.core.export import Quantization, load_source, plan_export, write_weights, writing
from alma_cli.core.known_models import cache_directory
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.process import explained_memory_errors
from alma_cli.core.prompt import PromptStyle
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.engine import Answer, Hypothesis, Request, Search
from alma_cli.errors import InputError, UsageError

_PROMPT_TOKENS_AT_ONCE = 1024
_REQUESTS_AT_ONCE = 64  # answers come when all of these are done


class CTranslate2Engine:
    """Generates with a converted model. A hypothesis cut at its limit has the log-probability of the whole one."""

    def __init__(self, files: ModelFiles, settings: DecodingSettings, tokenizer: Any, style: PromptStyle) -> None:
        if settings.precision != "auto":
            raise UsageError("engine ctranslate2 chooses its precision itself", hint="leave decoding.precision 'auto'")
        self._tokenizer = tokenizer
        self._most = settings.sentences_at_once
        directory = converted(files, style)
        ctranslate2: Any = importlib.import_module("ctranslate2")
        ctranslate2.set_log_level(logging.ERROR)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._generator: Any = ctranslate2.Generator(
                str(directory), device=device, intra_threads=torch.get_num_threads()
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(f"CTranslate2 cannot load {directory}: {str(error).splitlines()[0][:160]}") from None

    def answers(self, requests: Sequence[Request], search: Search) -> Iterator[Answer]:
        """One Answer for each request, longest prompts first. Raises MemoryExhausted."""
        ordered = sorted(requests, key=lambda one: (-len(one.prompt), one.index))
        for start in range(0, len(ordered), _REQUESTS_AT_ONCE):
            group = ordered[start : start + _REQUESTS_AT_ONCE]
            with explained_memory_errors("lower decoding.sentences_at_once or decoding.beams"):
                results = self._generator.generate_batch(
                    [self._tokenizer.convert_ids_to_tokens(list(one.prompt)) for one in group],
                    # It has one limit for all; what is longer than its own is cut below.
                    max_length=max(one.max_new_tokens for one in group),
                    **self._options(search),
                )
            for one, result in zip(group, results, strict=True):
                yield Answer(one.index, _hypotheses(one, result, search))

    def _options(self, search: Search) -> dict[str, Any]:
        drawn = {
            "sampling_topk": 0,
            "sampling_topp": search.top_p,
            "sampling_temperature": search.temperature,
        }
        return {
            "beam_size": 1 if search.samples else search.beams,
            "length_penalty": search.length_penalty,
            "num_hypotheses": search.hypotheses,
            "end_token": list(search.stop_ids),
            "return_end_token": True,
            "return_scores": True,
            "min_length": 1,
            "include_prompt_in_result": False,
            "max_batch_size": self._most or _PROMPT_TOKENS_AT_ONCE,
            "batch_type": "examples" if self._most else "tokens",
            **(drawn if search.samples else {}),
        }


def converted(files: ModelFiles, style: PromptStyle, *, quantization: Quantization = "int8") -> Path:
    """The model as CTranslate2 has it, in the cache; made there if it is not. Raises AlmaError where it cannot be."""
    folder = cache_directory() / "ctranslate2"
    plan = plan_export(files, format="ctranslate2", target=folder, style=style, quantization=quantization)
    key = hashlib.sha256(json.dumps([str(files.weights), plan.identity], sort_keys=True).encode()).hexdigest()[:16]
    plan = plan_export(files, format="ctranslate2", target=folder / key, style=style, quantization=quantization)
    if not (plan.target / "model.bin").is_file():
        with writing(plan) as written:
            write_weights(plan, load_source(plan), written)
    return plan.target


def _hypotheses(one: Request, result: Any, search: Search) -> tuple[Hypothesis, ...]:
    penalty = 0.0 if search.samples or search.beams == 1 else search.length_penalty
    found = []
    for ids, score in zip(result.sequences_ids, result.scores, strict=True):
        stopped = bool(ids) and ids[-1] in search.stop_ids
        tokens = tuple(ids[:-1] if stopped else ids)
        log_probability = score * max(1, len(ids)) ** penalty
        cut = len(tokens) > one.max_new_tokens
        found.append(Hypothesis(tokens[: one.max_new_tokens], log_probability, stopped=stopped and not cut))
    return tuple(found)
