"""`alma doctor` as typed, on this machine as it is and on one where things are missing and broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core import doctor

REPOSITORY = Path(__file__).resolve().parents[2]
# What an installed alma-cli says of itself; these ranges and packages do not exist.
METADATA = """Metadata-Version: 2.1
Name: alma-cli
Version: 0
Requires-Dist: safetensors>=0.1
Requires-Dist: sacrebleu>=99
Requires-Dist: no-such-package>=1
Requires-Dist: peft
Requires-Dist: rich>=99; extra == 'documents'
"""


@dataclass(frozen=True)
class Visit:
    """One run of `alma doctor`."""

    exit_code: int
    checks: dict[str, dict[str, Any]]
    stderr: str


def visit(arguments: list[str], environment: dict[str, str]) -> Visit:
    """Run it in a process of its own, which keeps its broken packages to itself."""
    clean = {name: value for name, value in os.environ.items() if name != "ALMA_COMET_PYTHON"}
    paths = [environment.pop("PYTHONPATH", ""), str(REPOSITORY)]
    done = subprocess.run(
        [sys.executable, "-m", "alma_cli", "doctor", "--json", *arguments],
        env=clean | environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(done.stdout)
    assert answer["version"] == 1
    return Visit(done.returncode, {check["name"]: check for check in answer["checks"]}, done.stderr)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """On this machine, with an empty cache."""
    folder = tmp_path_factory.mktemp("healthy")
    return visit([], {"ALMA_CACHE": str(folder / "new" / "cache"), "HF_HOME": str(folder)})


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """With a peft that fails to import, packages too old or missing, a cache below a file, a wrong COMET and no hub."""
    folder = tmp_path_factory.mktemp("sick")
    (folder / "peft").mkdir()
    (folder / "peft" / "__init__.py").write_text("raise RuntimeError('half installed\\nand more')\n")
    (folder / "vllm").mkdir()
    (folder / "vllm" / "__init__.py").write_text("import no_such_library\n")
    (folder / "vllm-1.0.dist-info").mkdir()
    (folder / "vllm-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 1.0\n")
    (folder / "alma_cli-0.dist-info").mkdir()
    (folder / "alma_cli-0.dist-info" / "METADATA").write_text(METADATA)
    (folder / "file").write_text("")
    environment = {
        "PYTHONPATH": str(folder),
        "ALMA_CACHE": str(folder / "file" / "cache"),
        "ALMA_COMET_PYTHON": str(folder / "no-python"),
        "HF_ENDPOINT": "http://127.0.0.1:1",  # nothing listens there
        "HF_HOME": str(folder),
    }
    return visit(["--online"], environment)


def test_working_machine_exits_with_zero(healthy: Visit) -> None:
    assert healthy.exit_code == 0
    assert healthy.stderr == "trying packages and devices: some ten seconds\n"


def test_every_core_check_of_a_working_machine_is_ok(healthy: Visit) -> None:
    core = {name: check["status"] for name, check in healthy.checks.items() if check["core"]}

    assert {"python", "torch", "transformers", "peft", "device", "memory", "disk here", "cache"} <= core.keys()
    assert set(core.values()) == {"ok"}


def test_whatever_is_not_ok_comes_with_a_fix(healthy: Visit, sick: Visit) -> None:
    checks = [*healthy.checks.values(), *sick.checks.values()]

    assert [check for check in checks if check["status"] != "ok" and not check["fix"]] == []


def test_four_bit_weights_are_really_tried(healthy: Visit) -> None:
    assert healthy.checks["4-bit weights"]["fact"].startswith("NF4 and back changes N(0, 1) by 0.07")


def test_hub_is_not_asked_unless_told(healthy: Visit) -> None:
    assert "hub" not in healthy.checks


def test_doctor_writes_nothing_into_the_cache(healthy: Visit) -> None:
    place = healthy.checks["cache"]["fact"].removesuffix(" can be written to")

    assert healthy.checks["cache"]["status"] == "ok"
    assert not Path(place).exists()


def test_broken_core_ends_with_one_line_and_exit_code_four(sick: Visit) -> None:
    failing = "sacrebleu, no-such-package, peft, cache"

    assert sick.exit_code == 4
    assert f"error: alma cannot work here: {failing} (see the column `fix`)\n" in sick.stderr
    assert "Traceback" not in sick.stderr


@pytest.mark.parametrize(
    ("name", "status", "fact", "fix"),
    [
        ("safetensors", "ok", "0.", ""),
        ("sacrebleu", "broken", ", needs >=99", "pip install 'sacrebleu>=99'"),
        ("no-such-package", "missing", "not installed, needs >=1", "pip install 'no-such-package>=1'"),
        ("peft", "broken", "cannot be imported: RuntimeError: half installed", "pip install 'peft' --force-reinstall"),
        ("vllm", "broken", "No module named 'no_such_library'", "pip install 'vllm' --force-reinstall"),
        ("documents", "broken", "rich ", "pip install 'rich>=99'"),
        ("cache", "broken", "file/cache: Not a directory", "set ALMA_CACHE to a directory that you may write to"),
        ("comet", "broken", "no-python does not run: FileNotFoundError", "alma doctor --install comet"),
        ("hub", "missing", "http://127.0.0.1:1 cannot be reached: URLError", "check the network and HF_ENDPOINT"),
    ],
)
def test_each_trouble_is_told_with_its_reason_and_its_fix(
    sick: Visit, name: str, status: str, fact: str, fix: str
) -> None:
    check = sick.checks[name]

    assert check["status"] == status
    assert fact in check["fact"]
    assert fix in check["fix"]


def test_other_checks_go_on_after_a_broken_one(sick: Visit) -> None:
    assert sick.checks["device"]["status"] == "ok"
    assert sick.checks["memory"]["status"] == "ok"


def test_source_tree_that_is_not_installed_is_asked_for_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISTRIBUTION", "not-installed")

    _, first = islice(doctor.examine(), 2)

    assert (first.name, first.status) == ("torch", "ok")


def test_unknown_needs_are_told_and_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "DISTRIBUTION", "not-installed")
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "alma_cli" / "core" / "doctor.py"))

    _, check = islice(doctor.examine(), 2)

    assert check.fact == "neither installed nor in its source tree: what it needs is not known"
    assert (check.status, check.fix, check.fails) == ("missing", "pip install not-installed", False)
