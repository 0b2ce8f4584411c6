"""The directory of one stage's run: settings, metrics, checkpoints that are complete or absent, resume, result.

<stage>/run.json                 what was asked for; a run only resumes under the same settings
<stage>/metrics.jsonl            one object a step, and one a validation
<stage>/report.html              the same as curves
<stage>/checkpoints/step-000123/ trained weights, optimizer, random state: safetensors all, complete or absent
<stage>/model/                   the best weights: a plain model, or an adapter
<stage>/stage.json               written last: the stage is finished
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from alma_cli.core.dataset import write_atomically
from alma_cli.core.process import ErrorsNaming
from alma_cli.core.processes import Processes
from alma_cli.errors import InputError, UsageError

RUN_VERSION = 4

_START_AGAIN = "--no-resume deletes it and starts again, --out DIR trains elsewhere"


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
    random: Sequence[Sequence[Tensor]]  # of each process: the host's, then its GPU's


class StageDirectory:
    """One stage's run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.metrics = path / "metrics.jsonl"

    @property
    def is_finished(self) -> bool:
        """Whether the stage says that it is finished; whether that can be read is another question."""
        return (self.path / "stage.json").is_file()

    @property
    def finished(self) -> dict[str, Any] | None:
        """The finished stage's facts, None before it is finished. Raises InputError where they are damaged."""
        return _read_json(self.path / "stage.json", hint=self._train_again)

    def begin(self, settings: Mapping[str, Any], *, resume: bool, processes: Processes) -> None:
        """Make the directory ours; with `resume` it must be absent, or of a run with the same settings.

        Raises UsageError that names the settings that differ, InputError where the run's own files are damaged.
        Without `resume`, an earlier run is deleted.
        """
        processes.wait()
        if processes.is_first:
            if not resume:
                self._delete()
            # What a killed run was in the middle of writing.
            _delete_all([*self.path.glob(".*.tmp"), *self.checkpoints.glob(".step-*.tmp")])
        processes.wait()
        before = _read_json(self.path / "run.json", hint=_START_AGAIN)
        now = {"version": RUN_VERSION, **json.loads(json.dumps(settings))}
        if before is None and self._steps():
            raise InputError(f"{self.path} has checkpoints, but no run.json that says of what", hint=_START_AGAIN)
        if before is not None and before != now:
            raise UsageError(f"{self.path} holds a run {_otherwise(before, now)}", hint=_START_AGAIN)
        processes.wait()
        if processes.is_first and before is None:
            write_atomically(self.path / "run.json", json.dumps(now, ensure_ascii=False, indent=1) + "\n")
        processes.wait()

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one object to the metrics."""
        with ErrorsNaming(self.metrics), self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def logged(self) -> list[dict[str, Any]]:
        """The rows of the metrics; the torn last line of a killed run is left out."""
        lines = self.metrics.read_text(encoding="utf-8").split("\n") if self.metrics.is_file() else []
        return [row for line in lines if (row := _parse(line)) is not None]

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
        try:
            with ErrorsNaming(final):
                temporary.mkdir(parents=True)
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
        """The newest checkpoint, None where there is none. Raises InputError that names a damaged file."""
        if not self._steps():
            return None
        *earlier, newest = self._steps()
        directory = self._checkpoint(newest)
        hint = f"delete {directory}, and the same command goes on after step {earlier[-1]}" if earlier else _START_AGAIN
        progress = _read_json(directory / "progress.json", hint=hint)
        if progress is None:
            raise InputError(f"{directory / 'progress.json'} is missing", hint=hint)
        random: dict[int, list[Tensor]] = {}
        for name, state in sorted(_read_tensors(directory / "random.safetensors", hint=hint).items()):
            random.setdefault(int(name.split("/")[0]), []).append(state)
        return Checkpoint(
            Progress(**progress),
            _read_tensors(directory / "weights.safetensors", hint=hint),
            _read_tensors(directory / "optimizer.safetensors", hint=hint),
            [random[rank] for rank in sorted(random)],
        )

    def newest_step(self) -> int:
        """The step of the newest checkpoint, 0 where there is none."""
        return max(self._steps(), default=0)

    def weights_of(self, step: int) -> dict[str, Tensor]:
        """One checkpoint's trained weights. Raises InputError where they are damaged."""
        return _read_tensors(self._checkpoint(step) / "weights.safetensors", hint=_START_AGAIN)

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Declare the stage finished."""
        write_atomically(self.path / "stage.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")

    def discard_checkpoints(self) -> None:
        """Delete what a finished stage no longer needs."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:06d}"

    def _steps(self) -> list[int]:
        names = (re.fullmatch(r"step-(\d+)", path.name) for path in self.checkpoints.glob("step-*"))
        return sorted(int(name[1]) for name in names if name)

    def _delete(self) -> None:
        """Delete the whole run; should that be interrupted, nothing is left under its name."""
        doomed = self.path.with_name(f".{self.path.name}.deleted")
        with ErrorsNaming(self.path):
            _delete_all([doomed])
            if self.path.is_dir():
                self.path.replace(doomed)
            _delete_all([doomed])

    @property
    def _train_again(self) -> str:
        return f"`alma train --stage {self.path.name} --no-resume` trains it again"


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors and see them on the disk. Raises OSError."""
    from safetensors.torch import save_file

    with ErrorsNaming(path):
        save_file(dict(tensors), path)
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())


def _read_tensors(path: Path, *, hint: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing", hint=hint) from None
    except SafetensorError as error:
        raise InputError(f"{path} is damaged: {error}", hint=hint) from None


def _delete_all(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():  # on a read-only disk, deleting what is not there fails, too
            path.unlink()


def _by_process(random: Sequence[Sequence[Tensor]]) -> dict[str, Tensor]:
    return {f"{rank:05d}/{n:02d}": state for rank, states in enumerate(random) for n, state in enumerate(states)}


def _read_json(path: Path, *, hint: str) -> dict[str, Any] | None:
    """An object; None where there is no such file. Raises InputError for a damaged one."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", hint=hint) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: it is no JSON object", hint=hint)
    return content


def _parse(line: str) -> dict[str, Any] | None:
    """A metrics row; None for the torn last line of a killed run."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return row


def _otherwise(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What another run is, in words."""
    if before.get("version") != RUN_VERSION:
        return f"of another version of alma (run version {before.get('version')}, here {RUN_VERSION})"
    return "with other settings: " + "; ".join(_differences(before, now))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key} was {old!r}, now {new!r}")
    return found
