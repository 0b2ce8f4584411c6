"""One step is one gradient, however it is cut and whenever memory runs out; what a step reports; learning rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, get_scheduler

from alma_cli.core.attention import choose_layout
from alma_cli.core.batch import Batch, Layout, padded
from alma_cli.core.examples import TokenizedExample
from alma_cli.core.kernels import use_kernels
from alma_cli.core.loop import MicroBatchHalved, StepReport, learning_rate_schedule, mean_loss, train_steps
from alma_cli.core.objective import SummedLoss, negative_log_likelihood
from alma_cli.core.processes import Processes
from alma_cli.core.trained import TrainedWeights, adamw
from alma_cli.errors import MemoryExhausted, UsageError
from tests.core.architectures import (
    GEMMA2_CAPPED,
    GEMMA3,
    LLAMA,
    MakeModel,
    assert_same_gradients,
    gradients,
    plain_loss,
    with_lora,
)
from tests.tiny import tiny_llama

# 32 examples of 9 tokens, 2 to 5 of them labels: a mean of the micro-batches' means would weigh them wrongly.
EXAMPLES = [TokenizedExample(tuple((n * 5 + i * (n + 3)) % 61 for i in range(9)), 4 + n % 4) for n in range(32)]
TOKENS = 32 * 9
TARGET_TOKENS = sum(example.target_tokens for example in EXAMPLES)


def train(
    model: PreTrainedModel,
    steps: int = 1,
    *,
    loss_of: SummedLoss | None = None,
    rate: float = 1e-3,
    examples: Sequence[TokenizedExample] = EXAMPLES,
    **options: Any,
) -> list[StepReport | MicroBatchHalved]:
    """Steps of the same examples; with AdamW, unless told otherwise."""
    weights = TrainedWeights(model)
    settings: dict[str, Any] = {
        "weights": weights,
        "optimizer": adamw(weights, weight_decay=0.01),
        "learning_rate_at": lambda step: rate,
        "max_gradient_norm": math.inf,
        "tokens_per_micro_batch": TOKENS,
        "layout": padded,
        "processes": Processes(),
    }
    numbered = [(step, examples) for step in range(1, steps + 1)]
    return list(train_steps(loss_of or SummedLoss(model, negative_log_likelihood), numbered, **{**settings, **options}))


def plain_descent(model: PreTrainedModel, momentum: float = 0.0) -> torch.optim.SGD:
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0, momentum=momentum)


def values(model: PreTrainedModel) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


# --- one step, one gradient -------------------------------------------------------------------------------------


@pytest.mark.parametrize("micro_batches", [1, 2, 8, 32])
@pytest.mark.parametrize("as_trained", [True, False], ids=["kernels, shared rows", "plain, padded"])
@pytest.mark.parametrize("make", [LLAMA, with_lora(LLAMA), GEMMA3], ids=["LLaMA", "LLaMA with LoRA", "Gemma 3"])
def test_micro_batches_give_the_gradient_of_the_plain_models_one_big_batch(
    make: MakeModel, as_trained: bool, micro_batches: int
) -> None:
    # SGD's momentum buffer holds, after the first step, exactly the gradient that the step was given.
    model, plain = make(), make()
    expected = plain_loss(plain, EXAMPLES) / TARGET_TOKENS
    if as_trained:
        use_kernels(model)
    layout = choose_layout(model) if as_trained else padded
    optimizer = plain_descent(model, momentum=0.9)

    [report] = train(model, optimizer=optimizer, tokens_per_micro_batch=TOKENS // micro_batches, layout=layout)

    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    given = {name: optimizer.state[parameter]["momentum_buffer"] for name, parameter in trained.items()}
    assert isinstance(report, StepReport)
    assert report.loss == pytest.approx(expected.item(), rel=1e-5)
    assert_same_gradients(given, gradients(plain, expected), relative=1e-5)


def test_a_step_reports_what_it_did() -> None:
    model = LLAMA()
    loss = plain_loss(model, EXAMPLES).item()

    first, second = train(model, 2, optimizer=plain_descent(model), learning_rate_at=lambda step: 1e-9 * step)

    assert isinstance(first, StepReport)
    assert isinstance(second, StepReport)
    assert (first.step, second.step) == (1, 2)
    assert (first.learning_rate, second.learning_rate) == (1e-9, 2e-9)
    assert (first.target_tokens, first.tokens) == (TARGET_TOKENS, TOKENS)
    assert first.loss == pytest.approx(loss / TARGET_TOKENS, rel=1e-5)
    assert first.seconds > 0


def test_gradients_are_scaled_down_to_the_norm_and_reported_before() -> None:
    model = LLAMA()
    start = values(model)

    [report] = train(model, rate=1.0, optimizer=plain_descent(model), max_gradient_norm=0.01)

    moved = torch.cat([(b - a).flatten() for a, b in zip(values(model), start, strict=True)])
    assert isinstance(report, StepReport)
    assert report.gradient_norm > 0.01
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_falls_on_a_tiny_set(dtype: torch.dtype) -> None:
    model = tiny_llama(vocabulary=61).to(dtype)

    reports = train(model, 30, rate=1e-2)

    losses = [report.loss for report in reports if isinstance(report, StepReport)]
    assert losses[0] == pytest.approx(math.log(61), rel=0.05)  # random weights know nothing: ln of the vocabulary
    assert losses[-1] < 0.5 * losses[0]


# --- numbers that are none --------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched() -> None:
    model = LLAMA()
    with torch.no_grad():
        model.model.norm.weight[0] = math.nan
    before = values(model)

    with pytest.raises(UsageError) as caught:
        train(model)

    assert str(caught.value) == "the loss is nan at step 1 (lower stages.*.learning_rate)"
    torch.testing.assert_close(values(model), before, rtol=0, atol=0, equal_nan=True)


def test_an_infinite_gradient_stops_before_the_weights_are_touched() -> None:
    class Overflowing(SummedLoss):
        """A finite loss whose gradient overflows."""

        def forward(self, batch: Batch) -> Tensor:
            loss = super().forward(batch)
            loss.register_hook(lambda gradient: gradient * math.inf)
            return loss

    model = LLAMA()
    before = values(model)

    with pytest.raises(UsageError) as caught:
        train(model, loss_of=Overflowing(model, negative_log_likelihood))

    assert str(caught.value).startswith("the gradient norm is ")
    assert str(caught.value).endswith(" at step 1 (lower stages.*.learning_rate)")
    torch.testing.assert_close(values(model), before, rtol=0, atol=0)


def test_the_error_names_the_step_that_failed() -> None:
    model = LLAMA()

    with pytest.raises(UsageError, match=r"^the loss is nan at step 2 "):
        train(model, 3, optimizer=plain_descent(model), rate=math.nan)


# --- out of memory ----------------------------------------------------------------------------------------------


class LittleMemory(SummedLoss):
    """Runs out of memory, as torch says it, on micro-batches of more than so many tokens; with `late`, after their
    backward pass has left its gradients."""

    def __init__(self, model: PreTrainedModel, *, most_tokens: int, late: bool = False) -> None:
        super().__init__(model, negative_log_likelihood)
        self.most_tokens = most_tokens
        self.late = late
        self.seen: list[int] = []

    def forward(self, batch: Batch) -> Tensor:
        self.seen.append(batch.tokens)
        loss = super().forward(batch)
        if batch.tokens > self.most_tokens:
            if self.late:
                loss.backward()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
        return loss


@pytest.mark.parametrize("late", [True, False], ids=["after a backward pass", "in a forward pass"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("budget", [TOKENS, 100 * TOKENS], ids=["exact", "more than there is"])
def test_a_step_that_ran_out_of_memory_is_done_again_in_halves(budget: int, dtype: torch.dtype, late: bool) -> None:
    little, enough = LLAMA().to(dtype), LLAMA().to(dtype)
    loss_of = LittleMemory(little, most_tokens=TOKENS // 4, late=late)

    *halved, first, second = train(little, 2, loss_of=loss_of, tokens_per_micro_batch=budget)

    expected_first, expected_second = train(enough, 2, tokens_per_micro_batch=TOKENS // 4)
    assert halved == [MicroBatchHalved(1, TOKENS // 2), MicroBatchHalved(1, TOKENS // 4)]
    assert loss_of.seen == [TOKENS, TOKENS // 2] + [TOKENS // 4] * 8  # two failures, then four for each step
    for given, wanted in ((first, expected_first), (second, expected_second)):
        assert isinstance(given, StepReport)
        assert isinstance(wanted, StepReport)
        assert (given.loss, given.gradient_norm) == (wanted.loss, wanted.gradient_norm)
    torch.testing.assert_close(values(little), values(enough), rtol=0, atol=0)


def test_a_run_that_ran_out_of_memory_ends_where_one_that_never_did_ends() -> None:
    little, enough = LLAMA(), LLAMA()
    loss_of = LittleMemory(little, most_tokens=TOKENS // 3)

    *_, given = train(little, 3, loss_of=loss_of, optimizer=plain_descent(little), rate=1e-5)

    *_, wanted = train(enough, 3, optimizer=plain_descent(enough), rate=1e-5)
    assert isinstance(given, StepReport)
    assert isinstance(wanted, StepReport)
    assert given.loss == pytest.approx(wanted.loss, rel=1e-6)
    torch.testing.assert_close(values(little), values(enough), rtol=1e-6, atol=1e-6)


def test_a_step_done_again_has_the_random_numbers_it_would_have_had() -> None:
    make = with_lora(LLAMA, dropout=0.5)
    little, enough = make(), make()
    for model in (little, enough):
        use_kernels(model)
    torch.manual_seed(4)
    *_, given = train(little, loss_of=LittleMemory(little, most_tokens=TOKENS // 2))
    torch.manual_seed(4)

    [wanted] = train(enough, tokens_per_micro_batch=TOKENS // 2)

    assert isinstance(given, StepReport)
    assert isinstance(wanted, StepReport)
    assert given.loss == wanted.loss


def test_memory_that_does_not_hold_one_example_is_exhausted() -> None:
    model = LLAMA()
    before = values(model)
    loss_of = LittleMemory(model, most_tokens=8)

    with pytest.raises(MemoryExhausted) as caught:
        train(model, loss_of=loss_of)

    # 32 examples, 16, 8, 4, 2 and one of 9 tokens
    assert loss_of.seen == [288, 144, 72, 36, 18, 9]
    assert str(caught.value) == (
        "out of memory (lower the stage's tokens_per_micro_batch, or set gradient_checkpointing = true)"
    )
    torch.testing.assert_close(values(model), before, rtol=0, atol=0)


def test_another_error_is_no_lack_of_memory() -> None:
    class Broken(SummedLoss):
        def forward(self, batch: Batch) -> Tensor:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    model = LLAMA()

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(model, loss_of=Broken(model, negative_log_likelihood))


# --- validation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 30, 10_000])
@pytest.mark.parametrize("make", [LLAMA, GEMMA2_CAPPED], ids=["flattened", "padded"])
def test_validation_loss_does_not_depend_on_the_batches(budget: int, make: MakeModel) -> None:
    model, plain = make(), make()
    expected = plain_loss(plain, EXAMPLES).item() / TARGET_TOKENS

    loss = validate(model, tokens_per_micro_batch=budget, layout=choose_layout(model))

    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_validation_leaves_the_model_as_it_was(training: bool) -> None:
    model = LLAMA().train(training)

    validate(model, training=training)

    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


def validate(
    model: PreTrainedModel, *, tokens_per_micro_batch: int = TOKENS, layout: Layout = padded, training: bool = True
) -> float:
    loss_of = SummedLoss(model, negative_log_likelihood).train(training)
    return mean_loss(
        loss_of,
        EXAMPLES,
        tokens_per_micro_batch=tokens_per_micro_batch,
        layout=layout,
        processes=Processes(),
    )


# --- learning rates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 7, 100])
@pytest.mark.parametrize("warmup_ratio", [0.0, 0.01, 0.07, 0.5])
@pytest.mark.parametrize(
    ("kind", "in_transformers"),
    [("cosine", "cosine"), ("inverse_sqrt", "inverse_sqrt"), ("constant", "constant_with_warmup")],
)
def test_learning_rates_are_those_of_transformers(
    kind: str, in_transformers: str, warmup_ratio: float, steps: int
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-3)
    warmup = math.ceil(steps * warmup_ratio)  # TrainingArguments.get_warmup_steps
    scheduler = get_scheduler(in_transformers, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    used = []
    for _ in range(steps):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    ours = learning_rate_schedule(kind, peak=2e-3, steps=steps, warmup_ratio=warmup_ratio)

    assert [ours(step) for step in range(1, steps + 1)] == pytest.approx(used, rel=1e-9, abs=1e-15)
