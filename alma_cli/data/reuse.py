"""By what is known that work was done before: a corpus's cleaned blocks, and a whole stage."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from alma_cli.core.dataset import split_path, split_sha256
from alma_cli.core.recipe import Recipe, StageName
from alma_cli.data.blocks import Job
from alma_cli.data.held_out_sets import HeldOutSets
from alma_cli.data.mono import PARALLEL
from alma_cli.data.sources import Corpus

# A change of what cleaning decides makes the blocks of before useless; so may another version of what it stands on.
CLEANING_VERSION = 3
CLEANING_PACKAGES = ("py3langid",)


class Blocks:
    """Where the cleaned blocks of each corpus are: by all that decides what is in them."""

    def __init__(
        self,
        recipe: Recipe,
        corpora: Sequence[Corpus],
        directory: Path,
        tokenizer: Path | None,
        tokenizer_sha256: str | None,
    ) -> None:
        self.recipe = recipe
        self.corpora = corpora
        self.directory = directory
        self.tokenizer = tokenizer
        self.tokenizer_sha256 = tokenizer_sha256
        self.used: set[Path] = set()

    def job(self, index: int, held_out: HeldOutSets) -> Job:
        """The work on one corpus, beside text that it must have nothing in common with."""
        corpus, data = self.corpora[index], self.recipe.data
        mono = self.directory.name == "mono"
        filters = data.mono.filters if mono else data.parallel.filters
        is_trained_on = corpus.split == "train"
        compared = held_out.path() if is_trained_on else None
        decides = [
            CLEANING_VERSION,
            versions_of(CLEANING_PACKAGES),
            [corpus.languages, corpus.split, corpus.how, corpus.sha256, corpus.path if corpus.endless else ""],
            filters.model_dump(mode="json") if is_trained_on else None,
            self.recipe.directions,
            held_out.sha256 if compared else None,
            self.tokenizer_sha256,
        ]
        name = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
        # Two equal corpora have equal blocks, and both are counted.
        directory = self.directory / name
        self.used.add(directory)
        return Job(
            reader=corpus.reader,
            directory=directory,
            split=corpus.split,
            filters=filters,
            directions=() if mono else self.recipe.direction_pairs,
            held_out=compared,
            tokenizer=self.tokenizer,
        )

    def forget_others(self) -> None:
        """Delete the blocks of corpora and settings of before."""
        for old in self.directory.iterdir() if self.directory.is_dir() else ():
            if old not in self.used:
                shutil.rmtree(old, ignore_errors=True)


def stage_fingerprint(
    recipe: Recipe, stage: StageName, corpora: Iterable[Corpus], tokenizer: str | None, held_out: str, directory: Path
) -> str:
    """A hash of all that decides what the stage's files hold; where the sources are is not part of it."""
    settings = recipe.data.mono if stage == "mono" else recipe.data.parallel
    has_pairs = stage == "mono" and PARALLEL in recipe.data.mono.mixture
    content = {
        "version": CLEANING_VERSION,
        "packages": versions_of(CLEANING_PACKAGES),
        "sources": [[corpus.languages, corpus.split, corpus.how, corpus.sha256] for corpus in corpora],
        "shares": [[source.share, source.replay] for source in recipe.data.mono.sources] if stage == "mono" else [],
        "settings": settings.model_dump(mode="json", exclude={"sources"}),
        "decontamination": recipe.data.decontamination.model_dump(mode="json", exclude={"against"}),
        "held_out": held_out,
        "pairs": split_sha256(split_path(directory, "parallel", "train")) if has_pairs else "",
        "shard_megabytes": recipe.data.shard_megabytes,
        "directions": recipe.directions,
        "seed": recipe.seed,
        "tokenizer": tokenizer,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The packages as they are installed."""
    return {package: version(package) for package in packages}
