"""The two streams: results on stdout, everything else on stderr; lines, tables and panels, and numbers in words."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from alma_cli.errors import AlmaError


class Screen(Console):
    """Leaves it to the error boundary that a reader went away (`| head`), where rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = Screen(highlight=False)
err = Screen(stderr=True, highlight=False)
_quiet = False


def be_quiet(quiet: bool) -> None:
    """With True, only results, warnings and errors are shown."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether only results, warnings and errors are shown."""
    return _quiet


def leave_it_to_another() -> None:
    """Show nothing but this process's own errors: of several processes, the first speaks."""
    out.quiet = err.quiet = True


def note(text: str) -> None:
    """One line about what is going on."""
    if not _quiet:
        err.print(Text(_printable(text), style="dim"), soft_wrap=True)


def warn(text: str) -> None:
    """One line about something the user should know, also when quiet."""
    err.print(Text.assemble(("warning: ", "yellow"), one_line(text)), soft_wrap=True)


def fail(error: AlmaError) -> None:
    """The error's one line; where another process speaks, only of an error that this one alone has."""
    own = error.process is not None
    where = f"process {error.process}: " if own else ""
    err.quiet = err.quiet and not own
    err.print(Text.assemble(where, ("error: ", "bold red"), one_line(str(error))), soft_wrap=True)


def one_line(text: str) -> str:
    """`text` without line breaks or terminal control characters."""
    return _printable(" ".join(text.split()))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def result(text: str) -> None:
    """One line of the command's result, byte for byte."""
    if not out.quiet:
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
    out.print(table)
    if footer:
        out.print(Text(footer), soft_wrap=True)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "").rstrip("%") or "0")
    except ValueError:
        return cell in ("-", "")
    return True


def panel(title: str, facts: Mapping[str, str]) -> None:
    """The choices that matter, before a long job."""
    if _quiet:
        return
    width = max(len(key) for key in facts)
    if not err.is_terminal:
        note(f"{title}: " + "; ".join(f"{key} {value}" for key, value in facts.items()))
        return
    body = Text("\n").join(Text.assemble((f"{key:<{width}}  ", "dim"), value) for key, value in facts.items())
    err.print(Panel(body, title=title, title_align="left", border_style="cyan", expand=False))


def done(what: str, *, next_command: str = "") -> None:
    """The last line of a job: where the results are, and what to type next."""
    note(f"{what}" + (f"; next: {next_command}" if next_command else ""))


def gib(count: float) -> str:
    """Bytes as `1.4 GiB`."""
    return f"{count / 2**30:,.1f} GiB"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
