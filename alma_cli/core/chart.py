"""A line chart as inline SVG between HTML labels: round ticks, few points, and no script needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Literal

MOST_POINTS = 1000
_WIDTH, _HEIGHT = 1000.0, 300.0  # of the SVG's own coordinates; the page stretches them
# The highest 3% of the values stay above the frame where they would make it 2.5 times as high.
_USUAL, _SQUEEZED, _FEWEST_WITH_OUTLIERS = 0.97, 2.5, 20

Value = float | None  # None: no number there, the line has a gap


@dataclass(frozen=True)
class Line:
    """One curve of a chart: `raw` is thin and behind the others; the few values of `points` are marked each."""

    name: str
    kind: Literal["raw", "main", "points"]
    steps: Sequence[float]
    values: Sequence[Value]


@dataclass(frozen=True)
class Chart:
    """Curves over the steps; `mark` is the (step, value) that the run kept."""

    title: str
    unit: str
    lines: Sequence[Line]
    write: Callable[[float], str]  # a value as text
    note: str = ""
    from_zero: bool = True
    mark: tuple[float, float] | None = None

    def html(self, last_step: float) -> str:
        """The chart as a figure, all the steps wide; empty where no curve has a number."""
        lines = [line for line in self.lines if any(value is not None for value in line.values)]
        if not lines:
            return ""
        values = [value for line in lines for value in line.values if value is not None]
        low, high = _range(values, _usual_highest(lines), from_zero=self.from_zero)
        ticks = nice_ticks(low, high, 5)
        frame = _Frame(last_step, low, high)
        clipped = f"values up to {self.write(max(values))} lie above the frame" if max(values) > high else ""
        note = "; ".join(part for part in (self.note, clipped) if part)
        legend = (
            "".join(f'<li class="{line.kind}">{escape(line.name)}</li>' for line in lines) if len(lines) > 1 else ""
        )
        return "".join(
            (
                f'<figure class="chart" tabindex="0" role="group" aria-label="{escape(self._summary(lines))}">',
                f"<figcaption><h3>{escape(self.title)}</h3>",
                f'<span class="unit">{escape(self.unit)}</span>',
                f'<ul class="legend">{legend}</ul></figcaption>' if legend else "</figcaption>",
                '<div class="plot">',
                _y_labels(frame, ticks, self.write),
                f'<div class="canvas" data-chart="{escape(self._data(lines, frame))}">',
                _svg(lines, frame, ticks, self.mark),
                self._mark_label(frame),
                "</div>",
                _x_labels(last_step),
                "</div>",
                f'<p class="note">{escape(note)}</p>' if note else "",
                "</figure>",
            )
        )

    def _summary(self, lines: Sequence[Line]) -> str:
        """What a screen reader says."""
        parts = []
        for line in lines:
            values = [value for value in line.values if value is not None]
            ends = f"from {self.write(values[0])} to {self.write(values[-1])}"
            parts.append(f"{line.name} {ends}, lowest {self.write(min(values))}, highest {self.write(max(values))}")
        return f"{self.title}, {self.unit}: " + "; ".join(parts)

    def _data(self, lines: Sequence[Line], frame: _Frame) -> str:
        """What the script reads out under the pointer, as `name|kind|x y text,...` a line."""
        return "\n".join(
            f"{line.name.replace('|', ' ')}|{line.kind}|"
            + ";".join(
                f"{frame.x(step) / _WIDTH:.4f} {frame.y(value) / _HEIGHT:.3f} {step:.0f} {self.write(value)}"
                for step, value in zip(line.steps, line.values, strict=True)
                if value is not None
            )
            for line in lines
            if line.kind != "raw"
        )

    def _mark_label(self, frame: _Frame) -> str:
        if self.mark is None:
            return ""
        step, value = self.mark
        x, y = frame.x(step) / _WIDTH, frame.y(value) / _HEIGHT
        classes = "mark" + (" left" if x > 0.6 else "") + (" under" if y < 0.15 else "")
        text = f"best {self.write(value)} at step {step:,.0f}"
        return f'<span class="{classes}" style="left:{x:.2%};top:{y:.2%}">{escape(text)}</span>'


@dataclass(frozen=True)
class _Frame:
    """From steps and values to the SVG's coordinates."""

    last_step: float
    low: float
    high: float

    def x(self, step: float) -> float:
        return _WIDTH * step / max(self.last_step, 1)

    def y(self, value: float) -> float:
        return _HEIGHT * (1 - (value - self.low) / (self.high - self.low))


def nice_ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers (1, 2, 2.5, 5 times a power of ten) that lie between `low` and `high`, about so many."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)] or [low]


