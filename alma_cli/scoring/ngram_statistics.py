"""BLEU's and chrF's counts of every segment at once: n-grams are sorted as numbers in place of counted one by one.

The counts are sacreBLEU's. It reads each system's text into a Counter a segment and order; here a whole system is one
array an order, in which equal n-grams of a segment stand together:

    segment | ranks of the n symbols among those of the references      one int64, sorted; then counted and looked up

S = segments, T = symbols (characters or words) of all segments
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_KEY_BITS = 63
_UNICODE = 0x110000


@dataclass(frozen=True)
class Symbols:
    """The segments' symbols, one after the other."""

    ranks: Ints  # (T,) among the symbols of the references, from 1; 0 where these lack it
    segments: Ints  # (T,) the segment of each symbol
    lengths: Ints  # (S,) symbols in each segment

    def ngrams(self, order: int) -> Ints:
        """(S,) how many n-grams each segment has."""
        return np.maximum(self.lengths - order + 1, 0)


class Characters:
    """Ranks characters, as chrF counts them: without white space."""

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        codes = np.unique(np.concatenate([_codes("".join(_without_space(one))) for one in references]))
        self._ranks = np.zeros(_UNICODE, dtype=np.int64)
        self._ranks[codes] = np.arange(1, len(codes) + 1)
        self.bits = _bits(len(codes))

    def symbols(self, texts: Sequence[str]) -> Symbols:
        """The texts' characters."""
        lines = _without_space(texts)
        return _symbols(self._ranks[_codes("".join(lines))], [len(line) for line in lines])


class Words:
    """Ranks words; the texts are split into them already."""

    def __init__(self, references: Sequence[Sequence[Sequence[str]]]) -> None:
        known = dict.fromkeys(word for one in references for line in one for word in line)
        self._ranks = {word: rank for rank, word in enumerate(known, start=1)}
        self.bits = _bits(len(known))

    def symbols(self, lines: Sequence[Sequence[str]]) -> Symbols:
        """The lines' words."""
        ranks = [self._ranks.get(word, 0) for line in lines for word in line]
        return _symbols(np.array(ranks, dtype=np.int64), [len(line) for line in lines])


class Matcher:
    """Counts a hypothesis's n-grams that the references have, each as often as the one that has it most often."""

    def __init__(self, references: Sequence[Symbols], bits: int, orders: int) -> None:
        self._segments = len(references[0].lengths)
        self._symbol_bits = bits
        self._ranked: dict[int, Ints] = {}  # by order: the references' n-grams where these are ranked anew
        self._bits: list[int] = []  # by order: of an n-gram's number
        self._plan(references, orders)
        self._keys: list[Ints] = []  # by order: the references' keys, sorted, each once
        self._counts: list[Ints] = []
        for keys in zip(*(list(self._keys_by_order(one)) for one in references), strict=True):
            each = [np.unique(one, return_counts=True) for one in keys]
            together, place = np.unique(np.concatenate([found for found, _ in each]), return_inverse=True)
            counts = np.zeros(len(together), dtype=np.int64)
            np.maximum.at(counts, place, np.concatenate([count for _, count in each]))
            self._keys.append(together)
            self._counts.append(counts)

    def matches(self, hypotheses: Symbols) -> Ints:
        """(S, orders) matches."""
        found = np.zeros((self._segments, len(self._keys)), dtype=np.int64)
        for n, keys in enumerate(self._keys_by_order(hypotheses)):
            if not len(keys) or not len(self._keys[n]):
                continue
            mine, counts = np.unique(keys, return_counts=True)
            place = np.minimum(np.searchsorted(self._keys[n], mine), len(self._keys[n]) - 1)
            common = self._keys[n][place] == mine
            clipped = np.minimum(counts[common], self._counts[n][place[common]])
            segments = mine[common] >> self._bits[n]
            found[:, n] = np.bincount(segments, weights=clipped, minlength=self._segments).astype(np.int64)
        return found

    def _plan(self, references: Sequence[Symbols], orders: int) -> None:
        """Where the numbers of the next order would need too many bits, those of this order are ranked first."""
        room = _KEY_BITS - _bits(self._segments)
        numbers = [one.ranks for one in references]
        bits = self._symbol_bits
        for n in range(orders):
            if n:
                if bits + self._symbol_bits > room:
                    self._ranked[n] = np.unique(np.concatenate(numbers))
                    bits = _bits(len(self._ranked[n]))
                    numbers = [_ranks_in(self._ranked[n], one) for one in numbers]
                bits += self._symbol_bits
                numbers = [self._longer(one, symbols, n) for one, symbols in zip(numbers, references, strict=True)]
            assert bits <= room, f"{bits=} {room=}"
            self._bits.append(bits)

    def _keys_by_order(self, symbols: Symbols) -> Iterator[Ints]:
        """For each order the keys of the n-grams that the references may have."""
        numbers = symbols.ranks
        for n, bits in enumerate(self._bits):
            if n:
                if n in self._ranked:
                    numbers = _ranks_in(self._ranked[n], numbers)
                numbers = self._longer(numbers, symbols, n)
            known = numbers > 0
            yield (symbols.segments[: len(numbers)][known] << bits) | numbers[known]

    def _longer(self, numbers: Ints, symbols: Symbols, order: int) -> Ints:
        """The n-grams of `order` + 1 from those of `order`; 0 where one is unknown or would leave its segment."""
        count = max(len(symbols.ranks) - order, 0)
        start, last = numbers[:count], symbols.ranks[order:]
        within = (start > 0) & (last > 0) & (symbols.segments[:count] == symbols.segments[order:])
        return np.where(within, (start << self._symbol_bits) | last, 0)


def chrf_statistics(parts: Sequence[tuple[Symbols, Symbols, Ints]]) -> Ints:
    """(S, 3 x orders): of each order the n-grams of hypothesis and reference, and the matches: (S, orders) a part."""
    columns = []
    for hypotheses, references, matches in parts:
        for n in range(matches.shape[1]):
            ours, theirs = hypotheses.ngrams(n + 1), references.ngrams(n + 1)
            columns += [np.where(theirs > 0, ours, 0), theirs, matches[:, n]]  # no hits where the reference has none
    return np.stack(columns, axis=1)


def bleu_statistics(hypotheses: Symbols, references: Sequence[Symbols], matches: Ints) -> Ints:
    """(S, 2 + 2 x orders): length, that of the closest reference, matches and n-grams by order."""
    lengths = np.sort(np.stack([one.lengths for one in references]), axis=0)  # of two as close, the shorter
    closest = np.abs(lengths - hypotheses.lengths).argmin(axis=0)
    closest_length = np.take_along_axis(lengths, closest[None], axis=0)[0]
    ngrams = [hypotheses.ngrams(n + 1) for n in range(matches.shape[1])]
    return np.column_stack([hypotheses.lengths, closest_length, matches, *ngrams])


def _symbols(ranks: Ints, lengths: list[int]) -> Symbols:
    counts = np.array(lengths, dtype=np.int64)
    return Symbols(ranks, np.repeat(np.arange(len(counts)), counts), counts)


def _without_space(texts: Sequence[str]) -> list[str]:
    return ["".join(text.split()) for text in texts]


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _ranks_in(known: Ints, numbers: Ints) -> Ints:
    """Their places in `known`, from 1; 0 where it lacks them. `known` may begin with the 0 of what is unknown."""
    place = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return np.where((known[place] == numbers) & (numbers > 0), place + 1, 0)


def _bits(count: int) -> int:
    return max(count + 1, 1).bit_length()
