"""From sources to splits and a manifest, through the library function that the commands call."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.dataset import Example, Manifest, read_documents, read_examples, split_path
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import LoadedRecipe, Recipe
from alma_cli.data.prepare import Means, prepare_stage
from alma_cli.errors import InputError, UsageError
from tests.data.conftest import MakeRecipe, sentences, write_tsv, written
from tests.tiny import byte_tokenizer

DE_EN, EN_DE = Direction("de", "en"), Direction("en", "de")


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose tokens are bytes."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    byte_tokenizer().backend_tokenizer.save(str(path))
    return path


def write_alma(
    folder: Path, name: str, pairs: Iterable[tuple[str, str]], languages: tuple[str, str] = ("de", "en")
) -> None:
    rows = [{"translation": dict(zip(languages, pair, strict=True))} for pair in pairs]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(rows), encoding="utf-8")


def test_one_training_pair_serves_both_directions_in_corpus_order(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write_tsv(tmp_path / "a.de-en.tsv", [("Der Hund bellt", "The dog barks"), ("Es regnet", "It rains")])
    prepare_stage(make_recipe({"path": "a.de-en.tsv"}), "parallel", tmp_path / "data")
    assert read_examples(split_path(tmp_path / "data", "parallel", "train")) == [
        Example(DE_EN, "Der Hund bellt", "The dog barks"),
        Example(EN_DE, "The dog barks", "Der Hund bellt"),
        Example(DE_EN, "Es regnet", "It rains"),
        Example(EN_DE, "It rains", "Es regnet"),
    ]


def test_an_alma_test_file_serves_its_own_direction_only(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write_alma(tmp_path / "alma/deen", "train.de-en.json", sentences(3))
    write_alma(tmp_path / "alma/deen", "valid.de-en.json", [("Ja", "Yes")])
    write_alma(tmp_path / "alma/deen", "test.de-en.json", [("Nein", "No")])
    prepared = prepare_stage(make_recipe({"path": "alma"}), "parallel", tmp_path / "data")
    assert read_examples(split_path(tmp_path / "data", "parallel", "test")) == [Example(DE_EN, "Nein", "No")]
    assert prepared.manifest.stages["parallel"]["valid"]["examples"] == 2
    assert prepared.warnings == ()
    assert prepared.notes == ("no test set for en-de in any source",)


def test_an_undirected_test_corpus_serves_every_direction_and_keeps_its_duplicates(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_tsv(tmp_path / "train.de-en.tsv", sentences(3))
    write_tsv(tmp_path / "test.de-en.tsv", [("Ja", "Yes"), ("Ja", "Yes")])
    recipe = make_recipe({"path": "train.de-en.tsv"}, {"path": "test.de-en.tsv"})
    prepare_stage(recipe, "parallel", tmp_path / "data")
    directions = [example.direction for example in read_examples(split_path(tmp_path / "data", "parallel", "test"))]
    assert directions == [DE_EN, EN_DE, DE_EN, EN_DE]


def test_only_the_recipe_s_directions_are_read_from_an_alma_directory(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write_alma(tmp_path / "alma/deen", "train.de-en.json", sentences(1))
    write_alma(tmp_path / "alma/deen", "test.en-de.json", sentences(1))
    write_alma(tmp_path / "alma/csen", "train.cs-en.json", [("Ano", "Yes")], ("cs", "en"))
    recipe = make_recipe({"path": "alma"}, directions=("de-en",))
    prepared = prepare_stage(recipe, "parallel", tmp_path / "data")
    assert [Path(report.path).name for report in prepared.manifest.sources] == ["train.de-en.json"]


def test_training_loses_duplicates_and_test_sentences_and_every_pair_is_accounted_for(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    content = "Ein Satz aus dem Test\tleaked\nneu\tnew\nneu\tnew\n\t\nnur eine Spalte\na\0b\tc\n"
    (tmp_path / "train.de-en.tsv").write_text(content, encoding="utf-8")
    write_tsv(tmp_path / "test.de-en.tsv", [("Ein Satz aus dem Test!", "A sentence from the test.")])
    recipe = make_recipe({"path": "train.de-en.tsv"}, {"path": "test.de-en.tsv"})
    train, test = prepare_stage(recipe, "parallel", tmp_path / "data").manifest.sources
    reasons = {"in_test_or_valid": 1, "duplicate": 1, "empty": 1, "wrong_columns": 1, "control_characters": 1}
    assert (train.read, train.kept, train.dropped) == (6, 1, reasons)
    assert (test.read, test.kept, test.dropped) == (1, 1, {})


def test_held_out_pairs_are_in_train_in_no_direction(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    pairs = sentences(100)
    mistaken = [(source, target) for (source, _), (_, target) in zip(pairs, [*pairs[1:], pairs[0]], strict=True)]
    write_tsv(tmp_path / "a.de-en.tsv", [*pairs, *mistaken])
    recipe = make_recipe({"path": "a.de-en.tsv"}, held_out_pairs=5, filters={"targets_per_source": 2})
    prepared = prepare_stage(recipe, "parallel", tmp_path / "data")
    train = read_examples(split_path(tmp_path / "data", "parallel", "train"))
    valid = read_examples(split_path(tmp_path / "data", "parallel", "valid"))
    assert len(valid) == 2 * 5
    assert not {e.source for e in train} & {e.source for e in valid}
    (report,) = prepared.manifest.sources
    assert report.dropped["held_out"] == 5
    assert report.dropped["in_test_or_valid"] > 5
    assert {e.target for e in train if e.direction == DE_EN}.isdisjoint(e.target for e in valid)
    assert report.read == report.kept + sum(report.dropped.values()) == 200


def test_a_valid_source_leaves_the_training_data_whole(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write_tsv(tmp_path / "a.de-en.tsv", sentences(100))
    write_tsv(tmp_path / "valid.de-en.tsv", [("Ja", "Yes")])
    recipe = make_recipe({"path": "a.de-en.tsv"}, {"path": "valid.de-en.tsv"})
    counts = prepare_stage(recipe, "parallel", tmp_path / "data").manifest.stages["parallel"]
    assert (counts["train"]["examples"], counts["valid"]["examples"]) == (200, 2)


def test_tokens_are_counted_by_direction_and_side(make_recipe: MakeRecipe, tmp_path: Path, tokenizer: Path) -> None:
    write_tsv(tmp_path / "a.de-en.tsv", [("eins zwei", "one two"), ("vier", "four!")])
    recipe = make_recipe({"path": "a.de-en.tsv"})
    with_tokens = prepare_stage(recipe, "parallel", tmp_path / "data", means=Means(tokenizer))
    train = with_tokens.manifest.stages["parallel"]["train"]
    assert (train["examples"], train["tokens"]) == (4, {"source": 25, "target": 25})
    assert train["directions"] == {
        "de-en": {"examples": 2, "tokens": {"source": 13, "target": 12}},
        "en-de": {"examples": 2, "tokens": {"source": 12, "target": 13}},
    }
    assert train["histograms"]["source_tokens"] == {"edges": [0, 1, 2, 4, 8, 16], "counts": [0, 0, 0, 1, 1]}
    without = prepare_stage(recipe, "parallel", tmp_path / "data").manifest.stages["parallel"]["train"]
    assert without["tokens"] is None
    assert without["directions"]["de-en"] == {"examples": 2, "tokens": None}
    assert without["histograms"].keys() == {"source_characters", "target_characters"}


def test_a_direction_without_training_data_is_a_warning(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write_tsv(tmp_path / "a.de-en.tsv", sentences(2))
    write_tsv(tmp_path / "a.ru-en.tsv", sentences(2))
    recipe = make_recipe({"path": "a.de-en.tsv"}, {"path": "a.ru-en.tsv"}, directions=("de-en", "cs-en"))
    prepared = prepare_stage(recipe, "parallel", tmp_path / "data")
    assert prepared.warnings == (
        "a.ru-en.tsv is not read: its languages are in no direction of the recipe",
        "no training data for cs-en in any source",
    )


def test_rows_of_our_own_format_are_read_back_whatever_their_direction(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write_tsv(tmp_path / "a.de-en.tsv", sentences(3))
    first = make_recipe({"path": "a.de-en.tsv"})
    prepare_stage(first, "parallel", tmp_path / "data")
    again = make_recipe({"path": "data/parallel/train/*.jsonl.zst"})
    prepared = prepare_stage(again, "parallel", tmp_path / "again")
    assert prepared.manifest.sources[0].dropped == {"duplicate": 3}
    assert written(tmp_path / "data/parallel/train") == written(tmp_path / "again/parallel/train")


def test_the_same_sources_are_not_prepared_twice(make_recipe: MakeRecipe, tmp_path: Path, tokenizer: Path) -> None:
    source = write_tsv(tmp_path / "a.de-en.tsv", sentences(3))
    recipe, data = make_recipe({"path": "a.de-en.tsv"}), tmp_path / "data"
    first = prepare_stage(recipe, "parallel", data)
    second = prepare_stage(recipe, "parallel", data)
    assert (first.unchanged, second.unchanged) == (False, True)
    assert second.manifest == first.manifest
    assert not prepare_stage(recipe, "parallel", data, resume=False).unchanged
    shutil.rmtree(split_path(data, "parallel", "valid"))
    assert not prepare_stage(recipe, "parallel", data).unchanged
    write_tsv(source, sentences(4))
    assert not prepare_stage(recipe, "parallel", data).unchanged
    assert not prepare_stage(make_recipe({"path": "a.de-en.tsv"}, held_out_pairs=1), "parallel", data).unchanged
    assert not prepare_stage(recipe, "parallel", data, means=Means(tokenizer)).unchanged


def test_an_interruption_leaves_no_manifest_of_other_files(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe, data = make_recipe({"path": "a.de-en.tsv"}), tmp_path / "data"
    write_tsv(tmp_path / "a.de-en.tsv", sentences(3))
    prepare_stage(recipe, "parallel", data)
    write_tsv(tmp_path / "a.de-en.tsv", sentences(4))
    (data / "parallel/train.jsonl").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        prepare_stage(recipe, "parallel", data)
    manifest = Manifest.load(data)
    assert manifest is not None
    assert manifest.stages == manifest.fingerprints == {}
    (data / "parallel/train.jsonl").rmdir()
    assert not prepare_stage(recipe, "parallel", data).unchanged


def test_an_unusable_manifest_is_replaced_only_when_asked(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write_tsv(tmp_path / "a.de-en.tsv", sentences(3))
    recipe, data = make_recipe({"path": "a.de-en.tsv"}), tmp_path / "data"
    data.mkdir()
    (data / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=r"manifest\.json cannot be used"):
        prepare_stage(recipe, "parallel", data)
    assert prepare_stage(recipe, "parallel", data, resume=False).manifest.stages


def test_one_stage_leaves_the_other_in_the_manifest(
    make_recipe: MakeRecipe, make_mono_recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_tsv(tmp_path / "a.de-en.tsv", sentences(3))
    (tmp_path / "de.txt").write_text("eins\nzwei\n")
    data = tmp_path / "data"
    prepare_stage(make_recipe({"path": "a.de-en.tsv"}), "parallel", data)
    prepare_stage(make_mono_recipe({"path": "de.txt", "language": "de"}), "mono", data)
    again = prepare_stage(make_recipe({"path": "a.de-en.tsv"}), "parallel", data)
    assert again.unchanged
    assert set(again.manifest.stages) == set(again.manifest.fingerprints) == {"mono", "parallel"}
    assert [report.stage for report in again.manifest.sources] == ["parallel", "mono"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"train\.de-en\.tsv is empty \(take it out of the sources\)"),
        (
            "one\ntwo\n",
            r"no pair is left to train on, of 2 read \(wrong_columns 2\) "
            r"\(wrong_columns: a line that .*; the first is number 1 of train\.de-en\.tsv: one\)",
        ),
    ],
)
def test_nothing_to_train_on_is_an_error(make_recipe: MakeRecipe, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "train.de-en.tsv").write_text(content)
    with pytest.raises(InputError, match=message):
        prepare_stage(make_recipe({"path": "train.de-en.tsv"}), "parallel", tmp_path / "data")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"path": "news.tsv"}, r"the languages of .*news\.tsv are not known \(name it like news\.de-en\.tsv, or set"),
        ({"path": "news.pdf"}, r"the ending of .*news\.pdf does not tell its format \(\.json, \.jsonl, \.tsv"),
        ({"path": "news.tsv", "format": "text"}, r"format 'text' of .* is not one of sentence pairs"),
        ({"path": "news.tsv", "format": "lines"}, r"format 'lines' needs '\{lang\}' in the path 'news\.tsv'"),
    ],
)
def test_what_a_name_does_not_tell_is_asked_for(
    make_recipe: MakeRecipe, tmp_path: Path, source: dict[str, Any], message: str
) -> None:
    for name in ("news.tsv", "news.pdf"):
        write_tsv(tmp_path / name, sentences(1))
    with pytest.raises(UsageError, match=message):
        prepare_stage(make_recipe(source), "parallel", tmp_path / "data")


def test_an_alma_directory_without_the_recipe_s_files_says_what_is_missing(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    write_alma(tmp_path / "alma/csen", "train.cs-en.json", [("Ano", "Yes")], ("cs", "en"))
    with pytest.raises(InputError, match=r"no file of the ALMA layout .*there is no .*deen/train\.de-en\.json"):
        prepare_stage(make_recipe({"path": "alma"}), "parallel", tmp_path / "data")


def test_given_paths_take_the_place_of_the_sources(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / "news.de").write_text("eins\nzwei\n")
    (tmp_path / "news.en").write_text("one\ntwo\n")
    recipe = make_recipe({"path": "not-there.tsv"})
    prepared = prepare_stage(recipe, "parallel", tmp_path / "data", sources=[tmp_path / "news.{lang}"])
    assert [(report.languages, report.kept) for report in prepared.manifest.sources] == [("de-en", 2)]


def test_a_stage_without_sources_is_an_error(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"recipe test has no sources for stage parallel \(add"):
        prepare_stage(make_recipe(), "parallel", tmp_path / "data")


def test_documents_are_written_with_their_language_and_held_out(
    make_mono_recipe: MakeRecipe, tmp_path: Path, tokenizer: Path
) -> None:
    texts = [german for german, _ in sentences(40)]
    (tmp_path / "mono.de.txt").write_text("".join(f"{text}\n\n{text}\n" for text in texts), encoding="utf-8")
    recipe = make_mono_recipe({"path": "mono.de.txt", "language": "de"})
    prepared = prepare_stage(recipe, "mono", tmp_path / "data", means=Means(tokenizer))
    (report,) = prepared.manifest.sources
    assert (report.read, report.kept) == (120, 38)
    assert report.dropped == {"empty": 40, "duplicate": 40, "held_out": 2}
    train, valid = (
        [document.text for document in read_documents(split_path(tmp_path / "data", "mono", split))]
        for split in ("train", "valid")
    )
    counts = prepared.manifest.stages["mono"]["train"]
    assert (counts["documents"], counts["probabilities"]) == (38, {"de": 1.0})
    assert counts["languages"] == {"de": {"documents": 38, "tokens": sum(len(text.encode()) for text in train)}}
    assert train == [text for text in texts if text not in valid]
    assert len(valid) == 2


def test_the_paper_s_parallel_data_is_read_whole(shared_data: Path, tmp_path: Path) -> None:
    directions = [d for code in ("cs", "de", "is", "ru", "zh") for d in (f"{code}-en", f"en-{code}")]
    content = {
        "name": "paper",
        "model": "tiny",
        "directions": directions,
        "data": {"parallel": {"sources": [{"path": "human"}]}},
    }
    recipe = LoadedRecipe(recipe=Recipe.model_validate(content), origin="test", directory=shared_data / "alma")
    prepared = prepare_stage(recipe, "parallel", tmp_path / "data")
    train = {r.languages: r for r in prepared.manifest.sources if r.split == "train"}
    # The sizes that the shared data's README.md states.
    read = {"cs-en": 12_076, "de-en": 14_211, "is-en": 2_009, "ru-en": 15_000, "zh-en": 15_406}
    assert {languages: report.read for languages, report in train.items()} == read
    assert sum(report.read for report in train.values()) == 58_702
    dropped = sum(sum(report.dropped.values()) for report in train.values())
    assert prepared.manifest.stages["parallel"]["train"]["examples"] == 2 * (58_702 - dropped)
    assert dropped < 0.005 * 58_702
    assert all(r.read == r.kept for r in prepared.manifest.sources if r.split == "test")
    assert (prepared.warnings, prepared.notes) == ((), ())
