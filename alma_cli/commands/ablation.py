"""`alma run --ablate`: the recipe's stages alone, together and in parts, trained, translated and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alma_cli.commands.steps import (
    choose_few_shot_examples,
    comparison_of,
    means_of_scoring,
    plan_training,
    run_training,
    save_scores,
    score_work_directory,
)
from alma_cli.commands.translation import translate_test_sets
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from alma_cli.core.ablation import AblationSystem, Training
    from alma_cli.core.languages import Direction
    from alma_cli.core.recipe import Recipe, StageName
    from alma_cli.core.run import StageDirectory
    from alma_cli.decoding.guide import Guide
    from alma_cli.scoring.ablation import Ablation, RunFacts


def require_ablation(recipe: Recipe) -> None:
    """Raises UsageError for a recipe that has not the stage that an ablation is about."""
    if "parallel" not in recipe.stage_names:
        raise UsageError(f"recipe {recipe.name} has no stage parallel", hint="--ablate compares it with the others")


def run_ablation(recipe: Recipe, work: Path, *, resume: bool) -> Ablation:
    """Train, translate and score every system that tells what the stages are worth; the data is prepared already.

    Each system is translated as soon as its weights are there, so that a stopped run has something to show.
    """
    from alma_cli.core.ablation import STAGE_2_ALONE, ablation_systems, trainings
    from alma_cli.core.run import StageDirectory
    from alma_cli.scoring.ablation import Ablation

    systems = ablation_systems(recipe)
    for system in (one for one in systems if one.training is None):
        _translate(recipe, work, system, resume=resume)
    for training in trainings(systems):
        _train(recipe, work, training, resume=resume)
        for system in (one for one in systems if one.training == training):
            _translate(recipe, work, system, resume=resume)
    with means_of_scoring(recipe.scoring, resume=resume) as means:
        score = partial(score_work_directory, work, recipe.direction_pairs, recipe.scoring.metrics, means=means)
        scored = score(comparison=comparison_of(recipe.scoring, systems[0].name))
        beside_stage_2 = None
        if "mono" in recipe.stage_names:
            beside_stage_2 = score(comparison=comparison_of(recipe.scoring, STAGE_2_ALONE), flags=False).report
    save_scores(scored, work)
    runs = {training: _run_facts(StageDirectory(training.directory(work))) for training in trainings(systems)}
    return Ablation(recipe.name, systems, scored.report, runs, _facts(recipe, work), beside_stage_2)


def save_ablation(ablation: Ablation, work: Path) -> tuple[Path, Path, Path]:
    """Write the table, the figure and the manifest into the work directory's scores."""
    from alma_cli.core.dataset import write_atomically
    from alma_cli.scoring.ablation import ablation_table
    from alma_cli.scoring.ablation_figure import ablation_figure

    table, figure, manifest = (work / "scores" / f"ablation.{ending}" for ending in ("md", "svg", "json"))
    write_atomically(table, ablation_table(ablation))
    write_atomically(figure, ablation_figure(ablation))
    write_atomically(manifest, json.dumps(ablation.as_json(), ensure_ascii=False, indent=1) + "\n")
    return table, figure, manifest


def _train(recipe: Recipe, work: Path, training: Training, *, resume: bool) -> None:
    from alma_cli.core.plan import plan_stage

    start = recipe.model if training.start is None else str(training.start.directory(work) / "model")
    if training.portion < 1:
        steps = plan_stage(recipe, training.stage, work, model=start).steps.steps
        recipe = _with_steps(recipe, training.stage, max(1, round(training.portion * steps)))
    plan = plan_training(recipe, training.stage, work, model=start, runs=training.runs(work))
    run_training(plan, resume=resume)


def _with_steps(recipe: Recipe, stage: StageName, steps: int) -> Recipe:
    settings = recipe.stage(stage)
    assert settings is not None, f"{stage=}"
    shorter = settings.model_copy(update={"max_steps": steps})
    return recipe.model_copy(update={"stages": recipe.stages.model_copy(update={stage: shorter})})


def _translate(recipe: Recipe, work: Path, system: AblationSystem, *, resume: bool) -> None:
    from alma_cli.decoding.system import System

    model = recipe.model if system.training is None else str(system.training.directory(work))
    guides = _shots(recipe, work, system.shots) if system.shots else {}
    translate_test_sets(recipe, work, System(model, system.name), recipe.direction_pairs, resume=resume, guides=guides)


def _shots(recipe: Recipe, work: Path, count: int) -> dict[Direction, Guide]:
    from alma_cli.commands.guidance import Told

    choose_few_shot_examples(recipe, work, count)
    return Told(shots=work / "data" / "shots").guides(recipe.direction_pairs)


def _run_facts(directory: StageDirectory) -> RunFacts:
    from alma_cli.scoring.ablation import RunFacts

    facts = directory.finished
    assert facts is not None, f"{directory.path=}"
    progress = facts["progress"]
    losses, tokens, seen = [], {0: 0}, 0
    for row in directory.logged():
        if "valid_loss" in row:
            losses.append((row["step"], row["valid_loss"]))
        else:
            seen += row["target_tokens"]
            tokens[row["step"]] = seen
    curve = tuple((tokens[step], loss) for step, loss in losses)
    best = min((loss for step, loss in losses if step > 0), default=None)
    return RunFacts(
        steps=facts["steps"],
        target_tokens=progress["target_tokens"],
        seconds=progress["seconds"],
        dtype=facts["dtype"],
        processor=facts.get("processor"),
        best_loss=best,
        curve=curve,
    )


def _facts(recipe: Recipe, work: Path) -> dict[str, Any]:
    """What has to be known to repeat an ablation: the recipe as it was, what its data was, with what it was run."""
    from importlib.metadata import version

    import torch

    from alma_cli import __version__
    from alma_cli.core.dataset import Manifest
    from alma_cli.core.model import precision_of
    from alma_cli.core.process import processor_name

    device = precision_of().device
    manifest = Manifest.load(work / "data")
    sources: Sequence[Any] = manifest.sources if manifest else ()
    packages = ("torch", "transformers", "peft", "sacrebleu")
    return {
        "recipe": _without_folders(recipe.model_dump(mode="json")),
        "data": {
            "sources": [
                {key: getattr(one, key) for key in ("path", "sha256", "stage", "split", "languages", "read", "kept")}
                for one in (replace(source, path=_place(source.path)) for source in sources)
            ],
            "stages": {stage: _counts(splits) for stage, splits in (manifest.stages if manifest else {}).items()},
        },
        "versions": {"alma": __version__, **{name: version(name) for name in packages}},
        "machine": {
            "device": device.type,
            "processor": processor_name(device),
            "threads": torch.get_num_threads(),
        },
    }


def _without_folders(recipe: dict[str, Any]) -> dict[str, Any]:
    for stage in ("mono", "parallel"):
        for source in recipe["data"][stage]["sources"]:
            source["path"] = _place(source["path"])
    return recipe


def _place(path: str) -> str:
    """A file of this machine by name only, since its hash says what it is; what is on the hub by its whole id."""
    return Path(path).name if Path(path).is_absolute() else path


def _counts(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Of each split how many records and tokens it has."""
    kept = ("examples", "documents", "tokens")
    return {split: {key: content[key] for key in kept if key in content} for split, content in splits.items()}
