"""What every test may use: the shared data, where it is to be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data ($ALMA_SHARED/data, else ../shared/data beside the checkout)."""
    repository = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("ALMA_SHARED", repository.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set ALMA_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: two random layers and a byte tokenizer. Read only."""
    from tests.tiny import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny-model"))
