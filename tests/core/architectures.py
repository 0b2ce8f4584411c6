"""Tiny models of many families, each with what trips in it, and the plain loss that ours must equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from alma_cli.core.examples import TokenizedExample
from alma_cli.core.model import add_lora
from alma_cli.core.recipe import ParallelStage

V = 61
COMMON = {"vocab_size": V, "pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1}
SIZES = {
    **COMMON,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
MakeModel = Callable[[], PreTrainedModel]


def of_family(name: str, config: str = "", **settings: Any) -> MakeModel:
    """A maker of the same model each time, its weights large enough that every part of it shows in the loss."""

    def make() -> PreTrainedModel:
        torch.manual_seed(0)
        model_class, config_class = getattr(transformers, name), config or name.replace("ForCausalLM", "Config")
        model = model_class(getattr(transformers, config_class)(**settings))
        for parameter in model.parameters():
            noise = torch.randn_like(parameter)
            parameter.data = noise * 0.3 if parameter.ndim > 1 else parameter.data + noise * 0.2
        return model.eval()

    return make


def with_lora(make: MakeModel, *targets: str, dropout: float = 0.0) -> MakeModel:
    """The model under LoRA layers that change it: their B is zero at first."""

    def make_lora() -> PreTrainedModel:
        settings = ParallelStage(
            method="lora", lora_rank=4, lora_dropout=dropout, lora_targets=targets or ("all-linear",)
        )
        model = add_lora(make().requires_grad_(False), settings)
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        return model.eval()

    return make_lora


LLAMA = of_family("LlamaForCausalLM", **SIZES, tie_word_embeddings=True)
GEMMA3 = of_family(
    "Gemma3ForCausalLM",
    "Gemma3TextConfig",
    **SIZES,
    head_dim=8,
    sliding_window=4,
    layer_types=["sliding_attention", "full_attention"],
)
GEMMA2_CAPPED = of_family(
    "Gemma2ForCausalLM", **SIZES, head_dim=8, attn_logit_softcapping=2.0, final_logit_softcapping=0.5
)
GPT2 = {**COMMON, "n_embd": 32, "n_layer": 2, "n_head": 4}

# Those whose attention ours computes too, so that examples share rows.
FLATTENED: dict[str, MakeModel] = {
    "LLaMA, grouped queries, tied": LLAMA,
    "LLaMA with LoRA": with_lora(LLAMA),
    "LLaMA with LoRA on its output": with_lora(LLAMA, "q_proj", "down_proj", "lm_head"),
    "Mistral, window": of_family("MistralForCausalLM", **SIZES, sliding_window=4),
    "Gemma 3, window": GEMMA3,
    "Gemma 3 with LoRA": with_lora(GEMMA3),
    "Gemma 3, window longer than any example": of_family(
        "Gemma3ForCausalLM", "Gemma3TextConfig", **SIZES, head_dim=8, sliding_window=100
    ),
    "Gemma 2 without caps": of_family(
        "Gemma2ForCausalLM",
        **SIZES,
        head_dim=8,
        sliding_window=4,
        attn_logit_softcapping=None,
        final_logit_softcapping=0.5,
    ),
    "Qwen 2, biases": of_family("Qwen2ForCausalLM", **SIZES),
    "Qwen 3, normed queries and keys": of_family("Qwen3ForCausalLM", **SIZES, head_dim=8),
    "Cohere, scaled logits": of_family("CohereForCausalLM", **SIZES, logit_scale=0.25),
    "Granite, scaled logits": of_family("GraniteForCausalLM", **SIZES, logits_scaling=4.0),
    "GPT-2 without dropout": of_family("GPT2LMHeadModel", "GPT2Config", **GPT2, attn_pdrop=0.0),
}
# Those that keep their own, for a reason each.
PADDED: dict[str, MakeModel] = {
    "Gemma 2, capped scores": GEMMA2_CAPPED,
    "Gemma 2 with LoRA": with_lora(GEMMA2_CAPPED),
    "GPT-2, dropout in its attention": of_family("GPT2LMHeadModel", "GPT2Config", **GPT2),
    "Bloom, ALiBi": of_family("BloomForCausalLM", **COMMON, hidden_size=32, n_layer=2, n_head=4),
    "Mamba, a state space": of_family("MambaForCausalLM", **COMMON, hidden_size=32, num_hidden_layers=2, state_size=4),
    "LFM 2, convolutions": of_family("Lfm2ForCausalLM", **SIZES, layer_types=["conv", "full_attention"]),
}
MODELS = FLATTENED | PADDED


def made_of(*shapes: tuple[int, int]) -> list[TokenizedExample]:
    """Examples of (tokens, prompt tokens), each with ids of its own."""
    return [
        TokenizedExample(tuple((n * 7 + i * i + i * 3) % V for i in range(length)), prompt)
        for n, (length, prompt) in enumerate(shapes)
    ]


_APART = made_of((12, 3), (13, 12), (5, 2), (9, 0), (4, 3), (7, 1), (2, 1), (2, 0))
_ALIKE = [TokenizedExample((9, 8, 7, 6, 5, *(n * 5 + i for i in range(2 + n))), 5) for n in range(4)]
# Lengths, prompts and beginnings of every kind: none shared, a prompt shared, all shared, and one inside another.
EXAMPLES = [
    *_APART,
    *_ALIKE,
    _ALIKE[2],
    _ALIKE[2],
    TokenizedExample(_ALIKE[3].token_ids[:7], 6),
    TokenizedExample((*_ALIKE[0].token_ids, 3, 4), 1),
]


def plain_logits(model: PreTrainedModel, example: TokenizedExample) -> Tensor:
    """(L, V): the model's own at the positions that predict the labels of one example, alone and unpadded."""
    logits: Tensor = model(input_ids=torch.tensor([example.token_ids])).logits[0].float()
    return logits[-1 - example.target_tokens : -1]


def plain_loss(model: PreTrainedModel, examples: Sequence[TokenizedExample]) -> Tensor:
    """The sum over examples of the cross-entropy of the model's own logits."""
    losses = [
        torch.nn.functional.cross_entropy(
            plain_logits(model, example), torch.tensor(example.token_ids[-example.target_tokens :]), reduction="sum"
        )
        for example in examples
    ]
    return torch.stack(losses).sum()


def gradients(model: PreTrainedModel, loss: Tensor) -> dict[str, Tensor]:
    """Of every trained weight, by name."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return dict(zip(trained, torch.autograd.grad(loss, list(trained.values())), strict=True))


def assert_same_gradients(given: dict[str, Tensor], expected: dict[str, Tensor], *, relative: float = 1e-5) -> None:
    """Equal but for rounding: their difference is this small a part of them."""
    assert given.keys() == expected.keys()
    for name, gradient in expected.items():
        assert gradient.norm() > 0, name
        assert (given[name] - gradient).norm() <= relative * gradient.norm(), name
