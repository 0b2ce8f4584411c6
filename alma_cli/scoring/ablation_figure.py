"""An ablation as one picture, an SVG that needs nothing else: scores with their intervals, and how the runs learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from alma_cli.core.ablation import AblationSystem, Training
from alma_cli.core.chart import nice_ticks, short_count
from alma_cli.core.recipe import ZERO_SHOT
from alma_cli.scoring.ablation import Ablation
from alma_cli.scoring.report import metric_name

_WIDTH, _PLOT = 860, 210  # of the picture, and a panel's height
_LEFT, _RIGHT = 56, 16
# Of the systems in their order: greys for what is not trained, then one colour each.
_COLOURS = (
    *("#8b949e", "#b9a44c", "#c9772b", "#3b7fc4", "#1f8a5b"),
    *("#8a5fb8", "#c2557a", "#5f9ea0", "#a0522d", "#6b7fd7"),
)
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#4d555e}.h{font-size:14px;font-weight:600;fill:#1f2328}"
    ".g{stroke:#8b949e;stroke-opacity:.25}.w{stroke:#1f2328;stroke-opacity:.7;fill:none}"
    "@media(prefers-color-scheme:dark){text{fill:#a9b1ba}.h{fill:#e6edf3}.w{stroke:#e6edf3}}"
)


@dataclass(frozen=True)
class _Curve:
    name: str
    colour: str
    points: Sequence[tuple[float, float]]


def ablation_figure(ablation: Ablation) -> str:
    """The picture: bars of the first metric, then curves of the validation loss, then scores over the size of the data
    where a stage was run on parts of it."""
    colours = {system.name: _COLOURS[n % len(_COLOURS)] for n, system in enumerate(ablation.systems)}
    metric = ablation.report.metrics[0]
    panels = [
        _legend(ablation.systems, colours),
        _bars(ablation, metric, colours),
        *_loss_panels(ablation, colours),
        *_portion_panels(ablation, metric),
    ]
    top, drawn = 0, []
    for panel, height in panels:
        drawn.append(f'<g transform="translate(0 {top})">{panel}</g>')
        top += height
    title = escape(f"{metric_name(metric)} of each system of {ablation.name}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img" aria-label="{title}">'
        f"<style>{_STYLE}</style>{''.join(drawn)}</svg>\n"
    )


def _legend(systems: Sequence[AblationSystem], colours: dict[str, str]) -> tuple[str, int]:
    """The systems with their colours, in rows as wide as the picture."""
    x, y, parts = _LEFT, 22, []
    for system in systems:
        words = f"{system.name}: {system.words}"
        width = 26 + 7 * len(words)
        if x > _LEFT and x + width > _WIDTH - _RIGHT:
            x, y = _LEFT, y + 20
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" rx="2" fill="{colours[system.name]}"/>')
        parts.append(f'<text x="{x + 18}" y="{y}">{escape(words)}</text>')
        x += width
    return "".join(parts), y + 16


def _bars(ablation: Ablation, metric: str, colours: dict[str, str]) -> tuple[str, int]:
    """A group of bars for each direction, each with its 95% interval."""
    rows = [row for row in ablation.report.rows if row.metric == metric]
    high = max(row.high if row.high is not None else row.score for row in rows) * 1.05 or 1.0
    parts = [_heading(f"{metric_name(metric)}, with 95% intervals"), _grid(0.0, high)]
    group = (_WIDTH - _LEFT - _RIGHT) / len(ablation.directions)
    width = min(34.0, 0.8 * group / len(ablation.systems))
    for place, direction in enumerate(ablation.directions):
        middle = _LEFT + group * (place + 0.5)
        left = middle - width * len(ablation.systems) / 2
        for n, system in enumerate(ablation.systems):
            row = ablation.rows.get((system.name, direction, metric))
            if row is None:
                continue
            x, y = left + n * width, _y(row.score, 0.0, high)
            tip = escape(f"{system.name} {direction}: {row.score:.2f}")
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{_y(0.0, 0.0, high) - y:.1f}" '
                f'rx="2" fill="{colours[system.name]}"><title>{tip}</title></rect>'
            )
            if row.low is not None and row.high is not None:
                at = x + width / 2
                parts.append(f'<path class="w" d="M{at:.1f} {_y(row.low, 0, high):.1f}V{_y(row.high, 0, high):.1f}"/>')
        parts.append(f'<text x="{middle:.1f}" y="{30 + _PLOT + 18}" text-anchor="middle">{escape(direction)}</text>')
    return "".join(parts), 30 + _PLOT + 40


def _loss_panels(ablation: Ablation, colours: dict[str, str]) -> list[tuple[str, int]]:
    """For each stage the validation loss of its runs, over the tokens that they had learned from."""
    panels = []
    for stage, words in (("mono", "Stage 1"), ("parallel", "Stage 2")):
        curves: list[_Curve] = []
        for training, facts in ablation.runs.items():
            if training.stage == stage and len(facts.curve) > 1:
                name = _system_of(ablation, training)
                curves.append(_Curve(name, colours.get(name, _COLOURS[0]), facts.curve))
        if curves:
            panels.append(_curve_panel(f"{words}: validation loss over target tokens (nats per token)", curves))
    return panels


def _system_of(ablation: Ablation, training: Training) -> str:
    """The system that has a run's weights, or else was trained on from them."""
    own = [system.name for system in ablation.systems if system.training == training]
    later = [system.name for system in ablation.systems if system.training and system.training.start == training]
    return next(iter([*own, *later]), training.stage)


