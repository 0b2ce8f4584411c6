"""`alma score` as typed: results, notes, every error with its exit code."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from alma_cli.cli import run_command

RECIPE = 'name = "tiny"\nmodel = "none"\ndirections = ["de-en", "en-de"]\n'
FILES = {
    "ref.de-en.en": b"The house is red.\nI do not know.\nYes.\n",
    "good.de-en.txt": b"The house is red.\nI don't know.\nYes.\n",
    "bad.de-en.txt": b"The house.\n\nNo.\n",
    "plain.txt": b"The house is red.\nI do not know.\nYes.\n",
    "short.de-en.txt": b"The house is red.\n",
    "empty.de-en.txt": b"",
    "latin.de-en.txt": b"ok\nsch\xf6n\nok\n",
    "test.de-en.de": b"Das Haus ist rot.\nIch weiss nicht.\nJa.\n",
    "A/deen/test.de-en.en": b"The house is red.\nI know.\nYes.\n",
    "A/ende/test.en-de.de": b"Das Haus ist rot.\n",
    "B/de-en.txt": b"A house is red.\nI do not know.\nYes.\n",
    "tests/deen/test.de-en.en": b"The house is red.\nI do not know.\nYes.\n",
    "tests/deen/test.de-en.de": b"Das Haus ist rot.\nIch weiss nicht.\nJa.\n",
    "other/deen/test.de-en.en": b"x\n",
    "other/deen/test.de-en.de": b"x\n",
    "nothing/notes.md": b"none\n",
    "shop.de-en.csv": b"id,old,new\n1,x,The house is red.\n2,x,I do not know.\n3,x,Yes.\n",
    "noted.txt": b"The house is red.\nI do not know.\nYes.\n",
    "noted.json": b'{"direction": "de-en"}',
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a recipe and FILES in it."""
    monkeypatch.chdir(tmp_path)
    Path("alma.toml").write_text(RECIPE)
    for name, content in FILES.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ("good.de-en.txt", 2, "no references to score against (give --ref FILE or --ref DIR, or one of sacreBLEU's: "),
        ("--ref ref.de-en.en", 2, "--ref and --src-text need translations to score"),
        ("good.de-en.txt --ref ref.de-en.en --metrics blue", 2, "unknown metric 'blue' (did you mean 'bleu'?)"),
        ("plain.txt --ref plain.txt", 2, "the name of 'plain.txt' does not tell its direction (give --direction, "),
        ("plain.txt --ref ref.de-en.en --direction deen", 2, "'deen' is not a direction"),
        ("good.de-en.txt good.de-en.txt --ref ref.de-en.en", 2, "'good.de-en.txt' is given twice"),
        ("A --ref ref.de-en.en", 2, "--ref is one file for de-en, en-de (give a directory, or one --direction)"),
        ("tests other", 2, "'tests', 'other' all hold both sides of a test set (say which one with --ref DIR)"),
        ("god.de-en.txt --ref ref.de-en.en", 3, "'god.de-en.txt' does not exist (did you mean 'good.de-en.txt'?)"),
        ("good.de-en.txt --ref no/ref.en", 3, "'no/ref.en' does not exist (there is no folder 'no')"),
        ("zzz --ref ref.de-en.en", 3, "'zzz' does not exist (no name among the 1"),
        ("empty.de-en.txt --ref ref.de-en.en", 3, "'empty.de-en.txt' is empty"),
        ("good.de-en.txt --ref empty.de-en.txt", 3, "'empty.de-en.txt' is empty"),
        ("latin.de-en.txt --ref ref.de-en.en", 3, "'latin.de-en.txt' line 2 is not UTF-8"),
        (
            "short.de-en.txt --ref ref.de-en.en",
            3,
            "'short.de-en.txt' has 1 line, 'ref.de-en.en' has 3 lines: 'short.de-en.txt' ends at line 1",
        ),
        (
            "good.de-en.txt --ref ref.de-en.en --src-text short.de-en.txt",
            3,
            "'short.de-en.txt' has 1 line, 'ref.de-en.en' has 3 lines: 'short.de-en.txt' ends at line 1",
        ),
        ("good.de-en.txt --ref sacrebleu:wmt222", 2, "sacreBLEU has no test set 'wmt222' (did you mean 'wmt22'?)"),
        ("good.de-en.txt short.de-en.txt --ref ref.de-en.en", 3, "'short.de-en.txt' has 1 line, 'ref.de-en.en' has 3"),
        ("good.de-en.txt --ref ref.de-en.en --ref short.de-en.txt", 3, "'good.de-en.txt' has 3 lines, 'short.de-en."),
        ("shop.de-en.csv --ref ref.de-en.en", 3, "'shop.de-en.csv': which of its 3 columns is to be translated? The"),
        ("ref.de-en.en --ref ref.de-en.en", 3, "'ref.de-en.en' is both the translation and its reference"),
        (
            "test.de-en.de --ref ref.de-en.en",
            3,
            "'test.de-en.de' is the source side of de-en (if not, give --direction",
        ),
        ("nothing --ref ref.de-en.en", 3, "no translations in 'nothing' (expected <direction>.txt or "),
        ("tests", 3, "there is nothing to score (give the systems' files or directories beside the reference set)"),
        ("A --ref tests --direction en-de", 3, "there is nothing to score (A en-de is not scored: "),
        ("good.de-en.txt --ref ref.de-en.en --significance ttest", 2, "unknown significance test 'ttest' (one of: "),
        ("good.de-en.txt --ref ref.de-en.en --baseline god", 2, "no system is named 'god' (did you mean 'good'?)"),
        (
            "good.de-en.txt --ref ref.de-en.en --baseline good --significance none",
            2,
            "--baseline is for comparing, which is off (leave it out, or use --significance)",
        ),
        ("good.de-en.txt --ref ref.de-en.en --csv --json", 2, "--json and --csv together (choose one of them)"),
        (
            "good.de-en.txt --ref ref.de-en.en --paper",
            2,
            "the paper has no scores for the recipe 'tiny' (it has them for: alma-7b, alma-7b-8gpu, alma-7b-lora, ",
        ),
        ("", 3, "no test examples in 'runs/tiny/data/parallel/test' (run `alma prepare` first)"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: str, exit_code: int, message: str
) -> None:
    assert run_command(["score", *arguments.split(), "--quiet"]) == exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"error: {message}")
    assert shown.err.count("\n") == 1


