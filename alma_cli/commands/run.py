"""`alma run`: the whole recipe, from corpora to scores; what is done already is not done again."""

from __future__ import annotations

from typing import Annotated

import typer

from alma_cli import console
from alma_cli.commands.ablation import require_ablation, run_ablation, save_ablation
from alma_cli.commands.options import (
    JsonOption,
    OutOption,
    QuietOption,
    RecipeOption,
    ResumeOption,
    SetOption,
    open_recipe,
    work_directory,
)
from alma_cli.commands.steps import (
    comparison_of,
    means_of_scoring,
    plan_training,
    prepare_stages,
    require_comet,
    run_training,
    save_scores,
    score_work_directory,
)
from alma_cli.commands.translation import translate_test_sets


def run(
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    out: OutOption = None,
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Also translate with the base model, to compare.")
    ] = True,
    ablate: Annotated[
        bool,
        typer.Option("--ablate", help="Compare zero-shot, few-shot, each stage alone and both, with table and figure."),
    ] = False,
    resume: ResumeOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Prepare, train every stage, translate the test sets and score them, as the recipe says.

    Stopped or killed, the same command goes on where it was. Run again, it does nothing but print the scores.

    With --ablate every stage is run alone, too (and on parts of its data, where the recipe's section ablation says so);
    scores/ablation.md, .svg and .json are the table, the figure, and what both were made from.

    Example: alma run --recipe demo
    """
    console.be_quiet(quiet)
    from alma_cli.core.process import set_up_process

    set_up_process()
    from alma_cli.decoding.system import System, system_of

    loaded = open_recipe(recipe, overrides)
    settings, work = loaded.recipe, work_directory(loaded, out)
    directions = settings.direction_pairs
    require_comet(settings.scoring, settings.scoring.metrics)
    if ablate:
        require_ablation(settings)
    prepare_stages(loaded, settings.stage_names, work, sources=None, resume=resume)
    if ablate:
        ablation = run_ablation(settings, work, resume=resume)
        table, figure, manifest = save_ablation(ablation, work)
        if as_json:
            console.result_json(ablation.as_json())
        else:
            console.scores(ablation.report)
        console.done(f"the table is in {table}, the figure in {figure}, what they were made from in {manifest}")
        return
    systems: list[System] = [system_of(settings, work, settings.model)] if baseline else []
    for stage in settings.stage_names:
        run_training(plan_training(settings, stage, work, model=None), resume=resume)
    systems.append(system_of(settings, work, None))
    for system in systems:
        translate_test_sets(settings, work, system, directions, resume=resume)
    with means_of_scoring(settings.scoring, resume=resume) as means:
        comparison = comparison_of(settings.scoring)
        scored = score_work_directory(work, directions, settings.scoring.metrics, comparison, means)
    if as_json:
        console.result_json(scored.report.as_json())
    else:
        console.scores(scored.report)
    file, page = save_scores(scored, work)
    console.done(f"scores are in {file}, the page in {page}")
