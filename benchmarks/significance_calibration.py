"""How often each test says of two equal systems that they differ.

    python benchmarks/significance_calibration.py a.de-en.txt b.de-en.txt --ref ref.de-en.en

Two equal systems are made of two real ones: for each segment a coin decides which of them gets which translation. Many
such pairs are compared, with `--significance bootstrap` and `randomization`; 5% should have p < 0.05.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from alma_cli.core.recipe import Metric
from alma_cli.scoring.corpus_scores import Array
from alma_cli.scoring.metrics import measure
from alma_cli.scoring.report import SIGNIFICANT, metric_name
from alma_cli.scoring.significance import Resampling, Test, significance

METRICS: tuple[Metric, ...] = ("bleu", "chrf", "ter")


def main() -> None:
    """Print a row a test, with the share of p-values below 0.05 in each metric."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", type=Path, nargs=2, metavar="TRANSLATIONS")
    parser.add_argument("--ref", type=Path, required=True)
    parser.add_argument("--target", default="en", help="target language, for BLEU's tokenizer")
    parser.add_argument("--pairs", type=int, default=400, help="pairs of equal systems to compare")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    texts = [path.read_text(encoding="utf-8").splitlines() for path in (*arguments.systems, arguments.ref)]
    if len({len(lines) for lines in texts}) != 1:
        parser.error(f"the files have {', '.join(str(len(lines)) for lines in texts)} lines")
    statistics = {
        metric: [one.statistics for one in measure(metric, texts[:2], texts[2:], arguments.target)]
        for metric in METRICS
    }
    print(f"| test | {' | '.join(map(metric_name, METRICS))} |")
    print(f"| --- |{' ---: |' * len(METRICS)}")
    for test in get_args(Test):
        shares = false_differences(statistics, test, arguments.pairs, arguments.seed)
        print(f"| {test} | {' | '.join(f'{shares[metric]:.1%}' for metric in METRICS)} |", flush=True)
    print(f"\n{arguments.pairs} pairs, {len(texts[0])} segments")


def false_differences(statistics: dict[Metric, list[Array]], test: Test, pairs: int, seed: int) -> dict[Metric, float]:
    """By metric the share of equal pairs that differ with p < 0.05; `statistics` has (S, counts) of both systems."""
    generator = np.random.default_rng(seed)
    segments = len(next(iter(statistics.values()))[0])
    found: dict[Metric, list[bool]] = {metric: [] for metric in statistics}
    for _ in range(pairs):
        heads = generator.integers(2, size=(segments, 1), dtype=bool)
        _, other = significance([_dealt(statistics, heads), _dealt(statistics, ~heads)], Resampling.of(test))
        for metric, significances in found.items():
            p_value = other[metric].p_value
            significances.append(p_value is not None and p_value < SIGNIFICANT)
    return {metric: float(np.mean(significances)) for metric, significances in found.items()}


def _dealt(statistics: dict[Metric, list[Array]], heads: Array) -> dict[str, Array]:
    return {metric: np.where(heads, *both) for metric, both in statistics.items()}


if __name__ == "__main__":
    main()
