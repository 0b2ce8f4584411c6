"""`alma export` as typed: what is written and told, what is refused in one line, and the page that comes with it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import signal
import sys
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from alma_cli.commands.export import _FORMATS
from alma_cli.core.export import FORMATS
from tests.commands.conftest import fill
from tests.typed import Typed, finish, start, typed, wait_for


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with both stages trained, stage 2 as an adapter that changes something, and scored. Read only."""
    folder = fill(tmp_path_factory.mktemp("trained"), tiny_model)
    for command in (
        "prepare",
        "train --stage mono --method lora",
        "train --stage parallel --method lora --set stages.parallel.learning_rate=0.03",
        "translate",
        "score",
    ):
        done = typed(folder, *command.split(), "--quiet")
        assert done.code == 0, done.err
    return folder


def export(folder: Path, *words: str) -> Typed:
    return typed(folder, "export", *words)


def without_ctranslate2() -> bool:
    return importlib.util.find_spec("ctranslate2") is None


needs_ctranslate2 = pytest.mark.skipif(without_ctranslate2(), reason="pip install ctranslate2")


# --- what is written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "--format merged",
        "--format merged --dtype fp32",
        "--format adapter",
        pytest.param("--format ctranslate2", marks=needs_ctranslate2),
        pytest.param("--format ctranslate2 --quantization float32", marks=needs_ctranslate2),
    ],
)
def test_each_format_is_written_checked_and_told(trained: Path, tmp_path: Path, words: str) -> None:
    done = export(trained, *words.split(), "--to", str(tmp_path / "out"))

    assert (done.code, done.out) == (0, ""), done.err
    assert re.search(r"\nlogits differ by \S+ of their spread at most \(limit \S+\)\n", done.err)
    assert re.search(r"\n[0-3] of 3 translations the same\n", done.err)
    assert f" MB are in {tmp_path / 'out'}; " in done.err.splitlines()[-1]
    assert (tmp_path / "out/README.md").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("words", ["--format merged --dtype fp32", "--format adapter"])
def test_exact_formats_translate_the_same(trained: Path, tmp_path: Path, words: str) -> None:
    done = export(trained, *words.split(), "--to", str(tmp_path / "out"))

    assert "\n3 of 3 translations the same\n" in done.err


def test_json_has_the_facts_that_the_directory_keeps(trained: Path, tmp_path: Path) -> None:
    done = export(trained, "--format", "merged", "--json", "--quiet", "--to", str(tmp_path / "out"))

    facts = json.loads(done.out)
    assert facts.pop("directory") == str(tmp_path / "out")
    assert facts == json.loads((tmp_path / "out/export.json").read_text())
    assert (facts["version"], facts["format"], facts["kind"]) == (1, "merged", "bf16")
    assert facts["adapter_effect"] > facts["logits"]["typical_difference"]
    assert facts["logits"].keys() == {
        "largest_difference",
        "typical_difference",
        "spread",
        "tolerance",
        "compared_in",
    }
    assert facts["translations"]["of"] == len(facts["translations"]["texts"]) == 3
    assert done.errors == []


def test_without_to_it_goes_into_the_work_directory_and_alma_translates_with_it(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "copy")

    done = export(tmp_path / "copy", "--format", "merged")

    command = "alma translate --model runs/tiny/export/merged"
    assert done.err.splitlines()[-1].endswith(f" MB are in runs/tiny/export/merged; next: {command}")
    words = ("in.txt", "--src", "de", "--tgt", "en", "--quiet")
    from_run = typed(tmp_path / "copy", "translate", *words)
    exported = typed(tmp_path / "copy", "translate", *words, "--model", "runs/tiny/export/merged")
    assert exported.code == 0
    assert exported.out.count("\n") == from_run.out.count("\n") == 3


def test_a_second_time_nothing_is_done_and_no_resume_does_it(trained: Path, tmp_path: Path) -> None:
    words = ("--format", "adapter", "--to", str(tmp_path / "out"))
    first = export(trained, *words)
    before = (tmp_path / "out/README.md").stat().st_mtime_ns

    second, third = export(trained, *words), export(trained, *words, "--no-resume")

    assert (first.code, second.code, third.code) == (0, 0, 0)
    assert f"{tmp_path / 'out'} holds this export already; --no-resume writes it again" in second.err
    assert (tmp_path / "out/README.md").stat().st_mtime_ns > before


def test_the_card_tells_of_both_stages_their_data_and_scores(trained: Path, tmp_path: Path) -> None:
    export(trained, "--format", "adapter", "--to", str(tmp_path / "out"))

    text = (tmp_path / "out/README.md").read_text()
    for line in (
        "# tiny-parallel",
        "- Directions: de-en, en-de",
        "## Training, stage 1: mono",
        "## Training, stage 2: parallel",
        "| steps | 3 |",
        "/train.de-en.tsv | train | de-en | 30 | ",
        "| parallel | de-en | BLEU | ",
        "library_name: peft",
    ):
        assert line in text, line
    assert str(trained) not in text


