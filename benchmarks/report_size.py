"""The page of `alma score` at 10 systems x 10 directions x 2,000 segments: its size, and how long it takes to make and
to open. Nothing of it is real text: words of a Zipf distribution, of which each system changes a third.

    python benchmarks/report_size.py [--out FILE] [--systems 10] [--directions 10] [--segments 2000]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path

from alma_cli.scoring.report import ScoreReport, ScoreRow
from alma_cli.scoring.score_page import write_score_page
from alma_cli.scoring.segments import DirectionSegments, SystemOutput

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.browser import CHROMIUM, NO_CHROMIUM, Browser

DIRECTIONS = tuple(f"{a}-{b}" for one in ("cs", "de", "is", "ru", "zh") for a, b in (("en", one), (one, "en")))
METRICS = ("bleu", "chrf", "comet")
_WORDS, _WORDS_IN_A_SENTENCE, _CHANGED = 30_000, 22, 0.33


def main() -> None:
    """Print one line a figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path)
    options.add_argument("--systems", type=int, default=10)
    options.add_argument("--directions", type=int, default=10, choices=range(1, len(DIRECTIONS) + 1), metavar="1-10")
    options.add_argument("--segments", type=int, default=2000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = given.out or Path(folder) / "report.html"
        _measure(
            file, [f"system-{n + 1}" for n in range(given.systems)], DIRECTIONS[: given.directions], given.segments
        )


def _measure(file: Path, systems: list[str], directions: tuple[str, ...], count: int) -> None:
    sets = [_segments(direction, systems, count) for direction in directions]
    texts = sum(
        len(text.encode())
        for one in sets
        for column in (one.sources or (), *one.references, *(output.hypotheses for output in one.outputs))
        for text in column
    )
    start = time.perf_counter()
    write_score_page(file, "Scores", _report(sets), sets, {"Made by": "benchmarks/report_size.py"})
    print(f"{len(systems)} systems x {len(directions)} directions x {count} segments, {len(METRICS)} metrics")
    print(f"texts        {texts / 1e6:.1f} MB")
    print(f"page         {file.stat().st_size / 1e6:.1f} MB, made in {time.perf_counter() - start:.1f} s")
    if not CHROMIUM:
        print(f"not opened: {NO_CHROMIUM}")
        return
    with Browser() as browser:
        seconds = browser.open(file)
        print(f"opened in    {seconds:.2f} s (until the first segments are shown)")
        for label, change in _CHANGES.items():
            print(f"{label:<12} {browser.run(_timed(change)):.0f} ms")
        print(f"requests     {len(browser.requests) - 1} beside the file itself; console errors: {len(browser.errors)}")


_CHANGES = {
    "direction": "controls.direction.value = String(about.directions.length - 1); await refresh()",
    "difference": "controls.second.selectedIndex = 1; await refresh(); controls.order.value = 'ahead'; await refresh()",
    "search": "controls.search.value = 'a'; await refresh()",
    "next page": "turn(1)",
}


def _timed(change: str) -> str:
    return f"(async () => {{ const start = performance.now(); {change}; return performance.now() - start }})()"


def _segments(direction: str, systems: list[str], count: int) -> DirectionSegments:
    chance = random.Random(direction)
    vocabulary = [_word(chance) for _ in range(_WORDS)]
    weights = list(accumulate(1 / (rank + 3) for rank in range(_WORDS)))

    def words(number: int) -> list[str]:
        return chance.choices(vocabulary, cum_weights=weights, k=number)

    lengths = [max(1, round(chance.lognormvariate(0, 0.5) * _WORDS_IN_A_SENTENCE)) for _ in range(count)]
    references = [words(length) for length in lengths]
    outputs = []
    for system in systems:
        changed = [
            [new if chance.random() < _CHANGED else old for old, new in zip(one, words(len(one)), strict=True)]
            for one in references
        ]
        scores = {metric: [100 * chance.random() for _ in range(count)] for metric in METRICS}
        flags = {"empty": sorted(chance.sample(range(count), min(count, 3))), "too_long": [0]}
        outputs.append(SystemOutput(system, tuple(map(" ".join, changed)), scores, flags))
    sources = tuple(" ".join(words(length)) for length in lengths)
    return DirectionSegments(direction, sources, (tuple(map(" ".join, references)),), tuple(outputs))


def _word(chance: random.Random) -> str:
    return "".join(chance.choice("aeiou" if n % 2 else "bcdfghklmnprstvz") for n in range(chance.randint(2, 9)))


def _report(sets: list[DirectionSegments]) -> ScoreReport:
    chance = random.Random(0)
    rows = []
    for system in (output.system for output in sets[0].outputs):
        for one in sets:
            for metric in METRICS:
                score = chance.uniform(25, 40)
                rows.append(
                    ScoreRow(
                        system,
                        one.direction,
                        metric,
                        score,
                        score - 0.8,
                        score + 0.8,
                        chance.random() / 8,
                        "made up",
                        one.count,
                    )
                )
    return ScoreReport(tuple(rows), ())


if __name__ == "__main__":
    main()
