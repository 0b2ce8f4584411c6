"""The edit distance of a hypothesis to its reference as TER has it, and which words it aligns.

A row of the table of distances, one a word of the hypothesis, is two numbers of one bit a word of the reference:
whether the distance is one more, or one less, than a place to the left (Hyyrö 2003, "A bit-vector algorithm for
computing Levenshtein and Damerau edit distances"). A row costs a dozen operations, however long the reference.

sacreBLEU looks no further than a beam round the diagonal. Where a path of so few edits cannot leave the beam, both
tables have the same distance and the same paths to it; elsewhere the beam's own table is filled.

H = words of the hypothesis, R = words of the reference
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_BEAM = 25  # words to either side of the diagonal, in sacreBLEU
_FAR = 1 << 60


class Reference:
    """A segment's reference, with the places of each of its words."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.places: dict[str, list[int]] = {}
        self.masks: dict[str, int] = {}  # the same as bits
        for place, word in enumerate(words):
            self.places.setdefault(word, []).append(place)
            self.masks[word] = self.masks.get(word, 0) | 1 << place


@dataclass(frozen=True)
class Rows:
    """The table of distances without a beam; all numbers have one bit a word of the reference."""

    masks: list[int]  # (H,) where the reference has the word
    rises: list[int]  # (H + 1,) where the distance is one more than a place to the left; the first: before any word
    falls: list[int]  # (H + 1,) where it is one less
    stays: list[int]  # (H,) where it is that of the place to the left in the row above
    distance: int


@dataclass(frozen=True)
class Alignment:
    """The path that sacreBLEU finds; of those with as few edits, the one that prefers steps in a fixed order."""

    rows: Rows
    distance: int  # within the beam
    boundaries: list[int]  # (R + 1,) words of the hypothesis up to where so many words of the reference end
    next_errors: list[int]  # (H + 1,) the first word from here on that is not aligned with an equal one
    next_reference_errors: list[int]  # (R + 1,)


def align(words: Sequence[str], reference: Reference) -> Alignment:
    """The alignment of a hypothesis with a reference; either may be empty."""
    rows, places = _rows(words, reference), len(reference.words)
    longer = abs(len(words) - places)
    # A path of d edits is at most (d + longer) / 2 + 1 words from the diagonal, which is rounded down.
    if places < _BEAM or rows.distance + longer <= 2 * (_BEAM - 2):
        return _traced(rows, rows.distance, places, _steps_in_rows(rows))
    table = _beam_table(words, reference.words)
    return _traced(rows, table[-1][-1], places, _steps_in_table(table, words, reference.words))


def _rows(words: Sequence[str], reference: Reference) -> Rows:
    all_bits = (1 << len(reference.words)) - 1
    known = reference.masks.get
    masks = [known(word, 0) for word in words]
    rise, fall = all_bits, 0
    rises, falls, stays = [rise], [fall], []
    for mask in masks:
        stay = (((mask & rise) + rise) ^ rise) | mask | fall
        more = (fall | (all_bits & ~(stay | rise))) << 1 | 1  # than in the row above, a place further right
        rise, fall = ((stay & rise) << 1 | ~(stay | more)) & all_bits, more & stay & all_bits
        rises.append(rise)
        falls.append(fall)
        stays.append(stay)
    return Rows(masks, rises, falls, stays, len(masks) + rise.bit_count() - fall.bit_count())


def _beam_table(words: Sequence[str], reference: Sequence[str]) -> list[list[int]]:
    """(H + 1, R + 1) distances, far where the beam does not reach."""
    places = len(reference)
    ratio = places / len(words) if words else 1.0
    beam = math.ceil(ratio / 2 + _BEAM) if ratio / 2 > _BEAM else _BEAM
    table = [list(range(places + 1))]
    for row, word in enumerate(words, start=1):
        middle = math.floor(row * ratio)
        end = places + 1 if row == len(words) else min(places + 1, middle + beam)
        above, here = table[-1], [_FAR] * (places + 1)
        for place in range(max(0, middle - beam), end):
            if not place:
                here[0] = above[0] + 1
            else:
                both = above[place - 1] + (word != reference[place - 1])
                here[place] = min(both, above[place] + 1, here[place - 1] + 1)
        table.append(here)
    return table


# Words of both that are equal, or differ; a word of the hypothesis alone; one of the reference alone.
_EQUAL, _OTHER, _EXTRA, _MISSING = range(4)
_Steps = Callable[[int, int], int]  # row, place -> the last step to there; of equally good ones, the first as listed


def _steps_in_rows(rows: Rows) -> _Steps:
    def step(row: int, place: int) -> int:
        bit = 1 << (place - 1)
        if rows.masks[row - 1] & bit:
            return _EQUAL
        if not rows.stays[row - 1] & bit:
            return _OTHER
        return _EXTRA if rows.falls[row - 1] & bit else _MISSING

    return step


def _steps_in_table(table: list[list[int]], words: Sequence[str], reference: Sequence[str]) -> _Steps:
    def step(row: int, place: int) -> int:
        distance, equal = table[row][place], words[row - 1] == reference[place - 1]
        if distance == table[row - 1][place - 1] + (not equal):
            return _EQUAL if equal else _OTHER
        return _EXTRA if distance == table[row - 1][place] + 1 else _MISSING

    return step


def _traced(rows: Rows, distance: int, place: int, last_step: _Steps) -> Alignment:
    """The alignment by the steps from the end, which is in the last row at `place`, to the beginning."""
    row = len(rows.masks)
    next_errors, next_reference_errors = [row] * (row + 1), [place] * (place + 1)
    boundaries = [0] * (place + 1)
    while row or place:
        step = last_step(row, place) if row and place else _EXTRA if row else _MISSING
        if step != _EXTRA:
            boundaries[place] = row
            place -= 1
            next_reference_errors[place] = next_reference_errors[place + 1] if step == _EQUAL else place
        if step != _MISSING:
            row -= 1
            next_errors[row] = next_errors[row + 1] if step == _EQUAL else row
    return Alignment(rows, distance, boundaries, next_errors, next_reference_errors)
