"""The planted corpus through the real readers and all of `alma prepare`: every line ends where it should."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from alma_cli.core.dataset import read_documents, read_examples, split_path
from alma_cli.core.recipe import LoadedRecipe, Recipe
from alma_cli.data.prepare import Means, prepare_stage
from tests.data.planted import CLEAN, CLEAN_DOCUMENTS, DOCUMENT_FAULTS, FAULTS, READER_FAULTS, Planted

DIRECTIONS = sorted({one.direction for one in (*FAULTS, *CLEAN)})


def lines_of(direction: str) -> list[bytes]:
    """All pairs of a direction as lines: clean ones, those that duplicates stand beside, then the faults."""
    clean = [one for one in CLEAN if one.direction == direction]
    faults = [one for one in FAULTS if one.direction == direction]
    beside = [Planted("beside", None, direction, *one.beside) for one in faults if one.beside]
    own = {(one.source, one.target): one for one in (*clean, *beside)}
    reader = [one.line for one in READER_FAULTS] if direction == "de-en" else []
    return [*(one.line for one in own.values()), *(one.line for one in faults), *reader]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_planted_pair_ends_where_it_should(direction: str, tmp_path: Path) -> None:
    file = tmp_path / f"train.{direction}.jsonl"
    file.write_bytes(b"\n".join(lines_of(direction)) + b"\n")
    source = {"path": str(file), "pair": direction}
    data = {"parallel": {"sources": [source], "held_out_pairs": 0}}
    recipe = Recipe.model_validate({"name": "planted", "model": "none", "directions": [direction], "data": data})

    done = prepare_stage(
        LoadedRecipe(recipe=recipe, origin="", directory=tmp_path),
        "parallel",
        tmp_path / "data",
        means=Means(workers=1),
    )

    [report] = done.manifest.sources
    faults = [one for one in FAULTS if one.direction == direction]
    expected = Counter(one.reason for one in (*faults, *(READER_FAULTS if direction == "de-en" else ())))
    assert report.dropped == expected
    kept = {(one.source, one.target) for one in read_examples(split_path(tmp_path / "data", "parallel", "train"))}
    assert {(one.source, one.target) for one in CLEAN if one.direction == direction} <= kept
    assert report.read == report.kept + sum(report.dropped.values()) == len(lines_of(direction))


def test_every_planted_document_ends_where_it_should(tmp_path: Path) -> None:
    sources = []
    for language in sorted({one.language for one in (*DOCUMENT_FAULTS, *CLEAN_DOCUMENTS)}):
        own = [one.text for one in (*CLEAN_DOCUMENTS, *DOCUMENT_FAULTS) if one.language == language]
        file = tmp_path / f"{language}.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in own))
        sources.append({"path": str(file), "language": language})
    # Some of the documents are variants of one another.
    filters = {"near_duplicates": None}
    data = {"mono": {"sources": sources, "held_out_documents": 0, "filters": filters}}
    recipe = Recipe.model_validate({"name": "planted", "model": "none", "directions": ["de-en"], "data": data})

    done = prepare_stage(
        LoadedRecipe(recipe=recipe, origin="", directory=tmp_path), "mono", tmp_path / "data", means=Means(workers=1)
    )

    dropped = sum((Counter(report.dropped) for report in done.manifest.sources), Counter[str]())
    left = [(one.language, one.left or one.text) for one in CLEAN_DOCUMENTS]
    assert dropped == Counter([*(one.reason for one in DOCUMENT_FAULTS), *["duplicate"] * (len(left) - len(set(left)))])
    kept = {(one.language, one.text) for one in read_documents(split_path(tmp_path / "data", "mono", "train"))}
    assert kept == set(left)
