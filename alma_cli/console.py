"""Every word, table, bar and sparkline a person sees: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from alma_cli.errors import AlmaError

if TYPE_CHECKING:
    from alma_cli.core.dataset import Manifest
    from alma_cli.core.doctor import Check
    from alma_cli.core.fates import TokenFate
    from alma_cli.core.loop import StepReport
    from alma_cli.core.stage import Finished, StageEvent, ValidationReport
    from alma_cli.data.shown import ShownRecord
    from alma_cli.decoding.translator import Translation
    from alma_cli.scoring.published import BesidePaper
    from alma_cli.scoring.report import ScoreReport, ScoreRow


class _Screen(Console):
    """Leaves it to the error boundary that a reader went away (`| head`), where rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


_out = _Screen(highlight=False)
_err = _Screen(stderr=True, highlight=False)
_quiet = False


def be_quiet(quiet: bool) -> None:
    """With True, only results, warnings and errors are shown."""
    global _quiet
    _quiet = quiet


def leave_it_to_another() -> None:
    """Show nothing but this process's own errors: of several processes, the first speaks."""
    _out.quiet = _err.quiet = True


def note(text: str) -> None:
    """One line about what is going on."""
    if not _quiet:
        _err.print(Text(_printable(text), style="dim"), soft_wrap=True)


def warn(text: str) -> None:
    """One line about something the user should know, also when quiet."""
    _err.print(Text.assemble(("warning: ", "yellow"), one_line(text)), soft_wrap=True)


def fail(error: AlmaError) -> None:
    """The error's one line; where another process speaks, only of an error that this one alone has."""
    own = error.process is not None
    where = f"process {error.process}: " if own else ""
    _err.quiet = _err.quiet and not own
    _err.print(Text.assemble(where, ("error: ", "bold red"), one_line(str(error))), soft_wrap=True)


def one_line(text: str) -> str:
    """`text` without line breaks or terminal control characters."""
    return _printable(" ".join(text.split()))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def result(text: str) -> None:
    """One line of the command's result, byte for byte."""
    if not _out.quiet:
        sys.stdout.write(text + "\n")


def result_json(value: Any) -> None:
    """The command's result as JSON."""
    result(json.dumps(value, ensure_ascii=False, indent=1))


