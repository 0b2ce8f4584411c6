"""What scores hide: the flags of every translation, counted for each system and direction, on all the cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

from alma_cli.core.flags import FLAG_NAMES, FlagName, flag_segments
from alma_cli.scoring.report import Flag
from alma_cli.scoring.systems import TranslationSet

# Measured with sentences of 20 words on one core; below the limit new processes cost more than they save.
_SECONDS_PER_SEGMENT, _SECONDS_WORTH_PROCESSES = 2e-4, 3.0
_MOST_LINES_LISTED = 10

# For each flag that there is, the segments that have it, from 0.
FlaggedSegments = Mapping[FlagName, Sequence[int]]


def flag_sets(sets: Sequence[TranslationSet]) -> list[FlaggedSegments]:
    """The flags of each set; without sources only those that the translations themselves tell."""
    cores = os.cpu_count() or 1
    seconds = sum(len(one.hypotheses) for one in sets) * _SECONDS_PER_SEGMENT
    if min(cores, len(sets)) == 1 or seconds < _SECONDS_WORTH_PROCESSES:
        return [_flagged(one) for one in sets]
    # spawn: a fork would copy the locks of the threads that torch may have running.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(cores, len(sets)), mp_context=spawn) as pool:
        return list(pool.map(_flagged, sets))


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
