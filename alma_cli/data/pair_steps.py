"""Reasons that are found between the two sides of a pair: each step gives the pairs that it would leave out."""

from __future__ import annotations

from functools import partial

import numpy as np

from alma_cli.core.text.addresses import PARTS_OF_ADDRESSES, addresses_disagree
from alma_cli.core.text.copied import is_copied
from alma_cli.core.text.html import html_in
from alma_cli.core.text.lengths import latin_lengths
from alma_cli.core.text.numbers import TELLING_DIGITS, numbers_disagree
from alma_cli.data.boilerplate import (
    FOOTER_STARTS,
    LONGEST_LABEL,
    LONGEST_LINE,
    PARTS_OF_NOTICES,
    is_label,
    is_notice,
)
from alma_cli.data.text_steps import Column, Flags

Columns = tuple[Column, ...]

_ALWAYS_FINE = 15  # characters by which short sides may differ: a title has a long form, too


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
    lengths = [latin_lengths(side.characters) for side in sides]
    shorter, longer = np.minimum(*lengths), np.maximum(*lengths)
    return longer > most * shorter + _ALWAYS_FINE


def copied_source(sides: Columns, left: Flags) -> Flags:
    """The same words on both sides; names, numbers and commands may well be."""
    source, target = sides
    near = np.abs(source.letters - target.letters) <= 2
    near &= np.abs(source.digits - target.digits) <= 2
    near &= np.abs(source.visible - target.visible) <= 8

    def test(index: int) -> bool:
        return is_copied(source.texts[index], target.texts[index])

    return source.where(left & near, test)


def urls(sides: Columns, left: Flags) -> Flags:
    """Links or e-mail addresses of one side are not those of the other."""
    source, target = sides
    suspects = source.containing(*PARTS_OF_ADDRESSES) | target.containing(*PARTS_OF_ADDRESSES)
    return source.where(
        left & suspects,
        lambda index: addresses_disagree(source.texts[index], target.texts[index]),
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
    both = (source.digits >= TELLING_DIGITS) & (target.digits >= TELLING_DIGITS)
    return source.where(left & both, lambda index: numbers_disagree(source.texts[index], target.texts[index]))


def _may_be_notices(side: Column) -> Flags:
    starts = np.array([text.startswith(FOOTER_STARTS) for text in side.texts], dtype=bool)
    return (side.characters.lengths <= LONGEST_LINE) & (starts | side.containing(*PARTS_OF_NOTICES))


def _is_notice(side: Column, index: int) -> bool:
    return is_notice(side.texts[index])