def result_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, footer: str = "") -> None:
    """The command's result as a table; columns after the first whose cells are all numbers are aligned right."""
    cells = [list(row) for row in rows]
    table = Table(title=title or None, title_justify="left", title_style="bold", caption=None)
    for index, column in enumerate(columns):
        numeric = bool(cells) and all(_is_number(str(row[index])) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    _out.print(table)
    if footer:
        _out.print(Text(footer), soft_wrap=True)


def scores(report: ScoreReport) -> None:
    """The command's result as a table of scores: the best system of a direction in bold, averages, signatures below.

    A score has half of its 95% interval beside it, and a star where it differs from the baseline's by more than chance.
    """
    lines: dict[tuple[str, str], dict[str, Text]] = {}
    for system in report.systems:
        for row in (row for row in report.rows if row.system == system):
            lines.setdefault((system, row.direction), {})[row.metric] = _score_cell(report, row)
        for average in (average for average in report.averages if average.system == system):
            cell = Text("-" if average.score is None else f"{average.score:.2f}")
            lines.setdefault((system, f"average {average.kind}"), {})[average.metric] = cell
    rows: list[list[str | Text]] = [
        [*labels, *(cells.get(metric, Text("-")) for metric in report.metrics)] for labels, cells in lines.items()
    ]
    footer = "\n".join([*_comparison_lines(report), _signatures(report)])
    result_table("", ["system", "direction", *map(_metric_name, report.metrics)], rows, footer=footer)
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
    difference = report.difference(row)
    star = "*" if difference and difference.significant else ""
    return Text.assemble((f"{row.score:5.2f}", best), (f"\u00a0±{(row.high - row.low) / 2:.1f}", "dim"), star)


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
        yield f"less {_metric_name(metric)} than people notice, though significant: {', '.join(found)}"


def scores_beside_paper(found: Iterable[BesidePaper], citation: str) -> None:
    """The command's result as a table: the averages that the paper has, and those measured."""
    rows = [
        (
            one_line(one.system),
            one.kind,
            _metric_name(one.metric),
            f"{one.published:.2f}",
            "-" if one.measured is None else f"{one.measured:.2f}",
            "-" if one.difference is None else f"{one.difference:+.2f}",
            one.published_system,
        )
        for one in found
    ]
    columns = ("system", "average", "metric", "published", "measured", "difference", "the paper's system")
    result_table("", columns, rows, footer=f"published: {citation}; means over five directions")


def _metric_name(metric: str) -> str:
    from alma_cli.scoring.report import metric_name

    return metric_name(metric)


def _signatures(report: ScoreReport) -> str:
    """One line a signature, with its directions where one metric has several."""
    directions: dict[tuple[str, str], dict[str, None]] = {}
    for row in report.rows:
        directions.setdefault((row.metric, row.signature), {})[row.direction] = None
    several = {metric for metric, _ in directions if sum(other == metric for other, _ in directions) > 1}
    return "\n".join(
        f"{_metric_name(metric)} {signature}" + (f" ({', '.join(found)})" if metric in several else "")
        for (metric, signature), found in directions.items()
    )


def prepared(manifest: Manifest, stage: str) -> None:
    """What `alma prepare` read, kept and dropped of each source of a stage, and what the stage now has."""
    unit = "documents" if stage == "mono" else "examples"
    totals = ", ".join(f"{split} {counts[unit]:,}" for split, counts in manifest.stages[stage].items())
    rows = [
        (
            "/".join(Path(report.path).parts[-2:]),
            report.split,
            f"{report.read:,}",
            f"{report.kept:,}",
            ", ".join(f"{reason} {count:,}" for reason, count in sorted(report.dropped.items())) or "-",
        )
        for report in manifest.sources
        if report.stage == stage
    ]
    repaired = sum(report.repaired for report in manifest.sources if report.stage == stage)
    footer = f"{unit}: {totals}" + (f"; {repaired:,} records repaired (white space, line breaks)" if repaired else "")
    result_table(f"Stage {stage}", ("source", "split", "read", "kept", "dropped"), rows, footer=footer)


def health(checks: Iterable[Check]) -> None:
    """The command's result as a table: what works on this machine, and what to do about the rest."""
    styles = {"ok": "green", "broken": "bold red", "missing": "yellow"}
    rows = [
        (check.name, Text(check.status, styles[check.status]), one_line(check.fact), one_line(check.fix) or "-")
        for check in checks
    ]
    result_table("", ("what", "status", "fact", "fix"), rows)


def panel(title: str, facts: Mapping[str, str]) -> None:
    """The choices that matter, before a long job."""
    if _quiet:
        return
    width = max(len(key) for key in facts)
    if not _err.is_terminal:
        note(f"{title}: " + "; ".join(f"{key} {value}" for key, value in facts.items()))
        return
    body = Text("\n").join(Text.assemble((f"{key:<{width}}  ", "dim"), value) for key, value in facts.items())
    _err.print(Panel(body, title=title, title_align="left", border_style="cyan", expand=False))


def foretold(facts: Mapping[str, Any]) -> None:
    """What a stage will take, from the facts that `--json` prints: a sample, memory, time."""
    if _quiet:
        return
    quantiles = ", ".join(f"{share} {tokens:,}" for share, tokens in facts["length_quantiles"].items())
    note(f"lengths in tokens: {quantiles}; about {facts['tokens_per_step']:,} tokens a step")
    _err.print(_sample(facts["sample"]), soft_wrap=True)
    parts = {name: f"{count / 2**30:.2f}" for name, count in facts["memory_bytes"].items()}
    parts = {name: words for name, words in parts.items() if words != "0.00" or name == "total"}
    if _err.is_terminal:
        _err.print(_memory_table(parts))
    else:
        note("memory: " + ", ".join(f"{name} {words}" for name, words in parts.items()) + " GiB")
    total, room, where = facts["memory_bytes"]["total"], facts["room_bytes"], facts["where"]
    if facts["fits"]:
        note(f"fits {where}: {gib(total)} of {gib(room)}")
    else:
        changes = facts["changes_that_fit"]
        words = " ".join(
            f"--set stages.{facts['stage']}.{key}={_toml(value)}" for key, value in (changes or {}).items()
        )
        what_to_do = f"with {words} it does" if changes else "no other method or setting makes it fit"
        warn(f"does not fit {where}: {gib(total)} of {gib(room)}; {what_to_do}")
    if facts["seconds"] is None:
        note(f"time: unknown; name the GPU, not its memory ({facts['useful_flops']:.1e} operations)")
    else:
        share, peak = facts["share_of_peak"], facts["peak_flops_per_second"] / 1e12
        note(f"time: about {duration(facts['seconds'])}, at {share:.0%} of {peak:,.{0 if peak >= 10 else 2}f} TFLOP/s")


def gib(count: float) -> str:
    """Bytes as `1.4 GiB`."""
    return f"{count / 2**30:,.1f} GiB"


def _sample(pieces: Iterable[Mapping[str, str]]) -> Text:
    """An example with each token's fate: in colours on a terminal, else `prompt | target |EOS`."""
    text, before = Text("sample: "), "prompt"
    for piece in pieces:
        fate = piece["fate"]
        if fate != before and not _err.is_terminal:
            text.append(" |")
        before = fate
        words = "EOS" if fate == "EOS" else "".join(c if c == " " else _visible(c) for c in piece["text"])
        text.append(words, _FATE_STYLES[fate] if _err.is_terminal else "")
    return text


_FATE_STYLES = {"prompt": "dim", "target": "bold green", "EOS": "bold magenta", "cut": "yellow", "dropped": "red"}
_WHITE_SPACE = {" ": "·", "\n": "↵", "\t": "⇥"}
_TOKENS_AT_THE_START, _TOKENS_AT_THE_END = 300, 100  # of a record that is longer than both, the rest is left out


def shown(records: Sequence[ShownRecord]) -> None:
    """The command's result: records with every token by its fate, in colours or as a line for each run of one fate.

    On a terminal every other token is underlined; elsewhere `│` is between tokens. White space is `·`, `↵`, `⇥`.
    """
    from alma_cli.core.fates import FATES

    in_colour = _out.color_system is not None and not _out.no_color
    seen = {token.fate for record in records for token in record.tokens}
    for record in records:
        facts = [f"{sum(t.fate == fate for t in record.tokens):,} {fate}" for fate in FATES]
        counts = ", ".join(fact for fact in facts if not fact.startswith("0 "))
        head = f"{record.name}, row {record.row:,}: {counts}" + (f" ({record.dropped})" if record.dropped else "")
        _out.print(Text(head, style="bold"), soft_wrap=True)
        start, end = record.tokens, record.tokens[:0]
        if len(record.tokens) > _TOKENS_AT_THE_START + _TOKENS_AT_THE_END:
            start, end = record.tokens[:_TOKENS_AT_THE_START], record.tokens[-_TOKENS_AT_THE_END:]
        _draw_tokens(start, in_colour=in_colour)
        if end:
            between = len(record.tokens) - len(start) - len(end)
            _out.print(Text(f"  ... {between:,} tokens more ...", style="dim"), soft_wrap=True)
            _draw_tokens(end, in_colour=in_colour)
        _out.print()
    legend = Text("  ").join(
        Text.assemble((fate, _FATE_STYLES[fate]), f": {meaning}") for fate, meaning in FATES.items() if fate in seen
    )
    _out.print(legend, soft_wrap=True)


def _draw_tokens(tokens: Sequence[TokenFate], *, in_colour: bool) -> None:
    if in_colour:
        line = Text("  ")
        for index, token in enumerate(tokens):
            line.append(_token_text(token.text), _FATE_STYLES[token.fate] + (" underline" if index % 2 else ""))
        _out.print(line, soft_wrap=True)
        return
    for fate, run in groupby(tokens, key=lambda token: token.fate):
        words = "│".join(_token_text(token.text) for token in run)
        _out.print(Text(f"  {fate:<7} {words}"), soft_wrap=True)


def _token_text(text: str) -> str:
    """A token with nothing in it that a screen would not show; a mark that sits on the letter before it has a stand."""
    stand = "◌" if text and unicodedata.category(text[0]).startswith("M") else ""
    return stand + "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in _WHITE_SPACE:
        return _WHITE_SPACE[character]
    return character if character.isprintable() else f"<U+{ord(character):04X}>"


def _memory_table(parts: Mapping[str, str]) -> Table:
    table = Table("memory", "GiB")
    table.columns[1].justify = "right"
    for name, words in parts.items():
        table.add_row(name, words, style="bold" if name == "total" else "")
    return table


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def done(what: str, *, next_command: str = "") -> None:
    """The last line of a job: where the results are, and what to type next."""
    note(f"{what}" + (f"; next: {next_command}" if next_command else ""))


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").rstrip("%") or "0")
    except ValueError:
        return cell in ("-", "")
    return True


_SECONDS_OF_SILENCE = 5.0


class Watch:
    """Shows a long job: one live line on a terminal, a plain line now and then elsewhere."""

    def __init__(self, *, seconds_between_lines: float = 15.0) -> None:
        self._live = None if _quiet or not _err.is_terminal else Live(console=_err, transient=True, auto_refresh=False)
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
                quality = "" if event.quality is None else f", {_metric_name(event.metric)} {event.quality:.2f}"
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
        return f"valid {best.loss:.3f}" if best.quality is None else f"{_metric_name(best.metric)} {best.quality:.1f}"

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


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
