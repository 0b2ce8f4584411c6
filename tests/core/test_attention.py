"""Shared rows against the plain model, family by family: which layout is chosen, loss, logits and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alma_cli.core.attention import choose_layout, plain_attention
from alma_cli.core.batch import flattened, padded
from alma_cli.core.examples import TokenizedExample
from alma_cli.core.kernels import use_kernels
from alma_cli.core.model import causal_lm_of
from alma_cli.core.objective import labelled_logits, negative_log_likelihood
from tests.core.architectures import (
    EXAMPLES,
    FLATTENED,
    GEMMA3,
    LLAMA,
    MODELS,
    PADDED,
    SIZES,
    MakeModel,
    assert_same_gradients,
    gradients,
    made_of,
    of_family,
    plain_logits,
    plain_loss,
    with_lora,
)

models = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


@pytest.mark.parametrize("make", FLATTENED.values(), ids=FLATTENED.keys())
def test_examples_share_rows_where_our_attention_computes_the_same(make: MakeModel) -> None:
    assert choose_layout(make()) is flattened


@pytest.mark.parametrize("make", PADDED.values(), ids=PADDED.keys())
def test_a_model_with_another_memory_or_attention_keeps_its_own(make: MakeModel) -> None:
    model = make()
    before = causal_lm_of(model).config._attn_implementation

    assert choose_layout(model) is padded
    assert causal_lm_of(model).config._attn_implementation == before


@models
def test_loss_and_gradients_are_the_plain_models(make: MakeModel) -> None:
    model, plain = make(), make()
    use_kernels(model)
    layout = choose_layout(model)
    expected = plain_loss(plain, EXAMPLES)

    loss = negative_log_likelihood(model, layout(EXAMPLES))

    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert_same_gradients(gradients(model, loss), gradients(plain, expected), relative=2e-5)


@models
@torch.no_grad()
def test_logits_are_the_plain_models_at_the_labelled_positions(make: MakeModel) -> None:
    model, plain = make(), make()
    use_kernels(model)
    layout = choose_layout(model)
    in_rows = sorted(EXAMPLES, key=lambda example: example.token_ids) if layout is flattened else EXAMPLES

    logits = labelled_logits(model, layout(EXAMPLES))

    expected = torch.cat([plain_logits(plain, example) for example in in_rows])
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@models
def test_the_padded_layout_without_kernels_is_the_plain_model(make: MakeModel) -> None:
    model, plain = make(), make()
    expected = plain_loss(plain, EXAMPLES)

    loss = negative_log_likelihood(model, padded(EXAMPLES))

    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert_same_gradients(gradients(model, loss), gradients(plain, expected), relative=2e-5)


@models
def test_gradient_checkpointing_changes_nothing(make: MakeModel) -> None:
    model = make()
    use_kernels(model)
    batch = choose_layout(model)(EXAMPLES)
    expected = gradients(model, negative_log_likelihood(model, batch))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()  # transformers checkpoints in training only
    without_dropout(model)

    assert_same_gradients(gradients(model, negative_log_likelihood(model, batch)), expected)


@pytest.mark.parametrize("make", [LLAMA, GEMMA3], ids=["full", "window"])
def test_examples_too_long_to_write_out_the_products_give_the_same(make: MakeModel) -> None:
    model, plain = make(), make()
    use_kernels(model)
    long = made_of((515, 500), (70, 0))
    examples = [*long, TokenizedExample((*long[0].token_ids[:510], 5, 6), 400)]
    expected = plain_loss(plain, examples)

    loss = negative_log_likelihood(model, choose_layout(model)(examples))

    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert_same_gradients(gradients(model, loss), gradients(plain, expected), relative=1e-4)


def test_a_window_that_a_model_does_not_tell_its_attention_of_is_kept() -> None:
    # Phi-MoE makes a mask of its window and calls its attention without; our few tokens would not show the difference.
    make = of_family("PhimoeForCausalLM", **SIZES, sliding_window=9, num_local_experts=2)
    model, plain = make(), make()

    layout = choose_layout(model)

    assert layout is padded
    torch.testing.assert_close(
        negative_log_likelihood(model, layout(EXAMPLES)), plain_loss(plain, EXAMPLES), rtol=1e-5, atol=0
    )


def test_in_bf16_the_loss_is_that_of_fp32_to_its_rounding() -> None:
    model, plain = LLAMA().to(torch.bfloat16), LLAMA()
    use_kernels(model)

    loss = negative_log_likelihood(model, choose_layout(model)(EXAMPLES))

    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, plain_loss(plain, EXAMPLES), rtol=2e-2, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_choosing_a_layout_leaves_mode_and_random_numbers_as_they_were(training: bool) -> None:
    model = with_lora(LLAMA, dropout=0.5)().train(training)
    torch.manual_seed(3)
    before = torch.get_rng_state()

    assert choose_layout(model) is flattened

    assert {module.training for module in model.modules()} == {training}
    torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)


def test_a_model_with_our_attention_still_generates_with_its_own() -> None:
    model, plain = LLAMA(), LLAMA()
    choose_layout(model)
    prompt = torch.tensor([EXAMPLES[0].token_ids])

    with plain_attention(model):
        given = greedy(model, prompt)

    torch.testing.assert_close(given, greedy(plain, prompt))
    assert model.config._attn_implementation not in ("sdpa", "eager")
    torch.testing.assert_close(
        negative_log_likelihood(model, flattened(EXAMPLES)), plain_loss(plain, EXAMPLES), rtol=1e-5, atol=0
    )


def greedy(model: torch.nn.Module, prompt: Tensor) -> Tensor:
    return model.generate(prompt, max_new_tokens=5, do_sample=False)


def without_dropout(model: torch.nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
