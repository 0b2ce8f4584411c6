"""Stage parallel: corpora of sentence pairs -> examples of the recipe's directions, in three splits.

A training or validation pair becomes an example in every direction of the recipe between its two languages. So does
a test pair, unless it is directed: test.de-en.json was written in German, and serves de-en only.
"""

from __future__ import annotations

from collections.abc import Sequence

from alma_cli.core.dataset import Example, SourceReport
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import Recipe, Split
from alma_cli.data.filters import Duplicates, HeldOutText, Step, keep, unusable
from alma_cli.data.hold_out import drop_after_all, hold_out
from alma_cli.data.readers import Pair
from alma_cli.data.sources import Corpus


def prepare_pairs(
    corpora: Sequence[Corpus[Pair]], recipe: Recipe
) -> tuple[dict[Split, list[Example]], list[SourceReport]]:
    """The examples of each split in the order of the corpora, and what became of each corpus."""
    directions = recipe.direction_pairs
    accounts = [(corpus, corpus.report("parallel")) for corpus in corpora]

    def read(split: Split, *steps: Step[Pair]) -> list[tuple[SourceReport, Pair]]:
        def other_direction(pair: Pair) -> str | None:
            return None if _directions_of(pair, split, directions) else "other_direction"

        return [
            (report, pair)
            for corpus, report in accounts
            if corpus.split == split
            for pair in keep(corpus.read(), report, (other_direction, unusable, *steps))
        ]

    test = read("test")
    valid = read("valid", Duplicates())
    train = read("train", HeldOutText(pair for _, pair in test + valid), Duplicates())
    if not any(corpus.split == "valid" for corpus in corpora):
        train, valid = hold_out(train, recipe.data.parallel.held_out_pairs, recipe.seed)
        train = _without(train, HeldOutText(pair for _, pair in valid))
    entries: dict[Split, list[tuple[SourceReport, Pair]]] = {"train": train, "valid": valid, "test": test}
    examples = {
        split: [example for _, pair in kept for example in _examples(pair, split, directions)]
        for split, kept in entries.items()
    }
    return examples, [report for _, report in accounts]


def _directions_of(pair: Pair, split: Split, directions: Sequence[Direction]) -> list[Direction]:
    """The directions of the recipe that the pair is for."""
    ways = [pair.direction] if split == "test" and pair.directed else [pair.direction, pair.direction.reverse]
    return [direction for direction in ways if direction in directions]


def _examples(pair: Pair, split: Split, directions: Sequence[Direction]) -> list[Example]:
    texts = {pair.direction.source: pair.source, pair.direction.target: pair.target}
    return [Example(way, texts[way.source], texts[way.target]) for way in _directions_of(pair, split, directions)]


def _without(train: list[tuple[SourceReport, Pair]], held_out: HeldOutText) -> list[tuple[SourceReport, Pair]]:
    """The training pairs that share no side with a held-out one, now that it is known which these are."""
    kept = []
    for report, pair in train:
        reason = held_out(pair)
        if reason:
            drop_after_all(report, reason)
        else:
            kept.append((report, pair))
    return kept
