"""Terms in running text: words that may have other endings, letter case that counts where the term has capitals.

A word fits a term's word if they are the same, or differ only in an ending: at most three letters, or two after a
stem of three. A vowel at the term's end may give way to an ending that begins with one, or to none:

    term       also fits                         does not fit
    Vertrag    Vertrags, Vertrages               Vertragspartner, Verträge
    party      parties                           partner, partition
    smlouva    smlouvy, smlouvami               smluv
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"\w+|[^\w\s]")
_VOWELS = frozenset("aáàâäåąeéèêëěęiíìîïoóòôöøuúùûüůyýÿаеёиоуыэюяіїєьй")  # noqa: RUF001 Cyrillic, too
_SHORTEST_STEM = 3
_LONGEST_ENDING = {_SHORTEST_STEM: 2}  # of a stem of so many letters; of a longer one:
_USUAL_ENDING = 3
# Written without spaces, and without endings: a term is looked for letter by letter.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word or a sign of a text, and where it stands."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Found:
    """A term in a text."""

    number: int  # of the term
    start: int
    end: int


def words_in(text: str) -> list[Word]:
    """Words and signs; characters of scripts that have no spaces between words are words of their own."""
    words = []
    for found in _TOKEN.finditer(text):
        start = found.start()
        if _UNSPACED.search(found[0]):
            pieces = re.findall(rf"{_UNSPACED.pattern}|[^{_UNSPACED.pattern[1:-1]}]+", found[0])
        else:
            pieces = [found[0]]
        for piece in pieces:
            words.append(Word(piece, start, start + len(piece)))
            start += len(piece)
    return words


class TermIndex:
    """Many terms, found in a text at once: the longest first, none within another."""

    def __init__(self, terms: Iterable[str]) -> None:
        self._terms = [tuple(word.text for word in words_in(term)) for term in terms]
        self._by_first: dict[str, list[int]] = {}
        for number, words in enumerate(self._terms):
            if words:
                for key in {words[0].casefold(), _stem(words[0].casefold())}:
                    self._by_first.setdefault(key, []).append(number)

    def find(self, text: str) -> list[Found]:
        """The terms in their order in the text."""
        words = words_in(text)
        found: list[Found] = []
        at = 0
        while at < len(words):
            best = self._longest_at(words, at)
            if best is None:
                at += 1
            else:
                length = len(self._terms[best])
                found.append(Found(best, words[at].start, words[at + length - 1].end))
                at += length
        return found

    def _longest_at(self, words: Sequence[Word], at: int) -> int | None:
        numbers = {number for key in _keys(words[at].text.casefold()) for number in self._by_first.get(key, ())}
        fitting = [number for number in numbers if self._fits(self._terms[number], words[at:])]
        # Of two as long as each other, the one that is exactly there; then the first of the glossary.
        return min(fitting, key=lambda number: (*self._rank(number, words[at:]), number), default=None)

    def _fits(self, term: tuple[str, ...], words: Sequence[Word]) -> bool:
        return len(words) >= len(term) and all(fits(word.text, part) for word, part in zip(words, term, strict=False))

    def _rank(self, number: int, words: Sequence[Word]) -> tuple[int, int]:
        term = self._terms[number]
        return -len(term), sum(word.text != part for word, part in zip(words, term, strict=False))


def contains(text: str, term: str) -> bool:
    """Whether the term is anywhere in the text."""
    return bool(TermIndex([term]).find(text))


def fits(word: str, part: str) -> bool:
    """Whether a text's word is a term's, in whatever form."""
    if part == part.lower():
        word = word.lower()
    elif not word.isupper() or len(word) < 2:
        pass
    else:
        word, part = word.lower(), part.lower()
    if word == part:
        return True
    if not part.isalpha() or not word.isalpha() or _UNSPACED.search(part):
        return False
    stem = part
    if not word.startswith(part):
        stem = _stem(part)
        if not word.startswith(stem) or word[len(stem) : len(stem) + 1] not in _VOWELS | {""}:
            return False
    if len(stem) < _SHORTEST_STEM:
        return False
    return len(word) - len(stem) <= _LONGEST_ENDING.get(len(stem), _USUAL_ENDING)


def _stem(part: str) -> str:
    """The word without a vowel at its end."""
    return part[:-1] if len(part) > _SHORTEST_STEM and part[-1].lower() in _VOWELS else part


def _keys(word: str) -> Iterator[str]:
    """All that a term's first word may be filed under if this word fits it."""
    yield word
    for length in range(max(_SHORTEST_STEM, len(word) - _USUAL_ENDING), len(word)):
        yield word[:length]
