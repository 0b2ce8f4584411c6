"""How long texts are, counted in classes that double."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def histogram(lengths: npt.NDArray[Any]) -> dict[str, list[int]]:
    """Counts of lengths from each edge up to the next: 0, 1, 2, 4, 8 and so on; the last class ends above them all."""
    most = int(lengths.max(initial=1))
    edges = [0, *(2**power for power in range(most.bit_length() + 1))]
    counts = np.histogram(lengths, bins=edges)[0]
    return {"edges": edges, "counts": counts.tolist()}
