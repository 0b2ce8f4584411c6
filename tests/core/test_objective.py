"""The loss against the model's own full logits: in chunks, padded, under LoRA, softcapped, with their gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    PreTrainedModel,
)

from alma_cli.core import objective
from alma_cli.core.examples import IGNORED, Batch, TokenizedExample, collate
from alma_cli.core.model import add_lora
from alma_cli.core.objective import labelled_logits, negative_log_likelihood
from alma_cli.core.recipe import ParallelStage
from tests.tiny import tiny_llama

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 2,
    "bos_token_id": 0,
    "eos_token_id": 1,
}

# Targets of 1 to 9 tokens behind prompts of 0 to 12: what a sum of means would get wrong.
EXAMPLES = [
    TokenizedExample(tuple((seed * 7 + i * 3) % 61 for i in range(length)), prompt)
    for seed, (length, prompt) in enumerate([(12, 3), (13, 12), (5, 2), (9, 0), (4, 3), (7, 1)])
]


def gemma2() -> PreTrainedModel:
    torch.manual_seed(0)
    # A cap near the logits' own size, so that leaving it out would show.
    model = Gemma2ForCausalLM(Gemma2Config(**SIZES, final_logit_softcapping=0.5, attn_implementation="eager"))
    return model.eval()


def cohere() -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {key: value for key, value in SIZES.items() if key != "head_dim"}
    return CohereForCausalLM(CohereConfig(**sizes, logit_scale=0.25)).eval()


def granite() -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {key: value for key, value in SIZES.items() if key != "head_dim"}
    return GraniteForCausalLM(GraniteConfig(**sizes, logits_scaling=4.0)).eval()


def llama_with_lora() -> PreTrainedModel:
    model = add_lora(tiny_llama(vocabulary=61), ParallelStage(method="lora", lora_rank=4))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at first, which would hide a bypassed adapter
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


MODELS = {
    "llama": lambda: tiny_llama(vocabulary=61),
    "llama with LoRA": llama_with_lora,
    "gemma2, softcapped": gemma2,
    "cohere, scaled": cohere,
    "granite, scaled": granite,
}
models = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
MakeModel = Callable[[], PreTrainedModel]


def own_logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """(N, V): the model's own full forward, at the positions before a label."""
    full = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.float()
    return full[:, :-1][batch.labels[:, 1:] != IGNORED]


def own_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    targets = batch.labels[:, 1:]
    return torch.nn.functional.cross_entropy(own_logits(model, batch), targets[targets != IGNORED], reduction="sum")


def gradients(model: PreTrainedModel, loss: Tensor) -> dict[str, Tensor]:
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return dict(zip(trained, torch.autograd.grad(loss, list(trained.values()), allow_unused=False), strict=True))


@models
def test_logits_are_the_models_own_at_the_labelled_positions(make: MakeModel) -> None:
    model, batch = make(), collate(EXAMPLES)

    with torch.no_grad():
        logits, expected = labelled_logits(model, batch), own_logits(model, batch)

    assert logits.shape == (batch.target_tokens, 61)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)


@models
def test_loss_is_the_models_own_cross_entropy_summed(make: MakeModel) -> None:
    model, batch = make(), collate(EXAMPLES)

    loss = negative_log_likelihood(model, batch)

    torch.testing.assert_close(loss, own_loss(model, batch), rtol=1e-5, atol=0)
    assert loss.dtype == torch.float32
    assert loss.shape == ()


@models
def test_gradients_are_those_of_the_models_own_loss(make: MakeModel) -> None:
    model, batch = make(), collate(EXAMPLES)

    ours = gradients(model, negative_log_likelihood(model, batch))

    torch.testing.assert_close(ours, gradients(model, own_loss(model, batch)), rtol=1e-4, atol=1e-5)


@models
def test_chunks_change_neither_loss_nor_gradient(make: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = make(), collate(EXAMPLES)
    whole = negative_log_likelihood(model, batch)
    whole_gradients = gradients(model, whole)
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK", 4 * 61)  # 4 of the 28 labels at a time

    chunked = negative_log_likelihood(model, batch)

    torch.testing.assert_close(chunked, whole, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradients(model, chunked), whole_gradients, rtol=1e-4, atol=1e-5)


def test_a_chunk_is_never_less_than_one_label(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = tiny_llama(vocabulary=61), collate(EXAMPLES)
    whole = negative_log_likelihood(model, batch)
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK", 1)

    torch.testing.assert_close(negative_log_likelihood(model, batch), whole, rtol=1e-6, atol=0)


def test_logits_exist_for_no_more_labels_than_a_chunk_has(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = tiny_llama(vocabulary=61), collate(EXAMPLES)
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK", 10 * 61)
    seen: list[int] = []
    model.get_output_embeddings().register_forward_hook(
        lambda module, inputs, output: seen.append(output.numel() // 61)
    )

    negative_log_likelihood(model, batch)

    # (12-3) + (13-12) + (5-2) + (9-1) + (4-3) + (7-1) = 28 labels
    assert seen == [10, 10, 8]


@models
def test_a_padded_batch_is_the_sum_of_single_sentences(make: MakeModel) -> None:
    model = make()

    together = negative_log_likelihood(model, collate(EXAMPLES))

    singly = sum(negative_log_likelihood(model, collate([example])) for example in EXAMPLES)
    torch.testing.assert_close(together, singly, rtol=1e-5, atol=0)


def test_padding_changes_no_loss() -> None:
    model, batch = tiny_llama(vocabulary=61), collate(EXAMPLES)
    padding = batch.attention_mask == 0
    other = Batch(batch.input_ids.masked_fill(padding, 33), batch.attention_mask, batch.labels, batch.target_tokens)

    torch.testing.assert_close(
        negative_log_likelihood(model, other), negative_log_likelihood(model, batch), rtol=1e-6, atol=0
    )


def test_only_the_adapters_get_gradients_under_lora() -> None:
    model = llama_with_lora()

    negative_log_likelihood(model, collate(EXAMPLES)).backward()

    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained
    assert all("lora_" in name for name in trained)
    assert all(model.get_parameter(name).grad.abs().sum() > 0 for name in trained)


@models
def test_gradient_checkpointing_changes_nothing(make: MakeModel) -> None:
    model, batch = make(), collate(EXAMPLES)
    expected = gradients(model, negative_log_likelihood(model, batch))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()  # transformers checkpoints in training only; the tiny models' dropout is 0 but for LoRA's
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

    checkpointed = gradients(model, negative_log_likelihood(model, batch))

    torch.testing.assert_close(checkpointed, expected, rtol=1e-4, atol=1e-5)
