"""Why a record is left out: small steps that return a reason or None, and the one loop that counts them.

    invalid_utf8        bytes that are not UTF-8, or half a surrogate pair in a JSON string
    invalid_json        a line that is not JSON
    missing_field       JSON without the texts it should have, or with something else in their place
    wrong_columns       a TSV line that has not exactly two columns
    empty               a blank line, or nothing but white space on one side
    control_characters  a NUL character
    other_direction     languages, or in a test set a direction, that the recipe does not have
    duplicate           the very same pair or document was kept before in this split
    in_test_or_valid    a training pair that has a side in common with a test or validation pair (see HeldOutText)
    held_out            not lost: moved from train to valid, where the sources have no validation data of their own

Test sets are compared with published numbers, so they lose unreadable and empty pairs only, never duplicates.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import TypeVar

from alma_cli.core.dataset import Document, SourceReport
from alma_cli.core.languages import LANGUAGES
from alma_cli.core.prompt import one_line
from alma_cli.data.files import Unreadable
from alma_cli.data.readers import Pair

Record = TypeVar("Record", Pair, Document)
Step = Callable[[Record], str | None]
"""One reason to leave a record out: the reason's name, or None to keep it."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")
# A segment of fewer words is common property ("Yes."), no sign that a test sentence leaked into training.
_TELLING_WORDS = 4
_CHARACTERS_PER_WORD = 2
_UNSPACED_SCRIPTS = ("Han", "Japanese", "Thai")


def keep(rows: Iterable[Record | Unreadable], report: SourceReport, steps: Iterable[Step[Record]]) -> Iterator[Record]:
    """The records that pass every step, repaired; every one read is counted in the report."""
    steps = tuple(steps)
    for row in rows:
        report.read += 1
        if isinstance(row, Unreadable):
            report.drop(row.reason)
            continue
        record = repair(row)
        report.repaired += record != row
        reason = next(filter(None, (step(record) for step in steps)), None)
        if reason:
            report.drop(reason)
        else:
            report.kept += 1
            yield record


def repair(record: Record) -> Record:
    """The record without white space around its texts and, in a pair, with its line breaks as spaces."""
    if isinstance(record, Document):
        return replace(record, text=record.text.strip())
    return replace(record, source=one_line(record.source), target=one_line(record.target))


def unusable(record: Pair | Document) -> str | None:
    """The reason why no model can learn from the text."""
    for text in _texts(record):
        if not text:
            return "empty"
        if "\0" in text:
            return "control_characters"
        if _SURROGATE.search(text):
            return "invalid_utf8"
    return None


class Duplicates:
    """The step that drops what it let through before; a pair is the same whichever language is called its source."""

    def __init__(self) -> None:
        self._seen: set[tuple[tuple[str, str], ...]] = set()

    def __call__(self, record: Pair | Document) -> str | None:
        key = tuple(sorted(_segments(record)))
        if key in self._seen:
            return "duplicate"
        self._seen.add(key)
        return None


class HeldOutText:
    """The step that drops training pairs with a side in common with a test or validation pair.

    Compared without case, punctuation and width (NFKC); where a side has fewer than 4 words, only the whole pair
    counts. Where words are not separated by spaces, two characters pass for a word.
    """

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._pairs = {_normal_segments(pair) for pair in pairs}
        self._segments = {segment for pair in self._pairs for segment in pair if _is_telling(*segment)}

    def __call__(self, pair: Pair) -> str | None:
        keys = _normal_segments(pair)
        return "in_test_or_valid" if keys in self._pairs or not self._segments.isdisjoint(keys) else None


def normal_form(text: str) -> str:
    """The text as it is compared: NFKC, case folded, without punctuation, single spaces."""
    return " ".join(_punctuation().sub("", unicodedata.normalize("NFKC", text).casefold()).split())


def _texts(record: Pair | Document) -> tuple[str, ...]:
    return (record.text,) if isinstance(record, Document) else (record.source, record.target)


def _segments(record: Pair | Document) -> tuple[tuple[str, str], ...]:
    """Each text with its language."""
    if isinstance(record, Document):
        return ((record.language, record.text),)
    return ((record.direction.source, record.source), (record.direction.target, record.target))


def _normal_segments(pair: Pair) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((language, normal_form(text)) for language, text in _segments(pair)))


def _is_telling(language: str, text: str) -> bool:
    if LANGUAGES[language].script in _UNSPACED_SCRIPTS:
        return len(text) >= _TELLING_WORDS * _CHARACTERS_PER_WORD
    return len(text.split()) >= _TELLING_WORDS


@cache
def _punctuation() -> re.Pattern[str]:
    marks = (chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "P")
    return re.compile("[" + re.escape("".join(marks)) + "]+")
