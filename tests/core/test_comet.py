"""COMET by the worker and in its own process, beside what the package says; tiny checkpoints of its own classes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from alma_cli.core import comet
from alma_cli.core.comet import Triple, comet_scores, comet_signature
from alma_cli.errors import InputError, MachineError, UsageError

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = "The house stands at the river das Haus steht am Fluss dům stojí u řeky дом стоит у реки 房子在河边 ,"
WORDS = TEXT.split()
KINDS = ("regression", "referenceless", "unified", "xcomet")
WITH_REFERENCE = ("regression", "xcomet")

pytestmark = pytest.mark.slow


def _samples(kind: str, count: int = 40) -> list[dict[str, str]]:
    """Sentences of 0 to 30 words, one source for each two, one sample twice, one translation empty."""
    dice = random.Random(0)

    def sentence() -> str:
        return " ".join(dice.choices(WORDS, k=dice.randint(0, 30)))

    sources = [sentence() for _ in range(count // 2)]
    samples = [{"src": sources[i // 2], "mt": sentence(), "ref": sentence()} for i in range(count)]
    samples += [samples[3], samples[5] | {"mt": ""}]
    if kind not in WITH_REFERENCE:
        for sample in samples:
            sample.pop("ref", None)
    return samples


def _triples(samples: list[dict[str, str]]) -> list[Triple]:
    return [Triple(one["src"], one["mt"], one.get("ref")) for one in samples]


@pytest.fixture(scope="module")
def answers(comet_python: Path, comet_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the package says, and what alma in its environment says."""
    folder = tmp_path_factory.mktemp("answers")
    (folder / "samples.json").write_text(json.dumps({kind: _samples(kind) for kind in KINDS}))
    script = REPOSITORY / "tests" / "comet_answers.py"
    subprocess.run(
        [comet_python, "-W", "ignore", script, comet_checkpoints, folder / "samples.json", folder / "answers.json"],
        env={name: value for name, value in os.environ.items() if name != "ALMA_COMET_PYTHON"}
        | {"PYTHONPATH": str(REPOSITORY)},
        check=True,
    )
    found: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    return found


@pytest.mark.usefixtures("comet_at_hand")
@pytest.mark.parametrize("kind", KINDS)
def test_worker_and_own_process_give_the_scores_of_the_package(
    kind: str, comet_checkpoints: Path, answers: dict[str, Any]
) -> None:
    arrived: dict[int, float] = {}

    found = comet_scores(
        str(comet_checkpoints / kind),
        _triples(_samples(kind)),
        batch_size=4,
        scored=lambda positions, scores: arrived.update(zip(positions, scores, strict=True)),
    )

    assert [*found.segments, found.system] == pytest.approx(answers[kind]["predict"], abs=1e-5)
    assert answers[kind]["in_process"] == pytest.approx(answers[kind]["predict"], abs=1e-5)
    assert answers[kind]["signature"] == found.signature
    assert tuple(arrived[position] for position in range(len(arrived))) == found.segments


