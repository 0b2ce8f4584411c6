"""One stage's corpora -> its splits below the data directory, and the manifest that accounts for them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from alma_cli import __version__
from alma_cli.core.dataset import Manifest, SourceReport, is_split, split_path
from alma_cli.core.recipe import LoadedRecipe, Recipe, StageName
from alma_cli.data.blocks import Job
from alma_cli.data.files import sha256_of
from alma_cli.data.held_out_sets import held_out_beside
from alma_cli.data.mono import prepare_documents
from alma_cli.data.on_ray import clean_on_ray
from alma_cli.data.parallel import prepare_pairs
from alma_cli.data.presets import known_training_data
from alma_cli.data.reasons import REASONS
from alma_cli.data.reuse import CLEANING_PACKAGES, Blocks, stage_fingerprint, versions_of
from alma_cli.data.selection import CleanedCorpus, Progress, clean_corpora
from alma_cli.data.sources import Corpus, mono_corpora, mono_sources, parallel_corpora, parallel_sources
from alma_cli.data.workers import processors
from alma_cli.errors import InputError, UsageError

Engine = Literal["local", "ray"]

_OVERLAPS_LISTED = 100
_SAMPLE_CHARACTERS = 80  # of a record that an error shows


@dataclass(frozen=True)
class PreparedStage:
    """What `prepare_stage` did; `unchanged` if it found everything done already."""

    stage: StageName
    manifest: Manifest
    unchanged: bool
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Means:
    """What the work is done with; none of it changes the result but the tokenizer."""

    tokenizer: Path | None = None  # a `tokenizer.json`; without it, no tokens are counted and no token limit is applied
    workers: int = field(default_factory=processors)
    engine: Engine = "local"
    progress: Progress = lambda *_: None

    def clean(self, jobs: Sequence[Job], most: Sequence[int | None]) -> list[CleanedCorpus]:
        """Clean corpora, each whole or the first blocks with so many records to keep."""
        if self.engine == "ray":
            clean_on_ray([job for job, limit in zip(jobs, most, strict=True) if limit is None])
        return clean_corpora(jobs, workers=self.workers, most=most, progress=self.progress)


def prepare_stage(
    loaded: LoadedRecipe,
    stage: StageName,
    directory: Path,
    *,
    sources: Sequence[Path] | None = None,
    means: Means | None = None,
    resume: bool = True,
) -> PreparedStage:
    """Write one stage's splits and the manifest into the data directory; the other stage's part of it stays.

    `sources` take the place of the recipe's. Nothing is done where the same sources, settings and tokenizer were
    prepared before, unless `resume` is False; of a corpus that was cleaned before, the blocks are taken from disk.
    Raises InputError for unusable corpora, or if none of them is left.
    """
    means = means or Means()
    _delete_leftovers(directory)
    existing = _existing(directory, resume)
    found = _found(loaded, stage, sources)
    held_out = held_out_beside(loaded, stage, directory, existing)
    tokenizer = sha256_of(means.tokenizer) if means.tokenizer else None
    fingerprint = stage_fingerprint(loaded.recipe, stage, found.corpora, tokenizer, held_out.sha256, directory)
    if resume and existing and _is_done(existing, stage, directory, fingerprint):
        return _told(loaded.recipe, stage, existing, found.warnings, unchanged=True)
    if existing and stage in existing.stages:
        # A kill between the first file and the last must not leave a manifest that describes the files of before.
        _without(existing, stage, loaded.recipe.seed).save(directory)
    blocks = Blocks(loaded.recipe, found.corpora, directory / ".cleaned" / stage, means.tokenizer, tokenizer)
    if not resume:
        shutil.rmtree(blocks.directory, ignore_errors=True)
    if stage == "mono":
        jobs = [blocks.job(index, held_out) for index in range(len(found.corpora))]
        documents = prepare_documents(loaded, found.sources, found.corpora, jobs, directory, means.clean)
        cleaned, counts, extra = documents.corpora, documents.counts, {"probabilities": documents.probabilities}
    else:
        splits = [corpus.split for corpus in found.corpora]
        pairs = prepare_pairs(loaded, splits, blocks.job, held_out, directory, means.clean)
        cleaned, counts, extra = pairs.corpora, pairs.counts, {}
    reports = [_report(corpus, stage, one) for corpus, one in zip(found.corpora, cleaned, strict=True)]
    complete = stage == "parallel" or loaded.recipe.data.mono.max_documents is None
    _check_kept(stage, reports, counts["train"], complete=complete)
    if means.tokenizer is None:
        counts = {split: _without_tokens(content) for split, content in counts.items()}
    counts["train"] |= extra
    manifest = _without(existing, stage, loaded.recipe.seed)
    manifest.sources += reports
    manifest.stages[stage] = counts
    manifest.overlaps[stage] = _overlaps(found.corpora, cleaned)
    manifest.versions.update(_versions(means))
    manifest.fingerprints[stage] = fingerprint
    manifest.save(directory)
    blocks.forget_others()
    return _told(loaded.recipe, stage, manifest, found.warnings, unchanged=False)


@dataclass(frozen=True)
class _Found:
    """One stage's corpora, found but not read; `sources` are those of the corpora, one each."""

    corpora: Sequence[Corpus]
    sources: Sequence[Any] = ()
    warnings: tuple[str, ...] = ()


