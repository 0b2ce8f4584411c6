"""Test and validation sets: nothing of them stays in training data, of either stage, and they stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.dataset import read_documents, read_examples, split_path
from alma_cli.data.prepare import Means, prepare_stage
from alma_cli.errors import MachineError
from tests.data.conftest import MakeRecipe, sentences, write_tsv

ONE = Means(workers=1)
TESTED, OTHERS = sentences(5), sentences(60, start=5)


def write_mono(path: Path, texts: list[str]) -> None:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """Text and pairs for training, each with something of the test set in it, and the test set."""
    write_tsv(tmp_path / "test.de-en.tsv", TESTED)
    german, english = zip(*TESTED, strict=True)
    write_tsv(tmp_path / "train.de-en.tsv", [*OTHERS[:40], (german[0].upper(), "Something else altogether.")])
    # As it is, within a longer document, and a translation.
    found = [german[1], f"{OTHERS[0][0]} {german[2]} {OTHERS[1][0]}"]
    write_mono(tmp_path / "de.txt", [*found, *(text for text, _ in OTHERS[40:])])
    write_mono(tmp_path / "en.txt", [english[3], *(text for _, text in OTHERS[40:])])
    return tmp_path


@pytest.fixture
def make_leaking_recipe(leaking: Path, make_whole_recipe: MakeRecipe) -> MakeRecipe:
    """A recipe that reads all of it."""
    mono = [{"path": f"{code}.txt", "language": code} for code in ("de", "en")]
    parallel = [{"path": "train.de-en.tsv"}, {"path": "test.de-en.tsv"}]

    def make(**decontamination: Any) -> Any:
        return make_whole_recipe({"sources": mono}, {"sources": parallel}, decontamination=decontamination)

    return make


@pytest.mark.parametrize("stages", [("parallel", "mono"), ("mono",)])
def test_text_with_a_test_sentence_is_left_out_and_listed(
    make_leaking_recipe: MakeRecipe, leaking: Path, stages: tuple[Any, ...]
) -> None:
    for stage in stages:
        manifest = prepare_stage(make_leaking_recipe(), stage, leaking / "data", means=ONE).manifest
    of_mono = [report for report in manifest.sources if report.stage == "mono"]
    assert [report.dropped["in_test_or_valid"] for report in of_mono] == [2, 1]
    listed = manifest.overlaps["mono"]
    found = [(Path(one["source"]).name, one["sample"]["place"], one["held_out_text"]) for one in listed]
    assert found == [("de.txt", 1, TESTED[1][0]), ("de.txt", 2, TESTED[2][0]), ("en.txt", 1, TESTED[3][1])]
    assert all(one["sample"]["text"] and one["held_out"] for one in listed)
    written = "\n".join(one.text for one in read_documents(split_path(leaking / "data", "mono", "train")))
    assert not any(text in written for pair in TESTED for text in pair)


def test_pairs_with_a_test_sentence_are_left_out_and_listed(make_leaking_recipe: MakeRecipe, leaking: Path) -> None:
    manifest = prepare_stage(make_leaking_recipe(), "parallel", leaking / "data", means=ONE).manifest
    (overlap,) = manifest.overlaps["parallel"]
    assert overlap["sample"] == {"place": 41, "text": f"{TESTED[0][0].upper()}\tSomething else altogether.", "file": ""}
    assert (overlap["held_out"], overlap["held_out_text"]) == ("test 1", TESTED[0][0])


@pytest.mark.parametrize("stage", ["parallel", "mono"])
def test_whoever_wants_it_trains_on_the_test_set(make_leaking_recipe: MakeRecipe, leaking: Path, stage: Any) -> None:
    manifest = prepare_stage(make_leaking_recipe(enabled=False), stage, leaking / "data", means=ONE).manifest
    assert "in_test_or_valid" not in manifest.steps[stage]
    assert manifest.overlaps[stage] == []


@pytest.mark.parametrize("stage", ["parallel", "mono"])
def test_further_sets_are_compared_with_and_neither_written_nor_counted(
    make_leaking_recipe: MakeRecipe, leaking: Path, stage: Any
) -> None:
    further = [*OTHERS[:3], *OTHERS[40:43]]
    write_tsv(leaking / "further.de-en.tsv", further)
    prepared = [
        prepare_stage(recipe, stage, leaking / f"data{number}", means=ONE).manifest
        for number, recipe in enumerate(
            (make_leaking_recipe(), make_leaking_recipe(against=[{"path": "further.de-en.tsv"}]))
        )
    ]
    without, beside = (manifest.steps[stage]["in_test_or_valid"] for manifest in prepared)
    # Of the documents, one more in each language for each sentence; those around a test sentence are gone anyway.
    assert beside - without == {"parallel": 3, "mono": 6}[stage]
    assert "further.de-en.tsv" not in {Path(report.path).name for report in prepared[1].sources}
    named = {one["held_out"] for one in prepared[1].overlaps[stage]}
    assert {"parallel": "further.de-en.tsv 1", "mono": "further.de-en.tsv 4"}[stage] in named


def test_a_test_set_keeps_every_line_that_can_be_read(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write_tsv(tmp_path / "train.de-en.tsv", sentences(20))
    odd = [("Ja", "Ja"), ("Ja", "Ja"), ("Im Jahr 1999", "In 2001"), ("!!!", "???"), ("a a a a a a a a", "b" * 500)]
    both = [*odd, *sentences(3)]
    write_tsv(tmp_path / "test.de-en.tsv", [*both, ("", "nothing"), ("nur eine Spalte", "x\ty\tz")])
    recipe = make_recipe({"path": "train.de-en.tsv"}, {"path": "test.de-en.tsv"})
    _, test = prepare_stage(recipe, "parallel", tmp_path / "data", means=ONE).manifest.sources
    assert (test.read, test.kept, test.dropped) == (10, 8, {"empty": 1, "wrong_columns": 1})
    examples = read_examples(split_path(tmp_path / "data", "parallel", "test"))
    assert [(one.source, one.target) for one in examples[::2]] == both


def test_validation_data_loses_equal_pairs_and_is_not_filtered(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    write_tsv(tmp_path / "train.de-en.tsv", sentences(20))
    write_tsv(tmp_path / "valid.de-en.tsv", [("Ja", "Yes"), ("Ja", "Yes"), ("Im Jahr 1999", "In 2001"), ("!!!", "???")])
    recipe = make_recipe({"path": "train.de-en.tsv"}, {"path": "valid.de-en.tsv"})
    _, valid = prepare_stage(recipe, "parallel", tmp_path / "data", means=ONE).manifest.sources
    assert (valid.kept, valid.dropped) == (3, {"duplicate": 1})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"path": "sacrebleu:wmt19/de-en"},
            r"wmt19/de-en is not in .*; it is a test set that training text must be compared with "
            r"\(run `sacrebleu .*, or --set data\.decontamination\.enabled=false goes on without\)$",
        ),
        (
            {"path": "nobody/none", "format": "hub", "pair": "de-en", "split": "test"},
            r"^data set 'nobody/none' cannot be read from the Hugging Face hub: .*; it is a test set that training "
            r"text must be compared with \(download it .*, or --set data\.decontamination\.enabled=false goes on "
            r"without\)$",
        ),
    ],
)
def test_a_test_set_that_cannot_be_had_stops_stage_mono_and_says_so(
    make_whole_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: dict[str, str], message: str
) -> None:
    from datasets import config
    from sacrebleu.utils import DATASETS

    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(DATASETS["wmt19"], "_outdir", str(tmp_path))
    monkeypatch.setattr(DATASETS["wmt19"], "_rawdir", str(tmp_path))
    monkeypatch.setattr(DATASETS["wmt19"], "data", ["http://127.0.0.1:9/wmt19.tgz"])  # nobody listens there
    write_mono(tmp_path / "de.txt", [text for text, _ in OTHERS])
    mono = {"sources": [{"path": "de.txt", "language": "de"}]}
    with pytest.raises(MachineError, match=message):
        prepare_stage(make_whole_recipe(mono, {"sources": [source]}), "mono", tmp_path / "data", means=ONE)
    without = make_whole_recipe(mono, {"sources": [source]}, decontamination={"enabled": False})
    assert prepare_stage(without, "mono", tmp_path / "data", means=ONE).manifest.sources[0].kept == 57
