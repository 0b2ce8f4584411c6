r"""What breaks a line, ends a sentence or shows nothing; also what is written in a line break's place: `\n`, `<br>`."""

from __future__ import annotations

import re

# In all of Unicode what ends a line; `<0x0A>` is the byte as SentencePiece writes it.
_BREAK = re.compile(r"(?:\\r)?\\n|\r\n|[\n\r\v\f\x85\u2028\u2029↵⏎␤]|<0x0A>|\[NEWLINE\]|(?i:<br\s*/?>|<n>)")
_REPEATED_LETTERS = 10  # that a sentence has at least to be said twice by mistake
_SENTENCE_END = re.compile(r"[.!?…।؟]+[\"'”’»“)\]]*(?=\s|$)|[。！？]+")


def is_blank(text: str) -> bool:
    """Whether there is nothing to see: no character, or only spaces, line breaks, marks of zero width."""
    return not any(char.isprintable() and not char.isspace() for char in text)


def line_breaks(text: str) -> int:
    """How many there are inside the text; those at its ends separate nothing."""
    return sum(bool(piece.strip()) for piece in _BREAK.split(text)) - 1 if _BREAK.search(text) else 0


def sentence_ends(text: str) -> int:
    """How often a sentence seems to end; an abbreviation counts, so that it says little about one text alone."""
    return len(_SENTENCE_END.findall(text))


def repeated_sentence(text: str) -> str:
    """The first sentence that is in the text for the second time; empty where there is none."""
    seen: set[str] = set()
    for sentence in _SENTENCE_END.split(text):
        letters = "".join(filter(str.isalnum, sentence.casefold()))
        if len(letters) >= _REPEATED_LETTERS and letters in seen:
            return sentence.strip()
        seen.add(letters)
    return ""
