"""The loss on its own: chunks, every kind of output layer, batches without a label, and what is never computed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from alma_cli.core import objective
from alma_cli.core.attention import choose_layout
from alma_cli.core.batch import Layout, flattened, padded
from alma_cli.core.examples import TokenizedExample
from alma_cli.core.kernels import use_kernels
from alma_cli.core.objective import Sampling, SummedLoss, negative_log_likelihood
from alma_cli.errors import UsageError
from tests.core.architectures import (
    EXAMPLES,
    LLAMA,
    SIZES,
    MakeModel,
    V,
    assert_same_gradients,
    gradients,
    of_family,
    plain_logits,
    plain_loss,
    with_lora,
)

CAPPED = of_family("Gemma2ForCausalLM", **SIZES, head_dim=8, final_logit_softcapping=0.5)
UNTIED = of_family("LlamaForCausalLM", **SIZES)
LABELS = sum(example.target_tokens for example in EXAMPLES)


def frozen_head() -> torch.nn.Module:
    model = UNTIED()
    model.lm_head.requires_grad_(False)
    return model


def only_head() -> torch.nn.Module:
    model = UNTIED().requires_grad_(False)
    model.lm_head.requires_grad_(True)
    return model


HEADS = {
    "tied": LLAMA,
    "trained": UNTIED,
    "trained alone": only_head,
    "frozen": frozen_head,
    "under LoRA": with_lora(UNTIED, "lm_head", "q_proj"),
    "capped": CAPPED,
    "capped, under LoRA": with_lora(CAPPED, "lm_head"),
    "scaled": of_family("CohereForCausalLM", **SIZES, logit_scale=0.25),
}
heads = pytest.mark.parametrize("make", HEADS.values(), ids=HEADS.keys())


@heads
@pytest.mark.parametrize("labels_per_chunk", [1, 4, 1000])
def test_chunks_change_neither_loss_nor_gradient(
    make: MakeModel, labels_per_chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK", labels_per_chunk * V)
    monkeypatch.setattr(objective, "_FEWEST_ROWS_ON_A_CPU", 1)
    model, plain = make(), make()
    use_kernels(model)
    expected = plain_loss(plain, EXAMPLES)

    loss = negative_log_likelihood(model, padded(EXAMPLES))

    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert (loss.dtype, loss.shape) == (torch.float32, ())
    assert_same_gradients(gradients(model, loss), gradients(plain, expected), relative=2e-5)


def test_logits_exist_for_no_more_labels_than_a_chunk_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK", 10 * V)
    monkeypatch.setattr(objective, "_FEWEST_ROWS_ON_A_CPU", 1)
    model = LLAMA()
    seen: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda module, inputs, logits: seen.append(len(logits)))

    negative_log_likelihood(model, padded(EXAMPLES)).backward()

    assert seen == [10] * (LABELS // 10) + [LABELS % 10]


def test_a_large_vocabulary_still_has_enough_rows_for_a_fast_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK", 1)
    monkeypatch.setattr(objective, "_FEWEST_ROWS_ON_A_CPU", 16)
    model = LLAMA()
    seen: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda module, inputs, logits: seen.append(len(logits)))

    negative_log_likelihood(model, padded(EXAMPLES))

    assert seen == [16] * (LABELS // 16) + [LABELS % 16]


@pytest.mark.parametrize("make", [LLAMA, with_lora(LLAMA)], ids=["full", "LoRA"])
def test_a_batch_without_labels_has_a_loss_of_zero_and_gradients_of_zero(make: MakeModel) -> None:
    model = make()

    loss = negative_log_likelihood(model, padded(EXAMPLES).unlabelled())
    loss.backward()

    assert loss.item() == 0.0
    for name, parameter in model.named_parameters():
        assert not parameter.requires_grad or parameter.grad.abs().max() == 0, name


def test_no_gradient_is_computed_where_none_is_wanted() -> None:
    model = LLAMA()
    wanted: list[bool] = []
    model.get_output_embeddings().register_forward_hook(
        lambda module, inputs, logits: wanted.append(logits.requires_grad)
    )

    with torch.no_grad():
        negative_log_likelihood(model, padded(EXAMPLES))

    assert wanted == [False]


def test_what_stands_in_the_padding_changes_no_loss() -> None:
    model, batch = LLAMA(), padded(EXAMPLES)
    assert batch.attention_mask is not None
    expected = negative_log_likelihood(model, batch)

    batch.input_ids[batch.attention_mask == 0] = 33

    torch.testing.assert_close(negative_log_likelihood(model, batch), expected, rtol=1e-6, atol=0)


def test_only_the_adapters_get_gradients_under_lora() -> None:
    model = with_lora(LLAMA)()

    negative_log_likelihood(model, padded(EXAMPLES)).backward()

    trained = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert trained
    assert all("lora_" in name for name in trained)
    assert all(gradient.abs().sum() > 0 for gradient in trained.values())


@pytest.mark.parametrize("layout", [flattened, padded])
def test_model_and_objective_are_one_module(layout: Layout) -> None:
    def count_labels(model: torch.nn.Module, batch: object, sample: object) -> Tensor:
        return torch.tensor(float(layout(EXAMPLES).target_tokens))

    loss_of = SummedLoss(LLAMA(), count_labels)  # type: ignore[arg-type]

    assert loss_of(layout(EXAMPLES)).item() == LABELS
    assert {name.split(".")[0] for name, _ in loss_of.named_parameters()} == {"model"}


# --- a sample of the vocabulary -----------------------------------------------------------------------------------

PLAIN_HEADS = {name: make for name, make in HEADS.items() if "LoRA" not in name}
USED = sorted({token for example in EXAMPLES for token in example.token_ids[-example.target_tokens :]})[::2]
FEW = [
    TokenizedExample((1, 2, 3, USED[0], USED[3]), 3),
    TokenizedExample((1, 2, USED[5]), 2),
]  # labelled with USED only


def sampling(labels: Sequence[int] = USED, vocabulary: int = V) -> Sampling:
    return Sampling(labels, vocabulary, seed=1, device=torch.device("cpu"))


def biased() -> torch.nn.Module:
    model = UNTIED()
    model.lm_head = torch.nn.Linear(SIZES["hidden_size"], V)
    return model


@pytest.mark.parametrize("make", [*PLAIN_HEADS.values(), biased], ids=[*PLAIN_HEADS, "with a bias"])
def test_a_sample_weighs_as_much_as_what_it_stands_for(make: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK", 2 * len(USED))
    monkeypatch.setattr(objective, "_FEWEST_ROWS_ON_A_CPU", 1)
    torch.manual_seed(0)
    model, sample = make(), sampling().of_step(2)
    assert len(sample.ids) < V
    expected = torch.zeros(())
    for example in FEW:
        logits = plain_logits(model, example)
        known, drawn = logits[:, sample.labels], logits[:, sample.others]
        normaliser = known.exp().sum(-1) + drawn.exp().sum(-1) / sample.share
        targets = torch.tensor(example.token_ids[-example.target_tokens :])
        expected = expected + (normaliser.log() - logits.gather(1, targets[:, None])[:, 0]).sum()

    loss = negative_log_likelihood(model, padded(FEW), sample)

    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert_same_gradients(gradients(model, loss), gradients(model, expected), relative=2e-5)


@pytest.mark.parametrize("make", [LLAMA, with_lora(LLAMA)], ids=["full", "LoRA"])
def test_a_sample_that_is_all_of_it_changes_nothing(make: MakeModel) -> None:
    model = make()
    expected = negative_log_likelihood(model, padded(EXAMPLES))

    loss = negative_log_likelihood(model, padded(EXAMPLES), sampling(range(V)).of_step(1))

    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    assert_same_gradients(gradients(model, loss), gradients(model, expected), relative=1e-6)


def test_samples_take_turns_until_every_token_was_there() -> None:
    found = sampling(range(0, 1000, 10), 1000)
    samples = [found.of_step(step) for step in range(1, 10)]

    others = torch.cat([sample.others for sample in samples]).tolist()
    assert sorted(others) == [token for token in range(1000) if token % 10]
    assert others != sorted(others)
    assert {len(sample.others) for sample in samples} == {100}
    assert all(sample.share == pytest.approx(1 / 9) for sample in samples)
    assert torch.equal(found.of_step(10).ids, samples[0].ids)
    assert torch.equal(sampling(range(0, 1000, 10), 1000).of_step(4).ids, samples[3].ids)


def test_the_normaliser_is_estimated_without_bias() -> None:
    model, found = LLAMA(), sampling(USED[:6])
    batch = padded([TokenizedExample((1, 2, USED[5]), 2)])  # one label: its loss is log(normaliser) - logit

    with torch.no_grad():
        losses = torch.stack([negative_log_likelihood(model, batch, found.of_step(n)) for n in range(found.parts)])
        whole = negative_log_likelihood(model, batch)

    assert losses.std() > 1e-3
    torch.testing.assert_close(losses.exp().mean(), whole.exp(), rtol=1e-5, atol=0)


def test_training_has_a_sample_of_its_own_in_each_step_and_validation_the_whole() -> None:
    batch, model = padded(FEW), with_lora(LLAMA)()
    loss_of = SummedLoss(model, negative_log_likelihood, labels=USED, seed=1).train()

    first = loss_of(batch)
    loss_of.begin(step=2)
    second, in_validation = loss_of(batch), loss_of.eval()(batch)

    torch.testing.assert_close(first, negative_log_likelihood(model, batch, sampling().of_step(1)))
    torch.testing.assert_close(second, negative_log_likelihood(model, batch, sampling().of_step(2)))
    torch.testing.assert_close(in_validation, negative_log_likelihood(model, batch))
    assert loss_of.compared_tokens == len(sampling().of_step(2).ids)


def test_an_output_layer_under_a_lora_has_no_sample() -> None:
    with pytest.raises(UsageError, match="loss_vocabulary = 'sampled' needs a plain output layer") as raised:
        SummedLoss(with_lora(UNTIED, "lm_head")(), negative_log_likelihood, labels=USED)

    assert "loss_vocabulary=whole" in (raised.value.hint or "")


def test_gradients_repeat_to_the_bit_with_several_threads() -> None:
    # Where examples begin alike, many labels are predicted by the same row: its gradients are summed in one order.
    batch = flattened([TokenizedExample((1, 2, 3, 4, last), 1) for last in range(5, V)] * 100)
    model = LLAMA()
    choose_layout(model)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        first, *others = [gradients(model, negative_log_likelihood(model, batch)) for _ in range(20)]
    finally:
        torch.set_num_threads(before)

    assert all(torch.equal(other[name], first[name]) for other in others for name in first)
