"""A training that is killed, at any moment, goes on with the same command and ends with the same bytes."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from alma_cli.core.model import computes_bf16
from tests.commands.conftest import outcome
from tests.typed import finish, start
from tests.warm import Fork, Warm, wait_until_ended

STEPS, EACH = 60, 2  # a validation and a checkpoint every two steps
STAGE = "runs/tiny/parallel"
LORA = (
    "method=lora",
    "lora_rank=4",
    "lora_dropout=0.3",
    "validate_by=chrf",
    "validation_sentences=4",
    "precision=fp32",
)
FULL = (
    "method=full",
    "optimizer=adamw8bit",
    "learning_rate=1e-3",
    f"precision={'bf16' if computes_bf16(torch.device('cpu')) else 'fp32'}",
)
LEFT = ["metrics.jsonl", "model", "report.html", "run.json", "stage.json"]
COMMON = (f"max_steps={STEPS}", "epochs=99", f"validations={STEPS // EACH}", "tokens_per_micro_batch=400")


def words(variant: tuple[str, ...], *more: str) -> list[str]:
    """The command."""
    settings = (*COMMON, *variant, *more)
    return ["train", "--stage", "parallel", *(f"--set=stages.parallel.{setting}" for setting in settings)]


@pytest.fixture(scope="module")
def uninterrupted(
    warm: Warm, prepared_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], Path]:
    """The stage's directory after a run that nothing disturbed, by variant."""
    stages = {}
    for variant in (LORA, FULL):
        folder = Path(shutil.copytree(prepared_once, tmp_path_factory.mktemp("uninterrupted") / "folder"))
        done = warm.start(folder, *words(variant)).finish()
        assert done.code == 0, done.err
        stages[variant] = folder / STAGE
    return stages


def rows_of(stage: Path) -> list[dict[str, Any]]:
    """The rows of the metrics so far; the last line may still be being written."""
    try:
        lines = (stage / "metrics.jsonl").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def in_a_checkpoint(stage: Path) -> bool:
    """Whether one is being written."""
    return any((stage / "checkpoints").glob(".step-*.tmp"))


def in_a_validation(stage: Path) -> bool:
    """Whether the last row is of a step after which there is a validation, and the validation's own is not there."""
    last = (rows_of(stage) or [{"step": 1}])[-1]
    return "valid_loss" not in last and last["step"] % EACH == 0 and not in_a_checkpoint(stage)


def in_a_step(stage: Path) -> bool:
    """Whether a step that no checkpoint follows is being taken, or has just been."""
    last = (rows_of(stage) or [{"step": 0}])[-1]
    return last["step"] % EACH == 1


def in_the_result(stage: Path) -> bool:
    """Whether the weights are being saved."""
    return any(stage.glob(".model.*.tmp"))


def in_the_start(stage: Path) -> bool:
    """At once: reading the data, loading the model, finding the checkpoint."""
    return True


def watch(fork: Fork, condition: Callable[[], bool]) -> bool:
    """Wait until the condition holds, or the process has ended."""
    while not fork.has_ended:
        if condition():
            return True
        time.sleep(0.0002)
    return False


def wait_for_moment(moment: Callable[[Path], bool], fork: Fork, stage: Path, *, later: float) -> None:
    """Until this moment has come, and a little longer."""
    if moment is not in_the_start:  # nor in what the last attempt left behind, which is gone by then
        watch(fork, lambda: any(word in fork.stderr.read_text() for word in ("resumed after", "step 0/")))
    watch(fork, lambda: moment(stage))
    time.sleep(later)


