"""Where two texts that should have line beside line part company: a guess by their lengths and words.

i = line of the shorter text, e = lines of the longer one left out so far: line i stands beside line i + e
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alma_cli.scoring.words import words

_MOST_LEFT_OUT = 200  # lines; texts that differ by more are not the same text
_MOST_CELLS = 2_000_000
_CLEAR = 0.5  # by how much the lines fit better together, in whole pairs of lines


def parting_line(lines: Sequence[str], others: Sequence[str]) -> int | None:
    """The first line, from 1, after which the two fit better one or more lines apart.

    None where they fit as they stand, so that the shorter one just ends, or where nothing tells.
    """
    shorter, longer = sorted((lines, others), key=len)
    count, apart = len(shorter), len(longer) - len(shorter)
    if not 0 < apart <= _MOST_LEFT_OUT or count == 0 or count * (apart + 1) > _MOST_CELLS:
        return None
    likeness = _likeness(shorter, longer, apart)
    totals = np.zeros((count + 1, apart + 1))  # the best that lines 0 to i can do with e left out before them
    leaps = np.zeros((count + 1, apart + 1), dtype=bool)  # whether line i + e - 1 of the longer one is left out there
    leaps[0, 1:] = True
    for i in range(count + 1):
        if i:
            totals[i] = totals[i - 1] + likeness[i - 1]
        for e in range(1, apart + 1):
            if totals[i, e - 1] > totals[i, e]:
                totals[i, e], leaps[i, e] = totals[i, e - 1], True
    if totals[count, apart] < totals[count, 0] + _CLEAR:
        return None
    i, e, first = count, apart, count
    while e and i:
        if leaps[i, e]:
            e, first = e - 1, i
        else:
            i -= 1
    return (0 if e else first) + 1


def _likeness(shorter: Sequence[str], longer: Sequence[str], apart: int) -> npt.NDArray[np.float64]:
    """How well each line of the shorter text goes with each it may stand beside, from 0 to 1, (lines, apart + 1)."""
    ours, theirs = [_Line(text) for text in shorter], [_Line(text) for text in longer]
    return np.array([[one.likeness(theirs[i + e]) for e in range(apart + 1)] for i, one in enumerate(ours)])


class _Line:
    def __init__(self, text: str) -> None:
        self.words = set(words(text))
        self.length = sum(2 if unicodedata.east_asian_width(char) == "W" else 1 for char in text.strip())

    def likeness(self, other: _Line) -> float:
        """Half of it for like lengths, half for shared words; names and numbers are such in any two languages."""
        if not self.length or not other.length:
            return float(self.length == other.length)
        lengths = min(self.length, other.length) / max(self.length, other.length)
        shared = 2 * len(self.words & other.words) / max(1, len(self.words) + len(other.words))
        return (lengths + shared) / 2
