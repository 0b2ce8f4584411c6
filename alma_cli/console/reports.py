"""What was prepared, what a stage will take, what works on this machine: facts of a job before or after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from alma_cli.console.screen import duration, err, gib, is_quiet, note, one_line, result_table, warn
from alma_cli.console.tokens import sample_line

if TYPE_CHECKING:
    from alma_cli.core.dataset import Manifest
    from alma_cli.core.doctor import Check


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


def foretold(facts: Mapping[str, Any]) -> None:
    """What a stage will take, from the facts that `--json` prints: a sample, memory, time."""
    if is_quiet():
        return
    quantiles = ", ".join(f"{share} {tokens:,}" for share, tokens in facts["length_quantiles"].items())
    note(f"lengths in tokens: {quantiles}; about {facts['tokens_per_step']:,} tokens a step")
    err.print(sample_line(facts["sample"]), soft_wrap=True)
    parts = {name: f"{count / 2**30:.2f}" for name, count in facts["memory_bytes"].items()}
    parts = {name: words for name, words in parts.items() if words != "0.00" or name == "total"}
    if err.is_terminal:
        err.print(_memory_table(parts))
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


def _memory_table(parts: Mapping[str, str]) -> Table:
    table = Table("memory", "GiB")
    table.columns[1].justify = "right"
    for name, words in parts.items():
        table.add_row(name, words, style="bold" if name == "total" else "")
    return table


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
