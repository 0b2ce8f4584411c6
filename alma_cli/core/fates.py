"""What becomes of each token of a record in training: read, learned, or left out.

An example is `prompt | target | EOS`. Stage mono joins documents and cuts them into blocks: a block's first token is
predicted from nothing, so it is read only, and what comes after the last full block is cut.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from alma_cli.core.dataset import Document, Example
from alma_cli.core.examples import TextFormat, TokenizedExample, document_ids, tokenize_examples
from alma_cli.core.recipe import MonoStage, ParallelStage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Fate = Literal["prompt", "target", "EOS", "cut", "dropped"]

FATES: dict[Fate, str] = {
    "prompt": "read, not learned",
    "target": "learned",
    "EOS": "learned: where to stop",
    "cut": "left out: after the last full block",
    "dropped": "left out: the example is too long",
}
_NO_LIMIT = sys.maxsize


@dataclass(frozen=True)
class TokenFate:
    """One token, and what training does with it."""

    token_id: int
    text: str  # the characters that end in it; what it has of a character that a later one ends is `<0xE4>` for a byte
    fate: Fate


@dataclass(frozen=True)
class RecordFates:
    """A record's tokens in order; of one that is left out whole, why."""

    tokens: tuple[TokenFate, ...]
    dropped: str = ""


def example_fates(
    example: Example, tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, settings: ParallelStage
) -> RecordFates:
    """The tokens that stage parallel makes of an example; all are dropped where its prompt or target is too long."""

    def tokenized(max_prompt_tokens: int, max_target_tokens: int) -> list[TokenizedExample]:
        limits = {"max_prompt_tokens": max_prompt_tokens, "max_target_tokens": max_target_tokens}
        return tokenize_examples(tokenizer, text_format, [example], **limits)[0]

    kept = tokenized(settings.max_prompt_tokens, settings.max_target_tokens)
    if kept:
        return RecordFates(fates_of_ids(tokenizer, kept[0]))
    [whole] = tokenized(_NO_LIMIT, _NO_LIMIT)
    return RecordFates(
        tuple(TokenFate(one.token_id, one.text, "dropped") for one in fates_of_ids(tokenizer, whole)),
        f"its prompt has {whole.prompt_tokens:,} tokens, max_prompt_tokens is {settings.max_prompt_tokens:,}"
        if whole.prompt_tokens > settings.max_prompt_tokens
        else f"its target has {whole.target_tokens:,} tokens, max_target_tokens is {settings.max_target_tokens:,}",
    )


def document_fates(
    documents: Sequence[Document],
    tokenizer: PreTrainedTokenizerBase,
    text_format: TextFormat,
    settings: MonoStage,
    *,
    complete: bool = True,
) -> list[RecordFates]:
    """The tokens of documents that stage mono joins and cuts into blocks, from the first one on.

    Where they are all there are, the tokens after the last full block are cut; with `complete` False more would follow.
    """
    texts = [document.text for document in documents]
    rows = list(document_ids(tokenizer, text_format, texts)) if texts else []
    tokens = sum(map(len, rows))
    full = tokens - tokens % settings.block_tokens if complete else tokens
    found, before = [], 0
    for row in rows:
        fates = [_fate_in_block(before + index, full, settings.block_tokens) for index in range(len(row))]
        if fates[-1] == "target":
            fates[-1] = "EOS"
        found.append(RecordFates(_joined(tokenizer, row, fates)))
        before += len(row)
    return found


def fates_of_ids(tokenizer: PreTrainedTokenizerBase, example: TokenizedExample) -> tuple[TokenFate, ...]:
    """The tokens of an example, or of a block, as training has them."""
    learned_from = len(example.token_ids) - example.target_tokens
    fates: list[Fate] = [
        "prompt" if position < learned_from else "EOS" if token_id == tokenizer.eos_token_id else "target"
        for position, token_id in enumerate(example.token_ids)
    ]
    return _joined(tokenizer, example.token_ids, fates)


def _fate_in_block(position: int, full: int, block_tokens: int) -> Fate:
    """Of a token at a position in the joined text, of which so many tokens are in full blocks."""
    if position >= full:
        return "cut"
    return "target" if position % block_tokens else "prompt"


def _joined(
    tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], fates: Sequence[Fate]
) -> tuple[TokenFate, ...]:
    texts = token_texts(tokenizer, token_ids)
    return tuple(TokenFate(*one) for one in zip(token_ids, texts, fates, strict=True))


def token_texts(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> list[str]:
    """What each token adds to the text: the characters that end in it, and `<0xE4>` for a byte of one that does not."""
    pieces = _bytes_of(tokenizer, token_ids)
    # Bytes that belong to no character become surrogates, which text in UTF-8 cannot have.
    characters = iter(b"".join(pieces).decode("utf-8", "surrogateescape"))
    texts, start, end, character = [], 0, 0, ""
    for piece in pieces:
        stop = start + len(piece)
        text = ""
        while start < stop:
            if start >= end:
                character = next(characters)
                end = start + len(character.encode("utf-8", "surrogateescape"))
            if end > stop or "\udc80" <= character <= "\udcff":
                inner = piece[len(piece) - (stop - start) :][: end - start]
                text += "".join(f"<0x{byte:02X}>" for byte in inner)
            else:
                text += character
            start = min(stop, end)
        texts.append(text)
    return texts


def _bytes_of(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> list[bytes]:
    """The UTF-8 that each token stands for, by the two spellings that vocabularies have."""
    added = {index: token.content for index, token in tokenizer.added_tokens_decoder.items()}
    # Byte-level vocabularies (GPT-2's) write a space as Ġ, and know how to read it.
    byte_level = tokenizer.convert_tokens_to_string(["Ġ"]) == " "
    pieces = tokenizer.convert_ids_to_tokens(list(token_ids))
    return [
        added[index].encode("utf-8", "replace")
        if index in added
        else (_bytes_of_byte_level(piece) if byte_level else _bytes_of_sentencepiece(piece))
        for index, piece in zip(token_ids, pieces, strict=True)
    ]


def _bytes_of_byte_level(piece: str) -> bytes:
    alphabet = _byte_alphabet()
    if all(character in alphabet for character in piece):
        return bytes(alphabet[character] for character in piece)
    return piece.encode("utf-8", "replace")


def _bytes_of_sentencepiece(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes.fromhex(piece[3:5])
    return piece.replace("▁", " ").encode("utf-8", "replace")


@cache
def _byte_alphabet() -> dict[str, int]:
    """The character by which GPT-2's vocabularies write each byte: itself if it is visible, else one from 256 on."""
    visible = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + index): byte for index, byte in enumerate(others)}
