"""A run goes on where it was stopped and ends with the same bytes, whatever stopped it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alma_cli.core.dataset import split_path, write_examples
from alma_cli.core.loop import StepReport, random_state
from alma_cli.core.plan import plan_stage
from alma_cli.core.recipe import Recipe
from alma_cli.core.run import Checkpoint, Progress, StageDirectory
from alma_cli.core.stage import Finished, Resumed, StageEvent, run_stage
from alma_cli.core.trained import TrainedWeights, adamw
from alma_cli.errors import Interrupted, MachineError, UsageError
from tests.core.conftest import PAIRS, MakeRecipe
from tests.tiny import tiny_llama


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
    write_examples(split_path(work / "data", "parallel", "train"), PAIRS[1:30])

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


def checkpoint_after(step: int, *, best_step: int = 0, seed: int = 0) -> Checkpoint:
    """A checkpoint of a tiny model and its optimizer, with something in each to lose."""
    weights = TrainedWeights(tiny_llama(seed=seed))
    optimizer = adamw(weights, weight_decay=0.01)
    for master in weights.masters.values():
        master.grad = torch.full_like(master, 0.5)
    optimizer.step()
    progress = Progress(step=step, best_step=best_step, best_loss=1.25, best_quality=7.5, target_tokens=99, seconds=4.5)
    return Checkpoint(progress, weights.state(), weights.optimizer_state(optimizer), [random_state()])


def test_a_checkpoint_comes_back_to_the_bit(tmp_path: Path) -> None:
    directory = StageDirectory(tmp_path)
    saved = checkpoint_after(3, best_step=2)

    directory.save_checkpoint(saved, keep=1)

    loaded = directory.newest_checkpoint()
    assert loaded is not None
    assert loaded.progress == saved.progress
    torch.testing.assert_close(loaded.weights, dict(saved.weights), rtol=0, atol=0)
    torch.testing.assert_close(loaded.optimizer, dict(saved.optimizer), rtol=0, atol=0)
    torch.testing.assert_close(loaded.random, list(saved.random), rtol=0, atol=0)
    assert any(key.endswith("//exp_avg_sq") for key in loaded.optimizer)


def test_the_random_numbers_of_each_process_come_back_in_its_place(tmp_path: Path) -> None:
    directory = StageDirectory(tmp_path)
    states = [[torch.tensor([rank], dtype=torch.uint8), torch.tensor([rank, 9])] for rank in range(12)]

    directory.save_checkpoint(replace(checkpoint_after(1), random=states), keep=1)

    loaded = directory.newest_checkpoint()
    assert loaded is not None
    torch.testing.assert_close(loaded.random, states, rtol=0, atol=0)


def test_no_validation_yet_survives_a_checkpoint(tmp_path: Path) -> None:
    directory = StageDirectory(tmp_path)

    directory.save_checkpoint(replace(checkpoint_after(1), progress=Progress(step=1)), keep=1)

    loaded = directory.newest_checkpoint()
    assert loaded is not None
    assert loaded.progress == Progress(step=1)  # its best loss is infinite


def test_the_newest_checkpoints_and_the_best_one_stay(tmp_path: Path) -> None:
    directory = StageDirectory(tmp_path)

    for step in (2, 4, 6, 8, 10):
        directory.save_checkpoint(checkpoint_after(step, best_step=min(step, 4)), keep=2)

    kept = sorted(path.name for path in directory.checkpoints.iterdir())
    assert kept == ["step-000004", "step-000008", "step-000010"]
    assert directory.weights_of(4).keys() == directory.weights_of(10).keys()


def test_a_file_is_no_checkpoint_by_its_name_alone(tmp_path: Path) -> None:
    directory = StageDirectory(tmp_path)
    directory.save_checkpoint(checkpoint_after(2), keep=1)
    (directory.checkpoints / "step-000009.backup").mkdir()

    assert directory.newest_step() == 2


def test_without_a_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert StageDirectory(tmp_path).newest_checkpoint() is None
    assert StageDirectory(tmp_path).newest_step() == 0


def test_checkpoints_are_gone_once_the_stage_is_finished(make_recipe: MakeRecipe, work: Path) -> None:
    train(make_recipe(parallel={"method": "lora"}), work)

    assert sorted(path.name for path in (work / "parallel").iterdir()) == [
        "metrics.jsonl",
        "model",
        "report.html",
        "run.json",
        "stage.json",
    ]


# --- a full disk --------------------------------------------------------------------------------------------------


def test_a_row_of_metrics_that_does_not_fit_names_its_file(tmp_path: Path) -> None:
    directory = StageDirectory(tmp_path)
    directory.metrics.symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left on device") as caught:
        directory.log({"step": 1, "loss": 2.0})

    assert caught.value.filename == str(directory.metrics)


def test_a_run_without_room_says_what_to_do(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(parallel={"method": "lora"})
    train_until(3, recipe, work)
    events = run_stage(plan_stage(recipe, "parallel", work))
    assert next(iter(events)) == Resumed(2)
    (work / "parallel" / "metrics.jsonl").unlink()
    (work / "parallel" / "metrics.jsonl").symlink_to("/dev/full")

    with pytest.raises(MachineError) as caught:
        list(events)

    assert caught.value.message == f"No space left on device ({work / 'parallel' / 'metrics.jsonl'})"
    assert caught.value.hint == "make room on the disk, and the same command goes on after step 2"
