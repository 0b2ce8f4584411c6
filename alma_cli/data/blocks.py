"""One block of a corpus: taken apart, cleaned, compared with the test sets, keyed, written. Every engine runs this."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alma_cli.core.dataset import Document, write_atomically
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import Filters, Split
from alma_cli.core.text.characters import Characters
from alma_cli.data.account import Account, Sample, short
from alma_cli.data.cleaned import (
    BlockNotes,
    Overlap,
    columns_of_documents,
    columns_of_pairs,
    notes_of,
    shown,
    write_block,
)
from alma_cli.data.cleaning import Cleaner
from alma_cli.data.decontamination import HeldOutText
from alma_cli.data.keys import exact_keys, pair_keys, signatures
from alma_cli.data.records import Pair, RawBlock, Reader, Unreadable, columns_of, languages_of
from alma_cli.data.token_counter import TokenCounter

# Records are cleaned so many at a time: few enough for the processor's cache, and enough that what a step takes however
# few they are hardly counts.
_RECORDS, _CHARACTERS = 4000, 2**20
# Of a document with so many characters only the lines that overlap with held-out text go.
_LONG_DOCUMENT = 5000


def directions_of(pair: Pair, split: Split, directions: Sequence[Direction]) -> list[Direction]:
    """The directions of the recipe that a pair of a split is for."""
    ways = [pair.direction] if split == "test" and pair.directed else [pair.direction, pair.direction.reverse]
    return [direction for direction in ways if direction in directions]


def overlaps_of(held_out: HeldOutText, records: Sequence[Pair] | Sequence[Document]) -> npt.NDArray[np.int64]:
    """For each record the number of a held-out sentence that it overlaps with, else -1, (N,)."""
    languages = zip(*(languages_of(record) for record in records), strict=True)
    texts = map(Characters.of, columns_of(records))
    return held_out.overlaps(list(zip(languages, texts, strict=True)))


@dataclass(frozen=True)
class Job:
    """What a worker has to know about a corpus; small, since it goes to the workers with every block."""

    reader: Reader
    directory: Path  # of its blocks
    split: Split
    filters: Filters
    directions: tuple[Direction, ...] = ()  # of the recipe; pairs of other languages are left out
    held_out: Path | None = None  # what it must not have in common with
    tokenizer: Path | None = None

    def path(self, number: int) -> Path:
        """The file of one block."""
        return self.directory / f"{number:06}.parquet"

    @property
    def end(self) -> Path:
        """The file that is there once all blocks are, with their number."""
        return self.directory / "blocks.json"

    def mark_whole(self, blocks: int) -> None:
        """Leave that file, so that the corpus need not be read again to know that nothing is missing."""
        write_atomically(self.end, json.dumps(blocks))

    def wants(self, record: Pair | Document) -> bool:
        """Whether the record is of a language, or in a test set of a direction, that the recipe has."""
        return isinstance(record, Document) or bool(directions_of(record, self.split, self.directions))


@dataclass(frozen=True)
class Task:
    """One block to clean."""

    job: Job
    number: int
    block: RawBlock | None  # None: it is on disk already


def clean_block(task: Task) -> BlockNotes:
    """Clean one block and leave it on disk; what is there already is not done again."""
    job, path = task.job, task.job.path(task.number)
    if task.block is None:
        notes = notes_of(path)
        assert notes is not None, f"{path=}"
        return notes
    worker, block = _worker(job), task.block
    account, overlaps, parts = Account(), [], []
    for rows in _chunks(job.reader.rows(block)):
        kept, found = worker.clean(rows, block.file, account)
        overlaps += found
        parts.append(worker.columns(kept, block.file))
        worker.forget_texts()
    notes = BlockNotes(account, overlaps)
    columns = parts or [worker.columns([], block.file)]
    write_block(path, {name: pa.concat_arrays([part[name] for part in columns]) for name in columns[0]}, notes)
    return notes


def tasks_of(job: Job) -> Iterator[Task]:
    """The corpus's blocks in their order; those on disk without their content."""
    job.directory.mkdir(parents=True, exist_ok=True)
    for number, block in enumerate(job.reader.blocks()):
        yield Task(job, number, None if notes_of(job.path(number)) else block)


def _chunks(rows: Iterable[tuple[int, Pair | Document | Unreadable]]) -> Iterator[list[tuple[int, Any]]]:
    chunk: list[tuple[int, Any]] = []
    characters = 0
    for place, row in rows:
        chunk.append((place, row))
        characters += len(row.text) if isinstance(row, (Document, Unreadable)) else len(row.source) + len(row.target)
        if len(chunk) >= _RECORDS or characters >= _CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


