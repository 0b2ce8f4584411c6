"""TMX, translation memories (1.1 to 1.4): units with a segment a language, of which a recipe wants two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from alma_cli.core.languages import Direction
from alma_cli.data.files import BLOCK_BYTES, shown
from alma_cli.data.language_tags import language_of_tag
from alma_cli.data.readers.grouping import Numbered, blocks_of
from alma_cli.data.readers.markup import InlineText, read_units
from alma_cli.data.records import Pair, RawBlock, Row, Unreadable

_CODES = frozenset(("bpt", "ept", "it", "ph", "ut"))


@final
@dataclass(frozen=True)
class TmxPairs:
    """The segments of each unit in the languages of each direction.

    Where a language has several, the first goes with the first of the other language, the second with the second; and
    those that are left over, with the first.
    """

    path: Path
    directions: tuple[Direction, ...]
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Units, each a list of language tags and texts."""
        return blocks_of(read_units(self.path, _TmxUnits()), self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with the number of the line where its unit begins; a unit without one is in other languages."""
        for place, unit in block.content:
            if isinstance(unit, Unreadable):
                yield place, unit
                continue
            texts: dict[str | None, list[str]] = {}
            for tag, text in unit:
                texts.setdefault(language_of_tag(tag), []).append(text)
            pairs = [pair for direction in self.directions for pair in _pairs(texts, direction)]
            if not pairs:
                seen = "; ".join(f"{tag}: {text}" for tag, text in unit[:4])
                yield place, Unreadable("other_language", shown(seen)) if unit else Unreadable("empty")
            for pair in pairs:
                yield place, pair


def _pairs(texts: Mapping[str | None, list[str]], direction: Direction) -> Iterator[Pair]:
    sources, targets = texts.get(direction.source, []), texts.get(direction.target, [])
    if sources and targets:
        for number in range(max(len(sources), len(targets))):
            source = sources[number] if number < len(sources) else sources[0]
            target = targets[number] if number < len(targets) else targets[0]
            yield Pair(direction, source, target)


class _TmxUnits:
    """<tu> <tuv xml:lang="de"> <seg>text</seg> </tuv> ... </tu>."""

    def __init__(self) -> None:
        self.found: list[Numbered] = []
        self.text = InlineText(_CODES)
        self._line = 0
        self._tag = ""
        self._segments: list[tuple[str, str]] = []

    def start(self, name: str, attributes: Mapping[str, str], line: int) -> None:
        """Of <tu>, <tuv>, <seg>, or of an element within a segment."""
        if self.text.inside:
            self.text.start(name)
        elif name == "tu":
            self._line, self._segments = line, []
            self.text.begin_unit()
        elif name == "tuv":
            self._tag = attributes.get("xml:lang") or attributes.get("lang", "")
        elif name == "seg":
            self.text.begin()

    def end(self, name: str) -> None:
        """Of the same."""
        if self.text.inside and name != "seg":
            self.text.end()
        elif name == "seg":
            text = self.text.finish()
            if not self.text.too_long:
                self._segments.append((self._tag, text))
        elif name == "tu":
            seen = self._segments[0][1] if self._segments else ""
            self.found.append((self._line, self.text.problem(seen) or self._segments))
