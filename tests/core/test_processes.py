"""Training in two processes, started as a person starts them, against the same training in one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.commands.conftest import fill
from tests.typed import REPOSITORY, typed, wait_for

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = (
    *("-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"),
    *("--mixed_precision", "no", "--dynamo_backend", "no"),
)
FSDP = {"ACCELERATE_USE_FSDP": "true"}
# Seven pairs a step in micro-batches of one: with two processes, one has nothing left to do in the end.
SETTINGS = {
    "precision": "fp32",
    "examples_per_step": 7,
    "tokens_per_micro_batch": 100,
    "learning_rate": 1e-3,
    "lora_dropout": 0.0,
    "max_steps": 5,
    "validations": 2,
}
SECONDS = 240


@dataclass(frozen=True)
class Launched:
    """What a launch left on the screen."""

    code: int
    out: str
    err: str

    def lines_with(self, words: str) -> list[str]:
        return [line for line in self.err.splitlines() if words in line]


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path) -> Path:
    """A folder with prepared data."""
    fill(tmp_path, tiny_model)
    assert typed(tmp_path, "prepare").code == 0
    return tmp_path


def train_words(out: str, method: str, **settings: Any) -> list[str]:
    """`train` with SETTINGS, from the folder's data."""
    words = ["train", "--stage", "parallel", "--method", method, "--out", out]
    for key, value in (SETTINGS | settings).items():
        words += ["--set", f"stages.parallel.{key}={value}"]
    return words


def work(folder: Path, name: str) -> str:
    """A work directory of its own with the prepared data in it."""
    (folder / name).mkdir()
    (folder / name / "data").symlink_to(folder / "runs" / "tiny" / "data")
    return name


def start(folder: Path, launcher: tuple[str, ...], *words: str, **environment: str) -> subprocess.Popen[bytes]:
    """Launch `alma WORDS` in two processes."""
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "alma_cli", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Where pytest runs in the background of a shell, SIGINT is ignored, and that would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # type: ignore[arg-type,return-value]
    )


def finish(process: subprocess.Popen[bytes]) -> Launched:
    try:
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    return Launched(process.returncode, out.decode(), err.decode())


def launch(folder: Path, launcher: tuple[str, ...], *words: str, **environment: str) -> Launched:
    return finish(start(folder, launcher, *words, **environment))


def metrics(folder: Path, out: str) -> list[dict[str, Any]]:
    text = (folder / out / "parallel" / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def trajectory(folder: Path, out: str) -> list[float]:
    """Training loss, gradient norm and validation loss, row by row."""
    names = ("loss", "gradient_norm", "valid_loss")
    return [row[name] for row in metrics(folder, out) for name in names if name in row]


def result(folder: Path, out: str) -> dict[str, torch.Tensor]:
    files = sorted((folder / out / "parallel" / "model").glob("*.safetensors"))
    return {name: tensor.float() for file in files for name, tensor in load_file(file).items()}


def assert_alike(folder: Path, one: str, other: str, *, relative: float) -> None:
    assert [row["step"] for row in metrics(folder, other)] == [row["step"] for row in metrics(folder, one)]
    assert trajectory(folder, other) == pytest.approx(trajectory(folder, one), rel=relative)
    expected, found = result(folder, one), result(folder, other)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=100 * relative, atol=relative)


# --- the same training --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "vocabulary", "launcher", "environment"),
    [
        ("full", "whole", TORCHRUN, {}),
        ("lora", "whole", TORCHRUN, FSDP),
        ("full", "sampled", TORCHRUN, FSDP),
        pytest.param("lora", "sampled", (*ACCELERATE, "--multi_gpu"), {}, marks=pytest.mark.slow),
        pytest.param("full", "whole", (*ACCELERATE, "--use_fsdp"), {}, marks=pytest.mark.slow),
    ],
    ids=["torchrun", "torchrun fsdp", "torchrun fsdp, a sampled vocabulary", "accelerate", "accelerate fsdp"],
)
def test_two_processes_train_as_one_does(
    method: str, vocabulary: str, launcher: tuple[str, ...], environment: dict[str, str], folder: Path
) -> None:
    one, two = work(folder, "one"), work(folder, "two")
    assert typed(folder, *train_words(one, method, loss_vocabulary=vocabulary)).code == 0

    launched = launch(folder, launcher, *train_words(two, method, loss_vocabulary=vocabulary), "--json", **environment)

    assert launched.code == 0, launched.err
    assert_alike(folder, one, two, relative=1e-4)
    facts = json.loads(launched.out)  # once
    assert facts["processes"] == 2
    told = (
        "recipe ",
        "stage parallel: ",
        "warning: ",
        "step 0/5: ",
        "step 2/5: ",
        "step 5/5 ",
        "step 5/5: ",
        "weights ",
    )
    assert [sum(line.startswith(words) for line in launched.err.splitlines()) for words in told] == [1] * len(told)