@pytest.mark.usefixtures("comet_at_hand")
def test_scores_are_those_that_comet_score_prints(comet_python: Path, comet_checkpoints: Path, tmp_path: Path) -> None:
    samples = _samples("regression")
    for side in ("src", "mt", "ref"):
        (tmp_path / side).write_text("".join(f"{one[side]}\n" for one in samples), encoding="utf-8")
    checkpoint = comet_checkpoints / "regression" / "checkpoints" / "model.ckpt"

    options = f"-s src -t mt -r ref --model {checkpoint} --gpus 0 --quiet"
    printed = subprocess.run(
        [comet_python, "-I", "-m", "comet.cli.score", *options.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = comet_scores(str(checkpoint), _triples(samples))

    shown = [float(line.rpartition("score: ")[2]) for line in printed.splitlines() if "score: " in line]
    # It computes with reduced matrix precision, and prints four digits.
    # The command rounds matrix products (`set_float32_matmul_precision("high")`): 1.6e-3 was seen.
    assert shown == pytest.approx([*found.segments, found.system], abs=4e-3)


def test_each_different_sentence_is_encoded_once_also_for_the_next_system(answers: dict[str, Any]) -> None:
    samples = _samples("regression")

    encoded = answers["regression"]["encoded"]

    assert sorted(encoded) == sorted({f"{one['mt']} x" for one in samples})


@pytest.mark.parametrize("kind", KINDS)
def test_batch_is_halved_where_memory_runs_out(kind: str, answers: dict[str, Any]) -> None:
    assert answers[kind]["halved"] == pytest.approx(answers[kind]["predict"], abs=1e-5)
    assert [note.rpartition(" ")[2] for note in answers[kind]["notes"]] == ["4", "2"]


@pytest.mark.usefixtures("comet_at_hand")
def test_bf16_is_near_and_says_so(comet_checkpoints: Path) -> None:
    model, triples = str(comet_checkpoints / "regression"), _triples(_samples("regression"))

    exact, rounded = (comet_scores(model, triples, precision=precision) for precision in ("fp32", "bf16"))

    assert rounded.segments == pytest.approx(exact.segments, abs=0.05)
    assert rounded.segments != exact.segments
    assert "|precision:bf16|" in rounded.signature


@pytest.mark.usefixtures("comet_at_hand")
def test_signature_names_all_that_scores_depend_on_and_needs_no_model(comet_checkpoints: Path) -> None:
    signature = comet_signature(str(comet_checkpoints / "regression"), with_reference=True)

    parts = dict(part.split(":") for part in signature.split("|"))
    checkpoint = parts.pop("checkpoint")
    assert len(checkpoint) == 12
    assert parts == {
        "model": "regression",
        "refs": "1",
        "precision": "fp32",
        "unbabel-comet": "2.2.7",
        "torch": torch.__version__,
        "transformers": "4.57.6",
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    assert comet._LOADED == {}


@pytest.mark.usefixtures("comet_at_hand")
def test_model_that_needs_references_says_so(comet_checkpoints: Path) -> None:
    with pytest.raises(UsageError, match=r"needs references \(score without them with cometkiwi\)"):
        comet_scores(str(comet_checkpoints / "regression"), [Triple("a", "b")])


@pytest.mark.usefixtures("comet_at_hand")
def test_checkpoint_that_would_run_code_is_not_loaded(comet_checkpoints: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "hparams.yaml").write_bytes((comet_checkpoints / "regression" / "hparams.yaml").read_bytes())
    honest = torch.load(comet_checkpoints / "regression" / "checkpoints" / "model.ckpt", weights_only=True)
    torch.save(honest | {"extra": _RunsCode(tmp_path / "ran")}, folder / "checkpoints" / "model.ckpt")

    with pytest.raises(MachineError, match=r"may run code when it is loaded \(.*ALMA_TRUST_CHECKPOINTS=1\)"):
        comet_scores(str(folder), [Triple("a", "b", "c")])

    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("comet_at_hand")
def test_encoder_that_is_not_here_is_named(
    comet_checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = tmp_path / "far"
    (folder / "checkpoints").mkdir(parents=True)
    settings = (comet_checkpoints / "regression" / "hparams.yaml").read_text()
    (folder / "hparams.yaml").write_text(settings)
    weights = torch.load(comet_checkpoints / "regression" / "checkpoints" / "model.ckpt", weights_only=True)
    weights["hyper_parameters"]["pretrained_model"] = "xlm-roberta-large"
    torch.save(weights, folder / "checkpoints" / "model.ckpt")

    with pytest.raises(MachineError, match=r"needs the tokenizer .*\(go online once; `pretrained_model`"):
        comet_scores(str(folder), [Triple("a", "b", "c")])


@pytest.mark.usefixtures("comet_at_hand")
def test_what_is_no_comet_model_is_told(comet_checkpoints: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "hparams.yaml").write_text("class_identifier: other_metric\n")
    torch.save({"state_dict": {}}, folder / "checkpoints" / "model.ckpt")

    with pytest.raises(InputError, match=r"model\.ckpt cannot be loaded by COMET: KeyError: 'other_metric'"):
        comet_scores(str(folder), [Triple("a", "b", "c")])


@pytest.mark.usefixtures("comet_at_hand")
def test_worker_that_was_killed_is_told_and_started_again(comet_checkpoints: Path) -> None:
    model, triples = str(comet_checkpoints / "regression"), _triples(_samples("regression"))
    before = comet_scores(model, triples)
    (loaded,) = comet._LOADED.values()
    process = loaded.scorer._process  # type: ignore[attr-defined]
    process.kill()
    process.wait()

    assert comet_scores(model, triples) == before


def test_worker_dies_with_its_parent(comet_python: Path, comet_checkpoints: Path) -> None:
    program = (
        "import sys, time\n"
        "from alma_cli.core import comet\n"
        "comet.comet_scores(sys.argv[1], [comet.Triple('a', 'b', 'c')])\n"
        "print(next(iter(comet._LOADED.values())).scorer._process.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, comet_checkpoints / "regression"],
        env=os.environ | {"ALMA_COMET_PYTHON": str(comet_python), "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert Path(f"/proc/{worker}").exists()

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    until = time.monotonic() + 20
    while _runs(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(process: int) -> bool:
    path = Path(f"/proc/{process}/stat")
    return path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"


class _RunsCode:
    """Once unpickled, makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)
