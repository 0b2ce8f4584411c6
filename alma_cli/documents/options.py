"""What the formats with more than one text in them need to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DocumentOptions:
    """Which of a file's texts are translated, and from which language into which."""

    source: str = ""  # language code; tmx needs it
    target: str = ""  # language code; tmx needs it
    column: str = ""  # tsv, csv: a number from 1, or a name in the first row; empty: the one that leaves no doubt
    field: str = ""  # jsonl: a key, or a path of keys with dots; empty: the one that leaves no doubt
    retranslate: bool = False  # tmx, xliff, po: segments that have a translation, too
