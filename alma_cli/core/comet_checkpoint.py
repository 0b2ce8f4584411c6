"""A COMET model's name to a checkpoint on this machine, with a fingerprint of what is in it."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from alma_cli.core.model_files import download, hub_copy
from alma_cli.errors import InputError, UsageError

_WEIGHTS = "checkpoints/*.ckpt"
# The package's own layout: <model>/hparams.yaml, <model>/checkpoints/model.ckpt
_HUB_FILES = ("hparams.yaml", _WEIGHTS)


@dataclass(frozen=True)
class CometCheckpoint:
    """A file that unbabel-comet can load."""

    name: str  # the hub id, or the name of its folder
    path: Path
    fingerprint: str  # of the weights and of hparams.yaml, wherever they lie
    from_unbabel: bool


def find_checkpoint(model: str) -> CometCheckpoint:
    """The checkpoint of a hub id, of a folder or of a .ckpt file; fetched from the hub where it is not here yet.

    Raises UsageError for a name that is none of these, InputError for a folder or file that cannot be one, MachineError
    where the hub does not give it (gated, offline).
    """
    path = Path(model).expanduser()
    if path.is_file():
        return _checkpoint(path.resolve().parents[1].name, path)
    if path.is_dir():
        return _checkpoint(path.resolve().name, _only_checkpoint(path))
    if model.count("/") != 1 or model.startswith((".", "/", "~")) or path.suffix == ".ckpt":
        raise UsageError(
            f"COMET model '{model}' does not exist",
            hint="a hub id such as Unbabel/wmt22-comet-da, or the path of a checkpoint",
        )
    directory = hub_copy(model, files=_HUB_FILES, weights=_WEIGHTS)
    if directory is None:
        otherwise = "give the path of a checkpoint in place of its name"
        directory = download(model, files=_HUB_FILES, needs=("hparams.yaml",), otherwise=otherwise)
    return _checkpoint(model, _only_checkpoint(directory), from_unbabel=model.startswith("Unbabel/"))


def _only_checkpoint(folder: Path) -> Path:
    found = sorted(folder.glob(_WEIGHTS)) or sorted(folder.glob("*.ckpt"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"no COMET checkpoint in {folder}", hint="it has neither checkpoints/*.ckpt nor *.ckpt")
    raise InputError(f"{len(found)} checkpoints in {folder}", hint=f"name one, such as {found[-1]}")


def _checkpoint(name: str, path: Path, *, from_unbabel: bool = False) -> CometCheckpoint:
    # Not resolved: in the hub's cache the file is a link into a folder of blobs.
    settings = path.absolute().parents[1] / "hparams.yaml"
    if not settings.is_file():
        raise InputError(f"{path} has no {settings}", hint="COMET saves it in the folder above the checkpoint's")
    digest = hashlib.sha256(settings.read_bytes())
    try:
        with zipfile.ZipFile(path) as archive:
            # The table at a zip file's end has a checksum of each tensor: no need to read 2 GB.
            digest.update(repr([(one.filename, one.CRC, one.file_size) for one in archive.infolist()]).encode())
    except zipfile.BadZipFile:
        raise InputError(f"{path} is no checkpoint, or it is cut off", hint="fetch or save it again") from None
    return CometCheckpoint(name, path.absolute(), digest.hexdigest()[:12], from_unbabel)
