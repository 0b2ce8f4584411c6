"""`alma score --metrics comet` as typed: results, what is asked of the model, kills, damage, every error."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alma_cli.cli import run_command
from tests.core.fake_hub import fake_hub

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = {
    "ref.de-en.en": "The house stands at the river.\nThe river is wide.\nThe house.\n",
    "src.de-en.de": "Das Haus steht am Fluss.\nDer Fluss ist breit.\nDas Haus.\n",
    "good.de-en.txt": "The house stands at the river.\nThe river is broad.\nThe house.\n",
    "bad.de-en.txt": "The house.\n\nA river.\n",
    "alma.toml": 'name = "tiny"\nmodel = "none"\ndirections = ["de-en"]\n',
}
BOTH = "good.de-en.txt bad.de-en.txt --ref ref.de-en.en --src-text src.de-en.de"

slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with FILES in it."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_text(content)
    return tmp_path


@pytest.fixture
def asked(comet_python: Path, comet_at_hand: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with all that the worker was asked, by a Python that writes it down."""
    log, python = tmp_path / "asked", tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *--versions*) exec {comet_python} "$@";; esac\ntee -a {log} | {comet_python} "$@"\n'
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("ALMA_COMET_PYTHON", str(python))
    return log


def _models(checkpoints: Path) -> list[str]:
    kinds = {"comet": "regression", "cometkiwi": "unified", "xcomet": "xcomet"}
    return [part for name, kind in kinds.items() for part in ("--set", f'scoring.{name}_model="{checkpoints / kind}"')]


def _translations_asked(log: Path) -> list[str]:
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    return [sample["mt"] for request in requests if "score" in request for sample in request["score"]["samples"]]


