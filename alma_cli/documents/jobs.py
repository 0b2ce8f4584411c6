"""Which files are translated into which: one into one, several or a directory into a directory, stdin to stdout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alma_cli.core.output_files import require_writable, require_writable_directory
from alma_cli.core.text_files import read_bytes
from alma_cli.documents.document import FORMATS, Document, DocumentOptions, format_of, read_document
from alma_cli.errors import InputError, UsageError, nearest

STDIN = "-"


@dataclass(frozen=True)
class Place:
    """Where a document is read and where its translation goes."""

    name: str  # as people are told it; STDIN for stdin
    output: Path | None  # None: stdout

    @property
    def flags_path(self) -> Path | None:
        """Where the segments are listed about which something is odd."""
        if self.output is None or (self.output.exists() and not self.output.is_file()):
            return None
        return self.output.with_name(f"{self.output.name}.flags.jsonl")


@dataclass(frozen=True)
class Job:
    """A document to translate."""

    place: Place
    document: Document


@dataclass
class Places:
    """All of one command's documents."""

    places: list[Place]
    left_alone: list[str] = field(default_factory=list)  # files of directories that have no known format
    makes: Path | None = None  # a directory that several results go into


def find_places(inputs: Sequence[str], output: Path | None) -> Places:
    """The documents that the inputs are or hold. Raises where one is missing, or a result has no place to go to."""
    several = len(inputs) > 1 or (inputs[0] != STDIN and Path(inputs[0]).is_dir())
    if not several:
        name = inputs[0]
        into = output / Path(name).name if output is not None and output.is_dir() and name != STDIN else output
        if into is not None:
            require_writable(into, *(() if name == STDIN else (Path(name),)))
        return Places([Place(name, into)])
    if STDIN in inputs:
        raise UsageError("stdin is translated alone", hint="leave out - or the other inputs")
    if output is None:
        raise UsageError("several files need a place to go to", hint="name a directory with --output")
    _require_directory(output)
    found = Places([], makes=output)
    for name in inputs:
        if Path(name).is_dir():
            _add_directory(Path(name), output, found)
        else:
            found.places.append(Place(name, output / Path(name).name))
    _require_different(found.places)
    return found


def read_jobs(found: Places, stdin: bytes, *, format: str, options: DocumentOptions) -> list[Job]:
    """The documents. Raises InputError where one of them cannot be read, UsageError for an unknown format."""
    if format not in (*FORMATS, "auto"):
        raise UsageError(f"unknown format '{format}'", hint=nearest(format, [*FORMATS, "auto"]))
    jobs = []
    for place in found.places:
        name = "stdin" if place.name == STDIN else place.name
        content = stdin if place.name == STDIN else read_bytes(Path(place.name))
        jobs.append(Job(place, read_document(content, name, format=format, options=options)))
    return jobs


def _require_directory(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output {output} is a file, and there are several inputs", hint="name a directory")
    if not output.exists() and not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no directory {output.parent}")
    require_writable_directory(output if output.is_dir() else output.resolve().parent, told=output)


def _add_directory(directory: Path, output: Path, found: Places) -> None:
    if output.resolve() == directory.resolve():
        raise UsageError(f"--output {output} is the input itself", hint="name another directory")
    if output.resolve().is_relative_to(directory.resolve()):
        raise UsageError(f"--output {output} is inside the input {directory}", hint="name a directory beside it")
    before = len(found.places)
    for path in sorted(directory.rglob("*")):
        inside = path.relative_to(directory)
        if not path.is_file() or any(part.startswith(".") for part in inside.parts):
            continue
        if format_of(path.name) is None:
            found.left_alone.append(str(path))
        else:
            found.places.append(Place(str(path), output / inside))
    if len(found.places) == before:
        endings = " ".join(ending for endings in FORMATS.values() for ending in endings)
        raise InputError(f"'{directory}' has no file of a known format", hint=f"known endings: {endings}")


def _require_different(places: Sequence[Place]) -> None:
    seen: dict[Path, str] = {}
    for place in places:
        assert place.output is not None
        if place.output in seen:
            raise UsageError(
                f"'{seen[place.output]}' and '{place.name}' would both become '{place.output}'",
                hint="translate them one after the other, into different directories",
            )
        seen[place.output] = place.name
        if place.output.exists() and place.output.samefile(place.name):
            raise UsageError(f"--output {place.output} is the input itself", hint="name another directory")
        if place.output.is_dir():
            raise UsageError(f"--output {place.output} is a directory", hint="move it away, or name another directory")