@pytest.mark.parametrize(
    "words",
    ["merged", "adapter", pytest.param("ctranslate2 --quantization float32", marks=needs_ctranslate2)],
)
def test_the_program_on_the_card_translates(trained: Path, tmp_path: Path, words: str) -> None:
    assert export(trained, "--format", *words.split(), "--to", str(tmp_path / "out")).code == 0
    program = re.search(r"```python\n(.*?)```", (tmp_path / "out/README.md").read_text(), re.DOTALL)
    assert program

    with chdir(tmp_path / "out"), redirect_stdout(out := StringIO()):
        exec(program[1], {})

    assert out.getvalue().strip()


def test_an_adapter_whose_base_nobody_else_has_is_told(trained: Path, tmp_path: Path) -> None:
    done = export(trained, "--format", "adapter", "--quiet", "--to", str(tmp_path / "out"))

    assert len(done.errors) == 1
    assert done.errors[0].startswith("warning: the adapter's base model is on this machine only: ")


def test_the_base_model_is_exported_with_a_warning_where_nothing_is_trained(folder: Path) -> None:
    done = export(folder, "--format", "merged", "--quiet")

    assert done.code == 0
    assert done.errors == [
        "warning: no stage of recipe tiny is finished in runs/tiny: the base model is not fine-tuned"
    ]
    assert (
        "- How it was trained is not recorded beside its weights.\n"
        in (folder / "runs/tiny/export/merged/README.md").read_text()
    )


def test_an_adapter_that_changes_nothing_is_told(trained: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(trained / "runs/tiny/parallel/model", tmp_path / "adapter")
    weights = load_file(tmp_path / "adapter/adapter_model.safetensors")
    zeros = {name: tensor * ("lora_B" not in name) for name, tensor in weights.items()}
    save_file(zeros, tmp_path / "adapter/adapter_model.safetensors", metadata={"format": "pt"})

    done = export(trained, "--format", "merged", "--model", str(tmp_path / "adapter"), "--to", str(tmp_path / "out"))

    assert done.code == 0, done.err
    assert "warning: the adapter changes nothing at all\n" in done.err


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("", 2, "--format is missing (one of: merged, adapter, ctranslate2)"),
        ("--format merge", 2, "unknown --format 'merge' (did you mean 'merged'?)"),
        ("--format gguf", 2, "unknown --format 'gguf' (one of: adapter, ctranslate2, merged)"),
        ("--format merged --dtype fp16", 2, "unknown --dtype 'fp16' (did you mean 'bf16'?)"),
        ("--format ctranslate2 --quantization int4", 2, "unknown --quantization 'int4' (did you mean 'int"),
        ("--format merged --quantization int8", 2, "--quantization does not go with --format merged (it is for --for"),
        ("--format adapter --dtype bf16", 2, "--dtype does not go with --format adapter (it is for --format merged)"),
        ("--format merged --model nowhere", 2, "unknown model 'nowhere' ("),
        ("--format merged --model in.txt", 3, "model 'in.txt' is a file, but not a .gguf"),
        ("--format adapter --model runs/tiny/mono", 3, "runs/tiny/mono has no adapter: its weights are whole ("),
        ("--format merged --to in.txt", 2, "in.txt is a file (--to DIR names a directory)"),
        ("--format merged --to .", 2, ". is the current directory (--to DIR names one below it)"),
        ("--format merged --to runs/tiny/data", 2, "runs/tiny/data is not empty, and no export of ours ("),
        ("--format merged --to runs/tiny/data --no-resume", 2, "runs/tiny/data is not empty, and no export of ours ("),
        ("--format merged --to runs/tiny/mono/model", 2, "runs/tiny/mono/model is the model itself"),
        ("--format merged --to /proc/here/out", 4, "No such file or directory (/proc/here)"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(trained: Path, words: str, code: int, message: str) -> None:
    more = ("--model", "runs/tiny/mono") if words.endswith("/mono/model") else ()

    done = export(trained, *words.split(), *more)

    shown = [line for line in done.errors if not line.startswith("model ")]
    assert (done.code, done.stdout) == (code, b"")
    assert len(shown) == 1
    assert shown[0].startswith(f"error: {message}")
    assert not (trained / "runs/tiny/export").exists()


def test_without_ctranslate2_the_way_to_get_it_is_one_line(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)

    done = export(trained, "--format", "ctranslate2")

    assert done.code == 4
    assert done.errors == ["error: CTranslate2 is not installed (pip install ctranslate2)"]


def test_another_export_is_not_overwritten(trained: Path, tmp_path: Path) -> None:
    words = ("--format", "merged", "--to", str(tmp_path / "out"))
    assert export(trained, *words).code == 0

    done = export(trained, *words, "--dtype", "fp32")

    hint = "(--no-resume replaces it, --to DIR writes elsewhere)"
    assert (done.code, done.errors) == (2, [f"error: {tmp_path / 'out'} holds an export with another kind {hint}"])


def test_ctrl_c_leaves_nothing(trained: Path, tmp_path: Path) -> None:
    process = start(trained, "export", "--format", "merged", "--to", str(tmp_path / "out"))
    wait_for(process.stderr, "model runs/tiny/parallel")

    process.send_signal(signal.SIGINT)
    done = finish(process)

    assert done.code == 130
    assert done.err.endswith("error: stopped (run the same command again: what is complete is not done again)\n")
    assert list(tmp_path.iterdir()) == []


def test_the_formats_in_the_help_are_the_librarys(folder: Path) -> None:
    assert _FORMATS == FORMATS
    shown: Any = export(folder, "--help").out
    assert all(name in shown for name in FORMATS)
