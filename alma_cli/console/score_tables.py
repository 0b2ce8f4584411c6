"""Scores as tables: systems and directions, intervals and stars, flagged translations, the paper's averages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from alma_cli.console.screen import one_line, result_table, warn

if TYPE_CHECKING:
    from alma_cli.scoring.published import BesidePaper
    from alma_cli.scoring.report import ScoreReport, ScoreRow


def scores(report: ScoreReport) -> None:
    """The command's result as a table of scores: the best system of a direction in bold, averages, signatures below.

    A score has half of its 95% interval beside it, and a star where it differs from the baseline's by more than chance.
    """
    lines: dict[tuple[str, str], dict[str, Text]] = {}
    for system in report.systems:
        for row in (row for row in report.rows if row.system == system):
            lines.setdefault((system, row.direction), {})[row.metric] = _score_cell(report, row)
        for average in (average for average in report.averages if average.system == system):
            cell = Text("-" if average.score is None else f"{average.score:5.2f}{report.star(average)}")
            lines.setdefault((system, average.place), {})[average.metric] = cell
    rows: list[list[str | Text]] = [
        [*labels, *(cells.get(metric, Text("-")) for metric in report.metrics)] for labels, cells in lines.items()
    ]
    footer = "\n".join([*_comparison_lines(report), _signatures(report)])
    result_table("", ["system", "direction", *map(metric_name_of, report.metrics)], rows, footer=footer)
    _flags(report)


def _flags(report: ScoreReport) -> None:
    """How many translations of each system have which flag; empty ones are warned of, since some metrics like them."""
    found: dict[tuple[str, str], list[str]] = {}
    for flag in sorted(report.flags, key=lambda flag: -flag.count):
        found.setdefault((flag.system, flag.direction), []).append(f"{flag.count:,} {flag.flag.replace('_', ' ')}")
    order = dict.fromkeys((row.system, row.direction) for row in report.rows)
    if rows := [[*labels, ", ".join(found[labels])] for labels in order if labels in found]:
        footer = "which lines these are: --html shows them, --json lists the first"
        result_table("", ["system", "direction", "flagged translations"], rows, footer=footer)
    for flag in (flag for flag in report.flags if flag.flag == "empty"):
        where = ", ".join(map(str, flag.lines)) + (", ..." if flag.count > len(flag.lines) else "")
        what = f"{flag.count} empty translation" + ("s" if flag.count > 1 else "")
        warn(f"{flag.system} {flag.direction}: {what} (line {where})")


def _score_cell(report: ScoreReport, row: ScoreRow) -> Text:
    best = "bold" if (row.system, row.direction, row.metric) in report.best else ""
    if row.low is None or row.high is None:
        return Text(f"{row.score:.2f}", best)
    half = (row.high - row.low) / 2
    return Text.assemble((f"{row.score:5.2f}", best), (f"\u00a0±{half:.1f}", "dim"), report.star(row))


def _comparison_lines(report: ScoreReport) -> Iterator[str]:
    """What intervals and stars mean, and which of the stars people would not notice."""
    facts = report.significance
    if facts is None:
        return
    yield "± is half of the 95% interval"
    differences = [(row, difference) for row in report.rows if (difference := report.difference(row))]
    if differences:
        yield f"* differs from {one_line(facts.baseline)} with p < 0.05 ({facts.words})"
    small: dict[str, list[str]] = {}
    for row, difference in differences:
        if difference.significant and not difference.noticed:
            small.setdefault(row.metric, []).append(f"{one_line(row.system)} {row.direction} {difference.points:+.2f}")
    for metric, found in small.items():
        yield f"less {metric_name_of(metric)} than people notice, though significant: {', '.join(found)}"


def scores_beside_paper(found: Iterable[BesidePaper], citation: str) -> None:
    """The command's result as a table: the averages that the paper has, and those measured."""
    rows = [
        (
            one_line(one.system),
            one.side,
            metric_name_of(one.metric),
            f"{one.published:.2f}",
            "-" if one.measured is None else f"{one.measured:.2f}",
            "-" if one.difference is None else f"{one.difference:+.2f}",
            one.published_system,
        )
        for one in found
    ]
    columns = ("system", "average", "metric", "published", "measured", "difference", "the paper's system")
    result_table("", columns, rows, footer=f"published: {citation}; means over five directions")


def metric_name_of(metric: str) -> str:
    """As people write it: BLEU, chrF2, COMET."""
    from alma_cli.scoring.report import metric_name

    return metric_name(metric)


def _signatures(report: ScoreReport) -> str:
    """One line a signature, with its directions where one metric has several."""
    directions: dict[tuple[str, str], dict[str, None]] = {}
    for row in report.rows:
        directions.setdefault((row.metric, row.signature), {})[row.direction] = None
    several = {metric for metric, _ in directions if sum(other == metric for other, _ in directions) > 1}
    return "\n".join(
        f"{metric_name_of(metric)} {signature}" + (f" ({', '.join(found)})" if metric in several else "")
        for (metric, signature), found in directions.items()
    )
