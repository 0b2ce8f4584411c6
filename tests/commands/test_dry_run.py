"""`alma train --dry-run` as typed: data, a sample's tokens, memory, time, and what to change where it does not fit."""

from __future__ import annotations

import json
import os
import pty
import re
from pathlib import Path

import pytest

from tests.typed import finish, start, typed

DRY = ("train", "--stage", "parallel", "--dry-run")


@pytest.fixture
def prepared(folder: Path) -> Path:
    """The folder with its data prepared."""
    assert typed(folder, "prepare", "--quiet").code == 0
    return folder


def files_in(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_it_says_what_training_would_take_and_leaves_nothing(prepared: Path) -> None:
    before = files_in(prepared)

    done = typed(prepared, *DRY)

    assert (done.code, done.out) == (0, "")
    assert "data 60 examples" in done.err
    assert "steps 3 of 8 examples" in done.err
    assert "lengths in tokens: 0% " in done.err
    assert "memory: runtime " in done.err
    assert "fits this machine: " in done.err
    assert "time: about " in done.err
    assert files_in(prepared) == before


def test_the_sample_marks_where_the_loss_looks(prepared: Path) -> None:
    done = typed(prepared, *DRY)

    [sample] = [line for line in done.err.split("\n") if line.startswith("sample: ")]
    prompt, target, end = sample.split(" |")
    assert prompt.endswith(("↵English:", "↵German:"))
    assert " and " in target or " und " in target
    assert end == "EOS"


def test_json_has_all_of_it_on_stdout(prepared: Path) -> None:
    done = typed(prepared, *DRY, "--json", "--quiet", "--gpu", "H100")

    facts = json.loads(done.out)
    assert (facts["version"], facts["stage"], facts["steps"], facts["examples"]["train"]) == (1, "parallel", 3, 60)
    assert facts["memory_bytes"]["total"] == sum(v for k, v in facts["memory_bytes"].items() if k != "total")
    assert facts["seconds"] == pytest.approx(facts["useful_flops"] / (989e12 * facts["share_of_peak"]))
    assert "".join(piece["text"] for piece in facts["sample"]).endswith("</s>")
    assert facts["length_quantiles"]["0%"] <= facts["length_quantiles"]["50%"] <= facts["length_quantiles"]["100%"]
    assert (facts["where"], facts["fits"], facts["changes_that_fit"]) == ("H100 80GB", True, {})


def test_a_gpu_that_is_too_small_is_told_with_what_to_change(prepared: Path, wide_model: Path) -> None:
    # 46M weights: 18 bytes each for full training, 2 for a LoRA, and 0.5 GiB for CUDA itself.
    done = typed(prepared, *DRY, "--model", str(wide_model), "--gpu", "1", "--set", "stages.parallel.precision=bf16")

    [line] = [line for line in done.errors if "does not fit" in line]
    assert "does not fit a GPU with 1 GB: 1." in line
    assert line.endswith("with --set stages.parallel.optimizer=adamw8bit it does")


def test_a_gpu_that_is_much_too_small_is_told_so(prepared: Path) -> None:
    done = typed(prepared, *DRY, "--gpu", "0.1")

    assert done.code == 0
    assert "does not fit a GPU with 0.1 GB: 0.5 GiB of 0.1 GiB; no other method or setting makes it fit" in done.err


def test_an_unknown_gpu_names_the_known_ones(prepared: Path) -> None:
    done = typed(prepared, *DRY, "--gpu", "abacus")

    assert (done.code, done.out) == (2, "")
    assert done.errors[-1].startswith("error: unknown GPU 'abacus' (")


def test_a_gpu_without_a_dry_run_is_refused(prepared: Path) -> None:
    done = typed(prepared, "train", "--stage", "parallel", "--gpu", "H100")

    assert (done.code, done.out) == (2, "")
    assert done.errors == ["error: --gpu is for --dry-run (training runs on the GPU that this machine has)"]


def test_a_model_without_its_weights_will_do(prepared: Path, tiny_model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (bare / name).write_bytes((tiny_model / name).read_bytes())

    done = typed(prepared, *DRY, "--model", str(bare), "--method", "lora", "--gpu", "T4")

    assert (done.code, done.out) == (0, "")
    assert "fits T4: " in done.err


def test_a_real_run_has_one_line_about_memory(prepared: Path) -> None:
    done = typed(prepared, "train", "--stage", "parallel")

    assert done.code == 0
    # The command runs in this process, whose memory counts.
    assert re.search(r"; memory about \d+\.\d+ GiB \(runtime \d+\.\d", done.err)


def test_on_a_terminal_the_sample_is_in_colours(prepared: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(prepared, *DRY, TERM="xterm", COLUMNS="100", stderr=theirs)
    os.close(theirs)
    shown = b""
    while block := _read(ours):
        shown += block
    os.close(ours)

    assert finish(process).code == 0
    assert b"\x1b[1;32m" in shown  # bold green: a target's token
    assert b"\x1b[1;35mEOS" in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's word for the end of a terminal
        return b""


@pytest.fixture
def wide_model(tmp_path: Path, tiny_model: Path) -> Path:
    """A configuration of 46M weights, and no weights."""
    config = json.loads((tiny_model / "config.json").read_text())
    config |= {"hidden_size": 1024, "intermediate_size": 5376, "head_dim": 256}
    folder = tmp_path / "wide"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny_model / name).read_bytes())
    return folder
