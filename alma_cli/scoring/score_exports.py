"""A report as a spreadsheet reads it (CSV), and as a paper prints it (LaTeX with booktabs)."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, fields

from alma_cli.scoring.report import LOWER_IS_BETTER, SIDES, ScoreReport, ScoreRow, metric_name
from alma_cli.scoring.score_table import GROUPS, Column, score_columns, score_text

# What has a meaning of its own in LaTeX's text.
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def scores_as_csv(report: ScoreReport) -> str:
    """One line a row, under the names that the rows of the JSON form have; what is unknown is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(ScoreRow))
    writer.writerows(astuple(row) for row in report.rows)
    return text.getvalue()


def scores_as_latex(report: ScoreReport) -> str:
    """A tabular: systems by directions, metrics below each other; its comments say what it needs and what it means."""
    blocks = [score_columns(report, metric) for metric in report.metrics]
    # The directions are those of the first metric that has most of them; a metric that lacks one leaves a dash.
    head = max(blocks, key=len)
    lines = [
        *_comments(report),
        rf"\begin{{tabular}}{{l{'r' * len(head)}}}",
        r"\toprule",
        " & ".join(["", *_groups(head)]) + r" \\",
        " & ".join(["System", *(column.name for column in head)]) + r" \\",
    ]
    for metric, columns in zip(report.metrics, blocks, strict=True):
        arrow = r" $\downarrow$" if metric in LOWER_IS_BETTER else ""
        title = rf"\multicolumn{{{len(head) + 1}}}{{l}}{{\textit{{{_escaped(metric_name(metric))}}}{arrow}}} \\"
        known = {(column.name, column.side): column for column in columns}
        lines += [r"\midrule", title]
        for system in report.systems:
            cells = [_cell(report, metric, system, known.get((column.name, column.side))) for column in head]
            lines.append(" & ".join([_escaped(system), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _comments(report: ScoreReport) -> list[str]:
    lines = [r"% needs \usepackage{booktabs}; bold: best of the column"]
    if facts := report.significance:
        lines.append(
            f"% arrows: better or worse than {_one_line(facts.baseline)} with p < 0.05, paired {facts.test}, "
            f"{facts.resamples} resamples, seed {facts.seed}"
        )
    signatures = dict.fromkeys((row.metric, row.signature) for row in report.rows)
    return lines + [f"% {metric_name(metric)} {_one_line(signature)}" for metric, signature in signatures]


def _groups(columns: list[Column]) -> list[str]:
    widths = {side: sum(column.side == side for column in columns) for side in SIDES}
    return [rf"\multicolumn{{{width}}}{{c}}{{{GROUPS[side]}}}" for side, width in widths.items() if width]


def _cell(report: ScoreReport, metric: str, system: str, column: Column | None) -> str:
    values = column.values if column else {}
    if column is None or system not in values:
        return "--"
    best = (min if metric in LOWER_IS_BETTER else max)(values.values())
    number = score_text(values[system])
    text = rf"\textbf{{{number}}}" if values[system] == best and len(values) > 1 else number
    row = column.cells.get(system) or column.averages.get(system)
    difference = report.difference(row) if row else None
    if difference is None or not difference.significant:
        return text
    return text + (r"$^{\uparrow}$" if difference.better else r"$^{\downarrow}$")


def _escaped(text: str) -> str:
    return _one_line(text).translate(_LATEX)


def _one_line(text: str) -> str:
    return " ".join(text.split())
