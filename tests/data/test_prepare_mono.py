"""Stage mono as a whole: how much of each corpus is read, and what of it is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.dataset import read_documents, split_path
from alma_cli.core.recipe import LoadedRecipe
from alma_cli.data.prepare import prepare_stage
from alma_cli.errors import UsageError

MakeRecipe = Callable[..., LoadedRecipe]


def corpora(folder: Path, sizes: dict[str, int]) -> list[dict[str, str]]:
    for name, count in sizes.items():
        text = "".join(f"{name} {i}\n" for i in range(count))
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return [{"path": f"{name}.txt", "language": name[:2]} for name in sizes]


def test_what_a_limit_leaves_out_is_in_the_account(make_mono_recipe: MakeRecipe, tmp_path: Path) -> None:
    sources = corpora(tmp_path, {"de.a": 500, "de.b": 500, "en.a": 500})
    recipe = make_mono_recipe(*sources, mixture={"de": 0.5, "en": 0.5}, max_documents=100)
    manifest = prepare_stage(recipe, "mono", tmp_path / "data").manifest
    written = [d for split in ("train", "valid") for d in read_documents(split_path(tmp_path / "data", "mono", split))]
    assert len(written) == 100
    assert manifest.steps["mono"] == {
        "held_out": 5,
        "not_needed": sum(report.read for report in manifest.sources) - 100,
    }
    in_train = Counter(d.text.split()[0] for d in read_documents(split_path(tmp_path / "data", "mono", "train")))
    assert {Path(report.path).stem: report.kept for report in manifest.sources} == in_train
    assert manifest.stages["mono"]["valid"]["documents"] == 5


def test_without_a_mixture_languages_come_in_proportion_to_their_size(
    make_mono_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_mono_recipe(*corpora(tmp_path, {"de": 900, "en": 100}), max_documents=500, held_out_documents=0)
    languages = prepare_stage(recipe, "mono", tmp_path / "data").manifest.stages["mono"]["train"]["languages"]
    # 0.9 of 500, give or take four standard deviations of sqrt(500 * 0.9 * 0.1) = 6.7.
    assert 423 < languages["de"]["documents"] < 477


@pytest.mark.parametrize(
    ("sources", "data", "message"),
    [
        ({"de": 1, "en": 1}, {"mixture": {"de": 1.0}}, r"data\.mono\.mixture adds up to 1 and leaves nothing for en"),
        ({}, {}, r"hub dataset 'oscar' is read without an end \(set data\.mono\.max_documents\)"),
        ({"de": 1}, {"max_documents": 5}, r"the size of hub dataset 'oscar' is not known \(give each language"),
    ],
)
def test_a_mixture_that_cannot_be_drawn_is_an_error(
    make_mono_recipe: MakeRecipe, tmp_path: Path, sources: dict[str, int], data: dict[str, Any], message: str
) -> None:
    hub = {"path": "oscar", "language": "cs", "format": "hub"}
    recipe = make_mono_recipe(*corpora(tmp_path, sources), hub, **data)
    recipe = make_mono_recipe(*corpora(tmp_path, sources), **data) if "mixture" in data else recipe
    with pytest.raises(UsageError, match=message):
        prepare_stage(recipe, "mono", tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "language"), [("de.news.txt", "de"), ("mono.cs.txt", "cs"), ("news.is", "is"), ("x.txt", "en")]
)
def test_the_language_of_a_given_file_is_in_its_name_or_the_recipe(
    make_mono_recipe: MakeRecipe, tmp_path: Path, name: str, language: str
) -> None:
    (tmp_path / name).write_text("one\ntwo\n")
    recipe = make_mono_recipe({"path": "other.txt", "language": "en"})
    prepared = prepare_stage(recipe, "mono", tmp_path / "data", sources=[tmp_path / name])
    assert [report.languages for report in prepared.manifest.sources] == [language]


@pytest.mark.parametrize("name", ["news.txt", "de.en.txt"])
def test_a_given_file_of_unknown_language_is_an_error(make_mono_recipe: MakeRecipe, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("one\n")
    with pytest.raises(UsageError, match=r"is not known \(name the file like de\.news\.txt or mono\.de\.jsonl\.zst\)"):
        prepare_stage(make_mono_recipe(), "mono", tmp_path / "data", sources=[tmp_path / name])
