"""What a person sees: numbers in words, plain lines where there is no terminal, and nobody's text taken for markup."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from alma_cli import console
from alma_cli.errors import UsageError
from tests.typed import REPOSITORY

# A job of three states, a note between them, and an error at the end.
JOB = """
from alma_cli import console
from alma_cli.errors import UsageError
console.panel("[red]stage[/red] x", {"into": "[bold]runs[/bold]", "steps": "3"})
with console.Watch(seconds_between_lines=0) as watch:
    for step in (1, 2, 3):
        watch.show(f"step {step}/3 " + "x" * 200, last=step == 3)
        console.note(f"validated {step}")
console.fail(UsageError("no [bold]x.txt"))
"""


@pytest.fixture(autouse=True)
def _loud() -> None:
    console.be_quiet(False)


def on_a_terminal(**environment: str) -> str:
    """What JOB writes to a terminal."""
    ours, theirs = pty.openpty()
    variables = {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "COLUMNS": "60"}
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    subprocess.run([sys.executable, "-c", JOB], env=plain | variables | environment, stderr=theirs, check=True)
    os.close(theirs)
    text = b""
    while block := _read(ours):
        text += block
    os.close(ours)
    return text.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's word for the end of a terminal
        return b""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0], "▁"),
        ([2.0, 2.0, 2.0], "▁▁▁"),
        ([3.0, 2.0, 1.0], "█▄▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([*range(48)], "▁▁▁▁▂▂▂▃▃▃▄▄▄▄▅▅▅▆▆▆▇▇▇█"),  # pairs: level n of 24 is int(7 n / 23)
        ([0.0] * 99 + [9.0], "▁" * 23 + "█"),
    ],
)
def test_sparkline_goes_from_lowest_to_highest(values: list[float], expected: str) -> None:
    assert console.sparkline(values) == expected


@pytest.mark.parametrize("count", [1, 23, 24, 25, 47, 48, 1000])
def test_sparkline_is_never_wider_than_asked(count: int) -> None:
    assert len(console.sparkline([float(n) for n in range(count)])) == min(count, 24)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (150, "2 min"),
        (600, "10 min"),
        (5400, "1.5 h"),
        (90_000, "25.0 h"),
    ],
)
def test_duration_is_said_in_one_unit(seconds: float, expected: str) -> None:
    assert console.duration(seconds) == expected


@pytest.mark.parametrize("text", ["[bold]x.txt", "[/]", "[link=x]y[/link]", ":smile:", "\\[red]"])
def test_what_looks_like_markup_is_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.note(text)
    console.warn(text)
    console.fail(UsageError(text, hint=text))
    console.panel("title", {"file": text})
    console.done(text, next_command=text)
    console.result_table("", ("file", "n"), [(text, "1")], footer=text)

    shown = capsys.readouterr()
    assert shown.err.split("\n") == [
        text,
        f"warning: {text}",
        f"error: {text} ({text})",
        f"title: file {text}",
        f"{text}; next: {text}",
        "",
    ]
    assert shown.out.count(text) == 2


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\x07b", "a\u2028b"])
def test_a_message_is_one_line_without_control_characters(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.note(text)
    console.warn(text)
    console.fail(UsageError(text))

    lines = capsys.readouterr().err.split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_a_long_message_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    console.fail(UsageError("x " * 500 + "end"))

    assert capsys.readouterr().err.count("\n") == 1


def test_quiet_keeps_warnings_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console.be_quiet(True)

    console.note("a")
    console.panel("b", {"c": "d"})
    console.done("e")
    console.warn("f")
    console.fail(UsageError("g"))

    assert capsys.readouterr().err == "warning: f\nerror: g\n"


def test_off_a_terminal_a_long_job_is_lines_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Watch(seconds_between_lines=1000) as watch:
        for step in range(1, 6):
            watch.show(f"step {step}", last=step == 5)

    assert capsys.readouterr().err == "step 5\n"


def test_a_column_of_numbers_is_aligned_right(capsys: pytest.CaptureFixture[str]) -> None:
    console.result_table("", ("name", "count"), [("a", "1,000"), ("b", "7"), ("c", "-")])

    assert "│ b    │     7 │" in capsys.readouterr().out


def test_on_a_terminal_one_line_is_drawn_again_and_gone_at_the_end() -> None:
    shown = on_a_terminal()

    assert "step 1/3" in shown
    assert "step 3/3" in shown
    assert "\x1b[2K" in shown  # the line is erased
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor goes and comes back
    assert "[bold]x.txt" in shown
    assert "[bold]runs[/bold]" in shown
    assert "x" * 60 not in shown  # cut to the width, or the next drawing would leave a part of it
    notes = [line for line in re.split(r"[\r\n]+", shown) if "validated" in line]
    assert len(notes) == 3


def test_no_color_is_respected() -> None:
    assert re.search(r"\x1b\[[0-9;]*3[1-7]m", on_a_terminal())
    assert not re.search(r"\x1b\[[0-9;]*3[1-7]m", on_a_terminal(NO_COLOR="1"))
