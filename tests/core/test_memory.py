"""The memory estimate: exact where it can be counted, near the measured peak where it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alma_cli.core.attention import choose_layout
from alma_cli.core.batch import micro_batches, padded
from alma_cli.core.forecast import GPUS, gpu_named
from alma_cli.core.kernels import use_kernels
from alma_cli.core.memory import MemoryEstimate, Rehearsal, estimate_memory
from alma_cli.core.model import Precision, add_lora, load_model
from alma_cli.core.objective import SummedLoss, negative_log_likelihood
from alma_cli.core.plan import StagePlan, plan_stage
from alma_cli.core.stage import Finished, run_stage
from alma_cli.errors import UsageError
from tests.core.conftest import MakeRecipe

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CUDA = Precision(torch.device("cuda", 0), torch.bfloat16)


def saved_bytes(plan: StagePlan) -> int:
    """What a real forward pass over one step's first micro-batch keeps, each block once, the weights' left out."""
    model = load_model(plan.base, plan.precision, dtype=plan.precision.dtype)
    if plan.settings.method != "full":
        model.requires_grad_(False)
        model = add_lora(model, plan.settings)
    model.train()
    use_kernels(model)
    layout = choose_layout(model)
    loss_of = SummedLoss(model, negative_log_likelihood, labels=plan.sampled_labels)
    examples = [plan.train[index] for index in plan.steps.indices(1)]
    batch = micro_batches(examples, plan.tokens_per_micro_batch, layout)[0]
    ours = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    ours |= {tensor.untyped_storage().data_ptr() for tensor in vars(batch).values() if isinstance(tensor, torch.Tensor)}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in ours:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = loss_of(batch)
    assert loss.isfinite()
    return sum(storage.nbytes() for storage in kept.values())


def estimate(plan: StagePlan, **settings: Any) -> MemoryEstimate:
    return estimate_memory(replace(plan, settings=plan.settings.model_copy(update=settings)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("vocabulary", ["whole", "sampled"])
def test_activations_are_what_a_real_forward_pass_keeps(
    method: str, precision: str, vocabulary: str, make_recipe: MakeRecipe, work: Path
) -> None:
    settings = {"method": method, "precision": precision, "lora_dropout": 0.0, "max_steps": 1}
    settings["loss_vocabulary"] = vocabulary
    plan = plan_stage(make_recipe(parallel=settings), "parallel", work)

    # What is alive without being saved: the cosines of the positions, the mask, the loss.
    assert estimate_memory(plan).activations == pytest.approx(saved_bytes(plan), rel=0.08)


def test_a_model_that_keeps_its_own_attention_is_estimated_in_padded_batches(
    make_recipe: MakeRecipe, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_stage(make_recipe(parallel={"max_steps": 1}), "parallel", work)
    packed = estimate_memory(plan).activations
    monkeypatch.setattr("alma_cli.core.memory.choose_layout", lambda _: padded)

    assert estimate_memory(plan).activations == pytest.approx(packed, rel=0.2)  # the same examples


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_activations_of_smollm2_are_what_a_real_forward_pass_keeps(
    method: str, make_recipe: MakeRecipe, work: Path
) -> None:
    settings = {"method": method, "lora_dropout": 0.0, "max_steps": 1}
    plan = plan_stage(make_recipe(Path("smollm2-135m"), parallel=settings), "parallel", work)

    assert estimate_memory(plan).activations == pytest.approx(saved_bytes(plan), rel=0.02)


def test_weights_gradients_and_optimizer_are_counted_by_the_byte(make_recipe: MakeRecipe, work: Path) -> None:
    plan = plan_stage(make_recipe(parallel={"precision": "bf16"}), "parallel", work)
    # Two layers of 4 (32, 32)-ish matrices, 3 of (64, 32), norms; embeddings tied with the output layer.
    trained = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32 + 2 * 32) + 32 + 259 * 32

    found = estimate(plan)

    assert found.weights == pytest.approx(2 * trained, abs=256)  # and the frequencies of the positions
    assert (found.masters, found.gradients, found.optimizer) == (4 * trained, 4 * trained, 8 * trained)
    assert found.adapters == 0
    assert found.total == sum(found.parts.values())


def test_a_lora_needs_no_masters_and_little_else(make_recipe: MakeRecipe, work: Path) -> None:
    plan = plan_stage(make_recipe(parallel={"method": "lora"}), "parallel", work)
    # Rank 4 on each of a layer's 7 matrices: 4 * (inputs + outputs).
    adapters = 2 * 4 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))

    found = estimate(plan)

    assert (found.adapters, found.gradients, found.optimizer) == (4 * adapters, 4 * adapters, 8 * adapters)
    assert found.masters == 0


def test_what_saves_memory_is_seen_to_save_it(make_recipe: MakeRecipe, work: Path, qlora_model: Path) -> None:
    plan = plan_stage(make_recipe(qlora_model, parallel={}), "parallel", work)

    full, smaller = estimate(plan), estimate(plan, tokens_per_micro_batch=100)

    assert smaller.activations < full.activations / 2
    assert estimate(plan, gradient_checkpointing=True).activations < full.activations / 2
    assert estimate(plan, optimizer="adamw8bit").optimizer < full.optimizer / 2
    assert estimate(plan, method="qlora").weights < estimate(plan, method="lora").weights


def test_on_a_gpu_dropout_keeps_its_masks_and_nothing_has_holes(make_recipe: MakeRecipe, work: Path) -> None:
    plan = replace(plan_stage(make_recipe(parallel={"method": "lora"}), "parallel", work), precision=CUDA)

    found, without = estimate(plan), estimate(plan, lora_dropout=0.0)

    assert found.temporaries > without.temporaries
    assert (found.holes, found.saving) == (0, 0)


def test_an_estimate_needs_no_weights(make_recipe: MakeRecipe, work: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "without-weights"
    folder.mkdir()
    for file in tiny_model.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())

    with_weights, without = (
        Rehearsal.of(plan).memory(plan.train, plan.steps, plan.tokens_per_micro_batch)
        for plan in (plan_stage(make_recipe(model, parallel={}), "parallel", work) for model in (tiny_model, folder))
    )

    assert replace(without, runtime=0) == replace(with_weights, runtime=0)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_training_after_an_estimate_is_training_without_one(
    method: str, make_recipe: MakeRecipe, work: Path, tmp_path: Path
) -> None:
    plan = plan_stage(make_recipe(parallel={"method": method, "lora_dropout": 0.1}), "parallel", work)
    losses = []

    for name, before in (("without", lambda _: None), ("with", estimate_memory)):
        own = replace(plan, directory=type(plan.directory)(tmp_path / name))
        before(own)
        assert isinstance(list(run_stage(own))[-1], Finished)
        rows = [json.loads(line) for line in own.directory.metrics.read_text().splitlines()]
        losses.append([row["loss"] for row in rows if "loss" in row])

    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("text", "name", "gib"),
    [
        ("24", "a GPU with 24 GB", 24),
        ("80GB", "a GPU with 80 GB", 80),
        ("H100", "H100 80GB", 80),
        ("h100 80gb", "H100 80GB", 80),
        ("rtx-4090", "RTX 4090", 24),
        ("4090", "RTX 4090", 24),
        ("NVIDIA A100 80GB", "A100 80GB", 80),
    ],
)
def test_a_gpu_has_a_name_or_a_size(text: str, name: str, gib: float) -> None:
    assert (gpu_named(text).name, gpu_named(text).gib) == (name, gib)


def test_an_unknown_gpu_is_told_from_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        gpu_named("H1000")

    assert str(error.value).startswith("unknown GPU 'H1000' (")
    assert all(gpu.gib > 0 for gpu in GPUS)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "tokens"), [("full", "1024"), ("lora", "512"), ("qlora", "128")])
def test_the_estimate_is_within_15_percent_of_the_measured_peak(method: str, tokens: str) -> None:
    command = [sys.executable, "benchmarks/memory_estimate.py", "--methods", method, "--tokens", tokens]  # of nine

    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)

    [difference] = [float(line.split("|")[-2].strip(" %")) for line in done.stdout.splitlines() if "%" in line]
    assert abs(difference) < 15
