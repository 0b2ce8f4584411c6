"""Reasons that are found between the two sides of a pair: each step gives the pairs that it would leave out."""

from __future__ import annotations

import re
import unicodedata
from functools import partial

import numpy as np

from alma_cli.data.boilerplate import (
    FOOTER_STARTS,
    LONGEST_LABEL,
    LONGEST_LINE,
    PARTS_OF_NOTICES,
    is_label,
    is_notice,
)
from alma_cli.data.html import html_in
from alma_cli.data.language import script_letters
from alma_cli.data.text_steps import Column, Flags

Columns = tuple[Column, ...]

# A character of these scripts says as much as so many Latin ones, in the median of newstest and of UDHR.
_LATIN_CHARACTERS = {"Han": 3.4, "Kana": 1.8, "Hangul": 2.2}
_ALWAYS_FINE = 15  # characters by which short sides may differ: a title has a long form, too

_COPIED_WORDS, _COPIED_CAPITALS, _COPIED_HAN = 3, 4, 8
_PLAIN_WORD = re.compile(r"(?<![\w./\\@:=\-])[^\W\d_]{2,}(?![\w/\\@=\-])(?!\.\w)")

# The number of COVID-19 is its name.
_NUMBER = re.compile(r"(?<![A-Za-z]-)(?<!\d)\d+(?:[.,:]\d+|[ \u00a0\u202f'’]\d{3}(?!\d))*")
# Where numbers are converted or rounded, written in words or by another count of zeros, they differ in good pairs.
_CONVERTED = re.compile(
    r"\b(?:miles?|mph|feet|foot|ft|inch(?:es)?|yards?|pounds?|lbs?|ounces?|oz|gallons?|acres?|fahrenheit|degrees?|stone"
    r"|mi|sq|square|[ap]\.?\s?m|half|quarter|million\w*|billion\w*|trillion\w*|thousand\w*|hundred\w*|dozens?|mio|mrd|mld"
    r"|mil\.|bn|tis|tisíc\w*|mili[óo]n\w*|miliar\w*|tausend\w*|hundert\w*|milljón\w*|milljarð\w*|þúsund\w*|тыс|млн|млрд"
    r"|миллион\w*|миллиард\w*|тысяч\w*|[xiv]{2,})\b"
    r"|\d\s?(?:[ap]\.?m\b|ft\b|lbs?\b|k\b|m\b|[km]m\b|km/h|kg\b|cm\b|км|кг|[公英]?里|英尺|磅|[\"'′″”’])|°|[万萬億亿千百十兆点]"
    r"|\d0s\b|\d0er\b|\d\s?(?:bn|tn)\b|\bin\b\s?\.",
    re.IGNORECASE,
)
_TELLING_DIGITS = 2  # 5 may well be `fünf` and 9 the month of September

_PARTS_OF_ADDRESSES = ("://", "@", "www.", "WWW.")
_ADDRESS = re.compile(
    r"(?:https?://|ftp://|www\.)[^\s<>\"“”„«»「」（）()，。；、]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+",
    re.IGNORECASE,
)


def boilerplate(sides: Columns, left: Flags) -> Flags:
    """A notice or a footer on a side, or the label of a button on both."""
    source, target = sides
    labels = (source.characters.lengths <= LONGEST_LABEL) & (target.characters.lengths <= LONGEST_LABEL)
    found = source.where(left & labels, lambda index: is_label(source.texts[index]) and is_label(target.texts[index]))
    for side in sides:
        found |= side.where(left & ~found & _may_be_notices(side), partial(_is_notice, side))
    return found


def length_ratio(sides: Columns, _left: Flags, *, most: float) -> Flags:
    """One side is so many times longer than the other, by what its script says in a character."""
    lengths = [_as_latin(side) for side in sides]
    shorter, longer = np.minimum(*lengths), np.maximum(*lengths)
    return longer > most * shorter + _ALWAYS_FINE


