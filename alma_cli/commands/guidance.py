"""What `alma translate` is told beside the sources: examples, a translation memory, a glossary, context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alma_cli import console
from alma_cli.errors import InputError

if TYPE_CHECKING:
    from alma_cli.core.languages import Direction
    from alma_cli.core.prompt import TextPair
    from alma_cli.core.recipe import Recipe
    from alma_cli.decoding.glossary import Adherence, Glossary
    from alma_cli.decoding.guide import Guide
    from alma_cli.decoding.memory import TranslationMemory
    from alma_cli.decoding.segments import Counts

ShotsOption = Annotated[
    Path | None,
    typer.Option(
        "--shots", metavar="FILE|DIR", help="Examples for every prompt, as `alma prepare --shots` writes them."
    ),
]
MemoryOption = Annotated[
    Path | None,
    typer.Option("--tm", metavar="FILE", help="Translation memory (tmx, tsv, ...): the most similar pairs are shown."),
]
MemoryShotsOption = Annotated[
    int, typer.Option("--tm-shots", metavar="N", min=1, help="How many pairs of the memory a prompt shows.")
]
GlossaryOption = Annotated[
    Path | None, typer.Option("--glossary", metavar="FILE", help="Terms to keep to: source, tab, target on each line.")
]
ContextOption = Annotated[
    int | None,
    typer.Option("--context", metavar="N", min=0, help="Show N sentences of the document before each, translated."),
]
RerankOption = Annotated[
    str | None,
    typer.Option("--rerank", metavar="mbr|qe", help="Choose among hypotheses by expected utility, or by a QE metric."),
]


@dataclass(frozen=True)
class Told:
    """The files that guide a translation."""

    shots: Path | None = None
    memory: Path | None = None
    memory_shots: int = 3
    glossary: Path | None = None

    def guides(self, directions: Sequence[Direction]) -> dict[Direction, Guide]:
        """All of them read, for each direction. Raises InputError for what cannot be used."""
        from alma_cli.decoding.guide import Guide

        return {
            direction: Guide(
                _shots(self.shots, direction) if self.shots else (),
                _memory(self.memory, direction) if self.memory else None,
                self.memory_shots,
                _glossary(self.glossary, direction) if self.glossary else None,
            )
            for direction in directions
        }


def rerank_values(rerank: str | None, context: int | None) -> dict[str, Any]:
    """The recipe's keys that the options set."""
    given = {"decoding.rerank": rerank, "decoding.context_sentences": context}
    return {key: value for key, value in given.items() if value is not None}


def with_candidates(recipe: Recipe, *, glossary: bool) -> Recipe:
    """The recipe, asking for as many hypotheses as it has beams where something chooses among them; and a warning
    where what chooses is what `alma score` measures."""
    from alma_cli.decoding.reranker import evaluation_metric

    settings = recipe.decoding
    metric = evaluation_metric(settings)
    if metric in recipe.scoring.metrics:
        console.warn(
            f"translations are chosen by {metric}, which is among scoring.metrics: "
            "a score of that metric no longer tells how good they are"
        )
    if (metric or glossary) and settings.n_best == 1 and not settings.samples:
        if metric and settings.beams == 1:
            console.warn("reranking has nothing to choose from: decoding.beams is 1 and decoding.samples 0")
        settings = settings.model_copy(update={"n_best": settings.beams})
    return recipe.model_copy(update={"decoding": settings})


def kept_terms(glossary: Glossary, rows: Iterable[tuple[str, str]]) -> Adherence:
    """How well translations keep to a glossary, told in one line; `rows` are sources with their translations."""
    sources, translations = zip(*rows, strict=True) if (rows := list(rows)) else ((), ())
    found = glossary.adherence(sources, translations)
    console.note(
        f"glossary: {found.kept} of {found.matched} terms kept ({found.rate:.1%}) in {found.segments} segments"
        if found.matched
        else "glossary: no segment has one of its terms"
    )
    return found


def tell_reranking(counts: Counts, recipe: Recipe) -> None:
    """What reranking came to by its own measure."""
    from alma_cli.decoding.reranker import evaluation_metric

    if counts.reranked:
        before, after = counts.utility_before / counts.reranked, counts.utility / counts.reranked
        what = f"{recipe.decoding.rerank} by {evaluation_metric(recipe.decoding)}"
        console.note(f"{what}: mean utility {before:.4g} -> {after:.4g} over {counts.reranked} texts")


def _shots(path: Path, direction: Direction) -> tuple[TextPair, ...]:
    from alma_cli.data.shots import read_shots

    examples = read_shots(path / f"{direction}.jsonl" if path.is_dir() else path)
    shots = tuple((one.source, one.target) for one in examples if one.direction == direction)
    if not shots:
        others = ", ".join(sorted({str(one.direction) for one in examples}))
        raise InputError(f"'{path}' has no examples in {direction}", hint=f"it has: {others}")
    return shots


def _memory(path: Path, direction: Direction) -> TranslationMemory:
    from alma_cli.data.memory import read_memory
    from alma_cli.decoding.memory import TranslationMemory

    found = read_memory(path, direction)
    left_out = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in found.left_out.most_common())
    console.note(
        f"translation memory {path}: {len(found.pairs):,} pairs" + (f"; left out: {left_out}" if left_out else "")
    )
    return TranslationMemory(found.pairs, direction.source)


def _glossary(path: Path, direction: Direction) -> Glossary:
    from alma_cli.decoding.glossary import Glossary

    glossary = Glossary.read(path, direction)
    console.note(f"glossary {path}: {len(glossary.terms):,} terms")
    return glossary


GuideOf = Callable[["Direction"], "Guide"]
