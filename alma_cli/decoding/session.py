"""One model, each source once: what the journal has is not translated again; several processes share.

first process                      the others
translate(sources) --- sources --> serve()
   own share, journal                 their share, their journal
   <---------------- translations ---
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from alma_cli.core.languages import Direction
from alma_cli.core.processes import Processes
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.journal import Journal, Kept, key_of
from alma_cli.decoding.translator import Translation, Translator


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
    ) -> None:
        """Without `journals`, the directory that has them, nothing is kept; without `resume`, nothing is looked up."""
        self.settings = settings
        self._load = load
        self._translator: Translator | None = None
        self._origin = origin
        self._journals = journals
        self._resume = resume
        self._made: dict[str, dict[str, Kept]] = {}  # in this session, by what makes them and source
        self._processes = processes or Processes()

    @property
    def translator(self) -> Translator:
        """The translator, loaded now if it was not yet."""
        self._translator = self._translator or self._load()
        return self._translator

    def known(
        self, sources: Sequence[str], direction: Direction, settings: DecodingSettings | None = None
    ) -> dict[str, Kept]:
        """The translations that need not be made: of this session, and of earlier ones unless they are ignored."""
        settings = settings or self.settings
        made = self._made_so_far(direction, settings)
        journal = self._journal(direction, settings)
        keys = {source: key_of(source) for source in sources if source not in made}
        if journal is not None and self._resume and keys:
            kept = journal.find(keys.values())
            made.update({source: kept[key] for source, key in keys.items() if key in kept})
        return {source: made[source] for source in sources if source in made}

    def translate(
        self, sources: Sequence[str], direction: Direction, settings: DecodingSettings | None = None
    ) -> Iterator[Translation]:
        """One Translation for each source, as they are made; each is on disk before it comes out."""
        settings = settings or self.settings
        if not sources:
            return
        self._processes.gathered((tuple(sources), direction, settings))
        shares = self._shares(sources)
        for translation in self._translate_share([sources[index] for index in shares[0]], direction, settings):
            yield replace(translation, index=shares[0][translation.index])
        made = self._made_so_far(direction, settings)
        for share, translations in zip(shares, self._processes.gathered([]), strict=True):
            for translation in translations:
                index = share[translation.index]
                made[sources[index]] = _kept(translation)
                yield replace(translation, index=index)

    def serve(self) -> None:
        """What every process but the first does: its share of whatever the first is asked for, until it is closed."""
        while (task := self._processes.gathered(None)[0]) is not None:
            sources, direction, settings = task
            share = [sources[index] for index in self._shares(sources)[self._processes.rank]]
            known = self.known(share, direction, settings)
            missing = [index for index, source in enumerate(share) if source not in known]
            found = [translation_of(index, known[source]) for index, source in enumerate(share) if source in known]
            made = self._translate_share([share[index] for index in missing], direction, settings)
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
        self, sources: Sequence[str], direction: Direction, settings: DecodingSettings
    ) -> Iterator[Translation]:
        if not sources:
            return
        made = self._made_so_far(direction, settings)
        with self._journal(direction, settings) or nullcontext() as journal:
            for translation in self.translator.searching(settings).translate(sources, direction):
                source, kept = sources[translation.index], _kept(translation)
                if journal is not None:
                    journal.add(key_of(source), kept)
                made[source] = kept
                yield translation

    def _made_so_far(self, direction: Direction, settings: DecodingSettings) -> dict[str, Kept]:
        return self._made.setdefault(f"{direction} {settings.model_dump_json()}", {})

    def _journal(self, direction: Direction, settings: DecodingSettings) -> Journal | None:
        return Journal(self._journals, self._origin(direction, settings)) if self._journals else None


def translation_of(index: int, kept: Kept) -> Translation:
    """What the journal has as the translation of the source with this index."""
    return Translation(index, kept.text, kept.new_tokens, kept.reached_limit, kept.source_cut)


def _kept(translation: Translation) -> Kept:
    return Kept(translation.text, translation.new_tokens, translation.reached_limit, translation.source_cut)
