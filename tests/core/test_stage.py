"""Both stages with every method, from a recipe and prepared data to weights that load."""

from __future__ import annotations

import json
import math
import mmap
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from alma_cli.core.batch import padded
from alma_cli.core.dataset import Document, Example, split_path, write_documents, write_examples
from alma_cli.core.languages import Direction
from alma_cli.core.loop import StepReport, mean_loss
from alma_cli.core.model import load_model, precision_of
from alma_cli.core.model_files import resolve_model
from alma_cli.core.objective import SummedLoss, negative_log_likelihood
from alma_cli.core.plan import missing_stage, newest_finished_stage, next_stage, plan_stage
from alma_cli.core.process import peak_memory_gib, processor_name
from alma_cli.core.processes import Processes
from alma_cli.core.recipe import Recipe, StageName
from alma_cli.core.run import StageDirectory
from alma_cli.core.stage import Finished, StageEvent, ValidationReport, run_stage
from alma_cli.errors import InputError, UsageError
from tests.core.conftest import PAIRS, MakeRecipe

FP32 = precision_of("fp32")
FAST = {"learning_rate": 3e-2, "schedule": "constant", "max_steps": 12}


def train(recipe: Recipe, stage: StageName, work: Path, *, model: str | None = None) -> list[StageEvent]:
    return list(run_stage(plan_stage(recipe, stage, work, model=model)))


def valid_losses(events: list[StageEvent]) -> list[float]:
    return [event.loss for event in events if isinstance(event, ValidationReport)]


def measured_loss(recipe: Recipe, stage: StageName, work: Path, result: Path) -> float:
    """The validation loss of a saved result, loaded as a user of it would."""
    plan = plan_stage(recipe, stage, work, model=None)
    model = load_model(resolve_model(str(result)), FP32, dtype=torch.float32)
    loss_of = SummedLoss(model, negative_log_likelihood)
    return mean_loss(loss_of, plan.valid, tokens_per_micro_batch=1000, layout=padded, processes=Processes())


# --- every method -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("stage", ["mono", "parallel"])
def test_validation_loss_falls(stage: StageName, method: str, make_recipe: MakeRecipe, work: Path) -> None:
    settings = {"method": method, **FAST, **({"block_tokens": 32} if stage == "mono" else {})}

    events = train(make_recipe(**{stage: settings}), stage, work)

    losses = valid_losses(events)
    assert losses[0] == pytest.approx(math.log(259), rel=0.05)  # random weights: ln of the vocabulary
    assert min(losses) < losses[0] - 0.1
    assert isinstance(events[-1], Finished)
    assert events[-1].model == work / stage / "model"


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("stage", ["mono", "parallel"])
def test_what_is_saved_has_the_loss_that_was_measured(
    stage: StageName, method: str, make_recipe: MakeRecipe, work: Path
) -> None:
    recipe = make_recipe(**{stage: {"method": method, **FAST, **({"block_tokens": 32} if stage == "mono" else {})}})

    events = train(recipe, stage, work)

    # An adapter is saved in fp32; whole weights in bf16, of 8 bits, whose rounding the loss shows in its third digit.
    assert measured_loss(recipe, stage, work, work / stage / "model") == pytest.approx(
        min(valid_losses(events)[1:]), rel=5e-3
    )


@pytest.mark.parametrize("stage", ["mono", "parallel"])
def test_qlora_trains_and_its_merge_loads(
    stage: StageName, make_recipe: MakeRecipe, qlora_model: Path, work: Path
) -> None:
    settings = {"method": "qlora", **FAST, **({"block_tokens": 32} if stage == "mono" else {})}
    recipe = make_recipe(model=qlora_model, **{stage: settings})

    events = train(recipe, stage, work)

    losses = valid_losses(events)
    assert min(losses) < losses[0] - 0.1
    # Merged over the unquantised weights, not over what 4 bits made of them: near the measured loss, not equal.
    assert measured_loss(recipe, stage, work, work / stage / "model") == pytest.approx(min(losses[1:]), rel=0.05)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("stage", ["mono", "parallel"])
