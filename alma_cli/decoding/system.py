"""Which model translates, and what its translations are called beside others'."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from alma_cli.core.plan import newest_finished_stage
from alma_cli.core.recipe import ZERO_SHOT, Recipe


@dataclass(frozen=True)
class System:
    """A model and the name of its folder below translations/."""

    model: str
    name: str


def system_of(recipe: Recipe, work: Path, model: str | None) -> System:
    """`model` if given, else the newest finished stage of the work directory, else the recipe's base model."""
    if model is None:
        stage = newest_finished_stage(work)
        return System(str(work / stage), stage) if stage else System(recipe.model, ZERO_SHOT)
    if model == recipe.model:
        return System(model, ZERO_SHOT)
    path = Path(model)
    if (path / "stage.json").is_file():
        return System(model, path.resolve().name)
    return System(model, re.sub(r"[^\w.-]+", "-", path.name or model).strip("-.") or "model")
