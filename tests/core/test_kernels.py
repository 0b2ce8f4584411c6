"""Backward passes written by hand against autograd's, dropout, and what is left to the libraries."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from alma_cli.core.attention import choose_layout
from alma_cli.core.batch import padded
from alma_cli.core.kernels import (
    _dropout_mask,
    _gated_unit_forward,
    _lora_forward,
    _LoraLinear,
    _norm_forward,
    order_for_few_rows,
    use_kernels,
)
from alma_cli.core.model import Precision, add_lora, load_model
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.objective import negative_log_likelihood
from alma_cli.core.recipe import ParallelStage
from tests.core.architectures import (
    EXAMPLES,
    GEMMA3,
    LLAMA,
    SIZES,
    MakeModel,
    assert_same_gradients,
    gradients,
    of_family,
    with_lora,
)

QWEN2 = of_family("Qwen2ForCausalLM", **SIZES)  # its queries, keys and values have biases


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.to(dtype).requires_grad_()


def lora_layer(model: PreTrainedModel, name: str = "q_proj") -> Any:
    return next(module for path, module in model.named_modules() if path.endswith(name) and hasattr(module, "lora_A"))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (LLAMA, ["gated unit", "norm"]),
        (GEMMA3, ["gated unit", "norm"]),
        (with_lora(LLAMA), ["gated unit", "lora", "norm"]),
    ],
    ids=["LLaMA", "Gemma 3", "LLaMA with LoRA"],
)
def test_what_is_replaced_is_named(make: MakeModel, expected: list[str]) -> None:
    assert use_kernels(make()) == expected


def test_on_a_gpu_only_lora_is_replaced() -> None:
    assert use_kernels(with_lora(LLAMA)(), device=torch.device("cuda")) == ["lora"]


# --- LoRA -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_mask", [True, False])
@pytest.mark.parametrize("with_bias", [True, False])
def test_the_gradients_of_lora_are_those_of_its_expression(with_bias: bool, with_mask: bool) -> None:
    x, a, b = drawn(2, 3, 5), drawn(2, 5, seed=1), drawn(4, 2, seed=2)
    weight, bias = drawn(4, 5, seed=3).detach(), drawn(4, seed=4).detach() if with_bias else None
    kept = torch.tensor([0.0, 2.0] * 15, dtype=torch.float64).view(6, 5) if with_mask else None

    def ours(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return _LoraLinear.apply(x, lambda: weight, bias, a, b, 0.5, kept, None)

    dropped = x if kept is None else x * kept.view_as(x)
    expected = torch.nn.functional.linear(x, weight, bias) + 0.5 * dropped @ a.T @ b.T

    torch.testing.assert_close(ours(x, a, b), expected)
    given = torch.autograd.grad(ours(x, a, b).square().sum(), (x, a, b))
    # A and B are given their gradients in fp32, as they are kept.
    torch.testing.assert_close(given, torch.autograd.grad(expected.square().sum(), (x, a, b)), rtol=1e-5, atol=1e-5)
    assert torch.autograd.gradcheck(lambda x: ours(x, a, b), (x,))


def test_an_input_made_again_gives_the_gradients_of_one_kept() -> None:
    gate, up, a, b = drawn(6, 5), drawn(6, 5, seed=5), drawn(2, 5, seed=1), drawn(4, 2, seed=2)
    weight = drawn(4, 5, seed=3).detach()

    def of(make: Any, *parts: Tensor) -> tuple[Tensor, ...]:
        y = _LoraLinear.apply(gate * up, lambda: weight, None, a, b, 0.5, None, make, *parts)
        return torch.autograd.grad(y.square().sum(), (gate, up, a, b))

    torch.testing.assert_close(of(torch.mul, gate, up), of(None), rtol=0, atol=0)


def test_dropout_of_our_lora_is_pefts_in_its_mean() -> None:
    # 4000 draws of a sum of 32 inputs: their mean is within 4 standard errors of what there is without dropout.
    layer = lora_layer(with_lora(LLAMA, dropout=0.25)()).train()
    forward = _lora_forward(layer)
    x = torch.ones(1, 32)
    assert forward is not None
    torch.manual_seed(0)

    draws = torch.cat([forward(x) for _ in range(4000)])

    expected = layer.eval()(x)
    assert draws.std(0).min() > 0
    assert ((draws.mean(0) - expected) / (draws.std(0) / 4000**0.5)).abs().max() < 4


def test_the_mask_is_the_same_forward_and_backward() -> None:
    layer = lora_layer(with_lora(LLAMA, dropout=0.5)()).train()
    forward = _lora_forward(layer)
    x, of_y = drawn(3, 32, dtype=torch.float32), drawn(3, 32, seed=1, dtype=torch.float32).detach()
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    torch.manual_seed(5)
    mask = _dropout_mask(x, 0.5)
    expected = layer.get_base_layer()(x) + layer.scaling["default"] * (x * mask) @ a.T @ b.T
    torch.manual_seed(5)
    assert forward is not None

    given = forward(x)

    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        torch.autograd.grad(given, (x, a, b), of_y),
        torch.autograd.grad(expected, (x, a, b), of_y),
        rtol=1e-4,
        atol=1e-4,
    )


def test_gradient_checkpointing_drops_the_same_again() -> None:
    model = with_lora(LLAMA, dropout=0.5)().train()
    use_kernels(model)
    batch = choose_layout(model)(EXAMPLES)
    torch.manual_seed(5)
    expected = gradients(model, negative_log_likelihood(model, batch))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    torch.manual_seed(5)

    assert_same_gradients(gradients(model, negative_log_likelihood(model, batch)), expected)


def test_dropout_is_a_function_of_the_seed_and_never_the_same_twice() -> None:
    x = torch.ones(40, 32)
    torch.manual_seed(0)
    first, second = _dropout_mask(x, 0.3).clone(), _dropout_mask(x, 0.3).clone()
    torch.manual_seed(0)
    again = _dropout_mask(x, 0.3)

    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("probability", [0.05, 0.3, 0.5])
def test_a_mask_drops_its_share_and_keeps_the_mean(probability: float) -> None:
    torch.manual_seed(0)

    mask = _dropout_mask(torch.ones(1000, 500), probability)

    # 500,000 draws: three standard errors of a share are at most 0.0022.
    assert mask.unique().tolist() == pytest.approx([0.0, 1 / (1 - probability)])
    assert (mask == 0).float().mean().item() == pytest.approx(probability, abs=0.0022)
    assert mask.mean().item() == pytest.approx(1.0, abs=0.0045)


def test_evaluation_drops_nothing() -> None:
    model, plain = with_lora(LLAMA, dropout=0.5)(), with_lora(LLAMA)()
    use_kernels(model)

    torch.testing.assert_close(model(torch.tensor([[3, 4, 5]])).logits, plain(torch.tensor([[3, 4, 5]])).logits)


def peft_model(**settings: Any) -> PreTrainedModel:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(**{"r": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM", **settings})
    torch.manual_seed(0)
    return get_peft_model(QWEN2().requires_grad_(False), config)


@pytest.mark.parametrize(
    "settings",
    [{"use_dora": True}, {"target_modules": ["embed_tokens"]}, {"bias": "all"}],
    ids=["DoRA", "embedding", "trained bias"],
)
def test_what_only_peft_knows_stays_pefts(settings: dict[str, Any]) -> None:
    model = peft_model(**settings)

    assert "lora" not in use_kernels(model)


def test_two_adapters_stay_pefts() -> None:
    from peft import LoraConfig

    model = peft_model()
    model.add_adapter("second", LoraConfig(r=2, target_modules=["q_proj"]))

    assert "lora" not in use_kernels(model)


def test_an_adapter_switched_off_or_merged_counts_no_more_than_peft_counts_it() -> None:
    ids = torch.tensor([[3, 4, 5]])
    model, plain = with_lora(LLAMA)(), LLAMA()
    adapted = model(ids).logits
    use_kernels(model)

    with model.disable_adapter():
        torch.testing.assert_close(model(ids).logits, plain(ids).logits)
    model.merge_adapter()
    torch.testing.assert_close(model(ids).logits, adapted, rtol=1e-4, atol=1e-4)


# --- four bits --------------------------------------------------------------------------------------------------


def four_bit(model: Path, dtype: torch.dtype, *targets: str) -> PreTrainedModel:
    loaded = load_model(
        ModelFiles("tiny", model), Precision(torch.device("cpu"), dtype), dtype=dtype, four_bit=True
    ).requires_grad_(False)
    settings = ParallelStage(method="qlora", lora_rank=4, lora_dropout=0.0, lora_targets=targets or ("all-linear",))
    adapted = add_lora(loaded, settings)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data = drawn(*parameter.shape, dtype=torch.float32).detach() * 0.1
    return adapted.eval()


@pytest.mark.parametrize("targets", [(), ("q_proj", "v_proj")], ids=["all layers", "attention only"])
def test_four_bit_layers_compute_what_pefts_do(qlora_model: Path, targets: tuple[str, ...]) -> None:
    ours, pefts = (four_bit(qlora_model, torch.float32, *targets) for _ in range(2))
    assert use_kernels(ours) == ["gated unit", "lora", "norm"]
    batch = padded(EXAMPLES)
    expected = negative_log_likelihood(pefts, batch)

    loss = negative_log_likelihood(ours, batch)

    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert_same_gradients(gradients(ours, loss), gradients(pefts, expected), relative=2e-5)


def test_four_bit_layers_in_bf16_are_as_near_to_fp32_as_pefts(qlora_model: Path) -> None:
    exact, pefts, ours = (four_bit(qlora_model, dtype) for dtype in (torch.float32, torch.bfloat16, torch.bfloat16))
    use_kernels(ours)
    batch = padded(EXAMPLES)
    expected, of_pefts, of_ours = (
        torch.cat([g.flatten() for g in gradients(model, negative_log_likelihood(model, batch)).values()])
        for model in (exact, pefts, ours)
    )

    assert (of_ours - expected).norm() <= 1.2 * (of_pefts - expected).norm()
    assert (of_ours - expected).norm() <= 0.05 * expected.norm()


# --- norms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_class", [LlamaRMSNorm, GemmaRMSNorm])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_and_its_gradients_are_the_librarys(norm_class: Any, dtype: torch.dtype) -> None:
    plain = norm_class(32, eps=1e-6)
    plain.weight.data = drawn(32, seed=1, dtype=torch.float32).detach()
    plain = plain.to(dtype)
    module = copy.deepcopy(plain)
    x, of_y = drawn(2, 5, 32, dtype=dtype), drawn(2, 5, 32, seed=2, dtype=dtype).detach()

    ours = _norm_forward(module)
    assert ours is not None
    expected, given = plain(x), ours(x)

    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(given, expected, rtol=tolerance, atol=tolerance)
    of_plain = torch.autograd.grad(expected, (x, plain.weight), of_y)
    of_ours = torch.autograd.grad(given, (x, module.weight), of_y)
    for gradient, wanted in zip(of_ours, of_plain, strict=True):
        assert (gradient - wanted).float().norm() <= tolerance * wanted.float().norm()


def test_a_norm_that_computes_something_else_is_left_alone() -> None:
    class MeanlessRMSNorm(LlamaRMSNorm):
        def forward(self, hidden_states: Tensor) -> Tensor:
            return super().forward(hidden_states - hidden_states.mean(-1, keepdim=True))

    model = LLAMA()
    model.model.norm = MeanlessRMSNorm(32)

    use_kernels(model)

    assert "forward" not in vars(model.model.norm)
    assert "forward" in vars(model.model.layers[0].input_layernorm)


# --- gated units ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_pytorch_tanh"])
def test_a_gated_unit_and_its_gradients_are_the_librarys(activation: str) -> None:
    from transformers.activations import ACT2FN

    plain = LLAMA().model.layers[0].mlp
    plain.act_fn = ACT2FN[activation]
    plain = plain.double()
    ours = _gated_unit_forward(plain)
    x = drawn(3, 32)

    assert ours is not None
    torch.testing.assert_close(ours(x), plain(x))
    weights = [x, *plain.parameters()]
    of_ours, of_plain = (torch.autograd.grad(f(x).square().sum(), weights) for f in (ours, plain))
    torch.testing.assert_close(of_ours, of_plain)
    assert torch.autograd.gradcheck(ours, (x,))


def test_a_gated_unit_with_another_activation_is_left_alone() -> None:
    unit = LLAMA().model.layers[0].mlp
    unit.act_fn = torch.nn.ReLU()

    assert _gated_unit_forward(unit) is None


@pytest.mark.parametrize("targets", [(), ("gate_proj",), ("down_proj",), ("up_proj", "down_proj")], ids=str)
def test_lora_inside_a_gated_unit_gets_pefts_gradients(targets: tuple[str, ...]) -> None:
    make = with_lora(LLAMA, *targets)
    model, plain = make(), make()
    use_kernels(model)
    batch = choose_layout(model)(EXAMPLES)
    choose_layout(plain)

    expected = gradients(plain, negative_log_likelihood(plain, batch))

    assert_same_gradients(gradients(model, negative_log_likelihood(model, batch)), expected)


# --- the order of weights in memory -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [LLAMA, GEMMA3, QWEN2], ids=["tied", "Gemma", "biases"])
def test_weights_ordered_for_few_rows_are_the_same_weights(make: MakeModel) -> None:
    model, plain = make(), make()

    order_for_few_rows(model)

    weights = [module.weight for module in model.modules() if type(module) is torch.nn.Linear]
    assert weights
    assert all(weight.t().is_contiguous() for weight in weights)
    for (name, ours), expected in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, expected), name
    logits, expected_logits = (one(torch.tensor([[3, 4, 5]])).logits for one in (model, plain))
    torch.testing.assert_close(logits, expected_logits, rtol=1e-5, atol=1e-5)


def test_weights_in_bf16_stay_as_they_are() -> None:
    model = LLAMA().bfloat16()

    order_for_few_rows(model)

    assert all(parameter.is_contiguous() for parameter in model.parameters())
