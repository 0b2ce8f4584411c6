"""How many planted faults the flags of translations find, and how many good translations they flag.

    python benchmarks/flags_quality.py ../shared/data

DATA holds `alma/wmt22/wmt-testset` (human references, which should have no flags) and systems' outputs beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from alma_cli.core.flags import FLAG_NAMES, flag_segments
from alma_cli.scoring.systems import TranslationSet, find_hypotheses
from tests.core.planted_flags import planted_table, verdicts


def main() -> None:
    """Print both tables, and every case in which the flags are not the planted ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    found = verdicts()
    print("\n".join(planted_table(found)), end="\n\n")
    for one in found:
        if one.found != set(one.case.flags):
            expected, given = (", ".join(sorted(flags)) or "none" for flags in (one.case.flags, one.found))
            print(f"{one.direction}: {given} instead of {expected}: {one.case.translation!r}")
    print()
    print("\n".join(reference_table(data / "alma" / "wmt22")))


def reference_table(wmt22: Path) -> Iterator[str]:
    """A row a flag: how often it is given to human references and to each system."""
    systems = sorted(path for path in wmt22.iterdir() if path.name != "wmt-testset")
    sets = find_hypotheses([*systems, wmt22 / "wmt-testset"]).sets
    first = sets[0].system
    human = [TranslationSet("human", one.direction, one.references[0], (), one.sources) for one in sets]
    counts: dict[str, Counter[str]] = {}
    for one in (*(one for one, of in zip(human, sets, strict=True) if of.system == first), *sets):
        of_system = counts.setdefault(one.system, Counter())
        flags = flag_segments(one.sources, one.hypotheses, one.direction)
        of_system.update(flag.name for of_segment in flags for flag in of_segment)
        of_system["any"] += sum(map(bool, flags))
        of_system["segments"] += len(flags)
    yield f"| flag | {' | '.join(counts)} |"
    yield f"| --- |{' ---: |' * len(counts)}"
    for name in (*FLAG_NAMES, "any", "segments"):
        yield f"| {name} | {' | '.join(str(of_system[name]) for of_system in counts.values())} |"


if __name__ == "__main__":
    main()
