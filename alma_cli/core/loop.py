"""The training loop: micro-batches in, one StepReport per optimizer step out; it knows no stage and no screen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from alma_cli.core.examples import Batch
from alma_cli.core.objective import Objective
from alma_cli.core.process import explained_memory_errors
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WHEN_MEMORY_ENDS = "lower the stage's tokens_per_micro_batch, or set gradient_checkpointing = true"
Autocast = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class StepReport:
    """One optimizer step."""

    step: int
    loss: float  # nats per target token, over the whole step
    learning_rate: float
    gradient_norm: float  # before clipping
    target_tokens: int
    tokens: int  # with prompts, without padding
    seconds: float


def train_steps(
    model: PreTrainedModel,
    steps: Iterable[tuple[int, Sequence[Batch]]],
    *,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    learning_rate_at: Callable[[int], float],
    max_gradient_norm: float,
    autocast: Autocast,
) -> Iterator[StepReport]:
    """Train on numbered steps of micro-batches; the gradient is of the sum over the step's target tokens over their
    number, however they are cut into micro-batches. Raises UsageError when the loss is no longer a number."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device
    model.train()
    for step, batches in steps:
        started = time.perf_counter()
        target_tokens = sum(batch.target_tokens for batch in batches)
        total = 0.0
        for batch in batches:
            with explained_memory_errors(_WHEN_MEMORY_ENDS):
                with autocast():
                    loss = objective(model, batch.to(device))
                (loss / target_tokens).backward()
                total += loss.item()
        if not math.isfinite(total):
            raise UsageError(f"the loss is {total} at step {step}", hint="lower stages.*.learning_rate")
        gradient_norm = torch.nn.utils.clip_grad_norm_(parameters, max_gradient_norm).item()
        learning_rate = learning_rate_at(step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens = int(sum(batch.attention_mask.sum().item() for batch in batches))
        seconds = time.perf_counter() - started
        yield StepReport(step, total / target_tokens, learning_rate, gradient_norm, target_tokens, tokens, seconds)


@torch.no_grad()
def mean_loss(model: PreTrainedModel, batches: Iterable[Batch], *, objective: Objective, autocast: Autocast) -> float:
    """Validation loss: nats per target token over all batches; the model is left in training mode as it was."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, target_tokens = 0.0, 0
    for batch in batches:
        with explained_memory_errors(_WHEN_MEMORY_ENDS), autocast():
            total += objective(model, batch.to(device)).item()
        target_tokens += batch.target_tokens
    model.train(was_training)
    assert target_tokens > 0, f"{target_tokens=}"
    return total / target_tokens


def learning_rate_schedule(kind: str, *, peak: float, steps: int, warmup_ratio: float) -> Callable[[int], float]:
    """The learning rate of step 1, 2, ... `steps`: a linear warm-up, then `cosine` to zero, `inverse_sqrt` or
    `constant`, as in transformers' schedules of these names (the paper's trainer)."""
    warmup = math.ceil(warmup_ratio * steps)

    def at(step: int) -> float:
        done = step - 1
        if done < warmup:
            return peak * done / max(1, warmup)
        if kind == "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * (done - warmup) / max(1, steps - warmup)))
        if kind == "inverse_sqrt":
            timescale = warmup or 10_000
            return peak / math.sqrt((done + timescale - warmup) / timescale)
        return peak

    return at


def adamw(model: PreTrainedModel, *, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over the trainable weights; norms and biases (one-dimensional) do not decay."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, fused=True)
