"""What metrics miss in a translation: it is empty, in another language, cut off, has lost a number, and so on.

A flag on a good human translation is a defect, so each threshold lies beyond what the references of WMT'22 need
(docs/translate.md has the counts); what is doubtful passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from alma_cli.core.languages import Direction
from alma_cli.core.text.addresses import addresses_in
from alma_cli.core.text.characters import Characters
from alma_cli.core.text.copied import is_copied
from alma_cli.core.text.language import other_languages
from alma_cli.core.text.lengths import latin_lengths
from alma_cli.core.text.numbers import missing_numbers
from alma_cli.core.text.placeholders import placeholders_in
from alma_cli.core.text.repetition import has_runs, repeats_itself

FlagName = Literal[
    "empty",
    "wrong_language",
    "copied_source",
    "looping",
    "cut_off",
    "length_outlier",
    "several_lines",
    "markup_lost",
    "address_lost",
    "number_lost",
    "duplicated",
]
FLAG_NAMES: tuple[FlagName, ...] = get_args(FlagName)

# A translation so many times longer or shorter than its source, by what scripts say in a character, leaves out or
# makes up half of it; titles and interjections differ more, so some characters are free.
_LONGEST, _SHORTEST, _FREE_CHARACTERS = 2.5, 0.4, 30
# Good translations may drop a full stop; together with so much less text than the source, the end is missing.
_CUT_SHORT, _CUT_CHARACTERS = 0.75, 40
# Nothing good ends in these, however long it is, where its source ends in a full stop.
_OPEN_ENDS = ",;:([{«„-–—、，；：（「"  # noqa: RUF001
_STOPS = ".!?…。！？؟।:;：；"  # noqa: RUF001
_CLOSING = "\"'”’»«“„)]}」』）】›*_ "  # noqa: RUF001
# Two sources of so many characters that share a translation, though not a text, are no greetings.
_TELLING_CHARACTERS = 25


@dataclass(frozen=True)
class SegmentFlag:
    """One fault of one translation; `detail` is what was found: the other language, the lost number."""

    name: FlagName
    detail: str = ""


def flag_segments(
    sources: Sequence[str] | None, translations: Sequence[str], direction: Direction
) -> list[tuple[SegmentFlag, ...]]:
    """The flags of each translation; without sources only those that the translation itself tells."""
    assert sources is None or len(sources) == len(translations), f"{len(translations)=}"
    known = _Segments(list(sources or ()), list(translations), direction)
    found = [dict[FlagName, SegmentFlag]() for _ in translations]
    for check in _ALONE + (_BESIDE_SOURCE if sources else ()):
        for index, flag in check(known):
            found[index].setdefault(flag.name, flag)
    return [_without_consequences(flags) for flags in found]


@dataclass(frozen=True)
class _Segments:
    sources: list[str]
    translations: list[str]
    direction: Direction

    def source(self, index: int) -> str:
        return self.sources[index] if self.sources else ""


Found = Iterator[tuple[int, SegmentFlag]]


def _without_consequences(flags: dict[FlagName, SegmentFlag]) -> tuple[SegmentFlag, ...]:
    """An empty line has lost everything, and a copy is in the wrong language: the cause alone is told."""
    if "empty" in flags:
        return (flags["empty"],)
    if "copied_source" in flags:
        flags.pop("wrong_language", None)
    if "looping" in flags:
        flags.pop("length_outlier", None)
        flags.pop("cut_off", None)
    return tuple(flags[name] for name in FLAG_NAMES if name in flags)


def _empty(known: _Segments) -> Found:
    for index, text in enumerate(known.translations):
        if not text.strip() and not (known.sources and not known.source(index).strip()):
            yield index, SegmentFlag("empty")


def _several_lines(known: _Segments) -> Found:
    for index, text in enumerate(known.translations):
        lines = text.strip().count("\n") + 1
        if lines > known.source(index).strip().count("\n") + 1:
            yield index, SegmentFlag("several_lines", str(lines))


def _wrong_language(known: _Segments) -> Found:
    texts = known.translations
    for index, other in other_languages(texts, Characters.of(texts), known.direction.target).items():
        yield index, SegmentFlag("wrong_language", other)


def _looping(known: _Segments) -> Found:
    runs = has_runs(Characters.of(known.translations)).tolist()
    for index, text in enumerate(known.translations):
        if repeats_itself(text, has_runs=runs[index]) and not repeats_itself(known.source(index), has_runs=True):
            yield index, SegmentFlag("looping")


def _copied_source(known: _Segments) -> Found:
    copies = [
        index
        for index, (source, text) in enumerate(zip(known.sources, known.translations, strict=True))
        if is_copied(source, text)
    ]
    # A quotation that is in another language in the source, too, is left as it is.
    texts = [known.sources[index] for index in copies]
    foreign = other_languages(texts, Characters.of(texts), known.direction.source)
    for place, index in enumerate(copies):
        if place not in foreign:
            yield index, SegmentFlag("copied_source")


def _length_outlier(known: _Segments) -> Found:
    for index, (source, target) in enumerate(zip(*_lengths(known), strict=True)):
        if target and (target > _LONGEST * source + _FREE_CHARACTERS or target + _FREE_CHARACTERS < _SHORTEST * source):
            yield index, SegmentFlag("length_outlier", f"{target / max(source, 1):.1f} times its source")


def _cut_off(known: _Segments) -> Found:
    for index, (source, target) in enumerate(zip(*_lengths(known), strict=True)):
        if source < _CUT_CHARACTERS or not _ends(known.sources[index]):
            continue
        text = known.translations[index].rstrip()
        if text and not _ends(text) and (target < _CUT_SHORT * source or text[-1] in _OPEN_ENDS):
            yield index, SegmentFlag("cut_off", text[-20:])


def _markup_lost(known: _Segments) -> Found:
    for index, source in enumerate(known.sources):
        if lost := placeholders_in(source) - placeholders_in(known.translations[index]):
            yield index, SegmentFlag("markup_lost", " ".join(lost.elements()))


def _address_lost(known: _Segments) -> Found:
    for index, source in enumerate(known.sources):
        kept = known.translations[index].casefold()
        # A bare host may be called by its name instead.
        lost = [one for one in addresses_in(source) if ("/" in one or "@" in one) and one not in kept]
        if lost:
            yield index, SegmentFlag("address_lost", " ".join(sorted(lost)))


def _number_lost(known: _Segments) -> Found:
    for index, source in enumerate(known.sources):
        if lost := missing_numbers(source, known.translations[index]):
            yield index, SegmentFlag("number_lost", " ".join(sorted(lost)))


def _duplicated(known: _Segments) -> Found:
    firsts: dict[str, int] = {}
    for index, text in enumerate(known.translations):
        first = firsts.setdefault(text.strip(), index)
        source, other = known.sources[index].strip(), known.sources[first].strip()
        telling = min(len(source), len(other), len(text)) >= _TELLING_CHARACTERS
        if first != index and telling and _letters(source) != _letters(other):
            yield index, SegmentFlag("duplicated", f"as line {first + 1}")


Check = Callable[[_Segments], Found]
_ALONE: tuple[Check, ...] = (_empty, _several_lines, _wrong_language, _looping)
_BESIDE_SOURCE: tuple[Check, ...] = (
    *(_copied_source, _length_outlier, _cut_off, _markup_lost, _address_lost, _number_lost, _duplicated),
)


def _lengths(known: _Segments) -> tuple[list[float], list[float]]:
    source, target = (latin_lengths(Characters.of(texts)).tolist() for texts in (known.sources, known.translations))
    return source, target


def _ends(text: str) -> bool:
    return text.rstrip(_CLOSING)[-1:] in tuple(_STOPS)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
