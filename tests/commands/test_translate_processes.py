"""Translating in two processes, started as a person starts them: the same bytes as in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.test_processes import ACCELERATE, TORCHRUN, launch
from tests.typed import typed

LINES = [f"Hund {number} und Katze {number * number}\n" for number in range(40)] + ["\n", "Hund 0 und Katze 0\n"]
WORDS = ("translate", "long.txt", "-s", "de", "-t", "en", "--beams", "1")


@pytest.fixture
def folder(folder: Path) -> Path:
    """A folder with a file of 42 lines."""
    (folder / "long.txt").write_text("".join(LINES))
    return folder


def keys(journals: Path) -> list[str]:
    """What the records are of, with what made them."""
    return sorted(
        path.parent.name + line[:45]
        for path in journals.glob("*/journal-*.jsonl")
        for line in path.read_text().splitlines()
    )


@pytest.mark.parametrize("launcher", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate"])
def test_two_processes_share_the_work_and_write_what_one_writes(
    launcher: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMA_JOURNALS", str(folder / "one"))
    assert typed(folder, *WORDS, "-o", "one.txt").code == 0

    done = launch(folder, launcher, *WORDS, "-o", "two.txt", ALMA_JOURNALS=str(folder / "two"))

    assert done.code == 0, done.err
    assert (folder / "two.txt").read_bytes() == (folder / "one.txt").read_bytes()
    assert keys(folder / "two") == keys(folder / "one")
    assert len(done.lines_with("segments translated into two.txt")) == 1


def test_what_is_wrong_is_told_once_and_ends_all_processes(folder: Path) -> None:
    done = launch(folder, TORCHRUN, "translate", "none.txt", "-s", "de", "-t", "en", "-o", "two.txt")

    assert done.code == 1
    assert len(done.lines_with("error: 'none.txt' does not exist")) == 1
    assert not (folder / "two.txt").exists()
