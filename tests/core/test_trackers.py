"""Trackers: what is logged is read back, a resumed run goes on in the same log, and no tracker costs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alma_cli.core.trackers import open_trackers
from alma_cli.errors import MachineError
from tests.typed import REPOSITORY

SETTINGS = {"method": "lora", "learning_rate": 2e-3, "lora_targets": ["q_proj"]}


def scalars(stage: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a stage: for each curve its (step, value)s."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(stage / "tensorboard"))
    log.Reload()
    return {tag: [(event.step, event.value) for event in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


def test_without_a_name_nothing_is_imported_or_written(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from alma_cli.core.trackers import open_trackers\n"
        f"with open_trackers((), Path({str(tmp_path)!r}), 'demo', {{}}) as trackers:\n"
        "    trackers.log({'loss': 1.0}, step=1)\n"
        "print(sorted({'accelerate', 'torch', 'tensorboard', 'wandb'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_shows_the_numbers_and_only_the_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")

    with open_trackers(("tensorboard",), tmp_path, "demo/parallel", SETTINGS) as trackers:
        trackers.log({"loss": 2.5, "tokens": 7, "best": True, "memory_gib": None, "metric": "loss"}, step=1)
        trackers.log({"loss": 1.5}, step=2)

    assert scalars(tmp_path) == {"loss": [(1, 2.5), (2, 1.5)], "tokens": [(1, 7.0)]}
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]


def test_tensorboard_keeps_the_settings(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    open_trackers(("tensorboard",), tmp_path, "demo/parallel", SETTINGS).close()

    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    run, settings = (log.Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0] for tag in ("run", "settings"))
    assert run == b"demo/parallel"
    assert json.loads(settings) == SETTINGS


def test_a_resumed_run_goes_on_in_the_same_tensorboard_log(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with open_trackers(("tensorboard",), tmp_path, "demo", SETTINGS) as trackers:
        for step in (1, 2, 3, 4):
            trackers.log({"loss": float(step)}, step=step)

    with open_trackers(("tensorboard",), tmp_path, "demo", SETTINGS, after_step=2) as trackers:
        for step in (3, 4, 5):
            trackers.log({"loss": 10.0 * step}, step=step)

    assert scalars(tmp_path) == {"loss": [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0), (5, 50.0)]}


def test_what_is_logged_after_closing_goes_nowhere(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    trackers = open_trackers(("tensorboard",), tmp_path, "demo", SETTINGS)
    trackers.log({"loss": 1.0}, step=1)

    trackers.close()
    trackers.close()
    trackers.log({"loss": 2.0}, step=2)

    assert scalars(tmp_path) == {"loss": [(1, 1.0)]}


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_says_how_to_install_it(name: str, tmp_path: Path) -> None:
    # A module that is None in sys.modules is one that cannot be found.
    program = (
        "import sys\n"
        "sys.modules.update({'tensorboard': None, 'tensorboardX': None, 'wandb': None})\n"
        "from pathlib import Path\n"
        "from alma_cli.core.trackers import open_trackers\n"
        "from alma_cli.errors import MachineError\n"
        "try:\n"
        f"    open_trackers(({name!r},), Path({str(tmp_path)!r}), 'demo', {{}})\n"
        "except MachineError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert done.stdout == f"the package of tracker {name} is missing (pip install {name})\n"


def test_where_one_tracker_fails_the_others_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setitem(sys.modules, "wandb", None)

    with pytest.raises(MachineError, match="the package of tracker wandb is missing"):
        open_trackers(("tensorboard", "wandb"), tmp_path, "demo", SETTINGS)

    assert scalars(tmp_path) == {}  # the file is whole


def test_weights_and_biases_offline_goes_on_under_the_same_id(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from alma_cli.core.trackers import open_trackers\n"
        f"settings = {SETTINGS}\n"
        "after = int(sys.argv[1])\n"
        f"with open_trackers(('wandb',), Path({str(tmp_path)!r}), 'demo', settings, after_step=after) as trackers:\n"
        "    trackers.log({'loss': 1.0, 'note': 'text'}, step=after + 1)\n"
    )
    offline = os.environ | {"WANDB_MODE": "offline"}
    for after in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", program, after], cwd=REPOSITORY, env=offline, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    identity = (tmp_path / "wandb" / "run-id").read_text().strip()
    runs = [path.name for path in (tmp_path / "wandb").glob("offline-run-*")]
    assert len(runs) == 2
    assert all(name.endswith(identity) for name in runs)