@slow
@pytest.mark.usefixtures("comet_at_hand")
def test_all_three_are_in_the_json_the_table_and_the_page(
    comet_checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["score", *BOTH.split(), "--metrics", "bleu,comet,cometkiwi,xcomet", *_models(comet_checkpoints)]

    assert run_command([*words, "--json", "--html", "page.html"]) == 0
    printed = capsys.readouterr().out
    assert run_command([*words, "--quiet"]) == 0
    table = capsys.readouterr().out

    rows = json.loads(printed)["rows"]
    assert [(row["system"], row["metric"]) for row in rows] == [
        (system, metric) for system in ("good", "bad") for metric in ("bleu", "comet", "cometkiwi", "xcomet")
    ]
    signature = rows[1]["signature"]
    assert signature.startswith("model:regression|checkpoint:")
    assert "|refs:1|precision:fp32|unbabel-comet:2.2.7|torch:" in signature
    assert f"|python:{sys.version.split()[0]}|empty:0|bs:" in signature
    assert re.search(r"BLEU .*COMET .*COMETKiwi .*XCOMET", table)
    assert rows[5]["p_value"] is not None
    assert f"COMET {signature}\n" in table
    page = Path("page.html").read_text()
    assert "<h3>COMETKiwi</h3>" in page
    assert "rei-etal-2022-comet" in page
    assert signature in page


@slow
def test_second_run_asks_nothing_and_a_changed_line_asks_one(
    comet_checkpoints: Path, asked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["score", *BOTH.split(), "--metrics", "comet", "--json", *_models(comet_checkpoints)]
    assert run_command(words) == 0
    first = capsys.readouterr()
    assert sorted(_translations_asked(asked)) == sorted(
        ["The house stands at the river.", "The river is broad.", "The house.", "The house.", "A river."]
    )

    asked.unlink()
    assert run_command(words) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert "comet: 5 of 5 segments were scored before\n" in again.err
    assert not asked.exists()

    Path("good.de-en.txt").write_text(FILES["good.de-en.txt"].replace("broad", "very broad"))
    assert run_command(words) == 0
    assert "comet: 4 of 5 segments were scored before\n" in capsys.readouterr().err
    assert _translations_asked(asked) == ["The river is very broad."]

    asked.unlink()
    assert run_command([*words, "--no-resume"]) == 0
    assert len(_translations_asked(asked)) == 5


@slow
def test_damaged_cache_is_told_and_scored_again(
    comet_checkpoints: Path, asked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["score", *BOTH.split(), "--metrics", "comet", "--json", *_models(comet_checkpoints)]
    assert run_command(words) == 0
    first = json.loads(capsys.readouterr().out)
    (cache,) = Path(os.environ["ALMA_SCORES"]).iterdir()
    cache.write_bytes(b"\0" * 100 + cache.read_bytes()[100:])
    asked.unlink()

    assert run_command(words) == 0

    shown = capsys.readouterr()
    assert json.loads(shown.out) == first
    assert "warning: the cache of scores in " in shown.err
    assert "was damaged (file is not a database): it begins anew\n" in shown.err
    assert len(_translations_asked(asked)) == 5


@slow
def test_killed_while_scoring_it_goes_on_with_what_was_scored(
    comet_checkpoints: Path, asked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 600
    for name, side in (("ref.de-en.en", "The house"), ("src.de-en.de", "Das Haus"), ("good.de-en.txt", "A house")):
        Path(name).write_text("".join(f"{side} {number} {number % 7}.\n" for number in range(count)))
    arguments = ["good.de-en.txt", "--ref", "ref.de-en.en", "--src-text", "src.de-en.de", "--metrics", "comet"]
    words = ["score", *arguments, "--json", "--set", "scoring.comet_batch_size=1", *_models(comet_checkpoints)]
    scoring = subprocess.Popen(
        [sys.executable, "-m", "alma_cli", *words],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
    )
    kept = _wait_until_some_are_kept(Path(os.environ["ALMA_SCORES"]), scoring)
    scoring.send_signal(signal.SIGKILL)
    scoring.wait()
    asked.unlink()

    assert run_command(words) == 0
    resumed = capsys.readouterr()
    asked_again = _translations_asked(asked)
    assert run_command([*words, "--no-resume"]) == 0
    whole = json.loads(capsys.readouterr().out)

    assert 0 < kept < count
    assert len(asked_again) <= count - kept
    assert f"comet: {count - len(asked_again):,} of 600 segments were scored before\n" in resumed.err
    ((row,), (row_of_whole,)) = (report["rows"] for report in (json.loads(resumed.out), whole))
    # Neighbours in a batch change the last bits of a sentence's score.
    assert [row[key] for key in ("score", "low", "high")] == pytest.approx(
        [row_of_whole[key] for key in ("score", "low", "high")], abs=1e-4
    )
    assert (row["signature"], row["segments"]) == (row_of_whole["signature"], count)


def _wait_until_some_are_kept(directory: Path, process: subprocess.Popen[bytes]) -> int:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        for path in directory.glob("*.sqlite3"):
            connection = sqlite3.connect(path)
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                (count,) = connection.execute("SELECT count(*) FROM scores").fetchone()
                if count:
                    return int(count)
            connection.close()
        time.sleep(0.02)
    return 0


@slow
@pytest.mark.usefixtures("comet_at_hand")
def test_sources_come_from_the_test_set_that_has_both_sides(
    comet_checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side, name in (("en", "ref.de-en.en"), ("de", "src.de-en.de")):
        Path("tests/deen").mkdir(parents=True, exist_ok=True)
        Path(f"tests/deen/test.de-en.{side}").write_text(FILES[name])

    words = ["score", "good.de-en.txt", "--ref", "tests", "--metrics", "comet", "--json"]
    assert run_command([*words, *_models(comet_checkpoints)]) == 0

    assert json.loads(capsys.readouterr().out)["rows"][0]["segments"] == 3


def _refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, str]:
    code = run_command(["score", *words, "--quiet"])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return code, shown.err


@pytest.mark.parametrize("metric", ["comet", "cometkiwi", "xcomet"])
def test_comet_without_sources_says_how_to_give_them(capsys: pytest.CaptureFixture[str], metric: str) -> None:
    words = f"good.de-en.txt --ref ref.de-en.en --metrics bleu,{metric}"

    refused = _refused(capsys, words.split())

    assert refused == (2, f"error: {metric} needs the source text of de-en (name it: --src-text FILE or DIR)\n")


def test_comet_that_is_not_installed_says_how_to_install_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ALMA_COMET_PYTHON", raising=False)

    refused = _refused(capsys, [*BOTH.split(), "--metrics", "bleu,comet"])

    assert refused == (4, "error: COMET is not installed (alma doctor --install comet (once, some minutes))\n")


@slow
@pytest.mark.usefixtures("comet_at_hand")
def test_model_that_is_not_there_says_what_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = _refused(capsys, [*BOTH.split(), "--metrics", "comet", "--set", "scoring.comet_model=./none"])

    assert code == 2
    assert line.startswith("error: COMET model './none' does not exist (a hub id such as Unbabel/wmt22-comet-da, or ")


@slow
@pytest.mark.usefixtures("comet_at_hand")
def test_gated_model_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated = "Unbabel/wmt22-cometkiwi-da"
    with fake_hub({}, gated=(gated,)) as hub:
        environment = os.environ | {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "hub"),
            "PYTHONPATH": str(REPOSITORY),
        }
        environment.pop("HF_HUB_OFFLINE", None)
        done = subprocess.run(
            [sys.executable, "-m", "alma_cli", "score", *BOTH.split(), "--metrics", "cometkiwi"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 4
    hint = f"accept its terms at huggingface.co/{gated} and run `hf auth login`"
    assert done.stderr.splitlines()[-1] == f"error: '{gated}' is gated ({hint})"
