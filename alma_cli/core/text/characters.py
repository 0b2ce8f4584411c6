"""A block of texts as one array of code points, so that what is asked of each character is asked of all at once.

N = texts in the block, C = characters in all of them
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

LETTER, MARK, DIGIT, PUNCTUATION, SYMBOL, SPACE, CONTROL, UNASSIGNED = range(8)
_KIND_OF_CATEGORY = {
    "L": LETTER, "M": MARK, "N": DIGIT, "P": PUNCTUATION, "S": SYMBOL, "Z": SPACE, "C": CONTROL,
}  # fmt: skip
_CODE_POINTS = sys.maxunicode + 1
# Planes 4 to 13 have no character in any version of Unicode; 15 and 16 are for private use, but for two at each end.
_EMPTY_PLANES = range(0x40000, 0xE0000)
_PRIVATE_PLANES = range(0xF0000, _CODE_POINTS)
_FEW = 256  # characters for each one that is wanted: so few of them are looked for one by one
_PIECE = 1 << 16  # characters that are looked up at a time, so that they stay in the cache


@dataclass(frozen=True)
class Characters:
    """The texts' characters; those of text n are `codes[starts[n]:starts[n + 1]]`."""

    codes: npt.NDArray[np.uint32]  # (C,)
    starts: npt.NDArray[np.int64]  # (N + 1,)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Characters:
        """Surrogates, which no encoding has, are taken as they are."""
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        starts = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)), out=starts[1:])
        return cls(codes, starts)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Characters of each text, (N,)."""
        return np.diff(self.starts)

    @cached_property
    def kinds(self) -> npt.NDArray[np.uint8]:
        """LETTER, DIGIT and so on for each character, (C,)."""
        return self.look_up(_kinds())

    def look_up(self, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """What a table with an entry for every code point has for each character, (C,)."""
        found = np.empty(len(self.codes), dtype=table.dtype)
        for start in range(0, len(found), _PIECE):
            piece = slice(start, start + _PIECE)
            np.take(table, self.codes[piece], out=found[piece], mode="clip")
        return found

    def count(self, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """How many of each text's characters are wanted; `wanted` is (C,), the counts are (N,)."""
        total = np.count_nonzero(wanted)
        if total * _FEW <= len(wanted):
            places = np.flatnonzero(wanted) if total else np.zeros(0, dtype=np.int64)
            return np.diff(np.searchsorted(places, self.starts))
        sums = np.zeros(len(wanted) + 1, dtype=np.int32 if len(wanted) < 1 << 31 else np.int64)
        np.cumsum(wanted, dtype=sums.dtype, out=sums[1:])
        return np.diff(sums[self.starts]).astype(np.int64)

    @cached_property
    def folded(self) -> Characters:
        """The texts as they are compared: without case, width, accents' encoding, punctuation; words one space apart.

        Character by character, so that it goes by table: where folding makes several of one, the first of them
        stands for all.
        """
        table = _folded_codes()
        pieces, left_out = [], [np.zeros(0, dtype=np.int64)]
        for start in range(0, len(self.codes), _PIECE):
            codes = np.take(table, self.codes[start : start + _PIECE], mode="clip")
            kept = codes != 0
            pieces.append(codes[kept])
            left_out.append(np.flatnonzero(~kept) + start)
        codes = np.concatenate(pieces) if pieces else self.codes[:0]
        starts = self.starts - np.searchsorted(np.concatenate(left_out), self.starts)
        extra = _extra_spaces(codes == ord(" "), starts)
        return Characters(codes[~extra], starts - np.searchsorted(np.flatnonzero(extra), starts))

    def text(self, index: int) -> str:
        """One of the texts."""
        return self.codes[self.starts[index] : self.starts[index + 1]].tobytes().decode("utf-32-le", "surrogatepass")


def _extra_spaces(space: npt.NDArray[np.bool_], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Of the characters that are spaces, those that do not stand alone between two others of the same text."""
    extra = np.zeros_like(space)
    np.logical_and(space[1:], space[:-1], out=extra[1:])
    for edge, step, end in ((starts[:-1], 1, starts[1:]), (starts[1:] - 1, -1, starts[:-1] - 1)):
        there = edge != end
        while there.any():
            edge, end = edge[there], end[there]
            there = space[edge]
            extra[edge[there]] = True
            edge = edge + step
            there &= edge != end
    return extra


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    table = np.full(_CODE_POINTS, UNASSIGNED, dtype=np.uint8)
    of_category = {category: _KIND_OF_CATEGORY[category[0]] for category in _CATEGORIES} | {"Cn": UNASSIGNED}
    for codes in (range(_EMPTY_PLANES.start), range(_EMPTY_PLANES.stop, _PRIVATE_PLANES.start)):
        kinds = (of_category[category] for category in map(unicodedata.category, map(chr, codes)))
        table[codes.start : codes.stop] = np.fromiter(kinds, dtype=np.uint8, count=len(codes))
    table[_PRIVATE_PLANES.start :] = CONTROL
    table[_PRIVATE_PLANES.start :][[0xFFFE, 0xFFFF, 0x1FFFE, 0x1FFFF]] = UNASSIGNED
    table[[*b"\t\n\v\f\r", 0x85]] = SPACE
    return table


_CATEGORIES = (
    *("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"),
    *("Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co"),
)


@cache
def _folded_codes() -> npt.NDArray[np.uint32]:
    """What each code point is compared as; 0 where it is not compared at all."""
    table = np.arange(_CODE_POINTS, dtype=np.uint32)
    kinds = _kinds()
    known = np.flatnonzero((kinds != UNASSIGNED) & (kinds != CONTROL) & (kinds != SPACE)).tolist()
    # One string for all: line breaks keep the characters apart, and nothing folds to one.
    folded = unicodedata.normalize("NFKC", "\n".join(map(chr, known))).casefold().split("\n")
    not_compared = (PUNCTUATION, MARK, SPACE)
    for code, text in zip(known, folded, strict=True):
        if len(text) != 1 or ord(text) != code or kinds[code] in not_compared:
            table[code] = next((ord(char) for char in text if kinds[ord(char)] not in not_compared), 0)
    table[kinds == SPACE] = ord(" ")
    table[(kinds == PUNCTUATION) | (kinds == CONTROL)] = 0
    return table
