"""Our numbers are sacreBLEU's own."""

from __future__ import annotations

import importlib.util

import pytest
from sacrebleu.metrics.base import Metric as SacreBleuMetric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from alma_cli.core.recipe import Metric
from alma_cli.errors import MachineError, UsageError
from alma_cli.scoring.metrics import measure, parse_metrics

GERMAN = (
    ["Der Hund beißt den Mann .", "Das ist gut.", "", "Ja"],
    ["Der Hund hat den Mann gebissen.", "Das ist sehr gut.", "Etwas fehlt hier.", "Ja"],
)
CHINESE = (["今天天气很好。", "我不知道"], ["今天的天气很好。", "我不知道。"])


@pytest.mark.parametrize(
    ("metric", "target", "texts", "own"),
    [
        ("bleu", "de", GERMAN, BLEU()),
        ("chrf", "de", GERMAN, CHRF()),
        ("ter", "de", GERMAN, TER()),
        ("bleu", "zh", CHINESE, BLEU(tokenize="zh")),
        ("chrf", "zh", CHINESE, CHRF()),
        ("ter", "zh", CHINESE, TER()),
    ],
)
def test_corpus_scores_and_signatures_are_those_of_sacrebleu(
    metric: Metric, target: str, texts: tuple[list[str], list[str]], own: SacreBleuMetric
) -> None:
    hypotheses, references = texts
    (measured,) = measure(metric, [hypotheses], [references], target)
    assert measured.score == own.corpus_score(hypotheses, [references]).score
    assert measured.signature == str(own.get_signature())


@pytest.mark.parametrize(("metric", "own"), [("bleu", BLEU()), ("chrf", CHRF()), ("ter", TER())])
def test_several_references_count_as_sacrebleu_has_them(metric: Metric, own: SacreBleuMetric) -> None:
    hypotheses, references = GERMAN
    others = ["Der Hund beißt den Mann.", "Gut ist das.", "", "Jawohl"]
    (measured,) = measure(metric, [hypotheses], [references, others], "de")
    assert measured.score == own.corpus_score(hypotheses, [references, others]).score
    assert measured.signature == str(own.get_signature())
    assert "nrefs:2" in measured.signature


@pytest.mark.parametrize(("metric", "own"), [("bleu", BLEU(effective_order=True)), ("chrf", CHRF()), ("ter", TER())])
def test_segment_scores_are_those_of_sacrebleu(metric: Metric, own: SacreBleuMetric) -> None:
    hypotheses, references = GERMAN
    (measured,) = measure(metric, [hypotheses], [references], "de")
    expected = [own.sentence_score(h, [r]).score for h, r in zip(hypotheses, references, strict=True)]
    assert list(measured.segment_scores) == expected


@pytest.mark.parametrize("metric", ["bleu", "chrf", "ter"])
def test_systems_measured_together_score_as_they_do_alone(metric: Metric) -> None:
    hypotheses, references = GERMAN
    other = [*reversed(references)]
    together = list(measure(metric, [hypotheses, other], [references], "de"))
    assert together == [
        *measure(metric, [hypotheses], [references], "de"),
        *measure(metric, [other], [references], "de"),
    ]


@pytest.mark.parametrize(
    ("text", "metrics"), [("bleu", ("bleu",)), ("chrf, BLEU,chrf", ("chrf", "bleu")), ("ter,bleu,", ("ter", "bleu"))]
)
def test_metrics_are_read_in_order_and_once(text: str, metrics: tuple[str, ...]) -> None:
    assert parse_metrics(text) == metrics


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blue", r"unknown metric 'blue' \(did you mean 'bleu'\?\)"),
        ("bleu,comet", r"unknown metric 'comet' \(one of: bleu, chrf, ter\)"),
        (" ,", r"--metrics names no metric \(one or more of: bleu, chrf, ter\)"),
    ],
)
def test_an_unknown_metric_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_metrics(text)


@pytest.mark.skipif(importlib.util.find_spec("MeCab") is not None, reason="MeCab is installed")
def test_japanese_bleu_without_its_tokeniser_says_what_to_install() -> None:
    with pytest.raises(
        MachineError, match=r"BLEU in 'ja' needs the tokeniser ja-mecab \(pip install \"sacrebleu\[ja\]"
    ):
        next(measure("bleu", [["はい"]], [["はい"]], "ja"))
