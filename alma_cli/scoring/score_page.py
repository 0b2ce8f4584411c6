"""The page of one scoring: the tables, what to beware of, and every segment to look at; one file that loads nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from alma_cli.core.dataset import write_atomically
from alma_cli.core.page import Figure, beside, facts_table, foreign_text, key_figures, page
from alma_cli.scoring.citations import bibtex
from alma_cli.scoring.report import LOWER_IS_BETTER, ScoreReport, metric_name
from alma_cli.scoring.score_table import score_tables
from alma_cli.scoring.segments import DirectionSegments, packed

_SCRIPTS = ("score_texts.js", "score_segments.js", "score_page.js")
_DIRECTIONS_NAMED = 4
_NO_SCRIPT = "<noscript><p>Segments are shown by a script, which this browser does not run.</p></noscript>\n"


def write_score_page(
    path: Path, title: str, report: ScoreReport, segments: Sequence[DirectionSegments], facts: Mapping[str, str]
) -> None:
    """Write `score_page` as a file, complete or not at all."""
    write_atomically(path, score_page(title, report, segments, facts))


def score_page(title: str, report: ScoreReport, segments: Sequence[DirectionSegments], facts: Mapping[str, str]) -> str:
    """The page; `segments` has what the browser of segments shows, `facts` what else is to be known of the scoring."""
    body = [
        key_figures(_figures(report, segments)),
        _CONTENTS,
        _section("scores", "Scores", score_tables(report)),
        _flag_section(segments),
        _segment_section(segments),
        _citation_section(report, facts),
        *(_data(f"direction-{n}", "text/plain", packed(one)) for n, one in enumerate(segments)),
        _data("about", "application/json", _json(_about(report, segments))),
    ]
    script = "".join(beside("alma_cli.scoring", name) for name in _SCRIPTS)
    return page(
        title,
        _subtitle(report),
        "".join(body),
        footer="This file is complete: it loads nothing and sends nothing.",
        styles=[beside("alma_cli.scoring", "score_page.css")],
        script=script,
    )


_CONTENTS = (
    '<nav aria-label="Contents"><a href="#scores">Scores</a><a href="#flags">Flags</a><a href="#segments">Segments</a>'
    '<a href="#cite">Signatures</a></nav>\n'
)


def _subtitle(report: ScoreReport) -> str:
    metrics = dict.fromkeys(metric_name(row.metric) for row in report.rows)
    tested = any(row.p_value is not None for row in report.rows)
    first = f", compared with {report.baseline}" if tested and len(report.systems) > 1 else ""
    return " · ".join(metrics) + first


def _figures(report: ScoreReport, segments: Sequence[DirectionSegments]) -> list[Figure]:
    directions = {row.direction: row.segments for row in report.rows}
    outputs = [output for one in segments for output in one.outputs]
    flagged = sum(len({n for lines in output.flags.values() for n in lines}) for output in outputs)
    translations = sum(len(output.hypotheses) for output in outputs)
    few = ", ".join(list(directions)[:_DIRECTIONS_NAMED]) + (" …" if len(directions) > _DIRECTIONS_NAMED else "")
    return [
        ("Systems", f"{len(report.systems):,}", f"the first: {report.rows[0].system}"),
        ("Directions", f"{len(directions):,}", few),
        ("Segments", f"{sum(directions.values()):,}", "in all directions"),
        ("Flagged", f"{flagged:,}", f"of {translations:,} translations"),
    ]


def _section(name: str, heading: str, inner: str) -> str:
    return f'<section id="{name}" aria-label="{heading}"><h2>{heading}</h2>\n{inner}</section>\n'


def _flag_section(segments: Sequence[DirectionSegments]) -> str:
    """Systems by flags; a number is a button that shows these segments."""
    counts: dict[str, Counter[str]] = {}
    for one in segments:
        for output in one.outputs:
            found = counts.setdefault(output.system, Counter())
            found.update({flag: len(lines) for flag, lines in output.flags.items() if lines})
    flags = list(dict.fromkeys(flag for found in counts.values() for flag in found))
    if not flags:
        return _section("flags", "Flags", "<p>No translation is flagged.</p>\n")
    head = "".join(f'<th scope="col">{escape(flag_name(flag))}</th>' for flag in flags)
    rows = "".join(
        f'<tr><th scope="row">{foreign_text(system)}</th>'
        + "".join(f"<td>{_flag_cell(system, flag, found[flag])}</td>" for flag in flags)
        + "</tr>"
        for system, found in counts.items()
    )
    table = (
        f'<p class="about">{_FLAGS_ARE}</p>\n'
        '<div class="wide" role="region" aria-label="Flags of all systems" tabindex="0"><table class="scores flags">'
        f'<thead><tr><th scope="col" class="system">system</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>\n"
    )
    return _section("flags", "Flags", table)


_FLAGS_ARE = "Translations that a score may hide, in all directions together. A number shows them below."


def _flag_cell(system: str, flag: str, count: int) -> str:
    if not count:
        return '<span class="none">0</span>'
    label = f"{count} {flag_name(flag)}: show them"
    return (
        f'<button type="button" class="jump" data-system="{escape(system)}" data-flag="{escape(flag)}" '
        f'aria-label="{escape(label)}">{count:,}</button>'
    )


def flag_name(flag: str) -> str:
    """As people read it."""
    return flag.replace("_", " ")


def _segment_section(segments: Sequence[DirectionSegments]) -> str:
    if not segments:
        return _section("segments", "Segments", "<p>No segments were kept.</p>\n")
    return _section("segments", "Segments", _NO_SCRIPT + beside("alma_cli.scoring", "score_segments.html"))


def _citation_section(report: ScoreReport, facts: Mapping[str, str]) -> str:
    signatures: dict[tuple[str, str], list[str]] = {}
    for row in report.rows:
        signatures.setdefault((row.metric, row.signature), []).append(row.direction)
    rows = [
        (metric_name(metric), signature, ", ".join(dict.fromkeys(directions)))
        for (metric, signature), directions in signatures.items()
    ]
    table = "".join(
        f'<tr><th scope="row">{escape(metric)}</th><td><code>{escape(signature)}</code>'
        f"<small>{escape(directions)}</small></td></tr>"
        for metric, signature, directions in rows
    )
    significance = any(row.p_value is not None for row in report.rows)
    entries = bibtex(dict.fromkeys(row.metric for row in report.rows), significance=significance)
    known = f"<h3>This scoring</h3>\n{facts_table(facts.items())}\n" if facts else ""
    inner = (
        f'<table class="signatures"><tbody>{table}</tbody></table>\n'
        f'<div class="bibtex"><h3 id="bibtex-name">BibTeX</h3><button type="button" id="copy" hidden>Copy</button>'
        f'<pre id="bibtex" tabindex="0" aria-labelledby="bibtex-name">{escape(entries)}</pre></div>\n{known}'
    )
    return _section("cite", "Signatures", inner)


def _about(report: ScoreReport, segments: Sequence[DirectionSegments]) -> dict[str, object]:
    metrics = dict.fromkeys(metric for one in segments for output in one.outputs for metric in output.scores)
    return {
        "directions": [one.direction for one in segments],
        "systems": report.systems,
        "metrics": [[metric, metric_name(metric), metric in LOWER_IS_BETTER] for metric in metrics],
        "flags": [
            {output.system: {flag: len(lines) for flag, lines in output.flags.items()} for output in one.outputs}
            for one in segments
        ],
    }


def _json(value: object) -> str:
    """JSON that ends no element: its strings may hold `<` as an escape only."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _data(name: str, kind: str, text: str) -> str:
    return f'<script type="{kind}" id="{name}">{text}</script>\n'
