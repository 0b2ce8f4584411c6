"""Long texts as pieces that a model can translate, and their translations as one text again."""

from __future__ import annotations

import re

from alma_cli.core.languages import language
from alma_cli.core.sentences import split_sentences

# Written without spaces between sentences; a character of theirs says as much as three of an alphabet.
_UNSPACED = {"Han", "Japanese", "Thai"}
_LETTERS_PER_CHARACTER = 3
_TAG = re.compile(r"<(/?)\d+(/?)>")  # inline tags of documents
# Where a sentence that is too long is cut, the best first: Western and Chinese marks.
_BREAKS = (re.compile(r"[;:\u3002\uff1b\uff1a]\s*"), re.compile(r"[,\uff0c\u3001]\s*"), re.compile(r"\s+"))


def split(text: str, code: str, *, most_letters: int) -> list[tuple[str, str]]:
    """Pieces of at most so many letters, each with the white space after it; sentences where they are short enough.

    A text that is short enough is one piece. Inline tags that belong together stay together, however long that is.
    """
    if _letters(text, code) <= most_letters:
        return [(text, "")]
    return [
        part
        for sentence, after in by_sentences(text, code)
        for part in _cut(sentence, after, most_letters // (_LETTERS_PER_CHARACTER if _unspaced(code) else 1))
    ]


def by_sentences(text: str, code: str) -> list[tuple[str, str]]:
    """Each sentence and the white space after it; a sentence ends where all its inline tags have."""
    joined: list[tuple[str, str]] = []
    open_tags = 0
    for sentence, after in split_sentences(text, code):
        if joined and open_tags > 0:
            before, between = joined.pop()
            joined.append((before + between + sentence, after))
        else:
            joined.append((sentence, after))
        open_tags += sum((not alone) - 2 * bool(end) for end, alone in _TAG.findall(sentence))
    return joined


def join(translations: list[str], between: list[str], code: str) -> str:
    """The pieces' translations with the white space that `code` has between sentences; line breaks stay."""
    text = ""
    for translation, white_space in zip(translations, between, strict=True):
        text += translation
        if "\n" in white_space:
            text += white_space
        elif translation and not _unspaced(code):
            text += " "
    return text.strip()


def _cut(sentence: str, after: str, most: int) -> list[tuple[str, str]]:
    pieces = []
    while len(sentence) > most and not _TAG.search(sentence):
        end = _best_break(sentence, most)
        piece = sentence[:end].rstrip()
        pieces.append((piece, sentence[len(piece) : end]))
        sentence = sentence[end:]
    return [*pieces, (sentence, after)]


def _best_break(sentence: str, most: int) -> int:
    """Nearest to the end of what fits, but not so near to its start that crumbs come of it."""
    for pattern in _BREAKS:
        ends = [found.end() for found in pattern.finditer(sentence, most // 4, most)]
        if ends:
            return ends[-1]
    return most


def _letters(text: str, code: str) -> int:
    return len(text) * (_LETTERS_PER_CHARACTER if _unspaced(code) else 1)


def _unspaced(code: str) -> bool:
    return language(code).script in _UNSPACED
