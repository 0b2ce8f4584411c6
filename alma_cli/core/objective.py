"""The losses: each takes a model and a batch and returns the sum over the labelled tokens, in nats.

B = examples, T = tokens, N = labelled tokens, H = hidden size, V = vocabulary
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from alma_cli.core.examples import IGNORED, Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Objective = Callable[["PreTrainedModel", Batch], Tensor]

# Logits of one chunk take at most 256 MiB in fp32, whatever the vocabulary.
_LOGITS_PER_CHUNK = 2**26


def negative_log_likelihood(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Sum of -log p over the labelled tokens, () fp32; the labels make it causal LM or target-only.

    Logits exist only at labelled positions, a chunk at a time; the backward pass computes each chunk again.
    """
    causal_lm = _causal_lm(model)
    states = _labelled_states(causal_lm, batch)  # (N, H)
    targets = batch.labels[:, 1:][batch.labels[:, 1:] != IGNORED]  # (N,)
    rows = max(1, _LOGITS_PER_CHUNK // causal_lm.config.get_text_config().vocab_size)
    total = states.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), rows):
        chunk = states[start : start + rows], targets[start : start + rows]
        total = total + cast(Tensor, checkpoint(_chunk_loss, causal_lm, *chunk, use_reentrant=False))
    return total


def labelled_logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """(N, V) fp32: the logits that the loss sees, for tests and for looking at."""
    causal_lm = _causal_lm(model)
    return _logits(causal_lm, _labelled_states(causal_lm, batch))


def _causal_lm(model: Any) -> Any:
    """The transformers model inside a PEFT wrapper, with its adapters still in place."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def _labelled_states(causal_lm: Any, batch: Batch) -> Tensor:
    outputs = causal_lm.base_model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False)
    hidden: Tensor = outputs.last_hidden_state  # (B, T, H)
    # The state at position t predicts the token at t + 1.
    return hidden[:, :-1][batch.labels[:, 1:] != IGNORED]


def _logits(causal_lm: Any, states: Tensor) -> Tensor:
    """What the model's own forward does after its last layer, Gemma's and Cohere's and Granite's scaling included."""
    config = causal_lm.config.get_text_config()
    logits: Tensor = causal_lm.get_output_embeddings()(states).float()
    if (scale := getattr(config, "logit_scale", None)) is not None:
        logits = logits * scale
    if (scaling := getattr(config, "logits_scaling", None)) is not None:
        logits = logits / scaling
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
        logits = torch.tanh(logits / cap) * cap
    return logits


def _chunk_loss(causal_lm: Any, states: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(_logits(causal_lm, states), targets, reduction="sum")
