"""What each of sacreBLEU's metrics counts in a segment: sums of it can be scored, so resampling needs no texts.

S = segments, K = statistics of the metric
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from alma_cli.scoring.corpus_scores import Array, corpus_scores
from alma_cli.scoring.ngram_statistics import Characters, Matcher, Words, bleu_statistics, chrf_statistics
from alma_cli.scoring.ter_statistics import ter_statistics

# Hypotheses, one a segment -> (S, K)
Counter = Callable[[Sequence[str]], Array]


def bleu_counter(scorer: BLEU, references: Sequence[Sequence[str]]) -> Counter:
    """Lengths, n-gram matches and n-grams, of the tokens that the scorer makes."""

    if hasattr(scorer.tokenizer, "_post_tokenizer"):  # those of 13a and zh
        scorer.tokenizer._post_tokenizer = _FastRegexp(scorer.tokenizer._post_tokenizer._re)

    def tokens(texts: Sequence[str]) -> list[list[str]]:
        return [scorer._preprocess_segment(text).split() for text in texts]

    split = [tokens(one) for one in references]
    words = Words(split)
    symbols = [words.symbols(one) for one in split]
    matcher = Matcher(symbols, words.bits, scorer.max_ngram_order)

    def count(hypotheses: Sequence[str]) -> Array:
        mine = words.symbols(tokens(hypotheses))
        return bleu_statistics(mine, symbols, matcher.matches(mine))

    return count


class _FastRegexp:
    """sacreBLEU's rules, of which the first, single characters to set apart, is a table: three times as fast."""

    def __init__(self, rules: Sequence[tuple[re.Pattern[str], str]]) -> None:
        (apart, _), *self._others = rules
        self._spaced = {code: f" {chr(code)} " for code in range(128) if apart.fullmatch(chr(code))}

    def __call__(self, line: str) -> str:
        line = line.translate(self._spaced)
        for pattern, replacement in self._others:
            line = pattern.sub(replacement, line)
        return " ".join(line.split())


def chrf_counter(scorer: CHRF, references: Sequence[Sequence[str]]) -> Counter:
    """N-grams and matches of characters, and of words in chrF++, with the reference that gives the best score."""

    def tokens(texts: Sequence[str]) -> list[list[str]]:
        return [scorer._remove_punctuation(text) for text in texts]

    split = [tokens(one) for one in references] if scorer.word_order else []
    characters, words = Characters(references), Words(split)
    character_symbols, word_symbols = [characters.symbols(one) for one in references], [words.symbols(s) for s in split]
    by_character = [Matcher([one], characters.bits, scorer.char_order) for one in character_symbols]
    by_word = [Matcher([one], words.bits, scorer.word_order) for one in word_symbols]

    def count(hypotheses: Sequence[str]) -> Array:
        mine = characters.symbols(hypotheses)
        my_words = words.symbols(tokens(hypotheses)) if split else None
        found = []
        for n, symbols in enumerate(character_symbols):
            parts = [(mine, symbols, by_character[n].matches(mine))]
            if my_words is not None:
                parts.append((my_words, word_symbols[n], by_word[n].matches(my_words)))
            found.append(chrf_statistics(parts))
        return _best(found)

    return count


def ter_counter(scorer: TER, references: Sequence[Sequence[str]]) -> Counter:
    """Edits, shifts among them, to the closest reference; and the references' mean length in words."""

    def tokens(texts: Sequence[str]) -> list[list[str]]:
        return [scorer._preprocess_segment(text).split() for text in texts]

    split = [tokens(one) for one in references]
    return lambda hypotheses: ter_statistics(tokens(hypotheses), split)


def _best(statistics: Sequence[Array]) -> Array:
    """Of each segment the statistics with the highest chrF; of equal ones the first."""
    scores = np.stack([corpus_scores("chrf", one.astype(np.float64)) for one in statistics])
    best = scores.argmax(axis=0)
    chosen: Array = np.stack(statistics)[best, np.arange(len(best))]
    return chosen
