"""Lengths of texts that can be compared across scripts: in Latin characters that would say as much."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alma_cli.core.text.characters import SPACE, Characters
from alma_cli.core.text.language import script_letters

# A character of these scripts says as much as so many Latin ones, in the median of newstest and of UDHR.
_LATIN_CHARACTERS = {"Han": 3.4, "Kana": 1.8, "Hangul": 2.2}


def latin_lengths(characters: Characters) -> npt.NDArray[np.float64]:
    """How many Latin characters each text is worth, spaces not counted, (N,)."""
    lengths = (characters.lengths - characters.count(characters.kinds == SPACE)).astype(np.float64)
    scripts = script_letters(characters, tuple(_LATIN_CHARACTERS))
    for letters, worth in zip(scripts, _LATIN_CHARACTERS.values(), strict=True):
        lengths += (worth - 1) * letters
    return lengths
