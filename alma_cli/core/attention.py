"""Attention over rows that examples share: the part of a model that has to know where one example ends.

    B = examples, T = tokens of the longest, N = rows, H = query heads, K = key heads, G = H / K, D = head size

transformers lets a model's attention be replaced by name (its AttentionInterface). Ours spreads the (N, ...) rows of
queries, keys and values out to (B, T, ...), attends causally within each example, and gathers N rows again.

On a CPU the products are written out: torch's fused kernel took 17 ms forward and backward for 12 sentences of 85
tokens (9 heads of 64, two cores, bf16), the plain products here 6 ms; for two blocks of 512 tokens 29 and 19 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from alma_cli.core.batch import Batch, Layout, Rows, flattened, padded
from alma_cli.core.examples import TokenizedExample
from alma_cli.core.model import causal_lm_of, decoder_of

_NAME = "alma_rows"
FUSED = "alma_rows_fused"  # as on a GPU, on a CPU too
# Beyond it the (T, T) weights that are kept for the backward pass take more memory than they save time.
_LONGEST_WRITTEN_OUT = 512


def choose_layout(model: Any) -> Layout:
    """`flattened` where the model computes the same with our attention, which it then has; else `padded`.

    Models with another kind of memory (state spaces, convolutions), with capped scores or attention sinks keep theirs.
    """
    causal_lm = causal_lm_of(model)
    before = causal_lm.config._attn_implementation
    # Ids all over the vocabulary, in the order that `flattened` puts examples, so that the states can be compared.
    ids = [n * causal_lm.config.get_text_config().vocab_size // 11 for n in range(1, 11)]
    examples = [TokenizedExample((*ids[:3], *ids[4:8]), 1), TokenizedExample((*ids[:3], *ids[:4:-1]), 1)]
    was_training = model.training
    model.eval()
    calls = _Calls()
    try:
        expected = _states(causal_lm, padded(examples), None)
        causal_lm.set_attn_implementation(_NAME)
        ours = _states(causal_lm, flattened(examples), calls)
        for module in calls.modules:  # not what is inside them: a LoRA's dropout is no matter of the attention
            module.training = True
        _states(causal_lm, flattened(examples), calls)  # for what is asked of attention in training only
    except (_UnsupportedError, TypeError, ValueError, RuntimeError):
        ours = None
    finally:
        model.train(was_training)
    if ours is not None and calls.cover(causal_lm.config.get_text_config()) and _alike(ours, expected):
        return flattened
    causal_lm.set_attn_implementation(before)
    return padded


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """The model with the library's own attention for a while, as generating text needs it."""
    causal_lm = causal_lm_of(model)
    before = causal_lm.config._attn_implementation
    causal_lm.set_attn_implementation("sdpa" if before == _NAME else before)
    try:
        yield
    finally:
        causal_lm.set_attn_implementation(before)


def forget_masks() -> None:
    """Drop the masks that are kept for later."""
    _causal_mask.cache_clear()


def attention_over_rows(
    module: Any,
    query: Tensor,  # (1, H, N, D)
    key: Tensor,  # (1, K, N, D)
    value: Tensor,  # (1, K, N, D)
    attention_mask: None,  # noqa: ARG001 - `rows` say it
    *,
    rows: Rows,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    calls: _Calls | None = None,
    fused: bool = False,
    **options: Any,
) -> tuple[Tensor, None]:
    """(1, N, H, D): what transformers expects of an attention function."""
    if calls is not None:
        calls.modules[module] = None
        calls.windows |= sliding_window is not None
        _refuse(dropout=dropout, **{name: options.get(name) for name in ("softcap", "s_aux", "position_bias")})
    q, k, v = (_spread(states, rows) for states in (query, key, value))  # (B * T, heads, D)
    examples, tokens = rows.index.shape
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    window = sliding_window if sliding_window is not None and sliding_window < tokens else None
    if query.device.type == "cpu" and tokens <= _LONGEST_WRITTEN_OUT and not fused:
        attended = _written_out(q, k, v, examples, scale, window)
    else:
        attended = _fused(q, k, v, examples, scale, window)
    return attended.index_select(0, rows.first)[None], None


class _Calls:
    """The layers that called our attention, and whether any named a sliding window."""

    def __init__(self) -> None:
        self.modules: dict[Any, None] = {}
        self.windows = False

    def cover(self, config: Any) -> bool:
        """Whether they are all the layers, and told of every mask that only examples longer than ours would show."""
        told = self.windows or getattr(config, "sliding_window", None) is None
        chunked = getattr(config, "attention_chunk_size", None) is not None
        return len(self.modules) == config.num_hidden_layers and told and not chunked


class _UnsupportedError(Exception):
    """The model wants something of its attention that ours does not do."""


def _refuse(**wanted: Any) -> None:
    for name, value in wanted.items():
        if value is not None and value != 0.0:
            raise _UnsupportedError(name)


def _spread(states: Tensor, rows: Rows) -> Tensor:
    """(1, heads, N, D) to (B * T, heads, D)."""
    result: Tensor = _Spread.apply(states[0].transpose(0, 1), rows)  # type: ignore[no-untyped-call]
    return result


