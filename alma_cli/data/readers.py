"""Records out of corpora, one at a time: sentence pairs and documents, from every format that prepare reads.

lines   two files, line n of one is the translation of line n of the other
tsv     two columns, in the order of the pair
jsonl   {"translation": {"de": "...", "en": "..."}}    one object a line, or one JSON array
        {"de": "...", "en": "..."}
        {"direction": "de-en", "source": "...", "target": "..."}
alma    as jsonl; the files of arXiv 2309.11674, in which a test file is for its own direction only
hub     rows of a Hugging Face dataset, shaped like the objects of jsonl
text    one document a line; or JSON objects that have a document under one key
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, final

from alma_cli.core.dataset import Document
from alma_cli.core.languages import LANGUAGES, Direction
from alma_cli.core.recipe import Split
from alma_cli.data.files import Unreadable, read_json, read_lines
from alma_cli.errors import AlmaError, InputError, MachineError

_HUB_SPLIT: dict[Split, str] = {"train": "train", "valid": "validation", "test": "test"}


@final
@dataclass(frozen=True)
class Pair:
    """A sentence pair as its corpus has it; a directed one is test material for its own direction only."""

    direction: Direction
    source: str
    target: str
    directed: bool = False


def read_line_pairs(source_path: Path, target_path: Path, direction: Direction) -> Iterator[Pair | Unreadable]:
    """Line n of one file with line n of the other. Raises InputError where one of them ends before the other."""
    counts = [0, 0]
    for source, target in zip_longest(read_lines(source_path), read_lines(target_path)):
        counts = [counts[0] + (source is not None), counts[1] + (target is not None)]
        if source is None or target is None:
            continue
        yield _pair(direction, source, target)
    if counts[0] != counts[1]:
        short = source_path if counts[0] < counts[1] else target_path
        raise InputError(
            f"{source_path} has {counts[0]:,} lines and {target_path} {counts[1]:,}: "
            f"{short.name} ends after line {min(counts):,}",
            hint="line n of one must be the translation of line n of the other",
        )


def read_tsv_pairs(path: Path, direction: Direction) -> Iterator[Pair | Unreadable]:
    """The two columns of each line."""
    for line in read_lines(path):
        columns = [line] if isinstance(line, Unreadable) else line.split("\t")
        if len(columns) == 2:
            yield _pair(direction, *columns)
        elif isinstance(line, str):
            yield Unreadable("wrong_columns" if line.strip() else "empty")
        else:
            yield line


def read_json_pairs(path: Path, direction: Direction | None, *, directed: bool = False) -> Iterator[Pair | Unreadable]:
    """The pair of each object; without a direction, the languages are those that the object names."""
    for value in read_json(path):
        pair = value if isinstance(value, Unreadable) else _pair_of(value, direction)
        yield replace(pair, directed=True) if directed and isinstance(pair, Pair) else pair


def read_hub_pairs(
    path: str, config: str | None, split: Split, direction: Direction | None
) -> Iterator[Pair | Unreadable]:
    """The pair of each row of a hub dataset's split."""
    pairs = (_pair_of(row, direction) for row in _hub_rows(path, config, split))
    if split != "test" or direction is None:
        return pairs
    # The published test sets are one configuration a direction.
    return (pair if isinstance(pair, Unreadable) else replace(pair, directed=True) for pair in pairs)


def read_text_documents(path: Path, language: str) -> Iterator[Document | Unreadable]:
    """Each line as a document."""
    for line in read_lines(path):
        yield line if isinstance(line, Unreadable) else Document(language, line)


def read_json_documents(path: Path, language: str, field: str) -> Iterator[Document | Unreadable]:
    """Each object's text under `field`."""
    return _documents(read_json(path), language, field)


def read_hub_documents(path: str, config: str | None, language: str, field: str) -> Iterator[Document | Unreadable]:
    """Each row's text under `field`, from a hub dataset's split `train`."""
    return _documents(_hub_rows(path, config, "train"), language, field)


def _pair(direction: Direction, source: str | Unreadable, target: str | Unreadable) -> Pair | Unreadable:
    if isinstance(source, Unreadable):
        return source
    return target if isinstance(target, Unreadable) else Pair(direction, source, target)


def _pair_of(value: Any, direction: Direction | None) -> Pair | Unreadable:
    if not isinstance(value, dict):
        return Unreadable("missing_field")
    if {"direction", "source", "target"} <= value.keys():
        return _own_pair(value)
    # haoranxu/WMT22-Test has the pair under the direction's name, everybody else under `translation` or at the top.
    nested = value.get("translation", value.get(str(direction)))
    texts = nested if isinstance(nested, dict) else value
    if direction is None:
        codes = [code for code in texts if code in LANGUAGES]
        if len(codes) != 2:
            return Unreadable("missing_field")
        direction = Direction(*codes)
    source, target = texts.get(direction.source), texts.get(direction.target)
    if not isinstance(source, str) or not isinstance(target, str):
        return Unreadable("missing_field")
    return Pair(direction, source, target)


def _own_pair(value: dict[str, Any]) -> Pair | Unreadable:
    source, target = value["source"], value["target"]
    if not isinstance(source, str) or not isinstance(target, str):
        return Unreadable("missing_field")
    try:
        return Pair(Direction.parse(str(value["direction"])), source, target, directed=True)
    except AlmaError:
        return Unreadable("missing_field")


def _documents(values: Iterable[Any], language: str, field: str) -> Iterator[Document | Unreadable]:
    for value in values:
        text = value.get(field) if isinstance(value, dict) else None
        if isinstance(value, Unreadable):
            yield value
        elif isinstance(text, str):
            yield Document(language, text)
        else:
            yield Unreadable("missing_field")


def _hub_rows(path: str, config: str | None, split: Split) -> Iterator[Any]:
    """The rows of a hub dataset, of JSON files there (`hf://datasets/...*.jsonl.zst`), or of a local directory."""
    import datasets

    try:
        if "*" in path or "://" in path:
            yield from datasets.load_dataset("json", data_files=path, split="train", streaming=True)
        else:
            yield from datasets.load_dataset(path, config, split=_HUB_SPLIT[split], streaming=True)
    except (ValueError, RuntimeError) as error:
        # RuntimeError: a dataset that is a loading script, which `datasets` no longer runs.
        raise InputError(f"dataset '{path}' cannot be read: {error}", hint="check its config and split") from None
    except OSError as error:
        raise MachineError(
            f"dataset '{path}' cannot be read from the Hugging Face hub: {error}",
            hint="download it where there is a network, then give the file with --source PATH",
        ) from None