@pytest.mark.slow
def test_qlora_trains_in_two_processes_as_in_one(folder: Path, qlora_model: Path) -> None:
    one, two = work(folder, "one"), work(folder, "two")
    assert typed(folder, *train_words(one, "qlora"), "--model", str(qlora_model)).code == 0

    launched = launch(folder, TORCHRUN, *train_words(two, "qlora"), "--model", str(qlora_model))

    assert launched.code == 0, launched.err
    assert_alike(folder, one, two, relative=1e-4)


@pytest.mark.slow
def test_sharded_training_in_bf16_learns_as_whole_weights_do(folder: Path) -> None:
    one, two = work(folder, "one"), work(folder, "two")
    assert typed(folder, *train_words(one, "full", precision="bf16")).code == 0

    launched = launch(folder, TORCHRUN, *train_words(two, "full", precision="bf16"), **FSDP)

    assert launched.code == 0, launched.err
    assert_alike(folder, one, two, relative=1e-2)


def test_the_first_process_translates_to_validate(folder: Path) -> None:
    one, two = work(folder, "one"), work(folder, "two")
    settings = {"validate_by": "chrf", "max_steps": 2, "validations": 1}
    assert typed(folder, *train_words(one, "lora", **settings)).code == 0

    launched = launch(folder, TORCHRUN, *train_words(two, "lora", **settings))

    assert launched.code == 0, launched.err
    assert_alike(folder, one, two, relative=1e-4)
    assert [row["valid_chrf"] for row in metrics(folder, two) if "valid_chrf" in row] == [
        row["valid_chrf"] for row in metrics(folder, one) if "valid_chrf" in row
    ]


# --- stopped and gone on with ---------------------------------------------------------------------------------------


def test_a_sharded_run_stopped_by_ctrl_c_goes_on_in_one_process(folder: Path) -> None:
    one, two = work(folder, "one"), work(folder, "two")
    settings = {"epochs": 9, "max_steps": 60, "validations": 1}
    assert typed(folder, *train_words(one, "full", **settings)).code == 0

    process = start(folder, TORCHRUN, *train_words(two, "full", **settings), **FSDP)
    before = wait_for(process.stderr, "step 0/60")
    process.send_signal(signal.SIGINT)  # torchrun hands it on to each process
    stopped = finish(process)
    gone_on = typed(folder, *train_words(two, "full", **settings))

    assert stopped.code != 0
    (line,) = stopped.lines_with("error: ")
    assert line.startswith("error: stopped after step ")
    assert "the same command goes on from there" in line
    assert len(stopped.lines_with("stopping after this step")) == 1, before + stopped.err
    assert gone_on.code == 0
    assert "resumed after step" in gone_on.err
    assert_alike(folder, one, two, relative=1e-4)


def test_a_run_of_one_process_goes_on_in_two(folder: Path) -> None:
    from alma_cli.core.plan import plan_stage
    from alma_cli.core.recipe_file import load_recipe
    from alma_cli.core.stage import run_stage
    from alma_cli.errors import Interrupted

    one, two = work(folder, "one"), work(folder, "two")
    assert typed(folder, *train_words(one, "lora")).code == 0
    overrides = [word for word in train_words(two, "lora") if word.startswith("stages.")]
    recipe = load_recipe(str(folder / "alma.toml"), [*overrides, "stages.parallel.method=lora"]).recipe
    plan = plan_stage(recipe, "parallel", folder / two)
    with pytest.raises(Interrupted, match="stopped after step 1 of 5"):
        list(run_stage(plan, stop=lambda: True))

    launched = launch(folder, TORCHRUN, *train_words(two, "lora"), **FSDP)

    assert launched.code == 0, launched.err
    assert len(launched.lines_with("resumed after step 1")) == 1
    assert_alike(folder, one, two, relative=1e-4)


