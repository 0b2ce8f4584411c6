"""Which texts of a block are in another language than they should be, and which pairs have their sides swapped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alma_cli.core.text.characters import Characters
from alma_cli.core.text.language import other_languages, other_languages_of_documents
from alma_cli.data.text_steps import Column, Flags


def wrong_language(column: Column, left: Flags) -> Flags:
    """Texts that are clearly not in their column's language."""
    return _others(column, column.languages, left)


def sides_swapped(sides: tuple[Column, Column], wrong: Flags) -> Flags:
    """Of the pairs with a wrong language those whose sides would be right in each other's place."""
    source, target = sides
    swapped = wrong & ~_others(source, target.languages, wrong)
    swapped &= ~_others(target, source.languages, swapped)
    # Names alone would be right anywhere.
    return swapped & _others(source, source.languages, swapped) & _others(target, target.languages, swapped)


def _others(column: Column, expected: Sequence[str], left: Flags) -> Flags:
    found = np.zeros(len(column.texts), dtype=bool)
    for language in sorted(set(expected)):
        own = [index for index in np.flatnonzero(left).tolist() if expected[index] == language]
        texts = [column.texts[index] for index in own]
        if column.are_documents:
            others = other_languages_of_documents(texts, language)
        else:
            characters = column.characters if len(own) == len(column.texts) else Characters.of(texts)
            others = other_languages(texts, characters, language)
        found[[own[index] for index in others]] = True
    return found