@pytest.mark.usefixtures("folder")
def test_files_are_scored_in_the_order_given_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    words = "good.de-en.txt bad.de-en.txt --ref ref.de-en.en --src-text test.de-en.de --metrics ter,bleu --json"
    assert run_command(["score", *words.split()]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["version", "significance", "rows", "averages", "flags"]
    assert [(row["system"], row["metric"]) for row in report["rows"]] == [
        ("good", "ter"),
        ("good", "bleu"),
        ("bad", "ter"),
        ("bad", "bleu"),
    ]
    assert report["flags"] == [{"system": "bad", "direction": "de-en", "flag": "empty", "count": 1, "lines": [2]}]


@pytest.mark.usefixtures("folder")
def test_directories_are_scored_against_the_one_that_holds_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["score", "A", "B", "tests"]) == 0
    shown = capsys.readouterr()
    assert "references: 'tests' (it holds both sides)\n" in shown.err
    assert "warning: A en-de is not scored: 'tests' has no references for it\n" in shown.err
    systems = [line.split()[1] for line in shown.out.split("\n") if line.startswith("│")]
    assert systems == ["A", "B"]
    assert "BLEU nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0\n" in shown.out
    assert "chrF2 nrefs:1|bs:1000|seed:12345|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0\n" in shown.out


