"""TER's edits of every segment, as sacreBLEU counts them: shifts are searched for in many segments at once.

S = segments
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from alma_cli.scoring.corpus_scores import Array
from alma_cli.scoring.shifts import MOST_TRIED, Ints, distances_after_shifts, possible_shifts, shifted
from alma_cli.scoring.word_alignment import Alignment, Reference, align

Lines = Sequence[Sequence[str]]  # the words of each segment
_AT_ONCE = 1024  # segments


def ter_statistics(hypotheses: Lines, references: Sequence[Lines]) -> Array:
    """(S, 2) edits to the closest of the references, and how many words these have on average."""
    edits = [_edits(hypotheses, one) for one in references]
    lengths = [[len(words) for words in one] for one in references]
    return np.column_stack([np.min(edits, axis=0), np.sum(lengths, axis=0) / len(references)])


@dataclass
class Search:
    """A hypothesis as shifted so far."""

    words: list[str]
    reference: Reference
    aligned: Alignment = field(init=False)
    shifts: int = 0
    tried: int = 0

    def __post_init__(self) -> None:
        self.aligned = align(self.words, self.reference)

    def possible(self) -> set[int]:
        """The shifts to try next; none when there were too many."""
        if not self.aligned.distance:
            return set()
        found, tried = possible_shifts(self.words, self.reference, self.aligned, MOST_TRIED - self.tried)
        self.tried += tried
        return found if self.tried < MOST_TRIED else set()

    def take_best(self, shifts: Sequence[tuple[int, int]]) -> bool:
        """Take the shift after which there are the fewest edits; `shifts` are (edits without a beam, number), sorted.

        The beam may make edits more, never less.
        """
        best: tuple[int, int, list[str], Alignment] | None = None
        for shift in shifts:
            if best and best[:2] < shift:
                break
            words = shifted(self.words, shift[1])
            aligned = align(words, self.reference)
            if aligned.distance < self.aligned.distance and (not best or (aligned.distance, shift[1]) < best[:2]):
                best = aligned.distance, shift[1], words, aligned
        if best:
            _, _, self.words, self.aligned = best
            self.shifts += 1
        return best is not None


def finish(searches: Sequence[Search]) -> None:
    """Shift words in each as long as that makes edits fewer."""
    while searches:
        searches = _shift_each(searches)


def _edits(hypotheses: Lines, references: Lines) -> list[int]:
    edits: list[int] = []
    for begin in range(0, len(hypotheses), _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        searches = [
            Search(list(words), Reference(reference))
            for words, reference in zip(hypotheses[some], references[some], strict=True)
        ]
        finish(searches)
        edits += [one.shifts + one.aligned.distance for one in searches]
    return edits


def _shift_each(searches: Sequence[Search]) -> list[Search]:
    """Take the best shift of each; those that have one."""
    trying = [(search, shifts) for search in searches if (shifts := search.possible())]
    if not trying:
        return []
    numbers = np.array([number for _, shifts in trying for number in shifts])
    owners = np.repeat(np.arange(len(trying)), [len(shifts) for _, shifts in trying])
    aligned = [search.aligned for search, _ in trying]
    distances = distances_after_shifts(aligned, numbers, owners)
    good = distances < np.array([one.distance for one in aligned])[owners]
    by_search = _grouped(distances[good], numbers[good], owners[good], len(trying))
    return [search for (search, _), shifts in zip(trying, by_search, strict=True) if search.take_best(shifts)]


def _grouped(distances: Ints, numbers: Ints, owners: Ints, count: int) -> list[list[tuple[int, int]]]:
    """Each owner's shifts, the best first."""
    order = np.lexsort((numbers, distances, owners))
    ends = np.cumsum(np.bincount(owners, minlength=count)).tolist()
    pairs = list(zip(distances[order].tolist(), numbers[order].tolist(), strict=True))
    return [pairs[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
