"""The ways in which a text is translated, one after the other, until nothing about the translation is odd."""

from __future__ import annotations

from dataclasses import dataclass

from alma_cli.core.recipe import DecodingSettings


@dataclass(frozen=True)
class Attempt:
    """One way of translating."""

    what: str  # told to people
    settings: DecodingSettings
    by_sentences: bool = False  # each sentence alone


def attempts_of(settings: DecodingSettings) -> tuple[Attempt, ...]:
    """As the recipe says; then greedily where that was a beam search, or else by one; then sentence by sentence."""
    other = settings.model_copy(update={"beams": 1 if settings.beams > 1 else 5})
    return (
        Attempt("", settings),
        Attempt("greedily" if other.beams == 1 else f"with {other.beams} beams", other),
        Attempt("sentence by sentence", settings, by_sentences=True),
    )
