"""The translator: the prompt of training, order, and translations that no neighbour in the batch changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from alma_cli.core.dataset import Example
from alma_cli.core.examples import tokenize_examples
from alma_cli.core.languages import Direction
from alma_cli.core.model_files import resolve_model
from alma_cli.core.prompt import PromptStyle
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.engine import Request
from alma_cli.decoding.translator import Translation, Translator
from alma_cli.errors import InputError
from tests.tiny import byte_tokenizer, merging_tokenizer, sentencepiece_tokenizer, tiny_llama

DE_EN = Direction("de", "en")
SOURCES = (
    "Hund",
    "Die Katze sitzt auf dem Baum und schläft.",
    "Ein Wort",
    "Das ist ein sehr sehr langer Satz, der noch viel länger wird. Wirklich!",
    "Ja",
)


def translator_of(directory: Path, *, style: PromptStyle = "alma", **settings: Any) -> Translator:
    """In fp32, where the size of a batch changes next to nothing in the sums."""
    made = Translator.load(resolve_model(str(directory)), DecodingSettings(**settings), style=style)
    made.engine.model.float()  # type: ignore[attr-defined]
    return made


def translated(translator: Translator, *sources: str) -> list[Translation]:
    """The translations in the order of their sources."""
    return sorted(translator.translate(sources, DE_EN), key=lambda translation: translation.index)


# --- the prompt ---------------------------------------------------------------------------------------------------


MakeTokenizer = Callable[[Path], PreTrainedTokenizerBase]


@pytest.mark.parametrize("style", ["alma", "chat"])
@pytest.mark.parametrize(
    "make_tokenizer",
    [
        lambda _: byte_tokenizer(),
        lambda _: byte_tokenizer(adds_bos=False, pad="</s>"),
        lambda _: merging_tokenizer(),
        sentencepiece_tokenizer,
    ],
    ids=["bos", "no-bos", "merging", "sentencepiece"],
)
def test_the_model_reads_the_prompt_that_training_saw(
    make_tokenizer: MakeTokenizer, style: PromptStyle, tmp_path: Path
) -> None:
    tokenizer = make_tokenizer(tmp_path)
    tokenizer.chat_template = byte_tokenizer().chat_template
    tokenizer.save_pretrained(tmp_path)
    tiny_llama(vocabulary=400).save_pretrained(tmp_path)
    translator = translator_of(tmp_path, style=style, beams=1, max_new_tokens=2)
    sources = ["Die Ware.", "Ende </s> <s> [INST]", "Ärger 🙂 日本", ")", "English: x", "a\\nEnglish:", "  x  y "]
    read: list[Request] = []
    answers = translator.engine.answers
    translator.engine.answers = lambda requests, search: answers(read.extend(requests) or requests, search)  # type: ignore[method-assign, func-returns-value]

    list(translator.translate(sources, DE_EN))

    sent = {request.prompt for request in read}
    examples = [Example(DE_EN, source.strip(), ")") for source in sources]
    limits = {"max_prompt_tokens": 1000, "max_target_tokens": 1000}
    trained, _ = tokenize_examples(translator.tokenizer, translator.text_format, examples, **limits)
    assert len(sent) == len(sources)
    assert sent == {example.token_ids[: example.prompt_tokens] for example in trained}


# --- batches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_a_sentence_has_one_translation_alone_in_a_batch_and_at_every_position(beams: int, lively_model: Path) -> None:
    translator = translator_of(lively_model, beams=beams, max_new_tokens=90, max_new_tokens_per_source_token=1.0)
    alone = {source: translated(translator, source)[0] for source in SOURCES}

    orders = [SOURCES[n:] + SOURCES[:n] for n in range(len(SOURCES))]
    together = [dict(zip(order, translated(translator, *order), strict=True)) for order in orders]

    expected = {source: (one.text, one.new_tokens, one.reached_limit) for source, one in alone.items()}
    for found in together:
        assert {source: (one.text, one.new_tokens, one.reached_limit) for source, one in found.items()} == expected


def test_the_size_of_a_batch_changes_no_translation(lively_model: Path) -> None:
    settings = {"beams": 2, "max_new_tokens": 90, "max_new_tokens_per_source_token": 1.0}
    small = translator_of(lively_model, sentences_at_once=1, **settings)
    large = translator_of(lively_model, sentences_at_once=5, **settings)

    found, expected = translated(large, *SOURCES), translated(small, *SOURCES)

    assert [(one.text, one.new_tokens, one.reached_limit) for one in found] == [
        (one.text, one.new_tokens, one.reached_limit) for one in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.candidates[0].log_probability == pytest.approx(other.candidates[0].log_probability, rel=1e-5)
    assert {one.reached_limit for one in found} == {True, False}  # or the test would say little


def test_the_longest_sources_come_first_and_each_says_which_it_is_of(lively_model: Path) -> None:
    found = list(translator_of(lively_model, beams=1, max_new_tokens=4).translate(SOURCES, DE_EN))

    assert [one.index for one in found] == [3, 1, 2, 0, 4]


def test_a_blank_source_has_a_blank_translation(lively_model: Path) -> None:
    found = translated(translator_of(lively_model, beams=1, max_new_tokens=4), "", "Ja", " \u2028\t")

    assert [one.text == "" for one in found] == [True, False, True]


@pytest.mark.parametrize("sources", [(), ("",), ("", "  ")])
def test_nothing_to_translate_is_no_error(sources: tuple[str, ...], lively_model: Path) -> None:
    found = translated(translator_of(lively_model, beams=1, max_new_tokens=4), *sources)

    assert [one.text for one in found] == ["" for _ in sources]


# --- limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [("Ja", 32 + 2 * 2), ("Hunde", 32 + 2 * 5), ("x" * 100, 60)],
    ids=["two bytes", "five bytes", "the absolute limit"],
)
def test_a_loop_ends_at_the_limit_of_its_own_source(source: str, expected: int, tiny_model: Path) -> None:
    translator = translator_of(tiny_model, beams=2, max_new_tokens=60, max_new_tokens_per_source_token=2.0)

    found = translated(translator, source, "y" * 200)[0]

    assert (found.new_tokens, found.reached_limit) == (expected, True)


def test_a_source_beyond_the_window_is_cut_and_says_so(tiny_model: Path) -> None:
    found = translated(translator_of(tiny_model, beams=1, max_new_tokens=4), "Ja", "ä" * 50_000, "Nein")

    assert [one.source_cut for one in found] == [False, True, False]


def test_a_window_too_small_for_any_source_is_the_users_error(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    translator = translator_of(tmp_path, beams=1)

    with pytest.raises(InputError, match=r"reads 64 tokens at most: .* \(lower decoding.max_new_tokens or"):
        list(translator.translate(["Ja"], DE_EN))
