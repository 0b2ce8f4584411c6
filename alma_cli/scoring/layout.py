"""What file and directory names tell: the direction, which side of it, and the system's name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from alma_cli.core.languages import LANGUAGES, Direction
from alma_cli.errors import InputError, UsageError

# For each direction, its files by side: a language code (`test.de-en.en` is `en`), or `txt` for the target side.
Tree = dict[Direction, dict[str, Path]]

_FILE_IN_TREE = re.compile(r"(?:[^.].*\.)?([a-z]{2})-([a-z]{2})\.([a-z]{2}|txt)")
_DIRECTION_IN_NAME = re.compile(r"(?<![A-Za-z])([a-z]{2})-([a-z]{2})(?![A-Za-z])")


def read_tree(root: Path) -> Tree:
    """The translations of one system, or the sides of a test set: in `root`, and in its `deen` or `de-en` folders.

    Raises InputError where two files claim the same side of a direction.
    """
    tree: Tree = {}
    for path in sorted(file for file in (*root.glob("*"), *root.glob("*/*")) if file.is_file()):
        match = _FILE_IN_TREE.fullmatch(path.name)
        direction = _direction(*match.group(1, 2)) if match else None
        if not match or not direction or (path.parent != root and path.parent.name not in _folder_names(direction)):
            continue
        side, files = match.group(3), tree.setdefault(direction, {})
        if side not in (direction.source, direction.target, "txt"):
            continue
        if side in files:
            raise InputError(f"'{files[side]}' and '{path}' are both {direction}", hint="give the file, or move one")
        files[side] = path
    return {direction: files for direction, files in tree.items() if files}


def system_folders(path: Path) -> list[Path]:
    """The directories in `path`: `zero-shot` first, since the others are compared with it, then by name."""
    folders = [folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return sorted(folders, key=lambda folder: (folder.name != "zero-shot", folder.name))


def systems_in(path: Path) -> list[tuple[Path, Tree]]:
    """The systems of a directory: itself, or else the directories in it.

    Raises InputError where neither holds a translation.
    """
    tree = read_tree(path)
    if tree:
        return [(path, tree)]
    systems = [(folder, tree) for folder in system_folders(path) if (tree := read_tree(folder))]
    if not systems:
        hint = "expected <direction>.txt or <srctgt>/test.<src>-<tgt>.<tgt>, there or one folder below"
        raise InputError(f"no translations in '{path}'", hint=hint)
    return systems


def direction_in_name(path: Path) -> Direction | None:
    """The direction that a file's name tells, as in `out.de-en.txt`; None where there is none."""
    match = _last_direction(path.name)
    return _direction(*match.group(1, 2)) if match else None


def direction_in_note(path: Path) -> Direction | None:
    """The direction that the note beside a translation tells, as in `out.json` beside `out.txt`; None without one."""
    note = path.with_suffix(".json")
    try:
        found = json.loads(note.read_text(encoding="utf-8"))["direction"] if note != path and note.is_file() else ""
        return Direction.parse(found)
    except (ValueError, KeyError, TypeError, AttributeError, UsageError):  # another program's JSON, or none
        return None


def name_parts(path: Path, direction: Direction | None) -> tuple[str, ...]:
    """The system's name, last, after the directories that may be needed to tell it from another of the same name.

    A directory (`direction` None) names its system. A file does without its ending and direction, so that
    `best.de-en.txt` and `best.en-de.txt` are one system; in `zero-shot/de-en.txt` and in the published layout,
    `ALMA/deen/test.de-en.en`, the directory names it.
    """
    absolute = path.resolve() if ".." in path.parts else path.absolute()
    if direction is None:
        return absolute.parts
    match = _last_direction(path.name)
    if match:
        before, after = path.name[: match.start()], _without_ending(path.name[match.end() :])
        stem = ".".join(part for part in (before.strip("._-"), after.strip("._-")) if part)
    else:
        stem = _without_ending(path.name)
    if path.parent.name in _folder_names(direction):
        return absolute.parent.parent.parts
    return (*absolute.parent.parts, stem) if stem else absolute.parent.parts


def distinct_names(outputs: Sequence[tuple[tuple[str, ...], Direction]]) -> list[str]:
    """For each output the shortest end of its parts that no other output in the same direction has.

    Raises UsageError where there is none: `out.txt` and `out.en` in one directory.
    """
    depths = [1] * len(outputs)
    while True:
        names = ["/".join(parts[-depth:]) for (parts, _), depth in zip(outputs, depths, strict=True)]
        counts = Counter(zip(names, (direction for _, direction in outputs), strict=True))
        clashing = {name for (name, _), count in counts.items() if count > 1}
        longer = [
            depth + (name in clashing and depth < len(parts))
            for name, depth, (parts, _) in zip(names, depths, outputs, strict=True)
        ]
        if not clashing:
            return names
        if longer == depths:
            raise UsageError(f"two files would both be the system '{min(clashing)}'", hint="rename one of them")
        depths = longer


def _last_direction(name: str) -> re.Match[str] | None:
    matches = [match for match in _DIRECTION_IN_NAME.finditer(name) if _direction(*match.group(1, 2))]
    return matches[-1] if matches else None


def _without_ending(name: str) -> str:
    """`name` without `.txt` or a language code: other endings, as in `out.base` and `out.new`, tell systems apart."""
    before, _, ending = name.rpartition(".")
    return before if ending == "txt" or ending in LANGUAGES else name


def _direction(source: str, target: str) -> Direction | None:
    return Direction(source, target) if source in LANGUAGES and target in LANGUAGES and source != target else None


def _folder_names(direction: Direction) -> tuple[str, str]:
    return f"{direction.source}{direction.target}", str(direction)
