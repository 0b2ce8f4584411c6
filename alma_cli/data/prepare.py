"""One stage's corpora -> its files below the data directory, and the manifest that accounts for them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from alma_cli import __version__
from alma_cli.core.dataset import (
    Document,
    Example,
    Manifest,
    SourceReport,
    split_path,
    write_documents,
    write_examples,
)
from alma_cli.core.recipe import LoadedRecipe, Recipe, Split, StageName
from alma_cli.data.mono import prepare_documents
from alma_cli.data.parallel import prepare_pairs
from alma_cli.data.sources import Corpus, mono_corpora, mono_sources, parallel_corpora, parallel_sources
from alma_cli.errors import InputError, UsageError

CountTokens = Callable[[Iterable[str]], list[int]]
"""Tokens of each text under the recipe's tokenizer, without special tokens."""


@dataclass(frozen=True)
class PreparedStage:
    """What `prepare_stage` did; `unchanged` if it found everything done already."""

    stage: StageName
    manifest: Manifest
    unchanged: bool
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def prepare_stage(
    loaded: LoadedRecipe,
    stage: StageName,
    directory: Path,
    *,
    sources: Sequence[Path] | None = None,
    count_tokens: CountTokens | None = None,
    resume: bool = True,
) -> PreparedStage:
    """Write one stage's splits and the manifest into the data directory; the other stage's part of it stays.

    `sources` take the place of the recipe's. Nothing is done where the same sources, settings and tokenizer were
    prepared before, unless `resume` is False. Raises InputError for unusable corpora, or if none of them is left.
    """
    content = _mono(loaded, sources) if stage == "mono" else _parallel(loaded, sources)
    tokenizer = loaded.recipe.model if count_tokens else None
    fingerprint = _fingerprint(loaded.recipe, stage, content.corpora, tokenizer)
    existing = _existing(directory, resume)
    if resume and existing and _is_done(existing, stage, directory, fingerprint):
        return _told(loaded.recipe, stage, existing, content.warnings, unchanged=True)
    splits, reports = content.read(count_tokens)
    manifest = _without(existing, stage, loaded.recipe.seed)
    if existing and stage in existing.stages:
        # A kill between the first file and the last must not leave a manifest that describes the files of before.
        manifest.save(directory)
    for name, split in splits.items():
        split.write(split_path(directory, stage, name))
    manifest.sources += reports
    manifest.stages[stage] = {name: split.counts for name, split in splits.items()}
    manifest.versions.update(_versions(count_tokens))
    manifest.fingerprints[stage] = fingerprint
    manifest.save(directory)
    return _told(loaded.recipe, stage, manifest, content.warnings, unchanged=False)


@dataclass(frozen=True)
class _Split:
    """One split, ready to be written."""

    counts: dict[str, Any]
    write: Callable[[Path], None]


@dataclass(frozen=True)
class _Content:
    """One stage's corpora, found but not read."""

    corpora: Sequence[Corpus[Any]]
    read: Callable[[CountTokens | None], tuple[dict[Split, _Split], list[SourceReport]]]
    warnings: tuple[str, ...] = ()


def _mono(loaded: LoadedRecipe, paths: Sequence[Path] | None) -> _Content:
    settings = loaded.recipe.data.mono
    sources = settings.sources if paths is None else mono_sources(paths, loaded.recipe)
    _need_sources("mono", loaded.recipe, sources)
    corpora = mono_corpora(loaded, sources)

    def read(count_tokens: CountTokens | None) -> tuple[dict[Split, _Split], list[SourceReport]]:
        splits, reports = prepare_documents(corpora, settings, loaded.recipe.seed)
        # A limit may end the reading before a corpus had its turn.
        _check_kept("document", reports, splits["train"], complete=settings.max_documents is None)
        return {
            name: _Split(_document_counts(rows, count_tokens), partial(write_documents, documents=rows))
            for name, rows in splits.items()
        }, reports

    return _Content(corpora, read)


def _parallel(loaded: LoadedRecipe, paths: Sequence[Path] | None) -> _Content:
    sources = loaded.recipe.data.parallel.sources if paths is None else parallel_sources(paths)
    _need_sources("parallel", loaded.recipe, sources)
    corpora, warnings = parallel_corpora(loaded, sources)

    def read(count_tokens: CountTokens | None) -> tuple[dict[Split, _Split], list[SourceReport]]:
        splits, reports = prepare_pairs(corpora, loaded.recipe)
        _check_kept("pair", reports, splits["train"], complete=True)
        return {
            name: _Split(_example_counts(rows, count_tokens), partial(write_examples, examples=rows))
            for name, rows in splits.items()
        }, reports

    return _Content(corpora, read, warnings)


def _need_sources(stage: StageName, recipe: Recipe, sources: Sequence[object]) -> None:
    if not sources:
        raise UsageError(
            f"recipe {recipe.name} has no sources for stage {stage}",
            hint=f"add [[data.{stage}.sources]] to it, or give --stage {stage} --source PATH",
        )


