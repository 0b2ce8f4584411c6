"""The losses: each takes a model and a batch and returns the sum over the labelled tokens, in nats.

L = labelled tokens, H = hidden size, V = vocabulary, K = tokens that the loss compares: all V, or fewer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from alma_cli.core.batch import Batch
from alma_cli.core.model import causal_lm_of, decoder_of
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# With the ids of the K tokens that are compared, (K,) int64 in order, or None: all.
Objective = Callable[["PreTrainedModel", Batch, Tensor | None], Tensor]

# Logits of one chunk take 16 MiB in fp32, or what the fewest rows take that a matrix product is still fast with: on two
# CPU cores 80, on a GPU some hundreds.
_LOGITS_PER_CHUNK, _FEWEST_ROWS_ON_A_CPU, _FEWEST_ROWS_ON_A_GPU = 2**22, 96, 512


def negative_log_likelihood(model: PreTrainedModel, batch: Batch, vocabulary: Tensor | None = None) -> Tensor:
    """Sum of -log p over the labelled tokens, () fp32; the labels make it causal LM or target-only.

    Logits exist only at labelled positions, a chunk at a time, and only once: the forward pass computes the gradient of
    each chunk while it is there, with the output layer trained, frozen, quantised or under a LoRA. With a `vocabulary`,
    which has every label, p is among its tokens alone (Jean et al., ACL 2015, arXiv 1412.2007, section 3.2).
    """
    causal_lm = causal_lm_of(model)
    states = _labelled_states(causal_lm, batch)  # (L, H)
    head, targets, shape = causal_lm.get_output_embeddings(), batch.targets, LogitShape.of(causal_lm)
    weights = list(head.parameters())
    if vocabulary is not None:
        head, weights = _rows_of(head, vocabulary)
        targets = torch.searchsorted(vocabulary, targets)
        shape = LogitShape(len(vocabulary), shape.scale, shape.cap)
    # A function of autograd is told that weights want a gradient even where gradients are switched off.
    trained = [weight for weight in weights if weight.requires_grad and torch.is_grad_enabled()]
    loss: Tensor = _SummedCrossEntropy.apply(states, targets, head, shape, *trained)  # type: ignore[no-untyped-call]
    return loss


class SummedLoss(torch.nn.Module):
    """A model with its objective as one module: batch in, loss out; what gets sharded over processes as a whole.

    With a `vocabulary`, ids in order, training compares these tokens only; in eval mode it is always all.
    """

    def __init__(
        self, model: PreTrainedModel, objective: Objective, *, vocabulary: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.device = next(model.parameters()).device
        self.vocabulary = None if vocabulary is None else torch.tensor(vocabulary, device=self.device)
        if vocabulary is not None:
            _require_plain(causal_lm_of(model).get_output_embeddings())

    def forward(self, batch: Batch) -> Tensor:
        """() fp32, in nats."""
        return self.objective(self.model, batch, self.vocabulary if self.training else None)


def labelled_logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """(L, V) fp32: the logits that the loss sees, for tests and for looking at."""
    causal_lm = causal_lm_of(model)
    states = _labelled_states(causal_lm, batch)
    return LogitShape.of(causal_lm).shaped(causal_lm.get_output_embeddings()(states).float())


def _labelled_states(causal_lm: Any, batch: Batch) -> Tensor:
    outputs = decoder_of(causal_lm)(**batch.model_inputs(), use_cache=False)
    # Not [...], whose gradient the threads of a CPU add in the order in which they come: no run would repeat another.
    states: Tensor = outputs.last_hidden_state.flatten(0, 1).index_select(0, batch.predicting)
    return states


def _rows_of(head: Any, vocabulary: Tensor) -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
    """The output layer for some tokens alone, (L, H) -> (L, K), and its weights."""
    weight = head.weight.index_select(0, vocabulary)
    bias = None if head.bias is None else head.bias.index_select(0, vocabulary)
    return partial(linear, weight=weight, bias=bias), [weight] if bias is None else [weight, bias]


def _require_plain(head: Any) -> None:
    """Raises UsageError for an output layer whose rows cannot be had one by one: quantised, or under a LoRA."""
    if type(head) is not torch.nn.Linear:
        raise UsageError(
            f"loss_vocabulary = 'data' needs a plain output layer, this is a {type(head).__name__}",
            hint="--set stages.*.loss_vocabulary=whole",
        )


class LogitShape:
    """What some models do to their logits: cap * tanh(scale * logits / cap) (Gemma 2, Cohere, Granite)."""

    def __init__(self, vocabulary: int, scale: float, cap: float | None) -> None:
        self.vocabulary = vocabulary
        self.scale = scale
        self.cap = cap

    @classmethod
    def of(cls, causal_lm: Any) -> LogitShape:
        config = causal_lm.config.get_text_config()
        scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
        return cls(config.vocab_size, scale, getattr(config, "final_logit_softcapping", None))

    def shaped(self, logits: Tensor) -> Tensor:
        if self.scale != 1.0:
            logits = logits.float() * self.scale
        return logits if self.cap is None else torch.tanh(logits.float() / self.cap) * self.cap

    def gradient_(self, of_shaped: Tensor, shaped: Tensor) -> Tensor:
        """The gradient of the logits from that of the shaped ones, in place."""
        if self.cap is not None:
            of_shaped.mul_(1 - (shaped / self.cap) ** 2)
        return of_shaped.mul_(self.scale) if self.scale != 1.0 else of_shaped


class _SummedCrossEntropy(torch.autograd.Function):
    """-sum log softmax(head(states))[targets], with its gradients computed in the forward pass."""

    @staticmethod
    def forward(
        context: Any, states: Tensor, targets: Tensor, head: Any, shape: LogitShape, *trained: Tensor
    ) -> Tensor:
        wanted = any(context.needs_input_grad)
        total = states.new_zeros((), dtype=torch.float32)
        of_states = torch.zeros_like(states)
        of_trained = [torch.zeros_like(parameter) for parameter in trained]
        fewest = _FEWEST_ROWS_ON_A_CPU if states.device.type == "cpu" else _FEWEST_ROWS_ON_A_GPU
        rows = max(fewest, _LOGITS_PER_CHUNK // shape.vocabulary)
        for start in range(0, len(targets), rows):
            labels = targets[start : start + rows, None]
            with torch.set_grad_enabled(wanted):
                chunk = states[start : start + rows].detach().requires_grad_(wanted)
                logits = head(chunk)
            shaped = shape.shaped(logits.detach())
            log_p = torch.log_softmax(shaped, dim=-1, dtype=torch.float32)
            total -= log_p.gather(1, labels).sum()
            if not wanted:
                continue
            minus_one = log_p.new_full(labels.shape, -1.0)
            of_shaped = log_p.exp_().scatter_add_(1, labels, minus_one)
            of_logits = shape.gradient_(of_shaped, shaped).to(logits.dtype)
            of_states[start : start + rows], *more = torch.autograd.grad(logits, [chunk, *trained], of_logits)
            for summed, part in zip(of_trained, more, strict=True):
                summed += part
        context.save_for_backward(of_states, *of_trained)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_states, *of_trained = context.saved_tensors
        # In place: under a large vocabulary the output layer's gradient is the largest tensor there is.
        scaled = [gradient.mul_(gradients[0]) for gradient in of_trained]
        return of_states * gradients[0], None, None, None, *scaled
