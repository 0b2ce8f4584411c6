"""The test and validation sets that training data must have nothing in common with, gathered one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alma_cli.core.dataset import Manifest, read_examples, split_path
from alma_cli.core.recipe import LoadedRecipe, ParallelSource, StageName
from alma_cli.data.blocks import overlaps_of
from alma_cli.data.decontamination import HeldOutText
from alma_cli.data.held_out_index import HeldOutRecord
from alma_cli.data.records import Pair, rows_of
from alma_cli.data.selection import Selection
from alma_cli.data.sources import Corpus, parallel_corpora
from alma_cli.errors import MachineError

_ROWS_AT_ONCE = 10_000


class HeldOutSets:
    """Held-out records as far as they are known, and the index of them on disk that workers compare text with."""

    def __init__(self, directory: Path, ngram_words: int) -> None:
        self._directory = directory
        self._ngram_words = ngram_words
        self._records: list[HeldOutRecord] = []
        self._index: HeldOutText | None = None

    def add(self, name: str, pairs: Iterable[Pair]) -> None:
        """Take one more set in."""
        self._records += [HeldOutRecord(name, place, pair) for place, pair in enumerate(pairs, 1)]
        self._index = None

    @property
    def sha256(self) -> str:
        """Of all that is held out so far; empty where nothing is."""
        return self._compared.sha256 if self._records else ""

    def path(self) -> Path | None:
        """The index's file, None where nothing is held out."""
        if not self._records:
            return None
        path = self._directory / f"held-out-{self.sha256[:16]}"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._compared.save(path)
        return path

    def overlapping(self, selection: Selection) -> npt.NDArray[np.int64]:
        """The kept rows of pairs that overlap with what is held out."""
        found: list[int] = []
        rows: list[tuple[int, Pair]] = []
        for row in selection.rows.records(selection.kept):
            rows.append(row)
            if len(rows) == _ROWS_AT_ONCE:
                found += self._among(rows)
                rows = []
        return np.array(found + self._among(rows), dtype=np.int64)

    @property
    def _compared(self) -> HeldOutText:
        if self._index is None:
            self._index = HeldOutText.of(self._records, ngram_words=self._ngram_words)
        return self._index

    def _among(self, rows: Sequence[tuple[int, Pair]]) -> list[int]:
        if not rows or not self._records:
            return []
        hits = overlaps_of(self._compared, [pair for _, pair in rows])
        return [row for (row, _), hit in zip(rows, hits, strict=True) if hit >= 0]


def held_out_beside(loaded: LoadedRecipe, stage: StageName, directory: Path, prepared: Manifest | None) -> HeldOutSets:
    """What a stage must have nothing in common with, beside the test sets among its own corpora.

    For stage mono these are the pairs' test and validation sets: as they were prepared, else as the recipe has them.
    Raises MachineError where they cannot be read: training on text that nobody compared with them has to be a choice.
    """
    settings = loaded.recipe.data.decontamination
    found = HeldOutSets(directory / ".cleaned", settings.ngram_words)
    if not settings.enabled:
        return found
    sources: list[ParallelSource] = list(settings.against)
    if stage == "mono" and prepared and "parallel" in prepared.stages:
        for split in ("test", "valid"):
            examples = read_examples(split_path(directory, "parallel", split))
            found.add(split, (Pair(one.direction, one.source, one.target) for one in examples))
    elif stage == "mono":
        sources += loaded.recipe.data.parallel.sources
    against = len(settings.against)
    for number, source in enumerate(sources):
        with _telling_what_for():
            corpora, _ = parallel_corpora(loaded, [source])
            for corpus in corpora:
                if number < against or corpus.split != "train":
                    found.add(Path(corpus.path).name, _pairs_of(corpus))
    return found


def _pairs_of(corpus: Corpus) -> Iterator[Pair]:
    return (row for row in rows_of(corpus.reader) if isinstance(row, Pair))


@contextmanager
def _telling_what_for() -> Iterator[None]:
    try:
        yield
    except MachineError as error:
        raise MachineError(
            f"{error.message}; it is a test set that training text must be compared with",
            hint=f"{error.hint}, or --set data.decontamination.enabled=false goes on without",
        ) from None
