"""One step is one gradient, however it is cut; learning rates as transformers has them; what a step reports."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, get_scheduler

from alma_cli.core.examples import Batch, TokenizedExample, collate, micro_batches
from alma_cli.core.loop import StepReport, adamw, learning_rate_schedule, mean_loss, train_steps
from alma_cli.core.objective import negative_log_likelihood
from alma_cli.errors import UsageError
from tests.tiny import tiny_llama

# Eight examples of 2 to 9 labelled tokens: a mean of the micro-batches' means would weigh them wrongly.
EXAMPLES = [TokenizedExample(tuple((n * 5 + i * 3) % 259 for i in range(6 + n)), 4) for n in range(8)]


def cut(count: int) -> list[Batch]:
    """The eight examples as so many micro-batches."""
    size = 8 // count
    return [collate(EXAMPLES[start : start + size]) for start in range(0, 8, size)]


def train(model: PreTrainedModel, steps: list[list[Batch]], **options: Any) -> list[StepReport]:
    settings: dict[str, Any] = {
        "objective": negative_log_likelihood,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.0),
        "learning_rate_at": lambda step: 1.0,
        "max_gradient_norm": math.inf,
        "autocast": nullcontext,
    }
    return list(train_steps(model, enumerate(steps, 1), **{**settings, **options}))


@pytest.mark.parametrize("count", [1, 2, 8])
def test_micro_batches_give_the_gradient_of_the_one_big_batch(count: int) -> None:
    # SGD's momentum buffer holds, after the first step, exactly the gradient that the step was given.
    model, reference = tiny_llama(), tiny_llama()
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    whole = collate(EXAMPLES)
    logits = reference(input_ids=whole.input_ids, attention_mask=whole.attention_mask).logits
    torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), whole.labels[:, 1:].flatten()).backward()

    [report] = train(model, [cut(count)], optimizer=optimizer)

    for trained, expected in zip(model.parameters(), reference.parameters(), strict=True):
        largest = expected.grad.abs().max().item()
        given = optimizer.state[trained]["momentum_buffer"]
        torch.testing.assert_close(given, expected.grad, rtol=1e-5, atol=1e-5 * largest)
    assert report.target_tokens == sum(2 + n for n in range(8))


@pytest.mark.parametrize("count", [2, 8])
def test_an_adamw_step_is_the_same_however_it_is_cut(count: int) -> None:
    big, small = tiny_llama(), tiny_llama()

    [one] = train(big, [cut(1)], optimizer=adamw(big, weight_decay=0.01), learning_rate_at=lambda step: 1e-3)
    [many] = train(small, [cut(count)], optimizer=adamw(small, weight_decay=0.01), learning_rate_at=lambda step: 1e-3)

    assert many.loss == pytest.approx(one.loss, rel=1e-5)
    assert many.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-5)
    # Adam divides by the gradient's own size, so where it is nearly 0 its rounding shows: 1e-2 of the rate of 1e-3.
    for ours, other in zip(small.parameters(), big.parameters(), strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-5)


def test_a_step_reports_what_it_did() -> None:
    model = tiny_llama()
    loss = negative_log_likelihood(model, collate(EXAMPLES)).item()

    first, second = train(model, [cut(2), cut(2)], learning_rate_at=lambda step: 0.25 * step)

    assert (first.step, second.step) == (1, 2)
    assert (first.learning_rate, second.learning_rate) == (0.25, 0.5)
    assert first.target_tokens == 44  # 2 + 3 + ... + 9
    assert first.tokens == 76  # 6 + 7 + ... + 13
    assert first.loss == pytest.approx(loss / 44, rel=1e-5)
    assert first.seconds > 0


def test_gradients_are_scaled_down_to_the_norm_and_reported_before() -> None:
    model, start = tiny_llama(), tiny_llama()

    [report] = train(model, [cut(1)], max_gradient_norm=0.01)

    moved = torch.cat([(b - a).flatten() for a, b in zip(model.parameters(), start.parameters(), strict=True)])
    assert report.gradient_norm > 0.01
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_loss_falls_on_a_tiny_set() -> None:
    model = tiny_llama()

    losses = [
        report.loss
        for report in train(
            model, [cut(1)] * 30, optimizer=adamw(model, weight_decay=0.0), learning_rate_at=lambda step: 1e-2
        )
    ]

    assert losses[0] == pytest.approx(math.log(259), rel=0.05)  # random weights know nothing: ln of the vocabulary
    assert losses[-1] < 0.5 * losses[0]


def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched() -> None:
    model = tiny_llama()
    with torch.no_grad():
        model.model.norm.weight[0] = math.nan
    before = [parameter.clone() for parameter in model.parameters()]

    with pytest.raises(UsageError) as caught:
        train(model, [cut(1)])

    assert str(caught.value) == "the loss is nan at step 1 (lower stages.*.learning_rate)"
    for parameter, start in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, start, rtol=0, atol=0, equal_nan=True)


def test_the_error_names_the_step_that_failed() -> None:
    model = tiny_llama()

    with pytest.raises(UsageError, match=r"^the loss is nan at step 2 "):
        train(model, [cut(1)] * 3, learning_rate_at=lambda step: math.nan)


# --- validation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 30, 10_000])
def test_validation_loss_does_not_depend_on_the_batches(budget: int) -> None:
    model = tiny_llama()
    expected = negative_log_likelihood(model, collate(EXAMPLES)).item() / 44

    loss = mean_loss(model, micro_batches(EXAMPLES, budget), objective=negative_log_likelihood, autocast=nullcontext)

    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_validation_leaves_the_model_as_it_was(training: bool) -> None:
    model = tiny_llama().train(training)

    mean_loss(model, cut(1), objective=negative_log_likelihood, autocast=nullcontext)

    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


# --- learning rates and decay -----------------------------------------------------------------------------------


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


def test_matrices_decay_and_norms_do_not() -> None:
    model = tiny_llama()

    decayed, spared = adamw(model, weight_decay=0.1).param_groups

    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {parameter.ndim for parameter in decayed["params"]} == {2}
    assert {parameter.ndim for parameter in spared["params"]} == {1}
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_frozen_weights_are_not_the_optimizers() -> None:
    model = tiny_llama().requires_grad_(False)
    model.lm_head.weight.requires_grad = True

    [group] = adamw(model, weight_decay=0.1).param_groups

    assert [id(parameter) for parameter in group["params"]] == [id(model.lm_head.weight)]
