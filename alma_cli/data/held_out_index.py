"""What held-out sentences are looked up by: keys of their runs of words, of short ones as a whole, and of pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from alma_cli.core.dataset import Document
from alma_cli.core.text.characters import Characters
from alma_cli.data.key_table import KeyTable
from alma_cli.data.keys import either_way, exact_keys
from alma_cli.data.letters import WORD, Letters, mixed
from alma_cli.data.records import Pair, languages_of, texts_of

# A sentence of fewer words is common property ("Yes."), no sign that a test sentence leaked into training. Two sides
# of a pair may have them, or so many letters, together.
_TELLING = 4 * WORD
_TELLING_LETTERS = 24
# Punctuation between words without spaces that a copy may lack, in a run of words.
_MOST_JOINED = 4
# A short sentence is looked for by its first letters: by so many as it has.
_BEGINNINGS = (16, 8, 4)

Column = tuple[Sequence[str], Characters]
"""The languages of texts and the texts, (N,)."""
Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class HeldOutRecord:
    """A document or a pair that must not be trained on."""

    set: str
    place: int
    record: Pair | Document


class Index:
    """The arrays of held-out text, a part of the records at a time."""

    def __init__(self, weight: int) -> None:
        self.weight = weight  # of a run of words that is too long to be in common by chance
        self.count = 0
        self.sets: dict[str, int] = {}
        self.content = sha256(str(weight).encode())
        self.parts: dict[str, list[npt.NDArray[Any]]] = {}

    def add(self, records: Sequence[HeldOutRecord]) -> None:
        """Take more records in."""
        texts = [text for one in records for text in texts_of(one.record)]
        languages = [language for one in records for language in languages_of(one.record)]
        sides = np.array([len(texts_of(one.record)) for one in records], dtype=np.int64)
        characters = Characters.of(texts)
        letters = Letters.of(characters)
        numbers = np.arange(self.count, self.count + len(texts), dtype=np.int32)
        self.count += len(texts)
        self._add_runs(letters, numbers)
        firsts = (np.cumsum(sides) - sides)[sides == 2]
        self._add_whole(letters, numbers, firsts)
        keys = side_keys((languages, characters), letters)
        self._append("pairs_keys", either_way(keys[firsts], keys[firsts + 1]))
        self._append("pairs_numbers", numbers[firsts])
        of_set = [self.sets.setdefault(one.set, len(self.sets)) for one in records]
        self._append("sets", np.repeat(np.array(of_set, dtype=np.int32), sides))
        self._append("places", np.repeat(np.array([one.place for one in records], dtype=np.int64), sides))
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        self._append("text", np.frombuffer(b"".join(encoded), dtype=np.uint8))
        self._append("text_starts", np.array([len(text) for text in encoded], dtype=np.int64))
        for one in records:
            row = [one.set, one.place, *languages_of(one.record), *texts_of(one.record)]
            self.content.update(json.dumps(row).encode())

    def settings(self) -> dict[str, Any]:
        """What is not an array: the names of the sets, the content's hash, the beginnings that are in use."""
        lengths = np.concatenate(self.parts.get("short_lengths", [np.zeros(0)]))
        used = [length for length in _BEGINNINGS if (beginning_lengths(lengths) == length).any()]
        return {"sets": list(self.sets), "sha256": self.content.hexdigest(), "beginnings": used}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of all records."""
        if not self.count:
            self.add([])
        arrays = {name: np.concatenate(parts) for name, parts in self.parts.items()}
        arrays["text_starts"] = np.concatenate(([0], np.cumsum(arrays["text_starts"])))
        order = np.argsort(arrays["beginnings_keys"], kind="stable")
        for name in [name for name in arrays if name.startswith("short_")]:
            arrays[name] = arrays[name][order]
        keys, starts = np.unique(arrays["beginnings_keys"][order], return_index=True)
        arrays["short_starts"] = np.append(starts, len(order))
        arrays["beginnings_keys"], arrays["beginnings_numbers"] = keys, np.arange(len(keys), dtype=np.int32)
        for name in ("runs", "pairs", "beginnings"):
            table = KeyTable.of(arrays[f"{name}_keys"], arrays[f"{name}_numbers"])
            arrays |= {f"{name}_keys": table.keys, f"{name}_numbers": table.numbers, f"{name}_bits": table.bits}
        return arrays

    def _add_runs(self, letters: Letters, numbers: Numbers) -> None:
        """Runs of words as a copy has them, in which words may have grown together where punctuation was."""
        joined = np.concatenate(([0], np.cumsum(letters.joined)))
        for more in range(_MOST_JOINED + 1):
            first, end = letters.windows(self.weight + more * WORD)
            possible = joined[end] - joined[first + 1] >= more
            first, end = first[possible], end[possible]
            self._append("runs_keys", letters.hashes(first, letters.words[end]))
            self._append("runs_numbers", numbers[letters.text_of_word[first]])

    def _add_whole(self, letters: Letters, numbers: Numbers, firsts: npt.NDArray[np.int64]) -> None:
        """Whole sentences: all that tell to be equal to a text, the short ones of them to be part of one, as well as
        both sides of pairs (of which `firsts` are the first ones) that tell only together."""
        weights = letters.text_weights - WORD * np.bincount(
            letters.text_of_word, weights=letters.joined, minlength=len(numbers)
        ).astype(np.int64)
        telling = np.flatnonzero(weights >= _TELLING)
        self._append("runs_keys", letters.hashes(letters.first_words[telling], letters.starts[telling + 1]))
        self._append("runs_numbers", numbers[telling])
        short = telling[weights[telling] < self.weight]
        lengths = np.diff(letters.starts)
        half = (weights < _TELLING) & (lengths >= _BEGINNINGS[-1])
        pairs = firsts[half[firsts] & half[firsts + 1]]
        together = weights[pairs] + weights[pairs + 1] >= _TELLING
        together |= lengths[pairs] + lengths[pairs + 1] >= _TELLING_LETTERS
        pairs = pairs[together]
        self._add_short(letters, numbers, short, np.full(len(short), -1))
        self._add_short(letters, numbers, pairs, numbers[pairs + 1])
        self._add_short(letters, numbers, pairs + 1, numbers[pairs])

    def _add_short(
        self, letters: Letters, numbers: Numbers, short: npt.NDArray[np.int64], partners: npt.NDArray[Any]
    ) -> None:
        starts, ends = letters.starts[short], letters.starts[short + 1]
        self._append("short_keys", letters.hashes(letters.first_words[short], ends))
        self._append("short_lengths", ends - starts)
        self._append("short_numbers", numbers[short])
        self._append("short_partners", partners.astype(np.int32))
        self._append(
            "beginnings_keys", letters.hashes(letters.first_words[short], starts + beginning_lengths(ends - starts))
        )

    def _append(self, name: str, part: npt.NDArray[Any]) -> None:
        self.parts.setdefault(name, []).append(part)


def beginning_lengths(lengths: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """By how many of its first letters a sentence of so many is looked for."""
    return np.select([lengths >= length for length in _BEGINNINGS], _BEGINNINGS, default=0)


def side_keys(column: Column, letters: Letters) -> npt.NDArray[np.uint64]:
    """A key of each text with its language; of what has neither letters nor digits as it stands."""
    languages, texts = column
    keys = letters.hashes(letters.first_words[:-1], letters.starts[1:])
    bare = np.flatnonzero(np.diff(letters.starts) == 0)
    keys[bare] = exact_keys(["".join(texts.text(index).split()) for index in bare.tolist()])
    return mixed(keys ^ exact_keys(languages))
