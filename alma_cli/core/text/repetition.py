"""Text that says the same over and over: a loop of words or characters, a paragraph pasted again and again.

n = words, or characters where words are not separated
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alma_cli.core.text.characters import LETTER, PUNCTUATION, SYMBOL, Characters

_LONGEST_RUN, _RUN_SHARE = 10, 0.2  # of one character in a row: `Neeeeeeeeein!` he wrote to his wife is no loop
_RUNS = re.compile(r"([^\s\d])\1{9,}")

_WORD = re.compile(r"\w+")
_TIMES = 4  # that a loop goes round at least
_LOOP_SHARE = 0.3  # of the text that it makes up at least
_LOOP_WORDS, _LOOP_CHARACTERS = 8, 20  # that it has at least: `Ha ha ha, ho ho ho!` is none
_LONGEST_PERIOD_WORDS, _LONGEST_PERIOD_CHARACTERS = 24, 40
# So many words, or characters, of a text are different ones; with fewer it is worth a look. Long texts have fewer.
_DIFFERENT_WORDS, _OF_MANY_WORDS, _DIFFERENT_CHARACTERS = 0.7, 0.6, 0.4
_MANY_WORDS = 60
_UNSPACED = 24  # characters a word

_MANY_LINES, _REPEATED_LINES = 5, 0.3  # as in the rules of Gopher's corpus (arXiv 2112.11446, table A1)
_WINDOW, _WINDOWS = 800, 6  # characters of a document that are searched for loops at a time, and how many such


def has_runs(characters: Characters) -> npt.NDArray[np.bool_]:
    """The texts in which so many characters follow their like that they may be a run for a good part, (N,)."""
    kinds, codes = characters.kinds, characters.codes
    same = np.zeros(len(codes), dtype=bool)
    np.equal(codes[1:], codes[:-1], out=same[1:])
    same &= (kinds == LETTER) | (kinds == PUNCTUATION) | (kinds == SYMBOL)
    enough = np.maximum(_LONGEST_RUN - 1, 0.9 * _RUN_SHARE * characters.lengths)
    return np.asarray(characters.count(same) >= enough)


def repeats_itself(text: str, *, has_runs: bool) -> bool:
    """Whether a sentence, or a window of a document, is a loop for a good part."""
    if has_runs and any(len(run[0]) >= _RUN_SHARE * len(text) for run in _RUNS.finditer(text)):
        return True
    words = text.split()
    if len(words) >= _LOOP_WORDS:
        different = _DIFFERENT_WORDS if len(words) < _MANY_WORDS else _OF_MANY_WORDS
        if len(set(words)) <= different * len(words):
            return _is_loop(_WORD.findall(text.casefold()), _LOOP_WORDS, _LONGEST_PERIOD_WORDS)
    elif len(text) >= _UNSPACED * max(1, len(words)) and len(set(text)) <= _DIFFERENT_CHARACTERS * len(text):
        return _is_loop(text, _LOOP_CHARACTERS, _LONGEST_PERIOD_CHARACTERS)
    return False


def document_repeats_itself(text: str, *, has_runs: bool) -> bool:
    """Whether a document has the same lines again and again, or loops in half of the places that are looked at."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) >= _MANY_LINES:
        counts = Counter(lines)
        if len(counts) < len(lines):
            again = sum(len(line) * (count - 1) for line, count in counts.items())
            if again > _REPEATED_LINES * len(text):
                return True
    if len(text) <= _WINDOW:
        windows = [text]
    else:
        count = min(_WINDOWS, 1 + len(text) // _WINDOW)
        starts = (k * (len(text) - _WINDOW) // (count - 1) for k in range(count))
        windows = [text[start : start + _WINDOW] for start in starts]
    loops, enough = 0, -(-len(windows) // 2)
    for seen, window in enumerate(windows, start=1):
        loops += repeats_itself(window, has_runs=has_runs)
        if loops >= enough or loops + len(windows) - seen < enough:  # it is decided
            break
    return loops >= enough


def _is_loop(items: Sequence[str], fewest: int, longest_period: int) -> bool:
    numbers: dict[str, int] = {}
    found = np.fromiter((numbers.setdefault(item, len(numbers)) for item in items), dtype=np.int32, count=len(items))
    enough = max(fewest, _LOOP_SHARE * len(items))
    for period in range(1, min(longest_period, len(items) // _TIMES) + 1):
        same = found[period:] == found[:-period]
        if np.count_nonzero(same) < (_TIMES - 1) * period:
            continue
        breaks = np.flatnonzero(np.concatenate(([True], ~same, [True])))
        longest = int(np.diff(breaks).max()) - 1
        if longest >= (_TIMES - 1) * period and longest + period >= enough:
            return True
    return False
