"""Which rows of all corpora stay: what only the whole data can tell, such as that a sentence was there before.

R = rows of all corpora in their order
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alma_cli.core.recipe import Filters, PairFilters
from alma_cli.data.account import Account
from alma_cli.data.blocks import Job, Task, clean_block, tasks_of
from alma_cli.data.cleaned import BlockNotes, Overlap, Rows, notes_of
from alma_cli.data.duplicates import beyond_the_cap, near_duplicates
from alma_cli.data.records import Pair
from alma_cli.data.workers import work

_SAMPLES = 5

Progress = Callable[[int, int], None]
"""Told the records read and kept so far."""
Clean = Callable[[Sequence[Job], Sequence[int | None]], "list[CleanedCorpus]"]
"""`clean_corpora` with the means that there are."""


@dataclass
class CleanedCorpus:
    """A corpus whose blocks are on disk, with the account of all of them."""

    files: tuple[Path, ...] = ()
    account: Account = field(default_factory=Account)
    overlaps: list[Overlap] = field(default_factory=list)
    whole: bool = True  # False where reading stopped because enough was there

    def add(self, file: Path, notes: BlockNotes) -> None:
        """Take the next block in."""
        self.files += (file,)
        self.account.add(notes.account)
        self.overlaps += notes.overlaps


def clean_corpora(
    jobs: Sequence[Job], *, workers: int, most: Sequence[int | None], progress: Progress
) -> list[CleanedCorpus]:
    """Clean every corpus, block by block, on all workers; what was cleaned before is taken from disk.

    Of a corpus with a number in `most`, only the first blocks that have so many records to keep. The result does not
    depend on the workers: what they did beyond that is left out of it.
    """
    found = [_from_disk(job) if limit is None else None for job, limit in zip(jobs, most, strict=True)]
    corpora = [corpus or CleanedCorpus() for corpus in found]
    waiting: deque[tuple[int, Task]] = deque()

    def enough(index: int) -> bool:
        limit = most[index]
        return limit is not None and corpora[index].account.kept >= limit

    def tasks() -> Iterator[Task]:
        for index, job in enumerate(jobs):
            if found[index] is not None:
                continue
            for task in tasks_of(job):
                if enough(index):
                    corpora[index].whole = False
                    break
                waiting.append((index, task))
                yield task

    read = kept = 0
    for notes in work(clean_block, tasks(), workers):
        index, task = waiting.popleft()
        if enough(index):
            corpora[index].whole = False
            continue
        corpora[index].add(task.job.path(task.number), notes)
        read, kept = read + notes.account.read, kept + notes.account.kept
        progress(read, kept)
    for job, corpus, limit in zip(jobs, corpora, most, strict=True):
        if limit is None:
            job.mark_whole(len(corpus.files))
    return corpora


class Selection:
    """The rows of some corpora, and which of them stay."""

    def __init__(self, corpora: Sequence[CleanedCorpus]) -> None:
        self.corpora = corpora
        self.rows = Rows(tuple(file for corpus in corpora for file in corpus.files))
        self.kept: npt.NDArray[np.bool_] = np.ones(len(self.rows), dtype=bool)  # (R,)
        blocks = np.cumsum([0, *(len(corpus.files) for corpus in corpora)])
        self.starts = self.rows.starts[blocks]  # of each corpus its first row, and at the end R

    def of(self, corpus: int) -> slice:
        """The rows of one corpus."""
        return slice(int(self.starts[corpus]), int(self.starts[corpus + 1]))

    def pairs(self) -> Iterator[Pair]:
        """The kept rows, of corpora of pairs."""
        return (record for _, record in self.rows.records(self.kept))

    def drop(self, reason: str, rows: npt.NDArray[np.int64]) -> None:
        """Leave rows out that were kept so far, in their corpora's accounts, too."""
        assert self.kept[rows].all(), f"{reason=}"
        self.kept[rows] = False
        rows = np.sort(rows)
        for index, corpus in enumerate(self.corpora):
            start, end = np.searchsorted(rows, [self.starts[index], self.starts[index + 1]])
            if end > start:
                samples = self.rows.samples(rows[start : min(end, start + _SAMPLES)])
                corpus.account.drop_after_all(reason, int(end - start), samples)

    def drop_duplicates(self) -> None:
        """Of equal records, the first stays."""
        self.drop("duplicate", beyond_the_cap(self.rows.column("key"), self.kept, 1))

    def drop_near_duplicates(self, filters: Filters) -> None:
        """Of records that are nearly equal, the first stays."""
        if filters.near_duplicates is not None:
            dropped, _ = near_duplicates(self.rows.column("signature"), self.kept, filters.near_duplicates)
            self.drop("near_duplicate", dropped)

    def drop_beyond_caps(self, filters: PairFilters) -> None:
        """One sentence stays the source, or the target, of so many others only."""
        if (most := filters.targets_per_source) is not None:
            for column in ("source_key", "target_key"):
                self.drop("another_translation", beyond_the_cap(self.rows.column(column), self.kept, most))
        if (most := filters.same_target) is not None:
            for column in ("source_text_key", "target_text_key"):
                self.drop("same_target", beyond_the_cap(self.rows.column(column), self.kept, most))


def _from_disk(job: Job) -> CleanedCorpus | None:
    """The corpus, where all of its blocks are there already."""
    try:
        count = int(json.loads(job.end.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    corpus = CleanedCorpus()
    for number in range(count):
        notes = notes_of(job.path(number))
        if notes is None:
            return None
        corpus.add(job.path(number), notes)
    return corpus
