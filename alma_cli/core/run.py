"""The directory of one stage's run: settings, metrics, checkpoints that are complete or absent, resume, result.

<stage>/run.json                 what was asked for; a run only resumes under the same settings
<stage>/metrics.jsonl            one object a step, and one a validation
<stage>/report.html              the same as curves
<stage>/checkpoints/step-000123/ trained weights, optimizer, random state: safetensors all, complete or absent
<stage>/model/                   the best weights: a plain model, or an adapter
<stage>/stage.json               written last: the stage is finished
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from alma_cli.core.dataset import write_atomically
from alma_cli.core.processes import Processes
from alma_cli.errors import UsageError

RUN_VERSION = 2


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step; with the weights it is all that resuming needs."""

    step: int
    best_step: int = 0
    best_loss: float = math.inf  # nats per target token, on the validation split
    best_quality: float = -math.inf  # BLEU or chrF2, where the recipe validates by them
    target_tokens: int = 0  # seen so far
    seconds: float = 0.0  # of training so far


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped."""

    progress: Progress
    weights: Mapping[str, Tensor]  # fp32, by name
    optimizer: Mapping[str, Tensor]  # by weight and value
    random: Sequence[Sequence[Tensor]]  # of each process: the host's, then each GPU's


class StageDirectory:
    """One stage's run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.metrics = path / "metrics.jsonl"

    @property
    def finished(self) -> dict[str, Any] | None:
        """The finished stage's facts, None before it is finished."""
        return _read_json(self.path / "stage.json")

    def begin(self, settings: Mapping[str, Any], *, resume: bool, processes: Processes) -> None:
        """Make the directory ours; with `resume` it must be absent, or of a run with the same settings.

        Raises UsageError that names the settings that differ. Without `resume`, an earlier run is deleted.
        """
        processes.wait()
        if not resume and processes.is_first:
            shutil.rmtree(self.path, ignore_errors=True)
        processes.wait()
        before = _read_json(self.path / "run.json")
        now = {"version": RUN_VERSION, **json.loads(json.dumps(settings))}
        if before is not None and before != now:
            differences = "; ".join(_differences(before, now))
            raise UsageError(
                f"{self.path} holds a run with other settings: {differences}",
                hint="--no-resume deletes it and starts again, --out DIR trains elsewhere",
            )
        processes.wait()
        if processes.is_first:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / "run.json", json.dumps(now, ensure_ascii=False, indent=1) + "\n")
        processes.wait()

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one object to the metrics."""
        with self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def forget_metrics_after(self, step: int) -> None:
        """Drop the rows of steps that will be done again, so that each step has one row."""
        if self.metrics.is_file():
            lines = self.metrics.read_text(encoding="utf-8").split("\n")
            kept = [line for line in lines if (row := _parse(line)) is not None and row["step"] <= step]
            write_atomically(self.metrics, "".join(line + "\n" for line in kept))

    def save_checkpoint(self, checkpoint: Checkpoint, *, keep: int) -> None:
        """Write a checkpoint by rename; older ones go, but for the `keep` newest and the best.

        Raises OSError where it cannot be written; the earlier ones are then as they were.
        """
        progress = checkpoint.progress
        final = self._checkpoint(progress.step)
        temporary = final.with_name(f".{final.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            _save_tensors(checkpoint.weights, temporary / "weights.safetensors")
            _save_tensors(checkpoint.optimizer, temporary / "optimizer.safetensors")
            _save_tensors(_by_process(checkpoint.random), temporary / "random.safetensors")
            write_atomically(temporary / "progress.json", json.dumps(asdict(progress)) + "\n")
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        shutil.rmtree(final, ignore_errors=True)
        temporary.replace(final)
        for step in self._steps()[:-keep]:
            if step != progress.best_step:
                shutil.rmtree(self._checkpoint(step))

    def newest_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint, None where there is none."""
        from safetensors.torch import load_file

        if not self._steps():
            return None
        directory = self._checkpoint(self.newest_step())
        random: dict[int, list[Tensor]] = {}
        for name, state in sorted(load_file(directory / "random.safetensors").items()):
            random.setdefault(int(name.split("/")[0]), []).append(state)
        return Checkpoint(
            Progress(**json.loads((directory / "progress.json").read_text())),
            load_file(directory / "weights.safetensors"),
            load_file(directory / "optimizer.safetensors"),
            [random[rank] for rank in sorted(random)],
        )

    def newest_step(self) -> int:
        """The step of the newest checkpoint, 0 where there is none."""
        return max(self._steps(), default=0)

    def weights_of(self, step: int) -> dict[str, Tensor]:
        """One checkpoint's trained weights."""
        from safetensors.torch import load_file

        return load_file(self._checkpoint(step) / "weights.safetensors")

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Declare the stage finished."""
        write_atomically(self.path / "stage.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")

    def discard_checkpoints(self) -> None:
        """Delete what a finished stage no longer needs."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:06d}"

    def _steps(self) -> list[int]:
        return sorted(int(path.name.removeprefix("step-")) for path in self.checkpoints.glob("step-*"))


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors and see them on the disk. Raises OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:
        # It wraps the system's error into words: `... No space left on device (os error 28)`.
        number = re.search(r"\(os error (\d+)\)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error), str(path)) from None
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _by_process(random: Sequence[Sequence[Tensor]]) -> dict[str, Tensor]:
    return {f"{rank:05d}/{n:02d}": state for rank, states in enumerate(random) for n, state in enumerate(states)}


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _parse(line: str) -> dict[str, Any] | None:
    """A metrics row; None for the torn last line of a killed run."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return row


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key} was {old!r}, now {new!r}")
    return found
