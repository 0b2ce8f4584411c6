"""What `alma train` may find broken, on disk or in its numbers: one line that names it and says what to do."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch

from alma_cli.core.dataset import read_examples, split_path, write_examples
from alma_cli.core.run import RUN_VERSION
from tests.commands.conftest import fill, outcome
from tests.tiny import byte_tokenizer, tiny_llama
from tests.typed import Typed, typed
from tests.warm import Warm

STAGE = "runs/tiny/parallel"
START_AGAIN = "--no-resume deletes it and starts again, --out DIR trains elsewhere"
SETTINGS = ("max_steps=12", "epochs=9", "validations=6", "method=lora", "keep_checkpoints=2", "precision=fp32")


def train(folder: Path, *settings: str, more: tuple[str, ...] = ()) -> Typed:
    """The command, with other settings where given."""
    given = [f"--set=stages.parallel.{setting}" for setting in (*SETTINGS, *settings)]
    return typed(folder, "train", "--stage", "parallel", "--quiet", *given, *more)


@pytest.fixture
def prepared(prepared_once: Path, tmp_path: Path) -> Path:
    """The folder with its data prepared."""
    return Path(shutil.copytree(prepared_once, tmp_path / "folder"))


@pytest.fixture(scope="module")
def begun_once(warm: Warm, prepared_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed with two checkpoints or more. Read only."""
    folder = Path(shutil.copytree(prepared_once, tmp_path_factory.mktemp("begun") / "folder"))
    given = [f"--set=stages.parallel.{setting}" for setting in SETTINGS]
    fork = warm.start(folder, "train", "--stage", "parallel", *given)
    while not (folder / STAGE / "checkpoints/step-000006").is_dir():
        assert not fork.has_ended
    fork.send(signal.SIGKILL)
    assert fork.finish().code == -signal.SIGKILL
    return folder


@pytest.fixture
def begun(begun_once: Path, tmp_path: Path) -> Path:
    """The same, to break."""
    return Path(shutil.copytree(begun_once, tmp_path / "begun"))


def with_model(tmp_path: Path, directory: Path) -> Path:
    """A folder whose recipe names this model, with its data prepared."""
    folder = tmp_path / "with-model"
    folder.mkdir()
    assert typed(fill(folder, directory), "prepare", "--quiet").code == 0
    return folder


def failed(done: Typed, code: int, line: str) -> None:
    """It failed with this code and this one line."""
    assert (done.code, done.out) == (code, "")
    assert [error for error in done.errors if not error.startswith("warning: ")] == [f"error: {line}"]


# --- the numbers --------------------------------------------------------------------------------------------------


def test_a_model_that_computes_no_numbers_is_told_before_the_first_step(tmp_path: Path) -> None:
    model = tiny_llama()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    model.save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")

    done = train(with_model(tmp_path, tmp_path / "model"))

    failed(done, 2, "the validation loss is nan after step 0 (the model's weights, or its copy, are damaged)")


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_loss_that_explodes_is_told_with_its_step(prepared: Path, method: str) -> None:
    done = train(prepared, f"method={method}", "learning_rate=1e30", "schedule=constant", "validations=1")

    assert done.code == 2
    assert re.fullmatch(
        r"error: the (loss|gradient norm) is nan at step 3 \(lower stages\.\*\.learning_rate\)", done.errors[-1]
    )


def test_a_loss_that_explodes_in_a_validation_is_told_and_not_kept(prepared: Path) -> None:
    done = train(prepared, "learning_rate=1e30", "schedule=constant", "validations=12")

    failed(done, 2, "the validation loss is nan after step 2 (lower stages.*.learning_rate)")
    assert [path.name for path in (prepared / STAGE / "checkpoints").iterdir()] == ["step-000001"]


# --- the data and the model ---------------------------------------------------------------------------------------


def test_an_empty_data_set_is_told(prepared: Path) -> None:
    write_examples(split_path(prepared / "runs/tiny/data", "parallel", "train"), [])

    failed(train(prepared), 3, "nothing to train on in runs/tiny/data/parallel/train: it is empty")


