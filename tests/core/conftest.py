"""A small recipe with prepared data, in the shape that `alma prepare` leaves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.dataset import Document, Example, split_path, write_documents, write_examples
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import Recipe
from tests.tiny import four_bit_llama, save_tiny_model

MakeRecipe = Callable[..., Recipe]

WORDS = {"Hund": "dog", "Katze": "cat", "Haus": "house", "Baum": "tree", "Ware": "goods", "Wort": "word"}
PAIRS = [Example(Direction("de", "en"), f"{a} {b}", f"{WORDS[a]} {WORDS[b]}") for a in WORDS for b in WORDS]


@pytest.fixture
def make_recipe(tiny_model: Path) -> MakeRecipe:
    """A recipe with these stages; by default six short steps in fp32, a validation every two."""

    def make(model: Path = tiny_model, **stages: dict[str, Any]) -> Recipe:
        common = {
            "precision": "fp32",
            "examples_per_step": 8,
            "tokens_per_micro_batch": 400,
            "max_steps": 6,
            "epochs": 9,
            "validations": 3,
            "warmup_ratio": 0.0,
            "lora_rank": 4,
        }
        content = {
            "name": "test",
            "model": str(model),
            "directions": ("de-en",),
            "stages": {name: {**common, **settings} for name, settings in stages.items()},
        }
        return Recipe.model_validate(content)

    return make


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work directory with data of both stages: 30 pairs and 6 to validate on; 12 documents and 2."""
    data = tmp_path / "work" / "data"
    write_examples(split_path(data, "parallel", "train"), PAIRS[:30])
    write_examples(split_path(data, "parallel", "valid"), PAIRS[30:])
    documents = [Document("en", " ".join([source, target] * 8)) for source, target in WORDS.items()]
    write_documents(split_path(data, "mono", "train"), documents * 2)
    write_documents(split_path(data, "mono", "valid"), documents[:2])
    return tmp_path / "work"


@pytest.fixture
def qlora_model(tmp_path: Path) -> Path:
    """A model whose matrices have whole 4-bit blocks: hidden size 64."""
    return save_tiny_model(tmp_path / "qlora-model", four_bit_llama())
