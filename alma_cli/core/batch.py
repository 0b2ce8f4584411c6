"""Tokenised examples to the tensors of a micro-batch; every shape that the model sees is stated here.

    B = examples in the batch, T = tokens in the longest one, N = rows the model computes, L = labels

A decoder's state at a token depends on the tokens before it only. Examples that begin alike, such as all prompts of one
direction, share the states of that beginning, so `flattened` has one row for each different beginning:

    example 0   Translate ... German :  Die  Ware  ...      rows 0 1 2 3 | 4 5 ...
    example 1   Translate ... German :  Ein  Haus  ...      rows 0 1 2 3 | 9 10 ...

The linear layers see N rows without padding; only attention lays them out as B examples of T tokens (core.attention).
`padded` is the usual (B, T) rectangle, for models whose attention cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alma_cli.core.examples import TokenizedExample


@dataclass(frozen=True)
class Rows:
    """Which row holds each token of each example."""

    index: Tensor  # (B, T) int64; 0 on padding, which comes after an example's end where no causal query looks
    first: Tensor  # (N,) int64: where in the flat (B * T) each row occurs first
    again: Tensor  # (M,) int64: where in it rows occur that occurred before

    def to(self, device: torch.device) -> Rows:
        """The same on a device."""
        return Rows(self.index.to(device), self.first.to(device), self.again.to(device))


@dataclass(frozen=True)
class Batch:
    """One micro-batch, in either layout."""

    input_ids: Tensor  # (1, N) int64, or (B, T) right-padded
    position_ids: Tensor | None  # (1, N) int64; None for the rectangle, where they are 0, 1, 2, ...
    attention_mask: Tensor | None  # (B, T) int64, 0 on padding; None where `rows` say it
    predicting: Tensor  # (L,) int64: the place, in the flat input_ids, whose state predicts each label
    targets: Tensor  # (L,) int64: the labels
    rows: Rows | None
    tokens: int  # of the examples, prompts included, padding not

    @property
    def target_tokens(self) -> int:
        """How many labels the loss looks at."""
        return len(self.targets)

    def model_inputs(self) -> dict[str, Any]:
        """What a decoder is called with: only what the layout needs, since not every model takes positions."""
        if self.rows is None:
            return {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        return {
            "input_ids": self.input_ids,
            "position_ids": self.position_ids,
            "attention_mask": None,
            "rows": self.rows,
        }

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        parts = vars(self).items()
        moved: dict[str, Any] = {name: part.to(device) for name, part in parts if isinstance(part, Tensor | Rows)}
        return replace(self, **moved)

    def unlabelled(self) -> Batch:
        """The same batch with no label: what a process computes that has nothing left to do while others have."""
        return replace(self, predicting=self.predicting[:0], targets=self.targets[:0], tokens=0)


Layout = Callable[[Sequence[TokenizedExample]], Batch]

# Examples that begin with the same so many tokens go into one micro-batch: that far, directions' prompts differ.
_CLUSTER_TOKENS = 8


def flattened(examples: Sequence[TokenizedExample]) -> Batch:
    """One row for each different beginning of an example; labels of equal beginnings stay apart."""
    in_order = sorted(examples, key=lambda example: example.token_ids)  # equal beginnings become neighbours
    longest = max(len(example.token_ids) for example in examples)
    index = np.zeros((len(in_order), longest), dtype=np.int64)
    ids, positions, first, again, predicting, targets = ([np.zeros(0, dtype=np.int64)] for _ in range(6))
    before = ids[0]
    rows = 0
    for number, example in enumerate(in_order):
        tokens = np.array(example.token_ids, dtype=np.int64)
        count, shared = len(tokens), _common_beginning(before, tokens)
        index[number, :shared] = index[number - 1, :shared]
        index[number, shared:count] = np.arange(rows, rows + count - shared)
        rows += count - shared
        ids.append(tokens[shared:])
        positions.append(np.arange(shared, count))
        again.append(number * longest + np.arange(shared))
        first.append(number * longest + np.arange(shared, count))
        labelled = count - example.target_tokens
        predicting.append(index[number, labelled - 1 : count - 1])
        targets.append(tokens[labelled:])
        before = tokens
    return Batch(
        input_ids=_joined(ids)[None],
        position_ids=_joined(positions)[None],
        attention_mask=None,
        predicting=_joined(predicting),
        targets=_joined(targets),
        rows=Rows(torch.from_numpy(index), _joined(first), _joined(again)),
        tokens=sum(len(example.token_ids) for example in examples),
    )


def padded(examples: Sequence[TokenizedExample]) -> Batch:
    """One right-padded rectangle; the pad id is 0, which neither attention nor loss ever looks at."""
    longest = max(len(example.token_ids) for example in examples)
    input_ids = torch.zeros(len(examples), longest, dtype=torch.int64)
    attention_mask = torch.zeros_like(input_ids)
    predicting, targets = [], []
    for number, example in enumerate(examples):
        count = len(example.token_ids)
        input_ids[number, :count] = torch.tensor(example.token_ids)
        attention_mask[number, :count] = 1
        labelled = count - example.target_tokens
        predicting.append(number * longest + torch.arange(labelled - 1, count - 1))
        targets.append(input_ids[number, labelled:count])
    tokens = sum(len(example.token_ids) for example in examples)
    return Batch(input_ids, None, attention_mask, torch.cat(predicting), torch.cat(targets), None, tokens)


def micro_batches(
    examples: Sequence[TokenizedExample], tokens_per_micro_batch: int, layout: Layout = flattened
) -> list[Batch]:
    """The examples in batches of at most so many tokens, as `grouped` has them."""
    return [layout(group) for group in grouped(examples, tokens_per_micro_batch, layout)]


def grouped(
    examples: Sequence[TokenizedExample], tokens_per_micro_batch: int, layout: Layout = flattened
) -> list[list[TokenizedExample]]:
    """The examples in groups of at most so many tokens (for `padded`, with the padding), of like beginnings and
    near-equal lengths; the largest first, so that memory runs out at once or not at all."""
    groups: list[list[TokenizedExample]] = []
    tokens = longest = 0
    for example in sorted(examples, key=lambda e: (e.token_ids[:_CLUSTER_TOKENS], -len(e.token_ids))):
        count = len(example.token_ids)
        tokens, longest = tokens + count, max(longest, count)
        computed = longest * (len(groups[-1]) + 1) if groups and layout is padded else tokens
        if not groups or computed > tokens_per_micro_batch:
            groups.append([])
            tokens = longest = count
        groups[-1].append(example)
    groups.sort(key=lambda group: (max(len(e.token_ids) for e in group) * len(group), len(group)), reverse=True)
    return groups


def _common_beginning(a: np.ndarray, b: np.ndarray) -> int:
    shorter = min(len(a), len(b))
    different = np.flatnonzero(a[:shorter] != b[:shorter])
    return int(different[0]) if len(different) else shorter


def _joined(parts: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts))
