"""A model and sentences in, translations out: length-sorted batches through beam search, each with its index.

B = sentences in a batch, T = tokens of the longest prompt
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from alma_cli.core.examples import TextFormat, prompt_ids
from alma_cli.core.languages import Direction
from alma_cli.core.model import load_model, precision_of, text_format_of, tokenizer_of
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.process import explained_memory_errors
from alma_cli.core.prompt import PromptStyle, one_line
from alma_cli.core.recipe import DecodingSettings
from alma_cli.errors import InputError

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

# Room for short sources, whose translation can be several times as long.
_SPARE_TOKENS = 32


@dataclass(frozen=True)
class Translation:
    """One sentence's translation, on one line."""

    index: int  # of its source
    text: str
    new_tokens: int
    reached_limit: bool  # it was stopped at the token limit and may be cut off
    source_cut: bool  # the source did not fit into the model's window


class Translator:
    """A loaded model that translates. The prompt is byte for byte the one that training used.

    The model may be one in training: it is neither changed nor held back from going on, but must be in eval mode.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        text_format: TextFormat,
        settings: DecodingSettings,
        *,
        name: str,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.text_format = text_format
        self.settings = settings
        self.name = name
        self._line_break_ids = _line_break_ids(tokenizer)
        self._stop_ids = sorted({*_eos_ids(model, tokenizer), *self._line_break_ids})

    @classmethod
    def load(cls, files: ModelFiles, settings: DecodingSettings, *, style: PromptStyle = "alma") -> Translator:
        """A translator from a model's files, in the device's precision."""
        precision = precision_of()
        tokenizer = tokenizer_of(files)
        text_format = text_format_of(files, tokenizer, style)
        model = load_model(files, precision, dtype=precision.dtype).eval()
        return cls(model, tokenizer, text_format, settings, name=files.name)

    def translate(self, sources: Sequence[str], direction: Direction) -> Iterator[Translation]:
        """One Translation for each source, the longest sources first. A blank source has a blank translation.

        Raises MemoryExhausted where a batch does not fit.
        """
        full = [index for index, source in enumerate(sources) if source.strip()]
        for index in set(range(len(sources))) - set(full):
            yield Translation(index, "", 0, reached_limit=False, source_cut=False)
        if not full:
            return
        lines = [one_line(sources[index]) for index in full]
        prompts = dict(zip(full, prompt_ids(self.tokenizer, self.text_format, lines, direction), strict=True))
        empty_prompt = len(prompt_ids(self.tokenizer, self.text_format, [""], direction)[0])
        cut = self._cut_to_window(prompts, dict(zip(full, lines, strict=True)), direction, empty_prompt)
        for batch in _batches(prompts, self.settings.tokens_per_batch):
            limits = [self._limit(len(prompts[index]) - empty_prompt) for index in batch]
            with explained_memory_errors("lower decoding.tokens_per_batch or decoding.beams"):
                rows = self._generate([prompts[index] for index in batch], limits)
            for index, (ids, stopped) in zip(batch, rows, strict=True):
                text = self.tokenizer.decode(ids, skip_special_tokens=True)
                assert isinstance(text, str)
                # The stop may be a line break that the last token carries; nothing after it is the translation.
                text = one_line(text.strip().split("\n")[0])
                yield Translation(index, text, len(ids), reached_limit=not stopped, source_cut=index in cut)

    def _limit(self, source_tokens: int) -> int:
        bound = int(source_tokens * self.settings.max_new_tokens_per_source_token) + _SPARE_TOKENS
        return min(self.settings.max_new_tokens, bound)

    def _cut_to_window(
        self, prompts: dict[int, list[int]], sources: dict[int, str], direction: Direction, empty_prompt: int
    ) -> set[int]:
        """Shorten the sources, never the prompt's end, of prompts that leave no room to answer; say which.

        Raises InputError where not even an empty source leaves room.
        """
        window = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if window is None:
            return set()
        room = window - min(self.settings.max_new_tokens, window // 2)
        if room <= empty_prompt:
            raise InputError(
                f"{self.name} reads {window} tokens at most: too few for the prompt and decoding.max_new_tokens",
                hint="lower decoding.max_new_tokens or take a model with a longer window",
            )
        too_long = {index for index, ids in prompts.items() if len(ids) > room}
        for index in too_long:
            source = sources[index]
            while len(prompts[index]) > room:
                share = (room - empty_prompt) / (len(prompts[index]) - empty_prompt)
                source = source[: min(len(source) - 1, int(len(source) * share))].rstrip()
                prompts[index] = prompt_ids(self.tokenizer, self.text_format, [source], direction)[0]
        return too_long

    @torch.inference_mode()
    def _generate(self, prompts: list[list[int]], limits: list[int]) -> list[tuple[list[int], bool]]:
        """For each prompt its new ids without stop tokens, at most its limit of them, and whether a stop ended them."""
        from transformers import StoppingCriteriaList

        longest = max(map(len, prompts))
        input_ids = torch.zeros(len(prompts), longest, dtype=torch.int64)  # (B, T), left-padded
        attention_mask = torch.zeros_like(input_ids)
        for row, ids in enumerate(prompts):
            input_ids[row, longest - len(ids) :] = torch.tensor(ids)
            attention_mask[row, longest - len(ids) :] = 1
        model: Any = self.model
        with _small_output_layer(model):
            output = model.generate(
                input_ids=input_ids.to(self.model.device),
                attention_mask=attention_mask.to(self.model.device),
                generation_config=self._generation_config(max(limits)),
                stopping_criteria=StoppingCriteriaList([_row_limits(limits, longest, self.model.device)]),
            )
        return [self._until_stop(row[:limit]) for row, limit in zip(output[:, longest:].tolist(), limits, strict=True)]

    def _generation_config(self, max_new_tokens: int) -> GenerationConfig:
        from transformers import GenerationConfig

        return GenerationConfig(
            num_beams=self.settings.beams,
            length_penalty=self.settings.length_penalty,
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=self._stop_ids,
            # A source that is not empty has a translation that is not empty.
            begin_suppress_tokens=self._stop_ids,
            pad_token_id=self._stop_ids[0],
        )

    def _until_stop(self, ids: list[int]) -> tuple[list[int], bool]:
        stops = set(self._stop_ids)
        for position, token in enumerate(ids):
            if token in stops:
                return ids[:position], True
        return ids, False


def _row_limits(limits: list[int], prompt_tokens: int, device: torch.device) -> Any:
    """Stops each row of a batch at its own limit, so that its neighbours do not change its translation."""
    bounds = torch.tensor(limits, device=device)

    def reached(input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        # A beam search asks about several candidates a row.
        return input_ids.shape[1] - prompt_tokens >= bounds.repeat_interleave(len(input_ids) // len(bounds))

    return reached


@contextmanager
def _small_output_layer(model: Any) -> Iterator[None]:
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


def _eos_ids(model: Any, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokenizer's EOS, and what the model's own generation config ends a turn with."""
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return {token for token in (*ids, tokenizer.eos_token_id) if isinstance(token, int)}


def _line_break_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens that are only white space with a line break: a one-line source's translation ends there.

    A base model that was not fine-tuned writes no EOS; it goes on with the next `German:` line.
    """
    size = len(tokenizer)
    texts = tokenizer.batch_decode([[token] for token in range(size)])
    return {token for token, text in enumerate(texts) if "\n" in text and not text.strip()}


def _batches(prompts: dict[int, list[int]], tokens_per_batch: int) -> Iterator[list[int]]:
    """Indices in batches of near-equal prompt lengths, the longest first."""
    batch: list[int] = []
    for index in sorted(prompts, key=lambda i: (-len(prompts[i]), i)):
        if batch and len(prompts[batch[0]]) * (len(batch) + 1) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
