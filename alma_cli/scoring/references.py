"""Where references come from: files and directories, or sacreBLEU's test sets by name, with their sources.

test.de-en.en                a file
wmt-testset/                 a directory in one of the layouts of layout.py
sacrebleu:wmt22/de-en        a test set; `sacrebleu:wmt22` has the direction of each translation
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from alma_cli.core.languages import Direction
from alma_cli.core.sacrebleu_sets import SACREBLEU, directions_of, files_of
from alma_cli.core.text_files import missing_file
from alma_cli.errors import InputError
from alma_cli.scoring.layout import direction_in_name, read_tree


class References(Protocol):
    """One or several sets of references, each a file a direction."""

    @property
    def direction(self) -> Direction | None:
        """The only direction that its name tells."""

    @property
    def holds_many(self) -> bool:
        """Whether it may have several directions."""

    def targets(self, direction: Direction) -> tuple[Path, ...]:
        """The reference files of a direction."""

    def source(self, direction: Direction) -> Path | None:
        """The file of their sources."""


@dataclass(frozen=True)
class ReferenceFiles:
    """A file, or a directory of them."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    @property
    def direction(self) -> Direction | None:
        return direction_in_name(self.root)

    @property
    def holds_many(self) -> bool:
        return self.root.is_dir()

    def targets(self, direction: Direction) -> tuple[Path, ...]:
        found = side_of(self.root, direction, direction.target, "txt")
        return (found,) if found else ()

    def source(self, direction: Direction) -> Path | None:
        return side_of(self.root, direction, direction.source) if self.root.is_dir() else None


@dataclass(frozen=True)
class SacrebleuReferences:
    """A test set of sacreBLEU's: taken from its cache, or fetched into it."""

    name: str
    direction: Direction | None

    def __str__(self) -> str:
        return f"{SACREBLEU}{self.name}"

    @property
    def holds_many(self) -> bool:
        return self.direction is None

    def targets(self, direction: Direction) -> tuple[Path, ...]:
        """Raises UsageError where the set has not the direction, MachineError where it cannot be fetched."""
        return files_of(self.name, direction)[1]

    def source(self, direction: Direction) -> Path | None:
        return files_of(self.name, direction)[0]


def references_of(names: Sequence[str]) -> list[References]:
    """What the names of --ref stand for. Raises InputError for a missing file, UsageError for an unknown test set."""
    return [_test_set(name) if name.startswith(SACREBLEU) else _files(Path(name)) for name in names]


def side_of(root: Path, direction: Direction, *sides: str) -> Path | None:
    """The file itself, or the one in a directory that is the first of these sides of a direction."""
    if not root.is_dir():
        return root
    files = read_tree(root).get(direction, {})
    return next((files[side] for side in sides if side in files), None)


def _files(path: Path) -> ReferenceFiles:
    if not path.exists():
        raise missing_file(path)
    return ReferenceFiles(path)


def _test_set(text: str) -> SacrebleuReferences:
    name, direction = text.removeprefix(SACREBLEU), None
    if named := re.fullmatch(r"(.+)/([a-z]{2}-[a-z]{2})", name):
        name, direction = named[1], Direction.parse(named[2])
    directions_of(name)
    return SacrebleuReferences(name, direction)


def require_others(translation: Path, references: Sequence[Path]) -> None:
    """Raises InputError where a translation would be compared with itself."""
    for reference in references:
        if translation.samefile(reference):
            hint = "name the system's output first, and the human translation with --ref"
            raise InputError(f"'{translation}' is both the translation and its reference", hint=hint)
