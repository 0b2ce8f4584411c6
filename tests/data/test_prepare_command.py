"""`alma prepare` as it is typed: exit codes, one-line errors, what goes to stdout and to stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RECIPE = """
name = "tiny"
model = "no-such-model"
directions = ["de-en", "en-de"]
[data.parallel]
sources = [{ path = "train.de-en.tsv" }]
[stages.parallel]
"""
TWO_STAGES = RECIPE + "[stages.mono]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a recipe and a corpus."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alma.toml").write_text(RECIPE)
    (tmp_path / "train.de-en.tsv").write_text("eins\tone\nzwei\ttwo\nzwei\ttwo\n")
    return tmp_path


def run(*arguments: str) -> int:
    from alma_cli.cli import run_command

    return run_command(["prepare", *arguments])


def test_the_table_is_the_result_and_the_rest_goes_to_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    out, err = capsys.readouterr()
    assert "duplicate 1" in out
    assert "examples: train 4, valid 0, test 0" in out
    assert "warning: token counts are left out: " in err
    assert "no test set for de-en in any source" in err
    assert "data is in runs/tiny/data; next: alma train --stage parallel" in err


def test_a_second_time_says_that_it_is_done_already(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == run() == 0
    assert "stage parallel is prepared already; --no-resume prepares it again" in capsys.readouterr().err


def test_json_is_the_manifest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--quiet") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "runs/tiny/data/manifest.json").read_text())
    assert printed["sources"][0]["dropped"] == {"duplicate": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--stage", "paralel"), 2, "there is no stage 'paralel' (did you mean 'parallel'?)"),
        (("--stage", "mono"), 2, "recipe tiny has no stage mono (its stages: parallel)"),
        (("--source", "trian.de-en.tsv"), 3, "trian.de-en.tsv' does not exist (did you mean 'train.de-en.tsv'?)"),
        (("--source", "empty.de-en.tsv"), 3, "empty.de-en.tsv is empty (take it out of the sources)"),
        (
            ("--source", "utf16.de-en.tsv"),
            3,
            "no pair is left to train on, of 2 read (invalid_utf8 1, wrong_columns 1)",
        ),
        (("--source", "nul.de-en.tsv"), 3, "no pair is left to train on, of 1 read (control_characters 1)"),
        (("--source", "cut.de-en.json"), 3, "cut.de-en.json line 2 column 1 is not JSON"),
        (("--source", "short.{lang}"), 3, "short.en ends after line 1"),
        (("--source", "gone.{lang}"), 3, "gone.de' does not exist"),
        (("--source", "."), 3, "has no file of the ALMA layout for the recipe"),
        (("--source", "broken.de-en.tsv.gz"), 3, "broken.de-en.tsv.gz cannot be decompressed"),
        (("--source", "rows.csv"), 2, "rows.csv does not tell its format (.json, .jsonl, .tsv, or set `format`)"),
        (("--source", "rows.tsv"), 2, "the languages of"),
        (("--recipe", "two.toml", "--source", "rows.tsv"), 2, "--source needs --stage, since the recipe has more"),
        (("--recipe", "two.toml", "--stage", "mono"), 2, "recipe tiny has no sources for stage mono"),
    ],
)
def test_every_problem_is_one_line_with_its_exit_code(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    (folder / "two.toml").write_text(TWO_STAGES)
    (folder / "empty.de-en.tsv").write_text("")
    (folder / "utf16.de-en.tsv").write_bytes("eins\tone\n".encode("utf-16"))
    (folder / "nul.de-en.tsv").write_text("ei\0ns\tone\n")
    (folder / "cut.de-en.json").write_text('[{"de": "a", "en": "b"},\n')
    (folder / "short.de").write_text("eins\nzwei\n")
    (folder / "short.en").write_text("one\n")
    (folder / "broken.de-en.tsv.gz").write_bytes(b"\x1f\x8b\x08 not a gzip file")
    (folder / "rows.csv").write_text("a,b\n")
    (folder / "rows.tsv").write_text("a\tb\n")
    assert run(*arguments) == code
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert out == ""
    assert len(errors) == 1
    assert message in errors[0]
    assert not (folder / "runs/tiny/data/manifest.json").exists()