def test_a_sampled_vocabulary_trains_and_is_validated_over_the_whole(
    stage: StageName, method: str, make_recipe: MakeRecipe, work: Path
) -> None:
    settings = {
        "method": method,
        "loss_vocabulary": "sampled",
        **FAST,
        **({"block_tokens": 32} if stage == "mono" else {}),
    }
    recipe = make_recipe(**{stage: settings})

    events = train(recipe, stage, work)

    losses, trained = valid_losses(events), [event.loss for event in events if isinstance(event, StepReport)]
    assert losses[0] == pytest.approx(math.log(259), rel=0.05)
    assert trained[0] == pytest.approx(math.log(259), rel=0.05)
    assert min(losses) < losses[0] - 0.1
    assert measured_loss(recipe, stage, work, work / stage / "model") == pytest.approx(min(losses[1:]), rel=5e-3)


def test_the_sampled_labels_are_those_of_the_targets(make_recipe: MakeRecipe, work: Path) -> None:
    plan = plan_stage(make_recipe(parallel={"loss_vocabulary": "sampled"}), "parallel", work)

    labels = {token for example in plan.train for token in example.token_ids[-example.target_tokens :]}
    assert plan.sampled_labels == sorted(labels)
    short = plan_stage(make_recipe(parallel={"loss_vocabulary": "sampled", "max_steps": 1}), "parallel", work)
    seen = [short.train[index] for index in short.steps.indices(1)]
    assert short.sampled_labels == sorted({token for one in seen for token in one.token_ids[-one.target_tokens :]})
    assert len(short.sampled_labels) < len(labels)
    assert plan_stage(make_recipe(parallel={}), "parallel", work).sampled_labels is None


