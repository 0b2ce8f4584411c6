"""The reference of every key of a recipe, as Markdown, from the recipe's own fields and their docstrings.

`python -m alma_cli.core.recipe_reference` rewrites it between its two markers in recipes/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from alma_cli.core.recipe import Recipe
from alma_cli.core.recipe_file import recipe_directory
from alma_cli.errors import InputError

BEGIN, END = "<!-- reference -->", "<!-- /reference -->"


def reference() -> str:
    """A table for each section of a recipe: key, type, default, meaning."""
    lines: list[str] = []
    for title, model in _sections("", Recipe):
        lines += [
            f"### {title}",
            "",
            _first_line(model),
            "",
            "| key | value | default | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for name, field in model.model_fields.items():
            if _section_inside(field.annotation) is None:
                cells = (f"`{name}`", _type_text(field.annotation), _default_text(field), field.description or "")
                lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def updated(page: str) -> str:
    """The page with today's reference between its markers. Raises InputError for a page without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the page has no {BEGIN} and {END}", hint="put both on lines of their own")
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def _sections(path: str, model: type[BaseModel], brackets: str = "[]") -> Iterator[tuple[str, type[BaseModel]]]:
    """Each section's title and fields, from the outside in; one that only holds sections has no table."""
    inner = [(name, field.annotation, _section_inside(field.annotation)) for name, field in model.model_fields.items()]
    if any(section is None for _, _, section in inner):
        half = len(brackets) // 2
        yield (f"`{brackets[:half]}{path}{brackets[half:]}`" if path else "Top of the file"), model
    for name, annotation, section in inner:
        if section is not None:
            repeated = get_origin(annotation) is tuple
            yield from _sections(f"{path}.{name}".lstrip("."), section, "[[]]" if repeated else "[]")


def _section_inside(annotation: Any) -> type[BaseModel] | None:
    """The section class in `X`, `X | None` or `tuple[X, ...]`; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_inside, get_args(annotation))), None)


def _type_text(annotation: Any) -> str:
    arguments = [argument for argument in get_args(annotation) if argument not in (type(None), Ellipsis)]
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"list of {_type_text(arguments[0])}"
    if origin is dict:
        return f"table of {_type_text(arguments[1])}"
    # `X | None` and Annotated[X, ...]: the value itself is the first argument.
    if arguments:
        return _type_text(arguments[0])
    names = {str: "text", int: "whole number", float: "number", bool: "true, false"}
    return names[annotation]


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if default is None or default in ((), {}, ""):
        return "-"
    return f"`{json.dumps(default)}`"


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n")[0]


if __name__ == "__main__":
    readme = recipe_directory() / "README.md"
    readme.write_text(updated(readme.read_text(encoding="utf-8")), encoding="utf-8")
