"""Translating, library and screen together: the model with its journal, and the recipe's test sets."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from alma_cli import console
from alma_cli.commands.guidance import kept_terms
from alma_cli.errors import InputError, MachineError

if TYPE_CHECKING:
    from alma_cli.core.languages import Direction
    from alma_cli.core.model_files import ModelFiles
    from alma_cli.core.recipe import DecodingSettings, Recipe
    from alma_cli.decoding.guide import Guide
    from alma_cli.decoding.session import Session
    from alma_cli.decoding.system import System
    from alma_cli.decoding.translator import Translation, Translator

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def open_session(
    files: ModelFiles,
    recipe: Recipe,
    *,
    resume: bool,
    told: str = "",
    guides: Mapping[Direction, Guide] = MappingProxyType({}),
) -> Iterator[Session | None]:
    """A model that remembers what it has translated; None in a process that has done its part for the first one.

    Raises MachineError for a full disk: what is translated by then is kept.
    """
    from alma_cli.core.processes import Processes
    from alma_cli.decoding.guide import NO_GUIDE
    from alma_cli.decoding.origin import origin_of
    from alma_cli.decoding.session import Session

    @cache
    def origin(direction: Direction, settings: DecodingSettings) -> dict[str, Any]:
        return origin_of(files, direction, settings, recipe.prompt.style)

    def load() -> Translator:
        return open_translator(files, recipe, what=told)

    processes = Processes()
    session = Session(
        load,
        origin,
        recipe.decoding,
        journals=_journals(),
        resume=resume,
        processes=processes,
        guide_of=lambda direction: guides.get(direction, NO_GUIDE),
    )
    try:
        if not processes.is_first:
            session.serve()
            yield None
            return
        yield session
        session.close()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise MachineError(
            f"{error.strerror} ({error.filename})" if error.filename else str(error.strerror),
            hint="make room on the disk, and the same command goes on",
        ) from None


def _journals() -> Path | None:
    """The directory of all journals; None, with a warning, where it cannot be written to."""
    from alma_cli.core.known_models import journal_directory

    directory = journal_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            pass
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        console.warn(
            f"no journal in {directory}: {error.strerror}; once stopped, the translation starts anew "
            "(set ALMA_JOURNALS to a directory that you may write to)"
        )
        return None
    return directory


def open_translator(files: ModelFiles, recipe: Recipe, *, what: str = "") -> Translator:
    """Load a model to translate with, and tell which it is and what differs from the recipe."""
    from alma_cli.decoding.translator import Translator

    console.note("model " + ", ".join(part for part in (files.name, files.note, what) if part))
    translator = Translator.load(files, recipe.decoding, style=recipe.prompt.style)
    if (style := translator.text_format.style) != recipe.prompt.style:
        console.warn(f"prompt style {style}, which the model was trained with, not the recipe's {recipe.prompt.style}")
    return translator


def translate_test_sets(
    recipe: Recipe,
    work: Path,
    system: System,
    directions: Sequence[Direction],
    *,
    resume: bool,
    guides: Mapping[Direction, Guide] = MappingProxyType({}),
) -> None:
    """Translate the recipe's test sets into the work directory. Raises InputError where there are none."""
    from alma_cli.core.dataset import read_test_examples
    from alma_cli.core.model_files import resolve_model
    from alma_cli.core.recipe import ZERO_SHOT
    from alma_cli.decoding.test_sets import test_sets

    examples = read_test_examples(work / "data", recipe.scoring.test_sentences)
    files = resolve_model(system.model)
    sets = test_sets(
        examples,
        directions,
        directory=work / "translations" / system.name,
        files=files,
        settings=recipe.decoding,
        style=recipe.prompt.style,
        guides=guides,
    )
    if not sets:
        raise InputError(f"the test set in '{work / 'data'}' has no examples in {', '.join(map(str, directions))}")
    told = "not fine-tuned here" if system.name == ZERO_SHOT else ""
    if recipe.decoding.context_sentences:
        console.note("test sets are no documents: decoding.context_sentences has no effect on them")
    with open_session(files, recipe, resume=resume, told=told, guides=guides) as session:
        for one in sets if session else ():
            assert session is not None
            what = f"{system.name} {one.direction}"
            if resume and one.is_translated:
                console.note(f"{what}: translated already; --no-resume does it again")
            else:
                one.save(_translate_all(session, one.sources, one.direction, what=what))
            if (guide := guides.get(one.direction)) and guide.glossary:
                kept_terms(guide.glossary, zip(one.sources, one.translations(), strict=True))


def _translate_all(session: Session, sources: Sequence[str], direction: Direction, *, what: str) -> list[Translation]:
    """A translation of every source, made now or kept from before."""
    from alma_cli.decoding.session import translation_of

    different = list(dict.fromkeys(sources))
    before = session.known(different, direction)
    if before:
        console.note(f"{what}: {len(before)} of {len(different)} segments were translated before")
    missing = [source for source in different if source not in before]
    console.follow_translation(session.translate(missing, direction), total=len(missing), what=what)
    found = session.known(different, direction)
    translations = [translation_of(index, found[source]) for index, source in enumerate(sources)]
    console.warn_of_limits(translations, what)
    return translations


def translate_if_nothing_is(recipe: Recipe, work: Path, directions: Sequence[Direction]) -> None:
    """Translate the test sets with the newest finished stage, where nobody has translated them with anything yet."""
    if any((work / "translations").glob("*/*.txt")):
        return
    from alma_cli.core.process import set_up_process

    set_up_process()
    from alma_cli.core.plan import newest_finished_stage
    from alma_cli.decoding.system import system_of

    if newest_finished_stage(work):
        console.note(f"no translations in {work / 'translations'} yet: translating the test sets first")
        translate_test_sets(recipe, work, system_of(recipe, work, None), directions, resume=True)
