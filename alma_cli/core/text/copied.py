"""Whether a translation is its source again: the same words, where they are more than names and terms."""

from __future__ import annotations

import re
import unicodedata

_FIRST = 24  # characters that are looked at before all are
_COPIED_WORDS, _COPIED_CAPITALS, _COPIED_HAN = 3, 4, 8
_HELD_CHARACTERS = 20
_PLAIN_WORD = re.compile(r"(?<![\w./\\@:=\-])[^\W\d_]{2,}(?![\w/\\@=\-])(?!\.\w)")


def is_copied(source: str, target: str, *, fewest_words: int = _COPIED_WORDS) -> bool:
    """The same letters and digits on both sides, in words that are not the same in every language."""
    here, there = _beginning(source), _beginning(target)
    if here and there and here != there:  # the same, sooner
        return False
    return _folded(source) == _folded(target) and _is_language(source, fewest_words)


def holds_copy(source: str, target: str) -> bool:
    """Whether the target has the whole source in it, in words that are not the same in every language."""
    folded = _folded(source)
    return len(folded) >= _HELD_CHARACTERS and folded in _folded(target) and _is_language(source, _COPIED_WORDS)


def _beginning(text: str) -> str:
    """As much of the folded text as its first characters tell for sure; empty where they do not tell enough."""
    folded = _folded(text[:_FIRST])
    return folded[: _FIRST // 3] if len(folded) >= _FIRST // 2 else ""


def _folded(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _is_language(text: str, fewest_words: int) -> bool:
    """Whether the text is more than names and terms, which are the same in many languages."""
    words = list(filter(str.isalpha, _PLAIN_WORD.findall(text)))
    if text.isupper():
        return len(words) >= _COPIED_CAPITALS
    if sum(word.islower() for word in words) >= fewest_words:
        return True
    return sum(not word.islower() and not word.isupper() and not word.istitle() for word in words) >= 1 and (
        sum(map(len, words)) >= _COPIED_HAN and not any(char.isascii() for word in words for char in word)
    )
