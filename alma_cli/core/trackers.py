"""TensorBoard and Weights & Biases beside metrics.jsonl, through accelerate's trackers; without a name, nothing.

<stage>/tensorboard/     event files; a resumed run adds one, and TensorBoard shows them as one curve
<stage>/wandb/           the run's local copy; run-id is what a resumed run finds itself by
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from alma_cli.errors import MachineError

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

TrackerName = Literal["tensorboard", "wandb"]
_WANDB_PROJECT = "alma"  # $WANDB_PROJECT wins


class Trackers:
    """Open trackers, which all get the same numbers."""

    def __init__(self) -> None:
        self.opened: list[GeneralTracker] = []

    def __enter__(self) -> Trackers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def log(self, values: Mapping[str, object], step: int) -> None:
        """Send the values that are numbers."""
        numbers = {name: value for name, value in values.items() if type(value) in (int, float)}
        for tracker in self.opened:
            tracker.log(numbers, step=step)

    def close(self) -> None:
        """Write what is still in memory; nothing can be logged any more."""
        while self.opened:
            self.opened.pop().finish()


def open_trackers(
    names: Sequence[TrackerName], directory: Path, run_name: str, settings: Mapping[str, Any], *, after_step: int = 0
) -> Trackers:
    """Trackers of one stage's run, which log below its directory; a resumed run goes on in the same log.

    What was logged after `after_step`, the checkpoint that the run resumes from, is logged again: TensorBoard hides
    the earlier rows, W&B keeps them. Of several processes only the main one logs.
    Raises MachineError for a missing package, and where W&B refuses.
    """
    if not names:
        return Trackers()
    from accelerate import PartialState

    # accelerate's trackers ask it which process they are in, and its loggers fail where it does not exist.
    if not PartialState().is_main_process:
        return Trackers()
    trackers = Trackers()
    with ExitStack() as undone:
        undone.callback(trackers.close)
        for name in dict.fromkeys(names):
            try:
                if name == "tensorboard":
                    tracker = _tensorboard(directory, run_name, settings, after_step)
                else:
                    tracker = _wandb(directory, run_name, settings)
            except ModuleNotFoundError:
                raise MachineError(f"the package of tracker {name} is missing", hint=f"pip install {name}") from None
            trackers.opened.append(tracker)
        undone.pop_all()
    return trackers


def _tensorboard(directory: Path, run_name: str, settings: Mapping[str, Any], after_step: int) -> GeneralTracker:
    """Its own `run_name` is the folder; the settings are text, since its table of hyperparameters is another run."""
    from accelerate.tracking import TensorBoardTracker

    first_step = after_step + 1 if after_step else 0  # step 0 has a row, of its validation
    tracker = TensorBoardTracker("tensorboard", directory, purge_step=first_step)
    tracker.start()
    text = json.dumps(dict(settings), ensure_ascii=False, indent=1, default=str)
    tracker.log({"run": run_name, "settings": "\n".join("    " + line for line in text.split("\n"))}, step=after_step)
    return tracker


def _wandb(directory: Path, run_name: str, settings: Mapping[str, Any]) -> GeneralTracker:
    """The id that makes a resumed run the same run is a file here, so that a run started over gets a new one."""
    import wandb
    from accelerate.tracking import WandBTracker

    identity = directory / "wandb" / "run-id"
    identity.parent.mkdir(parents=True, exist_ok=True)
    if not identity.is_file():
        identity.write_text(secrets.token_hex(4) + "\n")
    tracker = WandBTracker(
        os.environ.get("WANDB_PROJECT", _WANDB_PROJECT),
        name=run_name,
        id=identity.read_text().strip(),
        resume="allow",
        dir=directory,
        config=dict(settings),  # here, since some versions of accelerate start an offline run again to add it
        # The screen is the console's; W&B would otherwise record and reprint it.
        settings=wandb.Settings(silent=True, console="off"),
    )
    try:
        tracker.start()
    except wandb.Error as error:
        first_line = str(error).strip().split("\n")[0]
        hint = "`wandb login`, or WANDB_MODE=offline"
        raise MachineError(f"Weights & Biases cannot start: {first_line}", hint=hint) from None
    return tracker
