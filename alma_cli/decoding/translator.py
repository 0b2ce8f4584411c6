"""Sentences in, translations out, each with its index: prompts as in training, limits, and text from token ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from alma_cli.core.examples import TextFormat, prompt_ids
from alma_cli.core.kernels import order_for_few_rows, use_kernels
from alma_cli.core.languages import Direction
from alma_cli.core.model import (
    config_of,
    eos_ids_of,
    generation_config_of,
    load_model,
    precision_of,
    text_format_of,
    tokenizer_of,
    with_adapter,
)
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.prompt import NO_GUIDANCE, Guidance, PromptStyle, one_line
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.ct2 import CTranslate2Engine
from alma_cli.decoding.engine import Candidate, Engine, Hypothesis, Request, Search
from alma_cli.decoding.library import LibraryEngine
from alma_cli.decoding.native import NativeEngine
from alma_cli.decoding.vllm import VllmEngine
from alma_cli.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

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
    candidates: tuple[Candidate, ...] = ()  # n-best or samples, the best first; none for a blank source
    guidance_cut: bool = False  # there was no room for all that the prompt should have told beside it
    utilities: tuple[float, float] | None = None  # of the model's own choice, and of the one that reranking made


class Translator:
    """An engine that translates. The prompt is byte for byte the one that training used."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        text_format: TextFormat,
        settings: DecodingSettings,
        *,
        name: str,
        config: Any,
        eos_ids: Iterable[int] = (),
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.text_format = text_format
        self.settings = settings
        self.name = name
        self._window: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
        self.stop_ids = stop_ids_of(tokenizer, eos_ids)

    @classmethod
    def of_model(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        text_format: TextFormat,
        settings: DecodingSettings,
        *,
        name: str,
    ) -> Translator:
        """A translator with a model that is loaded, and in eval mode; it may be one in training, and stays as it is."""
        engine = NativeEngine if NativeEngine.can_run(model) else LibraryEngine
        return cls(
            engine(model, sentences_at_once=settings.sentences_at_once),
            tokenizer,
            text_format,
            settings,
            name=name,
            config=model.config,
            eos_ids=eos_ids_of(model.generation_config),
        )

    @classmethod
    def load(cls, files: ModelFiles, settings: DecodingSettings, *, style: PromptStyle = "alma") -> Translator:
        """A translator from a model's files, in the precision that is set, by the engine that is set."""
        tokenizer = tokenizer_of(files)
        text_format = text_format_of(files, tokenizer, style)
        if settings.engine == "native":
            model = _model(files, settings)
            use_kernels(model)
            order_for_few_rows(model)
            return cls.of_model(model, tokenizer, text_format, settings, name=files.name)
        engine: Engine
        if settings.engine == "ctranslate2":
            engine = CTranslate2Engine(files, settings, tokenizer, style)
        else:
            engine = VllmEngine(files, settings)
        eos_ids = eos_ids_of(generation_config_of(files))
        return cls(engine, tokenizer, text_format, settings, name=files.name, config=config_of(files), eos_ids=eos_ids)

    def searching(self, settings: DecodingSettings) -> Translator:
        """The same model, searched in another way."""
        other = copy(self)
        other.settings = settings
        return other

    def translate(
        self, sources: Sequence[str], direction: Direction, guidance: Sequence[Guidance] = ()
    ) -> Iterator[Translation]:
        """One Translation for each source, as it is done. A blank source has a blank translation.

        `guidance` has one for each source, or is empty: the prompts tell nothing but their sources.
        Raises MemoryExhausted where not even one sentence fits.
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
        limits = {index: self._limit(len(ids) - empty_prompt) for index, ids in prompts.items()}
        told_less = self._tell(prompts, lines, direction, [guidance[index] for index in full] if guidance else [])
        requests = [Request(index, tuple(ids), limits[index]) for index, ids in prompts.items()]
        search = Search.of(self.settings, stop_ids=self.stop_ids)
        for answer in self.engine.answers(requests, search):
            candidates = tuple(map(self._candidate, answer.hypotheses))
            best = candidates[0]
            yield Translation(
                answer.index,
                best.text,
                best.tokens,
                reached_limit=best.reached_limit,
                source_cut=answer.index in cut,
                candidates=candidates,
                guidance_cut=answer.index in told_less,
            )

    def _candidate(self, hypothesis: Hypothesis) -> Candidate:
        text = self.tokenizer.decode(list(hypothesis.token_ids), skip_special_tokens=True)
        assert isinstance(text, str)
        # The stop may be a line break that the last token carries; nothing after it is the translation.
        text = one_line(text.strip().split("\n")[0])
        return Candidate(
            text, hypothesis.log_probability, len(hypothesis.token_ids), reached_limit=not hypothesis.stopped
        )

    def _limit(self, source_tokens: int) -> int:
        bound = int(source_tokens * self.settings.max_new_tokens_per_source_token) + _SPARE_TOKENS
        return min(self.settings.max_new_tokens, bound)

    def _tell(
        self, prompts: dict[int, list[int]], lines: list[str], direction: Direction, guidance: list[Guidance]
    ) -> set[int]:
        """Put the guidance into the prompts, as much as there is room for; say which tell less than they should.

        What is left out first are the first examples, then the terms.
        """
        told_less: set[int] = set()
        for index, line, told in zip(prompts, lines, guidance, strict=True) if guidance else ():
            while told != NO_GUIDANCE:
                [ids] = prompt_ids(self.tokenizer, self.text_format, [line], direction, [told])
                if self._room is None or len(ids) <= self._room:
                    prompts[index] = ids
                    break
                told_less.add(index)
                told = replace(told, shots=told.shots[1:]) if told.shots else NO_GUIDANCE
        return told_less

    @property
    def _room(self) -> int | None:
        """The most tokens that a prompt may have; None: any number."""
        if self._window is None:
            return None
        return self._window - min(self.settings.max_new_tokens, self._window // 2)

    def _cut_to_window(
        self, prompts: dict[int, list[int]], sources: dict[int, str], direction: Direction, empty_prompt: int
    ) -> set[int]:
        """Shorten the sources, never the prompt's end, of prompts that leave no room to answer; say which.

        Raises InputError where not even an empty source leaves room.
        """
        room = self._room
        if room is None:
            return set()
        if room <= empty_prompt:
            raise InputError(
                f"{self.name} reads {self._window} tokens at most: too few for the prompt and decoding.max_new_tokens",
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


def stop_ids_of(tokenizer: PreTrainedTokenizerBase, eos_ids: Iterable[int]) -> tuple[int, ...]:
    """What ends a translation: an end token, or a line break, since a source is one line."""
    stops = {*eos_ids, tokenizer.eos_token_id, *_line_break_ids(tokenizer)}
    return tuple(sorted(token for token in stops if isinstance(token, int)))


def _model(files: ModelFiles, settings: DecodingSettings) -> PreTrainedModel:
    four_bit = settings.precision == "4bit"
    precision = precision_of("auto" if four_bit else settings.precision)
    if not four_bit:
        return cast("PreTrainedModel", load_model(files, precision, dtype=precision.dtype).eval())
    # An adapter cannot be merged into 4-bit weights, so it stays on top of them.
    plain = load_model(replace(files, adapter=None), precision, dtype=precision.dtype, four_bit=True)
    model = plain if files.adapter is None else with_adapter(plain, files.adapter)
    return cast("PreTrainedModel", model.eval())


def _line_break_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens that are only white space with a line break: a one-line source's translation ends there.

    A base model that was not fine-tuned writes no EOS; it goes on with the next `German:` line.
    """
    size = len(tokenizer)
    texts = tokenizer.batch_decode([[token] for token in range(size)])
    return {token for token, text in enumerate(texts) if "\n" in text and not text.strip()}