def copied_source(sides: Columns, left: Flags) -> Flags:
    """The same words on both sides; names, numbers and commands may well be."""
    source, target = sides
    near = np.abs(source.letters - target.letters) <= 2
    near &= np.abs(source.digits - target.digits) <= 2
    near &= np.abs(source.visible - target.visible) <= 8

    def test(index: int) -> bool:
        text = source.texts[index]
        return _folded(text) == _folded(target.texts[index]) and _is_language(text)

    return source.where(left & near, test)


def urls(sides: Columns, left: Flags) -> Flags:
    """Links or e-mail addresses of one side are not those of the other."""
    source, target = sides
    suspects = source.containing(*_PARTS_OF_ADDRESSES) | target.containing(*_PARTS_OF_ADDRESSES)
    return source.where(
        left & suspects,
        lambda index: _addresses_disagree(_addresses(source.texts[index]), _addresses(target.texts[index])),
    )


def markup(sides: Columns, left: Flags) -> Flags:
    """HTML tags or entities of one side are not those of the other."""
    source, target = sides
    suspects = source.containing("<", "&") | target.containing("<", "&")
    return source.where(
        left & suspects,
        lambda index: html_in(source.texts[index]) != html_in(target.texts[index]),
    )


def numbers(sides: Columns, left: Flags) -> Flags:
    """A number of one side stands on the other with other digits.

    Order, separators and numbers in words are free: a number counts only against one of as many digits that is on the
    other side alone, and only where nothing was converted.
    """
    source, target = sides
    both = (source.digits >= _TELLING_DIGITS) & (target.digits >= _TELLING_DIGITS)
    return source.where(left & both, lambda index: _numbers_disagree(source.texts[index], target.texts[index]))


def _may_be_notices(side: Column) -> Flags:
    starts = np.array([text.startswith(FOOTER_STARTS) for text in side.texts], dtype=bool)
    return (side.characters.lengths <= LONGEST_LINE) & (starts | side.containing(*PARTS_OF_NOTICES))


def _is_notice(side: Column, index: int) -> bool:
    return is_notice(side.texts[index])


def _as_latin(side: Column) -> np.typing.NDArray[np.float64]:
    lengths = side.visible.astype(np.float64)
    scripts = script_letters(side.characters, tuple(_LATIN_CHARACTERS))
    for letters, worth in zip(scripts, _LATIN_CHARACTERS.values(), strict=True):
        lengths += (worth - 1) * letters
    return lengths


def _folded(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _is_language(text: str) -> bool:
    """Whether the text is more than names and terms, which are the same in many languages."""
    words = list(filter(str.isalpha, _PLAIN_WORD.findall(text)))
    if text.isupper():
        return len(words) >= _COPIED_CAPITALS
    if sum(word.islower() for word in words) >= _COPIED_WORDS:
        return True
    return sum(not word.islower() and not word.isupper() and not word.istitle() for word in words) >= 1 and (
        sum(map(len, words)) >= _COPIED_HAN and not any(char.isascii() for word in words for char in word)
    )


def _addresses_disagree(source: set[str], target: set[str]) -> bool:
    """A site that one side calls by its name and the other by its host is the same to the reader."""
    here, there = source - target, target - source
    return bool(here and there) or any("/" in address or "@" in address for address in here | there)


def _addresses(text: str) -> set[str]:
    found = (address.rstrip(".,;:!?'’)]}*_").casefold() for address in _ADDRESS.findall(text))
    return {re.sub(r"^(?:https?://)?(?:www\.)?", "", address).rstrip("/") for address in found}


def _numbers_disagree(source: str, target: str) -> bool:
    source, target = (unicodedata.normalize("NFKC", _without_addresses(text)) for text in (source, target))
    here, there = _numbers(source), _numbers(target)
    lengths = {len(number) for number in here - there if len(number) >= _TELLING_DIGITS}
    if not any(len(number) in lengths for number in there - here):
        return False
    return not _CONVERTED.search(source) and not _CONVERTED.search(target)


def _without_addresses(text: str) -> str:
    return _ADDRESS.sub(" ", text) if any(part in text for part in _PARTS_OF_ADDRESSES) else text


def _numbers(text: str) -> set[str]:
    found = (re.sub(r":00$|\D", "", number) for number in _NUMBER.findall(text))
    return {number.lstrip("0") for number in found}
