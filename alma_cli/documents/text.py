"""Plain text: a segment a line; line ends, BOM, blank lines and outer white space come back as they were."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from alma_cli.core.text_files import decode_text
from alma_cli.errors import InputError


@dataclass(frozen=True)
class TextDocument:
    """A file's segments and all that is around them."""

    segments: tuple[str, ...]  # one a line, stripped; empty for a blank line
    frames: tuple[tuple[str, str], ...]  # what stood before and after each segment, its line end included
    bom: bool

    def render(self, translations: Sequence[str]) -> bytes:
        """The file with each segment replaced; as many lines as before, whatever a translation holds."""
        assert len(translations) == len(self.segments), f"{len(translations)=} {len(self.segments)=}"
        lines = (
            before + " ".join(translation.split("\n")) + after
            for (before, after), translation in zip(self.frames, translations, strict=True)
        )
        return (codecs.BOM_UTF8 if self.bom else b"") + "".join(lines).encode("utf-8")


def read_document(content: bytes, name: str) -> TextDocument:
    """The document in a file's bytes. Raises InputError where they are empty or not UTF-8 text (with the line)."""
    text = decode_text(content, name)
    if not text:
        raise InputError(f"'{name}' is empty")
    segments, frames = [], []
    for line in text.split("\n")[: None if text[-1] != "\n" else -1]:
        segment = line.strip()
        start = line.index(segment)
        segments.append(segment)
        frames.append((line[:start], line[start + len(segment) :] + "\n"))
    if text[-1] != "\n":
        frames[-1] = (frames[-1][0], frames[-1][1][:-1])
    return TextDocument(tuple(segments), tuple(frames), content.startswith(codecs.BOM_UTF8))
