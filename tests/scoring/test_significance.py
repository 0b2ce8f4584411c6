"""Significance is what the sacrebleu command prints for the same files, resamples and seed."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from alma_cli.core.languages import Direction
from alma_cli.errors import UsageError
from alma_cli.scoring import significance as significance_module
from alma_cli.scoring.corpus_scores import Array
from alma_cli.scoring.metrics import measure
from alma_cli.scoring.score import Comparison, score_sets
from alma_cli.scoring.significance import Contrast, Resampling, Significance, mean_contrast, significance
from alma_cli.scoring.systems import TranslationSet

SEGMENTS = 60
TEXT = "the a red old house tree river goes stands near over , . and quickly Anna 1990s don't"
WORDS = TEXT.split(" ")
DIGITS = 12  # that sacrebleu is asked to print
PRINTED = re.compile(r"^ *(?:Baseline: )?\S*/(\w+)\.txt +&(.*)\\\\$", re.MULTILINE)
CELL = re.compile(r"([\d.]+)(?: \(([\d.]+) ± ([\d.]+)\))?(?: \(p = ([\d.]+)\))?\*?")


def changed(text: str, chance: random.Random, share: float) -> str:
    return " ".join(chance.choice(WORDS) if chance.random() < share else word for word in text.split())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """References, two worse copies of them, one with an empty line, and one that is better by chance only."""
    chance, folder = random.Random(7), tmp_path_factory.mktemp("systems")
    reference = [" ".join(chance.choices(WORDS, k=chance.randint(3, 15))) for _ in range(SEGMENTS)]
    texts = {
        "reference": reference,
        "first": [changed(one, chance, 0.4) for one in reference],
        "second": [changed(one, chance, 0.4) for one in reference],
        "third": [changed(one, chance, 0.25) for one in reference[:-1]] + [""],
    }
    for name, lines in texts.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {name: folder / f"{name}.txt" for name in texts}


SYSTEMS = ("first", "second", "third")


def statistics(files: Mapping[str, Path]) -> list[dict[str, Array]]:
    lines = {name: path.read_text(encoding="utf-8").splitlines() for name, path in files.items()}
    found: list[dict[str, Array]] = [{} for _ in SYSTEMS]
    for metric in ("bleu", "chrf", "ter"):
        measured = measure(metric, [lines[name] for name in SYSTEMS], [lines["reference"]], "en")
        for of_system, one in zip(found, measured, strict=True):
            of_system[metric] = one.statistics
    return found


def printed_by_sacrebleu(files: Mapping[str, Path], *options: str) -> dict[tuple[str, str], tuple[str | None, ...]]:
    """(score, mean, half of the interval, p-value) as printed, by system and metric."""
    command = ["-m", "sacrebleu", str(files["reference"]), "-i", *(str(files[name]) for name in SYSTEMS)]
    command += ["-m", "bleu", "chrf", "ter", "--format", "latex", "-w", str(DIGITS), *options]
    environment = {**os.environ, "SACREBLEU_SEED": "9", "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, check=True)
    found = {}
    for system, cells in PRINTED.findall(done.stdout):
        for metric, cell in zip(("bleu", "chrf", "ter"), cells.split("&"), strict=True):
            match = CELL.fullmatch(cell.strip())
            assert match, cell
            found[system, metric] = match.groups()
    assert len(found) == len(SYSTEMS) * 3, done.stdout
    return found


def as_printed(value: float | None, digits: int = DIGITS) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def half(one: Significance) -> float:
    return 0.5 * (one.high - one.low)


def test_the_paired_bootstrap_is_that_of_the_sacrebleu_command(files: dict[str, Path]) -> None:
    expected = printed_by_sacrebleu(files, "--paired-bs", "--paired-bs-n", "300")
    found = significance(statistics(files), Resampling("bootstrap", 300, seed=9))
    for name, metrics in zip(SYSTEMS, found, strict=True):
        for metric, one in metrics.items():
            _, mean, interval, p_value = expected[name, metric]
            assert (as_printed(one.mean), as_printed(one.p_value, 4)) == (mean, p_value), (name, metric)
            # chrF and TER are float32 there; the half of their difference is rounded once more
            assert half(one) == pytest.approx(float(interval or 0), abs=2e-6), (name, metric)


def test_approximate_randomization_is_that_of_the_sacrebleu_command(files: dict[str, Path]) -> None:
    expected = printed_by_sacrebleu(files, "--paired-ar", "--paired-ar-n", "1000")
    found = significance(statistics(files), Resampling("randomization", 1000, seed=9))
    p_values = {
        (n, m): as_printed(one.p_value, 4) for n, of in zip(SYSTEMS, found, strict=True) for m, one in of.items()
    }
    assert p_values == {place: cell[3] for place, cell in expected.items()}


@pytest.mark.parametrize("test", ["bootstrap", "randomization"])
def test_results_do_not_depend_on_how_many_resamples_are_drawn_at_once(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, test: significance_module.Test
) -> None:
    known = statistics(files)
    at_once = significance(known, Resampling(test, 500, seed=1))
    monkeypatch.setattr(significance_module, "_CHUNK", 64 * SEGMENTS)
    assert significance(known, Resampling(test, 500, seed=1)) == at_once


def test_averages_over_three_references_are_summed_in_sacrebleus_order(files: dict[str, Path]) -> None:
    lines = {name: path.read_text(encoding="utf-8").splitlines() for name, path in files.items()}
    references = [lines["reference"], lines["first"][::-1], lines["second"][::-1]]
    systems = [("a", lines["second"]), ("b", lines["third"])]
    os.environ["SACREBLEU_SEED"] = "5"
    try:
        test = PairedTest(systems, {"TER": TER(references=references)}, None, test_type="bs", n_samples=200)
        _, expected = test()
    finally:
        del os.environ["SACREBLEU_SEED"]
    measured = measure("ter", [texts for _, texts in systems], references, "en")
    found = significance([{"ter": one.statistics} for one in measured], Resampling("bootstrap", 200, seed=5))
    theirs = expected["TER"][1]
    assert not isinstance(theirs, str)
    assert (found[1]["ter"].p_value, found[1]["ter"].mean) == (theirs.p_value, theirs.mean)


def test_a_metric_of_segment_scores_is_resampled_as_their_mean() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(80, 5, size=400)
    better = scores + generator.normal(1, 1, size=400)
    tables = [segment_scores(one) for one in (scores, better)]
    first, second = (found["comet"] for found in significance(tables, Resampling.of("bootstrap")))
    standard_error = float(scores.std()) / 20  # of the mean of 400
    assert first.mean == pytest.approx(scores.mean(), abs=standard_error / 5)
    assert half(first) == pytest.approx(1.96 * standard_error, rel=0.1)
    assert first.p_value is None
    assert second.p_value == pytest.approx(1 / 1001)


def segment_scores(values: Array) -> dict[str, Array]:
    """The statistics of a metric whose score is the mean of its segments'."""
    return {"comet": np.column_stack([values, np.ones(len(values))])}


