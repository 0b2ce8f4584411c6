"""What a person sees: numbers in words, plain lines where there is no terminal, and nobody's text taken for markup."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from alma_cli import console
from alma_cli.console.progress import _Course
from alma_cli.core.fates import Fate, TokenFate
from alma_cli.core.loop import MicroBatchHalved, StepReport
from alma_cli.core.stage import Finished, Resumed, StageEvent, ValidationReport
from alma_cli.data.shown import ShownRecord
from alma_cli.errors import UsageError
from tests.typed import REPOSITORY

# Two records of three tokens, as `alma prepare --show 2` prints them.
SHOWN = """
from alma_cli import console
from alma_cli.core.fates import TokenFate
from alma_cli.data.shown import ShownRecord
console.shown([
    ShownRecord("de-en", 7, tuple(TokenFate(0, text, fate) for text, fate in pairs))
    for pairs in (
        [("English:", "prompt"), (" goods", "target"), ("</s>", "EOS")],
        [("a", "target"), ("b", "cut"), ("c", "dropped")],
    )
])
"""

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


def on_a_terminal(job: str = JOB, **environment: str) -> str:
    """What a script writes to a terminal."""
    ours, theirs = pty.openpty()
    variables = {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "COLUMNS": "60"}
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-c", job]
    subprocess.run(command, env=plain | variables | environment, stdout=theirs, stderr=theirs, check=True)
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


# --- tokens and their fates ---------------------------------------------------------------------------------------


def record(*tokens: tuple[str, Fate], dropped: str = "") -> ShownRecord:
    return ShownRecord("de-en", 7, tuple(TokenFate(0, text, fate) for text, fate in tokens), dropped)


def test_off_a_terminal_each_run_of_a_fate_is_a_line_with_every_token_apart(capsys: pytest.CaptureFixture[str]) -> None:
    tokens: list[tuple[str, Fate]] = [("Ger", "prompt"), ("man:", "prompt"), (" goods", "target"), ("</s>", "EOS")]
    console.shown([record(*tokens), record(("a", "target"), ("b", "cut"))])

    assert capsys.readouterr().out == (
        "de-en, row 7: 2 prompt, 1 target, 1 EOS\n"
        "  prompt  Ger│man:\n"
        "  target  ·goods\n"
        "  EOS     </s>\n"
        "\n"
        "de-en, row 7: 1 target, 1 cut\n"
        "  target  a\n"
        "  cut     b\n"
        "\n"
        "prompt: read, not learned  target: learned  EOS: learned: where to stop"
        "  cut: left out: after the last full block\n"
    )


def test_a_dropped_record_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    console.shown([record(("a", "dropped"), ("b", "dropped"), dropped="its prompt has 300 tokens")])

    assert capsys.readouterr().out.startswith(
        "de-en, row 7: 2 dropped (its prompt has 300 tokens)\n  dropped a│b\n\ndropped: left out:"
    )


def test_nothing_in_a_token_is_invisible_or_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    odd = ("  ", "\n\n", "\t", "\u00a0", "\u200b", "\u202e", "\x1b[31m", "\x00", "\u0301", "[red]", "<0xE4>", "")
    console.shown([record(*((text, "target") for text in odd))])

    assert capsys.readouterr().out.split("\n")[1] == (
        "  target  ··│↵↵│⇥│<U+00A0>│<U+200B>│<U+202E>│<U+001B>[31m│<U+0000>│◌\u0301│[red]│<0xE4>│"
    )


def test_of_a_long_record_the_beginning_and_the_end_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    console.shown([record(*((f"w{n}", "target") for n in range(1000)), ("</s>", "EOS"))])

    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "de-en, row 7: 1,000 target, 1 EOS"
    assert lines[1].endswith("│w299")
    assert lines[2] == "  ... 601 tokens more ..."
    assert lines[3].startswith("  target  w901│")
    assert lines[4] == "  EOS     </s>"


def test_on_a_terminal_every_fate_has_its_colour_and_every_other_token_a_line() -> None:
    shown = on_a_terminal(SHOWN)

    for code in ("2mEnglish:", "1;4;32m·goods", "1;35m</s>", "1;32ma", "4;33mb", "31mc", "1;32mtarget", "33mcut"):
        assert f"\x1b[{code}\x1b[0m" in shown
    assert "│" not in shown


def test_without_colour_a_terminal_has_the_fates_in_words() -> None:
    shown = on_a_terminal(SHOWN, NO_COLOR="1")

    assert "  prompt  English:\r\n  target  ·goods\r\n  EOS     </s>\r\n" in shown
    assert not re.search(r"\x1b\[[0-9;]*3[1-7]m", shown)


# --- training -----------------------------------------------------------------------------------------------------

FINISHED = Finished(Path("model"), {})


def step(number: int, *, loss: float = 2.0, memory_gib: float | None = None, flops: float | None = None) -> StepReport:
    """A step of two seconds and 40 target tokens."""
    return StepReport(number, loss, 1e-3, 1.0, 40, 100, 2.0, memory_gib=memory_gib, flops=flops)


def shown_of(
    events: list[StageEvent], capsys: pytest.CaptureFixture[str], *, steps: int = 4, peak_flops: float | None = None
) -> list[str]:
    """The lines that a stage's events leave off a terminal, where only the last step has one."""
    assert console.follow_training([*events, FINISHED], steps=steps, peak_flops=peak_flops) is FINISHED
    return capsys.readouterr().err.splitlines()


