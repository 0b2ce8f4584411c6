"""`alma prepare`: the recipe's corpora -> clean splits and a manifest."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alma_cli import console
from alma_cli.commands.options import (
    JsonOption,
    ModelOption,
    OutOption,
    QuietOption,
    RecipeOption,
    ResumeOption,
    SetOption,
    open_recipe,
    recipe_words,
    stage_choice,
    work_directory,
)
from alma_cli.commands.steps import choose_few_shot_examples, prepare_stages, show_data
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from alma_cli.core.recipe import Recipe, StageName


class Engine(StrEnum):
    """Where the work is done."""

    local = "local"
    ray = "ray"


def prepare(
    recipe: RecipeOption = None,
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="mono|parallel", help="One stage; else every stage of the recipe.")
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            "--source", metavar="PATH", help="Corpus in place of the stage's sources in the recipe; repeatable."
        ),
    ] = None,
    set_: SetOption = None,
    out: OutOption = None,
    model: ModelOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="Processes; else one for each processor.")
    ] = None,
    engine: Annotated[
        Engine, typer.Option("--engine", metavar="local|ray", help="Where the work is done: here, or on a Ray cluster.")
    ] = Engine.local,
    show: Annotated[
        int, typer.Option("--show", metavar="N", min=0, help="Print so many examples with what becomes of each token.")
    ] = 0,
    shots: Annotated[
        int, typer.Option("--shots", metavar="K", min=0, help="Also choose few-shot examples for each direction.")
    ] = 0,
    resume: ResumeOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn the recipe's corpora into training, validation and test data.

    Each record is cleaned, and duplicates and all that is in the test sets are taken out of the training data; what is
    left out is counted by reason, with samples in `data/report.html`. The manifest says where the data came from. What
    is prepared already is not prepared again, and a killed run goes on where it was.

    Example: alma prepare --stage parallel --source news.de-en.tsv
    """
    console.be_quiet(quiet)
    from alma_cli.core.process import set_up_process

    set_up_process()

    loaded = open_recipe(recipe, set_, {"model": model} if model else None)
    stages = _stages(loaded.recipe, stage, with_sources=bool(source))
    work = work_directory(loaded, out)
    prepared = prepare_stages(
        loaded, stages, work, sources=source or None, resume=resume, workers=workers, engine=engine.value
    )
    if shots:
        choose_few_shot_examples(loaded.recipe, work, shots)
    if show:
        show_data(loaded.recipe, stages, work, show, as_json=as_json)
    elif as_json:
        console.result_json(prepared[-1].manifest.as_json())
    else:
        for one in prepared:
            console.prepared(one.manifest, one.stage)
    words = recipe_words(recipe, out)
    where = f"data is in {work / 'data'}, and {work / 'data' / 'report.html'} tells about it"
    console.done(where, next_command=f"alma train --stage {stages[0]}{words}")


def _stages(recipe: Recipe, wanted: str | None, *, with_sources: bool) -> tuple[StageName, ...]:
    """The stages to prepare. Raises UsageError for one that does not exist, and for sources of an unnamed stage."""
    chosen = recipe.stage_names if wanted is None else (stage_choice(recipe, wanted),)
    if with_sources and len(chosen) > 1:
        raise UsageError(
            "--source needs --stage, since the recipe has more than one", hint=f"one of: {', '.join(chosen)}"
        )
    return chosen
