"""What becomes of one sentence, token by token: beam search, greedy search or sampling over continuations it is given.

A search holds so many rows, each a beginning of a translation. A step offers continuations of its rows; the search
keeps those that end, and says which of the others to go on with. It knows no tensors and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from alma_cli.decoding.engine import Hypothesis, Search


class Continuation(NamedTuple):
    """A row with one more token."""

    log_probability: float  # nats, of all its tokens
    row: int
    token: int


class SentenceSearch(Protocol):
    """The search for one sentence's hypotheses."""

    def advance(self, going_on: Sequence[Continuation], ending: Sequence[Continuation]) -> Sequence[Continuation]:
        """The rows to go on with, one for each there is room for; none when the search is over.

        `going_on` are continuations by tokens that stop nothing, `ending` by stop tokens; both the most probable first.
        """
        ...

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """What was found, the best first."""
        ...


def search_for(search: Search, *, limit: int) -> SentenceSearch:
    """The kind of search that is asked for; no hypothesis gets more than `limit` tokens, the stop token included."""
    if search.samples:
        return Samples(search.samples, limit=limit)
    if search.beams == 1:
        return GreedySearch(limit=limit)
    return BeamSearch(search.beams, length_penalty=search.length_penalty, wanted=search.hypotheses, limit=limit)


class _Node(NamedTuple):
    """A token and what came before it: rows with a common beginning share it."""

    token: int
    before: _Node | None


class BeamSearch:
    """Beam search as transformers has it with `early_stopping=False`, which the paper's results were decoded with.

    A stop token's continuation counts as a hypothesis if it is among the `beams` most probable continuations; the
    search ends when there are `beams` hypotheses and the most probable row, at its present length, scores no better
    than the worst of them. It also ends when no row could still enter the `wanted` best ones, whatever came next.
    """

    def __init__(self, beams: int, *, length_penalty: float, wanted: int, limit: int) -> None:
        self._beams = beams
        self._length_penalty = length_penalty
        self._wanted = wanted
        self._limit = limit
        self._length = 0
        self._rows: list[_Node | None] = [None]
        self._found: list[tuple[float, Hypothesis]] = []

    def advance(self, going_on: Sequence[Continuation], ending: Sequence[Continuation]) -> Sequence[Continuation]:
        self._length += 1
        at_limit = self._length == self._limit
        ranked = sorted([*((one, False) for one in going_on), *((one, True) for one in ending)], key=_probability)
        for one, stopped in ranked[: self._beams]:
            if stopped or at_limit:
                self._finish(one, stopped=stopped)
        if at_limit or self._is_decided(going_on[0].log_probability):
            return ()
        self._rows = [_Node(one.token, self._rows[one.row]) for one in going_on]
        return going_on

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        return tuple(hypothesis for _, hypothesis in self._found[: self._wanted])

    def _finish(self, one: Continuation, *, stopped: bool) -> None:
        node = self._rows[one.row]
        tokens = _tokens(node if stopped else _Node(one.token, node))
        hypothesis = Hypothesis(tokens, one.log_probability, stopped)
        self._found.append((hypothesis.score(self._length_penalty), hypothesis))
        self._found.sort(key=lambda pair: -pair[0])  # stable: of equal scores the first stays first
        del self._found[self._beams :]

    def _is_decided(self, best: float) -> bool:
        """Whether going on is of no use; `best` is the log-probability of the best row."""
        if len(self._found) == self._beams and best / self._length**self._length_penalty <= self._found[-1][0]:
            return True
        if len(self._found) < self._wanted or self._length_penalty < 0:
            return False
        # A log-probability only falls, so this is the most that any end of any row can score.
        return bool(best / self._limit**self._length_penalty <= self._found[self._wanted - 1][0])


class GreedySearch:
    """The most probable token at each step, until it is a stop token."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._tokens: list[int] = []
        self._found: Hypothesis | None = None

    def advance(self, going_on: Sequence[Continuation], ending: Sequence[Continuation]) -> Sequence[Continuation]:
        best = going_on[0]
        if ending and ending[0].log_probability > best.log_probability:
            self._found = Hypothesis(tuple(self._tokens), ending[0].log_probability, stopped=True)
            return ()
        self._tokens.append(best.token)
        if len(self._tokens) == self._limit:
            self._found = Hypothesis(tuple(self._tokens), best.log_probability, stopped=False)
            return ()
        return going_on[:1]

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        assert self._found is not None
        return (self._found,)


class Samples:
    """So many translations, each with tokens drawn for it; `going_on` has one continuation a row, in their order.

    A row that has ended is fed its last token again until the others have ended, too.
    """

    def __init__(self, samples: int, *, limit: int) -> None:
        self._limit = limit
        self._tokens: list[list[int]] = [[] for _ in range(samples)]
        self._found: dict[int, Hypothesis] = {}

    def advance(self, going_on: Sequence[Continuation], ending: Sequence[Continuation]) -> Sequence[Continuation]:
        ends = {one.row: one for one in ending}
        rows = []
        for row, tokens in enumerate(self._tokens):
            one = ends.get(row) or going_on[row]
            rows.append(Continuation(one.log_probability, row, one.token))
            if row in self._found:
                continue
            if row in ends:
                self._found[row] = Hypothesis(tuple(tokens), one.log_probability, stopped=True)
                continue
            tokens.append(one.token)
            if len(tokens) == self._limit:
                self._found[row] = Hypothesis(tuple(tokens), one.log_probability, stopped=False)
        return () if len(self._found) == len(self._tokens) else rows

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        return tuple(sorted(self._found.values(), key=lambda one: -one.log_probability))


def _probability(ranked: tuple[Continuation, bool]) -> float:
    return -ranked[0].log_probability


def _tokens(node: _Node | None) -> tuple[int, ...]:
    tokens = []
    while node is not None:
        tokens.append(node.token)
        node = node.before
    return tuple(reversed(tokens))
