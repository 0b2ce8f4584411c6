"""A glossary: which of its terms a source has, what a model is told of them, whether a translation keeps to them.

# source <TAB> target <TAB> a comment, if any
Ware	goods
Lager	warehouse	not "storage"
Lager	depot	also right; of several targets the first is told
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from alma_cli.core.languages import Direction
from alma_cli.core.prompt import TextPair, one_line
from alma_cli.core.text_files import decode_text, read_bytes, split_lines
from alma_cli.decoding.term_words import TermIndex, contains
from alma_cli.errors import InputError


@dataclass(frozen=True)
class Term:
    """What is to be called how; each of the targets is right."""

    source: str
    targets: tuple[str, ...]

    def is_kept(self, translation: str) -> bool:
        """Whether a translation has one of the targets."""
        return any(contains(translation, target) for target in self.targets)


@dataclass(frozen=True)
class Adherence:
    """How many of the terms that sources had are in their translations, each counted once a segment."""

    kept: int = 0
    matched: int = 0
    segments: int = 0  # with a term

    @property
    def rate(self) -> float:
        """From 0 to 1; 1 where no term was matched."""
        return self.kept / self.matched if self.matched else 1.0


class Glossary:
    """Terms in one direction."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self.terms = tuple(terms)

    @classmethod
    def read(cls, path: Path, direction: Direction) -> Glossary:
        """The terms of a file with tabs. Raises InputError that names the line of what is no term."""
        targets: dict[str, list[str]] = {}
        for number, line in enumerate(split_lines(decode_text(read_bytes(path), str(path))), 1):
            cells = [one_line(cell) for cell in line.split("\t")]
            if not any(cells) or line.startswith("#") or (number == 1 and _is_header(cells, direction)):
                continue
            if len(cells) < 2 or not cells[0] or not cells[1]:
                raise InputError(
                    f"'{path}' line {number} is no term: {one_line(line)[:60]!r}",
                    hint="a line is a source term, a tab, a target term, and a tab and a comment if you like",
                )
            listed = targets.setdefault(cells[0], [])
            if cells[1] not in listed:
                listed.append(cells[1])
        if not targets:
            raise InputError(f"'{path}' has no terms")
        return cls(Term(source, tuple(listed)) for source, listed in targets.items())

    def terms_in(self, source: str) -> tuple[Term, ...]:
        """The terms that a source has, in its order, each once."""
        return tuple(dict.fromkeys(self.terms[found.number] for found in self._index.find(source)))

    def pairs_in(self, source: str) -> tuple[TextPair, ...]:
        """What a prompt tells of them."""
        return tuple((term.source, term.targets[0]) for term in self.terms_in(source))

    def kept_in(self, source: str, translation: str) -> int:
        """How many of the source's terms the translation keeps to."""
        return sum(term.is_kept(translation) for term in self.terms_in(source))

    def missing(self, source: str, translation: str) -> tuple[Term, ...]:
        """The source's terms that the translation does not keep to."""
        return tuple(term for term in self.terms_in(source) if not term.is_kept(translation))

    def adherence(self, sources: Sequence[str], translations: Sequence[str]) -> Adherence:
        """Over all segments."""
        kept = matched = segments = 0
        for source, translation in zip(sources, translations, strict=True):
            terms = self.terms_in(source)
            segments += bool(terms)
            matched += len(terms)
            kept += self.kept_in(source, translation) if terms else 0
        return Adherence(kept, matched, segments)

    @property
    def fingerprint(self) -> str:
        """Tells two glossaries apart."""
        rows = "\n".join("\t".join((term.source, *term.targets)) for term in self.terms)
        return hashlib.sha256(rows.encode()).hexdigest()[:32]

    @cached_property
    def _index(self) -> TermIndex:
        return TermIndex(term.source for term in self.terms)


def _is_header(cells: Sequence[str], direction: Direction) -> bool:
    names = tuple(cell.casefold() for cell in cells[:2])
    return names in {("source", "target"), ("src", "tgt"), (direction.source, direction.target)}
