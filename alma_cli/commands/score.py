"""`alma score`: translations against their references, as a table or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from alma_cli import console
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
from alma_cli.commands.score_inputs import Inputs, read_sets
from alma_cli.commands.steps import (
    comparison_of,
    means_of_scoring,
    require_comet,
    save_score_page,
    save_scores,
    score_work_directory,
)
from alma_cli.commands.translation import translate_if_nothing_is
from alma_cli.errors import UsageError, nearest

if TYPE_CHECKING:
    from alma_cli.scoring.report import ScoreReport


def score(
    hypotheses: Annotated[
        list[Path] | None,
        typer.Argument(metavar="HYP", help="Files or directories of translations; none: those of the recipe."),
    ] = None,
    references: Annotated[
        list[str] | None,
        typer.Option("--ref", metavar="FILE|DIR|sacrebleu:SET", help="References; repeatable, all of them count."),
    ] = None,
    source_text: Annotated[
        Path | None, typer.Option("--src-text", metavar="FILE|DIR", help="The source text, for flags and COMET.")
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option("--direction", metavar="SRC-TGT", help="Direction, where no name tells it; or only it."),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="bleu,chrf,comet", help="Metrics; else the recipe's.")
    ] = None,
    column: Annotated[
        str, typer.Option("--column", metavar="COLUMN", help="Of tsv or csv: a number from 1, or a name.")
    ] = "",
    field: Annotated[str, typer.Option("--field", metavar="KEY", help="Of jsonl: a key, or keys with dots.")] = "",
    flags: Annotated[bool, typer.Option("--flags/--no-flags", help="Look for what metrics miss.")] = True,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the scores and every segment.")
    ] = None,
    significance: Annotated[
        str | None,
        typer.Option(
            "--significance", metavar="TEST", help="How to compare: bootstrap, randomization, none; else the recipe's."
        ),
    ] = None,
    resamples: Annotated[
        int | None, typer.Option("--resamples", metavar="N", min=1, help="Resamples, or trials of the randomization.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="Seeds the resampling.")] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="SYSTEM", help="What the others are compared with; else the first."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the result as CSV.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print the result as a LaTeX table.")] = False,
    paper: Annotated[
        bool, typer.Option("--paper", help="Print the averages beside those that the paper has for the recipe.")
    ] = False,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    out: OutOption = None,
    resume: ResumeOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score translations, with the signatures that make the scores comparable.

    Without arguments, all translations of the work directory are scored against
    the recipe's test set; scores/scores.json and the page scores/report.html are
    written there. If there are none yet, the newest finished stage translates the
    test set first.

    Files may have any format that `alma translate` writes; directories may have
    the layout of ALMA's published outputs. Without --ref, the directory that holds
    both sides of a test set serves as the reference.

    Example: alma score mine.de-en.txt theirs.de-en.txt --ref test.de-en.en
    """
    from alma_cli.core.languages import Direction
    from alma_cli.scoring.metrics import parse_metrics
    from alma_cli.scoring.published import require_published
    from alma_cli.scoring.score import score_sets

    console.be_quiet(quiet)
    only = Direction.parse(direction) if direction else None
    chosen = parse_metrics(metrics) if metrics is not None else None
    form = _form(json=as_json, csv=as_csv, latex=as_latex, paper=paper)
    loaded = open_recipe(recipe, overrides, _resampling_values(significance, resamples, seed))
    if form == "paper":
        require_published(loaded.recipe.name)
    comparison = comparison_of(loaded.recipe.scoring, baseline)
    if baseline and not comparison:
        raise UsageError("--baseline is for comparing, which is off", hint="leave it out, or use --significance")
    work = work_directory(loaded, out)
    wanted = chosen or loaded.recipe.scoring.metrics
    if hypotheses:
        inputs = Inputs(hypotheses, references or (), source_text, only, column, field)
        sets = read_sets(inputs, loaded.recipe.direction_pairs)
        with means_of_scoring(loaded.recipe.scoring, resume=resume) as means:
            scored = score_sets(sets, wanted, comparison=comparison, flags=flags, means=means)
    elif references or source_text:
        raise UsageError("--ref and --src-text need translations to score", hint="name them: alma score HYP --ref FILE")
    else:
        directions = (only,) if only else loaded.recipe.direction_pairs
        require_comet(loaded.recipe.scoring, wanted)
        translate_if_nothing_is(loaded.recipe, work, directions)
        with means_of_scoring(loaded.recipe.scoring, resume=resume) as means:
            scored = score_work_directory(work, directions, wanted, comparison, means, flags=flags)
    _print(scored.report, form, loaded.recipe.name)
    if not hypotheses or out:
        file, page = save_scores(scored, work)
        console.done(f"scores are in {file}, the page in {page}")
    if html:
        save_score_page(scored, html, title="Scores")
        console.done(f"the page is {html}")


def _form(**wanted: bool) -> str:
    """Which of the forms is printed; the table, unless told."""
    chosen = [name for name, is_wanted in wanted.items() if is_wanted]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(f'--{name}' for name in chosen)} together", hint="choose one of them")
    return chosen[0] if chosen else "table"


def _resampling_values(significance: str | None, resamples: int | None, seed: int | None) -> dict[str, str | int]:
    """The recipe's keys that the options set."""
    from alma_cli.core.recipe import SignificanceTest

    tests: tuple[str, ...] = get_args(SignificanceTest)
    if significance is not None and significance not in tests:
        raise UsageError(f"unknown significance test '{significance}'", hint=nearest(significance, tests))
    values = {"significance": significance, "resamples": resamples, "resampling_seed": seed}
    return {f"scoring.{key}": value for key, value in values.items() if value is not None}


def _print(report: ScoreReport, form: str, recipe: str) -> None:
    from alma_cli.scoring.published import PAPER, beside_paper
    from alma_cli.scoring.score_exports import scores_as_csv, scores_as_latex

    if form == "json":
        console.result_json(report.as_json())
    elif form == "csv":
        console.result(scores_as_csv(report).removesuffix("\n"))
    elif form == "latex":
        console.result(scores_as_latex(report).removesuffix("\n"))
    elif form == "paper":
        console.scores_beside_paper(beside_paper(recipe, report), PAPER)
    else:
        console.scores(report)
