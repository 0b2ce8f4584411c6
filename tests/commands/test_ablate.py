"""`alma run --ablate` as typed: every system trained, translated and compared, once."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from pathlib import Path

from tests.typed import typed

LINUX_PC = sys.platform == "linux" and platform.machine() == "x86_64"
PORTIONS = ("--set", "ablation.parallel_portions=[0.5]", "--set", "ablation.mono_portions=[0.34]")
SYSTEMS = ["zero-shot", "five-shot", "mono", "parallel-only", "parallel-0.5", "mono-0.34", "parallel"]


def test_every_system_is_trained_translated_and_compared_and_nothing_is_done_twice(
    prepared_once: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(prepared_once, tmp_path / "here"))
    precisions = ("--set", "stages.mono.precision=bf16", "--set", "stages.parallel.precision=fp32")
    words = ("run", "--ablate", *PORTIONS, *precisions, "--set", "scoring.test_sentences=2")
    done = typed(folder, *words)
    work = folder / "runs/tiny"
    found = json.loads((work / "scores/ablation.json").read_text())

    assert done.code == 0, done.err
    assert [system["name"] for system in found["systems"]] == SYSTEMS
    assert {path.name for path in (work / "translations").iterdir()} == set(SYSTEMS)
    assert len((work / "translations/parallel/de-en.txt").read_text().splitlines()) == 2  # of 3
    assert {row["segments"] for row in found["scores"]["rows"]} == {2}
    steps = {(run["folder"], run["stage"]): run["steps"] for run in found["runs"]}
    assert steps == {
        ("", "mono"): 3,
        ("parallel-only", "parallel"): 3,
        ("parallel-0.5", "parallel"): 2,
        ("mono-0.34", "mono"): 1,
        ("mono-0.34", "parallel"): 3,
        ("", "parallel"): 3,
    }
    assert {(run["stage"], run["dtype"]) for run in found["runs"]} == {("mono", "bfloat16"), ("parallel", "float32")}
    assert {run["processor"] for run in found["runs"]} == {found["machine"]["processor"]}
    assert found["machine"]["processor"] not in ("", platform.machine()) or not LINUX_PC
    bases = {
        name: json.loads((work / name / "run.json").read_text())["base"]["weights"]
        for name in ("ablation/parallel-only/parallel", "parallel", "ablation/mono-0.34/parallel")
    }
    assert not bases["ablation/parallel-only/parallel"].startswith(str(work))
    assert bases["parallel"] == str(work / "mono/model")
    assert bases["ablation/mono-0.34/parallel"] == str(work / "ablation/mono-0.34/mono/model")
    places = [*dict.fromkeys(row["direction"] for row in found["scores"]["rows"]), "average all"]
    assert [(one["direction"], one["metric"]) for one in found["stage_1"]] == [
        (place, metric) for place in places for metric in ("bleu", "chrf")
    ]
    assert "| `parallel-only` | stage 2 |" in (work / "scores/ablation.md").read_text()
    assert (work / "scores/ablation.svg").read_text().startswith("<svg ")

    again = typed(folder, *words, "--json")

    assert again.code == 0
    assert json.loads(again.out) == found
    assert again.err.count("is finished already") == 6
    assert again.err.count("translated already") == 14


def test_a_recipe_without_stage_2_is_told_before_anything_is_done(folder: Path) -> None:
    recipe = (folder / "alma.toml").read_text()
    (folder / "alma.toml").write_text(recipe[: recipe.index("[stages.parallel]")])
    done = typed(folder, "run", "--ablate")

    assert (done.code, done.out) == (2, "")
    assert done.errors == ["error: recipe tiny has no stage parallel (--ablate compares it with the others)"]
    assert not (folder / "runs").exists()
