"""The losses: each takes a model and a batch and returns the sum over the labelled tokens, in nats.

L = labelled tokens, H = hidden size, V = vocabulary, K = tokens that labels are compared with: all V, or a sample
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from alma_cli.core.batch import Batch
from alma_cli.core.model import causal_lm_of, decoder_of
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Objective = Callable[["PreTrainedModel", Batch, "Sample | None"], Tensor]

# Logits of one chunk take 16 MiB in fp32, or what the fewest rows take that a matrix product is still fast with: on two
# CPU cores 80, on a GPU some hundreds.
_LOGITS_PER_CHUNK, _FEWEST_ROWS_ON_A_CPU, _FEWEST_ROWS_ON_A_GPU = 2**22, 96, 512


@dataclass(frozen=True)
class Sample:
    """The tokens that stand for a whole vocabulary in one step: every label, and some of the others.

    Each of the others weighs as much as all those that it was drawn from, so that the sum of exp(logit) over the
    vocabulary, the normaliser of the softmax, is estimated without bias. Importance sampling as in Jean et al. (ACL
    2015, arXiv 1412.2007, section 3), who leave tokens that are no label out; but then nothing keeps their logits from
    rising. Gemma-3-270M's loss over its whole vocabulary, 3.217 nats at the start, came to 3.165 after 26,000 tokens of
    stage 1 with all logits, to 3.166 with this sample, and to 3.188, and then up, with labels only.
    """

    labels: Tensor  # ids in order
    others: Tensor  # ids
    share: float  # of all other tokens, that these are

    @property
    def ids(self) -> Tensor:
        """(K,) int64, the labels first."""
        return torch.cat([self.labels, self.others])

    @property
    def log_weights(self) -> Tensor:
        """(K,) fp32, what is added to the logits of `ids`."""
        weights = torch.zeros(len(self.labels) + len(self.others), device=self.labels.device)
        weights[len(self.labels) :] = -math.log(self.share)
        return weights


class Sampling:
    """Which tokens stand for the vocabulary in which step: every label of the data and, in turn, a part of the others.

    The parts are as large as there are labels, drawn with the seed; after so many steps as there are parts, every
    token was there. A step has the same sample in every process and however it is cut into micro-batches.
    """

    def __init__(self, labels: Sequence[int], vocabulary: int, *, seed: int, device: torch.device) -> None:
        others = np.setdiff1d(np.arange(vocabulary), labels)
        parts = np.array_split(
            np.random.default_rng(seed).permutation(others), max(1, round(len(others) / len(labels)))
        )
        self._labels = torch.tensor(labels, device=device)
        self._parts = [torch.tensor(part, device=device) for part in parts]

    @property
    def parts(self) -> int:
        """How many steps it takes until every token was there."""
        return len(self._parts)

    def of_step(self, step: int) -> Sample:
        """Of step 1, 2, ..."""
        return Sample(self._labels, self._parts[(step - 1) % self.parts], share=1 / self.parts)


def negative_log_likelihood(model: PreTrainedModel, batch: Batch, sample: Sample | None = None) -> Tensor:
    """Sum of -log p over the labelled tokens, () fp32; the labels make it causal LM or target-only.

    Logits exist only at labelled positions, a chunk at a time, and only once: the forward pass computes the gradient of
    each chunk while it is there, with the output layer trained, frozen, quantised or under a LoRA. With a `sample`,
    which has every label, there are logits of its tokens alone.
    """
    causal_lm = causal_lm_of(model)
    states = _labelled_states(causal_lm, batch)  # (L, H)
    head, targets, shape = causal_lm.get_output_embeddings(), batch.targets, LogitShape.of(causal_lm)
    weights = list(head.parameters())
    if sample is not None:
        head, weights = _rows_of(head, sample.ids)
        targets = torch.searchsorted(sample.labels, targets)
        shape = LogitShape(len(sample.ids), shape.scale, shape.cap, sample.log_weights)
    # A function of autograd is told that weights want a gradient even where gradients are switched off.
    trained = [weight for weight in weights if weight.requires_grad and torch.is_grad_enabled()]
    loss: Tensor = _SummedCrossEntropy.apply(states, targets, head, shape, *trained)  # type: ignore[no-untyped-call]
    return loss


class SummedLoss(torch.nn.Module):
    """A model with its objective as one module: batch in, loss out; what gets sharded over processes as a whole.

    With the `labels` of the data, ids in order, a sample stands for the vocabulary in training, never in eval mode.
    """

    def __init__(
        self, model: PreTrainedModel, objective: Objective, *, labels: Sequence[int] | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.device = next(model.parameters()).device
        self._sampling: Sampling | None = None
        if labels is not None:
            head = causal_lm_of(model).get_output_embeddings()
            _require_plain(head)
            self._sampling = Sampling(labels, head.out_features, seed=seed, device=self.device)
        self.begin(step=1)

    def begin(self, step: int) -> None:
        """Change to the sample of this step."""
        self.sample = None if self._sampling is None else self._sampling.of_step(step)

    @property
    def compared_tokens(self) -> int | None:
        """How many tokens a label is compared with in training; None: all."""
        return None if self.sample is None else len(self.sample.ids)

    def forward(self, batch: Batch) -> Tensor:
        """() fp32, in nats."""
        return self.objective(self.model, batch, self.sample if self.training else None)


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


def _rows_of(head: Any, ids: Tensor) -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
    """The output layer for some tokens alone, (L, H) -> (L, K), and its weights."""
    weight = head.weight.index_select(0, ids)
    bias = None if head.bias is None else head.bias.index_select(0, ids)
    return partial(linear, weight=weight, bias=bias), [weight] if bias is None else [weight, bias]


def _require_plain(head: Any) -> None:
    """Raises UsageError for an output layer whose rows cannot be had one by one: quantised, or under a LoRA."""
    if type(head) is not torch.nn.Linear:
        raise UsageError(
            f"loss_vocabulary = 'sampled' needs a plain output layer, this is a {type(head).__name__}",
            hint="--set stages.*.loss_vocabulary=whole",
        )


class LogitShape:
    """What some models do to their logits: cap * tanh(scale * logits / cap) (Gemma 2, Cohere, Granite).

    `log_weights`, (K,), are those of a sample.
    """

    def __init__(self, vocabulary: int, scale: float, cap: float | None, log_weights: Tensor | None = None) -> None:
        self.vocabulary = vocabulary
        self.scale = scale
        self.cap = cap
        self.log_weights = log_weights

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
            weighted = shaped if shape.log_weights is None else shaped.float() + shape.log_weights
            log_p = torch.log_softmax(weighted, dim=-1, dtype=torch.float32)
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
