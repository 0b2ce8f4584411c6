"""What tells which texts are the same, or nearly: 64-bit keys of the text and MinHash signatures of its characters.

N = texts, C = characters of all texts, K = bytes of a signature
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alma_cli.core.languages import Direction
from alma_cli.core.text.characters import Characters
from alma_cli.data.letters import mixed
from alma_cli.data.records import Pair

SIGNATURE_BYTES = 128
"""Bins that a text's 5-grams are dealt into; 0 stands for an empty one."""
GRAM = 5
"""Characters of a gram."""

# Texts of fewer characters, folded, are nearly equal only if they are equal.
_TOO_SHORT = 10
# Odd and otherwise arbitrary: the multipliers of hash functions modulo 2^64.
_A, _B, _C = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93
# Characters in hand at a time: few enough for the processor's cache.
_AT_ONCE = 2**14


@dataclass(frozen=True)
class PairKeys:
    """Keys of pairs and of their sides, (N,) each."""

    pair: npt.NDArray[np.uint64]  # with its languages, whichever of them is called the source
    source: npt.NDArray[np.uint64]  # as the source of a direction
    target: npt.NDArray[np.uint64]
    source_text: npt.NDArray[np.uint64]  # as text of its language
    target_text: npt.NDArray[np.uint64]


def exact_keys(*columns: Sequence[str]) -> npt.NDArray[np.uint64]:
    """A key of what stands in the columns side by side, (N,): the same for the same texts in the same columns only."""
    return _side_by_side(*map(_hashes, columns))


def pair_keys(pairs: Sequence[Pair]) -> PairKeys:
    """What tells which pairs are the same, and which have a side in common."""
    sources, targets = _hashes([pair.source for pair in pairs]), _hashes([pair.target for pair in pairs])
    directions = [pair.direction for pair in pairs]
    # Most often all pairs share one object, so that it is hashed once.
    distinct = {id(direction): direction for direction in directions}
    source_text, target_text, source, target = (
        _side_by_side(_labels(directions, {number: label(one) for number, one in distinct.items()}), texts)
        for label, texts in (
            (lambda one: one.source, sources),
            (lambda one: one.target, targets),
            (str, sources),
            (lambda one: str(one.reverse), targets),
        )
    )
    return PairKeys(either_way(source_text, target_text), source, target, source_text, target_text)


def either_way(one: npt.NDArray[np.uint64], other: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A key of two keys, whichever comes first, (N,)."""
    return mixed(np.minimum(one, other) * np.uint64(_A) + np.maximum(one, other))


def signatures(texts: Characters) -> npt.NDArray[np.uint8]:
    """One-permutation MinHash signatures of the folded texts' character 5-grams, (N, K).

    Each gram goes into one of K bins by its hash, and each bin keeps one byte of the least hash in it (Li, Owen, Zhang,
    "One Permutation Hashing", 2012). Of the bins that are not empty in both of two signatures, the share that agrees
    is an estimate of the Jaccard similarity of the two sets of grams, with a standard deviation of 0.02 around 0.8.
    Texts too short for that agree in every bin or in none; one with nothing left when folded has empty bins only.
    """
    folded = texts.folded
    least = np.full(len(folded.lengths) * SIGNATURE_BYTES, np.iinfo(np.uint32).max, dtype=np.uint32)
    bins = np.repeat(np.arange(len(folded.lengths)) * SIGNATURE_BYTES, folded.lengths)
    # A gram that begins in a text's last characters would end in the next text.
    ends = (folded.starts[1:, None] - np.arange(1, GRAM)).ravel()
    beyond = np.zeros(len(folded.codes), dtype=bool)
    beyond[ends[ends >= 0]] = True
    for start in range(0, len(folded.codes) - GRAM + 1, _AT_ONCE):
        hashes = _gram_hashes(folded.codes[start : start + _AT_ONCE + GRAM - 1])
        part = slice(start, start + len(hashes))
        values = (hashes >> np.uint64(16)).astype(np.uint32)
        values[beyond[part]] = np.iinfo(np.uint32).max
        np.minimum.at(least, bins[part] + (hashes >> np.uint64(57)).astype(np.int64), values)
    rows: npt.NDArray[np.uint8] = np.maximum(least * np.uint32(_A & 0xFFFFFFFF) >> np.uint32(24), 1).astype(np.uint8)
    rows[least == np.iinfo(np.uint32).max] = 0
    rows = rows.reshape(-1, SIGNATURE_BYTES)
    short = folded.lengths < _TOO_SHORT
    rows[short] = _signatures_of_whole_texts(folded, np.flatnonzero(short))
    return rows


def _side_by_side(*columns: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    keys = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        keys = mixed(keys * np.uint64(_A) + column)
    return keys


def _labels(directions: Sequence[Direction], label_of: Mapping[int, str]) -> npt.NDArray[np.uint64]:
    """A hash of each direction's label."""
    hash_of = dict(zip(label_of, _hashes(list(label_of.values())).tolist(), strict=True))
    return np.fromiter((hash_of[id(one)] for one in directions), dtype=np.uint64, count=len(directions))


def _hashes(column: Sequence[str]) -> npt.NDArray[np.uint64]:
    from xxhash import xxh3_64_intdigest

    keys = (xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) for text in column)
    return np.fromiter(keys, dtype=np.uint64, count=len(column))


def _gram_hashes(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """A hash of each character with the four after it."""
    single = codes.astype(np.uint64)
    double = single[:-1] * np.uint64(_A) + single[1:]
    four = double[:-2] * np.uint64(_B) + double[2:]
    return mixed(four[:-1] * np.uint64(_C) + single[4:])


def _signatures_of_whole_texts(texts: Characters, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    keys = np.zeros(len(rows), dtype=np.uint64)
    lengths = texts.lengths[rows]
    for n in range(lengths.max(initial=0)):
        longer = lengths > n
        keys[longer] = mixed(keys[longer] * np.uint64(_A) + texts.codes[texts.starts[rows[longer]] + n])
    each = mixed(keys[:, None] + np.arange(SIGNATURE_BYTES, dtype=np.uint64) * np.uint64(_B))
    filled: npt.NDArray[np.uint8] = np.maximum(each >> np.uint64(56), 1).astype(np.uint8)
    filled[lengths == 0] = 0
    return filled
