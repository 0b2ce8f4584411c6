"""What generates: an engine takes tokenised prompts and gives hypotheses, best first, each prompt as it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from alma_cli.core.recipe import DecodingSettings


@dataclass(frozen=True)
class Request:
    """One prompt, and how long its answer may become."""

    index: int  # what the answer is filed under
    prompt: tuple[int, ...]
    max_new_tokens: int


@dataclass(frozen=True)
class Hypothesis:
    """One possible answer to a prompt."""

    token_ids: tuple[int, ...]  # without the token that ended it
    log_probability: float  # nats, of token_ids and the token that ended them
    stopped: bool  # by a stop token; else it reached the limit

    def score(self, length_penalty: float) -> float:
        """What beam search ranks by: log-probability over length to a power, the stop token counted."""
        tokens = max(1, len(self.token_ids) + self.stopped)
        return float(self.log_probability / tokens**length_penalty)


@dataclass(frozen=True)
class Answer:
    """What an engine found for a request."""

    index: int
    hypotheses: tuple[Hypothesis, ...]  # at least one; the best first


@dataclass(frozen=True)
class Candidate:
    """One hypothesis as text, for reranking and for those who want more than the best."""

    text: str
    log_probability: float  # nats
    tokens: int
    reached_limit: bool


@dataclass(frozen=True)
class Search:
    """How hypotheses are looked for, the same for every engine."""

    beams: int  # 1: greedy
    length_penalty: float
    hypotheses: int  # how many are wanted of each prompt
    samples: int  # above 0: so many are drawn, and nothing is searched for
    temperature: float
    top_p: float
    seed: int
    stop_ids: tuple[int, ...]

    @classmethod
    def of(cls, settings: DecodingSettings, *, stop_ids: Sequence[int]) -> Search:
        """The search that a recipe's section [decoding] asks for."""
        return cls(
            beams=settings.beams,
            length_penalty=settings.length_penalty,
            hypotheses=settings.samples or settings.n_best,
            samples=settings.samples,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=settings.sampling_seed,
            stop_ids=tuple(stop_ids),
        )


class Engine(Protocol):
    """Something that answers prompts. An answer has a token at least, and depends on its own prompt alone."""

    def answers(self, requests: Sequence[Request], search: Search) -> Iterator[Answer]:
        """One Answer for each request, in any order. Raises MemoryExhausted where not even one fits."""
        ...