# --- killed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variant", [pytest.param(LORA, id="lora"), pytest.param(FULL, id="full", marks=pytest.mark.slow)]
)
def test_twenty_kills_leave_no_trace(
    variant: tuple[str, ...],
    warm: Warm,
    prepared_once: Path,
    uninterrupted: dict[tuple[str, ...], Path],
    tmp_path: Path,
) -> None:
    folder = Path(shutil.copytree(prepared_once, tmp_path / "folder"))
    stage = folder / STAGE
    chance = random.Random(str(variant))
    moments = [in_the_start] * 3 + [in_a_step] * 4 + [in_a_checkpoint] * 5 + [in_a_validation] * 5
    chance.shuffle(moments)
    hits = dict.fromkeys(moments, 0)

    for moment in [*moments, in_the_result, in_the_result, in_the_result]:
        fork = warm.start(folder, *words(variant))
        later = chance.uniform(0, 0.3) if moment is in_the_start else chance.uniform(0, 0.002)
        wait_for_moment(moment, fork, stage, later=later)
        fork.send(signal.SIGKILL)
        wait_until_ended(fork)
        hits[moment] = hits.get(moment, 0) + moment(stage)
        assert fork.finish().code == -signal.SIGKILL, moment
    done = warm.start(folder, *words(variant)).finish()

    assert done.code == 0, done.err
    assert outcome(stage) == outcome(uninterrupted[variant])
    assert sorted(path.name for path in stage.iterdir()) == LEFT
    assert all(hits.values()), hits  # each kind of moment was met


def test_killed_as_typed_it_goes_on_as_typed(
    prepared_once: Path, uninterrupted: dict[tuple[str, ...], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(prepared_once, tmp_path / "folder"))
    stage = folder / STAGE
    first = start(folder, *words(FULL))
    time.sleep(random.Random(1).uniform(1, 4))
    first.kill()
    second = start(folder, *words(FULL))
    while second.poll() is None and not in_a_checkpoint(stage):
        time.sleep(0.0002)
    second.kill()

    done = finish(start(folder, *words(FULL)))

    assert [finish(process).code for process in (first, second)] == [-signal.SIGKILL] * 2
    assert (done.code, done.stdout) == (0, b"")
    assert "\r" not in done.err  # no bar of a library's
    assert "Warning" not in done.err
    assert outcome(stage) == outcome(uninterrupted[FULL])


def test_a_kill_when_all_but_the_checkpoints_is_done_costs_nothing(
    warm: Warm, prepared_once: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(prepared_once, tmp_path / "folder"))
    stage = folder / STAGE
    words_of_two_steps = [*words(LORA), "--set=stages.parallel.max_steps=2"]
    assert warm.start(folder, *words_of_two_steps).finish().code == 0
    (stage / "checkpoints" / "step-000002").mkdir(parents=True)

    done = warm.start(folder, *words_of_two_steps).finish()

    assert done.code == 0
    assert "stage parallel is finished already" in done.err
    assert sorted(path.name for path in stage.iterdir()) == LEFT


def test_a_kill_while_no_resume_deletes_leaves_nothing_to_go_on_from_by_mistake(
    warm: Warm, prepared_once: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(prepared_once, tmp_path / "folder"))
    half_deleted = folder / "runs/tiny/.parallel.deleted" / "checkpoints" / "step-000002"
    half_deleted.mkdir(parents=True)

    done = warm.start(folder, *words(LORA), "--set=stages.parallel.max_steps=2", "--no-resume").finish()

    assert done.code == 0
    assert "resumed" not in done.err
    assert sorted(path.name for path in (folder / "runs/tiny").iterdir()) == ["data", "parallel"]


# --- Ctrl-C -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_at_any_moment_is_one_line_and_leaves_no_trace(
    times: int, warm: Warm, prepared_once: Path, uninterrupted: dict[tuple[str, ...], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(prepared_once, tmp_path / "folder"))
    stage = folder / STAGE
    chance = random.Random(times)
    moments = [in_the_start, in_the_start, in_a_step, in_a_step, in_a_checkpoint, in_a_validation]
    chance.shuffle(moments)

    stopped = []
    for moment in [*moments, in_the_result]:
        fork = warm.start(folder, *words(LORA))
        wait_for_moment(moment, fork, stage, later=chance.uniform(0.02, 0.4) if moment is in_the_start else 0)
        for _ in range(times):
            fork.send(signal.SIGINT)
            time.sleep(chance.uniform(0, 0.01))
        stopped.append(fork.finish())
    done = warm.start(folder, *words(LORA)).finish()

    errors = [[line for line in one.err.split("\n") if line.startswith(("error", "Traceback"))] for one in stopped]
    assert [one.code for one in stopped] == [130] * len(stopped), errors
    assert [len(lines) for lines in errors] == [1] * len(stopped), stopped
    assert all("error: stopped" in lines[0] and "same command" in lines[0] for lines in errors), errors
    assert done.code == 0, done.err
    assert outcome(stage) == outcome(uninterrupted[LORA])