def contrast_of(first: Array, second: Array, resampling: Resampling) -> Contrast:
    _, found = significance([segment_scores(first), segment_scores(second)], resampling)
    assert found["comet"].contrast
    return found["comet"].contrast


@pytest.mark.parametrize("test", ["bootstrap", "randomization"])
def test_an_average_over_directions_is_tested_as_one_set_of_mean_segments(test: significance_module.Test) -> None:
    generator, resampling = np.random.default_rng(3), Resampling(test, 500, seed=2)
    baseline = generator.normal(80, 5, size=(2, 100))
    system = baseline + generator.normal(0.4, 3, size=(2, 100))
    each = [contrast_of(*both, resampling) for both in zip(baseline, system, strict=True)]
    together = contrast_of(baseline.mean(axis=0), system.mean(axis=0), resampling)

    assert mean_contrast(each).points == pytest.approx(together.points)
    assert mean_contrast(each).by_chance == pytest.approx(together.by_chance)
    assert mean_contrast(each).p_value == together.p_value
    assert mean_contrast(each[:1]).p_value == each[0].p_value


@pytest.mark.parametrize(("test", "expected"), [("bootstrap", 0.1), ("randomization", 0.05)])
def test_how_often_equal_systems_seem_to_differ(test: significance_module.Test, expected: float) -> None:
    """sacreBLEU's bootstrap has the p-value of one side for differences to either side."""
    generator, resampling = np.random.default_rng(4), Resampling(test, 200, seed=2)
    single, mean = [], []
    for _ in range(400):
        found = [contrast_of(*generator.normal(80, 5, size=(2, segments)), resampling) for segments in (80, 80, 50)]
        single.append(found[0].p_value)
        mean.append(mean_contrast(found).p_value)

    for p_values in (single, mean):
        assert np.mean(np.array(p_values) < 0.05) == pytest.approx(expected, abs=0.03)


