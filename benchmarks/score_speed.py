"""BLEU, chrF and TER with paired bootstrap of 6 systems in 10 directions: `alma score` beside the `sacrebleu` command.

Three systems are the published outputs of ALMA's paper; the others take each segment from one of two of these at
random. Both are whole processes on the same files; every score, interval and p-value is compared.

    python benchmarks/score_speed.py --wmt22 DIR [--directions 10] [--metrics bleu,chrf] [--contenders all]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

from alma_cli.core.languages import LANGUAGES

DIRECTIONS = tuple(f"{a}-{b}" for one in ("de", "cs", "is", "ru", "zh") for a, b in ((one, "en"), ("en", one)))
CONTENDERS = ("alma-scores", "alma", "sacrebleu")
_TEST_SET = "wmt-testset"
_CELL = re.compile(r"([\d.]+) \(([\d.]+) ± ([\d.]+)\)(?: \(p = ([\d.]+)\))?")


def main() -> None:
    """Print a Markdown table, and how many numbers agree."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--wmt22", type=Path, required=True, metavar="DIR", help="the published outputs and test set")
    options.add_argument("--directions", type=int, default=len(DIRECTIONS), choices=range(1, 11), metavar="1-10")
    options.add_argument("--metrics", default="bleu,chrf")
    options.add_argument("--contenders", nargs="*", default=CONTENDERS, choices=CONTENDERS)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        systems = _make(given.wmt22, DIRECTIONS[: given.directions], Path(folder))
        _compare(systems, Path(folder), given)


def _make(wmt22: Path, directions: tuple[str, ...], folder: Path) -> list[str]:
    """Write `<system>/<direction>.txt` of six systems, and the references as `references/<direction>.txt`."""
    published = sorted(one.name for one in wmt22.iterdir() if one.is_dir() and one.name != _TEST_SET)
    mixed = [f"{a}+{b}" for a, b in combinations(published, 2)]
    for direction in directions:
        source, target = direction.split("-")
        name = Path(f"{source}{target}") / f"test.{direction}.{target}"
        texts = {one: (wmt22 / one / name).read_text("utf-8").split("\n")[:-1] for one in (*published, _TEST_SET)}
        for system, (a, b) in zip(mixed, combinations(published, 2), strict=True):
            chance = random.Random(system + direction)
            texts[system] = [chance.choice(pair) for pair in zip(texts[a], texts[b], strict=True)]
        texts["references"] = texts.pop(_TEST_SET)
        for system, lines in texts.items():
            path = folder / system / f"{direction}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [*published, *mixed]


Numbers = dict[tuple[str, str, str], list[float]]  # system, direction, metric: score, half of the interval, p-value


def _compare(systems: list[str], folder: Path, given: argparse.Namespace) -> None:
    directions, metrics = DIRECTIONS[: given.directions], given.metrics
    segments = sum(len((folder / "references" / f"{one}.txt").read_text("utf-8").split("\n")) - 1 for one in directions)
    print(f"{len(systems)} systems x {len(directions)} directions, {segments:,} segments a system; {metrics}")
    print("\n| | wall (s) | CPU (s) | peak of one process (GiB) |\n| --- | ---: | ---: | ---: |")
    found: dict[str, Numbers] = {}
    for contender in given.contenders:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        run = _sacrebleu if contender == "sacrebleu" else _alma
        found[contender] = run(systems, directions, metrics, folder, contender)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"| {_NAMES[contender]} | {wall:.1f} | {cpu:.1f} | {after.ru_maxrss / 2**20:.2f} |", flush=True)
    if "sacrebleu" in found and len(found) > 1:
        ours = next(numbers for contender, numbers in found.items() if contender != "sacrebleu")
        _agree(ours, found["sacrebleu"])


_NAMES = {
    "alma": "`alma score`",
    "alma-scores": "`alma score --no-flags`",
    "sacrebleu": "`sacrebleu --paired-bs`, one command a direction",
}


def _alma(systems: list[str], _: tuple[str, ...], metrics: str, folder: Path, contender: str) -> Numbers:
    command = ["-m", "alma_cli", "score", *(str(folder / system) for system in systems)]
    command += ["--ref", str(folder / "references"), "--metrics", metrics, "--json", "--quiet"]
    command += [] if contender == "alma" else ["--no-flags"]
    rows = json.loads(_output(command))["rows"]
    return {
        (row["system"], row["direction"], row["metric"]): [
            row["score"],
            (row["high"] - row["low"]) / 2,
            *([] if row["p_value"] is None else [row["p_value"]]),
        ]
        for row in rows
    }


def _sacrebleu(systems: list[str], directions: tuple[str, ...], metrics: str, folder: Path, _: str) -> Numbers:
    names, numbers = metrics.split(","), {}
    for direction in directions:
        tokenizer = LANGUAGES[direction.split("-")[1]].sacrebleu_tokenizer
        command = ["-m", "sacrebleu", str(folder / "references" / f"{direction}.txt"), "--tokenize", tokenizer]
        command += ["-i", *(str(folder / system / f"{direction}.txt") for system in systems)]
        command += ["-m", *names, "--paired-bs", "--format", "latex", "-w", "6", "--quiet"]
        rows = [line for line in _output(command).split("\n") if f"/{direction}.txt" in line and "&" in line]
        for system, row in zip(systems, rows, strict=True):
            for metric, cell in zip(names, row.split("&")[1:], strict=True):
                match = _CELL.search(cell)
                assert match, row
                score, _, half, p_value = match.groups()
                numbers[system, direction, metric] = [float(score), float(half), *([float(p_value)] if p_value else [])]
    return numbers


def _output(command: list[str]) -> str:
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _agree(ours: Numbers, theirs: Numbers) -> None:
    """The largest differences; p-values are printed with four digits there."""
    assert ours.keys() == theirs.keys()
    print()
    for n, name in enumerate(("scores", "intervals", "p-values")):
        pairs = [(ours[key][n], theirs[key][n]) for key in ours if len(ours[key]) > n]
        print(f"{len(pairs)} {name}: differ by {max((abs(a - b) for a, b in pairs), default=0):.1e} at most")


if __name__ == "__main__":
    main()
