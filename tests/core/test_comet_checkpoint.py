"""A COMET model's name: a hub id, a folder, a file, and what is none of these."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from alma_cli.core.comet_checkpoint import find_checkpoint
from alma_cli.errors import AlmaError


def _save(folder: Path, content: str = "weights") -> Path:
    """What has the layout of a checkpoint; nobody loads it."""
    path = folder / "checkpoints" / "model.ckpt"
    path.parent.mkdir(parents=True)
    (folder / "hparams.yaml").write_text("class_identifier: regression_metric\n")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", content)
    return path


def test_checkpoint_is_found_by_its_folder_and_by_its_file(tmp_path: Path) -> None:
    path = _save(tmp_path / "mine")

    by_folder, by_file = find_checkpoint(str(tmp_path / "mine")), find_checkpoint(str(path))

    assert by_folder == by_file
    assert (by_folder.name, by_folder.path) == ("mine", path)


def test_fingerprint_tells_weights_and_settings_apart_but_not_places(tmp_path: Path) -> None:
    _save(tmp_path / "one")
    _save(tmp_path / "copy")
    _save(tmp_path / "other", "Weights")
    _save(tmp_path / "settings")
    (tmp_path / "settings" / "hparams.yaml").write_text("class_identifier: unified_metric\n")

    one, copy, other, settings = (
        find_checkpoint(str(tmp_path / name)).fingerprint for name in ("one", "copy", "other", "settings")
    )

    assert one == copy
    assert len({one, other, settings}) == 3


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "nothing/here.ckpt",
            "COMET model 'nothing/here.ckpt' does not exist (a hub id such as Unbabel/wmt22-comet-da",
        ),
        ("wmt22-comet-da", "COMET model 'wmt22-comet-da' does not exist (a hub id such as Unbabel/wmt22-comet-da"),
        ("empty", "no COMET checkpoint in empty (it has neither checkpoints/*.ckpt nor *.ckpt)"),
        ("two", "2 checkpoints in two (name one, such as two/checkpoints/other.ckpt)"),
        ("bare/checkpoints/model.ckpt", "hparams.yaml (COMET saves it in the folder above the checkpoint's)"),
        ("cut", "cut/checkpoints/model.ckpt is no checkpoint, or it is cut off (fetch or save it again)"),
        (
            "Unbabel/gated",
            "'Unbabel/gated' is not on this machine, and the hub cannot be reached (go online once, or give",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    _save(Path("two")).with_name("other.ckpt").touch()
    _save(Path("bare"))
    Path("bare/hparams.yaml").unlink()
    cut = _save(Path("cut"))
    cut.write_bytes(cut.read_bytes()[:-30])

    with pytest.raises(AlmaError) as caught:
        find_checkpoint(name)

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
