"""`alma translate`: files, directories, stdin, or the recipe's test sets through a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alma_cli import console
from alma_cli.commands.file_translation import (
    read_documents,
    segment_translator,
    tell_estimate,
    translate_jobs,
)
from alma_cli.commands.guidance import (
    ContextOption,
    GlossaryOption,
    MemoryOption,
    MemoryShotsOption,
    RerankOption,
    ShotsOption,
    Told,
    rerank_values,
    tell_reranking,
    with_candidates,
)
from alma_cli.commands.options import (
    DryRunOption,
    JsonOption,
    ModelOption,
    OutOption,
    QuietOption,
    RecipeOption,
    ResumeOption,
    SetOption,
    open_recipe,
    recipe_words,
    work_directory,
)
from alma_cli.commands.translation import open_session, translate_test_sets
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from alma_cli.core.languages import Direction
    from alma_cli.core.model_files import ModelFiles
    from alma_cli.core.recipe import Recipe
    from alma_cli.decoding.guide import Guide
    from alma_cli.documents.jobs import Job
    from alma_cli.documents.options import DocumentOptions


@dataclass(frozen=True)
class _Wishes:
    """What is asked for beside the translation itself."""

    partial: bool
    dry_run: bool
    as_json: bool
    resume: bool


def translate(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT...", help="Files, directories, or - for stdin; none: the recipe's test sets."),
    ] = None,
    src: Annotated[str | None, typer.Option("--src", "-s", metavar="CODE", help="Source language, such as de.")] = None,
    tgt: Annotated[str | None, typer.Option("--tgt", "-t", metavar="CODE", help="Target language, such as en.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="Where the translation goes; else stdout."),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", "-f", metavar="NAME", help="The inputs' format; auto goes by the file's ending.")
    ] = "auto",
    column: Annotated[
        str, typer.Option("--column", metavar="COLUMN", help="The column of tsv or csv: a number from 1, or a name.")
    ] = "",
    field: Annotated[
        str, typer.Option("--field", metavar="KEY", help="The field of jsonl: a key, or keys with dots.")
    ] = "",
    retranslate: Annotated[
        bool, typer.Option("--retranslate", help="In tmx, xliff and po: also what has a translation already.")
    ] = False,
    model: ModelOption = None,
    beams: Annotated[int | None, typer.Option("--beams", metavar="N", min=1, help="Beams; 1 is greedy.")] = None,
    shots: ShotsOption = None,
    memory: MemoryOption = None,
    memory_shots: MemoryShotsOption = 3,
    glossary: GlossaryOption = None,
    context: ContextOption = None,
    rerank: RerankOption = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    out: OutOption = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write what is translated so far; the rest keeps its source.")
    ] = False,
    dry_run: DryRunOption = False,
    resume: ResumeOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Translate files into files of the same format: as many segments come out as went in, in order.

    The model is --model, else the newest finished stage of the recipe, else the recipe's base model. Every finished
    segment is on disk at once: stopped or killed, the same command goes on where it was. Without INPUT, the recipe's
    test sets are translated into the work directory, for `alma score`.

    Example: alma translate in.txt --src de --tgt en -o out.txt
    """
    console.be_quiet(quiet)
    from alma_cli.core.process import set_up_process

    set_up_process()
    from alma_cli.documents.options import DocumentOptions

    values = {"decoding.beams": beams} if beams else {}
    loaded = open_recipe(recipe, overrides, values | rerank_values(rerank, context))
    work = work_directory(loaded, out)
    directions = _directions(loaded.recipe, src, tgt, one=bool(inputs))
    wishes = _Wishes(partial, dry_run, as_json, resume)
    told = Told(shots, memory, memory_shots, glossary)
    chosen = with_candidates(loaded.recipe, glossary=glossary is not None)
    if inputs:
        _require_sense(wishes, output)
        options = DocumentOptions(
            directions[0].source, directions[0].target, column=column, field=field, retranslate=retranslate
        )
        jobs, makes = _documents(inputs, output, format_=format_, options=options)
        guides = told.guides(directions)
        _translate_files(jobs, makes, chosen, _model_files(chosen, work, model), directions[0], wishes, guides)
        return
    _require_no_file_options(
        {
            "--output": output,
            "--partial": partial,
            "--dry-run": dry_run,
            "--column": column,
            "--field": field,
            "--context": context,
        }
    )
    from alma_cli.decoding.system import system_of

    system = system_of(chosen, work, model)
    translate_test_sets(chosen, work, system, directions, resume=resume, guides=told.guides(directions))
    console.done(f"translations are in {work / 'translations'}", next_command=f"alma score{recipe_words(recipe, out)}")


