"""What `alma prepare` leaves on disk and every later step reads: rows, splits and the manifest.

data/manifest.json
data/mono/{train,valid}/00000.jsonl.zst ...           {"language", "text"}              one document a line
data/parallel/{train,valid,test}/00000.jsonl.zst ...  {"direction", "source", "target"} one example a line

A split that somebody wrote by hand is one plain file, data/parallel/train.jsonl.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from json.encoder import encode_basestring as _quoted  # json.dumps takes ten times as long for a row
from pathlib import Path
from typing import Any

from alma_cli.core.languages import Direction
from alma_cli.core.process import ErrorsNaming
from alma_cli.core.shards import PREPARE_AGAIN, START, Place, lines_after, write_lines
from alma_cli.core.shards import is_split as is_split
from alma_cli.core.shards import split_sha256 as split_sha256
from alma_cli.errors import InputError, UsageError

MANIFEST_VERSION = 2


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


@dataclass
class SourceReport:
    """What became of one corpus: `read` = `kept` + the sum of `dropped`, always. Units: pairs or documents.

    `repaired` of the read ones had white space around the text or line breaks inside a sentence, now taken out.
    `samples` has the first few of those dropped for each reason, `kept_samples` of the others: `place` (the line, or
    the record's number), `text` (its beginning), `file` (of a corpus with several).
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
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    kept_samples: list[dict[str, Any]] = field(default_factory=list)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count records as left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count


@dataclass
class Manifest:
    """Everything needed to know where the prepared data came from.

    `stages[stage][split]` counts what was written: `examples` or `documents`, `tokens` (under the recipe's tokenizer,
    None where it is not on this machine) and the same by direction or language. `overlaps[stage]` lists training
    records that were left out because of a test or validation set: `source`, the record, and what it overlaps with.
    """

    sources: list[SourceReport]
    stages: dict[str, dict[str, Any]]
    seed: int
    versions: dict[str, str]
    fingerprints: dict[str, str]
    overlaps: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    version: int = MANIFEST_VERSION

    @property
    def steps(self) -> dict[str, dict[str, int]]:
        """For each stage how many records were left out, by reason; it is in the file, too."""
        counts: dict[str, dict[str, int]] = {stage: {} for stage in self.stages}
        for report in self.sources:
            for reason, count in report.dropped.items():
                of_stage = counts.setdefault(report.stage, {})
                of_stage[reason] = of_stage.get(reason, 0) + count
        return counts

    def as_json(self) -> dict[str, Any]:
        """What is in the file."""
        return {**asdict(self), "steps": self.steps}

    def save(self, directory: Path) -> None:
        """Write `manifest.json`, complete or not at all."""
        for report in self.sources:
            assert report.read == report.kept + sum(report.dropped.values()), f"{report=}"
        text = json.dumps(self.as_json(), ensure_ascii=False, indent=1) + "\n"
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
            del content["steps"]
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
    """Where one split of one stage is, below the data directory: a folder of shards, or a file with `.jsonl` added."""
    return directory / stage / split


def write_examples(path: Path, examples: Iterable[Example], shard_bytes: int | None = None) -> None:
    """Write sentence pairs, complete or not at all, in shards of about so many bytes; None: in one."""
    rows = ((_quoted(str(one.direction)), _quoted(one.source), _quoted(one.target)) for one in examples)
    lines = (
        f'{{"direction": {direction}, "source": {source}, "target": {target}}}\n' for direction, source, target in rows
    )
    write_lines(path, lines, shard_bytes)


def write_documents(path: Path, documents: Iterable[Document], shard_bytes: int | None = None) -> None:
    """Write documents, complete or not at all, in shards of about so many bytes; None: in one."""
    lines = (f'{{"language": {_quoted(one.language)}, "text": {_quoted(one.text)}}}\n' for one in documents)
    write_lines(path, lines, shard_bytes)


def read_examples(path: Path) -> list[Example]:
    """The sentence pairs of one split, in order; an absent split has none. Raises InputError naming file and line."""
    return list(_examples(path))


def read_test_examples(directory: Path, most: int | None = None) -> list[Example]:
    """The test pairs below a data directory, the first `most` of each direction. Raises InputError if none is there."""
    path = split_path(directory, "parallel", "test")
    taken: Counter[Direction] = Counter()
    examples = []
    for example in _examples(path):
        if most is None or taken[example.direction] < most:
            taken[example.direction] += 1
            examples.append(example)
    if not examples:
        raise InputError(f"no test examples in '{path}'", hint="run `alma prepare` first")
    return examples


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of one split, in order; an absent split has none. Raises InputError naming file and line."""
    for document, _ in documents_after(path, START):
        yield document


def documents_after(path: Path, place: Place) -> Iterator[tuple[Document, Place]]:
    """The documents of one split that come after a place, each with the place where it ends."""
    for line, file, end in lines_after(path, place):
        language, text = _texts(line, file, end, "language", "text")
        yield Document(language, text), end


def _examples(path: Path) -> Iterator[Example]:
    for line, file, end in lines_after(path, START):
        direction, source, target = _texts(line, file, end, "direction", "source", "target")
        try:
            yield Example(Direction.parse(direction), source, target)
        except UsageError as error:
            raise InputError(f"{file} line {end.lines}: {error.message}", hint=error.hint) from None


def _texts(line: bytes, file: Path, end: Place, *keys: str) -> list[str]:
    """The texts of one row. Raises InputError that names its line."""
    hint = PREPARE_AGAIN if file.suffix == ".zst" else f"each line is a JSON object with {', '.join(keys)}"
    try:
        row = json.loads(line.decode("utf-8"))
        texts = [text for key in keys if isinstance(row, dict) and isinstance(text := row.get(key), str)]
        "".join(texts).encode("utf-8")  # JSON can spell half a surrogate pair
    except (ValueError, RecursionError):
        raise InputError(f"{file} line {end.lines} is not JSON in UTF-8", hint=hint) from None
    if len(texts) < len(keys):
        raise InputError(f"{file} line {end.lines} has not the texts {', '.join(keys)}", hint=hint)
    return texts
