"""Data sets of the Hugging Face hub, streamed: any with pairs or texts, FLORES+, and ALMA-R's preferences."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, final

from alma_cli.core.languages import Direction
from alma_cli.core.recipe import Split
from alma_cli.data.files import BLOCK_BYTES, shown
from alma_cli.data.language_tags import FLORES_NAMES
from alma_cli.data.readers.grouping import blocks_of
from alma_cli.data.readers.shapes import ANY_PAIR, NESTED, PairShape, document_at, value_at
from alma_cli.data.records import Pair, RawBlock, Row, Unreadable
from alma_cli.errors import InputError, MachineError

HUB_SPLIT: dict[Split, str] = {"train": "train", "valid": "validation", "test": "test"}
FLORES = "openlanguagedata/flores_plus"

# haoranxu/ALMA-R-Preference: who translated, and the score (mean of KIWI-XXL and XCOMET-XXL) that chose.
_CANDIDATES = {"ref": "{}", "gpt4": "gpt4_{}", "alma": "alma_{}"}
_SCORE = "{}_{}_kiwi_xcomet"


@final
@dataclass(frozen=True)
class HubPairs:
    """The pair of each row of a data set's split, in the shapes that JSON has."""

    path: str
    config: str | None
    split: str
    shape: PairShape = ANY_PAIR
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Rows. Raises MachineError where the hub is not to be reached, InputError for what is not there."""
        return blocks_of(enumerate(hub_rows(self.path, self.config, self.split), 1), self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with its row's number."""
        for place, row in block.content:
            yield place, self.shape.read(row)


@final
@dataclass(frozen=True)
class HubDocuments:
    """The text of each row in one column."""

    path: str
    config: str | None
    language: str
    field: str
    split: str = "train"
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """The texts alone: OSCAR has more about a document than in it."""
        rows = hub_rows(self.path, self.config, self.split)
        return blocks_of(enumerate(({self.field: value_at(row, self.field)} for row in rows), 1), self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each document with its row's number."""
        for place, row in block.content:
            yield place, document_at(row, self.field, self.language)


@final
@dataclass(frozen=True)
class FloresPairs:
    """FLORES+: a configuration a language, whose rows with the same id are translations of each other."""

    direction: Direction
    split: str  # dev, with 997 sentences, or devtest, with 1,012
    path: str = FLORES
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Pairs of texts. Raises InputError where the two languages are not aligned."""
        return blocks_of(enumerate(self._texts(), 1), self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with its row's number."""
        for place, (source, target) in block.content:
            yield place, Pair(self.direction, source, target)

    def _texts(self) -> Iterator[tuple[str, str]]:
        names = [FLORES_NAMES[code] for code in (self.direction.source, self.direction.target)]
        sides = [hub_rows(self.path, name, self.split) for name in names]
        for number, (source, target) in enumerate(zip_longest(*sides), 1):
            if source is None or target is None or source.get("id") != target.get("id"):
                raise InputError(f"{self.path} {' and '.join(names)} are not aligned at row {number} of {self.split}")
            yield source["text"], target["text"]


@final
@dataclass(frozen=True)
class PreferredPairs:
    """ALMA-R's preference data: each source with the translation that scored highest, the reference or a system's."""

    path: str
    config: str | None
    direction: Direction
    split: str = "train"
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Rows. Raises MachineError where the hub is not to be reached, InputError for what is not there."""
        return blocks_of(enumerate(hub_rows(self.path, self.config, self.split), 1), self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """One pair for each direction that a row serves, with its number."""
        for place, row in block.content:
            texts = row.get(NESTED) if isinstance(row, dict) else None
            if not isinstance(texts, dict):
                yield place, Unreadable("missing_field", shown(str(row)))
                continue
            required = texts.get("required_directions") or ""
            for direction in (self.direction, self.direction.reverse):
                if not required or str(direction) in required:
                    yield place, _preferred(texts, direction)


def hub_rows(path: str, config: str | None, split: str) -> Iterator[Any]:
    """The rows of a hub data set, of JSON files there (`hf://datasets/...*.jsonl.zst`), or of a local folder."""
    import datasets

    network_errors: tuple[type[Exception], ...] = (OSError, *_network_errors())
    try:
        if "*" in path or "://" in path:
            yield from datasets.load_dataset("json", data_files=path, split="train", streaming=True)
        else:
            yield from datasets.load_dataset(path, config, split=split, streaming=True)
    except datasets.exceptions.DatasetNotFoundError as error:
        # Also a data set whose terms have to be accepted: the hub does not tell whether it is there.
        problem = str(error).splitlines()[0]
        raise InputError(f"data set '{path}' is not there for you: {problem}", hint=_terms(path)) from None
    except (ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        # RuntimeError: a data set that is a loading script, which `datasets` no longer runs.
        problem = str(error).splitlines()[0]
        raise InputError(f"data set '{path}' cannot be read: {problem}", hint="check its config and split") from None
    except network_errors as error:
        problem = str(error).splitlines()[0]
        raise MachineError(
            f"data set '{path}' cannot be read from the Hugging Face hub: {problem}",
            hint="download it where there is a network, then give the file with --source PATH",
        ) from None


def _preferred(texts: dict[str, Any], direction: Direction) -> Row:
    source = texts.get(direction.source)
    scored = [
        (score, texts[column])
        for who, name in _CANDIDATES.items()
        if isinstance(score := texts.get(_SCORE.format(who, direction.target)), int | float)
        and isinstance(texts.get(column := name.format(direction.target)), str)
    ]
    if not isinstance(source, str) or not scored:
        return Unreadable("missing_field", shown(str(texts)))
    _, best = max(scored, key=lambda candidate: candidate[0])
    return Pair(direction, source, best, directed=True)


def _terms(path: str) -> str:
    name = "/".join(path.removeprefix("hf://datasets/").split("/")[:2])
    return f"check its name, accept its terms at https://huggingface.co/datasets/{name}, and run `hf auth login`"


def _network_errors() -> tuple[type[Exception], ...]:
    """What the hub's HTTP library raises when there is no network; in newer ones it is no OSError."""
    libraries = [name for name in ("httpx", "httpx2") if importlib.util.find_spec(name)]
    return tuple(importlib.import_module(name).HTTPError for name in libraries)
