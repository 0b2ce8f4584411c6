"""Stage mono: corpora of documents -> one stream that mixes the languages, in two splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alma_cli.core.dataset import Document, read_examples, split_path, write_documents
from alma_cli.core.recipe import LoadedRecipe, MonoSource
from alma_cli.data.blocks import Job
from alma_cli.data.histogram import histogram
from alma_cli.data.hold_out import held_out_indices
from alma_cli.data.mixture import expected_draws, mix, pool_probabilities, take_turns
from alma_cli.data.selection import Clean, CleanedCorpus, Selection
from alma_cli.data.sources import Corpus
from alma_cli.errors import UsageError

PARALLEL = "parallel"
REPLAY = "replay"

# One look at an endless corpus asks for this much more than is needed, since duplicates will fall out of it.
_MORE = 1.25


@dataclass(frozen=True)
class PreparedDocuments:
    """What became of the documents; `counts` by split as the manifest has them."""

    corpora: list[CleanedCorpus]
    counts: dict[str, dict[str, Any]]
    probabilities: dict[str, float]


def prepare_documents(
    loaded: LoadedRecipe,
    sources: Sequence[MonoSource],
    corpora: Sequence[Corpus],
    jobs: Sequence[Job],
    directory: Path,
    clean: Clean,
) -> PreparedDocuments:
    """Clean, select and mix the documents and write both splits.

    Raises UsageError for a mixture that does not fit the sources, or a corpus without an end.
    """
    settings, seed = loaded.recipe.data.mono, loaded.recipe.seed
    pools = [REPLAY if source.replay else source.language for source in sources]
    parallel = _pairs_as_documents(directory) if PARALLEL in settings.mixture else []
    limit = settings.max_documents
    _check(corpora, pools, settings.mixture, limit)
    known = {PARALLEL: len(parallel)} if parallel else {}
    wanted = _Wanted(pools, settings.mixture, limit, seed, known)
    while True:
        cleaned = clean(jobs, wanted.most)
        selection = Selection(cleaned)
        selection.drop_duplicates()
        selection.drop_near_duplicates(settings.filters)
        sizes = dict.fromkeys(pools, 0)
        for index, pool in enumerate(pools):
            sizes[pool] += int(selection.kept[selection.of(index)].sum())
        if not wanted.ask_for_more(cleaned, sizes):
            break
    sizes |= known
    probabilities = pool_probabilities(sizes, settings.mixture, settings.temperature)
    streams: dict[str, Iterator[tuple[int, Document]]] = {}
    for pool in dict.fromkeys(pools):
        members = [index for index, one in enumerate(pools) if one == pool]
        own = [_rows_of(selection, index) for index in members]
        streams[pool] = take_turns(own, [sources[index].share for index in members], seed)
    if parallel:
        streams[PARALLEL] = ((-1, document) for document in parallel)
    available = sum(size for pool, size in sizes.items() if probabilities[pool] > 0)
    total = min(available, limit) if limit else available
    chosen = held_out_indices(total, settings.held_out_documents, seed)
    splits = _Splits(selection, chosen)
    documents = splits.train(islice(mix(streams, probabilities, seed), total))
    write_documents(split_path(directory, "mono", "train"), documents, loaded.recipe.data.shard_bytes)
    write_documents(split_path(directory, "mono", "valid"), splits.valid, loaded.recipe.data.shard_bytes)
    selection.drop("held_out", splits.rows(held_out=True))
    unused = selection.kept.copy()
    unused[splits.rows(held_out=False)] = False
    selection.drop("not_needed", np.flatnonzero(unused))
    return PreparedDocuments(cleaned, splits.counts(pools), probabilities)


class _Wanted:
    """How much of each corpus is needed: all, or with a limit what the draws will take of its pool."""

    def __init__(
        self, pools: Sequence[str], mixture: Mapping[str, float], limit: int | None, seed: int, known: Mapping[str, int]
    ) -> None:
        self.pools = pools
        self.most: list[int | None] = [None] * len(pools)
        self._limit, self._seed, self._known = limit, seed, known
        # Without fixed probabilities the sizes decide them, so that all has to be read.
        if limit is not None and (all(pool in mixture for pool in pools) or len(set(pools)) == 1):
            self._probabilities = pool_probabilities(dict.fromkeys([*pools, *known], 1), mixture, 1.0)
            draws = self._draws({})
            self.most = [_and_more(draws[pool]) for pool in pools]

    def ask_for_more(self, cleaned: Sequence[CleanedCorpus], sizes: Mapping[str, int]) -> bool:
        """Whether a pool has too little and a corpus of it more; then `most` says how much to read now."""
        if None in self.most:
            return False
        going_on = {pool for pool, corpus in zip(self.pools, cleaned, strict=True) if not corpus.whole}
        # Pools that have ended leave their draws to the others.
        draws = self._draws({pool: size for pool, size in sizes.items() if pool not in going_on})
        more = False
        for index, (pool, asked) in enumerate(zip(self.pools, self.most, strict=True)):
            if asked is not None and not cleaned[index].whole and sizes[pool] < draws[pool]:
                self.most[index] = max(2 * asked, _and_more(draws[pool]))
                more = True
        return more

    def _draws(self, ended: Mapping[str, int]) -> dict[str, int]:
        assert self._limit is not None
        return expected_draws(self._probabilities, self._seed, self._limit, {**ended, **self._known})


def _and_more(count: int) -> int:
    return int(count * _MORE) + 1


class _Splits:
    """The mixed stream, parted into what is trained on and what is held out, and the account of both."""

    def __init__(self, selection: Selection, held_out: frozenset[int]) -> None:
        self.selection = selection
        self.held_out = held_out
        self.valid: list[Document] = []
        # What a row came to: 0 not taken, 1 trained on, 2 held out.
        self.fate: npt.NDArray[np.uint8] = np.zeros(len(selection.rows), np.uint8)
        self.pairs = [0, 0]

    def train(self, stream: Iterator[tuple[int, Document]]) -> Iterator[Document]:
        """The documents to train on; the others go to `valid`."""
        for index, (row, document) in enumerate(stream):
            held_out = index in self.held_out
            if row >= 0:
                self.fate[row] = 2 if held_out else 1
            else:
                self.pairs[held_out] += 1
            if held_out:
                self.valid.append(document)
            else:
                yield document

    def rows(self, *, held_out: bool) -> npt.NDArray[np.int64]:
        """The rows of one split."""
        return np.flatnonzero(self.fate == (2 if held_out else 1))

    def counts(self, pools: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Documents and tokens of each split, by pool."""
        tokens, characters = (self.selection.rows.numbers(name) for name in ("tokens", "characters"))
        found = {}
        for split, fate in (("train", 1), ("valid", 2)):
            taken = self.fate == fate
            by_pool: dict[str, dict[str, Any]] = {}
            for index, pool in enumerate(pools):
                own = self.selection.of(index)
                entry = by_pool.setdefault(pool, {"documents": 0, "tokens": 0})
                entry["documents"] += int(taken[own].sum())
                entry["tokens"] += int(tokens[own][taken[own]].sum(dtype=np.int64))
            if self.pairs[fate - 1]:
                by_pool[PARALLEL] = {"documents": self.pairs[fate - 1], "tokens": 0}
            found[split] = {
                "documents": sum(entry["documents"] for entry in by_pool.values()),
                "tokens": sum(entry["tokens"] for entry in by_pool.values()),
                "languages": by_pool,
                "histograms": {
                    "document_tokens": histogram(tokens[taken]),
                    "document_characters": histogram(characters[taken]),
                },
            }
        return found