def _translate_files(
    jobs: list[Job],
    makes: Path | None,
    recipe: Recipe,
    files: ModelFiles,
    direction: Direction,
    wishes: _Wishes,
    guides: dict[Direction, Guide],
) -> None:
    what = f"{jobs[0].place.name} {direction}" if len(jobs) == 1 else f"{len(jobs)} files {direction}"
    with open_session(files, recipe, resume=wishes.resume, guides=guides) as session:
        if session is None:
            return
        what = f"{jobs[0].place.name} {direction}" if len(jobs) == 1 else f"{len(jobs)} files {direction}"
        translator = segment_translator(session, recipe, direction, what=what, making=not wishes.partial)
        if wishes.dry_run:
            from alma_cli.decoding.estimate import estimate

            segments = [segment for job in jobs for segment in job.document.segments]
            tell_estimate(estimate(translator, segments), as_json=wishes.as_json)
            return
        summary = translate_jobs(jobs, translator, makes=makes)
        tell_reranking(translator.counts, recipe)
        if wishes.as_json:
            console.result_json({**summary, "model": files.name})


def _documents(
    inputs: list[str], output: Path | None, *, format_: str, options: DocumentOptions
) -> tuple[list[Job], Path | None]:
    """All that can be wrong with the inputs or the output comes out before a model is loaded.

    Of several processes the first one alone reads and writes.
    """
    from alma_cli.core.launch import this_launch
    from alma_cli.documents.jobs import find_places

    if this_launch().rank > 0:
        return [], None
    found = find_places(inputs, output)
    return read_documents(found, format=format_, options=options), found.makes


def _model_files(recipe: Recipe, work: Path, model: str | None) -> ModelFiles:
    from alma_cli.core.model_files import resolve_model
    from alma_cli.core.recipe import ZERO_SHOT
    from alma_cli.decoding.system import system_of

    system = system_of(recipe, work, model)
    files = resolve_model(system.model)
    if system.name == ZERO_SHOT and model is None:
        console.warn(f"no stage of recipe {recipe.name} is finished in {work}: the base model is not fine-tuned")
    return files


def _require_sense(wishes: _Wishes, output: Path | None) -> None:
    if wishes.as_json and output is None and not wishes.dry_run:
        raise UsageError("--json and the translation cannot both go to stdout", hint="name a file with --output")
    if wishes.partial and not wishes.resume:
        raise UsageError("--partial shows what --no-resume ignores", hint="leave one of them out")
    if wishes.partial and wishes.dry_run:
        raise UsageError("--partial and --dry-run do not go together", hint="leave one of them out")


def _require_no_file_options(given: dict[str, object]) -> None:
    named = next((name for name, value in given.items() if value), None)
    if named:
        raise UsageError(f"{named} needs an INPUT file", hint="test sets go to translations/ in the work directory")


def _directions(recipe: Recipe, src: str | None, tgt: str | None, *, one: bool) -> tuple[Direction, ...]:
    """The directions of the recipe that fit --src and --tgt, or the one they name. Raises UsageError."""
    from alma_cli.core.languages import Direction, language

    for code in filter(None, (src, tgt)):
        language(code)
    if src and tgt:
        return (Direction.parse(f"{src}-{tgt}"),)
    fitting = tuple(d for d in recipe.direction_pairs if src in (None, d.source) and tgt in (None, d.target))
    if one and len(fitting) != 1:
        missing = " and ".join(name for name, value in (("--src", src), ("--tgt", tgt)) if not value)
        raise UsageError(f"{missing} is missing", hint="name both languages, such as --src de --tgt en")
    if not fitting:
        raise UsageError(f"recipe {recipe.name} has no such direction", hint=f"it has: {', '.join(recipe.directions)}")
    if one:
        console.note(f"direction {fitting[0]}: the only one of the recipe that fits")
    return fitting
