"""A run goes on where it was stopped and ends with the same bytes, whatever stopped it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from alma_cli.core.loop import StepReport, adamw
from alma_cli.core.plan import plan_stage
from alma_cli.core.recipe import Recipe
from alma_cli.core.run import Progress, StageDirectory, trainable_weights
from alma_cli.core.stage import Finished, Resumed, StageEvent, run_stage
from alma_cli.errors import Interrupted, UsageError
from tests.core.conftest import MakeRecipe
from tests.tiny import tiny_llama

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def train(recipe: Recipe, work: Path, *, resume: bool = True) -> list[StageEvent]:
    return list(run_stage(plan_stage(recipe, "parallel", work), resume=resume))


def train_until(step: int, recipe: Recipe, work: Path) -> None:
    """Stop as a closed terminal does: the generator is dropped after the step."""
    events = run_stage(plan_stage(recipe, "parallel", work))
    for event in events:
        if isinstance(event, StepReport) and event.step == step:
            break
    events.close()  # type: ignore[attr-defined]


def losses(events: list[StageEvent]) -> dict[int, float]:
    return {event.step: event.loss for event in events if isinstance(event, StepReport)}


def metrics(work: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (work / "parallel" / "metrics.jsonl").read_text().splitlines()]


def weights(work: Path, file: str = "adapter_model.safetensors") -> bytes:
    return (work / "parallel" / "model" / file).read_bytes()


@pytest.fixture
def uninterrupted(work: Path, tmp_path: Path) -> Path:
    """A second work directory with the same data."""
    return Path(shutil.copytree(work, tmp_path / "uninterrupted"))


# --- resuming ---------------------------------------------------------------------------------------------------


# Checkpoints are written after steps 2, 4 and 6, once the step has been reported.
@pytest.mark.parametrize(("stop", "resumed_after"), [(1, 0), (2, 0), (3, 2), (6, 4)])
def test_a_stopped_run_ends_with_the_same_bytes(
    stop: int, resumed_after: int, make_recipe: MakeRecipe, work: Path, uninterrupted: Path
) -> None:
    # LoRA dropout draws random numbers in every step.
    recipe = make_recipe(parallel={"method": "lora", "lora_dropout": 0.3})
    expected = losses(train(recipe, uninterrupted))
    train_until(stop, recipe, work)

    resumed = losses(train(recipe, work))

    assert resumed == {step: expected[step] for step in range(resumed_after + 1, 7)}
    assert weights(work) == weights(uninterrupted)


def test_a_stopped_full_run_ends_with_the_same_bytes(make_recipe: MakeRecipe, work: Path, uninterrupted: Path) -> None:
    recipe = make_recipe(parallel={"method": "full", "learning_rate": 1e-3})
    train(recipe, uninterrupted)
    train_until(3, recipe, work)

    train(recipe, work)

    assert weights(work, "model.safetensors") == weights(uninterrupted, "model.safetensors")


def test_resuming_says_from_which_step(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    train_until(5, recipe, work)

    first, *_ = run_stage(plan_stage(recipe, "parallel", work))

    assert first == Resumed(4)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_metrics_have_one_row_a_step_and_one_a_validation(stop: int, make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    train_until(stop, recipe, work)

    train(recipe, work)

    rows = metrics(work)
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "valid_loss" in row] == [0, 2, 4, 6]


def test_a_torn_last_line_of_metrics_is_dropped(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    train_until(3, recipe, work)
    with (work / "parallel" / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "lo')

    train(recipe, work)

    assert [row["step"] for row in metrics(work) if "loss" in row] == [1, 2, 3, 4, 5, 6]


def test_half_a_checkpoint_of_a_killed_run_is_ignored(make_recipe: MakeRecipe, work: Path, uninterrupted: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    train(recipe, uninterrupted)
    train_until(3, recipe, work)
    torn = work / "parallel" / "checkpoints" / ".step-000004.tmp"
    torn.mkdir()
    (torn / "weights.safetensors").write_bytes(b"half")

    first, *_ = train(recipe, work)

    assert first == Resumed(2)
    assert weights(work) == weights(uninterrupted)


def test_a_run_killed_by_the_kernel_resumes_to_the_same_bytes(
    make_recipe: MakeRecipe, work: Path, uninterrupted: Path
) -> None:
    # 40 steps with a checkpoint each: the kill falls between them, or in the middle of one being written.
    recipe = make_recipe(parallel={"method": "lora", "lora_dropout": 0.3, "max_steps": 40, "validations": 40})
    program = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from alma_cli.core.recipe import Recipe\n"
        "from alma_cli.core.plan import plan_stage\n"
        "from alma_cli.core.stage import run_stage\n"
        "recipe = Recipe.model_validate_json(sys.argv[1])\n"
        "list(run_stage(plan_stage(recipe, 'parallel', Path(sys.argv[2]))))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, recipe.model_dump_json(), str(work)], cwd=REPOSITORY, env=os.environ
    )
    checkpoint = work / "parallel" / "checkpoints" / "step-000003"
    while not checkpoint.is_dir() and process.poll() is None:
        time.sleep(0.002)

    process.send_signal(signal.SIGKILL)

    assert process.wait() == -signal.SIGKILL
    assert not (work / "parallel" / "stage.json").exists()
    first, *_ = train(recipe, work)
    assert isinstance(first, Resumed)
    train(recipe, uninterrupted)
    assert weights(work) == weights(uninterrupted)


# --- Ctrl-C -----------------------------------------------------------------------------------------------------


def test_ctrl_c_says_what_was_kept_and_how_to_go_on(make_recipe: MakeRecipe, work: Path) -> None:
    events = run_stage(plan_stage(make_recipe(parallel={"method": "lora"}), "parallel", work))
    step = next(event for event in events if isinstance(event, StepReport) and event.step == 3)

    with pytest.raises(Interrupted) as caught:
        events.throw(KeyboardInterrupt())  # type: ignore[attr-defined]

    assert step.step == 3
    assert caught.value.message == "stopped during step 4 of 6; 2 steps are kept"
    assert caught.value.hint == "the same command goes on from there"
    assert caught.value.exit_code == 130
    assert [path.name for path in (work / "parallel" / "checkpoints").iterdir()] == ["step-000002"]


def test_a_wish_to_stop_keeps_every_step_and_the_run_ends_with_the_same_bits(
    make_recipe: MakeRecipe, work: Path, uninterrupted: Path
) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    steps: list[int] = []

    def follow() -> None:
        for event in run_stage(plan_stage(recipe, "parallel", work), stop=lambda: 3 in steps):
            steps.extend([event.step] if isinstance(event, StepReport) else [])

    with pytest.raises(Interrupted) as caught:
        follow()

    assert caught.value.message == "stopped after step 3 of 6"
    assert (work / "parallel" / "checkpoints" / "step-000003").is_dir()  # not a step with a validation
    train(recipe, work)
    train(recipe, uninterrupted)
    assert weights(work) == weights(uninterrupted)


# --- other settings, done already, afresh -----------------------------------------------------------------------


def test_a_run_with_other_settings_is_not_resumed(make_recipe: MakeRecipe, work: Path) -> None:
    train_until(3, make_recipe(parallel={"method": "lora", "learning_rate": 1e-3}), work)

    with pytest.raises(UsageError) as caught:
        train(make_recipe(parallel={"method": "lora", "learning_rate": 2e-3, "lora_rank": 8}), work)

    assert caught.value.message == (
        f"{work / 'parallel'} holds a run with other settings: "
        "settings.learning_rate was 0.001, now 0.002; settings.lora_rank was 4, now 8"
    )
    assert caught.value.hint == "--no-resume deletes it and starts again, --out DIR trains elsewhere"


def test_a_run_over_other_data_is_not_resumed(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    train_until(3, recipe, work)
    file = work / "data" / "parallel" / "train.jsonl"
    file.write_text(file.read_text().replace("dog", "hound"))

    with pytest.raises(UsageError, match="holds a run with other settings: data_sha256 was '"):
        train(recipe, work)


def test_how_many_checkpoints_are_kept_is_no_other_setting(make_recipe: MakeRecipe, work: Path) -> None:
    train_until(3, make_recipe(parallel={"method": "lora"}), work)

    first, *_ = train(make_recipe(parallel={"method": "lora", "keep_checkpoints": 2}), work)

    assert first == Resumed(2)


def test_no_resume_starts_afresh(make_recipe: MakeRecipe, work: Path) -> None:
    train_until(3, make_recipe(parallel={"method": "lora", "learning_rate": 1e-3}), work)

    events = train(make_recipe(parallel={"method": "lora"}), work, resume=False)

    assert list(losses(events)) == [1, 2, 3, 4, 5, 6]
    assert not any(isinstance(event, Resumed) for event in events)
    assert [row["step"] for row in metrics(work) if "loss" in row] == [1, 2, 3, 4, 5, 6]


def test_a_finished_stage_is_not_done_again(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    train(recipe, work)
    before = weights(work)

    [event] = train(recipe, work)

    assert isinstance(event, Finished)
    assert event.already
    assert event.model == work / "parallel" / "model"
    assert event.facts["progress"]["step"] == 6
    assert weights(work) == before


# --- checkpoints ------------------------------------------------------------------------------------------------


def trained_a_step(seed: int) -> tuple[Any, torch.optim.Optimizer]:
    """A model and its optimizer with something in each to lose."""
    model = tiny_llama(seed=seed)
    optimizer = adamw(model, weight_decay=0.01)
    optimizer.param_groups[0]["lr"] = 1e-3
    model(input_ids=torch.tensor([[5, 6, 7]]), labels=torch.tensor([[5, 6, 7]])).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def test_a_checkpoint_brings_back_weights_optimizer_and_random_numbers(tmp_path: Path) -> None:
    model, optimizer = trained_a_step(seed=0)
    directory = StageDirectory(tmp_path)
    progress = Progress(step=3, best_step=2, best_loss=1.25, target_tokens=99, seconds=4.5)
    directory.save_checkpoint(progress, model, optimizer, keep=1)
    drawn = torch.rand(3)
    other, other_optimizer = trained_a_step(seed=1)

    loaded = directory.load_checkpoint(other, other_optimizer)

    assert loaded == progress
    torch.testing.assert_close(torch.rand(3), drawn, rtol=0, atol=0)
    torch.testing.assert_close(trainable_weights(other), trainable_weights(model), rtol=0, atol=0)
    theirs, ours = other_optimizer.state_dict(), optimizer.state_dict()
    torch.testing.assert_close(theirs["state"], ours["state"], rtol=0, atol=0)


def test_no_validation_yet_survives_a_checkpoint(tmp_path: Path) -> None:
    model, optimizer = trained_a_step(seed=0)
    directory = StageDirectory(tmp_path)

    directory.save_checkpoint(Progress(step=1), model, optimizer, keep=1)

    assert directory.load_checkpoint(model, optimizer) == Progress(step=1)  # its best loss is infinite


def test_the_newest_checkpoints_and_the_best_one_stay(tmp_path: Path) -> None:
    model, optimizer = trained_a_step(seed=0)
    directory = StageDirectory(tmp_path)

    for step in (2, 4, 6, 8, 10):
        directory.save_checkpoint(Progress(step=step, best_step=min(step, 4)), model, optimizer, keep=2)

    kept = sorted(path.name for path in directory.checkpoints.iterdir())
    assert kept == ["step-000004", "step-000008", "step-000010"]


def test_without_a_checkpoint_there_is_no_progress(tmp_path: Path) -> None:
    model, optimizer = trained_a_step(seed=0)

    assert StageDirectory(tmp_path).load_checkpoint(model, optimizer) is None


def test_checkpoints_are_gone_once_the_stage_is_finished(make_recipe: MakeRecipe, work: Path) -> None:
    train(make_recipe(parallel={"method": "lora"}), work)

    assert sorted(path.name for path in (work / "parallel").iterdir()) == [
        "metrics.jsonl",
        "model",
        "run.json",
        "stage.json",
    ]
