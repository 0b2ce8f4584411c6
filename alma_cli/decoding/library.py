"""transformers' own generate(), for models whose attention alma cannot replace: batches of near-equal length.

B = sentences in a batch, T = tokens of the longest prompt
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from alma_cli.core.process import explained_memory_errors
from alma_cli.decoding.engine import Answer, Hypothesis, Request, Search
from alma_cli.errors import MemoryExhausted

_PROMPT_TOKENS_AT_ONCE = 2048


class LibraryEngine:
    """Generates with a transformers model of any kind."""

    def __init__(self, model: Any, *, sentences_at_once: int | None = None) -> None:
        self.model = model
        self._most = sentences_at_once

    def answers(self, requests: Sequence[Request], search: Search) -> Iterator[Answer]:
        """One Answer for each request; a batch that memory has no room for is halved. Raises MemoryExhausted."""
        batches = list(_batches(requests, self._most))
        while batches:
            batch = batches.pop(0)
            try:
                with explained_memory_errors("lower decoding.beams, or take a smaller model"):
                    found = self._generate(batch, search)
            except MemoryExhausted:
                if len(batch) == 1:
                    raise
                half = len(batch) // 2
                batches[:0] = [batch[:half], batch[half:]]
            else:
                yield from found

    @torch.inference_mode()
    def _generate(self, batch: Sequence[Request], search: Search) -> list[Answer]:
        from transformers import StoppingCriteriaList

        longest = max(len(one.prompt) for one in batch)
        input_ids = torch.zeros(len(batch), longest, dtype=torch.int64)  # (B, T), left-padded
        attention_mask = torch.zeros_like(input_ids)
        for row, one in enumerate(batch):
            input_ids[row, longest - len(one.prompt) :] = torch.tensor(one.prompt)
            attention_mask[row, longest - len(one.prompt) :] = 1
        limits = [one.max_new_tokens for one in batch]
        device = self.model.device
        if search.samples:
            torch.manual_seed(search.seed)
        with small_output_layer(self.model):
            rows = self.model.generate(
                input_ids=input_ids.to(device),
                attention_mask=attention_mask.to(device),
                generation_config=configuration(search, max(limits)),
                stopping_criteria=StoppingCriteriaList([_row_limits(limits, longest, device)]),
            )
        answers = []
        for n, one in enumerate(batch):
            mine = rows[n * search.hypotheses : (n + 1) * search.hypotheses, longest:].tolist()
            found = [self._scored(one, ids, set(search.stop_ids)) for ids in mine]
            penalty = 0.0 if search.samples else search.length_penalty
            answers.append(Answer(one.index, tuple(sorted(found, key=lambda one: -one.score(penalty)))))
        return answers

    def _scored(self, one: Request, ids: list[int], stops: set[int]) -> Hypothesis:
        """The ids up to their end, with their log-probability: keeping all logits for it would take gigabytes."""
        length = next((place + 1 for place, token in enumerate(ids) if token in stops), len(ids))
        stopped = length <= one.max_new_tokens and ids[length - 1] in stops
        ids = ids[: min(length, one.max_new_tokens)]
        row = torch.tensor([[*one.prompt, *ids]], device=self.model.device)
        logits = self.model(input_ids=row, use_cache=False).logits[0, len(one.prompt) - 1 : -1].float()
        values = torch.log_softmax(logits, -1).gather(1, row[0, len(one.prompt) :, None])
        return Hypothesis(tuple(ids[:-1] if stopped else ids), float(values.sum()), stopped)


@contextmanager
def small_output_layer(model: Any) -> Iterator[None]:
    """Make the last position's states contiguous before the output layer sees them.

    They are a strided slice (B, 1, H) after the prompt; torch's matmul answers by copying the whole output matrix once
    for each of the B rows: 4.5 GB and half of the time with SmolLM2 and 80 rows.
    """
    layer = model.get_output_embeddings()
    hook = layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(), *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()


def configuration(search: Search, max_new_tokens: int) -> Any:
    """The search as generate() takes it."""
    from transformers import GenerationConfig

    return GenerationConfig(
        num_beams=1 if search.samples else search.beams,
        length_penalty=search.length_penalty,
        do_sample=bool(search.samples),
        temperature=search.temperature if search.samples else None,
        top_p=search.top_p if search.samples else None,
        num_return_sequences=search.hypotheses,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(search.stop_ids),
        # A source that is not empty has a translation that is not empty.
        begin_suppress_tokens=list(search.stop_ids),
        pad_token_id=search.stop_ids[0],
    )


def _row_limits(limits: list[int], prompt_tokens: int, device: torch.device) -> Any:
    """Stops each row of a batch at its own limit, so that its neighbours do not change its translation."""
    bounds = torch.tensor(limits, device=device)

    def reached(input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        # A beam search asks about several candidates a row.
        return input_ids.shape[1] - prompt_tokens >= bounds.repeat_interleave(len(input_ids) // len(bounds))

    return reached


def _batches(requests: Sequence[Request], most: int | None) -> Iterator[list[Request]]:
    """Requests of near-equal prompt lengths, the longest first."""
    batch: list[Request] = []
    for one in sorted(requests, key=lambda one: (-len(one.prompt), one.index)):
        if batch and len(batch) >= (most or _PROMPT_TOKENS_AT_ONCE // len(batch[0].prompt)):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch
