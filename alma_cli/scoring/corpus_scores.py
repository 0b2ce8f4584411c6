"""Scores of summed statistics, thousands of sums at once, in sacreBLEU's own arithmetic: the same to the last bit.

N = sums (of a resample, of a corpus, or of one segment), K = statistics of the metric. float32 stays so, because
sacreBLEU resamples in float32 and scores in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_ORDERS = 4  # of BLEU's n-grams
_BETA_SQUARED = 4  # chrF2: recall counts twice as much as precision
_LOG_OF_ZERO = -9999999999.0


def corpus_scores(metric: str, sums: Array) -> Array:
    """(N, K) -> (N,) scores; of a metric that is not sacreBLEU's, the means of (sum of scores, segments)."""
    return _SCORES.get(metric, _means)(sums)


def segment_scores(metric: str, statistics: Array) -> list[float]:
    """(segments, K) -> each segment's own score; a BLEU of one segment counts only the orders that it has."""
    scores = _bleu(statistics, of_segment=True) if metric in _BLEU else corpus_scores(metric, statistics)
    return [float(score) for score in scores]


def has_exact_sums(metric: str) -> bool:
    """Whether the statistics are counts, which any order of adding sums to the same."""
    return metric in _SCORES and metric != "ter"


def _bleu(sums: Array, *, of_segment: bool = False) -> Array:
    """Lengths of hypotheses and references, matches and n-grams of each order; smoothing `exp`, as by default."""
    matches, ngrams = sums[:, 2 : 2 + _ORDERS], sums[:, 2 + _ORDERS :]
    precisions = np.zeros_like(matches)
    smoothing = np.ones_like(sums[:, 0])
    present = np.ones(len(sums), dtype=bool)
    orders = np.full(len(sums), _ORDERS)
    for n in range(_ORDERS):
        present &= ngrams[:, n] > 0
        if of_segment:
            orders[present] = n + 1
        matched, missed = present & (matches[:, n] > 0), present & (matches[:, n] == 0)
        smoothing[missed] *= 2
        precisions[matched, n] = 100.0 * matches[matched, n] / ngrams[matched, n]
        precisions[missed, n] = 100.0 / (smoothing[missed] * ngrams[missed, n])
    # numpy's vectorised logarithm may differ from the C library's in the last bit: Python's is what sacreBLEU uses.
    some = np.asarray(matches.any(axis=1))
    rows = zip(precisions.tolist(), orders.tolist(), sums[:, :2].tolist(), some.tolist(), strict=True)
    return np.array(
        [_geometric_mean(row[:order], *lengths) if any_match else 0.0 for row, order, lengths, any_match in rows]
    )


def _geometric_mean(precisions: list[float], hypothesis_length: float, reference_length: float) -> float:
    brevity = 1.0
    if hypothesis_length < reference_length:
        brevity = math.exp(1 - reference_length / hypothesis_length) if hypothesis_length > 0 else 0.0
    logs = [math.log(precision) if precision else _LOG_OF_ZERO for precision in precisions]
    return brevity * math.exp(sum(logs) / len(logs))


def _chrf(sums: Array) -> Array:
    """Of each order the n-grams of the hypothesis, of the reference, and the matches."""
    hypotheses, references, matches = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    precision, recall, orders = np.zeros((3, len(sums)), dtype=sums.dtype)
    for n in range(hypotheses.shape[1]):
        counted = (hypotheses[:, n] > 0) & (references[:, n] > 0)
        precision[counted] += matches[counted, n] / hypotheses[counted, n]
        recall[counted] += matches[counted, n] / references[counted, n]
        orders[counted] += 1
    some = orders > 0
    precision[some] /= orders[some]
    recall[some] /= orders[some]
    scores = np.zeros_like(precision)
    good = precision + recall > 0
    score = (1 + _BETA_SQUARED) * precision[good] * recall[good]
    scores[good] = 100 * (score / ((_BETA_SQUARED * precision[good]) + recall[good]))
    return scores if good.all() else scores.astype(np.float64)  # a zero is a Python float there, and widens its array


def _ter(sums: Array) -> Array:
    """Edits, and words of the reference."""
    edits, words = sums[:, 0], sums[:, 1]
    scores = np.where(edits > 0, 100.0, 0.0).astype(sums.dtype)
    known = words > 0
    scores[known] = 100 * (edits[known] / words[known])
    return scores if known.all() else scores.astype(np.float64)


def _means(sums: Array) -> Array:
    means: Array = sums[:, 0] / sums[:, 1]
    return means


_BLEU = ("bleu", "spbleu")
_SCORES: dict[str, Callable[[Array], Array]] = {
    "bleu": _bleu,
    "spbleu": _bleu,
    "chrf": _chrf,
    "chrf++": _chrf,
    "ter": _ter,
}
