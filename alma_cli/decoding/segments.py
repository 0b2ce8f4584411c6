"""Segments of documents to their translations: each text once, long ones in pieces, odd ones again in another way.

segments --split--> pieces --session--> translations --flags--> odd ones, next attempt --join--> segments
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from alma_cli.core.languages import Direction
from alma_cli.core.prompt import TextPair, one_line
from alma_cli.decoding import pieces
from alma_cli.decoding.attempts import Attempt
from alma_cli.decoding.journal import Kept
from alma_cli.decoding.session import Before, Session
from alma_cli.decoding.translator import Translation

IN_CONTEXT = "in the context of those before them"

Plan = list[tuple[str, str]]  # pieces of a text, each with the white space after it
# Given what is being made, how many of them and how many there were before: draws the progress, and takes them all.
Follow = Callable[[Iterator[Translation], str, int, int], None]


@dataclass(frozen=True)
class Candidate:
    """A translation that is to be judged."""

    source: str
    text: str
    reached_limit: bool  # it was stopped at the token limit


# What is odd about each of many translations, which is known faster of many together.
FlagsOf = Callable[[Sequence[Candidate]], list[tuple[str, ...]]]


@dataclass(frozen=True)
class Outcome:
    """What a segment came to."""

    source: str
    text: str  # its source, where it is not translated yet
    flags: tuple[str, ...] = ()
    is_translated: bool = True
    source_cut: bool = False
    guidance_cut: bool = False


@dataclass
class Counts:
    """What there was to do and what was done; texts are pieces of segments."""

    texts: int = 0  # different ones
    known: int = 0  # translated before
    made: int = 0  # now, other attempts counted as well
    tokens: int = 0  # made now
    retried: int = 0
    mended: int = 0  # of those, how many have fewer flags now
    reranked: int = 0  # texts for which there was a choice
    utility_before: float = 0.0  # summed over them: of the model's own choice, and of the one that was made
    utility: float = 0.0


@dataclass
class SegmentTranslator:
    """Translates segments in one direction, or (not `making`) puts together what has been translated so far."""

    session: Session
    direction: Direction
    attempts: Sequence[Attempt]
    flags_of: FlagsOf
    follow: Follow
    making: bool = True
    counts: Counts = field(default_factory=Counts)

    def outcomes(self, *documents: Iterable[str]) -> dict[str, Outcome]:
        """One Outcome for each different segment of the documents that is not blank."""
        lists = [[segment for segment in document if segment.strip()] for document in documents]
        plans = {segment: self._plan(segment) for segments in lists for segment in segments}
        texts = _texts(plans)
        self.counts.texts = len(texts)
        found = self._by_attempts(texts)
        if self.session.settings.context_sentences:
            orders = [[text for segment in segments for text, _ in plans[segment] if text] for segments in lists]
            found = self._in_context(orders, found)
        return {segment: self._joined(segment, plan, found) for segment, plan in plans.items()}

    def texts(self, segments: Iterable[str]) -> list[str]:
        """The different texts that are translated one by one."""
        return _texts({segment: self._plan(segment) for segment in segments if segment.strip()})

    def missing(self, segments: Iterable[str]) -> list[str]:
        """Those of them that the first attempt has yet to translate."""
        texts = self.texts(segments)
        known = self.session.known(texts, self.direction, self.attempts[0].settings)
        return [text for text in texts if text not in known]

    def _plan(self, segment: str) -> Plan:
        return pieces.split(segment, self.direction.source, most_letters=self.session.settings.max_source_letters)

    def _by_attempts(self, texts: list[str]) -> dict[str, Outcome]:
        best: dict[str, Outcome] = {}
        open_texts = texts
        for number, attempt in enumerate(self.attempts):
            for text, outcome in self._attempt(open_texts, attempt, first=number == 0).items():
                if text not in best or len(outcome.flags) < len(best[text].flags):
                    self.counts.mended += text in best
                    best[text] = outcome
            open_texts = [text for text in open_texts if text in best and best[text].flags]
            if number == 0:
                self.counts.retried = len(open_texts) if len(self.attempts) > 1 else 0
        return best

    def _in_context(self, documents: list[list[str]], alone: dict[str, Outcome]) -> dict[str, Outcome]:
        """The texts again, each with those before it and how they were translated alone; the worse of both is dropped.

        A text that comes several times is translated once, where it first has something before it.
        """
        before: dict[str, tuple[TextPair, ...]] = {}
        for texts in documents:
            for number, text in enumerate(texts):
                ahead = texts[max(0, number - self.session.settings.context_sentences) : number]
                pairs = tuple((one_line(one), alone[one].text) for one in ahead if one in alone and alone[one].text)
                if pairs:
                    before.setdefault(text, pairs)
        attempt = replace(self.attempts[0], what=IN_CONTEXT)
        again = self._attempt([text for text in before if text in alone], attempt, first=False, before=before)
        better = {text: outcome for text, outcome in again.items() if len(outcome.flags) <= len(alone[text].flags)}
        return alone | better

    def _attempt(
        self, texts: list[str], attempt: Attempt, *, first: bool, before: Before | None = None
    ) -> dict[str, Outcome]:
        code = self.direction.source
        plans = {text: pieces.by_sentences(text, code) if attempt.by_sentences else [(text, "")] for text in texts}
        if attempt.by_sentences:
            plans = {text: plan for text, plan in plans.items() if len(plan) > 1}
        found = self._translations(_texts(plans), attempt, first=first, before=before)
        put_together = [
            (Candidate(text, self._whole(plan, kept), any(part.reached_limit for part in kept)), kept)
            for text, plan in plans.items()
            if (kept := _parts(plan, found)) is not None
        ]
        flags = self.flags_of([candidate for candidate, _ in put_together])
        return {
            one.source: _outcome(one.source, one.text, of_one, kept)
            for (one, kept), of_one in zip(put_together, flags, strict=True)
        }

    def _translations(
        self, texts: list[str], attempt: Attempt, *, first: bool, before: Before | None
    ) -> dict[str, Kept]:
        known = self.session.known(texts, self.direction, attempt.settings, before)
        missing = [text for text in texts if text not in known]
        if first:
            self.counts.known = len(known)
        if missing and self.making:
            making = self.session.translate(missing, self.direction, attempt.settings, before)
            self.follow(self._counted(making), attempt.what, len(missing), len(known) if first else 0)
            known |= self.session.known(missing, self.direction, attempt.settings, before)
        if first:
            self._count_utilities(known.values())
        return known

    def _count_utilities(self, translations: Iterable[Kept]) -> None:
        for kept in translations:
            if kept.utility_before is not None and kept.utility is not None:
                self.counts.reranked += 1
                self.counts.utility_before += kept.utility_before
                self.counts.utility += kept.utility

    def _counted(self, translations: Iterator[Translation]) -> Iterator[Translation]:
        for translation in translations:
            self.counts.made += 1
            self.counts.tokens += translation.new_tokens
            yield translation

    def _whole(self, plan: Plan, parts: Sequence[Kept | Outcome]) -> str:
        return pieces.join([part.text for part in parts], [after for _, after in plan], self.direction.target)

    def _joined(self, segment: str, plan: Plan, found: dict[str, Outcome]) -> Outcome:
        parts = [found.get(text) if text else Outcome("", "") for text, _ in plan]
        kept = [part for part in parts if part is not None]
        if len(kept) < len(plan):
            return Outcome(segment, segment, is_translated=False)
        if len(plan) == 1:
            return kept[0]
        text = self._whole(plan, kept)
        (flags,) = self.flags_of([Candidate(segment, text, any("cut" in part.flags for part in kept))])
        return _outcome(segment, text, flags, kept)


def _parts(plan: Plan, found: dict[str, Kept]) -> list[Kept] | None:
    """The translations of a text's parts; None where one has none yet."""
    parts = [found.get(part) if part else Kept("", 0, reached_limit=False, source_cut=False) for part, _ in plan]
    kept = [part for part in parts if part is not None]
    return kept if len(kept) == len(plan) else None


def _outcome(source: str, text: str, flags: tuple[str, ...], parts: Sequence[Kept | Outcome]) -> Outcome:
    cut, told_less = any(part.source_cut for part in parts), any(part.guidance_cut for part in parts)
    return Outcome(source, text, flags, source_cut=cut, guidance_cut=told_less)


def _texts(plans: dict[str, Plan]) -> list[str]:
    return list(dict.fromkeys(text for plan in plans.values() for text, _ in plan if text))
