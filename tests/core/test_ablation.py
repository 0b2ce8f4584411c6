"""Which systems an ablation compares, and what has to be trained for them, in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alma_cli.core.ablation import Training, ablation_systems, trainings
from alma_cli.core.recipe import Recipe


def recipe(stages: tuple[str, ...] = ("mono", "parallel"), **ablation: Any) -> Recipe:
    content = {
        "name": "r",
        "model": "m",
        "directions": ["de-en"],
        "stages": {stage: {} for stage in stages},
        "ablation": ablation,
    }
    return Recipe.model_validate(content)


def test_each_stage_alone_and_both_beside_the_base_model() -> None:
    systems = ablation_systems(recipe())
    mono = Training("mono")

    assert [(one.name, one.shots, one.training) for one in systems] == [
        ("zero-shot", 0, None),
        ("five-shot", 5, None),
        ("mono", 0, mono),
        ("parallel-only", 0, Training("parallel", "parallel-only")),
        ("parallel", 0, Training("parallel", start=mono)),
    ]


def test_a_recipe_without_stage_1_has_only_stage_2_to_compare() -> None:
    systems = ablation_systems(recipe(("parallel",), shots=0))

    assert [(one.name, one.training) for one in systems] == [("zero-shot", None), ("parallel", Training("parallel"))]


def test_parts_of_a_stage_are_runs_of_their_own() -> None:
    systems = {one.name: one for one in ablation_systems(recipe(parallel_portions=[0.5, 0.25], mono_portions=[0.1]))}
    mono = Training("mono")

    assert list(systems)[4:] == ["parallel-0.25", "parallel-0.5", "mono-0.1", "parallel"]
    assert systems["parallel-0.25"].training == Training("parallel", "parallel-0.25", mono, 0.25)
    assert systems["mono-0.1"].training == Training("parallel", "mono-0.1", Training("mono", "mono-0.1", None, 0.1))
    assert systems["mono-0.1"].words == "stage 1 with 10% of its steps + stage 2"


def test_every_run_comes_once_and_after_the_one_that_it_starts_from() -> None:
    systems = ablation_systems(recipe(parallel_portions=[0.5], mono_portions=[0.5]))
    runs = trainings(systems)

    assert len(set(runs)) == len(runs) == 6
    assert all(run.start is None or runs.index(run.start) < runs.index(run) for run in runs)


def test_the_recipes_own_runs_are_where_alma_run_has_them() -> None:
    work = Path("runs/r")

    assert Training("mono").directory(work) == work / "mono"
    assert Training("parallel", "parallel-only").directory(work) == work / "ablation/parallel-only/parallel"
