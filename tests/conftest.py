"""What every test may use: the shared data, where it is to be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and lose much where the cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _own_journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has translated is not there in the next."""
    monkeypatch.setenv("ALMA_JOURNALS", str(tmp_path_factory.mktemp("journals")))


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
