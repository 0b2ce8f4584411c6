"""`alma train` as typed: what is due, what would be done, what --method brings, and Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
from pathlib import Path

import pytest

from tests.typed import finish, start, typed, wait_for


@pytest.fixture
def prepared(folder: Path) -> Path:
    """The folder with its data prepared."""
    assert typed(folder, "prepare", "--quiet").code == 0
    return folder


def test_without_a_stage_it_names_the_one_that_is_due(prepared: Path) -> None:
    done = typed(prepared, "train")

    assert (done.code, done.out) == (2, "")
    assert done.errors == ["error: --stage is missing (next due: `alma train --stage mono`)"]


def test_a_stage_before_its_turn_names_the_one_that_comes_first(prepared: Path) -> None:
    done = typed(prepared, "train", "--stage", "parallel", "--dry-run")

    assert (done.code, done.out) == (0, "")
    assert done.errors[-1].startswith(
        "warning: stage mono of recipe tiny is not finished: stage parallel starts from the base model "
    )
    assert done.errors[-1].endswith("(`alma train --stage mono` comes first)")


def test_training_before_preparing_says_so(folder: Path) -> None:
    done = typed(folder, "train", "--stage", "mono")

    assert (done.code, done.out) == (3, "")
    assert len(done.errors) == 1
    assert "(run `alma prepare --stage mono` first)" in done.errors[0]


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(prepared: Path) -> None:
    done = typed(prepared, "train", "--stage", "mono", "--dry-run")

    assert (done.code, done.out) == (0, "")
    assert "steps 3 of 8 examples" in done.err
    assert not (prepared / "runs/tiny/mono").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "method full, learning rate 2e-05"),
        (("--method", "lora"), "method lora, learning rate 0.002"),
        (("--method", "lora", "--set", "stages.mono.learning_rate=1e-4"), "method lora, learning rate 0.0001"),
        (("--set", "stages.mono.method=lora"), "method lora, learning rate 0.002"),
    ],
)
def test_a_method_brings_its_learning_rate(prepared: Path, words: tuple[str, ...], expected: str) -> None:
    done = typed(prepared, "train", "--stage", "mono", "--dry-run", *words)

    assert done.code == 0
    assert expected in done.err
    assert done.err.count("recipe tiny: ") == 1


def test_json_is_all_of_stdout(prepared: Path) -> None:
    done = typed(prepared, "train", "--stage", "mono", "--json", "--quiet")

    facts = json.loads(done.out)
    assert (done.code, done.errors) == (0, [])
    assert facts == json.loads((prepared / "runs/tiny/mono/stage.json").read_text())
    assert (facts["stage"], facts["steps"]) == ("mono", 3)


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(prepared: Path) -> None:
    many = [f"--set=stages.mono.{word}" for word in ("max_steps=400", "epochs=400", "validations=400")]
    process = start(prepared, "train", "--stage", "mono", *many)
    before = wait_for(process.stderr, "step 3/400: validation")

    process.send_signal(signal.SIGINT)
    done = finish(process)

    errors = [line for line in (before + done.err).split("\n") if line.startswith(("error", "Traceback"))]
    assert (done.code, done.stdout) == (130, b"")
    assert len(errors) == 1
    assert "same command" in errors[0]
    again = start(prepared, "train", "--stage", "mono", *many)
    assert "resumed after step " in wait_for(again.stderr, "resumed")
    again.kill()
    finish(again)


def test_on_a_terminal_the_run_is_one_live_line(prepared: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(prepared, "train", "--stage", "mono", TERM="xterm", COLUMNS="100", stderr=theirs)
    os.close(theirs)
    shown = b""
    while block := _read(ours):
        shown += block
    os.close(ours)

    assert finish(process).code == 0
    text = shown.decode()
    assert "Traceback" not in text
    assert "step 3/3  loss" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 2  # reading the text, then training
    assert "next: alma train --stage parallel" in text.split("\x1b[?25h")[2]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's word for the end of a terminal
        return b""