# --- errors ---------------------------------------------------------------------------------------------------------


def test_an_error_that_all_processes_have_is_told_once(tmp_path: Path, tiny_model: Path) -> None:
    fill(tmp_path, tiny_model)

    launched = launch(tmp_path, TORCHRUN, "train", "--stage", "parallel")

    assert launched.code != 0
    (line,) = launched.lines_with("error: ")
    assert line.startswith("error: no training data in ")


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        (
            ["prepare"],
            {},
            "error: `alma prepare` runs in one process, and 2 were started (only train and translate run in ",
        ),
        (train_words("out", "qlora"), FSDP, "error: 4-bit weights cannot be sharded (torchrun without FSDP trains "),
        (train_words("out", "lora", validate_by="chrf"), FSDP, "error: validate_by = 'chrf' cannot translate with "),
        (train_words("out", "full", optimizer="adamw8bit"), FSDP, "error: optimizer adamw8bit cannot be sharded"),
    ],
    ids=["prepare", "qlora", "chrf", "adamw8bit"],
)
def test_what_cannot_be_done_in_several_processes_is_refused(
    words: list[str], environment: dict[str, str], expected: str, folder: Path
) -> None:
    work(folder, "out")

    launched = launch(folder, TORCHRUN, *words, **environment)

    assert launched.code != 0
    (line,) = launched.lines_with("error: ")
    assert line.startswith(expected)


def test_a_schedulers_world_size_without_a_launcher_is_an_error_for_training_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")

    trained, prepared = typed(folder, "train", "--stage", "parallel"), typed(folder, "prepare")

    assert trained.code == 2
    assert trained.errors == [
        "error: WORLD_SIZE is 4, but LOCAL_RANK, MASTER_ADDR, MASTER_PORT are not set (start with torchrun or "
        "accelerate launch, or unset WORLD_SIZE to train in one process)"
    ]
    assert prepared.code == 0


def as_two_hosts(folders: list[Path], *words: str) -> list[Launched]:
    """Two processes, each as the only one of its host, with nobody to end one when the other is gone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [start(folder, (), *words, RANK=str(rank), **common) for rank, folder in enumerate(folders)]
    return [finish(process) for process in processes]


@pytest.mark.parametrize("lacking", ["data", "model"])
def test_an_error_that_one_process_has_is_told_with_its_number(
    lacking: str, folder: Path, tiny_model: Path, tmp_path_factory: Any
) -> None:
    other = fill(tmp_path_factory.mktemp("other-host"), folder if lacking == "model" else tiny_model)

    first, second = as_two_hosts([folder, other], "train", "--stage", "parallel")

    assert [first.code, second.code] == [1, 3]
    (line,) = second.err.splitlines()
    assert line.startswith("process 1: error: ")
    assert len(first.lines_with("error: process 1 failed")) == 1
    assert first.lines_with("Traceback") == []


def test_hosts_with_different_data_are_refused(folder: Path, tiny_model: Path, tmp_path_factory: Any) -> None:
    other = fill(tmp_path_factory.mktemp("other-host"), tiny_model)
    (other / "train.de-en.tsv").write_text("Haus\thouse\nHund\tdog\nBaum\ttree\n")
    assert typed(other, "prepare").code == 0

    first, second = as_two_hosts([folder, other], "train", "--stage", "parallel")

    assert [first.code, second.code] == [2, 2]
    (line,) = first.lines_with("error: ")
    assert line.startswith("error: the processes do not have the same data and settings")
    assert second.err == ""


def test_the_first_process_goes_ahead_and_the_rest_find_what_it_left(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from alma_cli.core.processes import Processes\n"
        "with Processes() as processes, processes.first_goes_ahead():\n"
        "    found = Path('order').read_text() if Path('order').exists() else ''\n"
        "    time.sleep(0.5 * processes.is_first)\n"
        "    Path('order').write_text(found + str(processes.rank))\n"
    )

    done = subprocess.run(
        [sys.executable, *TORCHRUN, str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0
    assert (tmp_path / "order").read_text() == "01"
