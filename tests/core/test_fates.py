"""The fate of each token is what training makes of it: the same ids, the same labels, nothing invisible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from alma_cli.core.blocks import Blocks
from alma_cli.core.dataset import Document, Example
from alma_cli.core.examples import TextFormat, document_ids, text_ids, tokenize_examples
from alma_cli.core.fates import FATES, TokenFate, document_fates, example_fates, fates_of_ids, token_texts
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import MonoStage, ParallelStage
from tests.tiny import BOS, EOS, PAD, byte_tokenizer, merging_tokenizer, sentencepiece_tokenizer

DE_EN = Direction("de", "en")
ALMA_BOS, ALMA = TextFormat("alma", True), TextFormat("alma", False)
TOKENIZERS = ["adds BOS", "adds no BOS", "pad = EOS", "merges :)", "SentencePiece", "chat"]
LONG = ParallelStage(max_prompt_tokens=999, max_target_tokens=999)
NamedTokenizer = Callable[[str], tuple[PreTrainedTokenizerBase, TextFormat]]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> NamedTokenizer:
    """A tokenizer of each kind that trips, with the text format of its model."""
    made = {
        "adds BOS": (byte_tokenizer(), ALMA_BOS),
        "adds no BOS": (byte_tokenizer(adds_bos=False), ALMA),
        "pad = EOS": (byte_tokenizer(pad=EOS), ALMA_BOS),
        "merges :)": (merging_tokenizer(), ALMA),
        "SentencePiece": (sentencepiece_tokenizer(tmp_path_factory.mktemp("sentencepiece")), ALMA_BOS),
        "chat": (byte_tokenizer(), TextFormat("chat", True)),
    }
    return made.__getitem__


def runs(tokens: tuple[TokenFate, ...]) -> list[tuple[str, str]]:
    """Fates that follow each other, with their texts."""
    found: list[tuple[str, str]] = []
    for token in tokens:
        if found and found[-1][0] == token.fate:
            found[-1] = (token.fate, found[-1][1] + token.text)
        else:
            found.append((token.fate, token.text))
    return found


# --- examples -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("target", ["The goods cost less.", ") is odd", "</s>", "naïve 你好 😀", "a\u0301 \u202e b"])
def test_ids_and_labels_are_those_of_training(name: str, target: str, named: NamedTokenizer) -> None:
    tokenizer, text_format = named(name)
    example = Example(DE_EN, "Die Ware <s> hat 你 gekostet.", target)

    fates = example_fates(example, tokenizer, text_format, LONG)

    [trained], _ = tokenize_examples(tokenizer, text_format, [example], max_prompt_tokens=999, max_target_tokens=999)
    assert tuple(token.token_id for token in fates.tokens) == trained.token_ids
    learned = [token.token_id for token in fates.tokens if token.fate in ("target", "EOS")]
    assert learned == list(trained.token_ids[trained.prompt_tokens :])
    assert [index for index, token in enumerate(fates.tokens) if token.fate == "EOS"] == [len(fates.tokens) - 1]
    assert not fates.dropped


def test_an_example_is_prompt_target_and_eos() -> None:
    fates = example_fates(Example(DE_EN, "Ware", "Goods"), byte_tokenizer(), ALMA_BOS, LONG)

    assert runs(fates.tokens) == [
        ("prompt", "<s>Translate this from German to English:\nGerman: Ware\nEnglish:"),
        ("target", "Goods"),
        ("EOS", "</s>"),
    ]


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"max_prompt_tokens": 61}, "its prompt has 62 tokens, max_prompt_tokens is 61"),
        ({"max_target_tokens": 5}, "its target has 6 tokens, max_target_tokens is 5"),
        ({"max_prompt_tokens": 9, "max_target_tokens": 5}, "its prompt has 62 tokens, max_prompt_tokens is 9"),
    ],
)
def test_an_example_over_a_limit_is_dropped_whole_and_says_why(limits: dict[str, int], why: str) -> None:
    # BOS and 61 characters of a byte each; 5 of the target, and EOS.
    fates = example_fates(Example(DE_EN, "Waren", "Goods"), byte_tokenizer(), ALMA_BOS, ParallelStage(**limits))

    assert {token.fate for token in fates.tokens} == {"dropped"}
    assert len(fates.tokens) == 68
    assert fates.dropped == why


def test_an_example_at_both_limits_is_kept() -> None:
    at_the_limits = ParallelStage(max_prompt_tokens=62, max_target_tokens=6)

    assert not example_fates(Example(DE_EN, "Waren", "Goods"), byte_tokenizer(), ALMA_BOS, at_the_limits).dropped


# --- documents ----------------------------------------------------------------------------------------------------

DOCUMENTS = [Document("en", "abc"), Document("en", "defgh")]


def test_documents_are_joined_into_blocks_and_the_rest_is_cut() -> None:
    # <s>abc </s><s>de fgh</s> are 5 + 7 tokens: two blocks of five, and two tokens over.
    first, second = document_fates(DOCUMENTS, byte_tokenizer(), ALMA_BOS, MonoStage(block_tokens=5))

    assert runs(first.tokens) == [("prompt", "<s>"), ("target", "abc"), ("EOS", "</s>")]
    assert runs(second.tokens) == [("prompt", "<s>"), ("target", "defg"), ("cut", "h</s>")]


def test_where_more_text_follows_nothing_is_cut() -> None:
    _, second = document_fates(DOCUMENTS, byte_tokenizer(), ALMA_BOS, MonoStage(block_tokens=5), complete=False)

    assert runs(second.tokens) == [("prompt", "<s>"), ("target", "defg"), ("prompt", "h"), ("EOS", "</s>")]


@pytest.mark.parametrize("name", TOKENIZERS[:5])
@pytest.mark.parametrize("block_tokens", [2, 7, 16])
def test_documents_have_the_tokens_and_labels_of_their_blocks(
    name: str, block_tokens: int, named: NamedTokenizer
) -> None:
    tokenizer, text_format = named(name)
    documents = [Document("en", text) for text in ("Ein Hund.", "你好\n\n ok", "", "</s> x")]
    ids = [one for row in document_ids(tokenizer, text_format, [d.text for d in documents]) for one in row]
    blocks = Blocks(np.array(ids[: len(ids) - len(ids) % block_tokens], np.uint16), block_tokens)

    fates = document_fates(documents, tokenizer, text_format, MonoStage(block_tokens=block_tokens))

    tokens = [token for record in fates for token in record.tokens]
    assert [token.token_id for token in tokens] == ids
    assert sum(token.fate != "cut" for token in tokens) == blocks.tokens
    assert sum(token.fate in ("target", "EOS") for token in tokens) == blocks.target_tokens
    in_blocks = [token.fate for block in blocks for token in fates_of_ids(tokenizer, block)]
    assert in_blocks == [token.fate for token in tokens if token.fate != "cut"]


# --- what a token shows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOKENIZERS[:5])
def test_parts_of_a_character_are_bytes_and_its_last_token_is_the_character(name: str, named: NamedTokenizer) -> None:
    tokenizer, _ = named(name)
    [ids] = text_ids(tokenizer, ["x你"], parse_special=False)

    assert token_texts(tokenizer, ids)[-3:] == ["<0xE4>", "<0xBD>", "你"]


@pytest.mark.parametrize("name", TOKENIZERS[:5])
def test_texts_that_need_no_parts_are_the_text(name: str, named: NamedTokenizer) -> None:
    tokenizer, _ = named(name)
    text = "The  goods\tcost\n\n less: </s> <0x41> (:)"
    [ids] = text_ids(tokenizer, [text], parse_special=False)

    assert "".join(token_texts(tokenizer, ids)).removeprefix(" ") == text


def test_bytes_that_are_no_character_are_shown_as_bytes() -> None:
    tokenizer = byte_tokenizer()
    [ids] = text_ids(tokenizer, ["你a"], parse_special=False)

    assert token_texts(tokenizer, ids[1:]) == ["<0xBD>", "<0xA0>", "a"]
    assert token_texts(tokenizer, [*ids[:2], ids[3]]) == ["<0xE4>", "<0xBD>", "a"]


def test_a_token_with_the_end_of_one_character_and_the_beginning_of_another_shows_both() -> None:
    # ä is C3 A4 and é is C3 A9, which the vocabulary writes as Ã¤ and Ã©; the middle two bytes are one token.
    backend = byte_tokenizer(adds_bos=False).backend_tokenizer
    merging = Tokenizer(models.BPE(vocab={**backend.get_vocab(), "¤Ã": backend.get_vocab_size()}, merges=[("¤", "Ã")]))
    merging.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    merging.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=merging, bos_token=BOS, eos_token=EOS, pad_token=PAD)
    [ids] = text_ids(tokenizer, ["äé"], parse_special=False)

    assert token_texts(tokenizer, ids) == ["<0xC3>", "ä<0xC3>", "é"]


def test_every_fate_has_its_meaning() -> None:
    assert list(FATES) == ["prompt", "target", "EOS", "cut", "dropped"]
    assert all(FATES.values())
