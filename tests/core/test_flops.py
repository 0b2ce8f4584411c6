"""The arithmetic of a token, counted by hand."""

from __future__ import annotations

import pytest

from alma_cli.core.flops import Flops
from tests.core.architectures import GPT2, LLAMA, MakeModel, of_family, with_lora

# A layer of the tiny LLaMA: q and o are 32 x 32, k and v 32 x 16, gate, up and down 32 x 64; the output is 32 x 61.
LAYER = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64
# LoRA of rank 4 adds inputs x 4 + 4 x outputs to each of them.
ADAPTERS = 4 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))


@pytest.mark.parametrize(
    ("make", "per_token", "per_target_token"),
    [
        (LLAMA, 6 * 2 * LAYER, 6 * 32 * 61),  # forward, of the input, of the weight: 2 each
        (with_lora(LLAMA), 4 * 2 * LAYER + 6 * 2 * ADAPTERS, 4 * 32 * 61),  # nothing for a frozen weight's own
        (with_lora(LLAMA, "lm_head"), 4 * 2 * LAYER, 4 * 32 * 61 + 6 * 4 * (32 + 61)),
        # A layer of the tiny GPT-2: 32 x 96, 32 x 32, 32 x 128 and 128 x 32.
        (of_family("GPT2LMHeadModel", "GPT2Config", **GPT2), 6 * 2 * 12 * 32 * 32, 6 * 32 * 61),
    ],
    ids=["full", "LoRA", "LoRA on the output", "GPT-2"],
)
def test_a_weight_costs_by_what_is_computed_for_it(make: MakeModel, per_token: int, per_target_token: int) -> None:
    assert Flops.of(make()) == Flops(per_token, per_target_token)


def test_a_loss_over_a_part_of_the_vocabulary_pays_for_that_part() -> None:
    assert Flops.of(with_lora(LLAMA)(), compared=20).per_target_token == pytest.approx(4 * 32 * 20)


def test_prompts_do_not_pay_for_the_output_layer() -> None:
    assert Flops(10.0, 3.0).useful(tokens=7, target_tokens=2) == 76.0  # 7 * 10 + 2 * 3
