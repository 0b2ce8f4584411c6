"""Real models and tokenizers made tiny, in every shape that trips: BOS or none, pad = EOS, SentencePiece."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
TEXT = "Translate this from German to English:\nGerman: Die Ware hat gekostet.\nEnglish: The goods cost less.\n"


def byte_tokenizer(*, adds_bos: bool = True, pad: str = PAD) -> PreTrainedTokenizerFast:
    """Byte-level, no merges: 256 bytes after the special tokens, so that every text has an exact spelling."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([BOS, EOS, PAD, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    if adds_bos:
        backend.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=BOS, eos_token=EOS, pad_token=pad, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"  # as X-ALMA's
    )
    return tokenizer


def merging_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level with the merge `:` + `)`, which runs over the border between prompt and target."""
    backend = byte_tokenizer(adds_bos=False).backend_tokenizer
    vocabulary = {**backend.get_vocab(), ":)": backend.get_vocab_size()}
    merging = Tokenizer(models.BPE(vocab=vocabulary, merges=[(":", ")")]))
    merging.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    merging.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=merging, bos_token=BOS, eos_token=EOS, pad_token=PAD)


def sentencepiece_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """A real SentencePiece BPE model with byte fallback, trained on a few lines and loaded as LLaMA's tokenizer is."""
    import sentencepiece
    from transformers import LlamaTokenizerFast

    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter((TEXT * 20).splitlines()),
        model_writer=trained,
        model_type="bpe",
        vocab_size=340,
        byte_fallback=True,
        character_coverage=1.0,
        bos_id=1,
        eos_id=2,
        unk_id=0,
        pad_id=-1,
        minloglevel=2,
    )
    (directory / "tokenizer.model").write_bytes(trained.getvalue())
    return LlamaTokenizerFast.from_pretrained(directory, legacy=False)


def tiny_llama(*, vocabulary: int = 259, seed: int = 0) -> LlamaForCausalLM:
    """Two layers of random weights; grouped-query attention and tied embeddings, as SmolLM2 has."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def four_bit_llama() -> LlamaForCausalLM:
    """Two layers whose matrices have whole 4-bit blocks: hidden size 64."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config)


def save_tiny_model(directory: Path, model: LlamaForCausalLM | None = None) -> Path:
    """A model directory as Hugging Face has them."""
    (model or tiny_llama()).save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    return directory
