"""XLIFF 1.2 and 2.x: the units of a translation job that have a target."""

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

_CODES = frozenset(("bpt", "ept", "it", "ph"))
_UNITS = ("trans-unit", "segment")  # of 1.2 and of 2.x
_SUGGESTIONS = ("alt-trans", "match")  # what a memory proposes has a source and a target, too
_NOT_TRANSLATED = ("new", "needs-translation")  # states of 1.2; many tools put a copy of the source there


@final
@dataclass(frozen=True)
class XliffPairs:
    """The source and the target of each unit, in the languages that the file names, or else in those of `default`."""

    path: Path
    directions: tuple[Direction, ...]
    default: Direction | None = None
    block_bytes: int = BLOCK_BYTES

    def blocks(self) -> Iterator[RawBlock]:
        """Units, each with its two language tags, its source and its target."""
        return blocks_of(read_units(self.path, _XliffUnits()), self.block_bytes)

    def rows(self, block: RawBlock) -> Iterator[tuple[int, Row]]:
        """Each pair with the number of the line where its unit begins."""
        for place, unit in block.content:
            yield place, unit if isinstance(unit, Unreadable) else self._row(*unit)

    def _row(self, source_tag: str, target_tag: str, source: str, target: str) -> Row:
        if not target.strip():
            return Unreadable("untranslated", shown(source))
        default = self.default or Direction("", "")
        codes = language_of_tag(source_tag or default.source), language_of_tag(target_tag or default.target)
        direction = Direction(codes[0] or "", codes[1] or "")
        if direction not in self.directions and direction.reverse not in self.directions:
            return Unreadable("other_language", shown(f"{source_tag}: {source}; {target_tag}: {target}"))
        return Pair(direction, source, target)


class _XliffUnits:
    """1.2: <file source-language target-language> <trans-unit>; 2.x: <xliff srcLang trgLang> <unit> <segment>."""

    def __init__(self) -> None:
        self.found: list[Numbered] = []
        self.text = InlineText(_CODES)
        self._tags = ("", "")
        self._line = 0
        self._in_unit = False
        self._suggestions = 0
        self._translated = True
        self._texts = {"source": "", "target": ""}

    def start(self, name: str, attributes: Mapping[str, str], line: int) -> None:
        """Of a unit, its source or target, or of an element within them."""
        if self.text.inside:
            self.text.start(name)
        elif name in _SUGGESTIONS:
            self._suggestions += 1
        elif name == "xliff":
            self._tags = (attributes.get("srcLang", ""), attributes.get("trgLang", ""))
        elif name == "file" and "source-language" in attributes:
            self._tags = (attributes["source-language"], attributes.get("target-language", ""))
        elif name in _UNITS:
            self._line, self._in_unit, self._translated = line, True, True
            self._texts = {"source": "", "target": ""}
            self.text.begin_unit()
        elif name in self._texts and self._in_unit and not self._suggestions:
            if attributes.get("state") in _NOT_TRANSLATED:
                self._translated = False
            self.text.begin()

    def end(self, name: str) -> None:
        """Of the same."""
        if self.text.inside and name not in self._texts:
            self.text.end()
        elif self.text.inside:
            self._texts[name] = self.text.finish()
        elif name in _SUGGESTIONS:
            self._suggestions -= 1
        elif name in _UNITS:
            self._in_unit = False
            source, target = self._texts["source"], self._texts["target"] if self._translated else ""
            self.found.append((self._line, self.text.problem(source) or (*self._tags, source, target)))
