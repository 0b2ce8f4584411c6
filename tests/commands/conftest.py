"""A folder to type commands in: a recipe of both stages, its data, a text to translate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.typed import typed
from tests.warm import Warm

RECIPE = """
name = "tiny"
model = "{model}"
directions = ["de-en", "en-de"]
[data.mono]
sources = [{{ path = "mono.de.txt", language = "de" }}, {{ path = "mono.en.txt", language = "en" }}]
held_out_documents = 4
[data.parallel]
sources = [{{ path = "train.de-en.tsv" }}, {{ path = "valid.de-en.tsv" }}, {{ path = "test.de-en.tsv" }}]
[stages.mono]
block_tokens = 32
max_steps = 3
examples_per_step = 8
validations = 1
[stages.parallel]
max_steps = 3
examples_per_step = 8
validations = 1
[decoding]
beams = 2
max_new_tokens = 8
"""
WORDS = {"Hund": "dog", "Katze": "cat", "Haus": "house", "Baum": "tree", "Ware": "goods", "Wort": "word"}
PAIRS = [f"{a} und {b}\t{WORDS[a]} and {WORDS[b]}\n" for a in WORDS for b in WORDS]


def fill(folder: Path, model: Path) -> Path:
    """Put the recipe and its data there: 30 pairs to train on, 3 to validate, 3 to test, 40 documents a language."""
    (folder / "alma.toml").write_text(RECIPE.format(model=model))
    for name, rows in {"train": PAIRS[:30], "valid": PAIRS[30:33], "test": PAIRS[33:]}.items():
        (folder / f"{name}.de-en.tsv").write_text("".join(rows))
    (folder / "mono.de.txt").write_text("".join(f"{a} sieht {n} mal {a}.\n" for a in WORDS for n in range(7)))
    (folder / "mono.en.txt").write_text("".join(f"{a} sees {a} {n} times.\n" for a in WORDS.values() for n in range(7)))
    (folder / "in.txt").write_text("Hund und Katze\n\nDas Haus\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path) -> Path:
    """Everything but prepared data."""
    return fill(tmp_path, tiny_model)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Starts commands as processes of their own, at once."""
    server = Warm(tmp_path_factory.mktemp("screens"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The folder with its data prepared. Read only: copy it."""
    folder = fill(tmp_path_factory.mktemp("prepared"), tiny_model)
    assert typed(folder, "prepare", "--quiet").code == 0
    return folder


def outcome(stage: Path) -> dict[str, Any]:
    """All that a run comes to: the bytes of the model, every row of the metrics but for what was measured by a clock,
    and the facts."""
    measured = {"seconds", "memory_gib"}
    rows = [
        {key: value for key, value in json.loads(line).items() if key not in measured}
        for line in (stage / "metrics.jsonl").read_text().splitlines()
    ]
    progress = json.loads((stage / "stage.json").read_text())["progress"]
    model = {path.name: path.read_bytes() for path in (stage / "model").iterdir()}
    recorded = json.loads(model.pop("alma.json"))
    # It names the base by its place.
    return {**model, "rows": rows, "progress": progress | {"seconds": 0}, "style": recorded["style"]}
