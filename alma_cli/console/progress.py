"""Long jobs while they go on: one live line on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from alma_cli.console.score_tables import metric_name_of
from alma_cli.console.screen import duration, err, is_quiet, note, warn

if TYPE_CHECKING:
    from alma_cli.core.loop import StepReport
    from alma_cli.core.stage import Finished, StageEvent, ValidationReport
    from alma_cli.decoding.translator import Translation

_SECONDS_OF_SILENCE = 5.0


class Watch:
    """Shows a long job: one live line on a terminal, a plain line now and then elsewhere."""

    def __init__(self, *, seconds_between_lines: float = 15.0) -> None:
        is_live = err.is_terminal and not is_quiet()
        self._live = Live(console=err, transient=True, auto_refresh=False) if is_live else None
        self._seconds_between_lines = seconds_between_lines
        self._last_line = time.monotonic()

    def __enter__(self) -> Watch:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, text: str, *, last: bool = False) -> None:
        """The state of the job; off a terminal it is printed if the last line is old enough, or if it is the last."""
        if self._live:
            self._live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)
        elif last or time.monotonic() - self._last_line > self._seconds_between_lines:
            self._last_line = time.monotonic()
            note(text)


@contextmanager
def tokenising() -> Iterator[Callable[[int], None]]:
    """A function that shows how many tokens a long text has come to; of one that takes seconds, nothing is shown."""
    started = time.monotonic()
    with Watch() as watch:

        def show(tokens: int) -> None:
            if time.monotonic() - started > _SECONDS_OF_SILENCE:
                watch.show(f"tokenising: {tokens / 1e6:.1f}M tokens")

        yield show


@contextmanager
def preparing() -> Iterator[Callable[[int, int], None]]:
    """A function that shows how many records were read and kept; of what takes seconds, nothing is shown."""
    started = time.monotonic()
    with Watch() as watch:

        def show(read: int, kept: int) -> None:
            seconds = time.monotonic() - started
            if seconds > _SECONDS_OF_SILENCE:
                watch.show(f"preparing: {read:,} records read, {kept:,} kept, {read / seconds:,.0f} a second")

        yield show


@contextmanager
def scoring() -> Iterator[Callable[[str, int, int], None]]:
    """A function that shows how far a model has come with scoring segments; of what takes seconds, nothing is shown."""
    started: dict[str, float] = {}
    with Watch() as watch:

        def show(what: str, done: int, total: int) -> None:
            seconds = time.monotonic() - started.setdefault(what, time.monotonic())
            if seconds > _SECONDS_OF_SILENCE:
                watch.show(f"{what}: {done:,} of {total:,} segments, {done / seconds:,.0f} a second")

        yield show


def follow_training(events: Iterable[StageEvent], *, steps: int, peak_flops: float | None = None) -> Finished:
    """Draw a stage's events as they come, and return the last of them.

    With `peak_flops`, the machine's measured operations a second, the line says which share of them the steps use.
    """
    from alma_cli.core.loop import MicroBatchHalved, StepReport
    from alma_cli.core.stage import Finished, Resumed, ValidationReport

    course = _Course(steps, peak_flops)
    with Watch() as watch:
        for event in events:
            if isinstance(event, StepReport):
                course.add_step(event)
                watch.show(course.line, last=event.step == steps)
            elif isinstance(event, ValidationReport):
                course.add_validation(event)
                mark = " (best so far)" if event.best else ""
                quality = "" if event.quality is None else f", {metric_name_of(event.metric)} {event.quality:.2f}"
                note(f"step {event.step}/{steps}: validation loss {event.loss:.4f} nats/token{quality}{mark}")
            elif isinstance(event, MicroBatchHalved):
                warn(f"step {event.step}: out of memory; done again with micro-batches of {event.tokens:,} tokens")
            elif isinstance(event, Resumed):
                note(f"resumed after step {event.step}")
            elif isinstance(event, Finished):
                return event
    raise AssertionError("a stage ends with Finished")


_LINE_WIDTH = 100
_SPARKLINE_WIDTHS = (6, 24)
_STEPS_OF_SPEED = 10
_FORGOTTEN_A_STEP = 0.05  # of what a step takes: the time that is left follows the last twenty or so steps


class _Course:
    """What the line about training says, from the steps and validations so far."""

    def __init__(self, steps: int, peak_flops: float | None) -> None:
        self._steps = steps
        self._peak_flops = peak_flops
        self._losses: list[float] = []
        self._recent: list[StepReport] = []
        self._validation: ValidationReport | None = None
        self._seconds, self._weight = 0.0, 0.0
        self._last_step_ended: float | None = None
        self._pauses = 0.0  # seconds between steps, of validations and checkpoints

    def add_step(self, report: StepReport) -> None:
        """One more step, which has just ended."""
        self._losses.append(report.loss)
        self._recent = [*self._recent[1 - _STEPS_OF_SPEED :], report]
        self._seconds = self._seconds * (1 - _FORGOTTEN_A_STEP) + report.seconds
        self._weight = self._weight * (1 - _FORGOTTEN_A_STEP) + 1
        now = time.monotonic()
        if self._last_step_ended is not None:
            self._pauses += max(0.0, now - self._last_step_ended - report.seconds)
        self._last_step_ended = now

    def add_validation(self, report: ValidationReport) -> None:
        """One more validation; the line shows the best."""
        if report.best or self._validation is None:
            self._validation = report

    @property
    def line(self) -> str:
        """The state after the last step, in 100 columns; what does not fit is left out, the learning rate first.

        Tokens are those that the loss looks at, as in `alma translate` they are those that are written.
        """
        last, seconds = self._recent[-1], sum(report.seconds for report in self._recent)
        parts = {
            "step": f"step {last.step}/{self._steps}",
            "loss": f"loss {last.loss:.3f} ",
            "validation": self._best(),
            "speed": f"{sum(report.target_tokens for report in self._recent) / seconds:,.0f} tokens/s",
            "peak": self._share_of_peak(seconds),
            "memory": "" if last.memory_gib is None else f"{last.memory_gib:.1f} GiB",
            "rate": f"lr {_short(last.learning_rate)}",
            "left": f"{duration(self._seconds_left())} left",
        }
        parts = {name: part for name, part in parts.items() if part}
        least, most = _SPARKLINE_WIDTHS
        for name in ("rate", "memory", "peak", "validation"):
            if _width(parts) + least > _LINE_WIDTH:
                parts.pop(name, None)
        parts["loss"] += sparkline(self._losses, width=min(most, _LINE_WIDTH - _width(parts)))
        return "  ".join(parts.values())

    def _best(self) -> str:
        best = self._validation
        if best is None:
            return ""
        return f"valid {best.loss:.3f}" if best.quality is None else f"{metric_name_of(best.metric)} {best.quality:.1f}"

    def _share_of_peak(self, seconds: float) -> str:
        flops = [report.flops for report in self._recent if report.flops is not None]
        if self._peak_flops is None or len(flops) < len(self._recent):
            return ""
        return f"{sum(flops) / seconds / self._peak_flops:.0%} of peak"

    def _seconds_left(self) -> float:
        seconds_per_step = self._seconds / self._weight + self._pauses / len(self._losses)
        return (self._steps - self._recent[-1].step) * seconds_per_step


def _width(parts: Mapping[str, str]) -> int:
    return len("  ".join(parts.values()))


def _short(number: float) -> str:
    """A small number with two digits at most: `1e-3`, `9.8e-4`, `0`."""
    digits, _, exponent = f"{number:.1e}".partition("e")
    return f"{float(digits):g}e{int(exponent)}" if number else "0"


def follow_translation(translations: Iterable[Translation], *, total: int, what: str) -> list[Translation]:
    """Draw the progress of a translation, and return its sentences in the order they came."""
    started = time.monotonic()
    done_so_far: list[Translation] = []
    tokens = 0
    with Watch() as watch:
        for translation in translations:
            done_so_far.append(translation)
            tokens += translation.new_tokens
            seconds = max(time.monotonic() - started, 1e-6)
            rate = len(done_so_far) / seconds
            speed = f"{rate:,.{int(rate < 10)}f} segments/s  {tokens / seconds:,.0f} tokens/s"
            left = duration((total - len(done_so_far)) / rate)
            watch.show(
                f"{what}: {len(done_so_far)}/{total} segments  {speed}  {left} left", last=len(done_so_far) == total
            )
    return done_so_far


def warn_of_limits(translations: Sequence[Translation], what: str) -> None:
    """Say how many translations may be incomplete."""
    limited = sum(translation.reached_limit for translation in translations)
    if limited:
        warn(
            f"{what}: {limited} of {len(translations)} translations reached the token limit and may be cut off or "
            "looping"
        )
    cut = sorted(translation.index + 1 for translation in translations if translation.source_cut)
    if cut:
        lines = ", ".join(map(str, cut[:10])) + (", ..." if len(cut) > 10 else "")
        warn(f"{what}: {len(cut)} sources are longer than the model's window and were cut (segment {lines})")


def sparkline(values: Sequence[float], *, width: int = 24) -> str:
    """The course of `values` in at most `width` characters, from their lowest to their highest."""
    if len(values) > width:
        bounds = [round(n * len(values) / width) for n in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
    low, high = min(values), max(values)
    return "".join("▁▂▃▄▅▆▇█"[int(7 * (value - low) / (high - low)) if high > low else 0] for value in values)
