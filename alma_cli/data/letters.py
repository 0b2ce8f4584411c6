"""Texts as they are compared with held-out ones: nothing but letters and digits in words, any run of which has a hash.

N = texts, C = characters, L = letters and digits, W = words of all texts
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alma_cli.core.text.characters import Characters

WORD = 2
"""What a word counts; a character of a script without spaces between words counts 1, half a word."""

_SPACE, _IGNORED, _PUNCTUATION, _UNKNOWN = range(4)
_UNSPACED, _SEVERAL = 1 << 24, 1 << 25  # marks on a letter's value
# Thai to Tibetan, Myanmar, Khmer, Kana, Han.
_UNSPACED_RANGES = (
    (0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
# Part of the word that they stand in: "don't" is one word, with an apostrophe or without.
_APOSTROPHES = "'`\u00b4\u02bc\u2018\u2019"

# Of the polynomial that hashes letters, modulo 2^64: odd, so that it has an inverse; otherwise arbitrary.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_STEP_BITS = 12
_STEP = 1 << _STEP_BITS


@dataclass(frozen=True)
class Letters:
    """The texts' letters without what may differ in a copy: case, accents, width, punctuation, symbols, white space."""

    starts: npt.NDArray[np.int64]  # (N + 1,) of each text the first letter, and L
    words: npt.NDArray[np.int64]  # (W + 1,) of each word the first letter, and L
    first_words: npt.NDArray[np.int64]  # (N + 1,) of each text the first word, and W
    weights: npt.NDArray[np.int64]  # (W + 1,) what all words before it count
    _sums: npt.NDArray[np.uint64]  # (L + 1,) of the polynomial's terms before each letter
    _values: npt.NDArray[np.uint32]  # the characters that the letters are among
    _places: npt.NDArray[np.int64]  # (L,) where each letter is among them

    @classmethod
    def of(cls, texts: Characters) -> Letters:
        """The letters of the texts as they are, not folded."""
        values, starts = _values(texts)
        places = np.flatnonzero(values > _UNKNOWN)
        letters = values[places]
        first_letters = np.searchsorted(places, starts)
        begins = np.ones(len(letters), dtype=bool)
        np.greater(places[1:] - places[:-1], 1, out=begins[1:])
        begins[first_letters[first_letters < len(letters)]] = True
        unspaced = letters >= _UNSPACED
        if unspaced.any():
            begins |= unspaced
            begins[1:] |= unspaced[:-1]
        words = np.flatnonzero(begins)
        counts = WORD - unspaced[words].astype(np.int64)
        sums = np.zeros(len(letters) + 1, dtype=np.uint64)
        np.cumsum(letters * _powers(_BASE, len(letters)), out=sums[1:])
        return cls(
            first_letters,
            np.append(words, len(letters)),
            np.searchsorted(words, first_letters),
            np.concatenate(([0], np.cumsum(counts))),
            sums,
            values,
            places,
        )

    @cached_property
    def text_of_word(self) -> npt.NDArray[np.int64]:
        """The number of the text that a word is in, (W,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.first_words))

    @cached_property
    def text_weights(self) -> npt.NDArray[np.int64]:
        """What the words of each text count, (N,)."""
        return np.diff(self.weights[self.first_words])

    @cached_property
    def _sums_at_words(self) -> npt.NDArray[np.uint64]:
        return self._sums[self.words]

    @cached_property
    def _inverses_at_words(self) -> npt.NDArray[np.uint64]:
        steps = _powers(pow(_INVERSE, _STEP, 2**64), (len(self._sums) >> _STEP_BITS) + 1)
        within = _powers(_INVERSE, _STEP)
        inverses: npt.NDArray[np.uint64] = within[self.words & (_STEP - 1)] * steps[self.words >> _STEP_BITS]
        return inverses

    @cached_property
    def joined(self) -> npt.NDArray[np.bool_]:
        """Whether there is no white space before a word, only punctuation, which a copy may lack, (W,)."""
        spaces = np.cumsum(self._values == _SPACE)[self._places[self.words[:-1]]]
        full = np.diff(self.weights) == WORD
        joined = np.zeros(len(full), dtype=bool)
        joined[1:] = (np.diff(spaces) == 0) & full[1:] & full[:-1]
        joined[self.first_words[:-1][np.diff(self.first_words) > 0]] = False
        return joined

    def hashes(self, words: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """A key of the letters from the beginning of each word to before the letter `ends`, wherever they stand."""
        return mixed((self._sums[ends] - self._sums_at_words[words]) * self._inverses_at_words[words])

    def windows(self, weight: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where the words that begin at each word and just count `weight` have their first word and end, if they are
        there: numbers of words, the second one that of the word after them."""
        if self.weights[-1] == WORD * (len(self.words) - 1):
            ends = np.arange(len(self.words) - 1) + -(-weight // WORD)
        else:
            word_at = np.repeat(np.arange(1, len(self.words)), np.diff(self.weights))
            wanted = self.weights[:-1] + weight - 1
            ends = np.where(wanted < len(word_at), word_at[np.minimum(wanted, len(word_at) - 1)], len(self.words))
        begins = np.flatnonzero(ends <= self.first_words[1:][self.text_of_word])
        return begins, ends[begins]


def mixed(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Keys whose every bit depends on every bit of the given ones, one to one (the finisher of MurmurHash3)."""
    keys = keys ^ (keys >> np.uint64(33))
    keys *= np.uint64(0xFF51AFD7ED558CCD)
    keys ^= keys >> np.uint64(33)
    keys *= np.uint64(0xC4CEB9FE1A85EC53)
    keys ^= keys >> np.uint64(33)
    return keys


def _powers(base: int, count: int) -> npt.NDArray[np.uint64]:
    """1, base, base^2 and so on, modulo 2^64."""
    low = np.full(min(count, _STEP), base, dtype=np.uint64)
    low[:1] = 1
    low = np.multiply.accumulate(low)
    if count <= _STEP:
        return low
    high = _powers(pow(base, _STEP, 2**64), -(-count // _STEP))
    powers: npt.NDArray[np.uint64] = (high[:, None] * low).ravel()[:count]
    return powers


_value_of_code = np.full(0x110000, _UNKNOWN, dtype=np.uint32)


def _values(texts: Characters) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """What the characters are compared as, and where each text begins in that, (N + 1,)."""
    codes, starts = texts.codes, texts.starts
    values = _value_of_code[codes]
    unknown = values == _UNKNOWN
    if unknown.any():  # worked out when a character is first met, since few of all ever are
        for code in np.unique(codes[unknown]).tolist():
            _value_of_code[code] = _value(code)
        values = _value_of_code[codes]
    several = np.flatnonzero(values >= _SEVERAL)
    ignored = values == _IGNORED
    if not len(several) and not ignored.any():
        return values, starts
    if not len(several):
        places = np.flatnonzero(~ignored)
        return values[places], np.searchsorted(places, starts)
    distinct, which = np.unique(codes[several], return_inverse=True)
    parts = [_parts(code) for code in distinct.tolist()]
    lengths = np.array([len(part) for part in parts])[which]
    table = np.array([part + (0,) * (lengths.max() - len(part)) for part in parts], dtype=np.uint32)[which]
    counts = (~ignored).astype(np.int64)
    counts[several] = lengths
    places = np.concatenate(([0], np.cumsum(counts)))
    values = np.repeat(values, counts)
    for n in range(lengths.max()):
        longer = lengths > n
        values[places[several[longer]] + n] = table[longer, n]
    return values, places[starts]


def _value(code: int) -> int:
    """Of a letter or digit the code point without case, accent and width, with marks on it; else what it is."""
    char = chr(code)
    if parts := _parts(code):
        return parts[0] if len(parts) == 1 else parts[0] | _SEVERAL
    if char.isspace():
        return _SPACE
    # Accents, soft hyphens and other invisible characters do not end a word.
    return _IGNORED if _is_apostrophe(char) or unicodedata.category(char)[0] in "MC" else _PUNCTUATION


def _parts(code: int) -> tuple[int, ...]:
    """The letters and digits that a character is compared as: "ss" for a sharp s, whose capital is SS."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", chr(code)).casefold())
    return tuple(
        ord(part) | (_UNSPACED if any(first <= ord(part) <= last for first, last in _UNSPACED_RANGES) else 0)
        for part in folded
        if part not in _APOSTROPHES and _is_letter(part)
    )


def _is_apostrophe(char: str) -> bool:
    return char in _APOSTROPHES or unicodedata.normalize("NFKC", char) in _APOSTROPHES


def _is_letter(char: str) -> bool:
    # Vowel signs of Indic scripts are letters; what combines with a letter, or chooses its shape, is not.
    category = unicodedata.category(char)
    vowel_sign = category in ("Mn", "Mc") and unicodedata.combining(char) == 0
    return category[0] in "LN" or (vowel_sign and not unicodedata.name(char, "").startswith(("VARIATION", "COMBINING")))
