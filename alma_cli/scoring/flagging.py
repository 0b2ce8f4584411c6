"""What scores hide: the flags of every translation, counted for each system and direction, on all the cores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from alma_cli.core.flags import FLAG_NAMES, FlagName, flag_segments
from alma_cli.scoring.cores import on_all_cores
from alma_cli.scoring.report import Flag
from alma_cli.scoring.systems import TranslationSet

_SECONDS_PER_SEGMENT = 2e-4  # measured with sentences of 20 words on one core
_MOST_LINES_LISTED = 10

# For each flag that there is, the segments that have it, from 0.
FlaggedSegments = Mapping[FlagName, Sequence[int]]


def flag_sets(sets: Sequence[TranslationSet]) -> list[FlaggedSegments]:
    """The flags of each set; without sources only those that the translations themselves tell."""
    seconds = sum(len(one.hypotheses) for one in sets) * _SECONDS_PER_SEGMENT
    return on_all_cores(_flagged, sets, seconds=seconds)


def listed_flags(sets: Sequence[TranslationSet], flagged: Sequence[FlaggedSegments]) -> Iterator[Flag]:
    """For the report: how many segments of each set have a flag, and the first few of them."""
    for one, found in zip(sets, flagged, strict=True):
        for name, segments in found.items():
            lines = tuple(segment + 1 for segment in segments[:_MOST_LINES_LISTED])
            yield Flag(one.system, str(one.direction), name, len(segments), lines)


def _flagged(one: TranslationSet) -> FlaggedSegments:
    found: dict[FlagName, list[int]] = {}
    for segment, flags in enumerate(flag_segments(one.sources, one.hypotheses, one.direction)):
        for flag in flags:
            found.setdefault(flag.name, []).append(segment)
    return {name: found[name] for name in FLAG_NAMES if name in found}
