"""The training loop: examples in, one StepReport per optimizer step out; it knows no stage and no screen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from alma_cli.core.batch import Batch, Layout, micro_batches
from alma_cli.core.examples import TokenizedExample
from alma_cli.core.flops import Flops
from alma_cli.core.process import explained_memory_errors, peak_memory_gib
from alma_cli.core.processes import Processes, whole
from alma_cli.core.trained import TrainedWeights
from alma_cli.errors import MemoryExhausted, UsageError

if TYPE_CHECKING:
    from alma_cli.core.objective import SummedLoss

_WHEN_MEMORY_ENDS = "lower the stage's tokens_per_micro_batch, or set gradient_checkpointing = true"


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
    memory_gib: float | None = None  # the process's peak in this stage: resident on a CPU, allocated on a GPU
    flops: float | None = None  # useful floating-point operations of the step


@dataclass(frozen=True)
class MicroBatchHalved:
    """Memory ran out in the step; it is done again with micro-batches of `tokens`."""

    step: int
    tokens: int


def train_steps(
    loss_of: SummedLoss,
    steps: Iterable[tuple[int, Sequence[TokenizedExample]]],
    *,
    weights: TrainedWeights,
    optimizer: torch.optim.Optimizer,
    learning_rate_at: Callable[[int], float],
    max_gradient_norm: float,
    tokens_per_micro_batch: int,
    layout: Layout,
    processes: Processes,
) -> Iterator[StepReport | MicroBatchHalved]:
    """Train on numbered steps of examples; the gradient is of the sum over the step's target tokens over their number,
    however they are cut into micro-batches and dealt out to processes.

    Where memory runs out the micro-batches are halved and the step is done again. Raises MemoryExhausted when they
    cannot be halved any more, UsageError when loss or gradient are no longer numbers.
    """
    masters = list(weights.masters.values())
    flops = Flops.of(loss_of.model, compared=loss_of.compared_tokens)
    loss_of.train()
    for step, examples in steps:
        started = time.perf_counter()
        loss_of.begin(step)
        target_tokens = sum(example.target_tokens for example in examples)
        while True:
            batches = micro_batches(examples, tokens_per_micro_batch, layout)
            before = random_state()
            try:
                total = _accumulate(loss_of, processes.share(batches), 1 / target_tokens)
                break
            except MemoryExhausted:
                # The other processes wait for this one in the middle of the step: they cannot halve theirs, too.
                if processes.count > 1 or len(batches) == len(examples):
                    raise
            weights.forget_gradients()
            set_random_state(before)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            # Of what the largest one had: with the budget alone, halving might cut the same batches again.
            tokens_per_micro_batch = min(tokens_per_micro_batch, max(batch.tokens for batch in batches)) // 2
            yield MicroBatchHalved(step, tokens_per_micro_batch)
        (total,) = processes.summed(total)
        processes.sum_gradients(masters)
        gradient_norm = whole(torch.nn.utils.clip_grad_norm_(masters, max_gradient_norm)).item()
        if not (math.isfinite(total) and math.isfinite(gradient_norm)):
            what = f"the loss is {total}" if not math.isfinite(total) else f"the gradient norm is {gradient_norm}"
            raise UsageError(f"{what} at step {step}", hint="lower stages.*.learning_rate")
        learning_rate = learning_rate_at(step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        weights.update_model()
        tokens = sum(len(example.token_ids) for example in examples)
        yield StepReport(
            step,
            total / target_tokens,
            learning_rate,
            gradient_norm,
            target_tokens,
            tokens,
            time.perf_counter() - started,
            memory_gib=peak_memory_gib(),
            flops=flops.useful(tokens, target_tokens),
        )


def _accumulate(loss_of: SummedLoss, batches: Iterable[Batch], scale: float) -> float:
    """Add the gradients of `scale` times the batches' loss, and return the loss, summed and unscaled."""
    total = 0.0
    for batch in batches:
        with explained_memory_errors(_WHEN_MEMORY_ENDS):
            loss = loss_of(batch.to(loss_of.device))
            (loss * scale).backward()
            total += loss.item()
    return total


@torch.no_grad()
def mean_loss(
    loss_of: SummedLoss,
    examples: Sequence[TokenizedExample],
    *,
    tokens_per_micro_batch: int,
    layout: Layout,
    processes: Processes,
) -> float:
    """Validation loss: nats per target token over all examples; the model is left in training mode as it was."""
    was_training = loss_of.training
    loss_of.eval()
    total = 0.0
    for batch in processes.share(micro_batches(examples, tokens_per_micro_batch, layout)):
        with explained_memory_errors(_WHEN_MEMORY_ENDS):
            total += loss_of(batch.to(loss_of.device)).item()
    loss_of.train(was_training)
    (total,) = processes.summed(total)
    target_tokens = sum(example.target_tokens for example in examples)
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


def random_state() -> list[torch.Tensor]:
    """The state of this process's random numbers: the host's, then its GPU's."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]


def set_random_state(state: Sequence[torch.Tensor]) -> None:
    """Put it back."""
    torch.set_rng_state(state[0])
    if torch.cuda.is_available() and len(state) > 1:
        torch.cuda.set_rng_state(state[1])
