"""Which of a sentence's candidates becomes its translation: minimum Bayes risk, quality estimation, terms kept.

candidates of each source --utilities--> one number each --choose--> the best; of equals, the model's first

Minimum Bayes risk (Kumar and Byrne 2004; Eikema and Aziz 2022) takes the candidate that is most like all of them: its
utility is its mean score with each candidate, itself among them, as the reference. A text that was drawn twice counts
twice. Quality estimation takes the candidate that a metric without references likes best (Fernandes et al. 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alma_cli.decoding.engine import Candidate
from alma_cli.decoding.utility import Matrix, bleu_of_all, chrf_of_all

# Sums of the same numbers in another order differ from the tenth digit on; those are equals.
_DIGITS = 9


@dataclass(frozen=True)
class Pool:
    """A source and its candidates, the best first by the model; at least one."""

    source: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Choice:
    """One pool's best candidate, and what the utility says of it and of the one that the model likes best."""

    candidate: Candidate
    position: int  # in the pool; 0: the model's own choice
    utility_before: float
    utility: float


Utilities = Callable[[Sequence[Pool]], list[NDArray[np.float64]]]
"""For each pool, one number for each of its candidates: the higher the better."""
Pairwise = Callable[[Sequence[str]], Matrix]
"""Of K texts, the score of each (the row) with each as its reference (the column), (K, K)."""


class Scorer(Protocol):
    """A learned metric; one number for each row, from whatever rows there are in whatever order."""

    def __call__(
        self, sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str] | None
    ) -> list[float]:
        """The rows' scores."""
        ...


def chrf_utilities() -> Utilities:
    """Minimum Bayes risk with sentence chrF2."""
    return _by_texts(chrf_of_all)


def bleu_utilities(target: str) -> Utilities:
    """Minimum Bayes risk with sentence BLEU, as it is tokenised in the target language."""
    return _by_texts(lambda texts: bleu_of_all(texts, target))


def learned_utilities(score: Scorer) -> Utilities:
    """Minimum Bayes risk with a metric that also sees the source, such as COMET; each different row is scored once."""

    def utilities(pools: Sequence[Pool]) -> list[NDArray[np.float64]]:
        texts = [list(dict.fromkeys(one.text for one in pool.candidates)) for pool in pools]
        rows = [
            (pool.source, hypothesis, reference)
            for pool, distinct in zip(pools, texts, strict=True)
            for hypothesis in distinct
            for reference in distinct
        ]
        found = iter(score([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]))
        matrices = [np.array([[next(found) for _ in distinct] for _ in distinct]) for distinct in texts]
        return [_expected(pool, matrix) for pool, matrix in zip(pools, matrices, strict=True)]

    return utilities


def quality_utilities(score: Scorer) -> Utilities:
    """What a metric without references, such as COMETKiwi, says of each candidate; equal rows are scored once."""

    def utilities(pools: Sequence[Pool]) -> list[NDArray[np.float64]]:
        rows = list(dict.fromkeys((pool.source, one.text) for pool in pools for one in pool.candidates))
        scores = score([source for source, _ in rows], [text for _, text in rows], None)
        by_row = dict(zip(rows, scores, strict=True))
        return [np.array([by_row[pool.source, one.text] for one in pool.candidates]) for pool in pools]

    return utilities


def choose(
    pools: Sequence[Pool], utilities: Utilities | None, terms_kept: Callable[[str, str], int] | None = None
) -> list[Choice]:
    """The best candidate of each pool, by the terms it keeps to and then by utility; of equals, the model's first.

    Without utilities they are all equal. `terms_kept` counts, for a source and a translation.
    """
    values = utilities(pools) if utilities else [np.zeros(len(pool.candidates)) for pool in pools]
    return [_best(pool, utility.round(_DIGITS), terms_kept) for pool, utility in zip(pools, values, strict=True)]


def _best(pool: Pool, utility: NDArray[np.float64], terms_kept: Callable[[str, str], int] | None) -> Choice:
    kept = [terms_kept(pool.source, one.text) if terms_kept else 0 for one in pool.candidates]
    position = max(range(len(kept)), key=lambda index: (kept[index], utility[index], -index))
    return Choice(pool.candidates[position], position, float(utility[0]), float(utility[position]))


def _by_texts(pairwise: Pairwise) -> Utilities:
    def utilities(pools: Sequence[Pool]) -> list[NDArray[np.float64]]:
        return [_expected(pool, pairwise(list(dict.fromkeys(one.text for one in pool.candidates)))) for pool in pools]

    return utilities


def _expected(pool: Pool, scores: Matrix) -> NDArray[np.float64]:
    """Each candidate's mean score; `scores` are those of the pool's different texts, in the order they come."""
    texts = [one.text for one in pool.candidates]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    places = np.array([numbers[text] for text in texts])
    weights = np.bincount(places) / len(texts)
    means: NDArray[np.float64] = (scores @ weights)[places]
    return means
