"""From a name, a file and overrides to a validated recipe; every problem of a recipe is told at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from alma_cli.core.recipe import LoadedRecipe, Recipe, StageName
from alma_cli.errors import InputError, UsageError, nearest

_PACKAGE = Path(__file__).resolve().parent.parent


def recipe_directory() -> Path:
    """Where the built-in recipes are: inside the installed package, or beside it in a source checkout."""
    installed = _PACKAGE / "recipes"
    return installed if installed.is_dir() else _PACKAGE.parent / "recipes"


def builtin_recipes() -> dict[str, Path]:
    """The shipped recipes by name."""
    return {path.stem: path for path in sorted(recipe_directory().glob("*.toml"))}


def load_recipe(
    choice: str | None = None, overrides: Iterable[str] = (), values: Mapping[str, Any] | None = None
) -> LoadedRecipe:
    """The recipe of `choice` (a name or a file), else of ./alma.toml, else `demo`, with the overrides applied.

    `overrides` are `section.key=value` texts, and `section.key=` leaves that key or section out; `values` are dotted
    keys with ready values, from options.
    Raises UsageError that lists every wrong key and value, and InputError for a file that cannot be read.
    """
    path, origin = _find(choice)
    text = _read(path)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    set_by_hand = dict([*map(_parse_override, overrides), *(values or {}).items()])
    for dotted, value in set_by_hand.items():
        _assign(tables, dotted, value)
    try:
        recipe = Recipe.model_validate(tables)
    except ValidationError as error:
        problems = [_problem(detail, text, set_by_hand) for detail in error.errors(include_url=False)]
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UsageError(f"{count} in recipe {path}: {'; '.join(problems)}") from None
    return LoadedRecipe(recipe=recipe, origin=origin, directory=path.resolve().parent)


def method_override(stage: StageName, method: str) -> dict[str, Any]:
    """The values that `--method` sets: with the method, its learning rate, since one's ruins the other."""
    return {f"stages.{stage}.method": method, f"stages.{stage}.learning_rate": None}


def _find(choice: str | None) -> tuple[Path, str]:
    builtin = builtin_recipes()
    if choice is None:
        local = Path("alma.toml")
        if local.is_file():
            return local, f"{local.resolve()}"
        return builtin["demo"], "built-in (no alma.toml here, no --recipe)"
    if choice in builtin:
        return builtin[choice], "built-in"
    path = Path(choice).expanduser()
    if path.is_file():
        return path, f"{path.resolve()}"
    if path.suffix == ".toml" or "/" in choice:
        raise UsageError(f"recipe file '{choice}' does not exist", hint=f"built-in recipes: {', '.join(builtin)}")
    raise UsageError(f"unknown recipe '{choice}'", hint=nearest(choice, builtin))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"recipe {path} is not UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"cannot read recipe {path}: {error.strerror}") from None


def _parse_override(text: str) -> tuple[str, Any]:
    dotted, equals, value = text.partition("=")
    if not equals or not dotted.strip():
        raise UsageError(f"--set {text!r} has no '='", hint="write --set section.key=value")
    if not value.strip():
        return dotted.strip(), None
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return dotted.strip(), parsed


def _assign(tables: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, key = dotted.split(".")
    table = tables
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {dotted}: '{section}' is a value, not a section")
    if value is None and key in table:
        del table[key]
    else:
        table[key] = value


def _problem(detail: Any, text: str, set_by_hand: Collection[str]) -> str:
    location: tuple[str | int, ...] = detail["loc"]
    dotted = ".".join(str(part) for part in location)
    key = str(location[-1]) if location else ""
    line = "" if dotted in set_by_hand else _line_of(key, text)
    if detail["type"] == "extra_forbidden":
        return f"unknown key '{dotted}'{line}, {nearest(key, _fields_at(location[:-1]))}"
    if detail["type"] == "missing":
        return f"'{dotted}' is missing"
    if dotted in set_by_hand and detail["input"] is None:
        return f"'{dotted}=' has no value, and the recipe no such key that could be left out"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{dotted} = {detail['input']!r}{line}: {message[0].lower()}{message[1:]}"


def _line_of(key: str, text: str) -> str:
    lines = [
        n for n, line in enumerate(text.splitlines(), 1) if re.match(rf"\s*\[*{re.escape(key)}\b\]*\s*(=|$)", line)
    ]
    return f" (line {lines[0]})" if len(lines) == 1 else ""


def _fields_at(location: tuple[str | int, ...]) -> list[str]:
    """The keys that the section at `location` may have."""
    model: type[BaseModel] = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        model = _section_model(model.model_fields[part].annotation)
    return list(model.model_fields)


def _section_model(annotation: Any) -> type[BaseModel]:
    """The pydantic class inside `X`, `X | None` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [argument for argument in annotation.__args__ if argument not in (type(None), Ellipsis)]
    return _section_model(inner[0])
