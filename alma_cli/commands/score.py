"""`alma score`: translations against their references, as a table or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alma_cli import console
from alma_cli.commands.options import (
    JsonOption,
    OutOption,
    QuietOption,
    RecipeOption,
    SetOption,
    open_recipe,
    work_directory,
)
from alma_cli.commands.steps import save_score_page, save_scores, score_work_directory
from alma_cli.commands.translation import translate_if_nothing_is
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from alma_cli.core.languages import Direction
    from alma_cli.core.recipe import Metric, Recipe
    from alma_cli.scoring.score import Scored


def score(
    hypotheses: Annotated[
        list[Path] | None,
        typer.Argument(metavar="HYP", help="Files or directories of translations; none: those of the recipe."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--ref", metavar="FILE|DIR", help="References: a file, or a directory like HYP's.")
    ] = None,
    source_text: Annotated[
        Path | None, typer.Option("--src-text", metavar="FILE|DIR", help="The source text, to check the line count.")
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option("--direction", metavar="SRC-TGT", help="Direction, where no name tells it; or only it."),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="bleu,chrf,ter", help="Metrics; else the recipe's.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the scores and every segment.")
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score translations, with the signatures that make the scores comparable.

    Without arguments, all translations of the work directory are scored against
    the recipe's test set; scores/scores.json and the page scores/report.html are
    written there. If there are none yet, the newest finished stage translates the
    test set first.

    Directories may have the layout of ALMA's published outputs. Without --ref,
    the one that holds both sides of a test set serves as the reference.

    Example: alma score mine.de-en.txt theirs.de-en.txt --ref test.de-en.en
    """
    from alma_cli.core.languages import Direction
    from alma_cli.scoring.metrics import parse_metrics

    console.be_quiet(quiet)
    only = Direction.parse(direction) if direction else None
    chosen = parse_metrics(metrics) if metrics is not None else None
    loaded = open_recipe(recipe, overrides)
    work = work_directory(loaded, out)
    wanted = chosen or loaded.recipe.scoring.metrics
    if hypotheses:
        scored = _score_hypotheses(hypotheses, reference, source_text, only, loaded.recipe, wanted)
    elif reference or source_text:
        raise UsageError("--ref and --src-text need translations to score", hint="name them: alma score HYP --ref FILE")
    else:
        directions = (only,) if only else loaded.recipe.direction_pairs
        translate_if_nothing_is(loaded.recipe, work, directions)
        scored = score_work_directory(work, directions, wanted)
    if as_json:
        console.result_json(scored.report.as_json())
    else:
        console.scores(scored.report)
    if not hypotheses or out:
        file, page = save_scores(scored, work)
        console.done(f"scores are in {file}, the page in {page}")
    if html:
        save_score_page(scored, html, title="Scores")
        console.done(f"the page is {html}")


def _score_hypotheses(
    paths: list[Path],
    reference: Path | None,
    source_text: Path | None,
    only: Direction | None,
    recipe: Recipe,
    metrics: tuple[Metric, ...],
) -> Scored:
    from alma_cli.scoring.score import score_sets
    from alma_cli.scoring.systems import find_hypotheses

    found = find_hypotheses(
        paths,
        reference=reference,
        source_text=source_text,
        direction=only,
        recipe_directions=recipe.direction_pairs,
    )
    for line in found.notes:
        console.note(line)
    for line in found.warnings:
        console.warn(line)
    return score_sets(found.sets, metrics)