def test_a_system_beside_itself_is_not_different(files: dict[str, Path]) -> None:
    first = statistics(files)[0]
    _, again = significance([first, first], Resampling("bootstrap", 100, seed=3))
    assert again["bleu"].p_value == 1 / 101  # no difference by chance is larger than none


def test_equal_seeds_give_equal_numbers_and_others_differ(files: dict[str, Path]) -> None:
    known = statistics(files)
    once, again, other = (significance(known, Resampling("bootstrap", 100, seed)) for seed in (0, 0, 1))
    assert once == again
    assert once != other


@pytest.mark.parametrize(
    ("resampling", "expected"),
    [
        (Resampling.of("bootstrap"), "nrefs:1|bs:1000|seed:12345|case:mixed"),
        (Resampling.of("randomization", seed=7), "nrefs:1|bs:1000|ar:10000|seed:7|case:mixed"),
    ],
)
def test_signatures_have_the_resampling_where_sacrebleu_writes_it(resampling: Resampling, expected: str) -> None:
    assert resampling.signature("nrefs:1|case:mixed") == expected
    assert resampling.signature("comet:1") == "comet:1|" + "|".join(expected.split("|")[1:-1])


REFERENCES = (("a b c d e", "f g h i j", "k l m n o"),)
GOOD = TranslationSet("good", Direction("de", "en"), REFERENCES[0], REFERENCES)
BAD = TranslationSet("bad", Direction("de", "en"), ("a b", "x", "k l m"), REFERENCES)
ELSEWHERE = TranslationSet("bad", Direction("cs", "en"), ("a b", "x", "k l m"), REFERENCES)


def test_a_report_has_intervals_of_all_and_p_values_of_those_with_a_baseline() -> None:
    comparison = Comparison(Resampling("bootstrap", 50, 1), baseline="good")
    report = score_sets([BAD, ELSEWHERE, GOOD], ("chrf",), comparison=comparison).report
    assert all(row.low is not None and row.high is not None for row in report.rows)
    assert [row.p_value is None for row in report.rows] == [False, True, True]
    assert report.as_json()["significance"] == {"test": "bootstrap", "resamples": 50, "seed": 1, "baseline": "good"}
    differences = [report.difference(row) for row in report.rows]
    assert differences[0] is not None
    assert (differences[0].better, differences[1:]) == (False, [None, None])


def test_averages_have_a_p_value_where_all_their_directions_were_compared() -> None:
    elsewhere = replace(GOOD, direction=Direction("cs", "en"))
    comparison = Comparison(Resampling("bootstrap", 50, 1), baseline="good")
    report = score_sets([GOOD, elsewhere, BAD, ELSEWHERE], ("chrf",), comparison=comparison).report
    good, bad = report.averages
    difference = report.difference(bad)

    assert (good.kind, good.p_value) == ("xx-en", None)
    assert difference is not None
    assert good.score is not None
    assert bad.score is not None
    assert (difference.points, difference.p_value) == (bad.score - good.score, bad.p_value)
    assert bad.p_value == report.rows[2].p_value == report.rows[3].p_value  # the same lines twice
    assert [average["p_value"] for average in report.as_json()["averages"]] == [None, bad.p_value]

    only_one = score_sets([GOOD, BAD, ELSEWHERE], ("chrf",), comparison=comparison).report
    assert [average.p_value for average in only_one.averages] == [None, None]


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no system is named 'god' \(did you mean 'good'\?\)"):
        score_sets([GOOD, BAD], ("chrf",), comparison=Comparison(Resampling.of("bootstrap"), baseline="god"))
