"""What `alma score` reads: translations in any format that `alma translate` writes, beside their references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alma_cli import console

if TYPE_CHECKING:
    from alma_cli.core.languages import Direction, Side
    from alma_cli.scoring.lines import ReadSegments
    from alma_cli.scoring.systems import TranslationSet


@dataclass(frozen=True)
class Inputs:
    """What the command line names."""

    hypotheses: Sequence[Path]
    references: Sequence[str] = ()
    source_text: Path | None = None
    direction: Direction | None = None
    column: str = ""
    field: str = ""


def read_sets(inputs: Inputs, recipe_directions: Sequence[Direction]) -> tuple[TranslationSet, ...]:
    """The translations beside their references, with a word about what was decided and what is left out."""
    from alma_cli.scoring.systems import find_hypotheses

    found = find_hypotheses(
        inputs.hypotheses,
        references=inputs.references,
        source_text=inputs.source_text,
        direction=inputs.direction,
        recipe_directions=recipe_directions,
        read=reader(inputs.column, inputs.field),
    )
    for line in found.notes:
        console.note(line)
    for line in found.warnings:
        console.warn(line)
    return found.sets


def reader(column: str = "", field: str = "") -> ReadSegments:
    """Reads a file's segments by the format that its ending names."""
    from alma_cli.core.text_files import read_bytes
    from alma_cli.documents.document import format_of
    from alma_cli.documents.options import DocumentOptions
    from alma_cli.documents.sides import read_side
    from alma_cli.scoring.lines import read_segments

    def read(path: Path, direction: Direction, side: Side) -> tuple[str, ...]:
        if format_of(path.name) in (None, "txt"):
            return read_segments(path)
        options = DocumentOptions(direction.source, direction.target, column=column, field=field)
        return read_side(read_bytes(path), str(path), side, options)

    return read