def test_targets_beyond_the_limit_are_counted_and_told(prepared: Path) -> None:
    lengths = [
        len(example.target.encode()) + 1  # a token a byte, and EOS
        for example in read_examples(split_path(prepared / "runs/tiny/data", "parallel", "train"))
    ]
    limit = sorted(lengths)[len(lengths) // 2]

    done = train(prepared, f"max_target_tokens={limit}", "max_steps=1")

    longer = sum(length > limit for length in lengths)
    assert done.code == 0
    assert f"warning: left out of training: {longer} target too long" in done.errors
    facts = json.loads((prepared / STAGE / "stage.json").read_text())
    assert facts["examples"]["dropped"] == {"target_too_long": longer}
    assert facts["examples"]["train"] == len(lengths) - longer


def test_a_token_that_the_model_does_not_know_is_told_before_training(tmp_path: Path) -> None:
    tiny_llama(vocabulary=200).save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    folder = with_model(tmp_path, tmp_path / "model")

    done = train(folder)

    assert done.code == 3
    assert done.errors[-1].startswith(f"error: the tokenizer in {tmp_path / 'model'} has 259 tokens, the model in ")
    assert done.errors[-1].endswith("(they are not of one model, or its embeddings were not resized)")
    assert not (folder / STAGE).exists()


def test_a_tokenizer_with_a_token_more_that_nobody_uses_is_fine(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<padding>"})
    tiny_llama().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")

    assert train(with_model(tmp_path, tmp_path / "model"), "max_steps=1").code == 0


def test_lora_targets_that_the_model_has_not_are_told(prepared: Path) -> None:
    done = train(prepared, 'lora_targets=["down_projection"]')

    assert done.code == 2
    assert done.errors[-1].startswith("error: lora_targets ['down_projection'] do not fit: ")


def test_a_model_that_is_gone_is_told(begun: Path) -> None:
    recipe = begun / "alma.toml"
    recipe.write_text(recipe.read_text().replace('/tiny-model0"', '/tiny-model9"'))

    done = train(begun)

    assert done.code == 2
    assert done.errors[-1].startswith("error: model '")
    assert "tiny-model9' does not exist" in done.errors[-1]


def test_damaged_weights_of_the_model_are_told(tmp_path: Path) -> None:
    tiny_llama().save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    folder = with_model(tmp_path, tmp_path / "model")
    cut_in_half(tmp_path / "model/model.safetensors")

    done = train(folder)

    assert done.code == 3
    assert done.errors[-1].startswith(f"error: cannot load the model in {tmp_path / 'model'}: ")


# --- the run's own files ------------------------------------------------------------------------------------------


def cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / STAGE / "checkpoints").glob("step-*"))


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "optimizer.safetensors", "random.safetensors", "progress.json"]
)
def test_a_damaged_checkpoint_is_named_with_the_way_out(name: str, begun: Path) -> None:
    *_, earlier, newest = (path.relative_to(begun) for path in checkpoints(begun))
    cut_in_half(begun / newest / name)

    done = train(begun)

    step = int(earlier.name.removeprefix("step-"))
    assert done.code == 3
    assert done.errors[-1].startswith(f"error: {newest / name} is damaged: ")
    assert done.errors[-1].endswith(f"(delete {newest}, and the same command goes on after step {step})")


def test_without_the_damaged_checkpoint_the_run_ends_with_the_same_bytes(
    begun: Path, prepared: Path, tmp_path: Path
) -> None:
    shutil.rmtree(checkpoints(begun)[-1])

    assert train(begun).code == 0

    assert train(prepared).code == 0
    assert outcome(begun / STAGE) == outcome(prepared / STAGE)


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "optimizer.safetensors", "random.safetensors", "progress.json"]
)
def test_a_file_that_is_missing_in_the_only_checkpoint_is_named(name: str, begun: Path) -> None:
    for path in checkpoints(begun)[:-1]:
        shutil.rmtree(path)
    file = checkpoints(begun)[-1] / name
    file.unlink()

    failed(train(begun), 3, f"{file.relative_to(begun)} is missing ({START_AGAIN})")
    assert train(begun, "max_steps=2", more=("--no-resume",)).code == 0


def test_a_damaged_best_checkpoint_is_named_when_its_weights_are_needed(begun: Path) -> None:
    newest = checkpoints(begun)[-1]
    progress = json.loads((newest / "progress.json").read_text())
    progress.update(best_step=1, best_loss=0.0)  # a step that has no checkpoint, however late the run was killed
    (newest / "progress.json").write_text(json.dumps(progress))

    failed(train(begun), 3, f"{STAGE}/checkpoints/step-000001/weights.safetensors is missing ({START_AGAIN})")


@pytest.mark.parametrize("content", ["", "{", '{"version": 2', "[]", "null"])
def test_a_damaged_run_json_is_named(content: str, begun: Path) -> None:
    (begun / STAGE / "run.json").write_text(content)

    done = train(begun)

    assert done.code == 3
    assert done.errors[-1].startswith(f"error: {STAGE}/run.json is damaged: ")
    assert done.errors[-1].endswith(f"({START_AGAIN})")


def test_checkpoints_of_nobody_knows_what_are_not_gone_on_from(begun: Path) -> None:
    (begun / STAGE / "run.json").unlink()

    failed(train(begun), 3, f"{STAGE} has checkpoints, but no run.json that says of what ({START_AGAIN})")


def test_a_damaged_stage_json_is_named_and_the_stage_can_be_trained_again(prepared: Path) -> None:
    assert train(prepared, "max_steps=1").code == 0
    cut_in_half(prepared / STAGE / "stage.json")

    done = train(prepared, "max_steps=1")

    assert done.code == 3
    assert done.errors[-1].startswith(f"error: {STAGE}/stage.json is damaged: ")
    assert done.errors[-1].endswith("(`alma train --stage parallel --no-resume` trains it again)")
    assert train(prepared, "max_steps=1", more=("--no-resume",)).code == 0


def test_a_run_of_an_older_version_is_not_gone_on_from(begun: Path) -> None:
    file = begun / STAGE / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 1}))

    failed(
        train(begun),
        2,
        f"{STAGE} holds a run of another version of alma (run version 1, here {RUN_VERSION}) ({START_AGAIN})",
    )


def test_a_run_of_another_recipe_is_not_gone_on_from(begun: Path) -> None:
    done = train(begun, "lora_rank=8", "learning_rate=0.5")

    failed(
        done,
        2,
        f"{STAGE} holds a run with other settings: settings.learning_rate was 0.002, now 0.5; "
        f"settings.lora_rank was 16, now 8 ({START_AGAIN})",
    )


@pytest.mark.parametrize(
    "setting", ["tokens_per_micro_batch=100", "keep_checkpoints=5", "checkpoint_minutes=1", 'trackers=["tensorboard"]']
)
def test_what_changes_nothing_in_the_result_may_change_on_the_way(setting: str, begun: Path) -> None:
    done = train(begun, setting)

    assert done.code == 0
    facts = json.loads((begun / STAGE / "stage.json").read_text())
    assert facts["progress"]["step"] == 12