def buckets(count: int) -> list[tuple[int, int]]:
    """The borders of at most MOST_POINTS near-equal pieces of so many rows."""
    pieces = min(count, MOST_POINTS)
    return list(pairwise(round(n * count / pieces) for n in range(pieces + 1))) if count else []


def mean(values: Sequence[Value]) -> Value:
    """The mean of those that are numbers; None where there are none."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def smoothed(values: Sequence[Value], reach: int) -> list[Value]:
    """Means over `reach` neighbours on each side, twice, which weighs the near ones more; as many as there are at the
    ends, the same number on both sides, so that a steep start stays where it is."""
    for _ in range(2):
        sums, counts = [0.0], [0]
        for value in values:
            sums.append(sums[-1] + (value or 0.0))
            counts.append(counts[-1] + (value is not None))
        means: list[Value] = []
        for index, value in enumerate(values):
            near = min(reach, index, len(values) - 1 - index)
            a, b = index - near, index + near + 1
            means.append(None if value is None else (sums[b] - sums[a]) / (counts[b] - counts[a]))
        values = means
    return list(values)


def _range(values: Sequence[float], highest: float, *, from_zero: bool) -> tuple[float, float]:
    """A little air around the values up to `highest`, and no empty range."""
    low, high = min(values), min(max(values), highest)
    if from_zero:
        low = min(0.0, low)
        return low, (high + 0.08 * (high - low) if high > low else low + 1.0)
    air = 0.07 * (high - low) if high > low else abs(high) * 0.05 or 1.0
    return low - air, high + air


def _usual_highest(lines: Sequence[Line]) -> float:
    """Where the frame may end: infinity, unless a few spikes or first steps would squeeze all the others."""
    single = [line for line in lines if line.kind == "raw"] or [line for line in lines if line.kind == "main"]
    values = sorted(value for line in single for value in line.values if value is not None)
    if len(values) < _FEWEST_WITH_OUTLIERS:
        return math.inf
    low, usual, high = values[0], values[int(_USUAL * (len(values) - 1))], values[-1]
    squeezed = high - low > _SQUEEZED * (usual - low) > 0
    return usual + 0.25 * (usual - low) if squeezed else math.inf


def _svg(lines: Sequence[Line], frame: _Frame, ticks: Sequence[float], mark: tuple[float, float] | None) -> str:
    grid = "".join(f'<path class="grid" d="M0 {frame.y(tick):.1f}H{_WIDTH:.0f}"/>' for tick in ticks)
    curves = "".join(_curve(line, frame) for line in lines)
    ring = f'<path class="ring" d="M{frame.x(mark[0]):.1f} {frame.y(mark[1]):.1f}h0"/>' if mark else ""
    size = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return f'<svg viewBox="{size}" preserveAspectRatio="none" aria-hidden="true">{grid}{curves}{ring}</svg>'


def _curve(line: Line, frame: _Frame) -> str:
    """A path with gaps where there is no number; a value alone is a dot, which a round cap on no length draws."""
    path, dots, drawing = [], [], False
    values = list(line.values)
    for index, (step, value) in enumerate(zip(line.steps, values, strict=True)):
        if value is None:
            drawing = False
            continue
        point = f"{frame.x(step):.1f} {frame.y(value):.1f}"
        alone = not drawing and (index + 1 == len(values) or values[index + 1] is None)
        if line.kind == "points" or alone:
            dots.append(f"M{point}h0")
        path.append(("L" if drawing else "M") + point)
        drawing = True
    marks = f'<path class="dots {line.kind}" d="{"".join(dots)}"/>' if dots else ""
    return f'<path class="line {line.kind}" d="{"".join(path)}"/>{marks}'


def _y_labels(frame: _Frame, ticks: Sequence[float], write: Callable[[float], str]) -> str:
    labels = "".join(f'<span style="top:{frame.y(tick) / _HEIGHT:.2%}">{escape(write(tick))}</span>' for tick in ticks)
    return f'<div class="y" aria-hidden="true">{labels}</div>'


def _x_labels(last_step: float) -> str:
    """Round steps; the last one says what they are."""
    ticks = [tick for tick in nice_ticks(0, last_step, 6) if tick == int(tick)]
    labels = "".join(
        f'<span style="left:{tick / max(last_step, 1):.2%}"{_at_the_end(tick, last_step)}>{short_count(tick)}</span>'
        for tick in ticks
    )
    return f'<div class="x" aria-hidden="true">{labels}</div>'


def _at_the_end(tick: float, last_step: float) -> str:
    return ' class="end"' if tick > 0.97 * last_step else ' class="start"' if tick == 0 else ""


def short_count(number: float) -> str:
    """A count in three or four characters: `950`, `2.5k`, `40k`, `1.2M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size * (10 if letter == "k" else 1):
            return f"{number / size:.3g}{letter}"
    return f"{number:,.0f}"
