"""A few prepared records with the fate of each of their tokens, chosen to be looked at: the same ones every time."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from alma_cli.core.dataset import Document, Example
from alma_cli.core.examples import TextFormat
from alma_cli.core.fates import RecordFates, TokenFate, document_fates, example_fates
from alma_cli.core.recipe import MonoStage, ParallelStage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Item = TypeVar("Item")

SHOWN_VERSION = 1

# Where a document's tokens fall in the blocks is known from all the text before it, so it is one of the first.
_DOCUMENTS_LOOKED_AT, _CHARACTERS_LOOKED_AT = 200, 2**20


@dataclass(frozen=True)
class ShownRecord:
    """One record of a split: which, and what becomes of its tokens."""

    name: str  # its direction or language
    row: int  # in the split, from 1
    tokens: tuple[TokenFate, ...]
    dropped: str = ""  # why training leaves it out whole


def shown_examples(
    examples: Iterable[Example],
    count: int,
    tokenizer: PreTrainedTokenizerBase,
    text_format: TextFormat,
    settings: ParallelStage,
    *,
    seed: int,
) -> list[ShownRecord]:
    """So many examples of a split, in turn from each direction; from two on, the last is the longest of all.

    The longest is the one that the limits on length would drop.
    """
    longest: tuple[int, int, Example] | None = None
    drawn: dict[str, list[tuple[int, int, Example]]] = {}
    for row, example in enumerate(examples, 1):
        # Of each direction those with the smallest hashes: a fair draw in one pass.
        heap, entry = drawn.setdefault(str(example.direction), []), (-_draw(seed, row), row, example)
        heapq.heappush(heap, entry)
        if len(heap) > count:
            heapq.heappop(heap)
        length = len(example.source) + len(example.target)
        if longest is None or length > longest[0]:
            longest = length, row, example
    turns = _in_turn([sorted(heap, reverse=True) for _, heap in sorted(drawn.items())])
    chosen = [(row, example) for _, row, example in turns]
    if count > 1 and longest is not None:
        _, row, example = longest
        chosen = [*[one for one in chosen if one[0] != row][: count - 1], (row, example)]
    return [
        _shown(str(example.direction), row, example_fates(example, tokenizer, text_format, settings))
        for row, example in chosen[:count]
    ]


def shown_documents(
    documents: Iterable[Document],
    count: int,
    tokenizer: PreTrainedTokenizerBase,
    text_format: TextFormat,
    settings: MonoStage,
    *,
    seed: int,
) -> list[ShownRecord]:
    """So many documents of a split's beginning, in turn from each language.

    Where the split is short enough to be read whole, the last is its last document, of which a part may be cut.
    """
    first: list[Document] = []
    characters, complete = 0, True
    for document in documents:
        if len(first) == _DOCUMENTS_LOOKED_AT or characters > _CHARACTERS_LOOKED_AT:
            complete = False
            break
        first.append(document)
        characters += len(document.text)
    rows: dict[str, list[int]] = {}
    for row in sorted(range(len(first)), key=lambda row: _draw(seed, row + 1)):
        rows.setdefault(first[row].language, []).append(row)
    chosen = _in_turn([of_language for _, of_language in sorted(rows.items())])
    if complete and count > 1 and first:
        end = len(first) - 1
        chosen = [*[row for row in chosen if row != end][: count - 1], end]
    fates = document_fates(first, tokenizer, text_format, settings, complete=complete)
    return [_shown(first[row].language, row + 1, fates[row]) for row in chosen[:count]]


def shown_as_json(records: Sequence[ShownRecord]) -> dict[str, Any]:
    """The records in a form for programs."""
    return {"version": SHOWN_VERSION, "records": [asdict(record) for record in records]}


def _shown(name: str, row: int, fates: RecordFates) -> ShownRecord:
    return ShownRecord(name, row, fates.tokens, fates.dropped)


def _draw(seed: int, row: int) -> int:
    return int.from_bytes(hashlib.blake2b(b"%d/%d" % (seed, row), digest_size=8).digest(), "big")


def _in_turn(groups: Sequence[Sequence[Item]]) -> list[Item]:
    """The first of each group, then the second of each, and so on."""
    longest = max(map(len, groups), default=0)
    return [group[index] for index in range(longest) for group in groups if index < len(group)]
