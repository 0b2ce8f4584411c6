"""Sentences of a paragraph with the white space between them, so that joining them gives the paragraph again."""

from __future__ import annotations


def split_sentences(text: str, language: str) -> list[tuple[str, str]]:
    """Each sentence and the white space after it; all of them joined are the text, whatever it holds.

    White space at the start follows an empty sentence. An ordinal (`3. října`) or an abbreviation ends no sentence:
    what goes on with a small letter belongs to what is before it. A language that sentencex does not know is split as
    its nearest relative, or as English.
    """
    import sentencex

    found: list[str] = []
    for piece in sentencex.segment(language, text):
        sentence = piece.lstrip()
        if found and _goes_on(found[-1], sentence):
            found[-1] += piece
        elif found:
            found[-1] += piece[: len(piece) - len(sentence)]
            found.append(sentence)
        else:
            found.append(piece)
    if "".join(found) != text:
        found = [text]
    sentences = []
    if leading := text[: len(text) - len(text.lstrip())]:
        sentences.append(("", leading))
        found[0] = found[0].lstrip()
    for piece in filter(None, found):
        sentence = piece.rstrip()
        sentences.append((sentence, piece[len(sentence) :]))
    return sentences


def _goes_on(before: str, piece: str) -> bool:
    """Whether the piece is the rest of a sentence that seemed to have ended."""
    first = next((character for character in piece if character.isalnum()), "")
    return not first or (before.rstrip().endswith(".") and first.islower())
