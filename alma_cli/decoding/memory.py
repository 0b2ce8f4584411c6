"""A translation memory: for each source the pairs whose sources are most like it, fast in a hundred thousand pairs.

An inverted index over character n-grams, the rare ones weighing more, offers candidates; chrF decides among them.

P = pairs, B = buckets that n-grams are hashed into, E = entries: a bucket and a pair that has one of its n-grams
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alma_cli.core.languages import language
from alma_cli.core.prompt import TextPair
from alma_cli.decoding.ngrams import characters_of
from alma_cli.decoding.utility import chrf_of_all

_CANDIDATES = 64  # that chrF looks at, for each one that is wanted at least four
_GRAM = 4
# A character of these says as much as a syllable or a word.
_GRAM_OF_SCRIPT = {"Han": 2, "Japanese": 2, "Hangul": 2, "Thai": 3}
# An n-gram that more pairs have than this tells nothing, and costs most.
_LARGEST_SHARE = 0.05
_FEW_PAIRS = 1000  # of which every n-gram counts
_BUCKETS = 1 << 21
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio (Knuth, TAOCP 3, section 6.4)
_SHIFT = np.uint64(64 - 21)


class TranslationMemory:
    """Pairs in one direction, which can be asked for those like a source."""

    def __init__(self, pairs: Sequence[TextPair], source_language: str) -> None:
        self.pairs = tuple(dict.fromkeys(pairs))
        self._gram = _GRAM_OF_SCRIPT.get(language(source_language).script, _GRAM)
        self._exact: dict[str, list[int]] = {}
        for number, (source, _) in enumerate(self.pairs):
            self._exact.setdefault(source, []).append(number)
        texts = [_plain(source) for source, _ in self.pairs]
        buckets, owners = _buckets_of(texts, self._gram)
        entries = np.sort(buckets * max(1, len(texts)) + owners)
        entries = entries[np.diff(entries, prepend=-1) > 0]
        self._owners = (entries % max(1, len(texts))).astype(np.int32)  # (E,), by bucket
        counts = np.bincount(entries // max(1, len(texts)), minlength=_BUCKETS)
        self._starts = np.concatenate([[0], np.cumsum(counts)])  # (B + 1,)
        self._weights = np.log((len(texts) + 1) / np.maximum(counts, 1)).astype(np.float32)  # (B,)
        squares = np.bincount(self._owners, np.repeat(self._weights, counts), len(texts))
        self._norms = np.sqrt(np.maximum(squares, 1e-9))  # (P,)

    def nearest(self, source: str, count: int) -> list[TextPair]:
        """At most so many pairs, the most similar first: those with this very source, then by chrF, then as they came.

        Of pairs with the same source the first is taken, but for those of this very source, which all are.
        """
        if count < 1 or not self.pairs:
            return []
        chosen = self._exact.get(source, [])[:count]
        others = self._candidates(source, max(_CANDIDATES, 4 * count))
        if len(chosen) < count and others:
            likeness = chrf_of_all([source, *(self.pairs[number][0] for number in others)])[1:, 0].round(9)
            ranked = sorted(zip(-likeness, others, strict=True))
            seen = {source}
            for _, number in ranked:
                text = self.pairs[number][0]
                if len(chosen) < count and text not in seen:
                    chosen = [*chosen, number]
                    seen.add(text)
        return [self.pairs[number] for number in chosen]

    @property
    def fingerprint(self) -> str:
        """Tells two memories apart."""
        digest = hashlib.sha256()
        for source, target in self.pairs:
            digest.update(f"{source}\t{target}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:32]

    def _candidates(self, source: str, count: int) -> list[int]:
        """The pairs with most in common, weighed by how rare it is and by how much else they have."""
        buckets = np.unique(_buckets_of([_plain(source)], self._gram)[0])
        found = buckets[self._starts[buckets + 1] > self._starts[buckets]]
        sizes = self._starts[found + 1] - self._starts[found]
        most = _LARGEST_SHARE * len(self.pairs) if len(self.pairs) > _FEW_PAIRS else len(self.pairs)
        telling = found[sizes <= most] if (sizes <= most).any() else found
        if not len(telling):
            return []
        owners = np.concatenate([self._owners[self._starts[bucket] : self._starts[bucket + 1]] for bucket in telling])
        weights = np.repeat(self._weights[telling], self._starts[telling + 1] - self._starts[telling])
        scores = np.bincount(owners, weights, len(self.pairs)) / self._norms
        best = np.argpartition(-scores, count)[:count] if count < len(scores) else np.arange(len(scores))
        return sorted(int(number) for number in best if scores[number] > 0)


def _plain(text: str) -> str:
    return f" {' '.join(text.casefold().split())} "


def _buckets_of(texts: Sequence[str], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The buckets of all n-grams, and the index of the text of each. Two n-grams in one bucket do little harm."""
    owners = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    characters = characters_of("".join(texts)).astype(np.uint64)
    count = max(0, len(characters) - size + 1)
    hashes = np.zeros(count, np.uint64)
    for offset in range(size):
        hashes = (hashes ^ characters[offset : offset + count]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(32)
    whole = owners[:count] == owners[size - 1 : size - 1 + count]
    return ((hashes * _MULTIPLIER) >> _SHIFT).astype(np.int64)[whole], owners[:count][whole]
