"""`alma prepare` beside OpusFilter: speed, memory and decisions on the same text with the same kinds of filters.

    python benchmarks/prepare_speed.py                        a million pairs, and 0.5, 1 and 2 GB of documents
    python benchmarks/prepare_speed.py --quick                the same, 20 times smaller
    python benchmarks/prepare_speed.py --data ../shared/data  recombined from real corpora, not from words of our own
    python benchmarks/prepare_speed.py --only pairs --whole   half an hour more: OpusFilter gets the million
    python benchmarks/prepare_speed.py --only pairs --opusfilter ~/opusfilter/bin/python

Everybody reads the same files, each in processes of its own, one after the other. OpusFilter is taken from the Python
named, or installed with pip into an environment below the cache directory. Linux only: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from _corpora import CLEAN, Material, material, write_documents, write_pairs
from _decisions import ALMA_ONLY, OPUSFILTER_ONLY, OUTCOMES, Decisions, Reasons, compare, read_lines, read_prepared
from _process_tree import Measured
from _tools import (
    OPUSFILTER,
    Input,
    Tool,
    alma_output,
    filter_speeds,
    opusfilter_output,
    python_with_opusfilter,
    reasons_of_alma,
    reasons_of_opusfilter,
)

PAIRS = 1_000_000
GIGABYTES = (0.5, 1.0, 2.0)
QUICK = 20
SAMPLE_CHARACTERS = 150
COLUMNS = (
    *("corpus", "tool", "processes", "seconds", "lines/s", "MB/s", "peak memory (GiB)"),
    *("CPU s", "lines/CPU s", "MB/CPU s", "times OpusFilter"),
)
THEIRS, OURS, ALL_OF_OURS = Tool("OpusFilter", 2), Tool("alma, same filters", 2), Tool("alma, all filters", 2)
OURS_WITHOUT = Tool("alma, same filters", 2, repetition=False)
THEIRS_WITHOUT, THEIRS_QUICK = (Tool("OpusFilter", 2, repetition=False, with_cld2=quick) for quick in (False, True))
OF_A_PART = (THEIRS, OURS, THEIRS_WITHOUT, OURS_WITHOUT, THEIRS_QUICK)
OF_ALL = (OURS, OURS_WITHOUT, THEIRS_QUICK, ALL_OF_OURS)
PART_OF_PAIRS, PART_OF_DOCUMENTS = 50, 250
FEW_PAIRS = 5000  # that each of OpusFilter's filters is timed with


@dataclass(frozen=True)
class Row:
    """What a tool took for a corpus, the median of several rounds; its peak memory is the highest of them."""

    corpus: str
    tool: str
    processes: int
    lines: int
    megabytes: float
    measured: Measured

    @property
    def lines_per_cpu_second(self) -> float:
        """Of all processes: unlike the seconds on the wall, the same however busy the machine is with other things."""
        return self.lines / self.measured.cpu_seconds


def main() -> int:
    """Measure and print."""
    options = _options()
    python = python_with_opusfilter(options.opusfilter)
    work = Path(tempfile.mkdtemp(prefix="alma-benchmark-", dir=options.work))
    try:
        bench = _Bench(material(options.data), python, work, options.repeat, keep=options.keep, whole=options.whole)
        smaller = QUICK if options.quick else 1
        try:
            if "pairs" in options.only:
                bench.pairs(options.pairs // smaller)
            if "documents" in options.only:
                bench.documents([size / smaller for size in options.gigabytes])
        except KeyboardInterrupt:
            print("broken off: here is what has been measured", file=sys.stderr)
        print(_report(bench))
        if options.json:
            options.json.write_text(json.dumps([asdict(row) for row in bench.rows], indent=1) + "\n")
    finally:
        if options.keep:
            print(f"everything is in {work}", file=sys.stderr)
        else:
            shutil.rmtree(work, ignore_errors=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help=f"everything {QUICK} times smaller")
    add("--only", nargs="+", choices=("pairs", "documents"), default=["pairs", "documents"])
    add("--pairs", type=int, default=PAIRS)
    add(
        "--gigabytes",
        nargs="+",
        type=float,
        default=GIGABYTES,
        help="of documents; OpusFilter gets a part of the first size",
    )
    add("--data", type=Path, help="a directory of real text: parallel/*.de-en.jsonl.gz, mono/<language>.*.jsonl.zst")
    add("--opusfilter", type=Path, metavar="PYTHON", help="a Python that has OpusFilter; without it, one is installed")
    add("--whole", action="store_true", help="OpusFilter with all its filters on all pairs, too: half an hour")
    add("--repeat", type=int, default=1, help="rounds of each measurement")
    add("--work", type=Path, help="a directory for temporary files: about three times the largest corpus")
    add("--keep", action="store_true", help="leave the corpora and what came of them there")
    add("--json", type=Path, help="write the measurements to this file, too")
    return parser.parse_args()


class _Bench:
    """Makes the corpora and lets the tools have them; `rows` are the measurements so far."""

    def __init__(self, text: Material, python: Path, work: Path, rounds: int, *, keep: bool, whole: bool) -> None:
        self.text = text
        self.python = python
        self.work = work
        self.rounds = rounds
        self.keep = keep
        self.whole = whole
        self.rows: list[Row] = []
        self.speeds: dict[str, float] = {}
        self.decisions: Decisions | None = None

    def pairs(self, count: int) -> None:
        """Sentence pairs: every tool, and where they differ.

        Its language model and its RepetitionFilter take OpusFilter half an hour for a million, so that it has
        all its filters on a part of them only, unless the whole is asked for.
        """
        given, kinds = self._written_pairs(count // PART_OF_PAIRS)
        some = list(read_lines(*given.files))
        self.speeds = filter_speeds(self.python, some[:FEW_PAIRS], self.work)
        folders = [self._measure(f"{given.lines:,} pairs", tool, given) for tool in OF_A_PART]
        found = compare(
            some,
            kinds,
            by_alma=read_prepared(alma_output(given, folders[1])),
            by_opusfilter=read_lines(*opusfilter_output(given, folders[0])),
        )
        by_alma, by_opusfilter = found.differing[ALMA_ONLY], found.differing[OPUSFILTER_ONLY]
        found.reasons[ALMA_ONLY] = Reasons.of(by_alma, reasons_of_alma(by_alma))
        rejecting = reasons_of_opusfilter(self.python, by_opusfilter, self.work)
        found.reasons[OPUSFILTER_ONLY] = Reasons.of(by_opusfilter, rejecting)
        self.decisions = found
        given, _ = self._written_pairs(count)
        for tool in (*OF_ALL, *((THEIRS,) if self.whole else ())):
            self._measure(f"{count:,} pairs", tool, given)

    def _written_pairs(self, count: int) -> tuple[Input, list[str]]:
        """Files of so many pairs, and the kind of each."""
        files = self.work / "pairs.de", self.work / "pairs.en"
        kinds = write_pairs(self.text, count, *files)
        given = Input("parallel", files, count)
        print(f"{given.size / 1e6:,.0f} MB of sentence pairs", file=sys.stderr)
        return given, kinds

    def documents(self, sizes: Sequence[float]) -> None:
        """Documents of so many gigabytes: alma as it comes on each size, the others on a part of the first.

        OpusFilter's RepetitionFilter would take an hour for half a gigabyte.
        """
        jobs = [(sizes[0] / PART_OF_DOCUMENTS, OF_A_PART)]
        jobs += [(size, (ALL_OF_OURS,)) for size in sizes]
        file = self.work / "documents.txt"
        for size, tools in jobs:
            kinds = write_documents(self.text, int(size * 1e9), file)
            given = Input("mono", (file,), kinds.total())
            for tool in tools:
                folder = self._measure(f"{size:.3g} GB, {kinds.total():,} documents", tool, given)
                if not self.keep:
                    shutil.rmtree(folder)

    def _measure(self, corpus: str, tool: Tool, given: Input) -> Path:
        """The directory with what came of it."""
        runs = []
        directory = self.work / f"{given.stage} {tool}"
        for _ in range(self.rounds):
            run = tool.run(given, directory, self.python)
            words = f"{corpus}: {tool}, {tool.processes} processes"
            if run.status:
                sys.exit(f"{words} failed:\n{(directory / 'log').read_text()[-2000:]}")
            took = f"{run.seconds:.1f} s, {run.cpu_seconds:.1f} CPU s, {run.peak_bytes / 2**30:.2f} GiB"
            print(f"{words}: {took}", file=sys.stderr)
            runs.append(run)
        median = Measured(
            status=0,
            seconds=statistics.median(run.seconds for run in runs),
            cpu_seconds=statistics.median(run.cpu_seconds for run in runs),
            peak_bytes=max(run.peak_bytes for run in runs),
        )
        self.rows.append(Row(corpus, str(tool), tool.processes, given.lines, given.size / 1e6, median))
        return directory


def _report(bench: _Bench) -> str:
    parts = [_speeds(bench.rows)]
    if decisions := bench.decisions:
        parts += [_filter_speeds(bench.speeds), _by_fault(decisions), _differences(decisions)]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("alma-cli", "numpy", "pyarrow"))
    versions += f", OpusFilter {OPUSFILTER}"
    parts.append(
        f"- {time.strftime('%Y-%m-%d')}; {_processor()}; Python {sys.version.split()[0]}, {versions}\n"
        f"- text: {bench.text.origin}; medians of {bench.rounds} round(s)\n"
        "- times OpusFilter: by lines a processor second, all processes together\n"
        "- MB: 10^6 bytes of input; peak memory: of all processes at once, shared pages once, without the page cache"
    )
    return "\n\n".join(parts)


def _speeds(rows: Sequence[Row]) -> str:
    """Each row beside OpusFilter on the same corpus with the same filters, by processor time."""
    theirs = {(row.corpus, row.tool): row.lines_per_cpu_second for row in rows}
    cells = []
    for row in rows:
        took, a_core = row.measured, row.lines_per_cpu_second
        tool = row.tool.replace("alma, same filters", "OpusFilter")
        other = theirs.get((row.corpus, tool)) or theirs.get((row.corpus, f"{tool}, with Cld2Filter"))
        wall = [f"{took.seconds:.1f}", f"{row.lines / took.seconds:,.0f}", f"{row.megabytes / took.seconds:.2f}"]
        costs = [f"{took.cpu_seconds:.0f}", f"{a_core:,.0f}", f"{row.megabytes / took.cpu_seconds:.2f}"]
        times = f"{a_core / other:.1f}" if other and row.tool.startswith("alma, same") else ""
        peak = f"{took.peak_bytes / 2**30:.2f}"
        cells.append([row.corpus, row.tool, str(row.processes), *wall, peak, *costs, times])
    return _table(COLUMNS, cells, words=2)


def _filter_speeds(speeds: Mapping[str, float]) -> str:
    rows = [[name, f"{speed:,.0f}"] for name, speed in speeds.items()]
    return _table(("filter of OpusFilter", "pairs/s on one core"), rows, words=1)


def _by_fault(decisions: Decisions) -> str:
    """Lines by what was planted in them and what became of them."""
    kinds = sorted(decisions.counts, key=lambda kind: (kind != CLEAN, -decisions.counts[kind].total()))
    cells = [[kind, *(f"{decisions.counts[kind][outcome]:,}" for outcome in OUTCOMES)] for kind in kinds]
    total = sum(decisions.counts.values(), Counter[str]())
    same = 1 - (total[ALMA_ONLY] + total[OPUSFILTER_ONLY]) / total.total()
    cells.append(["all", *(f"{total[outcome]:,}" for outcome in OUTCOMES)])
    note = f"The same decision on {same:.2%} of the lines."
    if decisions.changed:
        note += f" {decisions.changed:,} lines that a tool has changed count as dropped by it."
    return _table(("planted", *OUTCOMES), cells, words=1) + "\n\n" + note


def _differences(decisions: Decisions) -> str:
    """Why the tools differ, the commonest reasons first, with lines to look at."""
    cells = [
        [outcome, reason or "(only beside the other lines)", f"{count:,}", *map(_shortened, reasons.samples[reason])]
        for outcome, reasons in decisions.reasons.items()
        for reason, count in reasons.counts.most_common()
    ]
    rows = [[outcome, reason, count, "<br>".join(samples)] for outcome, reason, count, *samples in cells]
    return _table(("difference", "its reason", "lines", "some of them"), rows, words=2)


def _shortened(pair: tuple[str, str]) -> str:
    sides = (text if len(text) <= SAMPLE_CHARACTERS else text[: SAMPLE_CHARACTERS - 1] + "…" for text in pair)
    return " ‖ ".join(sides).replace("|", "\\|")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: int) -> str:
    """A Markdown table whose first columns are words, and the others numbers."""
    lines = [columns, ["---"] * words + ["---:"] * (len(columns) - words), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _processor() -> str:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(": ")[1] for line in info if line.startswith("model name")), os.uname().machine)
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {gib:.1f} GiB"


if __name__ == "__main__":
    sys.exit(main())
