"""What each source's prompt tells beside it: fixed examples, pairs of a translation memory, terms of a glossary."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from alma_cli.core.prompt import Guidance, TextPair
from alma_cli.decoding.glossary import Glossary
from alma_cli.decoding.memory import TranslationMemory


@dataclass(frozen=True)
class Guide:
    """Where guidance comes from; the same source always gets the same."""

    shots: tuple[TextPair, ...] = ()
    memory: TranslationMemory | None = None
    memory_shots: int = 3
    glossary: Glossary | None = None

    def __bool__(self) -> bool:
        return bool(self.shots or self.memory or self.glossary)

    def guidance(self, source: str, before: Sequence[TextPair] = ()) -> Guidance:
        """Fixed examples, then the memory's, the most similar last; then the sentences `before` it; then terms."""
        similar = self.memory.nearest(source, self.memory_shots) if self.memory else []
        terms = self.glossary.pairs_in(source) if self.glossary else ()
        return Guidance((*self.shots, *reversed(similar), *before), terms)

    @cached_property
    def fingerprint(self) -> str:
        """Tells two guides apart; empty for one that tells nothing."""
        if not self:
            return ""
        parts = [
            *(text for pair in self.shots for text in pair),
            f"{self.memory_shots} of {self.memory.fingerprint}" if self.memory else "",
            self.glossary.fingerprint if self.glossary else "",
        ]
        return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
