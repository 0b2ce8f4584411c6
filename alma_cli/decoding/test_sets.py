"""The recipe's test sets through a translator: one file a system and direction, with a note of what made it.

translations/<system>/<direction>.txt    a line an example, in the order of data/parallel/test
translations/<system>/<direction>.json   model, settings and hash of the sources
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alma_cli.core.dataset import Example, write_atomically
from alma_cli.core.languages import Direction
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.guide import Guide
from alma_cli.decoding.translator import Translation


@dataclass(frozen=True)
class TestSet:
    """The sources of one direction, and where their translations by one system belong."""

    __test__ = False  # not a class of tests

    direction: Direction
    sources: tuple[str, ...]
    path: Path
    origin: dict[str, Any]

    @property
    def is_translated(self) -> bool:
        """Whether the same model has translated the same sources with the same settings already."""
        note = self.path.with_suffix(".json")
        return self.path.is_file() and note.is_file() and json.loads(note.read_text(encoding="utf-8")) == self.origin

    def translations(self) -> list[str]:
        """What is in the file."""
        return self.path.read_text(encoding="utf-8").split("\n")[:-1]

    def save(self, translations: Sequence[Translation]) -> None:
        """Write the translations in the order of their sources, each file complete or not at all."""
        lines = [translation.text for translation in sorted(translations, key=lambda t: t.index)]
        assert len(lines) == len(self.sources), f"{len(lines)=} {len(self.sources)=}"
        note = self.path.with_suffix(".json")
        note.unlink(missing_ok=True)
        write_atomically(self.path, "".join(line + "\n" for line in lines))
        write_atomically(note, json.dumps(self.origin, ensure_ascii=False, indent=1) + "\n")


def test_sets(
    examples: Sequence[Example],
    directions: Sequence[Direction],
    *,
    directory: Path,
    files: ModelFiles,
    settings: DecodingSettings,
    style: str,
    guides: Mapping[Direction, Guide],
) -> list[TestSet]:
    """One set a direction that has test examples; `directory` is the system's."""
    found = []
    for direction in directions:
        sources = tuple(example.source for example in examples if example.direction == direction)
        if sources:
            origin = {
                "version": 1,
                "direction": str(direction),
                "model": {"name": files.name, "note": files.note, "weights": _identity(files.weights)},
                "adapter": _identity(files.adapter) if files.adapter else None,
                "style": style,
                "decoding": settings.model_dump(mode="json"),
                "sources_sha256": hashlib.sha256("\n".join(sources).encode()).hexdigest(),
            }
            if guide := guides.get(direction):
                origin["guidance"] = guide.fingerprint
            found.append(TestSet(direction, sources, directory / f"{direction}.txt", origin))
    return found


test_sets.__test__ = False  # type: ignore[attr-defined]


def _identity(directory: Path) -> list[list[str | int]]:
    """Tells one set of weights from another without reading gigabytes: names, sizes and times of the files."""
    files = sorted(directory.glob("*.safetensors"))
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
