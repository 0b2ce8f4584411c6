"""docs/results.md says what `alma score` says of the translations that are committed beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.languages import Direction
from alma_cli.data.readers.json_values import JsonPairs
from alma_cli.data.readers.shapes import PairShape
from alma_cli.data.records import Pair, rows_of
from alma_cli.scoring.score import score_sets
from alma_cli.scoring.systems import TranslationSet

DOCS = Path(__file__).resolve().parent.parent / "docs"
RESULTS = sorted(path.parent for path in (DOCS / "results").glob("*/ablation.json"))


def manifest_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "ablation.json").read_text(encoding="utf-8"))
    return content


WITH_STAGE_1 = [folder for folder in RESULTS if manifest_of(folder)["stage_1"]]


def translations(folder: Path, system: str, direction: str) -> list[str]:
    path = folder / "translations" / system / f"{direction}.txt"
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def test_there_are_results() -> None:
    assert RESULTS


@pytest.mark.parametrize("folder", RESULTS, ids=lambda folder: folder.name)
def test_the_documents_table_is_the_one_that_the_run_wrote(folder: Path) -> None:
    table = (folder / "ablation.md").read_text(encoding="utf-8")

    assert table in (DOCS / "results.md").read_text(encoding="utf-8")
    for row in manifest_of(folder)["scores"]["rows"]:
        line = next(line for line in table.split("\n") if line.startswith(f"| `{row['system']}` |"))
        assert f" {row['score']:.2f}" in line, row


@pytest.mark.parametrize("folder", WITH_STAGE_1, ids=lambda folder: folder.name)
def test_the_documents_summary_has_the_means_of_runs_with_both_stages(folder: Path) -> None:
    content = manifest_of(folder)
    averages = {row["system"]: row["score"] for row in content["scores"]["averages"] if row["metric"] == "bleu"}
    means = [f"{averages[system]:.2f}" for system in ("zero-shot", "five-shot", "mono", "parallel-only", "parallel")]
    added = next(row for row in content["stage_1"] if (row["direction"], row["metric"]) == ("average all", "bleu"))

    lines = (DOCS / "results.md").read_text(encoding="utf-8").replace("**", "").split("\n")
    end = " | ".join([*means, f"{added['points']:+.2f}, p = {added['p_value']:.3f} |"])
    assert len([line for line in lines if line.endswith(end)]) == 1


@pytest.mark.parametrize("folder", RESULTS, ids=lambda folder: folder.name)
def test_every_system_and_direction_of_the_table_has_its_translations(folder: Path) -> None:
    rows = manifest_of(folder)["scores"]["rows"]

    assert {(row["system"], row["direction"]) for row in rows} == {
        (path.parent.name, path.stem) for path in folder.glob("translations/*/*.txt")
    }
    assert all(len(translations(folder, row["system"], row["direction"])) == row["segments"] for row in rows)


@pytest.mark.parametrize("folder", RESULTS, ids=lambda folder: folder.name)
def test_the_scores_are_those_of_the_translations(folder: Path, shared_data: Path) -> None:
    rows = manifest_of(folder)["scores"]["rows"]
    sets = []
    for system, direction in dict.fromkeys((row["system"], row["direction"]) for row in rows):
        hypotheses = translations(folder, system, direction)
        sources, references = test_set(shared_data, Direction.parse(direction), len(hypotheses))
        sets.append(
            TranslationSet(system, Direction.parse(direction), tuple(hypotheses), (tuple(references),), tuple(sources))
        )
    report = score_sets(sets, tuple(dict.fromkeys(row["metric"] for row in rows))).report
    found = {(row.system, row.direction, row.metric): row.score for row in report.rows}

    assert found == pytest.approx({(row["system"], row["direction"], row["metric"]): row["score"] for row in rows})
    assert [(flag.system, flag.direction, flag.flag, flag.count) for flag in report.flags] == [
        (flag["system"], flag["direction"], flag["flag"], flag["count"])
        for flag in manifest_of(folder)["scores"]["flags"]
    ]


def test_set(shared_data: Path, direction: Direction, count: int) -> tuple[list[str], list[str]]:
    """The first `count` sources and references of the paper's test set in its own direction."""
    other = direction.source if direction.target == "en" else direction.target
    path = shared_data / "alma/human" / f"{other}en" / f"test.{direction}.json"
    pairs = [row for row in rows_of(JsonPairs(path, PairShape(direction, None))) if isinstance(row, Pair)][:count]
    return [pair.source for pair in pairs], [pair.target for pair in pairs]


test_set.__test__ = False  # type: ignore[attr-defined]
