"""What every test may use: the shared data, where it is to be had."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and lose much where the cores are shared; so in what tests start, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _journals_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What fixtures of a whole session translate and score is not there in the next session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALMA_JOURNALS", str(tmp_path_factory.mktemp("session-journals")))
        patch.setenv("ALMA_SCORES", str(tmp_path_factory.mktemp("session-scores")))
        yield


@pytest.fixture(autouse=True)
def _own_journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has translated and scored is not there in the next."""
    monkeypatch.setenv("ALMA_JOURNALS", str(tmp_path_factory.mktemp("journals")))
    monkeypatch.setenv("ALMA_SCORES", str(tmp_path_factory.mktemp("scores")))


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


@pytest.fixture(scope="session")
def comet_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of the environment that `alma doctor --install comet` makes, from nothing, once for all tests.

    It takes a minute and PyPI; $ALMA_TEST_COMET_CACHE names a folder to keep it in.
    """
    base = tmp_path_factory.getbasetemp()
    of_all_processes = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    cache = Path(os.environ.get("ALMA_TEST_COMET_CACHE") or of_all_processes / "comet-cache")
    with FileLock(of_all_processes / "comet.lock"):
        done = subprocess.run(
            [sys.executable, "-m", "alma_cli", "doctor", "--install", "comet"],
            env=os.environ | {"ALMA_CACHE": str(cache), "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return next(cache.glob("comet/*/bin/python"))


@pytest.fixture(scope="session")
def comet_checkpoints(comet_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models in COMET's own format: regression/, referenceless/, unified/, xcomet/."""
    folder = tmp_path_factory.mktemp("comet-models")
    script = Path(__file__).with_name("comet_checkpoints.py")
    done = subprocess.run([comet_python, "-I", script, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def comet_at_hand(comet_python: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """COMET by a worker, which ends with the test."""
    from alma_cli.core.comet import close_comet

    monkeypatch.setenv("ALMA_COMET_PYTHON", str(comet_python))
    yield
    close_comet()
