"""The files that a source's path stands for: one, all that match a pattern, or two with languages in their names."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from alma_cli.core.languages import Direction
from alma_cli.data.files import existing_file, mode_of
from alma_cli.errors import InputError

_LANGUAGE = "{lang}"
_WILDCARD = re.compile(r"\*\*/|\*|\?")
_MATCHES = {"**/": r"((?:[^/]+/)*)", "*": r"([^/]*)", "?": r"([^/])"}


def matching_files(path: Path) -> list[Path]:
    """The file at `path`, or those that it matches as a pattern, in the order of their names.

    Raises InputError if there is none, and for a folder on the way that cannot be looked into.
    """
    pattern = str(path)
    if not glob.has_magic(pattern) or mode_of(path) is not None:
        return [existing_file(path)]
    _look_into_folders(path)
    found = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [file for file in found if file.is_file()]
    if not files:
        raise InputError(f"no file matches '{pattern}'", hint="check the folder and the ending")
    return files


def aligned_files(path: Path, direction: Direction) -> list[tuple[Path, Path]]:
    """The two files, or the couples of files, of a path in which `{lang}` stands for the language's code.

    Raises InputError for a file that has no counterpart.
    """
    pattern = str(path)
    sides = []
    for code in (direction.source, direction.target):
        files = matching_files(Path(pattern.replace(_LANGUAGE, code)))
        sides.append({_wild_parts(pattern, code, file): file for file in files})
    sources, targets = sides
    for alone in sorted(sources.keys() ^ targets.keys()):
        file = sources.get(alone) or targets[alone]
        other = direction.target if alone in sources else direction.source
        raise InputError(f"{file} has no counterpart in '{other}'", hint=f"the pattern is '{pattern}'")
    return [(sources[parts], targets[parts]) for parts in sorted(sources)]


def _look_into_folders(path: Path) -> None:
    """glob takes a folder that it may not read for an empty one."""
    for parent in reversed(path.parents):
        for folder in glob.glob(str(parent), recursive=True):  # noqa: PTH207
            if Path(folder).is_dir() and not os.access(folder, os.R_OK | os.X_OK, effective_ids=_EFFECTIVE):
                raise InputError(f"cannot read folder '{folder}': permission denied", hint="or match fewer folders")


def _wild_parts(pattern: str, code: str, file: Path) -> tuple[str, ...]:
    """What each wildcard of the pattern stands for in a file's name."""
    if not glob.has_magic(pattern):
        return ()
    filled = pattern.replace(_LANGUAGE, code)
    pieces = _WILDCARD.split(filled)
    wildcards = _WILDCARD.findall(filled)
    expression = re.escape(pieces[0])
    for wildcard, piece in zip(wildcards, pieces[1:], strict=True):
        expression += _MATCHES[wildcard] + re.escape(piece)
    match = re.fullmatch(expression, str(file))
    return match.groups() if match else (str(file),)


_EFFECTIVE = os.access in os.supports_effective_ids
