"""alma's own engine: any transformers model whose attention can be replaced, its sentences coming and going.

    S = sentences in the works, W = rows (beams or samples) of one, N = rows of the model, V = vocabulary, H = hidden

A sentence that is done makes room at once, and new ones are read as soon as there is room for several; what all
prompts begin with is read once. The model computes rows without padding; logits exist for the last token of each row,
a chunk of rows at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alma_cli.core.model import causal_lm_of, decoder_of
from alma_cli.core.objective import LogitShape
from alma_cli.core.process import explained_memory_errors, free_memory
from alma_cli.decoding.columns import Columns, attention_over_columns
from alma_cli.decoding.engine import Answer, Request, Search
from alma_cli.decoding.search import Continuation, SentenceSearch, search_for
from alma_cli.errors import MemoryExhausted

# On two CPU cores fp32 products were as fast a row with 80 rows as with 640, and a third as fast with 32. That of a GPU
# is not measured.
_ROWS_ON_A_CPU, _ROWS_ON_A_GPU = 256, 2048
_PROMPT_TOKENS_AT_ONCE = 1024
_SHARE_OF_FREE_MEMORY = 0.4  # for keys and values
# New sentences are read when this share of the places is free: a step is slower the fewer rows it has, reading too.
_FREE_SHARE = 1 / 8
_STEPS_BETWEEN_SQUEEZES = 8
_LOGITS_PER_CHUNK, _FEWEST_ROWS = 2**22, 64


@dataclass
class _Sentence:
    """A request in the works."""

    request: Request
    search: SentenceSearch
    rows: Sequence[Continuation]
    length: int  # tokens written
    random: np.random.Generator | None


class NativeEngine:
    """Generates with a transformers model, which must be in eval mode and is left as it was."""

    def __init__(self, model: Any, *, sentences_at_once: int | None = None) -> None:
        self.model = model
        self._decoder = decoder_of(causal_lm_of(model))
        self._shape = LogitShape.of(causal_lm_of(model))
        self._head = causal_lm_of(model).get_output_embeddings()
        self._device: torch.device = next(model.parameters()).device
        self._most = sentences_at_once

    @staticmethod
    def can_run(model: Any) -> bool:
        """Whether the model computes the same with our attention: after a prompt, and after a token more."""
        try:
            return _computes_the_same(model)
        except (NotImplementedError, TypeError, ValueError, RuntimeError, AttributeError):
            return False

    def answers(self, requests: Sequence[Request], search: Search) -> Iterator[Answer]:
        """One Answer for each request. When memory runs out, half as many sentences go on together, from their start.

        Raises MemoryExhausted where not even one fits.
        """
        waiting = deque(sorted(requests, key=lambda one: (-len(one.prompt), one.index)))
        places = min(len(waiting), self._most or self._places(waiting, search))
        with attention_over_columns(self.model):
            while waiting:
                works = _Works(self, search, places)
                try:
                    with explained_memory_errors("lower decoding.beams, or take a smaller model"):
                        yield from works.run(waiting)
                except MemoryExhausted:
                    if places == 1:
                        raise
                    waiting.extendleft(reversed([sentence.request for sentence in works.sentences]))
                    places = (places + 1) // 2
                    del works  # and its memory

    def _places(self, requests: Sequence[Request], search: Search) -> int:
        """How many sentences are fast together and fit into memory."""
        rows = search.samples or search.beams
        fast = (_ROWS_ON_A_CPU if self._device.type == "cpu" else _ROWS_ON_A_GPU) // rows
        # Beams have most of their columns in common.
        columns = max(len(one.prompt) + one.max_new_tokens * (rows if search.samples else 2) for one in requests)
        fitting = int(free_memory(self._device) * _SHARE_OF_FREE_MEMORY / (columns * self._bytes_per_column()))
        return max(1, min(fast, fitting))

    def _bytes_per_column(self) -> int:
        config = causal_lm_of(self.model).config.get_text_config()
        heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        keys = getattr(config, "num_key_value_heads", None) or heads
        return int(2 * config.num_hidden_layers * keys * size * next(self.model.parameters()).element_size())

    @torch.no_grad()
    def states(self, ids: Tensor, positions: Tensor, columns: Columns) -> Tensor:
        """(N,) twice -> (N, H)."""
        outputs = self._decoder(
            input_ids=ids[None], position_ids=positions[None], attention_mask=None, use_cache=False, columns=columns
        )
        states: Tensor = outputs.last_hidden_state[0]
        return states

    def logits(self, states: Tensor) -> Iterator[Tensor]:
        """(N, H) -> fp32 (n, V), a chunk of rows after the other; each may be overwritten."""
        size = max(_FEWEST_ROWS, _LOGITS_PER_CHUNK // self._shape.vocabulary)
        for chunk in states.split(size):
            yield self._shape.shaped(self._head(chunk)).float()


class _Works:
    """Sentences in the works, and the memory they have."""

    def __init__(self, engine: NativeEngine, search: Search, places: int) -> None:
        self.sentences: list[_Sentence] = []  # each at its place in `_columns`
        self._engine = engine
        self._search = search
        self._places = places
        self._rows = search.samples or search.beams
        self._device = engine._device
        self._stops = torch.tensor(search.stop_ids, device=self._device)
        self._columns = Columns(places, self._rows, self._device)
        self._beginning: tuple[int, ...] = ()

    def run(self, waiting: deque[Request]) -> Iterator[Answer]:
        """Take requests off `waiting` until it is empty and all of them are answered."""
        if len(waiting) > 1:
            self._read_beginning(waiting)
        steps = 0
        while waiting or self.sentences:
            free = self._places - len(self.sentences)
            if waiting and (not self.sentences or free >= max(1, self._places * _FREE_SHARE)):
                self._columns.squeeze()
                while waiting and len(self.sentences) < self._places:
                    self._read(waiting)
            else:
                self._write()
                steps += 1
                if steps % _STEPS_BETWEEN_SQUEEZES == 0:
                    self._columns.squeeze()
            yield from self._finished()

    # --- reading --------------------------------------------------------------------------------------------------

    def _read_beginning(self, requests: Sequence[Request]) -> None:
        """Read what all prompts begin with, so that none has to read it again."""
        shared = _common_beginning([one.prompt[:-1] for one in requests])
        if shared:
            self._columns.open(1)
            for _ in self._pieces([shared]):
                pass
            self._columns.remember_beginning()
            self._beginning = shared

    def _read(self, waiting: deque[Request]) -> None:
        """Read the prompts of some of the waiting requests, and take the first step of each."""
        group: list[Request] = []
        tokens = 0
        while waiting and len(self.sentences) + len(group) < self._places:
            tokens += len(waiting[0].prompt) - len(self._beginning)
            if group and tokens > _PROMPT_TOKENS_AT_ONCE:
                break
            group.append(waiting.popleft())
        first = len(self.sentences)
        self.sentences += [self._begin(one) for one in group]  # before anything can fail
        self._columns.open(len(group))
        last: dict[int, Tensor] = {}
        for states, sentences, ends in self._pieces([one.prompt[len(self._beginning) :] for one in group]):
            last |= {sentence: states[end] for sentence, end in zip(sentences, ends, strict=True) if end >= 0}
        states = torch.stack([last[n] for n in range(len(group))])
        self._advance(states, self.sentences[first:], rows=1)

    def _pieces(self, prompts: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Sequence[int], Sequence[int]]]:
        """The states of the prompts' tokens (N, H), piece by piece, and for each prompt the row of its last token.

        That row is -1 where the last token is in another piece. All prompts but the longest are in one piece.
        """
        begun = len(self._beginning)
        longest = max(map(len, prompts))
        size = longest if len(prompts) > 1 else _PROMPT_TOKENS_AT_ONCE
        for start in range(0, longest, size):
            pieces = [prompt[start : start + size] for prompt in prompts]
            lengths = [len(piece) for piece in pieces]
            self._columns.read(lengths, sentences=len(prompts), read_before=start)
            ids = torch.tensor([token for piece in pieces for token in piece], device=self._device)
            positions = torch.cat([torch.arange(length) for length in lengths]).to(self._device) + begun + start
            states = self._engine.states(ids, positions, self._columns)
            ended = start + size >= longest
            ends = [sum(lengths[: n + 1]) - 1 if ended else -1 for n in range(len(prompts))]
            yield states, range(len(prompts)), ends

    def _begin(self, request: Request) -> _Sentence:
        random = np.random.default_rng([self._search.seed, *request.prompt]) if self._search.samples else None
        start = [Continuation(0.0, 0, request.prompt[-1])]
        return _Sentence(request, search_for(self._search, limit=request.max_new_tokens), start, 0, random)

    # --- writing --------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """One token more for every row of every sentence."""
        rows = [row for sentence in self.sentences for row in _filled(sentence.rows, self._rows)]
        parents = torch.tensor([row.row for row in rows], device=self._device).view(-1, self._rows)
        ids = torch.tensor([row.token for row in rows], device=self._device)
        # A token's place is that of the prompt's last one, and one more for each token written before it.
        places = [len(sentence.request.prompt) - 1 + sentence.length for sentence in self.sentences]
        positions = torch.tensor(places, device=self._device)
        self._columns.write(parents, positions)
        states = self._engine.states(ids, positions.repeat_interleave(self._rows), self._columns)
        self._advance(states, self.sentences, rows=self._rows)

    def _advance(self, states: Tensor, sentences: Sequence[_Sentence], *, rows: int) -> None:
        """Give each sentence's search the continuations of its `rows` rows, whose states are (S * rows, H)."""
        steps = (
            self._drawn(states, sentences, rows=rows)
            if self._search.samples
            else self._likeliest(states, sentences, rows=rows)
        )
        for sentence, (going_on, ending) in zip(sentences, steps, strict=True):
            sentence.rows = sentence.search.advance(going_on, ending)
            sentence.length += 1

    def _finished(self) -> Iterator[Answer]:
        """Answer the sentences that are done, and make room."""
        done = [place for place, sentence in enumerate(self.sentences) if not sentence.rows]
        answers = [
            Answer(self.sentences[place].request.index, self.sentences[place].search.hypotheses()) for place in done
        ]
        if done:
            self.sentences = [self.sentences[place] for place in self._columns.drop(done)]
        yield from answers

    # --- continuations --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _likeliest(self, states: Tensor, sentences: Sequence[_Sentence], *, rows: int) -> list[_Step]:
        """For each sentence the W most probable continuations that go on, and as many that end."""
        likely, stopping = _LikeliestTokens(self._rows), []
        for logits in self._engine.logits(states):
            stops = logits.index_select(1, self._stops)
            logits.index_fill_(1, self._stops, float("-inf"))
            stopping.append(stops - likely.add(logits, stops))
        before = torch.tensor([row.log_probability for sentence in sentences for row in _filled(sentence.rows, rows)])
        before = before.to(self._device)[:, None]
        values, tokens = likely.found()
        going_on = _best((values + before).view(len(sentences), -1), self._rows)
        picked = tokens.view(len(sentences), -1).gather(1, going_on[1]).tolist()
        ending = _best((torch.cat(stopping) + before).view(len(sentences), -1), self._rows)
        width, stop_ids = values.shape[1], self._search.stop_ids
        steps: list[_Step] = []
        for n, sentence in enumerate(sentences):
            on = zip(going_on[0][n].tolist(), going_on[1][n].tolist(), picked[n], strict=True)
            off = zip(ending[0][n].tolist(), ending[1][n].tolist(), strict=True)
            first = sentence.length == 0  # a source that is not empty has a translation that is not empty
            steps.append(
                (
                    [Continuation(value, place // width, token) for value, place, token in on],
                    []
                    if first
                    else [Continuation(v, place // len(stop_ids), stop_ids[place % len(stop_ids)]) for v, place in off],
                )
            )
        return steps

    @torch.no_grad()
    def _drawn(self, states: Tensor, sentences: Sequence[_Sentence], *, rows: int) -> list[_Step]:
        """For each sentence a token drawn for each of its rows."""
        if rows == 1:
            states = states.repeat_interleave(self._rows, 0)
        points = np.concatenate([_points(sentence, self._rows) for sentence in sentences])
        first = torch.tensor([sentence.length == 0 for sentence in sentences for _ in range(self._rows)])
        stops, start, drawn = set(self._search.stop_ids), 0, []
        for logits in self._engine.logits(states):
            end = start + len(logits)
            beginning = first[start:end].to(self._device)
            # As in the search: no translation is empty.
            masked = beginning[:, None] & torch.isin(torch.arange(logits.shape[1], device=self._device), self._stops)
            log_p = torch.log_softmax(logits.masked_fill(masked, float("-inf")), -1)
            tokens = draw(log_p, points[start:end], temperature=self._search.temperature, top_p=self._search.top_p)
            values = log_p.gather(1, tokens[:, None])[:, 0]
            drawn += list(zip(tokens.tolist(), values.tolist(), strict=True))
            start = end
        steps: list[_Step] = []
        for n, sentence in enumerate(sentences):
            before = _filled(sentence.rows, self._rows)
            ones = [
                Continuation(before[row].log_probability + value, row, token)
                for row, (token, value) in enumerate(drawn[n * self._rows : (n + 1) * self._rows])
            ]
            steps.append((ones, [one for one in ones if one.token in stops]))
        return steps


_Step = tuple[Sequence[Continuation], Sequence[Continuation]]


class _LikeliestTokens:
    """The most probable tokens of rows whose logits come in chunks."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._values: list[Tensor] = []
        self._tokens: list[Tensor] = []

    def add(self, logits: Tensor, stops: Tensor) -> Tensor:
        """Take a chunk (n, V), which is overwritten, without the stop tokens, whose logits are apart.

        Gives the logarithm of the sum of all their exponentials, (n, 1).
        """
        values, tokens = largest(logits, self._count)
        most = torch.maximum(values[:, :1], stops.amax(1, keepdim=True))
        total = logits.sub_(most).exp_().sum(1, keepdim=True) + (stops - most).exp_().sum(1, keepdim=True)
        whole = total.log_() + most
        self._values.append(values - whole)
        self._tokens.append(tokens)
        return whole

    def found(self) -> tuple[Tensor, Tensor]:
        """Log-probabilities and tokens of all the rows so far, (N, count) each."""
        return torch.cat(self._values), torch.cat(self._tokens)


def largest(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """torch.topk over the last dimension of (n, V), on a CPU some ten times as fast.

    The largest entries are in the blocks with the largest maxima, of which only so many need to be looked into.
    """
    rows, size = logits.shape
    block = next((width for width in (64, 32, 16) if size % width == 0 and size // width >= 4 * count), 0)
    if not block or logits.device.type != "cpu":
        return torch.topk(logits, count)
    blocks = logits.view(rows, -1, block)
    best = torch.topk(blocks.amax(2), count).indices  # (n, count)
    within = blocks.gather(1, best[:, :, None].expand(-1, -1, block)).flatten(1)
    values, places = torch.topk(within, count)
    return values, best.gather(1, places // block) * block + places % block


def draw(log_p: Tensor, points: np.ndarray[Any, Any], *, temperature: float, top_p: float) -> Tensor:
    """(N,): the token of each row of log-probabilities (N, V) at which their sum, the likeliest first, passes a point.

    `points` (N,) are between 0 and 1. Only the likeliest tokens that together have `top_p` count.
    """
    p, order = torch.softmax(log_p / temperature, -1).sort(dim=-1, descending=True)
    total = p.double().cumsum(-1)
    mass = (
        total[:, -1:] if top_p == 1 else total.gather(1, (total < top_p).sum(1, keepdim=True).clamp_(max=len(p[0]) - 1))
    )
    wanted = torch.from_numpy(points).to(total)[:, None] * mass
    place = torch.searchsorted(total, wanted, right=True).clamp_(max=p.shape[1] - 1)
    return order.gather(1, place)[:, 0]


def _best(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    return torch.topk(values, min(count, values.shape[1]))


def _common_beginning(prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    first, last = min(prompts), max(prompts)  # what these two share, all that lie between them share
    length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]


def _filled(rows: Sequence[Continuation], count: int) -> Sequence[Continuation]:
    """So many rows: where there are fewer, the last one again."""
    return rows if len(rows) >= count else [*rows, *[rows[-1]] * (count - len(rows))]


def _points(sentence: _Sentence, rows: int) -> np.ndarray[Any, Any]:
    assert sentence.random is not None
    return sentence.random.random(rows)


@torch.no_grad()
def _computes_the_same(model: Any) -> bool:
    causal_lm = causal_lm_of(model)
    config = causal_lm.config.get_text_config()
    ids = [n * config.vocab_size // 11 for n in range(1, 11)]
    device = next(model.parameters()).device
    decoder = decoder_of(causal_lm)
    expected = decoder(input_ids=torch.tensor([ids], device=device), use_cache=False).last_hidden_state[0, -2:]
    engine = NativeEngine(model)
    columns = Columns(1, 1, device)
    with attention_over_columns(model):
        columns.open(1)
        columns.read([9], sentences=1, read_before=0)
        positions = torch.arange(10, device=device)
        first = engine.states(torch.tensor(ids[:9], device=device), positions[:9], columns)[-1:]
        columns.write(torch.zeros(1, 1, dtype=torch.int64, device=device), positions[9:])
        second = engine.states(torch.tensor(ids[9:], device=device), positions[9:], columns)
    # Of masks that only longer texts would show, the model has to tell.
    windows_told = columns.windows or getattr(config, "sliding_window", None) is None
    chunked = getattr(config, "attention_chunk_size", None) is not None
    if columns.layers != config.num_hidden_layers or not windows_told or chunked:
        return False
    difference = (torch.cat([first, second]) - expected).float().norm() / expected.float().norm()
    return bool(difference < (1e-3 if expected.dtype == torch.float32 else 0.05))
