"""What each source's prompt tells beside it: fixed examples, pairs of a translation memory, terms of a glossary."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from alma_cli.core.prompt import Guidance, TextPair, one_line
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

    def key(self, source: str, before: Sequence[TextPair] = ()) -> tuple[str, ...]:
        """All that a source's translation depends on beside it: what is told, and what counts as keeping to terms."""
        terms = self.glossary.terms_in(one_line(source)) if self.glossary else ()
        return (*self.guidance(source, before).texts, *(target for term in terms for target in term.targets[1:]))

    def guidance(self, source: str, before: Sequence[TextPair] = ()) -> Guidance:
        """Fixed examples, then the memory's, the most similar last; then the sentences `before` it; then terms."""
        if source not in self._found:
            line = one_line(source)
            similar = self.memory.nearest(line, self.memory_shots) if self.memory else []
            self._found[source] = (
                (*self.shots, *reversed(similar)),
                self.glossary.pairs_in(line) if self.glossary else (),
            )
        shots, terms = self._found[source]
        return Guidance((*shots, *before), terms)

    @cached_property
    def _found(self) -> dict[str, tuple[tuple[TextPair, ...], tuple[TextPair, ...]]]:
        """What was looked up, since it is asked for more than once."""
        return {}

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


NO_GUIDE = Guide()
