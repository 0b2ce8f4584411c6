"""Validation by translating: the decoder of `alma translate`, and a training that does not notice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from transformers import PreTrainedModel

from alma_cli.commands.validation import mean_score, spread_evenly, translation_quality
from alma_cli.core.dataset import Example, read_examples, split_path, write_examples
from alma_cli.core.languages import Direction
from alma_cli.core.model import add_lora, load_model, save_model
from alma_cli.core.model_files import resolve_model
from alma_cli.core.plan import StagePlan, plan_stage
from alma_cli.core.recipe import Recipe
from alma_cli.decoding.translator import Translator
from alma_cli.errors import InputError, MachineError
from tests.tiny import four_bit_llama, save_tiny_model

DE_EN, EN_DE, DE_ZH, DE_JA = (Direction.parse(text) for text in ("de-en", "en-de", "de-zh", "de-ja"))
WORDS = {"Hund": "dog", "Katze": "cat", "Haus": "house", "Baum": "tree", "Ware": "goods", "Wort": "word"}
PAIRS = [Example(DE_EN, f"{a} {b}", f"{WORDS[a]} {WORDS[b]}") for a in WORDS for b in WORDS]
BOTH = [pair for e in PAIRS for pair in (e, Example(EN_DE, e.target, e.source))]

MakePlan = Callable[..., StagePlan]
Quality = Callable[[PreTrainedModel], float]


@pytest.fixture
def model_directory(tmp_path: Path) -> Path:
    """Random weights that write words of different lengths; hidden size 64, so that its matrices have 4-bit blocks."""
    model = four_bit_llama()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return save_tiny_model(tmp_path / "base", model)


@pytest.fixture
def make_plan(tmp_path: Path, model_directory: Path) -> MakePlan:
    """The plan of a stage that trains on 30 pairs and validates on six in each direction, or on these."""

    def make(valid: list[Example] = BOTH[60:], **settings: Any) -> StagePlan:
        data = tmp_path / "work" / "data"
        write_examples(split_path(data, "parallel", "train"), BOTH[:60])
        write_examples(split_path(data, "parallel", "valid"), valid)
        common = {"precision": "fp32", "method": "lora", "validate_by": "chrf", "max_target_tokens": 12}
        recipe = {
            "name": "test",
            "model": str(model_directory),
            "directions": ("de-en", "en-de"),
            "stages": {"parallel": {**common, **settings}},
        }
        return plan_stage(Recipe.model_validate(recipe), "parallel", tmp_path / "work")

    return make


def model_of(plan: StagePlan, method: str = "lora") -> PreTrainedModel:
    """A model as the stage trains it, with LoRA matrices that are not zero, dropout on."""
    model = load_model(plan.base, plan.precision, dtype=plan.precision.dtype, four_bit=method == "qlora")
    if method != "full":
        torch.manual_seed(1)
        model = add_lora(model, plan.settings)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    return model.train()


def quality_of(plan: StagePlan) -> Quality:
    quality = translation_quality(plan)
    assert quality is not None
    return quality


def trained(
    plan: StagePlan, model: PreTrainedModel, *, steps: int, learning_rate: float, between: Quality | None = None
) -> list[float]:
    """Train on the first four examples as any loop does, with or without a validation after each step: the losses."""
    torch.manual_seed(2)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=learning_rate)
    losses = []
    for _ in range(steps):
        for example in plan.train[:4]:
            input_ids = torch.tensor([example.token_ids])
            labels = torch.where(torch.arange(len(example.token_ids)) < example.prompt_tokens, -100, input_ids)
            loss = model(input_ids=input_ids, labels=labels).loss
            loss.backward()
            losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
        if between:
            between(model)
    return losses


# --- which sentences ----------------------------------------------------------------------------------------------


def test_sentences_are_spread_evenly_over_the_directions() -> None:
    examples = [*PAIRS[:5], Example(EN_DE, "a", "b"), *(Example(DE_ZH, str(n), str(n)) for n in range(3))]

    chosen = spread_evenly(examples, 6)

    assert [str(example.direction) for example in chosen] == ["de-en", "en-de", "de-zh", "de-en", "de-zh", "de-en"]
    assert [example for example in chosen if example.direction == DE_EN] == PAIRS[:3]


def test_fewer_sentences_than_asked_are_all_of_them() -> None:
    assert sorted(spread_evenly(BOTH, 1000), key=BOTH.index) == BOTH
    assert spread_evenly([], 10) == []


# --- the score ----------------------------------------------------------------------------------------------------


def test_the_score_is_the_mean_of_the_directions_not_of_the_sentences() -> None:
    examples = [*PAIRS[:4], Example(EN_DE, "dog", "Der Hund schläft im Haus")]
    hypotheses = [*(example.target for example in PAIRS[:4]), "Die Katze schläft im Baum"]

    other = CHRF().corpus_score(hypotheses[4:], [["Der Hund schläft im Haus"]]).score
    assert 0 < other < 100
    assert mean_score(hypotheses, examples, "chrf") == pytest.approx((100 + other) / 2)


def test_bleu_is_counted_in_the_words_of_the_target_language() -> None:
    examples = [Example(DE_ZH, "x", "这是一个很长的句子"), Example(DE_EN, "x", "This is a very long one")]
    hypotheses = ["这是一个很短的句子", "This is a very short one"]

    zh = BLEU(tokenize="zh").corpus_score(hypotheses[:1], [["这是一个很长的句子"]]).score
    en = BLEU(tokenize="13a").corpus_score(hypotheses[1:], [["This is a very long one"]]).score
    assert mean_score(hypotheses, examples, "bleu") == pytest.approx((zh + en) / 2)
    assert zh > 0


# --- the model in training ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_quality_is_that_of_the_saved_model(method: str, metric: str, make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan(method=method, validate_by=metric)
    model = model_of(plan, method)

    measured = quality_of(plan)(model)

    save_model(model, plan.tokenizer, plan.text_format, tmp_path / "saved", base=plan.base)
    files = resolve_model(str(tmp_path / "saved"))
    settings = plan.recipe.decoding.model_copy(update={"beams": 1, "max_new_tokens": 12})
    saved = load_model(files, plan.precision, dtype=torch.float32).eval()
    translator = Translator.of_model(saved, plan.tokenizer, plan.text_format, settings, name="saved")
    examples = spread_evenly(read_examples(tmp_path / "work/data/parallel/valid"), 200)
    texts = [next(translator.translate([example.source], example.direction)).text for example in examples]
    assert len(set(texts)) > 3
    assert measured == pytest.approx(mean_score(texts, examples, "bleu" if metric == "bleu" else "chrf"))


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_does_not_notice_a_validation(method: str, precision: str, make_plan: MakePlan) -> None:
    plan = make_plan(method=method, precision=precision, lora_dropout=0.3)
    expected = trained(plan, model_of(plan, method), steps=3, learning_rate=1e-3)

    losses = trained(plan, model_of(plan, method), steps=3, learning_rate=1e-3, between=quality_of(plan))

    assert losses == expected
    assert losses[0] != losses[-1]


def test_the_model_is_left_as_it_was(make_plan: MakePlan) -> None:
    plan = make_plan()
    quality, model = quality_of(plan), model_of(plan)
    layer = model.get_output_embeddings()
    random_state = torch.get_rng_state()
    gradients = [p.requires_grad for p in model.parameters()]

    quality(model)

    assert model.training
    assert all(module.training for module in model.modules())
    assert len(layer._forward_pre_hooks) == 0
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [p.requires_grad for p in model.parameters()] == gradients
    assert not any(p.is_inference() for p in model.parameters())
    quality(model.eval())
    assert not model.training


def test_a_model_that_learned_the_pairs_scores_high(make_plan: MakePlan) -> None:
    plan = make_plan(valid=PAIRS[:4], method="full")
    model = model_of(plan, "full")
    quality = quality_of(plan)
    before = quality(model)

    trained(plan, model, steps=60, learning_rate=5e-3)

    assert before < 40
    assert quality(model) > 90


def test_an_answer_is_no_longer_than_the_targets_of_the_stage(make_plan: MakePlan) -> None:
    plan = make_plan(method="full", max_target_tokens=12)
    model = model_of(plan, "full")
    steps: list[int] = []
    model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: steps.append(len(inputs[0])))

    quality_of(plan)(model)

    # The logits of one token after the other, in each of the two directions.
    assert len(steps) == 2 * 12


# --- what cannot be -----------------------------------------------------------------------------------------------


def test_validation_by_loss_translates_nothing(make_plan: MakePlan) -> None:
    assert translation_quality(make_plan(validate_by="loss")) is None


def test_no_pairs_to_translate_says_where_they_come_from(make_plan: MakePlan, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        translation_quality(make_plan(valid=[]))

    file = tmp_path / "work/data/parallel/valid"
    assert caught.value.message == (
        f"stages.parallel.validate_by = 'chrf' translates the pairs in '{file}', and there are none"
    )
    assert "alma prepare --stage parallel" in caught.value.hint


def test_a_missing_tokeniser_is_told_before_training(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MeCab", None)
    monkeypatch.delitem(sys.modules, "sacrebleu.tokenizers.tokenizer_ja_mecab", raising=False)

    with pytest.raises(MachineError, match="BLEU in 'ja' needs the tokeniser"):
        translation_quality(make_plan(valid=[Example(DE_JA, "Hund", "犬")], validate_by="bleu"))
