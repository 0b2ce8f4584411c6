"""Held-out text, and which records of training data have text in common with it.

    N = records, S = held-out sentences: each side of a pair is one

A record overlaps with held-out text (compared as letters.py says, so that no copy hides behind case or punctuation) if
(a) a text of it is a held-out sentence of at least 4 words, with or without its spaces;
(b) it is a held-out pair, however short, whichever side is called the source;
(c) it has `ngram_words` words in a row in common with a held-out sentence;
(d) a held-out sentence of at least 4 words, but too few for (c), is part of it;
(e) both sides of a shorter held-out pair, of at least 4 words or 24 letters together, are parts of its two texts.
A character of a script that has no spaces between words counts half a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alma_cli.core.dataset import Document
from alma_cli.core.process import ErrorsNaming
from alma_cli.core.text.characters import Characters
from alma_cli.data.held_out_index import Column, HeldOutRecord, Index, side_keys
from alma_cli.data.key_table import KeyTable
from alma_cli.data.keys import either_way
from alma_cli.data.letters import WORD, Letters

_NOTHING = np.iinfo(np.int32).max
_RECORDS_AT_ONCE = 5000
_DTYPES = {"U64": np.uint64, "I64": np.int64, "I32": np.int32, "U8": np.uint8}

Hits = tuple[npt.NDArray[np.int64], npt.NDArray[Any]]
"""Records, and something for each."""


@dataclass(frozen=True)
class HeldOutSentence:
    """What a record overlaps with."""

    set: str
    place: int
    text: str


class HeldOutText:
    """Held-out sentences, ready to be compared with training data; loaded from disk they are mapped into memory."""

    def __init__(self, settings: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._settings, self._arrays = settings, arrays
        self._runs, self._pairs, self._beginnings = (
            KeyTable(*(arrays[f"{name}_{part}"] for part in ("keys", "numbers", "bits")))
            for name in ("runs", "pairs", "beginnings")
        )

    @classmethod
    def of(cls, records: Iterable[HeldOutRecord], *, ngram_words: int) -> HeldOutText:
        """Compare with these from now on."""
        index = Index(ngram_words * WORD)
        waiting = iter(records)
        while some := list(islice(waiting, _RECORDS_AT_ONCE)):
            index.add(some)
        return cls({"ngram_words": ngram_words} | index.settings(), index.arrays())

    @property
    def sha256(self) -> str:
        """Of the sentences and of the setting, as hexadecimal digits."""
        return str(self._settings["sha256"])

    def save(self, path: Path) -> None:
        """Write it to a file, complete or not at all."""
        from safetensors.numpy import save_file

        temporary = path.with_name(f".{path.name}.tmp")
        with ErrorsNaming(path):
            save_file(self._arrays, temporary, {"settings": json.dumps(self._settings)})
            temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> HeldOutText:
        """What was saved; processes that load the same file share its memory."""
        with ErrorsNaming(path):
            whole = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        # safetensors: the header's length in 8 bytes, the header as JSON, the arrays.
        start = 8 + int(whole[:8].view(np.uint64)[0])
        header = json.loads(whole[8:start].tobytes())
        settings = json.loads(header.pop("__metadata__")["settings"])
        arrays = {
            name: whole[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]].view(
                _DTYPES[entry["dtype"]]
            )
            for name, entry in header.items()
        }
        return cls(settings, arrays)

    def found(self, number: int) -> HeldOutSentence:
        """The held-out sentence of a number."""
        start, end = self._arrays["text_starts"][number : number + 2]
        text = self._arrays["text"][start:end].tobytes().decode("utf-8", "surrogatepass")
        return HeldOutSentence(
            self._settings["sets"][self._arrays["sets"][number]], int(self._arrays["places"][number]), text
        )

    def overlaps(self, columns: Sequence[Column]) -> npt.NDArray[np.int64]:
        """For each record the number of a held-out sentence that it overlaps with, else -1, (N,).

        Documents have one column, pairs two.
        """
        found = np.full(len(columns[0][0]), _NOTHING, dtype=np.int32)
        sides = [Letters.of(texts) for _, texts in columns]
        parts = [self._contained(letters) for letters in sides]
        for letters, (records, short) in zip(sides, parts, strict=True):
            alone = self._arrays["short_partners"][short] < 0
            hits = (records[alone], self._arrays["short_numbers"][short[alone]])
            for records, numbers in (self._equal(letters), self._in_common(letters), hits):
                np.minimum.at(found, records, numbers)
        if len(columns) == 2:
            for records, numbers in (
                self._pairs.find(either_way(*map(side_keys, columns, sides))),
                self._contained_pairs(*parts),
            ):
                np.minimum.at(found, records, numbers)
        return np.where(found == _NOTHING, -1, found.astype(np.int64))

    def cut(self, document: Document) -> Document | None:
        """The document without its lines that overlap; None where nothing is left, or what is left still overlaps.

        For documents too long to be given up for a sentence: somewhere in every novel somebody agrees with somebody.
        """
        lines = document.text.split("\n")
        hits = self.overlaps([([document.language] * len(lines), Characters.of(lines))])
        rest = "\n".join(line for line, hit in zip(lines, hits, strict=True) if hit < 0).strip()
        still = self.overlaps([([document.language], Characters.of([rest]))])
        return Document(document.language, rest) if rest and still[0] < 0 else None

    def _equal(self, letters: Letters) -> Hits:
        texts = np.flatnonzero(letters.text_weights)
        found, numbers = self._runs.find(letters.hashes(letters.first_words[texts], letters.starts[texts + 1]))
        return texts[found], numbers

    def _in_common(self, letters: Letters) -> Hits:
        first, end = letters.windows(self._settings["ngram_words"] * WORD)
        found, numbers = self._runs.find(letters.hashes(first, letters.words[end]))
        return letters.text_of_word[first[found]], numbers

    def _contained_pairs(self, sources: Hits, targets: Hits) -> Hits:
        """Short pairs of which one side is part of the source and the other of the target, or the other way round."""
        numbers, partners = self._arrays["short_numbers"], self._arrays["short_partners"]
        count = len(self._arrays["places"])
        own = sources[0] * count + numbers[sources[1]]
        others = targets[0] * count + partners[targets[1]]
        both = np.isin(own, others[partners[targets[1]] >= 0])
        return sources[0][both], np.minimum(numbers, partners)[sources[1][both]]

    def _contained(self, letters: Letters) -> Hits:
        """Texts and the short sentences that are part of them, as their places among these.

        Sentences that begin like a word of the text are compared as a whole.
        """
        ends = letters.starts[1:][letters.text_of_word]  # of each word's text
        is_word_end = np.zeros(ends[-1] + 1 if len(ends) else 1, dtype=bool)
        is_word_end[letters.words[1:]] = True
        found_words, found_short = [], []
        for length in self._settings["beginnings"]:
            words = np.flatnonzero(letters.words[:-1] + length <= ends)
            at, groups = self._beginnings.find(letters.hashes(words, letters.words[words] + length))
            sizes = np.diff(self._arrays["short_starts"])[groups]
            found_words.append(np.repeat(words[at], sizes))
            found_short.append(_ranges(self._arrays["short_starts"][groups], sizes))
        if not found_words:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        words, short = np.concatenate(found_words), np.concatenate(found_short)
        sentence_ends = letters.words[words] + self._arrays["short_lengths"][short]
        inside = sentence_ends <= ends[words]
        words, short, sentence_ends = words[inside], short[inside], sentence_ends[inside]
        same = is_word_end[sentence_ends]
        same &= letters.hashes(words, sentence_ends) == self._arrays["short_keys"][short]
        return letters.text_of_word[words[same]], short[same]


def _ranges(starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """All the numbers from each start on, so many of each."""
    ends = np.cumsum(sizes)
    numbers: npt.NDArray[np.int64] = np.arange(sizes.sum()) + np.repeat(starts - (ends - sizes), sizes)
    return numbers
