"""Stage mono: corpora of documents -> one stream that mixes the languages, in two splits."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from alma_cli.core.dataset import Document, SourceReport
from alma_cli.core.recipe import MonoData, Split
from alma_cli.data.filters import Duplicates, keep, unusable
from alma_cli.data.hold_out import hold_out
from alma_cli.data.sources import Corpus
from alma_cli.errors import UsageError

Entry = tuple[SourceReport, Document]


def prepare_documents(
    corpora: Sequence[Corpus[Document]], settings: MonoData, seed: int
) -> tuple[dict[Split, list[Document]], list[SourceReport]]:
    """The documents of each split, mixed, and what became of each corpus as far as it was read.

    Raises UsageError for a mixture that does not fit the sources, or a hub dataset without an end.
    """
    _check(corpora, settings)
    weights = settings.mixture or _sizes(corpora)
    reports = [corpus.report("mono") for corpus in corpora]
    duplicates = Duplicates()
    streams: dict[str, list[Iterator[Entry]]] = {}
    for corpus, report in zip(corpora, reports, strict=True):
        streams.setdefault(corpus.languages, []).append(_entries(corpus, report, duplicates))
    by_language = {language: take_turns(of_language) for language, of_language in streams.items()}
    mixed = islice(mix(by_language, weights, seed), settings.max_documents)
    train, valid = hold_out(list(mixed), settings.held_out_documents, seed)
    splits: dict[Split, list[Document]] = {
        "train": [document for _, document in train],
        "valid": [document for _, document in valid],
    }
    return splits, reports


def mix(streams: Mapping[str, Iterator[Entry]], weights: Mapping[str, float], seed: int) -> Iterator[Entry]:
    """Entries of all languages: the next one's language is drawn by its weight; one that runs out leaves the draw."""
    draw = random.Random(seed)
    open_languages = [language for language in streams if weights[language] > 0]
    while open_languages:
        chances = [weights[language] for language in open_languages]
        language = draw.choices(open_languages, chances)[0]
        entry = next(streams[language], None)
        if entry is None:
            open_languages.remove(language)
        else:
            yield entry


def take_turns(streams: Sequence[Iterator[Entry]]) -> Iterator[Entry]:
    """One entry from each stream in turn, so that a limit does not leave the later corpora of a language out."""
    waiting = deque(streams)
    while waiting:
        stream = waiting.popleft()
        entry = next(stream, None)
        if entry is not None:
            yield entry
            waiting.append(stream)


def _entries(corpus: Corpus[Document], report: SourceReport, duplicates: Duplicates) -> Iterator[Entry]:
    for document in keep(corpus.read(), report, (unusable, duplicates)):
        yield report, document


def _check(corpora: Sequence[Corpus[Document]], settings: MonoData) -> None:
    languages = {corpus.languages for corpus in corpora}
    left_out = sorted(languages - settings.mixture.keys())
    if settings.mixture and left_out:
        raise UsageError(
            f"data.mono.mixture has no probability for {', '.join(left_out)}",
            hint="give every language of the sources one, or leave the mixture out",
        )
    endless = [corpus.path for corpus in corpora if corpus.how[0] == "hub" and not corpus.files]
    if endless and settings.max_documents is None:
        raise UsageError(f"hub dataset '{endless[0]}' is read without an end", hint="set data.mono.max_documents")
    if endless and len(languages) > 1 and not settings.mixture:
        raise UsageError(
            f"the size of hub dataset '{endless[0]}' is not known",
            hint="give each language its share in data.mono.mixture",
        )


def _sizes(corpora: Sequence[Corpus[Document]]) -> dict[str, float]:
    """Readable documents of each language; with one language there is nothing to weigh, and nothing is read."""
    sizes = dict.fromkeys((corpus.languages for corpus in corpora), 0.0)
    if len(sizes) == 1:
        return dict.fromkeys(sizes, 1.0)
    for corpus in corpora:
        sizes[corpus.languages] += sum(isinstance(row, Document) for row in corpus.read())
    return sizes
