"""One model, each source once: what the journal has is not translated again; several processes share.

first process                      the others
translate(sources) --- sources --> serve()
   own share, journal                 their share, their journal
   <---------------- translations ---
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from alma_cli.core.languages import Direction
from alma_cli.core.processes import Processes
from alma_cli.core.prompt import Guidance, TextPair
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.guide import NO_GUIDE, Guide
from alma_cli.decoding.journal import Journal, Kept, key_of
from alma_cli.decoding.reranker import reranker_of
from alma_cli.decoding.translator import Translation, Translator

Before = Mapping[str, tuple[TextPair, ...]]
"""For a source, the sentences before it with their translations; a source that is not in it is translated alone."""


class Session:
    """A translator that remembers; the model is loaded when there is something to translate."""

    def __init__(
        self,
        load: Callable[[], Translator],
        origin: Callable[[Direction, DecodingSettings], dict[str, Any]],
        settings: DecodingSettings,
        *,
        journals: Path | None,
        resume: bool = True,
        processes: Processes | None = None,
        guide_of: Callable[[Direction], Guide] = lambda _: NO_GUIDE,
    ) -> None:
        """Without `journals`, the directory that has them, nothing is kept; without `resume`, nothing is looked up."""
        self.settings = settings
        self._load = load
        self._translator: Translator | None = None
        self._origin = origin
        self._journals = journals
        self._resume = resume
        self.guide_of = guide_of
        self._made: dict[str, dict[str, Kept]] = {}  # in this session, by what makes them and key
        self._processes = processes or Processes()

    @property
    def translator(self) -> Translator:
        """The translator, loaded now if it was not yet."""
        self._translator = self._translator or self._load()
        return self._translator

    def known(
        self,
        sources: Sequence[str],
        direction: Direction,
        settings: DecodingSettings | None = None,
        before: Before | None = None,
    ) -> dict[str, Kept]:
        """The translations that need not be made: of this session, and of earlier ones unless they are ignored."""
        settings = settings or self.settings
        made = self._made_so_far(direction, settings)
        journal = self._journal(direction, settings)
        keys = {source: self._key(source, direction, before) for source in sources}
        unknown = [key for key in keys.values() if key not in made]
        if journal is not None and self._resume and unknown:
            made.update(journal.find(unknown))
        return {source: made[key] for source, key in keys.items() if key in made}

    def translate(
        self,
        sources: Sequence[str],
        direction: Direction,
        settings: DecodingSettings | None = None,
        before: Before | None = None,
    ) -> Iterator[Translation]:
        """One Translation for each source, as they are made; each is on disk before it comes out."""
        settings = settings or self.settings
        if not sources:
            return
        self._processes.gathered((tuple(sources), direction, settings, before))
        shares = self._shares(sources)
        for translation in self._translate_share([sources[index] for index in shares[0]], direction, settings, before):
            yield replace(translation, index=shares[0][translation.index])
        made = self._made_so_far(direction, settings)
        for share, translations in zip(shares, self._processes.gathered([]), strict=True):
            for translation in translations:
                index = share[translation.index]
                made[self._key(sources[index], direction, before)] = _kept(translation)
                yield replace(translation, index=index)

    def serve(self) -> None:
        """What every process but the first does: its share of whatever the first is asked for, until it is closed."""
        while (task := self._processes.gathered(None)[0]) is not None:
            sources, direction, settings, before = task
            share = [sources[index] for index in self._shares(sources)[self._processes.rank]]
            known = self.known(share, direction, settings, before)
            missing = [index for index, source in enumerate(share) if source not in known]
            found = [translation_of(index, known[source]) for index, source in enumerate(share) if source in known]
            made = self._translate_share([share[index] for index in missing], direction, settings, before)
            found += [replace(translation, index=missing[translation.index]) for translation in made]
            self._processes.gathered(found)

    def close(self) -> None:
        """Let the other processes go."""
        self._processes.gathered(None)

    def _shares(self, sources: Sequence[str]) -> list[list[int]]:
        """The indices of the sources that each process translates: as many long ones as short ones."""
        by_length = sorted(range(len(sources)), key=lambda index: (-len(sources[index]), index))
        return [by_length[rank :: self._processes.count] for rank in range(self._processes.count)]

    def _translate_share(
        self, sources: Sequence[str], direction: Direction, settings: DecodingSettings, before: Before | None
    ) -> Iterator[Translation]:
        if not sources:
            return
        made = self._made_so_far(direction, settings)
        reranker = reranker_of(settings, direction, self.guide_of(direction).glossary)
        guidance = [self._guidance(source, direction, before) for source in sources]
        told = guidance if any(one.texts for one in guidance) else ()
        with self._journal(direction, settings) or nullcontext() as journal:
            found = self.translator.searching(settings).translate(sources, direction, told)
            for translation in reranker.reranked(found, sources) if reranker else found:
                key, kept = self._key(sources[translation.index], direction, before), _kept(translation)
                if journal is not None:
                    journal.add(key, kept)
                made[key] = kept
                yield translation

    def _guidance(self, source: str, direction: Direction, before: Before | None) -> Guidance:
        return self.guide_of(direction).guidance(source, (before or {}).get(source, ()))

    def _key(self, source: str, direction: Direction, before: Before | None) -> str:
        guide = self.guide_of(direction)
        return key_of(source, guide.key(source, (before or {}).get(source, ())))

    def _made_so_far(self, direction: Direction, settings: DecodingSettings) -> dict[str, Kept]:
        return self._made.setdefault(f"{direction} {settings.model_dump_json()}", {})

    def _journal(self, direction: Direction, settings: DecodingSettings) -> Journal | None:
        return Journal(self._journals, self._origin(direction, settings)) if self._journals else None


def translation_of(index: int, kept: Kept) -> Translation:
    """What the journal has as the translation of the source with this index."""
    utilities = None if kept.utility_before is None or kept.utility is None else (kept.utility_before, kept.utility)
    return Translation(
        index,
        kept.text,
        kept.new_tokens,
        kept.reached_limit,
        kept.source_cut,
        guidance_cut=kept.guidance_cut,
        utilities=utilities,
    )


def _kept(translation: Translation) -> Kept:
    before, after = translation.utilities or (None, None)
    return Kept(
        translation.text,
        translation.new_tokens,
        translation.reached_limit,
        translation.source_cut,
        translation.guidance_cut,
        before,
        after,
    )
