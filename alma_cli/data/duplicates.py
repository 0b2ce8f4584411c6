"""Which rows repeat earlier ones, exactly or nearly, by their keys: in so much memory, however many rows there are.

    R = rows of all blocks in their order, K = bytes of a signature

Columns are functions that read the rows' keys from the start, one array a block. What does not fit into memory at once
is done in several passes, each over the keys of a part of their range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alma_cli.data.keys import SIGNATURE_BYTES
from alma_cli.data.letters import mixed

Rows = npt.NDArray[np.int64]
"""Row numbers, ascending."""
KeyColumn = Callable[[], Iterable[npt.NDArray[np.uint64]]]
SignatureColumn = Callable[[], Iterable[npt.NDArray[np.uint8]]]
Test = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]]
"""Which of some pairs of rows, (P, 2), (P,)."""

BUDGET = 256 * 2**20
"""Bytes to work with."""

# Of a key and its row, with what finding its equals takes.
_BYTES_PER_KEY = 40
# LSH: signatures are candidates if all bytes of a band agree, in at least one of the bands. A pair of similarity 0.8 is
# looked at with probability 0.9999, one of 0.5 with 0.55.
_BANDS, _BAND_BYTES = 25, 5
# Of the rows with one band in common, each is compared with so many of the first and so many just before it.
_NEIGHBOURS = 4
# Earlier rows remembered for a row that is like more of them.
_MOST_LIKE = 2
# Signatures in hand at a time: few enough for the processor's cache.
_AT_ONCE = 2**12
_PAIRS_AT_ONCE = 2**15
_ROUNDING = 1e-6


def beyond_the_cap(keys: KeyColumn, kept: npt.NDArray[np.bool_], most: int, *, budget: int = BUDGET) -> Rows:
    """The kept rows whose key `most` kept rows before them have already; `kept` is (R,)."""
    passes = max(1, -(-int(kept.sum()) * _BYTES_PER_KEY // budget))
    beyond = [np.zeros(0, dtype=np.int64)]
    for part in range(passes):
        found, rows = _keys_of_part(keys, kept, part, passes)
        again = _perhaps_repeated(found)
        found, rows = found[again], rows[again]
        order = np.argsort(found, kind="stable")
        rank = _places_in_runs(found[order])
        beyond.append(rows[order[rank >= most]])
    return np.sort(np.concatenate(beyond))


def near_duplicates(
    signatures: SignatureColumn, kept: npt.NDArray[np.bool_], similarity: float, *, budget: int = BUDGET
) -> tuple[Rows, Rows]:
    """The kept rows that are at least so similar to an earlier one that stays; and the number of that one for each.

    `similarity` is Jaccard's, of the sets behind the signatures, as far as these tell.
    """
    likenesses = _Likenesses(len(kept))
    sketches = _Sketches.of(signatures, len(kept), budget // 4)

    def worth_comparing(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return (likenesses.counts[pairs[:, 0]] < _MOST_LIKE) & sketches.may_be_alike(pairs, similarity)

    for pairs in _candidates(signatures, kept, worth_comparing, budget):
        likenesses.add(pairs[_estimates(signatures, pairs) >= similarity])
    return likenesses.settled()


def _keys_of_part(
    keys: KeyColumn, kept: npt.NDArray[np.bool_], part: int, parts: int
) -> tuple[npt.NDArray[np.uint64], Rows]:
    """The kept rows' keys that belong to a part of their range, and their rows."""
    found, rows, start = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], 0
    for block in keys():
        own = np.flatnonzero(kept[start : start + len(block)])
        if parts > 1:
            own = own[_part(block[own], parts) == part]
        found.append(block[own])
        rows.append(own + start)
        start += len(block)
    assert start == len(kept), f"{start=} {len(kept)=}"
    return np.concatenate(found), np.concatenate(rows)


def _part(keys: npt.NDArray[np.uint64], parts: int) -> npt.NDArray[np.uint64]:
    return (keys >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32)


