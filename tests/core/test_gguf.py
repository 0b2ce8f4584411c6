"""A GGUF file's SentencePiece pieces make the tokenizer that SentencePiece itself is."""

from __future__ import annotations

import io

import pytest
import sentencepiece

from alma_cli.core.gguf import _sentencepiece
from tests.tiny import TEXT

# GGUF's token types (gguf-py, TokenType)
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


@pytest.fixture(scope="module")
def trained() -> sentencepiece.SentencePieceProcessor:
    """A byte-fallback BPE model, as LLaMA's and Gemma's are."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter((TEXT * 20).splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=340,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def metadata_of(trained: sentencepiece.SentencePieceProcessor) -> dict[str, object]:
    """What llama.cpp's converter writes of such a model."""
    ids = range(trained.vocab_size())
    kinds = [
        UNKNOWN
        if trained.is_unknown(i)
        else CONTROL
        if trained.is_control(i)
        else BYTE
        if trained.is_byte(i)
        else NORMAL
        for i in ids
    ]
    return {
        "tokenizer.ggml.tokens": [trained.id_to_piece(i) for i in ids],
        "tokenizer.ggml.scores": [trained.get_score(i) for i in ids],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.unknown_token_id": trained.unk_id(),
    }


@pytest.mark.parametrize(
    "text",
    [
        "Translate this from German to English:",
        "The goods cost less.",
        "Die Ware  hat gekostet",
        "Überraschung: 20 €, „Ja“ 🙂",
        "English:The",
    ],
)
def test_the_rebuilt_tokenizer_gives_the_ids_of_sentencepiece_and_the_text_back(
    trained: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    rebuilt = _sentencepiece(metadata_of(trained))
    ids = rebuilt.encode(text, add_special_tokens=False).ids
    assert ids == trained.encode(text)
    assert rebuilt.decode(ids) == text
