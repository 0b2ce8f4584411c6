"""`alma prepare` as it is typed: exit codes, one-line errors, what goes to stdout and to stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alma_cli.core.dataset import Manifest
from tests.data.conftest import sentences, write_tsv
from tests.typed import Typed, typed

RECIPE = """
name = "tiny"
model = "{model}"
directions = ["de-en", "en-de"]
[data.parallel]
sources = [{{ path = "train.de-en.tsv" }}]
[stages.parallel]
"""
MONO = """
[data.mono]
sources = [{ path = "de.txt", language = "de" }]
[stages.mono]
block_tokens = 32
"""
OUT = "runs/tiny/data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a recipe of one stage, alma.toml, one of two, both.toml, and their corpora."""
    (tmp_path / "alma.toml").write_text(RECIPE.format(model="no-such-model"))
    (tmp_path / "both.toml").write_text(RECIPE.format(model="no-such-model") + MONO)
    pairs = sentences(80)
    write_tsv(tmp_path / "train.de-en.tsv", [*pairs[:40], pairs[0]])
    (tmp_path / "de.txt").write_text("".join(f"{text}\n" for text, _ in pairs), encoding="utf-8")
    return tmp_path


def prepare(folder: Path, *words: str) -> Typed:
    return typed(folder, "prepare", "--workers", "1", *words)


# --- what it tells ------------------------------------------------------------------------------------------------


def test_the_table_is_the_result_and_the_rest_goes_to_stderr(folder: Path) -> None:
    done = prepare(folder)
    assert done.code == 0
    assert "duplicate 1" in done.out
    assert "examples: train 76, valid 4, test 0" in done.out
    assert "warning: token counts are left out: " in done.err
    assert "no test set for de-en in any source" in done.err
    assert f"data is in {OUT}, and {OUT}/report.html tells about it; next: alma train --stage parallel" in done.err


def test_a_second_time_says_that_it_is_done_already(folder: Path) -> None:
    first, second = prepare(folder), prepare(folder)
    assert (first.code, second.code) == (0, 0)
    assert second.out == first.out
    assert "stage parallel is prepared already; --no-resume prepares it again" in second.err


def test_json_is_the_manifest(folder: Path) -> None:
    done = prepare(folder, "--json", "--quiet")
    assert (done.code, done.errors[1:]) == (0, [])
    printed = json.loads(done.out)
    assert printed == json.loads((folder / OUT / "manifest.json").read_text())
    assert printed["version"] == 2
    assert printed["sources"][0]["dropped"] == {"duplicate": 1, "held_out": 2}
    assert printed["steps"] == {"parallel": {"duplicate": 1, "held_out": 2}}


def test_pairs_come_first_whatever_the_recipe_s_order(folder: Path) -> None:
    done = prepare(folder, "--recipe", "both.toml")
    assert done.code == 0
    assert done.out.index("Stage parallel") < done.out.index("Stage mono")
    manifest = Manifest.load(folder / OUT)
    assert manifest is not None
    # The two validation pairs' German sides are held out of the documents.
    assert manifest.steps["mono"]["in_test_or_valid"] >= 2
    assert "next: alma train --stage mono" in done.err


def test_the_report_has_what_is_in_the_manifest(folder: Path) -> None:
    prepare(folder, "--recipe", "both.toml")
    page = (folder / OUT / "report.html").read_text(encoding="utf-8")
    facts = json.loads((folder / OUT / "report.json").read_text(encoding="utf-8"))
    assert "Data of tiny" in page
    assert all(text in page for text in ("train.de-en.tsv", "de.txt", "duplicate", "held out"))
    assert "http://" not in page
    assert "https://" not in page
    assert set(facts["stages"]) == {"parallel", "mono"}


# --- looking at it --------------------------------------------------------------------------------------------------


@pytest.fixture
def with_model(folder: Path, tiny_model: Path) -> Path:
    """The same, with a model whose tokenizer is to be had."""
    for name, more in (("alma.toml", ""), ("both.toml", MONO)):
        (folder / name).write_text(RECIPE.format(model=tiny_model) + more)
    return folder


def test_show_prints_examples_of_both_stages_with_every_token(with_model: Path) -> None:
    done = prepare(with_model, "--recipe", "both.toml", "--show", "2")
    assert done.code == 0
    assert "Stage parallel" not in done.out  # the examples are the result
    assert all(word in done.out for word in ("prompt", "target", "EOS"))
    assert "</s>" in done.out


def test_show_as_json_has_the_fate_of_each_token(with_model: Path) -> None:
    done = prepare(with_model, "--recipe", "both.toml", "--show", "2", "--json")
    records = json.loads(done.out)["records"]
    assert len(records) == 4
    assert {token["fate"] for record in records for token in record["tokens"]} >= {"prompt", "target", "EOS"}


