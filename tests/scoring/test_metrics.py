"""Our numbers are sacreBLEU's own."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest
from sacrebleu.metrics.base import Metric as SacreBleuMetric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.tokenizers import tokenizer_spm
from sentencepiece import SentencePieceTrainer

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
        ("chrf++", "de", GERMAN, CHRF(word_order=2)),
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
        ("bleu,rouge", r"unknown metric 'rouge' \(one of: bleu, chrf, chrf\+\+, comet, cometkiwi, spbleu, ter, xc"),
        (" ,", r"--metrics names no metric \(one or more of: bleu, chrf, chrf\+\+, spbleu, ter, comet, cometkiwi"),
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


ODD = ["", " ", "a", "aaaa aaaa", "(hi) “ok” , . 3.5 &amp; 😀😀", "\ud800 broken", "今天 mixed 天"]


@pytest.mark.parametrize(
    ("metric", "own"),
    [("bleu", BLEU(force=True)), ("chrf", CHRF()), ("chrf++", CHRF(word_order=2)), ("ter", TER())],
)
@pytest.mark.parametrize("sets", [1, 2, 3])
def test_statistics_are_those_of_sacrebleu_with_any_number_of_references(
    metric: Metric, own: SacreBleuMetric, sets: int
) -> None:
    chance = random.Random(sets)
    vocabulary = [*"abcde", "the", "house", "Häuser", ",", "."]
    lines = [" ".join(chance.choices(vocabulary, k=chance.randint(0, 30))) for _ in range(40)]
    hypotheses = [*ODD, *lines]
    references = [chance.sample(hypotheses, len(hypotheses)) for _ in range(sets)]
    (measured,) = measure(metric, [hypotheses], references, "en")
    assert measured.statistics.tolist() == own._extract_corpus_statistics(hypotheses, references)
    assert measured.score == own.corpus_score(hypotheses, references).score


@pytest.mark.parametrize("metric", ["bleu", "chrf++"])
def test_more_symbols_than_a_key_has_room_for_are_ranked_first(metric: Metric) -> None:
    chance = random.Random(0)
    vocabulary = [chr(0x4E00 + n) * (1 + n % 2) for n in range(6000)]
    references = [" ".join(vocabulary[n : n + 30]) for n in range(0, 6000, 30)]
    hypotheses = [" ".join(vocabulary[n + 3 : n + 25] + chance.choices(vocabulary, k=5)) for n in range(0, 6000, 30)]
    own = BLEU(tokenize="none") if metric == "bleu" else CHRF(word_order=2)
    (measured,) = measure(metric, [hypotheses], [references], "en")
    assert measured.score == own.corpus_score(hypotheses, [references]).score


@pytest.fixture
def sacrebleu_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where sacreBLEU looks for models, without a network to load them from."""
    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    nowhere = tmp_path / "none" / "flores200sacrebleuspm"
    monkeypatch.setitem(tokenizer_spm.SPM_MODELS, "flores200", {"url": nowhere.as_uri(), "signature": "flores200"})
    return tmp_path


@pytest.mark.usefixtures("sacrebleu_folder")
def test_spbleu_without_its_model_says_where_to_put_it() -> None:
    where = "download https://tinyurl.com/flores200sacrebleuspm to .*/models/flores200sacrebleuspm, or use chrf"
    with pytest.raises(MachineError, match=rf"spbleu needs the tokeniser model of FLORES-200: .* \({where}"):
        next(measure("spbleu", [["a"]], [["a"]], "en"))


def test_spbleu_counts_the_pieces_of_the_model(sacrebleu_folder: Path) -> None:
    hypotheses, references = GERMAN
    (sacrebleu_folder / "models").mkdir()
    with (sacrebleu_folder / "models" / "flores200sacrebleuspm").open("wb") as file:
        SentencePieceTrainer.train(
            sentence_iterator=iter(references * 9), model_writer=file, vocab_size=30, minloglevel=2
        )
    (measured,) = measure("spbleu", [hypotheses], [references], "de")
    own = BLEU(tokenize="flores200", force=True)
    assert measured.score == own.corpus_score(hypotheses, [references]).score > 0
    assert "tok:flores200" in measured.signature
