"""vLLM as the engine (extra `vllm`): for GPUs, and for sampling; its beam search is an emulation outside its core."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from alma_cli.core.model_files import ModelFiles
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.engine import Answer, Hypothesis, Request, Search
from alma_cli.errors import InputError, MachineError, UsageError

_LARGEST_LORA_RANK = 256


class VllmEngine:
    """Generates with vLLM; an adapter is served as it is, over its base."""

    def __init__(self, files: ModelFiles, settings: DecodingSettings) -> None:
        if settings.precision == "4bit":
            raise UsageError("engine vllm has no 4-bit weights here", hint="leave decoding.precision 'auto'")
        try:
            self._vllm: Any = importlib.import_module("vllm")
        except ImportError:
            raise MachineError("vLLM is not installed", hint='pip install "alma-cli[vllm]"') from None
        dtype = {"auto": "auto", "bf16": "bfloat16", "fp32": "float32"}[settings.precision]
        adapter = files.adapter is not None
        options: dict[str, Any] = {"enable_lora": True, "max_lora_rank": _LARGEST_LORA_RANK} if adapter else {}
        if settings.sentences_at_once:
            options["max_num_seqs"] = settings.sentences_at_once
        try:
            self._llm = self._vllm.LLM(
                model=str(files.weights),
                tokenizer=str(files.tokenizer),
                dtype=dtype,
                enable_prefix_caching=True,
                **options,
            )
        except (ValueError, RuntimeError) as error:
            raise InputError(f"vLLM cannot load {files.weights}: {str(error).splitlines()[0][:160]}") from None
        self._lora = (
            importlib.import_module("vllm.lora.request").LoRARequest("adapter", 1, str(files.adapter))
            if adapter
            else None
        )

    def answers(self, requests: Sequence[Request], search: Search) -> Iterator[Answer]:
        """One Answer for each request."""
        prompts = [{"prompt_token_ids": list(one.prompt)} for one in requests]
        if search.samples or search.beams == 1:
            parameters = [self._sampling(one, search) for one in requests]
            for one, output in zip(
                requests, self._llm.generate(prompts, parameters, lora_request=self._lora, use_tqdm=False), strict=True
            ):
                found = [
                    Hypothesis(
                        tuple(_without_stop(sample.token_ids, search)),
                        sample.cumulative_logprob,
                        sample.finish_reason == "stop",
                    )
                    for sample in output.outputs
                ]
                yield Answer(one.index, tuple(sorted(found, key=lambda hypothesis: -hypothesis.log_probability)))
            return
        for one, prompt in zip(requests, prompts, strict=True):  # since each has its own limit
            parameters = self._vllm.sampling_params.BeamSearchParams(
                beam_width=search.beams, max_tokens=one.max_new_tokens, length_penalty=search.length_penalty
            )
            (output,) = self._llm.beam_search([prompt], parameters, lora_request=self._lora)
            found = []
            for beam in output.sequences[: search.hypotheses]:
                ids = list(beam.tokens[len(one.prompt) :])
                tokens = _without_stop(ids, search)
                found.append(Hypothesis(tuple(tokens), beam.cum_logprob, stopped=len(tokens) < len(ids)))
            yield Answer(one.index, tuple(found))

    def _sampling(self, one: Request, search: Search) -> Any:
        drawn = (
            {"n": search.samples, "temperature": search.temperature, "top_p": search.top_p, "seed": search.seed}
            if search.samples
            else {"temperature": 0.0}
        )
        return self._vllm.SamplingParams(
            max_tokens=one.max_new_tokens, min_tokens=1, stop_token_ids=list(search.stop_ids), logprobs=0, **drawn
        )


def _without_stop(ids: Sequence[int], search: Search) -> list[int]:
    stop = next((place for place, token in enumerate(ids) if token in search.stop_ids), len(ids))
    return list(ids[:stop])
