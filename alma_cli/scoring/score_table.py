"""The page's tables of scores: systems by directions, with intervals, significance marks and averages, one a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from alma_cli.core.page import foreign_text
from alma_cli.scoring.report import (
    LOWER_IS_BETTER,
    NOTICED,
    SIDES,
    AverageRow,
    Difference,
    ScoreReport,
    ScoreRow,
    Side,
    metric_name,
    side_of,
)

GROUPS: dict[Side, str] = {"en-xx": "out of English", "xx-en": "into English", "xx-xx": "other directions"}

_LEGEND = """\
<ul class="legend">
<li><span class="up">▲</span> better than {baseline}, p &lt; 0.05</li>
<li><span class="down">▼</span> worse, p &lt; 0.05</li>
<li><span class="up">△</span> <span class="down">▽</span> so, too, but by less than people notice{noticed}</li>
<li><b>bold</b> best of the column</li>
<li><span class="range sample"><i></i><b></b></span> score and 95% interval, one scale a column</li>
</ul>
"""


@dataclass(frozen=True)
class Column:
    """The scores of one direction, or the averages of those on one side of English."""

    name: str
    side: Side
    cells: dict[str, ScoreRow]  # by system
    averages: dict[str, AverageRow]

    @property
    def values(self) -> dict[str, float]:
        rows: Mapping[str, ScoreRow | AverageRow] = self.cells or self.averages
        return {system: row.score for system, row in rows.items() if row.score is not None}

    @property
    def scale(self) -> tuple[float, float]:
        """From the lowest end of an interval to the highest."""
        rows = self.cells.values()
        low = min(row.score if row.low is None else row.low for row in rows)
        return low, max(row.score if row.high is None else row.high for row in rows)


def score_tables(report: ScoreReport) -> str:
    """A table a metric, each a panel that the script shows by its tab; without a script, and on paper, all of them."""
    metrics = report.metrics
    tabs = "".join(
        f'<button type="button" role="tab" id="tab-{n}" aria-controls="metric-{n}" aria-selected="false">'
        f"{escape(metric_name(metric))}</button>"
        for n, metric in enumerate(metrics)
    )
    panels = "".join(_panel(report, metric, n) for n, metric in enumerate(metrics))
    return f'<div class="tabs" role="tablist" aria-label="Metric" hidden>{tabs}</div>\n{panels}'


def score_text(score: float) -> str:
    """Two decimals, as papers print it."""
    return f"{score:.2f}"


def _panel(report: ScoreReport, metric: str, number: int) -> str:
    columns = score_columns(report, metric)
    name = metric_name(metric)
    lower = '<p class="about">Lower is better.</p>\n' if metric in LOWER_IS_BETTER else ""
    rows = "".join(_row(system, metric, columns, report) for system in report.systems)
    return (
        f'<div class="metric" role="tabpanel" id="metric-{number}" aria-labelledby="tab-{number}">'
        f"<h3>{escape(name)}</h3>\n{lower}"
        f'<div class="wide" role="region" aria-label="{escape(name)} of all systems" tabindex="0">'
        f'<table class="scores">{_head(columns)}<tbody>{rows}</tbody></table></div>\n'
        f"{_legend(metric, report.baseline, columns)}</div>\n"
    )


def score_columns(report: ScoreReport, metric: str) -> list[Column]:
    """Directions out of English, their average, directions into English, their average, and the others."""
    rows = [row for row in report.rows if row.metric == metric]
    directions = list(dict.fromkeys(row.direction for row in rows))
    columns = []
    for side in SIDES:
        for direction in (direction for direction in directions if side_of(direction) == side):
            cells = {row.system: row for row in rows if row.direction == direction}
            columns.append(Column(direction, side, cells, {}))
        means = {one.system: one for one in report.averages if (one.metric, one.kind) == (metric, side)}
        if any(mean.score is not None for mean in means.values()):
            columns.append(Column("average", side, {}, means))
    return columns


def _head(columns: Sequence[Column]) -> str:
    widths = {side: sum(column.side == side for column in columns) for side in SIDES}
    groups = "".join(
        f'<th scope="colgroup" colspan="{width}">{GROUPS[side]}</th>' for side, width in widths.items() if width
    )
    names = "".join(
        f'<th scope="col"{_column_class(columns, n)}>{escape(column.name)}</th>' for n, column in enumerate(columns)
    )
    return (
        f'<thead><tr class="groups"><td></td>{groups}</tr><tr><th scope="col" class="system">system</th>{names}</tr>'
        "</thead>"
    )


def _column_class(columns: Sequence[Column], number: int) -> str:
    """Where a group begins, and what is an average."""
    first = number > 0 and columns[number].side != columns[number - 1].side
    names = [*(["first"] if first else []), *(["average"] if columns[number].averages else [])]
    return f' class="{" ".join(names)}"' if names else ""


def _row(system: str, metric: str, columns: Sequence[Column], report: ScoreReport) -> str:
    cells = "".join(
        f"<td{_column_class(columns, n)}>{_cell(system, metric, column, report)}</td>"
        for n, column in enumerate(columns)
    )
    return f'<tr><th scope="row">{foreign_text(system)}</th>{cells}</tr>'


def _cell(system: str, metric: str, column: Column, report: ScoreReport) -> str:
    values = column.values
    if system not in values:
        return '<span class="none">&ndash;</span>'
    score = values[system]
    best = (min if metric in LOWER_IS_BETTER else max)(values.values())
    number = f"<b>{score_text(score)}</b>" if score == best and len(values) > 1 else score_text(score)
    row = column.cells.get(system)
    if row is None:
        return f'<span class="value">{number}{_mark(report.difference(column.averages[system]))}</span>'
    return f'<span class="value">{number}{_mark(report.difference(row))}</span>{_interval(row, column)}'


def _mark(difference: Difference | None) -> str:
    """Filled: significant and noticed by people; hollow: significant only. Its title has the numbers."""
    if difference is None:
        return "<sup></sup>"
    title = f"{difference.points:+.2f}, p = {difference.p_value:.3f}"
    if not difference.significant:
        return f'<sup title="{title}"></sup>'
    hollow = not difference.noticed
    sign = ("△" if hollow else "▲") if difference.better else ("▽" if hollow else "▼")
    said = f"{'better' if difference.better else 'worse'}, {title}{', less than people notice' if hollow else ''}"
    kind = "up" if difference.better else "down"
    return f'<sup class="{kind}" title="{said}" role="img" aria-label="{said}">{sign}</sup>'


def _interval(row: ScoreRow, column: Column) -> str:
    if row.low is None or row.high is None:
        return ""
    low, high = column.scale
    width = max(high - low, 1e-9)
    left, right, at = ((value - low) / width for value in (row.low, row.high, row.score))
    return (
        f"<small>{row.low:.1f}&ndash;{row.high:.1f}</small>"
        f'<span class="range" aria-hidden="true"><i style="left:{left:.1%};width:{right - left:.1%}"></i>'
        f'<b style="left:{at:.1%}"></b></span>'
    )


def _legend(metric: str, baseline: str, columns: Sequence[Column]) -> str:
    if not any(row.p_value is not None for column in columns for row in column.cells.values()):
        return ""
    noticed = f" ({NOTICED[metric]} {metric_name(metric)})" if metric in NOTICED else ""
    return _LEGEND.format(baseline=foreign_text(baseline), noticed=noticed)
