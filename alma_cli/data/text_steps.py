"""Reasons that are found in a single text: each step gives those texts of a column that it would leave out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from alma_cli.core.text.characters import DIGIT, MARK, SPACE, Characters
from alma_cli.core.text.html import html_in
from alma_cli.core.text.repetition import document_repeats_itself, has_runs, repeats_itself
from alma_cli.data.mojibake import count_mojibake, suspicious_places

Flags = npt.NDArray[np.bool_]
"""One for each text of a column, (N,)."""
TextStep = Callable[["Column", Flags], Flags]
"""Of the texts that are left, those that a reason holds for; what it says of the others does not count."""

_BROKEN, _CONTROL = 1, 2
_FAULTS_PER_CHARACTER = 1 / 1000  # a long document is not given up for a few characters
_TRACES_PER_CHARACTER = 1 / 500
_TELLING_CHARACTERS = 12  # below, anything with a letter or a digit in it is a text
_FEWEST_TAGS, _CHARACTERS_PER_TAG = 3, 300
_LETTERS_AND_DIGITS, _LETTERS = 0.4, 0.2  # the least share of what is no space
_LETTERS_ARE_DUE = 40  # characters beyond which digits alone are a table


@dataclass(frozen=True)
class Column:
    """One side of all records of a block."""

    texts: Sequence[str]
    languages: Sequence[str]
    are_documents: bool = False
    characters: Characters = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "characters", Characters.of(self.texts))

    @cached_property
    def faults(self) -> npt.NDArray[np.uint8]:
        """Which characters are broken or controls, (C,)."""
        return self.characters.look_up(_fault_table())

    @cached_property
    def has_runs(self) -> Flags:
        """Whether many characters follow their like."""
        return has_runs(self.characters)

    @cached_property
    def letters(self) -> npt.NDArray[np.int64]:
        """How many letters each text has, with the marks on them."""
        return self.characters.count(self.characters.kinds <= MARK)

    @cached_property
    def digits(self) -> npt.NDArray[np.int64]:
        """How many digits each text has."""
        return self.characters.count(self.characters.kinds == DIGIT)

    @cached_property
    def visible(self) -> npt.NDArray[np.int64]:
        """How many characters of each text are no spaces."""
        return self.characters.lengths - self.characters.count(self.characters.kinds == SPACE)

    def with_any(self, wanted: Flags) -> Flags:
        """The texts with at least one of the wanted characters, which are (C,)."""
        return np.asarray(self.characters.count(wanted) > 0)

    def with_many(self, wanted: Flags) -> Flags:
        """The texts with so many of them that they are no accident in a long document."""
        many = np.maximum(1, _FAULTS_PER_CHARACTER * self.characters.lengths)
        return np.asarray(self.characters.count(wanted) > many)

    def containing(self, *parts: str) -> Flags:
        """The texts with one of these strings in them, and perhaps a neighbour of such a text."""
        found = np.zeros(len(self.texts), dtype=bool)
        joined, starts = "".join(self.texts), self.characters.starts
        for part in parts:
            place = joined.find(part)
            while place >= 0:
                index = int(np.searchsorted(starts, place, side="right")) - 1
                found[index : index + 2] = True
                place = joined.find(part, int(starts[index + 1]))
        return found

    def where(self, suspects: Flags, test: Callable[[int], bool]) -> Flags:
        """The suspects that the test, given their numbers, finds guilty."""
        found = np.zeros(len(self.texts), dtype=bool)
        for index in np.flatnonzero(suspects).tolist():
            found[index] = test(index)
        return found


def unreadable(column: Column, _left: Flags) -> Flags:
    """Half a surrogate pair, which no file can hold."""
    codes = column.characters.codes
    return column.with_any((codes >= 0xD800) & (codes <= 0xDFFF))


def invalid_utf8(column: Column, left: Flags) -> Flags:
    """What is left of bytes that were no text."""
    broken = column.faults == _BROKEN
    if column.are_documents:
        return unreadable(column, left) | column.with_many(broken)
    return column.with_any(broken)


def control_characters(column: Column, left: Flags) -> Flags:
    """Controls, or characters that only a private font knows."""
    controls = column.faults == _CONTROL
    if column.are_documents:
        return nul(column, left) | column.with_many(controls)
    return column.with_any(controls)


def nul(column: Column, _left: Flags) -> Flags:
    """The one control character that no tokenizer is sure to take."""
    return column.with_any(column.characters.codes == 0)


def empty(column: Column, _left: Flags) -> Flags:
    """Nothing."""
    return np.asarray(column.characters.lengths == 0)


def mojibake(column: Column, left: Flags) -> Flags:
    """The wrong encoding's traces; a document may have a few."""
    allowed = (_TRACES_PER_CHARACTER * column.are_documents * column.characters.lengths).astype(np.int64)
    suspects = suspicious_places(column.characters, column.languages) > allowed
    return column.where(
        left & suspects,
        lambda index: count_mojibake(column.texts[index], column.languages[index]) > allowed[index],
    )


def mostly_symbols(column: Column, _left: Flags) -> Flags:
    """Hardly anything to read."""
    said = column.letters + column.digits
    telling = column.visible >= _TELLING_CHARACTERS
    little = telling & (said < _LETTERS_AND_DIGITS * column.visible)
    figures = (column.visible > _LETTERS_ARE_DUE) & (column.letters < _LETTERS * column.visible)
    return np.asarray((said == 0) | little | figures)


def markup(column: Column, left: Flags) -> Flags:
    """Documents that are full of HTML."""

    def test(index: int) -> bool:
        text = column.texts[index]
        if text.count("<") + text.count("&") < _FEWEST_TAGS:
            return False
        return _CHARACTERS_PER_TAG * sum(html_in(text).values()) > len(text)

    return column.where(left, test)


def repetition(column: Column, left: Flags) -> Flags:
    """Loops."""
    repeats = document_repeats_itself if column.are_documents else repeats_itself
    runs = column.has_runs.tolist()
    return column.where(left, lambda index: repeats(column.texts[index], has_runs=runs[index]))


@cache
def _fault_table() -> npt.NDArray[np.uint8]:
    table = np.zeros(0x110000, dtype=np.uint8)
    table[0xD800:0xE000] = _BROKEN
    table[0xFFFD] = _BROKEN
    table[:0x20] = _CONTROL
    table[0x7F:0xA0] = _CONTROL
    table[0xE000:0xF900] = _CONTROL
    table[0xF0000:] = _CONTROL
    table[0xFFFE::0x10000] = _CONTROL
    table[0xFFFF::0x10000] = _CONTROL
    table[[*b"\t\n\v\f\r", 0x85]] = 0
    return table
