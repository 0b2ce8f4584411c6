"""`alma translate`: a file, stdin, or the recipe's test sets through a model."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alma_cli import console
from alma_cli.commands.options import (
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
from alma_cli.commands.steps import translate_test_sets
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from alma_cli.core.languages import Direction
    from alma_cli.core.recipe import Recipe
    from alma_cli.decoding.system import System


def translate(
    input_: Annotated[
        str | None, typer.Argument(metavar="INPUT", help="A text file, or - for stdin; none: the recipe's test sets.")
    ] = None,
    src: Annotated[str | None, typer.Option("--src", "-s", metavar="CODE", help="Source language, such as de.")] = None,
    tgt: Annotated[str | None, typer.Option("--tgt", "-t", metavar="CODE", help="Target language, such as en.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where the translation goes; else stdout.")
    ] = None,
    model: ModelOption = None,
    beams: Annotated[int | None, typer.Option("--beams", min=1, help="Beams; 1 is greedy.")] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    out: OutOption = None,
    resume: ResumeOption = True,
    quiet: QuietOption = False,
) -> None:
    """Translate a text file line by line: as many lines come out as went in, in order.

    The model is --model, else the newest finished stage of the recipe, else the recipe's base model. Without INPUT,
    the recipe's test sets are translated into the work directory, for `alma score`.

    Example: alma translate in.txt --src de --tgt en -o out.txt
    """
    console.be_quiet(quiet)
    from alma_cli.core.process import set_up_process

    set_up_process()
    from alma_cli.decoding.system import ZERO_SHOT, system_of

    loaded = open_recipe(recipe, overrides, {"decoding.beams": beams} if beams else None)
    work = work_directory(loaded, out)
    directions = _directions(loaded.recipe, src, tgt, one=input_ is not None)
    system = system_of(loaded.recipe, work, model)
    if system.name == ZERO_SHOT and model is None:
        console.warn(f"no stage of recipe {loaded.recipe.name} is finished in {work}: the base model is not fine-tuned")
    if input_ is None:
        if output is not None:
            raise UsageError("--output needs an INPUT file", hint="test sets go to translations/ in the work directory")
        translate_test_sets(loaded.recipe, work, system, directions, resume=resume)
        console.done(
            f"translations are in {work / 'translations'}", next_command=f"alma score{recipe_words(recipe, out)}"
        )
        return
    _translate_file(loaded.recipe, system, input_, output, directions[0])


def _directions(recipe: Recipe, src: str | None, tgt: str | None, *, one: bool) -> tuple[Direction, ...]:
    """The directions of the recipe that fit --src and --tgt, or the one they name. Raises UsageError."""
    from alma_cli.core.languages import Direction, language

    if src and tgt:
        return (Direction.parse(f"{src}-{tgt}"),)
    for code in filter(None, (src, tgt)):
        language(code)
    fitting = tuple(d for d in recipe.direction_pairs if src in (None, d.source) and tgt in (None, d.target))
    if one and len(fitting) != 1:
        missing = " and ".join(name for name, value in (("--src", src), ("--tgt", tgt)) if not value)
        raise UsageError(f"{missing} is missing", hint="name both languages, such as --src de --tgt en")
    if not fitting:
        raise UsageError(f"recipe {recipe.name} has no such direction", hint=f"it has: {', '.join(recipe.directions)}")
    if one:
        console.note(f"direction {fitting[0]}: the only one of the recipe that fits")
    return fitting


def _translate_file(recipe: Recipe, system: System, name: str, output: Path | None, direction: Direction) -> None:
    from alma_cli.core.text_files import read_bytes
    from alma_cli.documents.text import read_document

    content = sys.stdin.buffer.read() if name == "-" else read_bytes(Path(name))
    document = read_document(content, "stdin" if name == "-" else name)
    if output is not None:
        _require_writable(output, name)
    from alma_cli.core.model_files import resolve_model
    from alma_cli.decoding.translator import Translator

    files = resolve_model(system.model)
    console.note(f"model {files.name}" + (f", {files.note}" if files.note else ""))
    translator = Translator(files, recipe.decoding, style=recipe.prompt.style)
    found = translator.translate(document.segments, direction)
    translations = console.follow_translation(found, total=len(document.segments), what=f"{name} {direction}")
    rendered = document.render([t.text for t in sorted(translations, key=lambda t: t.index)])
    if output is None:
        sys.stdout.buffer.write(rendered)
        return
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    temporary.write_bytes(rendered)
    temporary.replace(output)
    console.done(f"{len(translations)} lines translated into {output}")


def _require_writable(output: Path, name: str) -> None:
    """Raises before any work is done where the result could not be kept."""
    if output.is_dir():
        raise UsageError(f"--output {output} is a directory", hint="name a file")
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no directory {output.parent}")
    if output.exists() and name != "-" and output.samefile(name):
        raise UsageError(f"--output {output} is the input itself", hint="name another file")
    if not os.access(output.parent, os.W_OK):
        raise UsageError(f"--output {output}: no permission to write in {output.parent}")
