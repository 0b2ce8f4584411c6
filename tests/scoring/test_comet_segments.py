"""COMET of segments: known ones are not scored again, empty lines get no credit, what was scored is kept at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from alma_cli.core.comet import Triple, comet_scores
from alma_cli.core.recipe import ScoringSettings
from alma_cli.errors import UsageError
from alma_cli.scoring.comet import CometMetric

SOURCES = ("Das Haus steht am Fluss.", "Der Fluss ist breit.", "Das Haus.")
REFERENCES = ("The house stands at the river.", "The river is wide.", "The house.")
HYPOTHESES = ("The house stands at the river.", "  ", "A house.")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("comet_at_hand")]


def _metric(checkpoints: Path, name: str = "comet", kind: str = "regression", **settings: object) -> CometMetric:
    choices = ScoringSettings.model_validate({f"{name}_model": str(checkpoints / kind)} | settings)
    return CometMetric(name, choices, told=lambda line: None)


def test_scores_are_a_hundred_times_the_model_s_and_empty_lines_are_zero(comet_checkpoints: Path) -> None:
    found = _metric(comet_checkpoints).score(SOURCES, HYPOTHESES, REFERENCES, {})

    triples = [Triple(*texts) for texts in zip(SOURCES, HYPOTHESES, REFERENCES, strict=True)]
    first, _, last = comet_scores(str(comet_checkpoints / "regression"), triples).segments
    assert found.scores == pytest.approx((100 * first, 0, 100 * last), abs=1e-3)
    assert found.system == pytest.approx(100 * (first + last) / 3, abs=1e-3)
    assert (found.empty, found.computed) == (1, 2)
    assert found.signature.endswith("|empty:0")


def test_empty_lines_keep_the_model_s_score_on_request(comet_checkpoints: Path) -> None:
    found = _metric(comet_checkpoints, comet_of_empty="model").score(SOURCES, HYPOTHESES, REFERENCES, {})

    assert found.scores[1] != 0
    assert (found.empty, found.computed) == (1, 3)
    assert found.signature.endswith("|empty:model")


def test_second_run_computes_nothing_and_a_changed_line_one(comet_checkpoints: Path) -> None:
    metric, known = _metric(comet_checkpoints), dict[tuple[str, str, str], float]()
    first = metric.score(SOURCES, HYPOTHESES, REFERENCES, known)

    again = metric.score(SOURCES, HYPOTHESES, REFERENCES, known)
    changed = metric.score(SOURCES, (*HYPOTHESES[:2], "One house."), REFERENCES, known)

    assert (again.scores, again.computed) == (first.scores, 0)
    assert (changed.scores[:2], changed.computed) == (first.scores[:2], 1)


def test_quality_estimation_looks_at_no_reference(comet_checkpoints: Path) -> None:
    metric = _metric(comet_checkpoints, "cometkiwi", "unified")

    with_references = metric.score(SOURCES, HYPOTHESES, REFERENCES, {})
    without = metric.score(SOURCES, HYPOTHESES, None, {})

    assert with_references == without
    assert "|refs:0|" in without.signature


def test_xcomet_uses_the_references(comet_checkpoints: Path) -> None:
    metric = _metric(comet_checkpoints, "xcomet", "xcomet")

    assert "|refs:1|" in metric.signature
    assert (
        metric.score(SOURCES, HYPOTHESES, REFERENCES, {}).scores
        != metric.score(SOURCES, HYPOTHESES, SOURCES, {}).scores
    )


def test_missing_sources_are_told(comet_checkpoints: Path) -> None:
    with pytest.raises(UsageError, match=r"COMET needs the sources \(name them with --src-text\)"):
        _metric(comet_checkpoints).score((), HYPOTHESES, REFERENCES, {})
