"""What metrics miss in a translation: it is empty, in another language, cut off, has lost a number, and so on.

A flag on a good human translation is a defect, so each threshold lies beyond what the references of WMT'22 need
(docs/translate.md has the counts); what is doubtful passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from alma_cli.core.languages import Direction
from alma_cli.core.text.addresses import addresses_in
from alma_cli.core.text.breaks import is_blank, line_breaks, repeated_sentence, sentence_ends
from alma_cli.core.text.characters import Characters
from alma_cli.core.text.copied import holds_copy, is_copied
from alma_cli.core.text.language import other_languages
from alma_cli.core.text.lengths import latin_lengths
from alma_cli.core.text.numbers import changed_numbers, missing_numbers
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
# Good translations may drop a full stop; together with so much less text than the source, the end is missing. Where
# the last character is a letter, less of a difference tells.
_CUT_SHORT, _CUT_IN_WORDS, _CUT_CHARACTERS = 0.75, 1.0, 40
# Nothing good ends in these, however long it is, where its source ends in a full stop.
_OPEN_ENDS = ",;:([{«„-–—、，；：（「"  # noqa: RUF001
_STOPS = ".!?…。！？؟।:;：；"  # noqa: RUF001
_CLOSING = "\"'”’»«“„)]}」』）】›*_ "  # noqa: RUF001
# So many words with small letters make a text that is not the same in every language.
_COPIED_WORDS = 2
# A source of so many letters says something that a stop, a dash or a smile does not.
_WORDY_LETTERS = 20
# A line too many: so many sentences more than the source has, in so much more text.
_MORE_SENTENCES, _MORE_TEXT, _MORE_CHARACTERS = 2, 1.8, 15
# Two sources of so many characters that share a translation, though only so much of their wording, are no greetings.
_TELLING_CHARACTERS, _SHARED_WORDING = 25, 0.5


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

    @cached_property
    def lengths(self) -> list[tuple[float, float]]:
        """Of each source and its translation, in Latin characters."""
        sources, targets = (latin_lengths(Characters.of(texts)).tolist() for texts in (self.sources, self.translations))
        return list(zip(sources, targets, strict=True))


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
        if is_blank(text):
            if not (known.sources and is_blank(known.source(index))):
                yield index, SegmentFlag("empty")
        elif not any(map(str.isalnum, text)) and sum(map(str.isalpha, known.source(index))) >= _WORDY_LETTERS:
            yield index, SegmentFlag("empty", f"only {text.strip()[:20]}")


def _several_lines(known: _Segments) -> Found:
    """More line breaks, real or written, than the source has."""
    for index, text in enumerate(known.translations):
        breaks = line_breaks(text)
        if breaks and breaks > line_breaks(known.source(index)):
            yield index, SegmentFlag("several_lines", f"{breaks + 1} lines")


def _several_sentences(known: _Segments) -> Found:
    """The translation goes on after what the source says: with the next line's, or of its own accord."""
    for index, (source, target) in enumerate(known.lengths):
        if target > _MORE_TEXT * source + _MORE_CHARACTERS:
            more = sentence_ends(known.translations[index]) - max(1, sentence_ends(known.sources[index]))
            if more >= _MORE_SENTENCES:
                yield index, SegmentFlag("several_lines", f"{more} sentences more than its source")


def _wrong_language(known: _Segments) -> Found:
    texts = known.translations
    for index, other in other_languages(texts, Characters.of(texts), known.direction.target).items():
        yield index, SegmentFlag("wrong_language", other)


def _looping(known: _Segments) -> Found:
    runs = has_runs(Characters.of(known.translations)).tolist()
    for index, text in enumerate(known.translations):
        source = known.source(index)
        if repeats_itself(text, has_runs=runs[index]) and not repeats_itself(source, has_runs=True):
            yield index, SegmentFlag("looping")
        elif (again := repeated_sentence(text)) and not repeated_sentence(source):
            yield index, SegmentFlag("looping", again)


def _copied_source(known: _Segments) -> Found:
    copies = [
        index
        for index, (source, text) in enumerate(zip(known.sources, known.translations, strict=True))
        if is_copied(source, text, fewest_words=_COPIED_WORDS) or holds_copy(source, text)
    ]
    # A quotation that is in another language in the source, too, is left as it is.
    texts = [known.sources[index] for index in copies]
    foreign = other_languages(texts, Characters.of(texts), known.direction.source)
    for place, index in enumerate(copies):
        if place not in foreign:
            yield index, SegmentFlag("copied_source")


def _length_outlier(known: _Segments) -> Found:
    for index, (source, target) in enumerate(known.lengths):
        if target and (target > _LONGEST * source + _FREE_CHARACTERS or target + _FREE_CHARACTERS < _SHORTEST * source):
            yield index, SegmentFlag("length_outlier", f"{target / max(source, 1):.1f} times its source")


def _cut_off(known: _Segments) -> Found:
    for index, (source, target) in enumerate(known.lengths):
        if source < _CUT_CHARACTERS or not _ends(known.sources[index]):
            continue
        text = known.translations[index].rstrip()
        if not text or _ends(text):
            continue
        if text[-1] in _OPEN_ENDS or target < source * (_CUT_IN_WORDS if text[-1].isalpha() else _CUT_SHORT):
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
        text = known.translations[index]
        if lost := missing_numbers(source, text) or changed_numbers(source, text):
            yield index, SegmentFlag("number_lost", " ".join(sorted(lost)))


def _duplicated(known: _Segments) -> Found:
    firsts: dict[str, int] = {}
    for index, text in enumerate(known.translations):
        first = firsts.setdefault(text.strip(), index)
        source, other = known.sources[index].strip(), known.sources[first].strip()
        telling = min(len(source), len(other), len(text)) >= _TELLING_CHARACTERS
        if first != index and telling and _shared_wording(source, other) < _SHARED_WORDING:
            yield index, SegmentFlag("duplicated", f"as line {first + 1}")


Check = Callable[[_Segments], Found]
_ALONE: tuple[Check, ...] = (_empty, _several_lines, _wrong_language, _looping)
_BESIDE_SOURCE: tuple[Check, ...] = (
    *(_several_sentences, _copied_source, _length_outlier, _cut_off),
    *(_markup_lost, _address_lost, _number_lost, _duplicated),
)


def _ends(text: str) -> bool:
    return text.rstrip(_CLOSING)[-1:] in tuple(_STOPS)


def _shared_wording(text: str, other: str) -> float:
    """The share of the shorter text's trigrams of letters that the other has, too."""
    grams, others = _trigrams(text), _trigrams(other)
    return len(grams & others) / max(1, min(len(grams), len(others)))


def _trigrams(text: str) -> set[str]:
    letters = "".join(filter(str.isalnum, text.casefold()))
    return {letters[start : start + 3] for start in range(len(letters) - 2)}
