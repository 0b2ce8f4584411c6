"""Where COMET runs, and the environment that is made for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from alma_cli.core.comet_environment import comet_environment, made_python
from alma_cli.errors import MachineError
from tests.typed import typed


def test_no_comet_is_told_with_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALMA_COMET_PYTHON", raising=False)
    monkeypatch.setenv("ALMA_CACHE", str(tmp_path))

    with pytest.raises(MachineError, match=r"COMET is not installed \(alma doctor --install comet \(once"):
        comet_environment()


def test_named_python_without_comet_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMA_COMET_PYTHON", sys.executable)

    with pytest.raises(MachineError, match=r"ALMA_COMET_PYTHON=.* has no unbabel-comet \(unset it and run"):
        comet_environment()


def test_installation_without_network_leaves_nothing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")

    done = typed(tmp_path, "doctor", "--install", "comet")

    assert done.code == 4
    assert "error: pip could not install unbabel-comet: No matching distribution found" in done.errors[-1]
    assert "(go online and run it again)" in done.errors[-1]
    assert list((tmp_path / "cache" / "comet").iterdir()) == []


def test_unknown_installation_is_a_usage_error(tmp_path: Path) -> None:
    done = typed(tmp_path, "doctor", "--install", "commet")

    assert (done.code, done.errors) == (2, ["error: --install commet: nothing of that name (did you mean 'comet'?)"])


@pytest.mark.slow
def test_environment_has_the_torch_of_this_one_and_nothing_else_of_it(comet_python: Path) -> None:
    program = (
        "import torch, transformers, numpy, comet; print(torch.__version__, transformers.__version__, comet.__file__)"
    )
    told = subprocess.run(
        [comet_python, "-I", "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    import torch

    assert told[0] == torch.__version__
    assert told[1] == "4.57.6"
    assert Path(told[2]).is_relative_to(comet_python.parents[1])
    paths = subprocess.run(
        [comet_python, "-I", "-c", "import sys; print(*sys.path)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert str(Path(torch.__file__).parents[1]) not in paths


@pytest.mark.slow
def test_installing_again_changes_nothing(comet_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMA_CACHE", str(comet_python.parents[3]))
    before = comet_python.parent.stat().st_mtime_ns

    done = typed(tmp_path, "doctor", "--install", "comet")

    assert (done.code, done.errors) == (0, [f"COMET is installed in {comet_python.parents[1]}"])
    assert comet_python.parent.stat().st_mtime_ns == before
    assert made_python() == comet_python