def test_bf16_trains_too(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora", "precision": "bf16", **FAST})

    losses = valid_losses(train(recipe, "parallel", work))

    assert min(losses) < losses[0] - 0.1


def test_gradient_checkpointing_gives_the_same_losses(make_recipe: MakeRecipe, work: Path, tmp_path: Path) -> None:
    plain = make_recipe(parallel={"method": "lora", "lora_dropout": 0.0})
    checkpointed = make_recipe(parallel={"method": "lora", "lora_dropout": 0.0, "gradient_checkpointing": True})
    expected = [event.loss for event in train(plain, "parallel", work) if isinstance(event, StepReport)]
    (work / "parallel").rename(tmp_path / "plain")

    losses = [event.loss for event in train(checkpointed, "parallel", work) if isinstance(event, StepReport)]

    assert losses == pytest.approx(expected, rel=1e-5)


def test_the_same_recipe_gives_the_same_bytes(make_recipe: MakeRecipe, work: Path, tmp_path: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    train(recipe, "parallel", work)
    (work / "parallel").rename(tmp_path / "first")

    train(recipe, "parallel", work)

    again = work / "parallel" / "model" / "adapter_model.safetensors"
    assert again.read_bytes() == (tmp_path / "first" / "model" / "adapter_model.safetensors").read_bytes()


def test_a_run_that_was_moved_still_finds_its_own_base(make_recipe: MakeRecipe, work: Path, tmp_path: Path) -> None:
    recipe = make_recipe(mono={"block_tokens": 32}, parallel={"method": "lora"})
    train(recipe, "mono", work)
    train(recipe, "parallel", work)

    work.rename(tmp_path / "moved")

    files = resolve_model(str(tmp_path / "moved"))
    assert files.weights == tmp_path / "moved" / "mono" / "model"
    assert files.adapter == tmp_path / "moved" / "parallel" / "model"


# --- from stage to stage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["full", "lora"])
def test_mono_leaves_a_plain_model_that_parallel_starts_from(method: str, make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(mono={"method": method, "block_tokens": 32, **FAST}, parallel={"method": "lora"})

    train(recipe, "mono", work)
    parallel = train(recipe, "parallel", work)

    mono = work / "mono" / "model"
    assert sorted(path.name for path in (work / "mono").iterdir()) == [
        "metrics.jsonl",
        "model",
        "report.html",
        "run.json",
        "stage.json",
    ]
    assert not (mono / "adapter_config.json").exists()
    assert AutoModelForCausalLM.from_pretrained(mono, dtype="auto").dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(mono).eos_token == "</s>"
    assert plan_stage(recipe, "parallel", work).base.weights == mono
    assert valid_losses(parallel)[0] < math.log(259) - 0.1  # it has read English by now


def test_parallel_leaves_an_adapter_that_names_its_base(make_recipe: MakeRecipe, tiny_model: Path, work: Path) -> None:
    train(make_recipe(parallel={"method": "lora"}), "parallel", work)

    config = json.loads((work / "parallel" / "model" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_model.resolve())
    assert (config["r"], config["lora_alpha"]) == (4, 32)
    layers = {name.split(".")[-1] for name in config["target_modules"]}
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_parallel_can_start_from_an_adapter(make_recipe: MakeRecipe, work: Path, tmp_path: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora", **FAST})
    first = train(recipe, "parallel", work)
    (work / "parallel").rename(tmp_path / "first")

    second = train(recipe, "parallel", work, model=str(tmp_path / "first" / "model"))

    # Where the first ended, but for the merge's rounding to bf16.
    assert valid_losses(second)[0] == pytest.approx(min(valid_losses(first)), rel=5e-3)
    config = json.loads((work / "parallel" / "model" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str((work / "parallel" / "base").resolve())


def test_the_stages_know_which_is_next_and_which_is_newest(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(mono={"block_tokens": 32}, parallel={})

    assert (next_stage(recipe, work), newest_finished_stage(work)) == ("mono", None)
    for name in ("mono", "parallel"):
        (work / name).mkdir()
    StageDirectory(work / "mono").finish({})
    assert (next_stage(recipe, work), newest_finished_stage(work)) == ("parallel", "mono")
    StageDirectory(work / "parallel").finish({})
    assert (next_stage(recipe, work), newest_finished_stage(work)) == (None, "parallel")


# --- validation and the best weights ----------------------------------------------------------------------------


def unlike_training(work: Path) -> None:
    """Validation targets of letters that training never has: the longer it trains, the less likely they are."""
    direction = Direction("de", "en")
    write_examples(
        split_path(work / "data", "parallel", "train"), [Example(direction, f"{n}", "aaaa") for n in range(16)]
    )
    write_examples(split_path(work / "data", "parallel", "valid"), [Example(direction, "99", "ZYXW")])


def test_the_best_checkpoint_is_what_is_saved(make_recipe: MakeRecipe, work: Path, tmp_path: Path) -> None:
    unlike_training(work)
    settings = {"method": "lora", "schedule": "constant", "learning_rate": 3e-3, "lora_dropout": 0.0, "validations": 6}
    long = make_recipe(parallel={**settings, "max_steps": 6})
    best_only = make_recipe(parallel={**settings, "max_steps": 4, "validations": 1})

    events = train(long, "parallel", work)
    (work / "parallel").rename(tmp_path / "long")
    train(best_only, "parallel", work)

    reports = [event for event in events if isinstance(event, ValidationReport)]
    assert [report.best for report in reports] == [False, True, True, True, True, False, False]
    assert isinstance(events[-1], Finished)
    assert events[-1].facts["progress"]["best_step"] == 4
    # At a constant rate the first four steps of six are those of four.
    saved = (tmp_path / "long" / "model" / "adapter_model.safetensors").read_bytes()
    assert saved == (work / "parallel" / "model" / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("validations", "max_steps", "expected"),
    [(3, 6, [0, 2, 4, 6]), (0, 6, [0, 6]), (1, 6, [0, 6]), (9, 2, [0, 1, 2]), (2, 5, [0, 2, 5])],
)
def test_validations_are_spread_over_the_run_and_end_it(
    validations: int, max_steps: int, expected: list[int], make_recipe: MakeRecipe, work: Path
) -> None:
    recipe = make_recipe(parallel={"method": "lora", "validations": validations, "max_steps": max_steps})

    events = train(recipe, "parallel", work)

    assert [event.step for event in events if isinstance(event, ValidationReport)] == expected


@pytest.mark.parametrize("stage", ["mono", "parallel"])
def test_a_validation_measures_the_first_examples_only_where_told_so(
    stage: StageName, make_recipe: MakeRecipe, work: Path
) -> None:
    settings: dict[str, Any] = {"block_tokens": 32} if stage == "mono" else {}

    everything = plan_stage(make_recipe(**{stage: settings}), stage, work).valid
    part = plan_stage(make_recipe(**{stage: {**settings, "validation_examples": 2}}), stage, work).valid

    assert len(everything) > 2
    assert [part[n].token_ids for n in range(len(part))] == [everything[n].token_ids for n in range(2)]


def test_a_run_may_be_elsewhere_than_its_data(make_recipe: MakeRecipe, work: Path, tmp_path: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})

    *_, finished = run_stage(plan_stage(recipe, "parallel", work, runs=tmp_path / "elsewhere"))

    assert isinstance(finished, Finished)
    assert finished.model == tmp_path / "elsewhere/parallel/model"
    assert not (work / "parallel").exists()


def test_without_a_validation_split_the_last_weights_are_saved(make_recipe: MakeRecipe, work: Path) -> None:
    shutil.rmtree(split_path(work / "data", "parallel", "valid"))

    events = train(make_recipe(parallel={"method": "lora"}), "parallel", work)

    assert valid_losses(events) == []
    assert isinstance(events[-1], Finished)
    assert events[-1].facts["progress"]["best_step"] == 6


def test_the_manifest_says_what_was_done(make_recipe: MakeRecipe, tiny_model: Path, work: Path) -> None:
    too_long = Example(Direction("de", "en"), "Hund " * 80, "dog")
    write_examples(split_path(work / "data", "parallel", "train"), [*PAIRS[:30], too_long])

    events = train(make_recipe(parallel={"method": "lora"}), "parallel", work)

    facts: dict[str, Any] = json.loads((work / "parallel" / "stage.json").read_text())
    assert isinstance(events[-1], Finished)
    assert facts == events[-1].facts
    assert facts["examples"] == {"train": 30, "valid": 6, "dropped": {"prompt_too_long": 1}}
    assert (facts["stage"], facts["steps"], facts["seed"], facts["dtype"]) == ("parallel", 6, 42, "float32")
    assert (facts["device"], facts["processor"]) == ("cpu", processor_name(torch.device("cpu")))
    assert facts["base"] == {"weights": str(tiny_model.resolve()), "adapter": ""}
    assert facts["text_format"] == {"style": "alma", "adds_bos": True}
    assert facts["progress"]["step"] == 6
    assert facts["versions"].keys() == {"alma", "torch", "transformers", "peft"}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux can forget a process's peak")
def test_a_steps_memory_is_the_stages_and_not_that_of_what_came_before(make_recipe: MakeRecipe, work: Path) -> None:
    with mmap.mmap(-1, 3 << 30) as before:
        for page in range(0, len(before), mmap.PAGESIZE):
            before[page] = 1
        peak = peak_memory_gib()

    events = train(make_recipe(parallel={"max_steps": 2}), "parallel", work)

    found = [event.memory_gib for event in events if isinstance(event, StepReport)]
    assert all(memory is not None and 0 < memory < peak - 2 for memory in found)
    assert len(found) == 2


# --- errors -----------------------------------------------------------------------------------------------------


def test_a_stage_that_is_not_in_the_recipe_is_named(make_recipe: MakeRecipe, work: Path) -> None:
    with pytest.raises(UsageError) as caught:
        plan_stage(make_recipe(parallel={}), "mono", work)

    assert str(caught.value) == "recipe test has no stage mono (it has: parallel)"


def test_parallel_alone_starts_from_the_base_model_and_knows_what_is_missing(
    make_recipe: MakeRecipe, tiny_model: Path, work: Path
) -> None:
    recipe = make_recipe(mono={}, parallel={})

    assert plan_stage(recipe, "parallel", work).base.weights == tiny_model
    assert missing_stage(recipe, "parallel", work) == "mono"
    assert missing_stage(recipe, "mono", work) is None


def test_a_named_model_takes_the_place_of_the_stage_before(
    make_recipe: MakeRecipe, tiny_model: Path, work: Path
) -> None:
    plan = plan_stage(make_recipe(mono={}, parallel={}), "parallel", work, model=str(tiny_model))

    assert plan.base.weights == tiny_model


def test_a_stage_does_not_start_from_its_own_output_which_it_would_delete(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    train(recipe, "parallel", work)

    with pytest.raises(UsageError) as caught:
        plan_stage(recipe, "parallel", work, model=str(work))

    assert caught.value.message == f"stage parallel cannot start from its own output in {work / 'parallel'}"
    assert caught.value.hint == "--out DIR trains elsewhere"


def test_missing_data_says_how_to_prepare_it(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        plan_stage(make_recipe(parallel={}), "parallel", tmp_path)

    assert caught.value.message == f"no training data in {tmp_path / 'data' / 'parallel' / 'train'}"
    assert caught.value.hint == "run `alma prepare --stage parallel` first"


def test_nothing_to_train_on_says_why(make_recipe: MakeRecipe, work: Path) -> None:
    with pytest.raises(InputError) as caught:
        plan_stage(make_recipe(parallel={"max_prompt_tokens": 10}), "parallel", work)

    file = split_path(work / "data", "parallel", "train")
    assert str(caught.value) == f"nothing to train on in {file}: 30 prompt_too_long"


def test_too_little_text_for_a_block_says_so(make_recipe: MakeRecipe, work: Path) -> None:
    file = split_path(work / "data", "mono", "train")
    write_documents(file, [Document("en", "cat")])

    with pytest.raises(InputError) as caught:
        plan_stage(make_recipe(mono={"block_tokens": 32}), "mono", work)

    # BOS c a t EOS
    assert str(caught.value) == f"nothing to train on in {file}: 5 tokens_after_the_last_full_block"


def test_an_empty_file_says_so(make_recipe: MakeRecipe, work: Path) -> None:
    split = split_path(work / "data", "parallel", "train")
    write_examples(split, [])

    with pytest.raises(InputError) as caught:
        plan_stage(make_recipe(parallel={}), "parallel", work)

    assert str(caught.value) == f"nothing to train on in {split}: it is empty"


def test_a_damaged_line_is_named(make_recipe: MakeRecipe, work: Path) -> None:
    split = split_path(work / "data", "parallel", "train")
    shutil.rmtree(split)
    split.with_suffix(".jsonl").write_text(
        '{"direction": "de-en", "source": "Hund", "target": "dog"}\n{"direction": "de-'
    )

    with pytest.raises(InputError) as caught:
        plan_stage(make_recipe(parallel={}), "parallel", work)

    assert caught.value.message == f"{split}.jsonl line 2 is not JSON in UTF-8"


def test_lora_targets_that_the_model_has_not_are_named(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora", "lora_targets": ("gate", "down_projection")})

    with pytest.raises(UsageError, match=r"^lora_targets \['gate', 'down_projection'\] do not fit: "):
        train(recipe, "parallel", work)
