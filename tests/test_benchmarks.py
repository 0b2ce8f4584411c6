"""The benchmarks run from the repository alone; their numbers are not looked at, what they count is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
OURS, TRAINER, TRL = "alma-lora", "trainer-lora-padded-to-512", "trl-lora-packed"
OURS_SHORTER = "alma-lora-sampled-vocabulary"


def _benchmark(folder: Path, *contenders: str) -> tuple[str, dict[str, Any]]:
    """One small run of the training benchmark: what it prints, and its JSON."""
    file = folder / "report.json"
    command = [sys.executable, "benchmarks/train_throughput.py", "--random-llama", "tiny", "--json", str(file)]
    command += ["--examples-per-step", "8", "--steps", "1", "--rows", "64", "--only", *contenders]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


@pytest.fixture(scope="module")
def table_and_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    if version("transformers").startswith("4."):
        pytest.skip("the benchmark's Trainer takes examples in their order, which it can since transformers 5")
    return _benchmark(tmp_path_factory.mktemp("benchmark"), OURS, TRAINER, OURS_SHORTER)


def _row(report: dict[str, Any], key: str) -> dict[str, Any]:
    [row] = [row for row in report["rows"] if row["key"] == key]
    return row


def test_the_table_has_its_columns_and_a_row_for_each_contender(table_and_report: tuple[str, dict[str, Any]]) -> None:
    table, report = table_and_report

    head, _, *rows = table.partition("\n\n")[0].splitlines()

    assert head == "| contender | method | target tok/s | all tok/s | peak memory (GiB) | share of peak | loss |"
    assert rows[0].startswith("| alma | lora | ")
    assert rows[1].startswith("| Trainer padded to 512 | lora | ")
    assert rows[2].startswith("| alma sampled vocabulary | lora | ")
    assert len(rows) == len(report["rows"])
    assert "tiny with random weights" in table
    assert "useful FLOPs: 4 per frozen" in table
    compared = _row(report, OURS_SHORTER)["compared_tokens"]
    assert 0 < compared < 2000
    assert f"alma sampled vocabulary: a label is compared with {compared:,} tokens" in table


@pytest.mark.parametrize("key", [OURS, TRAINER, OURS_SHORTER])
def test_a_contender_trains_on_all_tokens_of_the_data(table_and_report: tuple[str, dict[str, Any]], key: str) -> None:
    _, report = table_and_report

    row = _row(report, key)

    assert (row["tokens"], row["target_tokens"]) == (report["data"]["tokens"], report["data"]["target_tokens"])
    assert row["steps"] == 1
    assert row["seconds"] > 0
    assert row["peak_bytes"] > 2**27  # torch alone takes more


def test_trainer_sees_the_loss_that_alma_sees(table_and_report: tuple[str, dict[str, Any]]) -> None:
    _, report = table_and_report

    assert _row(report, TRAINER)["loss"] == pytest.approx(_row(report, OURS)["loss"], rel=2e-3)  # bf16


@pytest.mark.slow
def test_trl_sees_the_loss_that_alma_sees(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="TRL is in the extra `bench`")

    _, report = _benchmark(tmp_path, OURS, TRL)

    assert _row(report, TRL)["loss"] == pytest.approx(_row(report, OURS)["loss"], rel=2e-3)  # bf16


def test_the_allocator_is_told_in_the_name_of_a_contender_who_has_the_plain_one() -> None:
    command = [sys.executable, "benchmarks/train_throughput.py", "--list"]

    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    named = [key for key in done.stderr.split() if key.endswith("-plain-allocator")]
    assert "trl-lora-packed-bf16-plain-allocator" in named
    assert "trainer-lora-padded-to-512-plain-allocator" in named


def test_of_equal_systems_each_test_has_its_share_of_differences_by_metric(tmp_path: Path) -> None:
    texts = {
        "ref": "The old house is red.\nI do not know.\nYes, we can.\nIt rains a lot here.\n",
        "a": "The old house is red.\nI don't know it.\nYes, we can.\nIt rains here a lot.\n",
        "b": "An old house is red.\nI do not know.\nYes.\nIt rains much here.\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "benchmarks/significance_calibration.py", "--pairs", "4"]
    command += [str(tmp_path / "a"), str(tmp_path / "b"), "--ref", str(tmp_path / "ref")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    shares = re.findall(r"^\| (\w+) \| ([\d.]+)% \| ([\d.]+)% \| ([\d.]+)% \|$", done.stdout, re.MULTILINE)
    assert [test for test, *_ in shares] == ["bootstrap", "randomization"]
    assert all(float(share) in (0, 25, 50, 75, 100) for _, *found in shares for share in found)


def test_scores_intervals_and_p_values_agree_with_those_of_the_sacrebleu_command(tmp_path: Path) -> None:
    texts = {
        "wmt-testset": "The old house is red.\nI do not know.\nYes, we can.\nIt rains a lot here.\n",
        "A": "The old house is red.\nI don't know it.\nYes, we can.\nIt rains here a lot.\n",
        "B": "An old house is red.\nI do not know.\nYes.\nIt rains much here.\n",
        "C": "The house is old.\nI know.\nYes, we can!\nIt rains a lot here.\n",
    }
    for system, text in texts.items():
        path = tmp_path / system / "deen" / "test.de-en.en"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    command = [sys.executable, "benchmarks/score_speed.py", "--wmt22", str(tmp_path), "--directions", "1"]
    command += ["--metrics", "bleu,chrf,ter", "--contenders", "alma-scores", "sacrebleu"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    differences = re.findall(r"^(\d+) (\S+): differ by (\S+) at most$", done.stdout, re.MULTILINE)
    assert [(int(count), what) for count, what, _ in differences] == [
        (18, "scores"),
        (18, "intervals"),
        (15, "p-values"),
    ]
    assert all(float(largest) < 1e-4 for _, _, largest in differences)  # as printed: six digits, of p-values four
