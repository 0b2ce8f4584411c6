"""What texts have in common, all with all at once: n-grams counted once a text, matches by matrix products.

K = texts, L = n-grams that more than one of them has
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_LARGEST_EXACT = 1 << 24  # integers up to here are exact in fp32
_MOST_CELLS = 1 << 26  # of the matrix of texts and n-grams: 256 MiB


def characters_of(text: str) -> NDArray[np.int64]:
    """A text's code points."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)


def words_of(texts: Sequence[Sequence[str]]) -> list[NDArray[np.int64]]:
    """Texts of words as texts of numbers; equal words have equal numbers."""
    numbers: dict[str, int] = {}
    return [np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.int64) for words in texts]


def count_ngrams(texts: Sequence[NDArray[np.int64]], orders: int) -> tuple[Counts, Counts]:
    """How many n-grams each text has (orders, K), and how many each has in common with each other (orders, K, K).

    An n-gram that one text has twice and another three times is two n-grams in common: what BLEU and chrF call matches.
    """
    owners = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    units = _numbered(np.concatenate([np.zeros(0, np.int64), *texts]))
    distinct = int(units.max(initial=0)) + 1
    totals = np.zeros((orders, len(texts)), np.int64)
    matches = np.zeros((orders, len(texts), len(texts)), np.int64)
    ngrams = units
    for order in range(orders):
        count = max(0, len(owners) - order)
        whole = owners[:count] == owners[order : order + count]  # not reaching into the next text
        if order:  # an n-gram is one of a unit less, and a unit
            longer = ngrams[:count] * distinct + units[order : order + count]
            ngrams = np.full(count, -1)
            ngrams[whole] = _numbered(longer[whole])
        totals[order], matches[order] = _counted(owners[:count][whole], ngrams[whole], len(texts))
    return totals, matches


def _counted(owners: Counts, ngrams: Counts, texts: int) -> tuple[Counts, Counts]:
    totals = np.bincount(owners, minlength=texts)
    width = int(ngrams.max(initial=0)) + 1
    cells, counts = np.unique(owners * width + ngrams, return_counts=True)
    rows, columns = cells // width, cells % width
    shared = np.bincount(columns, minlength=width)[columns] > 1
    matches = _in_common(rows[shared], _numbered(columns[shared]), counts[shared], texts)
    np.fill_diagonal(matches, totals)
    return totals, matches


def _in_common(rows: Counts, columns: Counts, counts: Counts, texts: int) -> Counts:
    """Sums of the smaller counts: over t = 1, 2, ... the number of n-grams that both have at least t times."""
    matches = np.zeros((texts, texts), np.int64)
    step = min(_LARGEST_EXACT, max(1, _MOST_CELLS // max(texts, 1)))
    while len(rows):
        width = int(columns.max()) + 1
        for start in range(0, width, step):
            here = (columns >= start) & (columns < start + step)
            has = np.zeros((texts, min(step, width - start)), np.float32)
            has[rows[here], columns[here] - start] = 1
            matches += (has @ has.T).astype(np.int64)
        more = counts > 1
        rows, columns, counts = rows[more], columns[more], counts[more] - 1
        columns = _numbered(columns)
    return matches


def _numbered(values: Counts) -> Counts:
    """The values as 0, 1, ... in their order, so that they stay small."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)
