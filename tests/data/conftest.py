"""A small recipe and corpora that each test of prepare writes for itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.recipe import LoadedRecipe, Recipe

MakeRecipe = Callable[..., LoadedRecipe]


@pytest.fixture
def make_recipe(tmp_path: Path) -> MakeRecipe:
    """A recipe whose relative paths are in the test's own folder."""

    def make(*sources: dict[str, Any], directions: tuple[str, ...] = ("de-en", "en-de"), **data: Any) -> LoadedRecipe:
        content = {
            "name": "test",
            "model": "tiny",
            "directions": directions,
            "data": {"parallel": {"sources": sources, **data}},
        }
        return LoadedRecipe(recipe=Recipe.model_validate(content), origin="test", directory=tmp_path)

    return make


@pytest.fixture
def make_mono_recipe(tmp_path: Path) -> MakeRecipe:
    """The same with monolingual sources."""

    def make(*sources: dict[str, Any], **data: Any) -> LoadedRecipe:
        content = {
            "name": "test",
            "model": "tiny",
            "directions": ("de-en", "en-de"),
            "data": {"mono": {"sources": sources, **data}},
            "stages": {"mono": {}},
        }
        return LoadedRecipe(recipe=Recipe.model_validate(content), origin="test", directory=tmp_path)

    return make
