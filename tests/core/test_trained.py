"""Master weights and optimizers: nothing is lost to bf16, and a checkpoint brings all of it back."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from alma_cli.core.batch import padded
from alma_cli.core.objective import negative_log_likelihood
from alma_cli.core.trained import TrainedWeights, adamw
from tests.core.architectures import EXAMPLES, LLAMA, SIZES, of_family, with_lora

BF16 = torch.bfloat16
# Its matrices have 4096 numbers and more: the moments of smaller ones are never kept in 8 bits.
WIDE = of_family("LlamaForCausalLM", **{**SIZES, "hidden_size": 64, "intermediate_size": 128})


class Trainee:
    """A model that takes one AdamW step after another on the same examples."""

    def __init__(self, model: PreTrainedModel, *, eight_bit: bool = False) -> None:
        self.model = model
        self.weights = TrainedWeights(model)
        self.optimizer = adamw(self.weights, weight_decay=0.01, eight_bit=eight_bit)

    def step(self, learning_rate: float = 1e-3) -> float:
        loss = negative_log_likelihood(self.model, padded(EXAMPLES))
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.weights.update_model()
        return loss.item()


# --- master weights ---------------------------------------------------------------------------------------------


def test_fp32_weights_are_their_own_masters() -> None:
    model = LLAMA()

    weights = TrainedWeights(model)

    assert [id(master) for master in weights.masters.values()] == [id(p) for p in model.parameters()]


def test_bf16_weights_have_masters_in_fp32_shared_ones_once() -> None:
    model = LLAMA().to(BF16)

    weights = TrainedWeights(model)

    assert {master.dtype for master in weights.masters.values()} == {torch.float32}
    assert "model.embed_tokens.weight" in weights.masters
    assert "lm_head.weight" not in weights.masters  # the embeddings are the output layer


def test_under_lora_only_the_adapters_are_trained_weights() -> None:
    assert all("lora_" in name for name in TrainedWeights(with_lora(LLAMA)()).masters)


def test_micro_batches_gradients_are_added_in_fp32() -> None:
    # 256 + 1 is 256 in bf16, whose next number is 258; eight small micro-batches after a large one would be lost.
    layer = torch.nn.Linear(1, 1, bias=False).to(BF16)
    weights = TrainedWeights(layer)  # type: ignore[arg-type]

    for gradient in [256.0] + [1.0] * 8:
        (layer(torch.ones(1, 1, dtype=BF16)) * gradient).backward()

    assert weights.masters["weight"].grad.item() == 264.0
    assert layer.weight.grad is None


def test_updates_smaller_than_bf16_can_hold_add_up() -> None:
    # Around 1 bf16 goes in steps of 2^-8 or 2^-7; 100 steps of 1e-4 are 1e-2, each alone would be rounded away.
    layer = torch.nn.Linear(1, 1, bias=False).to(BF16)
    layer.weight.data.fill_(1.0)
    weights = TrainedWeights(layer)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD(weights.masters.values(), lr=1e-4)

    for _ in range(100):
        layer(torch.ones(1, 1, dtype=BF16)).backward()
        optimizer.step()
        optimizer.zero_grad()
        weights.update_model()

    assert weights.masters["weight"].item() == pytest.approx(0.99, abs=1e-5)
    assert layer.weight.item() == torch.tensor(0.99, dtype=BF16).item()


def test_in_bf16_a_model_learns_what_it_learns_in_fp32() -> None:
    rounded, exact = Trainee(LLAMA().to(BF16)), Trainee(LLAMA())

    losses = [(rounded.step(), exact.step()) for _ in range(20)]

    assert losses[-1][1] < 0.8 * losses[0][1]
    assert losses[-1][0] == pytest.approx(losses[-1][1], rel=0.03)


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
def test_forgotten_gradients_are_gone_wherever_they_were(dtype: torch.dtype) -> None:
    model = LLAMA().to(dtype)
    weights = TrainedWeights(model)
    negative_log_likelihood(model, padded(EXAMPLES)).backward()
    # As after a backward pass that broke off for want of memory between the two.
    model.model.norm.weight.grad = torch.ones_like(model.model.norm.weight)

    weights.forget_gradients()

    assert all(weight.grad is None for weight in (*weights.masters.values(), *model.parameters()))


# --- checkpoints ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
@pytest.mark.parametrize("eight_bit", [True, False])
def test_a_checkpoint_brings_weights_and_optimizer_back_bit_for_bit(dtype: torch.dtype, eight_bit: bool) -> None:
    trainee = Trainee(WIDE().to(dtype), eight_bit=eight_bit)
    for _ in range(3):
        trainee.step()
    kept = {name: value.clone() for name, value in trainee.weights.state().items()}
    moments = trainee.weights.optimizer_state(trainee.optimizer)
    expected = [trainee.step() for _ in range(3)]
    resumed = Trainee(WIDE().to(dtype), eight_bit=eight_bit)

    resumed.weights.load(kept)
    resumed.weights.load_optimizer_state(resumed.optimizer, moments)

    again = resumed.weights.optimizer_state(resumed.optimizer)
    torch.testing.assert_close(again, moments, rtol=0, atol=0)
    assert [resumed.step() for _ in range(3)] == expected


def test_a_checkpoint_of_other_weights_is_refused() -> None:
    with pytest.raises(AssertionError, match="lora_A"):
        TrainedWeights(LLAMA()).load(TrainedWeights(with_lora(LLAMA)()).state())


# --- AdamW ------------------------------------------------------------------------------------------------------


def test_eight_bit_moments_train_as_those_in_fp32_do() -> None:
    small, exact = Trainee(WIDE(), eight_bit=True), Trainee(WIDE())

    losses = [(small.step(), exact.step()) for _ in range(20)]

    kept = small.weights.optimizer_state(small.optimizer)
    assert kept["model.layers.0.mlp.up_proj.weight//state1"].dtype == torch.uint8
    assert losses[-1][1] < 0.8 * losses[0][1]
    assert losses[-1][0] == pytest.approx(losses[-1][1], rel=0.05)


@pytest.mark.parametrize("eight_bit", [True, False])
def test_matrices_decay_and_norms_do_not(eight_bit: bool) -> None:
    weights = TrainedWeights(LLAMA())

    decayed, spared = adamw(weights, weight_decay=0.1, eight_bit=eight_bit).param_groups

    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {parameter.ndim for parameter in decayed["params"]} == {2}
    assert {parameter.ndim for parameter in spared["params"]} == {1}
    assert len(decayed["params"]) + len(spared["params"]) == len(weights.masters)


def test_frozen_weights_are_not_the_optimizers() -> None:
    model = LLAMA().requires_grad_(False)
    model.lm_head.weight.requires_grad = True

    [group] = adamw(TrainedWeights(model), weight_decay=0.1).param_groups

    assert [id(parameter) for parameter in group["params"]] == [id(model.lm_head.weight)]
