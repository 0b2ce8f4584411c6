"""The directory of one stage's run: settings, metrics, checkpoints that are complete or absent, resume, result.

<stage>/run.json                 what was asked for; a run only resumes under the same settings
<stage>/metrics.jsonl            one object a step, and one a validation
<stage>/checkpoints/step-000123/ trainable weights, optimizer, random state
<stage>/model/                   the best weights: a plain model, or an adapter
<stage>/stage.json               written last: the stage is finished
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from alma_cli.core.dataset import write_atomically
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RUN_VERSION = 1


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step; with the weights it is all that resuming needs."""

    step: int
    best_step: int = 0
    best_loss: float = math.inf  # nats per target token, on the validation split
    target_tokens: int = 0  # seen so far
    seconds: float = 0.0  # of training so far


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

    def begin(self, settings: Mapping[str, Any], *, resume: bool) -> None:
        """Make the directory ours; with `resume` it must be absent, or of a run with the same settings.

        Raises UsageError that names the settings that differ. Without `resume`, an earlier run is deleted.
        """
        if not resume:
            shutil.rmtree(self.path, ignore_errors=True)
        before = _read_json(self.path / "run.json")
        now = {"version": RUN_VERSION, **json.loads(json.dumps(settings))}
        if before is not None and before != now:
            differences = "; ".join(_differences(before, now))
            raise UsageError(
                f"{self.path} holds a run with other settings: {differences}",
                hint="--no-resume deletes it and starts again, --out DIR trains elsewhere",
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / "run.json", json.dumps(now, ensure_ascii=False, indent=1) + "\n")

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

    def save_checkpoint(
        self, progress: Progress, model: PreTrainedModel, optimizer: torch.optim.Optimizer, *, keep: int
    ) -> None:
        """Write a checkpoint by rename; older ones go, but for the `keep` newest and the best."""
        from safetensors.torch import save_file

        final = self._checkpoint(progress.step)
        temporary = final.with_name(f".{final.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(trainable_weights(model), temporary / "weights.safetensors")
        random_state: dict[str, Any] = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            random_state["cuda"] = torch.cuda.get_rng_state_all()
        torch.save({"optimizer": optimizer.state_dict(), "random": random_state}, temporary / "state.pt")
        (temporary / "progress.json").write_text(json.dumps(asdict(progress)) + "\n")
        shutil.rmtree(final, ignore_errors=True)
        temporary.replace(final)
        for step in self._steps()[:-keep]:
            if step != progress.best_step:
                shutil.rmtree(self._checkpoint(step))

    def load_checkpoint(self, model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> Progress | None:
        """Put the newest checkpoint's weights, optimizer and random state in place; None where there is none."""
        steps = self._steps()
        if not steps:
            return None
        directory = self._checkpoint(steps[-1])
        self.load_weights(model, steps[-1])
        state = torch.load(directory / "state.pt", weights_only=True, map_location="cpu")
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"]["cpu"])
        if "cuda" in state["random"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["random"]["cuda"])
        return Progress(**json.loads((directory / "progress.json").read_text()))

    def newest_step(self) -> int:
        """The step of the newest checkpoint, 0 where there is none."""
        return max(self._steps(), default=0)

    def load_weights(self, model: PreTrainedModel, step: int) -> None:
        """Put one checkpoint's trainable weights in place."""
        from safetensors.torch import load_file

        stored = load_file(self._checkpoint(step) / "weights.safetensors")
        current = trainable_weights(model)
        assert stored.keys() == current.keys(), f"{stored.keys() ^ current.keys()}"
        with torch.no_grad():
            for name, tensor in current.items():
                tensor.copy_(stored[name])

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Declare the stage finished; the checkpoints are no longer needed."""
        write_atomically(self.path / "stage.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:06d}"

    def _steps(self) -> list[int]:
        return sorted(int(path.name.removeprefix("step-")) for path in self.checkpoints.glob("step-*"))


def trainable_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The weights that the stage changes, by name; shared ones once."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


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