def _check_kept(noun: str, reports: Sequence[SourceReport], train: Sequence[object], *, complete: bool) -> None:
    empty = [report.path for report in reports if not report.read]
    if empty and complete:
        raise InputError(f"{empty[0]} is empty", hint="take it out of the sources")
    if train:
        return
    of_train = [report for report in reports if report.split == "train"]
    dropped = Counter[str]()
    for report in of_train:
        dropped.update(report.dropped)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in dropped.most_common())
    read = sum(report.read for report in of_train)
    raise InputError(
        f"no {noun} is left to train on, of {read:,} read" + (f" ({reasons})" if reasons else ""),
        hint="check the sources of the split train",
    )


def _fingerprint(recipe: Recipe, stage: StageName, corpora: Iterable[Corpus[Any]], tokenizer: str | None) -> str:
    """A hash of all that decides what the stage's files hold; where the sources are is not part of it."""
    settings = recipe.data.mono if stage == "mono" else recipe.data.parallel
    content = {
        "sources": [[corpus.languages, corpus.split, corpus.how, corpus.sha256] for corpus in corpora],
        "settings": settings.model_dump(mode="json", exclude={"sources"}),
        "directions": recipe.directions,
        "seed": recipe.seed,
        "tokenizer": tokenizer,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _existing(directory: Path, resume: bool) -> Manifest | None:
    """The manifest of before; one that cannot be used is in nobody's way when everything is done again."""
    try:
        return Manifest.load(directory)
    except InputError:
        if resume:
            raise
        return None


def _is_done(manifest: Manifest, stage: StageName, directory: Path, fingerprint: str) -> bool:
    splits = manifest.stages.get(stage, {})
    files_are_there = all(split_path(directory, stage, split).is_file() for split in splits)
    return manifest.fingerprints.get(stage) == fingerprint and bool(splits) and files_are_there


def _without(manifest: Manifest | None, stage: StageName, seed: int) -> Manifest:
    """What the manifest says about the other stages."""
    if manifest is None:
        return Manifest(sources=[], stages={}, seed=seed, versions={}, fingerprints={})
    return Manifest(
        sources=[report for report in manifest.sources if report.stage != stage],
        stages={name: splits for name, splits in manifest.stages.items() if name != stage},
        seed=seed,
        versions=dict(manifest.versions),
        fingerprints={name: value for name, value in manifest.fingerprints.items() if name != stage},
    )


def _document_counts(documents: Sequence[Document], count_tokens: CountTokens | None) -> dict[str, Any]:
    by_language: dict[str, dict[str, Any]] = {}
    for code in sorted({document.language for document in documents}):
        texts = [document.text for document in documents if document.language == code]
        by_language[code] = {"documents": len(texts), "tokens": _total(texts, count_tokens)}
    tokens = sum(counts["tokens"] for counts in by_language.values()) if count_tokens else None
    return {"documents": len(documents), "tokens": tokens, "languages": by_language}


def _example_counts(examples: Sequence[Example], count_tokens: CountTokens | None) -> dict[str, Any]:
    by_direction: dict[str, dict[str, Any]] = {}
    for direction in sorted({example.direction for example in examples}):
        chosen = [example for example in examples if example.direction == direction]
        sides = {"source": [e.source for e in chosen], "target": [e.target for e in chosen]}
        tokens = {side: _total(texts, count_tokens) for side, texts in sides.items()} if count_tokens else None
        by_direction[str(direction)] = {"examples": len(chosen), "tokens": tokens}
    total = (
        {side: sum(counts["tokens"][side] for counts in by_direction.values()) for side in ("source", "target")}
        if count_tokens
        else None
    )
    return {"examples": len(examples), "tokens": total, "directions": by_direction}


def _total(texts: Sequence[str], count_tokens: CountTokens | None) -> int | None:
    return sum(count_tokens(texts)) if count_tokens else None


def _versions(count_tokens: CountTokens | None) -> dict[str, str]:
    packages = ("transformers", "tokenizers") if count_tokens else ()
    return {"alma_cli": __version__, **{package: version(package) for package in packages}}


def _told(
    recipe: Recipe, stage: StageName, manifest: Manifest, warnings: tuple[str, ...], *, unchanged: bool
) -> PreparedStage:
    """The result, with what the user should know about directions that got nothing."""
    if stage == "mono":
        return PreparedStage(stage, manifest, unchanged, warnings)
    covered = {split: counts["directions"] for split, counts in manifest.stages["parallel"].items()}
    untrained = [direction for direction in recipe.directions if direction not in covered["train"]]
    untested = [direction for direction in recipe.directions if direction not in covered["test"]]
    return PreparedStage(
        stage,
        manifest,
        unchanged,
        (*warnings, *(f"no training data for {direction} in any source" for direction in untrained)),
        tuple(f"no test set for {direction} in any source" for direction in untested),
    )
