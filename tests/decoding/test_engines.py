"""Engines: what transformers' generate finds, whatever the model's family, the company of a sentence, or the memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from alma_cli.core.model_files import resolve_model
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.ct2 import CTranslate2Engine
from alma_cli.decoding.engine import Answer, Request, Search
from alma_cli.decoding.library import LibraryEngine
from alma_cli.decoding.native import NativeEngine, draw, largest
from alma_cli.decoding.translator import Translator
from alma_cli.errors import MachineError, MemoryExhausted
from tests.core.architectures import FLATTENED, GEMMA2_CAPPED, LLAMA, PADDED, V
from tests.tiny import byte_tokenizer, four_bit_llama

STOPS = (1, 7, 11)


def requests_of(count: int, *, limit: int = 40, seed: int = 0) -> list[Request]:
    """Prompts of 4 to 30 tokens that begin with the same three, and limits of their own."""
    numbers = np.random.default_rng(seed)
    prompts = [(0, 5, 9, *map(int, numbers.integers(12, V, numbers.integers(1, 28)))) for _ in range(count)]
    return [Request(n, prompt, limit - n % 5) for n, prompt in enumerate(prompts)]


def search_of(**settings: Any) -> Search:
    return Search.of(DecodingSettings(**{"beams": 5} | settings), stop_ids=STOPS)


def ordered(answers: Any) -> list[Answer]:
    return sorted(answers, key=lambda answer: answer.index)


def score_of(model: Any, request: Request, ids: Sequence[int]) -> float:
    """The log-probability of new ids after the prompt, by the plain model."""
    row = torch.tensor([[*request.prompt, *ids]])
    with torch.no_grad():
        log_p = torch.log_softmax(model(input_ids=row).logits[0].float(), -1)
    return float(log_p[len(request.prompt) - 1 : -1].gather(1, row[0, len(request.prompt) :, None]).sum())


# --- the same as generate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"beams": 1}, {}, {"length_penalty": 0.0}, {"length_penalty": 2.0, "beams": 3}])
@pytest.mark.parametrize("family", FLATTENED)
def test_the_best_hypothesis_is_that_of_generate(family: str, settings: dict[str, Any]) -> None:
    model = FLATTENED[family]()
    if getattr(model.config, "final_logit_softcapping", None):
        model.config.final_logit_softcapping = 5.0  # a low cap makes equals of many tokens
    search, requests = search_of(**settings), requests_of(12)
    assert NativeEngine.can_run(model)

    ours = ordered(NativeEngine(model, sentences_at_once=5).answers(requests, search))

    theirs = ordered(LibraryEngine(model).answers(requests, search))
    for mine, other in zip(ours, theirs, strict=True):
        best, expected = mine.hypotheses[0], other.hypotheses[0]
        if best.token_ids != expected.token_ids:  # by a tie, or a better end that generate no longer looked for
            assert best.score(search.length_penalty) >= expected.score(search.length_penalty) - 1e-5
        else:
            assert best.stopped == expected.stopped
            assert best.log_probability == pytest.approx(expected.log_probability, rel=1e-4, abs=1e-4)
    same = sum(a.hypotheses[0].token_ids == b.hypotheses[0].token_ids for a, b in zip(ours, theirs, strict=True))
    assert same >= 11


@pytest.mark.parametrize("family", [name for name in PADDED if name.startswith(("Gemma", "Bloom", "Mamba", "LFM"))])
def test_a_model_whose_attention_cannot_be_replaced_is_left_to_generate(family: str) -> None:
    assert not NativeEngine.can_run(PADDED[family]())


def test_a_translator_takes_the_engine_that_fits() -> None:
    for make, engine in ((LLAMA, NativeEngine), (GEMMA2_CAPPED, LibraryEngine)):
        model, tokenizer = make(), byte_tokenizer()
        made = Translator.of_model(model, tokenizer, None, DecodingSettings(), name="tiny")  # type: ignore[arg-type]
        assert type(made.engine) is engine
        assert model.config._attn_implementation != "alma_columns"


# --- hypotheses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [NativeEngine, LibraryEngine])
def test_n_best_are_different_the_best_first_with_true_log_probabilities(engine: Any) -> None:
    model, requests = LLAMA(), requests_of(6)

    answers = ordered(engine(model).answers(requests, search_of(n_best=4)))

    for request, answer in zip(requests, answers, strict=True):
        assert len({one.token_ids for one in answer.hypotheses}) == len(answer.hypotheses) == 4
        scores = [one.score(1.0) for one in answer.hypotheses]
        assert scores == sorted(scores, reverse=True)
        for one in answer.hypotheses:
            stops = STOPS if one.stopped else ((),)
            ends = [(*one.token_ids, *([stop] if one.stopped else [])) for stop in stops]
            expected = [score_of(model, request, end) for end in ends]
            assert any(value == pytest.approx(one.log_probability, rel=1e-4, abs=1e-3) for value in expected)


@pytest.mark.parametrize("beams", [1, 5])
def test_neither_company_nor_order_nor_places_change_an_answer(beams: int) -> None:
    model, requests, search = LLAMA(), requests_of(20), search_of(beams=beams)
    expected = [next(iter(NativeEngine(model).answers([request], search))) for request in requests]

    for places, order in ((3, requests), (20, requests[::-1]), (None, requests[7:] + requests[:7])):
        found = ordered(NativeEngine(model, sentences_at_once=places).answers(order, search))
        assert [one.hypotheses[0].token_ids for one in found] == [one.hypotheses[0].token_ids for one in expected]


def test_a_prompt_longer_than_a_piece_is_read_in_pieces() -> None:
    model, search = LLAMA(), search_of(beams=2)
    long = tuple(12 + n * n % (V - 12) for n in range(1300))

    (found,) = NativeEngine(model).answers([Request(0, long, 6)], search)

    (expected,) = LibraryEngine(model).answers([Request(0, long, 6)], search)
    assert found.hypotheses[0].token_ids == expected.hypotheses[0].token_ids


def test_no_answer_is_empty_or_longer_than_its_limit() -> None:
    model, requests = LLAMA(), requests_of(20, limit=9)

    for settings in ({}, {"beams": 1}, {"samples": 3}):
        for answer in NativeEngine(model).answers(requests, search_of(**settings)):
            limit = requests[answer.index].max_new_tokens
            assert all(1 <= len(one.token_ids) <= limit for one in answer.hypotheses)
            assert not any(token in STOPS for one in answer.hypotheses for token in one.token_ids)


# --- sampling -------------------------------------------------------------------------------------------------------


def test_samples_depend_on_the_seed_and_on_nothing_else() -> None:
    model, requests = LLAMA(), requests_of(9)

    def drawn(seed: int, places: int, order: list[Request]) -> list[list[tuple[int, ...]]]:
        search = search_of(samples=4, sampling_seed=seed, temperature=0.8, top_p=0.9)
        answers = ordered(NativeEngine(model, sentences_at_once=places).answers(order, search))
        return [[one.token_ids for one in answer.hypotheses] for answer in answers]

    first = drawn(0, 9, requests)

    assert drawn(0, 2, requests[::-1]) == first
    assert drawn(1, 9, requests) != first
    assert len({ids for answer in first for ids in answer}) > 9


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    p = torch.tensor([0.5, 0.25, 0.125, 0.1, 0.025])
    points = np.random.default_rng(0).random(20_000)

    plain = draw(p.log().repeat(20_000, 1), points, temperature=1.0, top_p=1.0).bincount(minlength=5) / 20_000
    nucleus = draw(p.log().repeat(20_000, 1), points, temperature=1.0, top_p=0.8).bincount(minlength=5) / 20_000

    assert torch.allclose(plain, p, atol=0.015)  # four standard errors
    assert torch.allclose(nucleus, torch.tensor([4 / 7, 2 / 7, 1 / 7, 0.0, 0.0]), atol=0.015)


# --- the parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1024, 1040, 1001, 64])
def test_the_largest_are_those_of_topk(size: int) -> None:
    logits = torch.randn(7, size, generator=torch.Generator().manual_seed(0))

    values, tokens = largest(logits, 5)

    expected = torch.topk(logits, 5)
    assert torch.equal(values, expected.values)
    assert torch.equal(tokens, expected.indices)


def test_when_memory_runs_out_fewer_sentences_go_on_with_the_same_answers() -> None:
    model, requests, search = LLAMA(), requests_of(12), search_of()
    expected = ordered(NativeEngine(model).answers(requests, search))

    def too_many(_: Any, inputs: Any) -> None:
        if len(inputs[0]) > 4 * 5:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    model.get_output_embeddings().register_forward_pre_hook(too_many)
    found = ordered(NativeEngine(model).answers(requests, search))

    assert [one.hypotheses[0].token_ids for one in found] == [one.hypotheses[0].token_ids for one in expected]


@pytest.mark.parametrize("engine", [NativeEngine, LibraryEngine])
def test_memory_too_small_for_one_sentence_is_told(engine: Any) -> None:
    model = LLAMA()

    def refuse(*_: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    model.get_output_embeddings().register_forward_pre_hook(refuse)

    with pytest.raises(MemoryExhausted, match=r"out of memory \(lower decoding.beams"):
        list(engine(model).answers(requests_of(3), search_of()))


# --- other engines and precisions -----------------------------------------------------------------------------------


def test_four_bit_weights_translate(tmp_path: Any) -> None:
    four_bit_llama().save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    from alma_cli.core.languages import Direction

    settings = DecodingSettings(beams=2, max_new_tokens=5, precision="4bit")
    translator = Translator.load(resolve_model(str(tmp_path)), settings)

    found = list(translator.translate(["Hund", "Katze"], Direction("de", "en")))

    assert sorted(one.index for one in found) == [0, 1]
    assert type(translator.engine) is NativeEngine


def test_ctranslate2_answers_as_the_model_does(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    four_bit_llama().save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    files, tokenizer = resolve_model(str(tmp_path / "model")), byte_tokenizer()
    engine = CTranslate2Engine(files, DecodingSettings(), tokenizer, "alma")
    requests = [Request(one.index, one.prompt, 8) for one in requests_of(5)]
    search = search_of(beams=3, n_best=2)

    answers = ordered(engine.answers(requests, search))

    assert [len(answer.hypotheses) for answer in answers] == [2] * 5
    model = four_bit_llama().eval()
    for request, answer in zip(requests, answers, strict=True):
        best = answer.hypotheses[0]
        assert 1 <= len(best.token_ids) <= request.max_new_tokens
        if not best.stopped:
            assert best.log_probability == pytest.approx(score_of(model, request, best.token_ids), rel=0.05)


def test_vllm_that_is_not_there_is_told(tiny_model: Any) -> None:
    with pytest.raises(MachineError, match=r'vLLM is not installed \(pip install "alma-cli\[vllm\]"\)'):
        Translator.load(resolve_model(str(tiny_model)), DecodingSettings(engine="vllm"))