def _portion_panels(ablation: Ablation, metric: str) -> list[tuple[str, int]]:
    """The mean score over how much a stage was trained on, from none of it to all, the other stage always whole."""
    mono = next((run for run in ablation.runs if run == Training("mono")), None)
    before, pairs = ("mono", "parallel-only") if mono else (ZERO_SHOT, "")
    of_pairs = {one.name: one.training for one in ablation.systems if _is(one, start=mono)}
    of_text = {one.name: one.training.start for one in ablation.systems if one.training and _is(one, portion=1.0)}
    curves = []
    for name, none, runs, colour in (
        ("stage 1", pairs, of_text, _COLOURS[2]),
        ("stage 2", before, of_pairs, _COLOURS[4]),
    ):
        found = [(0.0, ablation.mean(none, metric))]
        found += [(ablation.runs[run].target_tokens, ablation.mean(one, metric)) for one, run in runs.items() if run]
        points = sorted((tokens, mean) for tokens, mean in found if mean is not None)
        if any(run.portion < 1 for run in runs.values() if run) and len(points) > 1:
            curves.append(_Curve(name, colour, points))
    if not curves:
        return []
    return [_curve_panel(f"Mean {metric_name(metric)} over the target tokens of one stage, the other whole", curves)]


def _is(system: AblationSystem, **wanted: object) -> bool:
    """Whether a system's own run is one of stage 2 with these attributes."""
    run = system.training
    return run is not None and run.stage == "parallel" and all(getattr(run, key) == wanted[key] for key in wanted)


def _curve_panel(title: str, curves: Sequence[_Curve]) -> tuple[str, int]:
    last = max(x for curve in curves for x, _ in curve.points) or 1.0
    values = [y for curve in curves for _, y in curve.points]
    low, high = min(values), max(values)
    air = 0.08 * (high - low) or 1.0
    low, high = low - air, high + air
    parts = [_heading(title), _grid(low, high)]
    for tick in nice_ticks(0, last, 6):
        x = _x(tick, last)
        parts.append(f'<text x="{x:.1f}" y="{30 + _PLOT + 18}" text-anchor="middle">{short_count(tick)}</text>')
    taken: list[float] = []
    for curve in curves:
        points = [(_x(x, last), _y(y, low, high)) for x, y in curve.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{curve.colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{curve.colour}"/>' for x, y in points]
        # The curves' names stand at their ends, one below the other where they meet.
        y = points[-1][1] - 7
        while any(abs(y - other) < 14 for other in taken):
            y += 14
        taken.append(y)
        style = f'text-anchor="end" style="fill:{curve.colour}"'
        parts.append(f'<text x="{points[-1][0]:.1f}" y="{y:.1f}" {style}>{escape(curve.name)}</text>')
    return "".join(parts), 30 + _PLOT + 40


def _heading(text: str) -> str:
    return f'<text class="h" x="{_LEFT}" y="16">{escape(text)}</text>'


def _grid(low: float, high: float) -> str:
    parts = []
    for tick in nice_ticks(low, high, 5):
        y = _y(tick, low, high)
        parts.append(f'<path class="g" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    return "".join(parts)


def _x(value: float, last: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / last


def _y(value: float, low: float, high: float) -> float:
    return 30 + _PLOT * (1 - (value - low) / (high - low))
