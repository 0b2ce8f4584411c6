"""What `alma prepare` leaves on disk and every later step reads: rows, splits and the manifest.

data/manifest.json
data/mono/{train,valid}.jsonl             {"language", "text"}              one document a line
data/parallel/{train,valid,test}.jsonl    {"direction", "source", "target"} one example a line
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from alma_cli.core.languages import Direction
from alma_cli.core.process import ErrorsNaming
from alma_cli.errors import InputError

MANIFEST_VERSION = 1


@dataclass(frozen=True)
class Document:
    """One piece of monolingual text."""

    language: str
    text: str


@dataclass(frozen=True)
class Example:
    """One sentence pair in one direction."""

    direction: Direction
    source: str
    target: str


@dataclass(frozen=True)
class Place:
    """How far a file of rows has been read."""

    bytes: int
    lines: int


START = Place(0, 0)


@dataclass
class SourceReport:
    """What became of one corpus file: `read` = `kept` + the sum of `dropped`, always. Units: pairs or documents.

    `repaired` of the read ones had white space around the text or line breaks inside a sentence, now taken out.
    """

    path: str
    sha256: str
    stage: str
    split: str
    languages: str
    read: int = 0
    kept: int = 0
    repaired: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        """Count one record as left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


@dataclass
class Manifest:
    """Everything needed to know where the prepared data came from.

    `stages[stage][split]` counts what was written: `examples` or `documents`, `tokens` (under the recipe's tokenizer,
    None where it is not on this machine) and the same by direction or language.
    """

    sources: list[SourceReport]
    stages: dict[str, dict[str, Any]]
    seed: int
    versions: dict[str, str]
    fingerprints: dict[str, str]
    version: int = MANIFEST_VERSION

    def save(self, directory: Path) -> None:
        """Write `manifest.json`, complete or not at all."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"
        write_atomically(directory / "manifest.json", text)

    @classmethod
    def load(cls, directory: Path) -> Manifest | None:
        """The manifest in a data directory; None where there is none. Raises InputError for another version."""
        path = directory / "manifest.json"
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["version"] != MANIFEST_VERSION:
                raise ValueError(f"version {content['version']}, expected {MANIFEST_VERSION}")
            content["sources"] = [SourceReport(**source) for source in content["sources"]]
            return cls(**content)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} cannot be used: {error}", hint="run `alma prepare --no-resume`") from None


def write_atomically(path: Path, text: str | Iterable[str]) -> None:
    """Put `text`, whole or in pieces, at `path` by rename: a reader sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with ErrorsNaming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8", newline="\n") as stream:
                stream.writelines([text] if isinstance(text, str) else text)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def split_path(directory: Path, stage: str, split: str) -> Path:
    """Where one split of one stage is, below the data directory."""
    return directory / stage / f"{split}.jsonl"


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """Write sentence pairs, complete or not at all."""
    rows = ({"direction": str(e.direction), "source": e.source, "target": e.target} for e in examples)
    write_atomically(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_documents(path: Path, documents: Iterable[Document]) -> None:
    """Write documents, complete or not at all."""
    write_atomically(path, (json.dumps(asdict(d), ensure_ascii=False) + "\n" for d in documents))


def read_examples(path: Path) -> list[Example]:
    """The sentence pairs of one split, in order; an absent file has none. Raises InputError naming file and line."""
    return [Example(Direction.parse(row["direction"]), row["source"], row["target"]) for row, _ in _rows(path, START)]


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of one split, in order; an absent file has none. Raises InputError naming file and line."""
    for document, _ in documents_after(path, START):
        yield document


def documents_after(path: Path, place: Place) -> Iterator[tuple[Document, Place]]:
    """The documents of one split that come after a place, each with the place where it ends."""
    for row, end in _rows(path, place):
        yield Document(row["language"], row["text"]), end


def _rows(path: Path, place: Place) -> Iterator[tuple[dict[str, str], Place]]:
    if not path.is_file():
        return
    with path.open("rb") as stream:
        stream.seek(place.bytes)
        for line in stream:
            place = Place(place.bytes + len(line), place.lines + 1)
            try:
                row = json.loads(line.decode("utf-8"))
            except ValueError:
                raise InputError(f"{path} line {place.lines} is not JSON", hint="run `alma prepare` again") from None
            yield row, place
