"""The keys and values of all sentences in the works: columns that rows may see, in memory that beams share.

    S = sentences, W = rows (beams or samples) of one, Q = queries of one, C = columns, N = S * Q rows of the model
    H = query heads, K = key heads, G = H / K, D = head size

Each token that was read, and each that a row has written, is one column of its sentence, for good; a row sees those
that lead to it. When beams are reordered, only that table changes, and no key is copied:

    columns    Die  Ware  .  | The  This | goods  good | ...
    row 0       x    x    x  |  x        |   x         |         "The goods"
    row 1       x    x    x  |  x        |         x   |         "The good"

Columns that no row sees any more are squeezed out from time to time. What a sentence's rows ask of the same keys is one
matrix product, where copies of the keys for each beam would make it five small ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from alma_cli.core.model import causal_lm_of

_NAME = "alma_columns"
_MORE_COLUMNS = 64  # what memory grows by, at least


@dataclass(frozen=True)
class _Pass:
    """Where the rows of one pass of the model belong."""

    first: int  # sentence
    sentences: int
    column: int  # the first that is written
    queries: int  # of each sentence
    rows: Tensor | None  # (S * Q,): the row of each query, 0 for padding; None where rows are the queries
    queried: Tensor | None  # (N,): the query of each row
    positions: Tensor  # (S, Q)


class Columns:
    """Keys and values of up to so many sentences."""

    def __init__(self, sentences: int, rows: int, device: torch.device) -> None:
        self.sentences = 0  # in the works; they are the first ones
        self.windows = False  # whether any layer named one
        self._most = sentences
        self._rows = rows
        self._device = device
        self._used = 0  # columns
        self._stored: dict[int, tuple[Tensor, Tensor]] = {}  # by layer: (S, C, K, D) each
        self._visible = torch.zeros(sentences, rows, 0, dtype=torch.bool, device=device)
        self._positions = torch.zeros(sentences, 0, dtype=torch.int64, device=device)
        self._pass: _Pass | None = None
        self._seen: Tensor | None = None  # (S, Q, C) bool: what the queries of the pass see
        self._masks: dict[tuple[int, int | None], Tensor] = {}
        self._beginning: dict[int, tuple[Tensor, Tensor]] = {}  # by layer: (C, K, D) each
        self._beginning_tokens = 0

    @property
    def layers(self) -> int:
        """How many layers have stored something."""
        return len(self._stored)

    # --- passes ---------------------------------------------------------------------------------------------------

    def remember_beginning(self) -> None:
        """What sentence 0 has read is what every sentence begins with from now on; sentence 0 is done."""
        self._beginning_tokens = self._used
        self._beginning = {
            layer: (keys[0, : self._used].clone(), values[0, : self._used].clone())
            for layer, (keys, values) in self._stored.items()
        }
        self.drop([0])

    def open(self, sentences: int) -> None:
        """New sentences after the others; they have read the common beginning."""
        first, last, begun = self.sentences, self.sentences + sentences, self._beginning_tokens
        assert last <= self._most
        self.sentences = last
        self._used = max(self._used, begun)
        self._make_room(self._used)
        self._visible[first:last] = False
        self._visible[first:last, :, :begun] = True
        self._positions[first:last, :begun] = torch.arange(begun, device=self._device)
        for layer, (keys, values) in self._beginning.items():
            stored = self._stored[layer]
            stored[0][first:last, :begun], stored[1][first:last, :begun] = keys, values

    def read(self, lengths: Sequence[int], *, sentences: int, read_before: int) -> None:
        """The next pass reads so many tokens of each of the last `sentences`, after so many that all have read."""
        first, longest = self.sentences - sentences, max(lengths)
        start = self._beginning_tokens + read_before
        self._used = max(self._used, start + longest)
        self._make_room(self._used)
        ends = torch.tensor(lengths, device=self._device)
        steps = torch.arange(longest, device=self._device)
        there = steps < ends[:, None]  # (S, Q)
        starts = torch.cumsum(ends, 0) - ends
        rows = torch.where(there, starts[:, None] + steps, 0).flatten()
        queried = there.flatten().nonzero()[:, 0]
        positions = (start + steps).expand(sentences, -1)
        self._positions[first : self.sentences, start : start + longest] = positions
        self._visible[first : self.sentences, :, start : start + longest] = there[:, None]
        seen = self._visible[first : self.sentences, :1, : start + longest].repeat(1, longest, 1)
        seen[:, :, start:] = steps[:, None] >= steps  # padding comes after the end, where no query looks
        self._begin(_Pass(first, sentences, start, longest, rows, queried, positions), seen)

    def write(self, parents: Tensor, positions: Tensor) -> None:
        """The next pass writes a token for each row of each sentence: row w goes on from row `parents[s, w]` (S, W).

        `positions` (S,) are those of the new tokens.
        """
        count, column = self.sentences, self._used
        self._used += self._rows
        self._make_room(self._used)
        visible = self._visible[:count, :, : self._used]
        visible[:, :, :column] = visible[torch.arange(count, device=self._device)[:, None], parents][:, :, :column]
        visible[:, :, column:] = torch.eye(self._rows, dtype=torch.bool, device=self._device)
        placed = positions[:, None].expand(-1, self._rows)
        self._positions[:count, column : self._used] = placed
        self._begin(_Pass(0, count, column, self._rows, None, None, placed), visible)

    # --- memory ---------------------------------------------------------------------------------------------------

    def drop(self, finished: Sequence[int]) -> list[int]:
        """Forget sentences; the last ones take their places. Says who is where: for each place, its sentence before."""
        order = list(range(self.sentences))
        for place in sorted(finished, reverse=True):
            last = self.sentences - 1
            if place != last:
                order[place] = order[last]
                for stored in (self._visible, self._positions, *(s for pair in self._stored.values() for s in pair)):
                    stored[place] = stored[last]
            self.sentences -= 1
        if not self.sentences:
            self._used = 0
        return order[: self.sentences]

    def squeeze(self) -> None:
        """Take out the columns that no row sees, if that is worth the copying."""
        count = self.sentences
        if not count:
            return
        seen = self._visible[:count, :, : self._used].any(1)  # (S, C)
        needed = int(seen.sum(1).max())
        if self._used < needed * 1.2 + 4 * self._rows:
            return
        order = torch.argsort(~seen, dim=1, stable=True)[:, :needed]  # (S, C): the seen ones first
        picked = (order + torch.arange(count, device=self._device)[:, None] * self._visible.shape[2]).flatten()
        for pair in self._stored.values():
            for stored in pair:
                stored[:count, :needed] = (
                    stored.flatten(0, 1).index_select(0, picked).view(count, needed, *stored.shape[2:])
                )
        self._positions[:count, :needed] = self._positions[:count].gather(1, order)
        by_row = order[:, None].expand(-1, self._rows, -1)
        self._visible[:count, :, :needed] = self._visible[:count].gather(2, by_row)
        self._visible[:count, :, needed:] = False
        self._used = needed

    def _make_room(self, columns: int) -> None:
        there = self._visible.shape[2]
        if columns <= there:
            return
        room = columns + max(_MORE_COLUMNS, there // 4)
        self._visible = _wider(self._visible, 2, room)
        self._positions = _wider(self._positions, 1, room)
        for layer, (keys, values) in self._stored.items():
            self._stored[layer] = (_wider(keys, 1, room), _wider(values, 1, room))

    # --- attention ------------------------------------------------------------------------------------------------

    def _begin(self, one: _Pass, seen: Tensor) -> None:
        self._pass, self._seen = one, seen
        self._masks.clear()

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """(1, H, N, D), (1, K, N, D) twice -> (1, N, H, D): keep the keys and values, and answer the queries."""
        one = self._pass
        assert one is not None
        sentences = slice(one.first, one.first + one.sentences)
        end = one.column + one.queries
        keys, values = self._stored.get(layer) or self._allocate(layer, key, value)
        keys[sentences, one.column : end] = _by_sentence(key, one)
        values[sentences, one.column : end] = _by_sentence(value, one)
        q = _by_sentence(query, one)  # (S, Q, H, D)
        groups = q.shape[2] // keys.shape[2]
        q = q.unflatten(2, (-1, groups)).permute(0, 2, 1, 3, 4).flatten(2, 3)  # (S, K, Q * G, D)
        attended = torch.nn.functional.scaled_dot_product_attention(
            q,
            keys[sentences, :end].transpose(1, 2),
            values[sentences, :end].transpose(1, 2),
            attn_mask=self._mask(groups, window, q.dtype),
            scale=scale,
        )
        attended = attended.unflatten(2, (one.queries, groups)).permute(0, 2, 1, 3, 4).flatten(2, 3)  # (S, Q, H, D)
        rows: Tensor = attended.flatten(0, 1)
        return (rows if one.queried is None else rows.index_select(0, one.queried))[None]

    def _allocate(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        shape = (self._most, self._visible.shape[2])
        # Zeros, since a value that nobody sees is still multiplied by 0.
        made = (
            key.new_zeros(*shape, key.shape[1], key.shape[3]),
            value.new_zeros(*shape, value.shape[1], value.shape[3]),
        )
        self._stored[layer] = made
        return made

    def _mask(self, groups: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """(S, 1, Q * G, C): 0 where a query looks, -inf elsewhere."""
        one, seen = self._pass, self._seen
        assert one is not None
        assert seen is not None
        end = one.column + one.queries
        window = window if window is not None and window <= end else None
        mask = self._masks.get((groups, window))
        if mask is None:
            if window is not None:
                sentences = slice(one.first, one.first + one.sentences)
                distance = one.positions[:, :, None] - self._positions[sentences, None, :end]
                seen = seen & (distance < window)
            mask = torch.zeros(seen.shape, dtype=dtype, device=self._device).masked_fill_(~seen, float("-inf"))
            mask = mask.repeat_interleave(groups, 1)[:, None]
            self._masks[groups, window] = mask
        return mask


@contextmanager
def attention_over_columns(model: Any) -> Iterator[None]:
    """The model attends over the columns that its decoder is called with, as `columns`."""
    causal_lm = causal_lm_of(model)
    before = causal_lm.config._attn_implementation
    causal_lm.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        causal_lm.set_attn_implementation(before)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,  # noqa: ARG001 - the columns say it
    *,
    columns: Columns,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """What transformers expects of an attention function."""
    if any(options.get(name) is not None for name in ("softcap", "s_aux", "position_bias")):
        raise NotImplementedError("capped scores, sinks and biases")
    columns.windows |= sliding_window is not None
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    return columns.attend(module.layer_idx, query, key, value, scale=scale, window=sliding_window), None


def _by_sentence(states: Tensor, one: _Pass) -> Tensor:
    """(1, heads, N, D) -> (S, Q, heads, D)."""
    rows = states[0].transpose(0, 1)  # (N, heads, D)
    if one.rows is not None:
        rows = rows.index_select(0, one.rows)
    spread: Tensor = rows.unflatten(0, (one.sentences, one.queries))
    return spread


def _wider(stored: Tensor, dim: int, room: int) -> Tensor:
    shape = list(stored.shape)
    before, shape[dim] = shape[dim], room
    made = stored.new_zeros(shape)
    made.narrow(dim, 0, before).copy_(stored)
    return made


def _register() -> None:
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attend)


_register()