def test_the_line_of_training_says_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[StageEvent] = [step(n, loss=float(5 - n)) for n in range(1, 5)]

    assert shown_of(steps, capsys) == ["step 4/4  loss 1.000 █▅▃▁  20 tokens/s  lr 1e-3  0 s left"]


def test_the_line_of_training_has_memory_share_of_peak_and_best_validation(capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        ValidationReport(0, 5.0, best=False),
        step(1, memory_gib=1.0, flops=4e9),
        ValidationReport(1, 1.25, best=True),
        ValidationReport(1, 1.5, best=False),
        step(2, memory_gib=1.25, flops=6e9),
    ]

    # 10 GFLOP in 4 s are 2.5 GFLOP/s
    assert shown_of(events, capsys, steps=2, peak_flops=5e9)[-1] == (
        "step 2/2  loss 2.000 ▁▁  valid 1.250  20 tokens/s  50% of peak  1.2 GiB  lr 1e-3  0 s left"
    )


def test_the_share_of_peak_needs_the_operations_of_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert "of peak" not in shown_of([step(4)], capsys, peak_flops=5e9)[-1]
    assert "of peak" not in shown_of([step(4, flops=5e9)], capsys)[-1]


@pytest.mark.parametrize("steps", [4, 4_000, 400_000])
@pytest.mark.parametrize("memory_gib", [None, 1.25, 1234.5])
@pytest.mark.parametrize("peak_flops", [None, 5e9])
def test_the_line_of_training_is_never_wider_than_100_columns(
    steps: int, memory_gib: float | None, peak_flops: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[StageEvent] = [step(n, loss=1000.0 + n, memory_gib=memory_gib, flops=5e9) for n in range(1, 40)]

    line = shown_of(
        [ValidationReport(0, 5.0, best=True), *events, step(steps)], capsys, steps=steps, peak_flops=peak_flops
    )[-1]

    assert len(line) <= 100
    assert line.endswith("0 s left")


def test_what_does_not_fit_is_left_out_the_learning_rate_first(capsys: pytest.CaptureFixture[str]) -> None:
    steps = (step(n, memory_gib=71.34, flops=5e9) for n in range(9_980, 10_001))
    events = [ValidationReport(0, 5.0, best=False), *steps]

    line = shown_of(events, capsys, steps=10_000, peak_flops=5e9)[-1]

    assert line == (
        "step 10000/10000  loss 2.000 ▁▁▁▁▁▁▁▁▁▁▁▁  valid 5.000  20 tokens/s  50% of peak  71.3 GiB  0 s left"
    )
    assert len(line) == 100


def test_the_time_left_is_smooth(capsys: pytest.CaptureFixture[str]) -> None:
    course = _Course(1000, None)
    for number in range(1, 101):
        course.add_step(step(number))
    steady = course.line

    course.add_step(StepReport(101, 2.0, 1e-3, 1.0, 400, 1000, 20.0))

    assert steady.endswith("  30 min left")  # 900 steps of 2 s
    assert course.line.endswith("  44 min left")  # one step of ten times that is a twentieth of the estimate: 2.9 s


def test_a_validation_says_its_loss_and_quality(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[StageEvent] = [
        Resumed(10),
        ValidationReport(20, 2.12341, best=True),
        ValidationReport(20, 2.12341, best=True, quality=31.4, metric="chrf"),
        ValidationReport(40, 2.5, best=False, quality=9.876, metric="bleu"),
    ]

    assert shown_of(events, capsys, steps=64) == [
        "resumed after step 10",
        "step 20/64: validation loss 2.1234 nats/token (best so far)",
        "step 20/64: validation loss 2.1234 nats/token, chrF2 31.40 (best so far)",
        "step 40/64: validation loss 2.5000 nats/token, BLEU 9.88",
    ]


def test_with_quality_the_line_shows_the_best_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    events = [ValidationReport(2, 2.0, best=True, quality=31.44, metric="chrf"), step(4)]

    assert "  chrF2 31.4  " in shown_of(events, capsys)[-1]


def test_a_halved_micro_batch_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    console.be_quiet(True)
    halved: list[Any] = [MicroBatchHalved(3, 4096)]

    assert shown_of(halved, capsys) == ["warning: step 3: out of memory; done again with micro-batches of 4,096 tokens"]


@pytest.mark.parametrize(("number", "expected"), [(0.0, "0"), (1e-3, "1e-3"), (9.84e-4, "9.8e-4"), (0.02, "2e-2")])
def test_a_learning_rate_has_two_digits(number: float, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = StepReport(4, 2.0, number, 1.0, 40, 100, 2.0)

    assert f"  lr {expected}  " in shown_of([report], capsys)[-1]