class _Spread(torch.autograd.Function):
    """Rows to the tokens of the examples, and the gradients back: those of a shared row are summed, in fp32."""

    @staticmethod
    def forward(context: Any, states: Tensor, rows: Rows) -> Tensor:
        context.rows = rows
        flat = states.reshape(len(states), -1).index_select(0, rows.index.flatten())
        return flat.view(len(flat), *states.shape[1:])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        rows: Rows = context.rows
        gradient = gradients[0].reshape(len(gradients[0]), -1)
        summed = gradient.index_select(0, rows.first)
        if len(rows.again):
            shared = rows.index.flatten()[rows.again]
            more = torch.zeros(summed.shape, dtype=torch.float32, device=summed.device)
            more.index_add_(0, shared, gradient.index_select(0, rows.again).float())
            summed = (more + summed).to(gradient.dtype)
        return summed.view(len(summed), *gradients[0].shape[1:]), None


def _written_out(q: Tensor, k: Tensor, v: Tensor, examples: int, scale: float, window: int | None) -> Tensor:
    """(B * T, H, D): causal attention as plain products, the G queries of a key head side by side."""
    tokens, key_heads = len(q) // examples, k.shape[1]
    groups = q.shape[1] // key_heads
    mask = _causal_mask(tokens, groups, window)

    def by_head(x: Tensor, groups: int) -> Tensor:  # (K * B, G * T, D)
        x = x.view(examples, tokens, key_heads, groups, x.shape[-1])
        return x.permute(2, 0, 3, 1, 4).reshape(key_heads * examples, groups * tokens, x.shape[-1])

    attended: Tensor = _Attend.apply(by_head(q, groups), by_head(k, 1), by_head(v, 1), mask, scale)  # type: ignore[no-untyped-call]
    attended = attended.view(key_heads, examples, groups, tokens, v.shape[-1]).permute(1, 3, 0, 2, 4)
    return attended.reshape(examples * tokens, key_heads * groups, v.shape[-1])


class _Attend(torch.autograd.Function):
    """softmax(scale * q k' + mask) v, with its weights kept for the backward pass.

    The scores are in fp32, as the fused kernels have them: bf16 has eight bits, and scores of hundreds occur.
    """

    @staticmethod
    def forward(context: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
        scores = torch.baddbmm(mask, q.float(), k.float().transpose(1, 2), alpha=scale)
        weights = torch.softmax(scores, dim=-1).to(q.dtype)
        context.save_for_backward(q, k, v, weights)
        context.scale = scale
        return torch.bmm(weights, v)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (gradient,) = gradients
        q, k, v, weights = context.saved_tensors
        of_weights = torch.bmm(gradient, v.transpose(1, 2))
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype).mul_(context.scale)
        of_values = torch.bmm(weights.transpose(1, 2), gradient)
        return torch.bmm(of_scores, k), torch.bmm(of_scores.transpose(1, 2), q), of_values, None, None


def _fused(q: Tensor, k: Tensor, v: Tensor, examples: int, scale: float, window: int | None) -> Tensor:
    """(B * T, H, D): the same by torch's kernel."""
    tokens = len(q) // examples

    def by_head(x: Tensor) -> Tensor:  # (B, heads, T, D)
        return x.view(examples, tokens, *x.shape[1:]).transpose(1, 2)

    mask = None if window is None else _causal_mask(tokens, 1, window).to(q.device, q.dtype)
    attended = torch.nn.functional.scaled_dot_product_attention(
        by_head(q), by_head(k), by_head(v), attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=True
    )
    return attended.transpose(1, 2).reshape(examples * tokens, q.shape[1], v.shape[-1])


@lru_cache(maxsize=4)
def _causal_mask(tokens: int, groups: int, window: int | None) -> Tensor:
    """(1, G * T, T) fp32: 0 where a query may look, -inf elsewhere."""
    distance = torch.arange(tokens)[:, None] - torch.arange(tokens)[None, :]
    forbidden = (distance < 0) if window is None else (distance < 0) | (distance >= window)
    return torch.zeros(tokens, tokens).masked_fill_(forbidden, float("-inf")).repeat(groups, 1)[None]


@torch.no_grad()
def _states(causal_lm: Any, batch: Batch, calls: _Calls | None) -> Tensor:
    """(L, hidden): what predicts each label."""
    batch = batch.to(next(causal_lm.parameters()).device)
    told = {} if batch.rows is None else {"calls": calls}
    outputs = decoder_of(causal_lm)(**batch.model_inputs(), use_cache=False, **told)
    states: Tensor = outputs.last_hidden_state.flatten(0, 1).index_select(0, batch.predicting)
    return states


def _alike(ours: Tensor, expected: Tensor) -> bool:
    """Whether states agree to rounding; without values, it is taken for granted."""
    tolerance = 1e-3 if expected.dtype == torch.float32 else 0.05
    return isinstance(ours, FakeTensor) or bool((ours - expected).float().norm() < tolerance * expected.float().norm())


def _register() -> None:
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, attention_over_rows)
    AttentionInterface.register(FUSED, partial(attention_over_rows, fused=True))


_register()
