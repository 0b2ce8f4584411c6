"""What a translation will take, measured on a few of its texts; those are translated for good."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alma_cli.core.process import peak_memory_gib
from alma_cli.decoding.segments import SegmentTranslator

_FIRST_PROBE, _LARGEST_PROBE = 4, 64  # texts
_PROBE_SECONDS = 15.0


@dataclass(frozen=True)
class Estimate:
    """The size of the work, and about how long it takes here."""

    segments: int
    texts: int  # different ones
    known: int  # of them, translated before
    source_tokens: int  # of the others
    probed: int  # texts that were translated to measure the time
    seconds: float | None  # for the others; None where there was nothing to measure
    memory_gib: float | None  # the peak while measuring

    def as_json(self) -> dict[str, Any]:
        """For people's programs."""
        return asdict(self)


def estimate(translator: SegmentTranslator, segments: Sequence[str]) -> Estimate:
    """Translates up to 68 texts, short and long ones, which takes seconds."""
    full = [segment for segment in segments if segment.strip()]
    texts, missing = translator.texts(full), translator.missing(full)
    if not missing:
        return Estimate(len(full), len(texts), len(texts), 0, 0, None, None)
    tokenizer = translator.session.translator.tokenizer
    ids: Any = tokenizer(missing, add_special_tokens=False)["input_ids"]
    tokens = dict(zip(missing, map(len, ids), strict=True))
    by_length = sorted(missing, key=lambda text: tokens[text])
    first = _spread(by_length, _FIRST_PROBE)
    seconds = _measured(translator, first)
    left = [text for text in by_length if text not in set(first)]
    probed, measured = list(first), list(first)
    if left:
        fits = int(_PROBE_SECONDS / max(seconds / len(first), 1e-6))
        measured = _spread(left, max(_FIRST_PROBE, min(_LARGEST_PROBE, fits)))
        seconds = _measured(translator, measured)
        probed += measured
    rest = sum(tokens.values()) - sum(tokens[text] for text in probed)
    per_token = seconds / max(1, sum(tokens[text] for text in measured))
    return Estimate(
        segments=len(full),
        texts=len(texts),
        known=len(texts) - len(missing),
        source_tokens=sum(tokens.values()),
        probed=len(probed),
        seconds=round(rest * per_token, 3),
        memory_gib=round(peak_memory_gib(), 2),
    )


def _measured(translator: SegmentTranslator, texts: Sequence[str]) -> float:
    started = time.monotonic()
    for _ in translator.session.translate(texts, translator.direction, translator.attempts[0].settings):
        pass
    return time.monotonic() - started


def _spread(texts: Sequence[str], count: int) -> list[str]:
    """So many of a sorted list, evenly from its start to its end."""
    count = min(count, len(texts))
    return [texts[round((n + 0.5) * len(texts) / count - 0.5)] for n in range(count)]
