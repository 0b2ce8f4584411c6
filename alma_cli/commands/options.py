"""Options that several commands share, and the first steps they share: which recipe, which work directory."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alma_cli import console

if TYPE_CHECKING:
    from alma_cli.core.recipe import LoadedRecipe, Recipe, StageName

RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", "-r", metavar="NAME|FILE", help="Recipe; else ./alma.toml, else the built-in demo."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the recipe; repeatable.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Work directory; else runs/<recipe name>/.")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="MODEL", help="Directory, run directory, adapter, hub id, GGUF or name."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only results, warnings and errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
ResumeOption = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Keep what is done already, or do it all again.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def open_recipe(
    choice: str | None, overrides: list[str] | None, values: dict[str, Any] | None = None, *, told: bool = False
) -> LoadedRecipe:
    """The recipe of the options; unless `told` already, one line on stderr says which it is and where from."""
    from alma_cli.core.recipe_file import load_recipe

    loaded = load_recipe(choice, overrides or (), values)
    if not told:
        console.note(f"recipe {loaded.recipe.name}: {loaded.origin}")
    return loaded


def work_directory(loaded: LoadedRecipe, out: Path | None) -> Path:
    """Where this recipe's data, checkpoints, translations and scores are."""
    return out if out is not None else Path("runs") / loaded.recipe.name


def recipe_words(recipe: str | None, out: Path | None) -> str:
    """The options that a suggested next command needs to mean the same recipe and work directory."""
    words = [*(("--recipe", recipe) if recipe else ()), *(("--out", str(out)) if out else ())]
    return "".join(f" {shlex.quote(word)}" for word in words)


def stage_choice(recipe: Recipe, name: str) -> StageName:
    """The recipe's stage of that name. Raises UsageError with the nearest one."""
    from alma_cli.core.recipe import STAGES
    from alma_cli.errors import UsageError, nearest

    if name not in STAGES:
        raise UsageError(f"there is no stage '{name}'", hint=nearest(name, STAGES))
    chosen = next((stage for stage in recipe.stage_names if stage == name), None)
    if chosen is None:
        has = ", ".join(recipe.stage_names) or "none"
        raise UsageError(f"recipe {recipe.name} has no stage {name}", hint=f"its stages: {has}")
    return chosen