def _rows_of(selection: Selection, corpus: int) -> Iterator[tuple[int, Document]]:
    """The kept documents of one corpus, each with its row; read when they are asked for."""
    only = np.zeros(len(selection.rows), dtype=bool)
    own = selection.of(corpus)
    only[own] = selection.kept[own]
    return selection.rows.records(only)


def _pairs_as_documents(directory: Path) -> list[Document]:
    """Stage parallel's training pairs, in both of their directions, as text: the source, and its translation below."""
    path = split_path(directory, PARALLEL, "train")
    examples = read_examples(path)
    if not examples:
        raise UsageError("data.mono.mixture has a share for 'parallel', whose pairs are not prepared")
    return [Document(str(one.direction), f"{one.source}\n{one.target}") for one in examples]


def _check(corpora: Sequence[Corpus], pools: Sequence[str], mixture: Mapping[str, float], limit: int | None) -> None:
    if unknown := sorted(mixture.keys() - set(pools) - {PARALLEL}):
        what = "source with replay = true" if unknown == [REPLAY] else f"source in {', '.join(unknown)}"
        raise UsageError(f"data.mono.mixture has a share for {', '.join(unknown)}", hint=f"there is no {what}")
    endless = [corpus.path for corpus in corpora if corpus.endless]
    if not endless:
        return
    if limit is None:
        raise UsageError(f"hub dataset '{endless[0]}' is read without an end", hint="set data.mono.max_documents")
    if len(set(pools)) > 1 and not set(pools) <= mixture.keys():
        raise UsageError(
            f"the size of hub dataset '{endless[0]}' is not known",
            hint="give each language its share in data.mono.mixture",
        )
