"""Many records at once -> the same repaired, and for each that is left out the reason: steps in a fixed order.

Cheap steps come first, and each looks only at what the ones before it have left; `data/reasons.py` says what the
reasons mean. A test set is compared with published numbers, so it loses what is unreadable or empty and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic

import numpy as np

from alma_cli.core.dataset import Document
from alma_cli.core.prompt import one_line
from alma_cli.core.recipe import Filters, PairFilters, Split
from alma_cli.data import pair_steps, text_steps
from alma_cli.data.boilerplate import without_boilerplate
from alma_cli.data.language_step import sides_swapped, wrong_language
from alma_cli.data.records import Pair, Record, columns_of, languages_of, texts_of
from alma_cli.data.repair import repaired_sides, repaired_text
from alma_cli.data.text_steps import Column, Flags, TextStep

CountTokens = Callable[[list[str]], list[int]]
Step = Callable[[tuple[Column, ...], Flags], Flags]
"""Of the records that are left, those that a reason holds for; what it says of the others does not count."""


@dataclass(frozen=True)
class Cleaned(Generic[Record]):
    """Records in their order, each with the reason why it is left out."""

    records: list[Record]
    reasons: list[str | None]  # None: it stays
    repaired: int  # records that lost white space, line breaks or boilerplate, or that data/repair.py put right
    tokens: list[tuple[int, ...]] = field(default_factory=list)  # of each text that stays, where the recipe limits them


@dataclass(frozen=True)
class Cleaner:
    """What a recipe cleans in a split: `PairFilters` are for pairs, plain `Filters` for documents."""

    filters: Filters
    split: Split
    count_tokens: CountTokens | None = None

    def __call__(self, records: Sequence[Record]) -> Cleaned[Record]:
        """The records repaired, with their reasons; all of them are pairs, or all are documents."""
        if not records:
            return Cleaned([], [], 0)
        repaired = [self._repaired(record) for record in records]
        changes = sum(new is not old for new, old in zip(repaired, records, strict=True))
        reasons: list[str | None] = [None] * len(records)
        columns = _columns(repaired)
        left = np.ones(len(records), dtype=bool)
        for reason, step in self._steps():
            found = step(columns, left) & left
            for index in np.flatnonzero(found).tolist():
                reasons[index] = _what_emptied(records[index]) if reason == "empty" else reason
            left &= ~found
            if reason == "wrong_language" and len(columns) == 2:
                for index in np.flatnonzero(sides_swapped((columns[0], columns[1]), found)).tolist():
                    reasons[index] = "sides_swapped"
        return Cleaned(repaired, reasons, changes, self._limit_tokens(columns, reasons))

    def _repaired(self, record: Record) -> Record:
        if isinstance(record, Pair):
            source, target = record.source, record.target
            if self.split != "test" and self.filters.characters:
                source, target = repaired_sides(source, target)
            source, target = _one_line(source), _one_line(target)
            changed = source != record.source or target != record.target
            return replace(record, source=source, target=target) if changed else record
        text = record.text
        if self.split != "test" and self.filters.characters:
            text = repaired_text(text)
        if self.split != "test" and self.filters.boilerplate:
            text = without_boilerplate(text)
        text = text.strip()
        return replace(record, text=text) if text != record.text else record

    def _steps(self) -> Iterator[tuple[str, Step]]:
        filters = self.filters
        if self.split == "test" or not filters.characters:
            yield "invalid_utf8", _any_side(text_steps.unreadable)
            yield "empty", _any_side(text_steps.empty)
            if self.split == "test":
                return
            yield "control_characters", _any_side(text_steps.nul)
        else:
            yield "invalid_utf8", _any_side(text_steps.invalid_utf8)
            yield "empty", _any_side(text_steps.empty)
            yield "mojibake", _any_side(text_steps.mojibake)
            yield "control_characters", _any_side(text_steps.control_characters)
            yield "markup", pair_steps.markup if isinstance(filters, PairFilters) else _any_side(text_steps.markup)
        if filters.boilerplate and isinstance(filters, PairFilters):
            yield "boilerplate", pair_steps.boilerplate
        if filters.characters:
            yield "mostly_symbols", _any_side(text_steps.mostly_symbols)
        if filters.repetition:
            yield "repetition", _any_side(text_steps.repetition)
        if isinstance(filters, PairFilters):
            yield from _between_sides(filters)
        if filters.language:
            yield "wrong_language", _any_side(wrong_language)

    def _limit_tokens(self, columns: tuple[Column, ...], reasons: list[str | None]) -> list[tuple[int, ...]]:
        """Tokens of the texts that stay; those with too few or too many get their reason."""
        fewest, most = self.filters.min_tokens, self.filters.max_tokens
        if self.count_tokens is None or self.split == "test" or (fewest <= 1 and most is None):
            return []  # a text that is not empty has a token
        tokens: list[tuple[int, ...]] = [()] * len(reasons)
        left = [index for index, reason in enumerate(reasons) if reason is None]
        counts = zip(*(self.count_tokens([column.texts[index] for index in left]) for column in columns), strict=True)
        for index, of_record in zip(left, counts, strict=True):
            tokens[index] = of_record
            if min(of_record) < fewest:
                reasons[index] = "too_short"
            elif most is not None and max(of_record) > most:
                reasons[index] = "too_long"
        return tokens


def _one_line(text: str) -> str:
    # The same, but five times faster: what is printable has no white space but spaces.
    return text.strip(" ") if text.isprintable() else one_line(text)


def _columns(records: Sequence[Pair] | Sequence[Document]) -> tuple[Column, ...]:
    are_documents = isinstance(records[0], Document)
    languages = zip(*(languages_of(record) for record in records), strict=True)
    texts = columns_of(records)
    return tuple(Column(*column, are_documents) for column in zip(texts, languages, strict=True))


def _any_side(step: TextStep) -> Step:
    def on_columns(columns: tuple[Column, ...], left: Flags) -> Flags:
        found = step(columns[0], left)
        for column in columns[1:]:
            found = found | step(column, left & ~found)
        return found

    return on_columns


def _between_sides(filters: PairFilters) -> Iterator[tuple[str, Step]]:
    if filters.copied_source:
        yield "copied_source", pair_steps.copied_source
    if filters.max_length_ratio is not None:
        yield "length_ratio", partial(pair_steps.length_ratio, most=filters.max_length_ratio)
    if filters.urls:
        yield "urls", pair_steps.urls
    if filters.numbers:
        yield "numbers", pair_steps.numbers


def _what_emptied(record: Pair | Document) -> str:
    """A document of which nothing is left had text before its boilerplate was taken out."""
    return "boilerplate" if isinstance(record, Document) and any(map(str.strip, texts_of(record))) else "empty"