class _Worker:
    """What a process keeps from block to block of a corpus."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.count_tokens = TokenCounter(job.tokenizer) if job.tokenizer else None
        # Validation data, too, is measured with as it is.
        self.cleaner = Cleaner(job.filters, "train" if job.split == "train" else "test", self.count_tokens)
        self.held_out = HeldOutText.load(job.held_out) if job.held_out else None
        self._wanted: dict[tuple[Direction, bool], bool] = {}

    def clean(
        self, rows: Sequence[tuple[int, Any]], file: str, account: Account
    ) -> tuple[list[tuple[int, Any]], list[Overlap]]:
        """The records that stay, each with its place, and those that overlap with held-out text."""
        account.read += len(rows)
        wanted: list[tuple[int, Any]] = []
        for place, row in rows:
            if isinstance(row, Unreadable):
                account.drop(row.reason, Sample(place, row.text, file))
            elif not self._wants(row):
                account.drop("other_direction", Sample(place, shown(row), file))
            else:
                wanted.append((place, row))
        cleaned = self.cleaner([row for _, row in wanted])
        account.repaired += cleaned.repaired
        clean: list[tuple[int, Any]] = []
        for (place, row), record, reason in zip(wanted, cleaned.records, cleaned.reasons, strict=True):
            if reason:
                account.drop(reason, Sample(place, shown(row), file))
            else:
                clean.append((place, record))
        kept, overlaps = self._without_held_out(clean, file)
        for overlap in overlaps:
            if overlap.left_out == "record":
                account.drop("in_test_or_valid", overlap.sample)
            else:
                account.repaired += 1
        account.keep(len(kept), (Sample(place, shown(record), file) for place, record in kept))
        return kept, overlaps

    def forget_texts(self) -> None:
        """Another chunk comes."""
        if self.count_tokens:
            self.count_tokens.known.clear()

    def _wants(self, record: Pair | Document) -> bool:
        if isinstance(record, Document):
            return True
        kind = record.direction, record.directed
        if (wanted := self._wanted.get(kind)) is None:
            wanted = self._wanted[kind] = self.job.wants(record)
        return wanted

    def _without_held_out(self, rows: list[tuple[int, Any]], file: str) -> tuple[list[tuple[int, Any]], list[Overlap]]:
        if self.held_out is None or not rows:
            return rows, []
        kept, overlaps = [], []
        hits = overlaps_of(self.held_out, [record for _, record in rows])
        for (place, record), hit in zip(rows, hits.tolist(), strict=True):
            if hit < 0:
                kept.append((place, record))
                continue
            is_long = isinstance(record, Document) and len(record.text) >= _LONG_DOCUMENT
            rest = self.held_out.cut(record) if is_long else None
            if rest is not None:
                kept.append((place, rest))
            found, sample = self.held_out.found(hit), short(Sample(place, shown(record), file))
            overlaps.append(Overlap(sample, "lines" if rest else "record", f"{found.set} {found.place}", found.text))
        return kept, overlaps

    def columns(self, rows: Sequence[tuple[int, Any]], file: str) -> dict[str, Any]:
        """The records with their keys, signatures and tokens."""
        records = [record for _, record in rows]
        common = {
            "place": pa.array([place for place, _ in rows], pa.int64()),
            "file": pa.array([file] * len(rows), pa.string()),
        }
        if not self.job.directions:
            return {**columns_of_documents(records), **common, **self._document_keys(records)}
        return {**columns_of_pairs(records), **common, **self._pair_keys(records)}

    def _document_keys(self, documents: Sequence[Document]) -> dict[str, Any]:
        texts = [document.text for document in documents]
        return {
            "key": pa.array(exact_keys([document.language for document in documents], texts), pa.uint64()),
            "signature": _binary(signatures(Characters.of(texts))),
            "tokens": self._tokens(texts),
            "characters": pa.array([len(text) for text in texts], pa.int32()),
        }

    def _pair_keys(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
        keys = pair_keys(pairs)
        both = [f"{pair.source}\n{pair.target}" for pair in pairs]
        return {
            "key": pa.array(keys.pair, pa.uint64()),
            "source_key": pa.array(keys.source, pa.uint64()),
            "target_key": pa.array(keys.target, pa.uint64()),
            "source_text_key": pa.array(keys.source_text, pa.uint64()),
            "target_text_key": pa.array(keys.target_text, pa.uint64()),
            "signature": _binary(signatures(Characters.of(both))),
            "source_tokens": self._tokens(sources),
            "target_tokens": self._tokens(targets),
            "source_characters": pa.array([len(text) for text in sources], pa.int32()),
            "target_characters": pa.array([len(text) for text in targets], pa.int32()),
        }

    def _tokens(self, texts: Sequence[str]) -> Any:
        """Of each text; 0 where the tokenizer is not to be had."""
        return pa.array(self.count_tokens(texts) if self.count_tokens else [0] * len(texts), pa.int32())


@lru_cache(maxsize=2)
def _worker(job: Job) -> _Worker:
    return _Worker(job)


def _binary(rows: np.ndarray) -> Any:
    """Signatures (N, K) uint8 as a column."""
    width = rows.shape[1]
    buffer = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), [None, buffer])
