"""Checkpoints in COMET's own format, made by its own classes around a random two-layer XLM-R; needs unbabel-comet.

    python tests/comet_checkpoints.py FOLDER

writes regression/, referenceless/, unified/ and xcomet/ there, each with hparams.yaml and checkpoints/model.ckpt.
Runs in the environment that has unbabel-comet, which has no alma: it imports nothing of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytorch_lightning
import sentencepiece
import torch
import yaml
from comet.models import str2model
from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer

SENTENCES = (
    "The house stands at the river, and the river is wide.",
    "Das Haus steht am Fluss, und der Fluss ist breit.",
    "Dům stojí u řeky a řeka je široká.",
    "Дом стоит у реки, и река широкая.",
    "房子在河边,河很宽。",
)
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
CLASSES = {
    "regression": ("regression_metric", {"pool": "avg", "layer": "mix", "layer_norm": False}),
    "referenceless": ("referenceless_regression_metric", {"pool": "cls", "layer": "mix", "layer_norm": True}),
    "unified": ("unified_metric", {"sent_layer": "mix", "input_segments": ["mt", "src"], "word_level_training": False}),
    "xcomet": ("xcomet_metric", {"sent_layer": "mix", "word_layer": 2, "word_level_training": True}),
}


def make_encoder(folder: Path) -> Path:
    """An XLM-R directory: random weights, and a SentencePiece tokenizer of SENTENCES."""
    folder.mkdir(parents=True)
    text = folder / "text.txt"
    text.write_text("\n".join(SENTENCES), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.Train(
        input=str(text), model_prefix=str(folder / "sentencepiece.bpe"), vocab_size=120, model_type="unigram",
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    tokenizer = XLMRobertaTokenizer(str(folder / "sentencepiece.bpe.model"))
    tokenizer.save_pretrained(str(folder))
    torch.manual_seed(0)
    config = XLMRobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=514, pad_token_id=1, **SHAPE)
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(str(folder))
    return folder


def make_checkpoint(kind: str, encoder: Path, folder: Path) -> Path:
    """One checkpoint, saved by COMET's Trainer as training saves it."""
    identifier, settings = CLASSES[kind]
    torch.manual_seed(1)
    model = str2model[identifier](
        pretrained_model=str(encoder), hidden_sizes=[48, 24], local_files_only=True, **settings
    )
    for parameter in model.parameters():  # scores that differ from sentence to sentence
        parameter.data += 0.2 * torch.randn_like(parameter)
    trainer = pytorch_lightning.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
    trainer.strategy.connect(model)
    checkpoint = folder / "checkpoints" / "model.ckpt"
    trainer.save_checkpoint(checkpoint)
    hyperparameters = dict(model.hparams) | {"class_identifier": identifier}
    (folder / "hparams.yaml").write_text(yaml.safe_dump(hyperparameters), encoding="utf-8")
    return checkpoint


if __name__ == "__main__":
    target = Path(sys.argv[1])
    shared = make_encoder(target / "encoder")
    for name in CLASSES:
        make_checkpoint(name, shared, target / name)
