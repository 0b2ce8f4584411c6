"""64-bit keys and what they stand for, looked up by the million: nearly all that are asked for are not there.

M = keys in the table, Q = keys asked for
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alma_cli.data.letters import mixed

# Bits for each key: one in 16 of the keys that are not there passes one look, one in 250 both.
_BITS_PER_KEY = 16


@dataclass(frozen=True)
class KeyTable:
    """Distinct keys, each with a number; and a Bloom filter, which is small enough for the processor's cache."""

    keys: npt.NDArray[np.uint64]  # (M,) ascending
    numbers: npt.NDArray[np.int32]  # (M,)
    bits: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, keys: npt.NDArray[np.uint64], numbers: npt.NDArray[np.int32]) -> KeyTable:
        """A table of keys as they come out of a hash function; one that is given several times has its least number."""
        order = np.lexsort((numbers, keys))
        keys, numbers = keys[order], numbers[order]
        first = np.ones(len(keys), dtype=bool)
        first[1:] = keys[1:] != keys[:-1]
        keys, numbers = keys[first], numbers[first]
        size = 8
        while size * 8 < _BITS_PER_KEY * len(keys):
            size *= 2
        bits = np.zeros(size, dtype=np.uint8)
        for places in (_places(keys, size), _places(mixed(keys), size)):
            np.bitwise_or.at(bits, places >> np.uint64(3), _bit(places))
        return cls(keys, numbers, bits)

    def find(self, keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Which of the keys are in the table, as indices into them, and their numbers."""
        found = np.flatnonzero(self._may_have(keys))
        found = found[self._may_have(mixed(keys[found]))]
        places = np.searchsorted(self.keys, keys[found])
        there = places < len(self.keys)
        found, places = found[there], places[there]
        there = self.keys[places] == keys[found]
        return found[there], self.numbers[places[there]]

    def _may_have(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        places = _places(keys, len(self.bits))
        may_have: npt.NDArray[np.bool_] = (self.bits[places >> np.uint64(3)] & _bit(places)) != 0
        return may_have


def _places(keys: npt.NDArray[np.uint64], size: int) -> npt.NDArray[np.uint64]:
    """The bit of each key, by its highest bits; `size` bytes, a power of two."""
    return keys >> np.uint64(64 - (size * 8).bit_length() + 1)


def _bit(places: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    return np.left_shift(np.uint8(1), (places & np.uint64(7)).astype(np.uint8))