def test_show_without_the_tokenizer_is_one_line(folder: Path) -> None:
    done = prepare(folder, "--show", "2")
    assert (done.code, done.out) == (2, "")
    assert done.errors[-1].startswith("error: unknown model 'no-such-model'")


def test_shots_are_chosen_from_the_validation_data(folder: Path) -> None:
    write_tsv(folder / "valid.de-en.tsv", sentences(30, start=100))
    source = '{ path = "train.de-en.tsv" }'
    text = (folder / "alma.toml").read_text().replace(source, f'{source}, {{ path = "valid.de-en.tsv" }}')
    (folder / "alma.toml").write_text(text)
    done = prepare(folder, "--shots", "3")
    assert done.code == 0
    for name, side in (("de-en", 0), ("en-de", 1)):
        rows = [json.loads(line) for line in (folder / OUT / "shots" / f"{name}.jsonl").read_text().splitlines()]
        assert len(rows) == 3
        assert {row["source"] for row in rows} <= {pair[side] for pair in sentences(30, start=100)}


def test_too_few_pairs_for_shots_is_a_warning(folder: Path) -> None:
    done = prepare(folder, "--shots", "5")
    assert done.code == 0
    assert "warning: 2 few-shot examples for de-en, not 5: there is no more validation data" in done.err


# --- what it refuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--stage", "paralel"), 2, "there is no stage 'paralel' (did you mean 'parallel'?)"),
        (("--stage", "mono"), 2, "recipe tiny has no stage mono (its stages: parallel)"),
        (("--source", "trian.de-en.tsv"), 3, "trian.de-en.tsv' does not exist (did you mean 'train.de-en.tsv'?)"),
        (("--source", "none*.de-en.tsv"), 3, "none*.de-en.tsv"),
        (("--source", "empty.de-en.tsv"), 3, "empty.de-en.tsv is empty (take it out of the sources)"),
        (("--source", "utf16.de-en.tsv"), 3, "utf16.de-en.tsv is in UTF-16, not in UTF-8 (convert it: iconv -f UTF-16"),
        (("--source", "nul.de-en.tsv"), 3, "no pair is left to train on, of 1 read (control_characters 1)"),
        (("--source", "cut.de-en.json"), 3, "cut.de-en.json line 2 column 1 is not JSON"),
        (("--source", "short.{lang}"), 3, "short.de has 2 lines and "),
        (
            ("--source", "short.{lang}"),
            3,
            "short.en ends after line 1 (line n of one must be the translation of line n",
        ),
        (("--source", "gone.{lang}"), 3, "gone.de' does not exist"),
        (("--source", "."), 3, "has no file of the ALMA layout for the recipe"),
        (("--source", "broken.de-en.tsv.gz"), 3, "broken.de-en.tsv.gz cannot be decompressed"),
        (("--source", "rows.de-en.pdf"), 2, "the ending of "),
        (("--source", "rows.de-en.pdf"), 2, "rows.de-en.pdf does not tell its format (.json, .jsonl, .tsv"),
        (("--source", "rows.csv"), 2, "rows.csv are not known (name it like news.de-en.csv, or set its `pair`)"),
        (("--source", "rows.tsv"), 2, "the languages of"),
        (("--workers", "0"), 2, "invalid value for '--workers': Input should be greater than or equal to 1"),
        (("--engine", "spark"), 2, "'spark' is not one of 'local', 'ray'"),
        (("--recipe", "both.toml", "--source", "rows.tsv"), 2, "--source needs --stage, since the recipe has more"),
        (("--recipe", "two.toml", "--stage", "mono"), 2, "recipe tiny has no sources for stage mono"),
        (("--out", "file"), 4, "Not a directory (file/data"),
    ],
)
def test_every_problem_is_one_line_with_its_exit_code(
    folder: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    (folder / "two.toml").write_text(RECIPE.format(model="no-such-model") + "[stages.mono]\n")
    (folder / "empty.de-en.tsv").write_text("")
    (folder / "utf16.de-en.tsv").write_bytes("eins\tone\n".encode("utf-16"))
    (folder / "nul.de-en.tsv").write_text("ei\0ns\tone\n")
    (folder / "cut.de-en.json").write_text('[{"de": "a", "en": "b"},\n')
    (folder / "short.de").write_text("eins\nzwei\n")
    (folder / "short.en").write_text("one\n")
    (folder / "broken.de-en.tsv.gz").write_bytes(b"\x1f\x8b\x08 not a gzip file")
    (folder / "rows.de-en.pdf").write_text("a\tb\n")
    (folder / "rows.csv").write_text("a,b\n")
    (folder / "rows.tsv").write_text("a\tb\n")
    (folder / "file").write_text("")

    done = typed(folder, "prepare", *arguments)

    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert (done.code, done.out, len(errors)) == (code, "", 1)
    assert message in errors[0]
    assert "Traceback" not in done.err
    assert not (folder / OUT / "manifest.json").exists()
