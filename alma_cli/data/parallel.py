"""Stage parallel: corpora of sentence pairs -> examples of the recipe's directions, in three splits.

A training or validation pair becomes an example in every direction of the recipe between its two languages. So does
a test pair, unless it is directed: test.de-en.json was written in German, and serves de-en only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alma_cli.core.dataset import Example, split_path, write_examples
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import LoadedRecipe, Split
from alma_cli.data.blocks import Job, directions_of
from alma_cli.data.held_out_sets import HeldOutSets
from alma_cli.data.histogram import histogram
from alma_cli.data.hold_out import held_out_indices
from alma_cli.data.selection import Clean, CleanedCorpus, Selection

SPLITS: tuple[Split, ...] = ("test", "valid", "train")

# Test sets are read first, for what they have must not be trained on.
ORDER: tuple[Split, ...] = ("test", "valid", "train")


@dataclass
class PreparedPairs:
    """What became of the pairs; `counts` by split as the manifest has them."""

    corpora: list[CleanedCorpus]
    counts: dict[str, dict[str, Any]]


def prepare_pairs(
    loaded: LoadedRecipe,
    splits: Sequence[Split],
    job_of: Callable[[int, HeldOutSets], Job],
    held_out: HeldOutSets,
    directory: Path,
    clean: Clean,
) -> PreparedPairs:
    """Clean and select the pairs of the corpora, whose splits are given, and write each split.

    `job_of` gives a corpus's job beside the text that training data must have nothing in common with, which is why the
    training data comes last.
    """
    settings, seed = loaded.recipe.data.parallel, loaded.recipe.seed
    corpora = [CleanedCorpus() for _ in splits]
    selections: dict[Split, Selection] = {}
    for split in ORDER:
        members = [index for index, one in enumerate(splits) if one == split]
        jobs = [job_of(index, held_out) for index in members]
        cleaned = clean(jobs, [None] * len(jobs))
        for index, corpus in zip(members, cleaned, strict=True):
            corpora[index] = corpus
        selections[split] = selection = Selection(cleaned)
        if split != "test":
            selection.drop_duplicates()
        if split != "train" and loaded.recipe.data.decontamination.enabled:
            held_out.add(split, selection.pairs())
    train = selections["train"]
    train.drop_near_duplicates(settings.filters)
    train.drop_beyond_caps(settings.filters)
    if "valid" not in splits:
        selections["valid"] = _held_out(train, settings.held_out_pairs, seed, held_out)
    counts: dict[str, dict[str, Any]] = {}
    for split in reversed(ORDER):
        counted = _Counted(selections[split], split, loaded.recipe.direction_pairs)
        write_examples(split_path(directory, "parallel", split), counted.examples(), loaded.recipe.data.shard_bytes)
        counts[split] = counted.counts()
    return PreparedPairs(corpora, counts)


def _held_out(train: Selection, most: int, seed: int, held_out: HeldOutSets) -> Selection:
    """Some training pairs as validation data; training pairs that overlap with these are left out."""
    rows = np.flatnonzero(train.kept)
    chosen = rows[sorted(held_out_indices(len(rows), most, seed))]
    if not len(chosen):
        return Selection([])
    train.drop("held_out", chosen)
    valid = Selection(train.corpora)
    valid.kept[:] = False
    valid.kept[chosen] = True
    held_out.add("valid", valid.pairs())
    train.drop("in_test_or_valid", held_out.overlapping(train))
    return valid


class _Counted:
    """The examples of one split, counted as they are written."""

    def __init__(self, selection: Selection, split: Split, directions: Sequence[Direction]) -> None:
        self.selection = selection
        self.split = split
        self.directions = directions
        self.found: dict[Direction, _Counts] = {}
        rows = selection.rows
        self.tokens = rows.numbers("source_tokens"), rows.numbers("target_tokens")

    def examples(self) -> Iterator[Example]:
        """The examples of the kept pairs, in the order of the corpora."""
        source_tokens, target_tokens = self.tokens
        known: dict[tuple[Direction, bool], list[tuple[Direction, _Counts]]] = {}
        for row, pair in self.selection.rows.records(self.selection.kept):
            kind = (pair.direction, pair.directed)
            if (ways := known.get(kind)) is None:
                found = directions_of(pair, self.split, self.directions)
                ways = known[kind] = [(way, self.found.setdefault(way, _Counts())) for way in found]
            of_source, of_target = int(source_tokens[row]), int(target_tokens[row])
            for way, counts in ways:
                forward = way.source == pair.direction.source
                counts.examples += 1
                counts.source_tokens += of_source if forward else of_target
                counts.target_tokens += of_target if forward else of_source
                yield Example(way, *((pair.source, pair.target) if forward else (pair.target, pair.source)))

    def counts(self) -> dict[str, Any]:
        """What the manifest says of the split."""
        by_direction = {
            str(way): {"examples": one.examples, "tokens": {"source": one.source_tokens, "target": one.target_tokens}}
            for way, one in sorted(self.found.items())
        }
        kept, rows = self.selection.kept, self.selection.rows
        return {
            "examples": sum(one.examples for one in self.found.values()),
            "tokens": {
                "source": sum(one.source_tokens for one in self.found.values()),
                "target": sum(one.target_tokens for one in self.found.values()),
            },
            "directions": by_direction,
            "histograms": {
                name: histogram(rows.numbers(name)[kept])
                for name in ("source_tokens", "target_tokens", "source_characters", "target_characters")
            },
        }


@dataclass
class _Counts:
    examples: int = 0
    source_tokens: int = 0
    target_tokens: int = 0