def _perhaps_repeated(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where the keys are that occur more than once, ascending, and a few others: few have to be sorted then."""
    bits = (4 * len(keys)).bit_length()
    # Within a part of the range, keys have their highest bits in common.
    slots = (keys * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits) if bits else keys
    numbers = np.arange(len(keys), dtype=np.uint32)
    last = np.zeros(1 << bits, dtype=np.uint32)
    last[slots] = numbers
    shared = np.zeros(1 << bits, dtype=bool)
    shared[slots[last[slots] != numbers]] = True
    return np.flatnonzero(shared[slots])


def _places_in_runs(ordered: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """How many equal values are right before each one."""
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(first)
    return np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))


class _Likenesses:
    """Pairs of rows that are alike, (P, 2): a row and an earlier one."""

    def __init__(self, rows: int) -> None:
        self.counts = np.zeros(rows, dtype=np.uint8)  # (R,) earlier rows that each is like
        self._pairs = np.zeros((0, 2), dtype=np.int64)

    def add(self, pairs: npt.NDArray[np.int64]) -> None:
        """Take more pairs in; of each row the earliest few are remembered."""
        pairs = np.concatenate((self._pairs, pairs))
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        new = np.ones(len(pairs), dtype=bool)
        new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
        pairs = pairs[new]
        self._pairs = pairs[_places_in_runs(pairs[:, 0]) < _MOST_LIKE]
        self.counts = np.bincount(self._pairs[:, 0], minlength=len(self.counts)).astype(np.uint8)

    def settled(self) -> tuple[Rows, Rows]:
        """The rows to drop, and the row that stays for each: the earliest that it is like and that is not dropped."""
        dropped, used = bytearray(len(self.counts)), np.zeros(len(self._pairs), dtype=bool)
        for first in range(0, len(self._pairs), _AT_ONCE):
            for number, (row, earlier) in enumerate(self._pairs[first : first + _AT_ONCE].tolist(), first):
                if not dropped[row] and not dropped[earlier]:
                    dropped[row] = used[number] = True
        return self._pairs[used, 0], self._pairs[used, 1]


@dataclass(frozen=True)
class _Sketches:
    """A bit of each of a signature's bins, in so little memory that all rows' are at hand.

    Bins that differ in that bit differ. Text put together from the same sentences has bands in common far more often
    than it is alike; signatures are read from disk only for pairs that this leaves.
    """

    bits: npt.NDArray[np.uint64]  # (R, words of 64 bins)
    filled: npt.NDArray[np.uint16]  # (R,) bins that are not empty

    @classmethod
    def of(cls, signatures: SignatureColumn, rows: int, budget: int) -> _Sketches:
        """Sketches of as many bins as the budget, in bytes, has room for."""
        most = budget // (8 * max(1, rows))
        bits, filled, start = np.zeros((rows, 0), np.uint64), np.zeros(rows, np.uint16), 0
        for block in signatures():
            words = min(block.shape[1] // 64, most)
            if not bits.shape[1]:
                bits = np.zeros((rows, words), np.uint64)
            own = slice(start, start + len(block))
            bits[own] = np.packbits(block[:, : 64 * words] & 1, axis=1).view(np.uint64)
            filled[own] = np.count_nonzero(block, axis=1)
            start += len(block)
        return cls(bits, filled)

    def may_be_alike(self, pairs: npt.NDArray[np.int64], similarity: float) -> npt.NDArray[np.bool_]:
        """Whether the signatures of each pair may be so similar, (P,)."""
        found = np.zeros(len(pairs), dtype=bool)
        for first in range(0, len(pairs), _PAIRS_AT_ONCE):
            one, other = pairs[first : first + _PAIRS_AT_ONCE].T
            differing = np.bitwise_count(self.bits[one] ^ self.bits[other]).sum(axis=1, dtype=np.uint16)
            # Of the bins that are not empty in both, at least these differ.
            most = np.minimum(self.filled[one] + self.filled[other], SIGNATURE_BYTES)
            found[first : first + _PAIRS_AT_ONCE] = differing <= (1 - similarity) * most + _ROUNDING
        return found


def _candidates(
    signatures: SignatureColumn, kept: npt.NDArray[np.bool_], worth_comparing: Test, budget: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Pairs of kept rows with a band in common, the later one first, (P, 2): as many at a time as the budget allows."""
    count = int(kept.sum())
    at_once = min(_BANDS, max(1, budget // (3 * 8 * max(1, count))))
    parts = max(1, -(-count * _BYTES_PER_KEY // budget)) if at_once == 1 else 1
    # Of a pair two signatures are needed, and room to compare them.
    most = max(1, budget // 1024)
    for first in range(0, _BANDS, at_once):
        bands = range(first, min(first + at_once, _BANDS))
        for part in range(parts):
            keys, rows = _band_keys(signatures, kept, bands, part, parts)
            waiting: list[npt.NDArray[np.int64]] = []
            while keys:
                for pairs in _neighbours(np.concatenate(keys.pop()), rows, most):
                    waiting.append(pairs[worth_comparing(pairs)])
                    if sum(map(len, waiting)) >= most:
                        yield np.concatenate(waiting)
                        waiting = []
            if waiting:
                yield np.concatenate(waiting)


def _band_keys(
    signatures: SignatureColumn, kept: npt.NDArray[np.bool_], bands: Sequence[int], part: int, parts: int
) -> tuple[list[list[npt.NDArray[np.uint64]]], Rows]:
    """The keys of some bands, or of one band those in a part of their range; and the rows that have them."""
    assert parts == 1 or len(bands) == 1, f"{parts=} {bands=}"
    keys: list[list[npt.NDArray[np.uint64]]] = [[np.zeros(0, np.uint64)] for _ in bands]
    rows, start = [np.zeros(0, np.int64)], 0
    for block in signatures():
        own = np.flatnonzero(kept[start : start + len(block)])
        for first in range(0, len(own), _AT_ONCE):
            some = own[first : first + _AT_ONCE]
            filled = _filled(block[some])
            if not (told := filled[0] != 0).all():  # nothing to go by where all bins are empty
                some, filled = some[told], filled[:, told]
            found = [_band(filled, band) for band in bands]
            if parts > 1:
                here = _part(found[0], parts) == part
                some, found = some[here], [found[0][here]]
            rows.append(some + start)
            for its_keys, new in zip(keys, found, strict=True):
                its_keys.append(new)
        start += len(block)
    assert start == len(kept), f"{start=} {len(kept)=}"
    return keys, np.concatenate(rows)


def _filled(signatures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The signatures, (K, N), with each empty bin as the next one that is not (densification by rotation), so that a
    band says as much of a text of few grams as of one of many."""
    filled = np.ascontiguousarray(signatures.T)
    step = 1
    while step < len(filled):
        empty = (filled == 0).view(np.uint8)
        filled |= np.roll(filled, -step, axis=0) & np.negative(empty)  # -1 has all bits
        step *= 2
    return filled


def _band(filled: npt.NDArray[np.uint8], band: int) -> npt.NDArray[np.uint64]:
    """A key of one band's bins, which stand far apart, since neighbours may be copies of one."""
    keys = np.full(filled.shape[1], band, dtype=np.uint64)
    for row in filled[band : _BANDS * _BAND_BYTES : _BANDS]:
        keys = keys << np.uint64(8) | row
    return mixed(keys)


def _neighbours(keys: npt.NDArray[np.uint64], rows: Rows, most: int) -> Iterator[npt.NDArray[np.int64]]:
    """Pairs of rows that have the same key, the later one first, (P, 2)."""
    again = _perhaps_repeated(keys)
    again = again[np.argsort(keys[again], kind="stable")]
    rank, rows = _places_in_runs(keys[again]), rows[again]
    again = np.flatnonzero(rank > 0)
    for first in range(0, len(again), most):
        some = again[first : first + most]
        for n in range(2 * _NEIGHBOURS):
            # The n-th of the run, or counted from the row backwards what is not among these.
            other = some - rank[some] + n if n < _NEIGHBOURS else some - 1 - (n - _NEIGHBOURS)
            there = n < rank[some]
            yield np.stack((rows[some[there]], rows[other[there]]), axis=1)


def _estimates(signatures: SignatureColumn, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How similar the rows of each pair are, by their signatures, (P,)."""
    wanted = np.unique(pairs)
    found, start = [], 0
    for block in signatures() if len(wanted) else ():
        first, end = np.searchsorted(wanted, (start, start + len(block)))
        found.append(block[wanted[first:end] - start])
        start += len(block)
    similarities = np.zeros(len(pairs))
    if not found:
        return similarities
    table = np.concatenate(found)
    places = np.searchsorted(wanted, pairs)
    for first in range(0, len(pairs), _AT_ONCE):
        one, other = table[places[first : first + _AT_ONCE, 0]], table[places[first : first + _AT_ONCE, 1]]
        either = ((one | other) != 0).sum(axis=1)
        equal = ((one == other) & (one != 0)).sum(axis=1)
        similarities[first : first + _AT_ONCE] = equal / np.maximum(either, 1)
    return similarities
