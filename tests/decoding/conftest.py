"""Models of random weights that stop sometimes, so that some translations end and some run into their limit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.tiny import byte_tokenizer, tiny_llama


@pytest.fixture(scope="session")
def lively_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory. Larger weights make sharper choices, an EOS or a line break among them. Read only."""
    directory = tmp_path_factory.mktemp("lively-model")
    model = tiny_llama()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    return directory