@pytest.mark.usefixtures("folder")
def test_a_file_without_a_direction_takes_that_of_its_reference_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command(["score", "plain.txt", "--ref", "ref.de-en.en"]) == 0
    assert "'plain.txt' is taken as de-en: the direction of 'ref.de-en.en'\n" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_a_file_without_a_direction_takes_the_only_one_of_the_recipe_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("other.txt").write_bytes(FILES["plain.txt"])
    words = ["score", "plain.txt", "--ref", "other.txt", "--set", 'directions=["de-en"]']
    assert run_command(words) == 0
    assert "'plain.txt' is taken as de-en: the recipe's only direction\n" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_without_arguments_the_work_directory_is_scored_and_the_scores_are_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = Path("runs/tiny")
    for name, text in {
        "data/parallel/test.jsonl": '{"direction": "de-en", "source": "Ja.", "target": "Yes."}\n',
        "translations/parallel/de-en.txt": "Yes.\n",
        "translations/zero-shot/de-en.txt": "\n",
    }.items():
        (work / name).parent.mkdir(parents=True)
        (work / name).write_text(text)
    assert run_command(["score", "--json", "--metrics", "chrf"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [(row["system"], row["score"]) for row in printed["rows"]] == [("zero-shot", 0.0), ("parallel", 100.0)]
    assert json.loads((work / "scores/scores.json").read_text()) == printed


@pytest.mark.usefixtures("folder")
def test_a_file_without_a_direction_takes_that_of_the_note_beside_it_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command(["score", "noted.txt", "--ref", "plain.txt"]) == 0
    assert "'noted.txt' is taken as de-en: its note says so\n" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_several_references_count_together(capsys: pytest.CaptureFixture[str]) -> None:
    words = "good.de-en.txt --ref ref.de-en.en --ref good.de-en.en --metrics bleu,ter --json"
    Path("good.de-en.en").write_bytes(FILES["good.de-en.txt"])
    assert run_command(["score", *words.split()]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["metric"], round(row["score"])) for row in rows] == [("bleu", 100), ("ter", 0)]
    assert all(row["signature"].startswith("nrefs:2|") for row in rows)


@pytest.mark.usefixtures("folder")
def test_a_column_of_a_table_is_scored_against_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    words = "shop.de-en.csv --column new --ref ref.de-en.en --metrics ter --json"
    assert run_command(["score", *words.split()]) == 0
    assert [row["score"] for row in json.loads(capsys.readouterr().out)["rows"]] == [0.0]


@pytest.mark.usefixtures("folder")
def test_a_test_set_that_holds_both_sides_gives_the_sources_to_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    Path("A/deen/test.de-en.en").write_text("The house is red.\nIch weiss nicht, was soll es bedeuten.\nYes.\n")
    Path("tests/deen/test.de-en.de").write_text("Das Haus ist rot.\nIch weiss nicht, was soll es bedeuten.\nJa.\n")
    words = ["score", "A", "tests", "--direction", "de-en", "--metrics", "chrf"]
    assert run_command([*words, "--json"]) == 0
    flags = json.loads(capsys.readouterr().out)["flags"]
    assert flags == [{"system": "A", "direction": "de-en", "flag": "copied_source", "count": 1, "lines": [2]}]
    assert run_command(words) == 0
    assert "1 copied source" in capsys.readouterr().out
    assert run_command([*words, "--json", "--no-flags"]) == 0
    assert json.loads(capsys.readouterr().out)["flags"] == []


@pytest.mark.usefixtures("folder")
def test_empty_translations_are_reported_also_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["score", "bad.de-en.txt", "--ref", "ref.de-en.en", "--quiet"]) == 0
    assert capsys.readouterr().err == "warning: bad de-en: 1 empty translation (line 2)\n"


@pytest.mark.usefixtures("folder")
def test_scores_have_intervals_stars_and_what_they_mean(capsys: pytest.CaptureFixture[str]) -> None:
    words = "good.de-en.txt bad.de-en.txt --ref ref.de-en.en --metrics ter --resamples 200 --seed 5 --quiet --html p"
    assert run_command(["score", *words.split()]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"good +│ de-en +│ +\d+\.\d\d\xa0±\d", shown)
    assert "± is half of the 95% interval\n" in shown
    assert "* differs from good with p < 0.05 (paired bootstrap, 200 resamples, seed 5)\n" in shown
    assert "TER nrefs:1|bs:200|seed:5|case:lc" in shown
    assert "with good, by paired bootstrap, 200 resamples, seed 5" in Path("p").read_text(encoding="utf-8")


@pytest.mark.usefixtures("folder")
def test_scores_without_a_test_have_no_interval(capsys: pytest.CaptureFixture[str]) -> None:
    words = "good.de-en.txt --ref ref.de-en.en --metrics chrf --significance none --quiet"
    assert run_command(["score", *words.split()]) == 0
    assert "±" not in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_scores_are_printed_as_csv_with_the_names_of_the_json_form(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["score", *["good.de-en.txt", "bad.de-en.txt", "--ref", "ref.de-en.en", "--metrics", "chrf", "--quiet"]]
    assert run_command([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert run_command([*words, "--csv"]) == 0
    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert read == [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]


@pytest.mark.usefixtures("folder")
def test_the_papers_averages_stand_beside_the_measured_ones(capsys: pytest.CaptureFixture[str]) -> None:
    words = "good.de-en.txt --ref ref.de-en.en --paper --recipe alma-7b-lora --quiet"
    assert run_command(["score", *words.split()]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"good +│ xx-en +│ BLEU +│ +34.31 +│ +- +│ +- +│ ALMA-7B-LoRA", shown)
    assert "published: arXiv 2309.11674, tables 1 and 2; means over five directions\n" in shown
