"""One stage's run as a page, report.html: its curves, its validations and what it was; one file that loads nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from alma_cli.core.chart import Chart, Line, Value, buckets, mean, smoothed
from alma_cli.core.dataset import write_atomically
from alma_cli.core.page import beside, big_number, facts_table, key_figures, page
from alma_cli.core.run import StageDirectory

_SMOOTHED_FROM = 40  # steps; fewer are a curve of their own
_REACH, _FARTHEST = 40, 8  # a smoothed value reaches over a fortieth of the points, and over eight at most, twice
_QUALITIES = {"valid_bleu": "BLEU", "valid_chrf": "chrF2"}

Row = Mapping[str, Any]
Facts = Sequence[tuple[str, str]]


def write_report(directory: StageDirectory, facts: Mapping[str, Any]) -> Path:
    """Write a run's report.html from its metrics.jsonl, complete or not at all."""
    recipe = _at(facts, "recipe", "name")
    title = f"Stage {facts.get('stage', directory.path.name)}" + (f" of {recipe}" if recipe else "")
    path = directory.path / "report.html"
    write_atomically(path, training_report(title, facts, directory.logged()))
    return path


def training_report(title: str, facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The page: `facts` as in stage.json, of which any may be missing; `rows` as in metrics.jsonl.

    At most 1,000 points are drawn of each curve, each the mean of as many steps; so the page stays small.
    """
    steps = [row for row in rows if "loss" in row]
    validations = [row for row in rows if "valid_loss" in row]
    best = _best(validations)
    charts = [chart.html(max((row["step"] for row in rows), default=0)) for chart in _charts(steps, validations, best)]
    drawn = "".join(charts) or "<p>No step was logged.</p>"
    body = (
        _key_figures(facts, steps, best),
        f'<section class="charts" aria-label="Curves">{drawn}</section>\n',
        _validation_table(validations, best),
        f"<h2>The run</h2>\n{facts_table(known)}\n" if (known := _what_it_was(facts)) else "",
        _settings(facts),
    )
    style, script = (beside("alma_cli.core", name) for name in ("run_report.css", "run_report.js"))
    footer = (
        "Every number is in metrics.jsonl and stage.json beside this page. "
        "Arrow keys read out the chart that has the focus."
    )
    return page(title, _subtitle(facts), "".join(body), footer=footer, styles=[style], script=script)


# --- the curves -----------------------------------------------------------------------------------------------------


def _charts(steps: Sequence[Row], validations: Sequence[Row], best: Row | None) -> list[Chart]:
    pieces = [steps[start:end] for start, end in buckets(len(steps))]
    at = [sum(row["step"] for row in piece) / len(piece) for piece in pieces]
    each = math.ceil(len(steps) / max(1, len(pieces)))
    note = f"each point is the mean of {each:,} steps" if each > 1 else ""

    def means(key: str) -> list[Value]:
        return [mean([_number(row.get(key)) for row in piece]) for piece in pieces]

    def valid(key: str, name: str) -> Line:
        values = [_number(row.get(key)) for row in validations]
        return Line(name, "points", [row["step"] for row in validations], values)

    def one(title: str, unit: str, values: Sequence[Value], write: Callable[[float], str]) -> Chart:
        return Chart(title, unit, [Line(title.lower(), "main", at, values)], write, note=note)

    losses, reach = means("loss"), min(_FARTHEST, max(1, len(pieces) // _REACH))
    curves = [Line("training loss", "main", at, losses)]
    if len(pieces) >= _SMOOTHED_FROM:
        name = f"smoothed over {(4 * reach + 1) * each:,} steps"
        curves = [replace(curves[0], kind="raw"), Line(name, "main", at, smoothed(losses, reach))]
    loss = Chart(
        "Loss",
        "nats per target token",
        [*curves, valid("valid_loss", "validation loss")],
        _decimals,
        note=note,
        from_zero=False,
        mark=_mark(best, "valid_loss"),
    )
    qualities = [
        Chart(
            f"{name} of greedy translations",
            "validation pairs, mean over the directions",
            [valid(key, name)],
            _significant,
            from_zero=False,
            mark=_mark(best, key),
        )
        for key, name in _QUALITIES.items()
    ]
    return [
        loss,
        *qualities,
        one("Learning rate", "", means("learning_rate"), _scientific),
        one("Gradient norm", "before clipping", means("gradient_norm"), _significant),
        one("Speed", "target tokens per second", [_speed(piece) for piece in pieces], _significant),
        one("Memory", "GiB, highest so far", means("memory_gib"), _significant),
    ]


def _speed(piece: Sequence[Row]) -> Value:
    """Tokens over seconds, both summed: the mean of rates would weigh short steps as much as long ones."""
    tokens = [_number(row.get("target_tokens")) for row in piece]
    seconds = [_number(row.get("seconds")) for row in piece]
    known = [(t, s) for t, s in zip(tokens, seconds, strict=True) if t is not None and s is not None]
    total = sum(s for _, s in known)
    return sum(t for t, _ in known) / total if total > 0 else None


def _best(validations: Sequence[Row]) -> Row | None:
    """The validation whose weights were kept; where none says so, the one with the lowest loss after step 0."""
    said = [row for row in validations if row.get("best")]
    if said:
        return said[-1]
    known = [row for row in validations if row["step"] > 0 and _number(row["valid_loss"]) is not None]
    return min(known, key=lambda row: float(row["valid_loss"]), default=None)


def _mark(best: Row | None, key: str) -> tuple[float, float] | None:
    value = _number(best.get(key)) if best else None
    return None if best is None or value is None else (best["step"], value)


# --- the numbers and facts ------------------------------------------------------------------------------------------


def _subtitle(facts: Mapping[str, Any]) -> str:
    settings = facts.get("settings") or {}
    parts = (facts.get("base_name"), _method(settings), _at(facts, "recipe", "description"), _day(facts))
    return " · ".join(str(part) for part in parts if part)


def _key_figures(facts: Mapping[str, Any], steps: Sequence[Row], best: Row | None) -> str:
    seconds = sum(_number(row.get("seconds")) or 0.0 for row in steps)
    tokens = sum(_number(row.get("target_tokens")) or 0.0 for row in steps)
    memory = [value for row in steps if (value := _number(row.get("memory_gib"))) is not None]
    last = steps[-1]["step"] if steps else 0
    figures = [("Steps", f"{last:,}", f"of {facts['steps']:,}" if facts.get("steps") else "")]
    if best and (loss := _number(best["valid_loss"])) is not None:
        figures.insert(0, ("Best validation loss", f"{loss:.4f}", f"at step {best['step']:,}"))
        for key, name in _QUALITIES.items():
            if (quality := _number(best.get(key))) is not None:
                figures.insert(0, (f"Best {name}", f"{quality:.2f}", f"at step {best['step']:,}"))
    if steps:
        figures.append(("Target tokens", big_number(tokens), f"in {_duration(seconds)} of training"))
        if seconds > 0:
            figures.append(("Speed", big_number(tokens / seconds), "target tokens/s"))
    if memory:
        figures.append(("Memory", f"{max(memory):.1f} GiB", "at most"))
    return key_figures(figures)


def _validation_table(validations: Sequence[Row], best: Row | None) -> str:
    if not validations:
        return ""
    qualities = {key: name for key, name in _QUALITIES.items() if any(key in row for row in validations)}
    head = "".join(f'<th scope="col">{name}</th>' for name in ("step", "loss", "perplexity", *qualities.values(), ""))
    body = []
    for row in validations:
        loss = _number(row["valid_loss"])
        perplexity = math.exp(loss) if loss is not None and loss < 700 else None
        cells = [f"{row['step']:,}", _cell(loss, ".4f"), _cell(perplexity, ",.2f")]
        cells += [_cell(_number(row.get(key)), ".2f") for key in qualities]
        kept = row is best
        text = "".join(f"<td>{cell}</td>" for cell in (*cells, "best" if kept else ""))
        body.append(f'<tr class="best">{text}</tr>' if kept else f"<tr>{text}</tr>")
    return (
        f'<h2>Validations</h2>\n<div class="wide"><table class="numbers"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>\n"
    )


def _what_it_was(facts: Mapping[str, Any]) -> Facts:
    settings, examples = facts.get("settings") or {}, facts.get("examples") or {}
    dropped = ", ".join(
        f"{count:,} {str(why).replace('_', ' ')}" for why, count in (examples.get("dropped") or {}).items()
    )
    versions = ", ".join(f"{name} {version}" for name, version in (facts.get("versions") or {}).items())
    counts = [
        f"{examples[split]:,} {word}"
        for split, word in (("train", "to train on"), ("valid", "to validate on"))
        if split in examples
    ]
    known = (
        ("Recipe", _at(facts, "recipe", "name")),
        ("Directions", ", ".join(_at(facts, "recipe", "directions") or ())),
        ("Model", " — ".join(str(facts[key]) for key in ("base_name", "base_note") if facts.get(key))),
        ("Method", _method(settings)),
        ("Schedule", _schedule(settings)),
        ("Examples", ", ".join([*counts, *([f"left out: {dropped}"] if dropped else [])])),
        ("Prompt", _at(facts, "text_format", "style")),
        ("Seed", facts.get("seed")),
        ("Device", ", ".join(str(facts[key]) for key in ("device", "processor", "dtype") if facts.get(key))),
        ("Data", str(facts.get("data_sha256", ""))[:16]),
        ("Finished", facts.get("finished")),
        ("Versions", versions),
    )
    return [(name, str(value)) for name, value in known if value not in (None, "")]


def _settings(facts: Mapping[str, Any]) -> str:
    settings = facts.get("settings")
    if not settings:
        return ""
    rows = [
        (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
        for key, value in settings.items()
    ]
    return f"<details><summary>All settings of the stage</summary>{facts_table(rows)}</details>\n"


def _method(settings: Mapping[str, Any]) -> str:
    method = settings.get("method")
    if method in ("lora", "qlora") and "lora_rank" in settings:
        name = "LoRA" if method == "lora" else "QLoRA"
        return f"{name} rank {settings['lora_rank']}, alpha {settings.get('lora_alpha')}"
    return "full weights" if method == "full" else str(method or "")


def _schedule(settings: Mapping[str, Any]) -> str:
    rate, kind = _number(settings.get("learning_rate")), settings.get("schedule")
    if rate is None:
        return ""
    warmup = _number(settings.get("warmup_ratio"))
    after = f" after {warmup:.0%} warm-up" if warmup else ""
    return f"learning rate {_scientific(rate)}, {str(kind).replace('_', ' ')}{after}"


def _at(facts: Mapping[str, Any], *keys: str) -> Any:
    found: Any = facts
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _day(facts: Mapping[str, Any]) -> str:
    return str(facts.get("finished") or "")[:10]


# --- words for numbers ----------------------------------------------------------------------------------------------


def _number(value: object) -> Value:
    """A finite number; None for anything else."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _cell(value: Value, form: str) -> str:
    return "-" if value is None else format(value, form)


def _decimals(value: float) -> str:
    """Four decimals at most: `2`, `2.5`, `1.8761`."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _significant(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _scientific(value: float) -> str:
    """As recipes write learning rates: `2e-5`, `1.5e-3`."""
    if value == 0:
        return "0"
    digits, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(digits):g}e{int(exponent)}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
