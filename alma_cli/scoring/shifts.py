"""The shifts that TER may try on a hypothesis, and the distance after each of them, of many at once.

Which shifts these are is the heuristic of Tercom (Snover et al. 2006) as sacreBLEU has it: a run of words that the
reference has, too, and that is wrong where it stands and missing there, goes to where the reference's run, or the rest
of it, is aligned. Each exchanges two neighbouring runs of words; the rows of distances before these stay as they are:

    a b [c d][e f g] h   ->   a b [e f g][c d] h

C = shifts, P = words of all hypotheses, L = limbs: how often 64 bits hold a reference's words
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alma_cli.scoring.word_alignment import Alignment, Reference

Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]
MOST_TRIED = 1000  # from so many shifts of a segment on, sacreBLEU gives up
_LONGEST = 10  # words that are shifted together
_FARTHEST = 50  # words from a run's place to that of the reference's
_LIMB = 64
_PLACE = 28  # bits of a place in a shift's number
_AT_ONCE = 8192  # shifts: what these need stays in the cache


def possible_shifts(words: Sequence[str], reference: Reference, aligned: Alignment, room: int) -> tuple[set[int], int]:
    """The shifts' numbers, and how many sacreBLEU would try: some of them twice. Beyond `room`, not all are there.

    Of two shifts that help as much, the one with the smaller number is taken.
    """
    found: set[int] = set()
    tried = 0
    boundaries, next_errors, next_theirs = aligned.boundaries, aligned.next_errors, aligned.next_reference_errors
    theirs = reference.words
    for start, word in enumerate(words):
        for place in reference.places.get(word, ()):
            aligned_with = boundaries[place + 1] - 1
            longest = min(_LONGEST, len(words) - start, len(theirs) - place)
            if aligned_with >= start:
                longest = min(longest, aligned_with - start)  # no shift into itself
            shortest = max(next_errors[start] - start, next_theirs[place] - place) + 1
            if shortest > longest or abs(place - start) > _FARTHEST:
                continue
            length = 1
            while length < longest and words[start + length] == theirs[place + length]:
                length += 1
            for size in range(shortest, length + 1):
                number = (_LONGEST - size) << 2 * _PLACE | start << _PLACE
                targets = set(boundaries[place : place + size + 1])
                tried += len(targets)
                found.update([number | target for target in targets])
        if tried >= room:
            break
    return found, tried


def shifted(words: Sequence[str], number: int) -> list[str]:
    """The words after a shift."""
    first, second, end = (int(place[0]) for place in _runs(np.array([number]), np.array([len(words)])))
    return [*words[:first], *words[second:end], *words[first:second], *words[end:]]


def distances_after_shifts(aligned: Sequence[Alignment], numbers: Ints, owners: Ints) -> Ints:
    """(C,) edits without a beam after each shift of the hypothesis that is number `owner` of the aligned ones."""
    distances = np.zeros_like(numbers)
    limbs = np.array([(len(one.boundaries) - 2) // _LIMB + 1 for one in aligned])
    for count in np.unique(limbs[owners]).tolist():
        table = _Table([one for one, needed in zip(aligned, limbs, strict=True) if needed == count], count)
        within = np.cumsum(limbs == count) - 1
        chosen = np.flatnonzero(limbs[owners] == count)
        for begin in range(0, len(chosen), _AT_ONCE):
            some = chosen[begin : begin + _AT_ONCE]
            distances[some] = table.distances(numbers[some], within[owners[some]])
    return distances


class _Table:
    """The rows of several alignments, one after the other, in limbs."""

    def __init__(self, aligned: Sequence[Alignment], limbs: int) -> None:
        rows = [one.rows for one in aligned]
        self._sizes = np.array([len(one.masks) for one in rows])
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._masks = _in_limbs([mask for one in rows for mask in one.masks], limbs)  # (L, P), as are these
        self._rises = _in_limbs([rise for one in rows for rise in one.rises[:-1]], limbs)
        self._falls = _in_limbs([fall for one in rows for fall in one.falls[:-1]], limbs)
        self._used = _in_limbs([(1 << (len(one.boundaries) - 1)) - 1 for one in aligned], limbs)  # (L, alignments)

    def distances(self, numbers: Ints, owners: Ints) -> Ints:
        """(C,) edits, without a beam."""
        sizes, starts = self._sizes[owners], self._starts[owners]
        first, second, end = _runs(numbers, sizes)
        order = np.argsort(first - sizes, kind="stable")  # the most rows first: those of others end before
        rows = (sizes - first)[order]
        before, after, here = (second - first)[order], (end - second)[order], (starts + first)[order]
        rises = [one[here] for one in self._rises]
        falls = [one[here] for one in self._falls]
        lasting = np.searchsorted(-rows, -np.arange(rows[0]), side="left")  # shifts with more rows than so many
        for row, count in enumerate(lasting.tolist()):
            moved = np.where(row < after[:count], before[:count], -after[:count])
            moved[row >= before[:count] + after[:count]] = 0
            places = here[:count] + moved + row
            _add_row([one[places] for one in self._masks], rises, falls, count)
        distances = np.empty_like(numbers)
        used = self._used[:, owners[order]]
        distances[order] = sizes[order] + sum(
            _bit_counts(rise & bits) - _bit_counts(fall & bits)
            for rise, fall, bits in zip(rises, falls, used, strict=True)
        )
        return distances


def _add_row(masks: Sequence[Bits], rises: Sequence[Bits], falls: Sequence[Bits], count: int) -> None:
    """One word of the first `count` hypotheses, limb by limb, with the carry from one to the next (Hyyrö 2003)."""
    more_before: Bits | np.uint64 = np.uint64(1)
    less_before: Bits | np.uint64 = np.uint64(0)
    for mask, rise, fall in zip(masks, (one[:count] for one in rises), (one[:count] for one in falls), strict=True):
        mask = mask | less_before
        stay = (((mask & rise) + rise) ^ rise) | mask | fall
        more, less = fall | ~(stay | rise), stay & rise
        more_out, less_out = more >> np.uint64(_LIMB - 1), less >> np.uint64(_LIMB - 1)
        more = more << np.uint64(1) | more_before
        less = less << np.uint64(1) | less_before
        rise[:] = less | ~(stay | more)
        fall[:] = more & stay
        more_before, less_before = more_out, less_out


def _runs(numbers: Ints, sizes: Ints) -> tuple[Ints, Ints, Ints]:
    """Where the two runs that are exchanged begin, and where the second ends."""
    place = (1 << _PLACE) - 1
    length, start, target = _LONGEST - (numbers >> 2 * _PLACE), (numbers >> _PLACE) & place, numbers & place
    # A target right behind the run, or within, stands for as many words further on; sacreBLEU's rule, too.
    behind = np.where(target > start + length, target, np.minimum(target + length, sizes))
    back = target < start
    return np.where(back, target, start), np.where(back, start, start + length), np.where(back, start + length, behind)


def _in_limbs(numbers: Sequence[int], limbs: int) -> Bits:
    """(limbs, numbers)"""
    width = limbs * _LIMB // 8
    joined = b"".join([number.to_bytes(width, "little") for number in numbers])
    return np.ascontiguousarray(np.frombuffer(joined, dtype="<u8").reshape(-1, limbs).T)


def _bit_counts(numbers: Bits) -> Ints:
    bits = np.unpackbits(numbers.view(np.uint8)).reshape(-1, _LIMB)
    counts: Ints = bits.sum(axis=1, dtype=np.int64)
    return counts
