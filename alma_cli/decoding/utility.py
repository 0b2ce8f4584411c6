"""How good each of several translations is if any other were the right one: sentence chrF and BLEU, all with all.

The numbers are sacreBLEU's `sentence_score`; here every text's n-grams are counted once, not once a pair.

K = texts; an entry [i, j] has text i as the hypothesis and text j as the reference, from 0 to 100
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alma_cli.core.languages import language
from alma_cli.decoding.ngrams import characters_of, count_ngrams, words_of
from alma_cli.errors import MachineError

Matrix = NDArray[np.float64]

_CHRF_ORDERS, _CHRF_BETA = 6, 2
_BLEU_ORDERS = 4


def chrf_of_all(texts: Sequence[str]) -> Matrix:
    """Sentence chrF2 (character n-grams up to 6, white space left out), (K, K)."""
    totals, matches = count_ngrams([characters_of("".join(text.split())) for text in texts], _CHRF_ORDERS)
    both = (totals[:, :, None] > 0) & (totals[:, None, :] > 0)
    precision = _mean_of_orders(matches / np.maximum(totals[:, :, None], 1), both)
    recall = _mean_of_orders(matches / np.maximum(totals[:, None, :], 1), both)
    weight = _CHRF_BETA**2
    below = weight * precision + recall
    return 100 * (1 + weight) * precision * recall / np.where(below > 0, below, 1)


def bleu_of_all(texts: Sequence[str], target: str) -> Matrix:
    """Sentence BLEU (effective order, exponential smoothing, the target language's tokeniser), (K, K).

    Raises MachineError where a Japanese or Korean target lacks its tokeniser's package.
    """
    tokenize = _tokenizer(target)
    words = words_of([tokenize(text.rstrip()).split() for text in texts])
    totals, matches = count_ngrams(words, _BLEU_ORDERS)
    # Without a match of one order its precision is 1/2 a match, without one of the next 1/4, and so on.
    missing = np.cumsum(matches == 0, axis=0)
    smoothed = np.where(matches > 0, matches, 0.5**missing)
    exists = totals[:, :, None] > 0
    logarithms = np.where(exists, np.log(100 * smoothed / np.maximum(totals[:, :, None], 1)), 0)
    orders = np.maximum(exists.sum(axis=0), 1)
    lengths = totals[0].astype(np.float64)
    ratio = lengths[None, :] / np.maximum(lengths[:, None], 1)  # reference to hypothesis
    scores = np.exp(np.minimum(0, 1 - ratio)) * np.exp(logarithms.sum(axis=0) / orders)
    result: Matrix = np.where(matches.any(axis=0), scores, 0)
    return result


def _mean_of_orders(values: Matrix, counted: NDArray[np.bool_]) -> Matrix:
    """Over the orders of which both texts have n-grams."""
    mean: Matrix = np.where(counted, values, 0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    return mean


def _tokenizer(target: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    name = language(target).sacrebleu_tokenizer
    try:
        return BLEU(tokenize=name, effective_order=True).tokenizer
    except (RuntimeError, ImportError):
        hint = f'pip install "sacrebleu[{target}]", or use chrf'
        raise MachineError(f"BLEU in '{target}' needs the tokeniser {name}", hint=hint) from None
