"""COMET of segments: known ones are not scored again, empty lines get no credit, systems are scored together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from alma_cli.core.comet import Triple, comet_scores
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import CometName, ScoringSettings
from alma_cli.errors import UsageError
from alma_cli.scoring.comet import CometMetric, CometSegments, require_sources
from alma_cli.scoring.score import Means, score_sets
from alma_cli.scoring.score_cache import ScoreCache
from alma_cli.scoring.systems import TranslationSet

SOURCES = ("Das Haus steht am Fluss.", "Der Fluss ist breit.", "Das Haus.")
REFERENCES = ("The house stands at the river.", "The river is wide.", "The house.")
HYPOTHESES = ("The house stands at the river.", "  ", "A house.")
DE_EN, CS_EN = Direction("de", "en"), Direction("cs", "en")

comet = pytest.mark.usefixtures("comet_at_hand")
slow = pytest.mark.slow


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ScoreCache]:
    with ScoreCache(tmp_path, told=lambda line: pytest.fail(line)) as opened:
        yield opened


def _settings(checkpoints: Path, name: CometName, kind: str, **settings: object) -> ScoringSettings:
    return ScoringSettings.model_validate({f"{name}_model": str(checkpoints / kind)} | settings)


def _scored(
    checkpoints: Path,
    hypotheses: Sequence[str] = HYPOTHESES,
    references: Sequence[str] = REFERENCES,
    *,
    name: CometName = "comet",
    kind: str = "regression",
    cache: ScoreCache | None = None,
    **settings: object,
) -> CometSegments:
    metric = CometMetric(name, _settings(checkpoints, name, kind, **settings), told=lambda line: None)
    return metric.score(SOURCES, hypotheses, [references], cache, lambda done, total: None)


@slow
@comet
def test_scores_are_a_hundred_times_the_model_s_and_empty_lines_are_zero(comet_checkpoints: Path) -> None:
    found = _scored(comet_checkpoints)

    triples = [Triple(*texts) for texts in zip(SOURCES, HYPOTHESES, REFERENCES, strict=True)]
    first, _, last = comet_scores(str(comet_checkpoints / "regression"), triples).segments
    assert found.scores == pytest.approx((100 * first, 0, 100 * last), abs=1e-3)
    assert found.computed == 2
    assert found.signature.endswith("|empty:0")


@slow
@comet
def test_empty_lines_keep_the_model_s_score_on_request(comet_checkpoints: Path) -> None:
    found = _scored(comet_checkpoints, comet_of_empty="model")

    assert found.scores[1] != 0
    assert found.computed == 3
    assert found.signature.endswith("|empty:model")


@slow
@comet
def test_second_run_computes_nothing_and_a_changed_line_one(comet_checkpoints: Path, cache: ScoreCache) -> None:
    first = _scored(comet_checkpoints, cache=cache)

    again = _scored(comet_checkpoints, cache=cache)
    changed = _scored(comet_checkpoints, (*HYPOTHESES[:2], "One house."), cache=cache)

    assert (again.scores, again.known, again.computed) == (first.scores, 2, 0)
    assert (changed.scores[:2], changed.known, changed.computed) == (first.scores[:2], 1, 1)


@slow
@comet
def test_another_model_knows_none_of_the_scores(comet_checkpoints: Path, cache: ScoreCache) -> None:
    _scored(comet_checkpoints, name="xcomet", kind="regression", cache=cache)

    assert _scored(comet_checkpoints, name="xcomet", kind="xcomet", cache=cache).known == 0
    assert _scored(comet_checkpoints, name="comet", kind="regression", cache=cache).known == 2


@slow
@comet
def test_quality_estimation_looks_at_no_reference(comet_checkpoints: Path) -> None:
    with_references = _scored(comet_checkpoints, name="cometkiwi", kind="unified")
    with_others = _scored(comet_checkpoints, references=SOURCES, name="cometkiwi", kind="unified")

    assert with_references == with_others
    assert "|refs:0|" in with_others.signature


@slow
@comet
def test_xcomet_uses_the_references(comet_checkpoints: Path) -> None:
    found = _scored(comet_checkpoints, name="xcomet", kind="xcomet")

    assert "|refs:1|" in found.signature
    assert found.scores != _scored(comet_checkpoints, references=SOURCES, name="xcomet", kind="xcomet").scores


@slow
@comet
def test_several_references_give_the_mean_and_the_signature_counts_them(comet_checkpoints: Path) -> None:
    settings = _settings(comet_checkpoints, "comet", "regression")
    metric = CometMetric("comet", settings, told=lambda line: None)

    found = metric.score(SOURCES, HYPOTHESES, [REFERENCES, SOURCES], None, lambda done, total: None)

    one, other = _scored(comet_checkpoints), _scored(comet_checkpoints, references=SOURCES)
    means = [(first + second) / 2 for first, second in zip(one.scores, other.scores, strict=True)]
    assert found.scores == pytest.approx(means, abs=1e-3)
    assert "|refs:2|" in found.signature


@slow
@comet
def test_sets_have_their_own_scores_in_the_order_of_the_metrics(comet_checkpoints: Path) -> None:
    sets = [
        TranslationSet("a", DE_EN, HYPOTHESES, (REFERENCES,), SOURCES),
        TranslationSet("a", CS_EN, ("The house.",), (("A house.",),), ("Dům.",)),
        TranslationSet("b", DE_EN, REFERENCES, (REFERENCES,), SOURCES),
    ]
    told: list[str] = []
    means = Means(_settings(comet_checkpoints, "comet", "regression"), told=told.append)

    found = score_sets(sets, ("bleu", "comet", "chrf"), means=means)

    rows = {(row.system, row.direction, row.metric): row for row in found.report.rows}
    alone = _scored(comet_checkpoints)
    assert [metric for _, _, metric in rows] == ["bleu", "comet", "chrf"] * 3
    assert rows["a", "de-en", "comet"].score == pytest.approx(sum(alone.scores) / 3, abs=1e-3)
    assert rows["a", "de-en", "comet"].signature == alone.signature
    (german, czech) = found.segments
    assert german.outputs[0].scores["comet"] == pytest.approx(alone.scores, abs=1e-3)
    assert german.outputs[1].scores["comet"] == pytest.approx(_scored(comet_checkpoints, REFERENCES).scores, abs=1e-3)
    assert len(czech.outputs[0].scores["comet"]) == 1
    assert told == ["loading COMET model regression"]


def test_missing_sources_are_told() -> None:
    one = TranslationSet("a", DE_EN, HYPOTHESES, (REFERENCES,))

    with pytest.raises(UsageError, match=r"xcomet needs the source text of de-en \(name it: --src-text FILE or DIR\)"):
        require_sources([one], ("bleu", "xcomet"))
