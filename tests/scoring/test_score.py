"""Sets in, a report out: published numbers, processes, averages, the JSON form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alma_cli.core.dataset import Example
from alma_cli.core.languages import Direction
from alma_cli.errors import InputError
from alma_cli.scoring import cores
from alma_cli.scoring.report import ScoreReport, ScoreRow
from alma_cli.scoring.score import score_sets, score_translations
from alma_cli.scoring.systems import TranslationSet, find_hypotheses

DE_EN, EN_DE = Direction("de", "en"), Direction("en", "de")
TOLERANCE = 0.01  # of the published golden values, data/README.md
PAPER_AVERAGES = {"en-xx": 31.92, "xx-en": 35.88}  # ALMA-13B-LoRA's outputs under sacreBLEU 2.6.0, FACTS.md


def assert_golden(report: ScoreReport, golden_file: Path) -> None:
    golden = json.loads(golden_file.read_text(encoding="utf-8"))
    for row in report.rows:
        expected = golden[row.system][row.direction]
        assert row.score == pytest.approx(expected[row.metric], abs=TOLERANCE)
        assert row.signature == expected[f"{row.metric}_signature"]
        assert row.segments == expected["n"]


@pytest.mark.parametrize("direction", ["is-en", "en-zh"])
def test_published_outputs_have_their_published_scores(shared_data: Path, direction: str) -> None:
    wmt22 = shared_data / "alma" / "wmt22"
    paths = [wmt22 / "ALMA-13B-LoRA", wmt22 / "wmt-testset"]
    found = find_hypotheses(paths, direction=Direction.parse(direction))
    report = score_sets(found.sets, ("bleu", "chrf")).report
    assert len(report.rows) == 2
    assert_golden(report, shared_data / "alma" / "golden_wmt22.json")


@pytest.mark.slow
def test_all_published_systems_have_their_published_scores_and_averages(shared_data: Path) -> None:
    found = find_hypotheses(sorted((shared_data / "alma" / "wmt22").iterdir()))
    report = score_sets(found.sets, ("bleu", "chrf")).report
    assert len(report.rows) == 3 * 10 * 2
    assert_golden(report, shared_data / "alma" / "golden_wmt22.json")
    bleu = [a for a in report.averages if (a.system, a.metric) == ("ALMA-13B-LoRA", "bleu")]
    averages = {average.kind: average.score for average in bleu if average.kind != "all"}
    assert averages == pytest.approx(PAPER_AVERAGES, abs=TOLERANCE)


def test_processes_give_the_scores_of_one_process_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    references = ("a b c d e", "f g h i j")
    sets = [
        TranslationSet(system, direction, hypotheses, (references,))
        for system, hypotheses in (("good", references), ("bad", ("a b", "x")))
        for direction in (DE_EN, EN_DE)
    ]
    alone = score_sets(sets, ("bleu", "chrf", "ter")).report
    monkeypatch.setattr(cores, "_SECONDS_WORTH_PROCESSES", 0.0)
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 2)
    assert score_sets(sets, ("bleu", "chrf", "ter")).report == alone
    assert [(row.system, row.direction) for row in alone.rows[::3]] == [
        ("good", "de-en"),
        ("good", "en-de"),
        ("bad", "de-en"),
        ("bad", "en-de"),
    ]


def test_empty_translations_are_flagged_with_their_lines() -> None:
    one = TranslationSet("s", DE_EN, ("fine", "", " \t", "fine"), (("a", "b", "c", "d"),))
    (flag,) = score_sets([one], ("chrf",)).report.flags
    assert (flag.system, flag.direction, flag.flag, flag.count, flag.lines) == ("s", "de-en", "empty", 2, (2, 3))


def test_the_json_form_is_stable() -> None:
    one = TranslationSet("s", DE_EN, ("the same", ""), (("the same", "x"),))
    assert score_sets([one], ("ter",)).report.as_json() == {
        "version": 1,
        "significance": None,
        "rows": [
            {
                "system": "s",
                "direction": "de-en",
                "metric": "ter",
                "score": pytest.approx(100 / 3),  # one missing word of three
                "low": None,
                "high": None,
                "p_value": None,
                "signature": "nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0",
                "segments": 2,
            }
        ],
        "averages": [],
        "flags": [{"system": "s", "direction": "de-en", "flag": "empty", "count": 1, "lines": (2,)}],
    }


def row(system: str, direction: str, score: float, metric: str = "bleu") -> ScoreRow:
    return ScoreRow(system, direction, metric, score, None, None, None, "", 1)


def test_averages_are_kept_apart_by_the_side_of_english_and_need_every_direction() -> None:
    rows = [row("a", "en-de", 10), row("a", "en-cs", 20), row("a", "de-en", 40), row("b", "en-de", 99)]
    averages = ScoreReport(tuple(rows), ()).averages
    assert [(a.system, a.kind, a.score) for a in averages] == [
        ("a", "en-xx", 15),
        ("a", "all", pytest.approx(70 / 3)),
        ("b", "en-xx", None),
        ("b", "all", None),
    ]


def test_one_direction_has_no_average_and_one_side_only_its_own() -> None:
    one, other = row("a", "en-de", 10), row("a", "en-cs", 20)
    assert ScoreReport((one,), ()).averages == ()
    assert [average.kind for average in ScoreReport((one, other), ()).averages] == ["en-xx"]


def test_the_best_system_has_the_highest_bleu_or_the_lowest_ter() -> None:
    rows = [row("a", "en-de", 10), row("b", "en-de", 20), row("a", "en-de", 10, "ter"), row("b", "en-de", 20, "ter")]
    report = ScoreReport((*rows, row("a", "de-en", 5)), ())
    assert report.best == {("b", "en-de", "bleu"), ("a", "en-de", "ter")}


EXAMPLES = [Example(DE_EN, "eins", "one"), Example(EN_DE, "two", "zwei"), Example(DE_EN, "drei", "three")]


def translate(folder: Path, system: str, direction: str, text: str) -> None:
    (folder / system).mkdir(exist_ok=True)
    (folder / system / f"{direction}.txt").write_text(text, encoding="utf-8")


def test_a_work_directory_is_scored_against_its_examples_in_their_order(tmp_path: Path) -> None:
    translate(tmp_path, "parallel", "de-en", "one\nthree\n")
    translate(tmp_path, "zero-shot", "de-en", "three\none\n")
    translate(tmp_path, "zero-shot", "en-de", "zwei\n")
    report = score_translations(tmp_path, EXAMPLES, ("ter",)).report
    assert [(r.system, r.direction, r.score) for r in report.rows] == [
        ("zero-shot", "de-en", 100.0),
        ("zero-shot", "en-de", 0.0),
        ("parallel", "de-en", 0.0),
    ]


@pytest.mark.parametrize(
    ("direction", "text", "message"),
    [
        ("de-en", "one\n", r"de-en.txt' has 1 line, the test set of de-en has 2 lines: .*de-en.txt' ends at line 1"),
        ("de-en", "", r"de-en.txt' is empty"),
        ("cs-en", "x\n", r"no translations of de-en, en-de in '.*' \(run `alma translate` first\)"),
    ],
)
def test_translations_that_do_not_fit_the_test_set_are_refused(
    tmp_path: Path, direction: str, text: str, message: str
) -> None:
    translate(tmp_path, "zero-shot", direction, text)
    with pytest.raises(InputError, match=message):
        score_translations(tmp_path, EXAMPLES, ("bleu",))


def test_a_direction_without_test_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the test set has no examples of cs-en"):
        score_translations(tmp_path, EXAMPLES, ("bleu",), [Direction("cs", "en")])
