"""The table, the figure and the manifest of an ablation."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from alma_cli.core.ablation import ablation_systems, trainings
from alma_cli.core.recipe import Recipe
from alma_cli.scoring.ablation import Ablation, RunFacts, ablation_table
from alma_cli.scoring.ablation_figure import ablation_figure
from alma_cli.scoring.report import AverageKind, Flag, ResamplingFacts, ScoreReport, ScoreRow

SVG = "{http://www.w3.org/2000/svg}"


def ablation(scores: dict[str, tuple[float, float]], **settings: object) -> Ablation:
    """The systems with their BLEU for de-en and en-de; all but the first differ from it in de-en."""
    stages: dict[str, dict[str, object]] = {"mono": {}, "parallel": {}}
    content = {"name": "r", "model": "m", "directions": ["de-en", "en-de"], "stages": stages, "ablation": settings}
    systems = ablation_systems(Recipe.model_validate(content))
    rows = [
        ScoreRow(
            *(name, direction, "bleu", score, score - 1, score + 1),
            p_value=None if name == "zero-shot" else p_value,
            signature="nrefs:1",
            segments=300,
        )
        for name, both in scores.items()
        for direction, score, p_value in zip(("de-en", "en-de"), both, (0.01, 0.5), strict=True)
    ]
    flags = (
        Flag("zero-shot", "de-en", "looping", 7, (1,)),
        Flag("zero-shot", "en-de", "looping", 4, (1,)),
        Flag("mono", "en-de", "wrong_language", 3, (1,)),
    )
    tested: dict[tuple[str, AverageKind, str], float]
    tested = {(name, "all", "bleu"): 0.03 for name in scores if name != "mono"}
    report = ScoreReport(tuple(rows), flags, ResamplingFacts("bootstrap", 1000, 1, "zero-shot"), tested)
    beside = ScoreReport(tuple(rows), (), ResamplingFacts("bootstrap", 1000, 1, "parallel-only"), tested)
    runs = {
        training: RunFacts(60, int(12345 * training.portion), 90.0, "float32", 2.5, "CPU", ((0, 3.0), (12345, 2.5)))
        for training in trainings(systems)
    }
    return Ablation("r", systems, report, runs, {"recipe": content}, beside if "parallel-only" in scores else None)


SCORES = {
    "zero-shot": (10.0, 4.0),
    "five-shot": (12.0, 3.0),
    "mono": (11.0, 5.0),
    "parallel-only": (16.0, 8.0),
    "parallel": (18.0, 10.0),
}


def test_the_table_has_scores_gains_flags_and_what_was_trained() -> None:
    head, _, *rows, _, stage_1, _, notes = ablation_table(ablation(SCORES)).removesuffix("\n").split("\n")

    assert head == (
        "| system | what it is | de-en BLEU | en-de BLEU | mean BLEU | gain | wrong language | looping | copied "
        "| trained on | minutes |"
    )
    assert rows[0] == "| `zero-shot` | base model | 10.00 | 4.00 | 7.00 |  | 0 | 11 | 0 | - | - |"
    assert rows[2] == "| `mono` | stage 1 | 11.00* | 5.00 | 8.00 | +1.00 | 3 | 0 | 0 | mono 12.3k | 2 |"
    assert rows[4] == (
        "| `parallel` | stage 1 + stage 2 | 18.00* | 10.00 | 14.00 | +7.00* | 0 | 0 | 0 "
        "| mono 12.3k, parallel 12.3k | 3 |"
    )
    assert stage_1 == (
        "What stage 1 adds to stage 2, `parallel` beside `parallel-only`: "
        "de-en BLEU +2.00 (p = 0.010), en-de BLEU +2.00 (p = 0.500), average all BLEU +2.00 (p = 0.030)."
    )
    assert "differs from `zero-shot` with p < 0.05 (paired bootstrap, 1,000 resamples, seed 1)" in notes
    assert "de-en 300, en-de 300" in notes


def test_a_system_that_is_not_there_leaves_a_gap() -> None:
    table = ablation_table(ablation({"zero-shot": (10.0, 4.0)}))

    assert "| `parallel` | stage 1 + stage 2 | - | - | - |  | 0 |" in table
    assert "stage 1 adds" not in table


def test_the_figure_is_svg_with_a_bar_for_each_score_and_curves_for_each_stage() -> None:
    picture = ElementTree.fromstring(ablation_figure(ablation(SCORES)))
    bars = [rect for rect in picture.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    texts = [text.text or "" for text in picture.iter(f"{SVG}text")]

    assert picture.tag == f"{SVG}svg"
    assert {bar.findtext(f"{SVG}title") for bar in bars} >= {"zero-shot de-en: 10.00", "parallel en-de: 10.00"}
    assert len(bars) == 10
    assert [text for text in texts if text.startswith("Stage")] == [
        "Stage 1: validation loss over target tokens (nats per token)",
        "Stage 2: validation loss over target tokens (nats per token)",
    ]
    assert not [text for text in texts if text.startswith("Mean")]


def test_parts_of_the_data_give_a_learning_curve_from_none_to_all() -> None:
    scores = SCORES | {"parallel-0.25": (15.0, 7.0), "mono-0.5": (17.0, 9.0)}
    picture = ElementTree.fromstring(ablation_figure(ablation(scores, parallel_portions=[0.25], mono_portions=[0.5])))
    curves = [group for group in picture.iter(f"{SVG}g") if "Mean BLEU" in "".join(group.itertext())]

    assert len(curves) == 1
    assert len(curves[0].findall(f"{SVG}circle")) == 6  # of either stage: none of it, a part, all


def test_the_manifest_has_all_that_table_and_figure_were_made_from() -> None:
    content = json.loads(json.dumps(ablation(SCORES).as_json()))

    assert [run["stage"] for run in content["runs"]] == ["mono", "parallel", "parallel"]
    assert [run["starts_from"] for run in content["runs"]] == [None, None, "mono"]
    assert content["systems"][3] == {
        "name": "parallel-only",
        "words": "stage 2",
        "run": "parallel-only/parallel",
        "shots": 0,
    }
    assert content["scores"]["rows"][0]["score"] == 10.0
    assert content["stage_1"][0] == {"direction": "de-en", "metric": "bleu", "points": 2.0, "p_value": 0.01}
    assert content["recipe"]["name"] == "r"
