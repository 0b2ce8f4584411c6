"""Words of any language, counted: how long a segment is, and how rare its words are in a test set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

# Chinese, Japanese and Thai are written without spaces: there each character counts as a word.
_WORD = re.compile(
    r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]"
    r"|[^\W_\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]+"
)
_PARTS, _SHORT = 5, 10


def words(text: str) -> list[str]:
    """The words without case and punctuation."""
    return _WORD.findall(text.casefold())


def word_counts(texts: Sequence[str]) -> list[int]:
    """How many words each text has."""
    return [len(words(text)) for text in texts]


def rare_shares(references: Sequence[str]) -> list[int]:
    """For each reference the percentage of its words that occur only once in all of them."""
    split = [words(reference) for reference in references]
    counts = Counter(word for one in split for word in one)
    return [round(100 * sum(counts[word] == 1 for word in one) / len(one)) if one else 0 for one in split]


def length_bounds(lengths: Sequence[int]) -> list[int]:
    """Where each bucket of lengths begins: five of about as many segments, at multiples of five words."""
    return _bounds([length if length < _SHORT else 5 * round(length / 5) for length in _borders(lengths)])


def rare_bounds(shares: Sequence[int]) -> list[int]:
    """Where each bucket of percentages begins: five of about as many segments."""
    return _bounds(_borders(shares))


def _borders(values: Sequence[int]) -> list[int]:
    ordered = sorted(values)
    return [ordered[len(ordered) * part // _PARTS] for part in range(1, _PARTS)]


def _bounds(borders: Sequence[int]) -> list[int]:
    """From 0 on, each once: where many values are equal, there are fewer buckets."""
    return sorted({0, *borders})
