"""`alma translate`: a file, stdin, or the recipe's test sets through a model."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryFile
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
from alma_cli.commands.steps import open_translator, translate_test_sets
from alma_cli.errors import MachineError, UsageError

if TYPE_CHECKING:
    from alma_cli.core.languages import Direction
    from alma_cli.core.model_files import ModelFiles
    from alma_cli.core.recipe import Recipe
    from alma_cli.documents.text import TextDocument


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
    beams: Annotated[int | None, typer.Option("--beams", metavar="N", min=1, help="Beams; 1 is greedy.")] = None,
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
    if input_ is None:
        if output is not None:
            raise UsageError("--output needs an INPUT file", hint="test sets go to translations/ in the work directory")
        translate_test_sets(loaded.recipe, work, system, directions, resume=resume)
        console.done(
            f"translations are in {work / 'translations'}", next_command=f"alma score{recipe_words(recipe, out)}"
        )
        return
    from alma_cli.core.model_files import resolve_model

    document = _read_input(input_, output)
    files = resolve_model(system.model)
    if system.name == ZERO_SHOT and model is None:
        console.warn(f"no stage of recipe {loaded.recipe.name} is finished in {work}: the base model is not fine-tuned")
    rendered = _translated(document, loaded.recipe, files, directions[0], what=f"{input_} {directions[0]}")
    if output is None:
        sys.stdout.buffer.write(rendered)
    else:
        _write(output, rendered)
        console.done(f"{len(document.segments)} lines translated into {output}")


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


def _read_input(name: str, output: Path | None) -> TextDocument:
    """The file, or stdin; all that can be wrong with it or the output comes out before a model is loaded."""
    from alma_cli.core.text_files import read_bytes
    from alma_cli.documents.text import read_document

    content = sys.stdin.buffer.read() if name == "-" else read_bytes(Path(name))
    if output is not None:
        _require_writable(output, name)
    return read_document(content, "stdin" if name == "-" else name)


def _translated(document: TextDocument, recipe: Recipe, files: ModelFiles, direction: Direction, *, what: str) -> bytes:
    translator = open_translator(files, recipe)
    found = translator.translate(document.segments, direction)
    translations = console.follow_translation(found, total=len(document.segments), what=what)
    return document.render([t.text for t in sorted(translations, key=lambda t: t.index)])


def _require_writable(output: Path, name: str) -> None:
    """Raises before any work is done where the result could not be kept."""
    if output.is_dir():
        raise UsageError(f"--output {output} is a directory", hint="name a file")
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no directory {output.parent}")
    if output.exists() and name != "-" and output.samefile(name):
        raise UsageError(f"--output {output} is the input itself", hint="name another file")
    if _is_device(output):
        return
    try:
        with TemporaryFile(dir=output.resolve().parent):
            pass
    except OSError as error:
        raise MachineError(f"--output {output}: cannot write there: {error.strerror}") from None


def _write(output: Path, content: bytes) -> None:
    """Put the translation in place, complete or not at all; a device or a pipe is written to as it is."""
    if _is_device(output):
        output.write_bytes(content)
        return
    output = output.resolve()  # behind a link: the link stays
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file()