def _found(loaded: LoadedRecipe, stage: StageName, paths: Sequence[Path] | None) -> _Found:
    recipe = loaded.recipe
    if stage == "mono":
        of_mono = recipe.data.mono.sources if paths is None else mono_sources(paths, recipe)
        _need_sources(stage, recipe, of_mono)
        corpora = [(source, corpus) for source in of_mono for corpus in mono_corpora(loaded, [source])]
        return _Found([corpus for _, corpus in corpora], [source for source, _ in corpora])
    of_parallel = recipe.data.parallel.sources if paths is None else parallel_sources(paths)
    _need_sources(stage, recipe, of_parallel)
    found, warnings = parallel_corpora(loaded, of_parallel)
    return _Found(found, warnings=(*warnings, *known_training_data(loaded)))


def _need_sources(stage: StageName, recipe: Recipe, sources: Sequence[object]) -> None:
    if not sources:
        raise UsageError(
            f"recipe {recipe.name} has no sources for stage {stage}",
            hint=f"add [[data.{stage}.sources]] to it, or give --stage {stage} --source PATH",
        )


def _report(corpus: Corpus, stage: StageName, cleaned: CleanedCorpus) -> SourceReport:
    account = cleaned.account
    assert account.read == account.kept + sum(account.dropped.values()), f"{account=}"
    return SourceReport(corpus.path, corpus.sha256, stage, corpus.split, corpus.languages, **account.as_json())


def _check_kept(stage: StageName, reports: Sequence[SourceReport], train: dict[str, Any], *, complete: bool) -> None:
    empty = [report.path for report in reports if not report.read]
    if empty and complete:
        raise InputError(f"{empty[0]} is empty", hint="take it out of the sources")
    if train["documents" if stage == "mono" else "examples"]:
        return
    of_train = [report for report in reports if report.split == "train"]
    dropped = Counter[str]()
    for report in of_train:
        dropped.update(report.dropped)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in dropped.most_common())
    read = sum(report.read for report in of_train)
    noun = "document" if stage == "mono" else "pair"
    raise InputError(
        f"no {noun} is left to train on, of {read:,} read" + (f" ({reasons})" if reasons else ""),
        hint=_where_to_look(of_train, dropped),
    )


def _where_to_look(reports: Sequence[SourceReport], dropped: Counter[str]) -> str:
    """What the commonest reason means, and the first record that was left out for it."""
    if not dropped:
        return "check the sources of the split train"
    [(reason, _)] = dropped.most_common(1)
    report = max(reports, key=lambda report: report.dropped.get(reason, 0))
    meaning = f"{reason}: {REASONS.get(reason, 'see the sources of the split train')}"
    if not (samples := report.samples.get(reason)):
        return meaning
    where, text = Path(samples[0].get("file") or report.path).name, samples[0]["text"][:_SAMPLE_CHARACTERS]
    return f"{meaning}; the first is number {samples[0]['place']} of {where}: {text}"


def _overlaps(corpora: Sequence[Corpus], cleaned: Sequence[CleanedCorpus]) -> list[dict[str, Any]]:
    """What was left out because of held-out text, the first of it."""
    return [
        {"source": corpus.path, **asdict(overlap)}
        for corpus, one in zip(corpora, cleaned, strict=True)
        for overlap in one.overlaps
    ][:_OVERLAPS_LISTED]


def _without_tokens(counts: dict[str, Any]) -> dict[str, Any]:
    """The counts of a split whose tokens nobody could count."""
    parts = {name: counts[name] for name in ("directions", "languages") if name in counts}
    histograms = {name: one for name, one in counts["histograms"].items() if not name.endswith("_tokens")}
    return {
        **counts,
        "tokens": None,
        **{name: {key: {**one, "tokens": None} for key, one in part.items()} for name, part in parts.items()},
        "histograms": histograms,
    }


def _delete_leftovers(directory: Path) -> None:
    """Delete what a killed preparation was writing; that of a split is deleted when the split is written."""
    for pattern in (".*.tmp", ".cleaned/**/.*.tmp"):
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)


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
    files_are_there = all(is_split(split_path(directory, stage, split)) for split in splits)
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
        overlaps={name: value for name, value in manifest.overlaps.items() if name != stage},
    )


def _versions(means: Means) -> dict[str, str]:
    packages = (*CLEANING_PACKAGES, *(("tokenizers",) if means.tokenizer else ()))
    return {"alma_cli": __version__, **versions_of(packages)}


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
