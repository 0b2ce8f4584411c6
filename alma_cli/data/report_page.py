"""The page of the data report: what became of each corpus's records, with samples, lengths and overlaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import islice, zip_longest
from typing import Any

from alma_cli.core.dataset import SourceReport
from alma_cli.core.page import (
    Figure,
    beside,
    big_number,
    facts_table,
    foreign_text,
    key_figures,
    page,
    share_text,
    wide_table,
)
from alma_cli.data.length_chart import length_charts

# So many are on the page, which has to open fast; report.json has them all.
_SOURCES_SHOWN, _OVERLAPS_SHOWN, _SAMPLES_SHOWN = 200, 200, 12
_SAMPLE_CHARACTERS = 300
_DIGITS_OF_A_HASH = 12

Facts = Mapping[str, Any]
Located = tuple[str, str]  # where a sample is, and its text


def report_page(title: str, facts: Facts) -> str:
    """The page, from the facts that report.json has."""
    stages: Mapping[str, Facts] = facts["stages"]
    sources = [SourceReport(**source) for source in facts["sources"]]
    body = [
        _warnings(facts["warnings"]),
        _contents(stages),
        *(_stage_section(name, stage, sources, facts["reasons"]) for name, stage in stages.items()),
        _source_section(sources),
        _how_it_was_made(facts),
    ]
    return page(
        title,
        _subtitle(stages),
        "".join(body),
        footer="All of it is in report.json and manifest.json beside this page.",
        styles=[beside("alma_cli.data", "report.css")],
    )


def _subtitle(stages: Mapping[str, Facts]) -> str:
    return " · ".join(
        f"{name}: {stage['kept']:,} of {stage['read']:,} {stage['unit']} kept" for name, stage in stages.items()
    )


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    lines = "".join(f"<li>{foreign_text(warning)}</li>" for warning in warnings)
    return f'<section class="warnings" aria-label="Warnings"><h2>Warnings</h2><ul>{lines}</ul></section>\n'


def _contents(stages: Mapping[str, Facts]) -> str:
    links = "".join(f'<a href="#{escape(name)}">Stage {escape(name)}</a>' for name in stages)
    return (
        f'<nav aria-label="Contents">{links}<a href="#sources">Sources</a><a href="#made">How it was made</a></nav>\n'
    )


def _stage_section(name: str, stage: Facts, sources: Sequence[SourceReport], reasons: Mapping[str, str]) -> str:
    own = [source for source in sources if source.stage == name]
    return "".join(
        (
            f'<section id="{escape(name)}" aria-label="Stage {escape(name)}"><h2>Stage {escape(name)}</h2>\n',
            key_figures(_figures(stage)),
            _fates_of_records(stage, own, reasons),
            _mix_table(stage["mix"]),
            _split_table(stage["splits"]),
            length_charts(stage["histograms"], stage["unit"]),
            _overlap_table(stage["overlaps"], stage["unit"]),
            "</section>\n",
        )
    )


def _figures(stage: Facts) -> list[Figure]:
    read, unit = stage["read"], stage["unit"]
    dropped = sum(stage["dropped"].values())
    tokens = stage["splits"].get("train", {}).get("tokens")
    figures = [
        ("Read", big_number(read), f"{unit} from {stage['sources']:,} source{'s' * (stage['sources'] != 1)}"),
        ("Kept", big_number(stage["kept"]), share_text(stage["kept"], read)),
        ("Left out", big_number(dropped), share_text(dropped, read)),
        ("Repaired", big_number(stage["repaired"]), "white space, line breaks"),
    ]
    if tokens is not None:
        figures.append(("To train on", big_number(tokens), "tokens"))
    return figures


def _fates_of_records(stage: Facts, sources: Sequence[SourceReport], reasons: Mapping[str, str]) -> str:
    """A bar for what was kept and for each reason; opened, it has samples."""
    read = max(1, stage["read"])
    kept = _bar("kept", "", stage["kept"], read, _in_turn(_located(one, one.kept_samples) for one in sources), "kept")
    rows = [
        _bar(
            reason.replace("_", " "),
            reasons.get(reason, ""),
            count,
            read,
            _in_turn(_located(one, one.samples.get(reason, ())) for one in sources),
        )
        for reason, count in stage["dropped"].items()
    ]
    return f'<h3>What became of the {escape(stage["unit"])}</h3>\n<div class="bars">{kept}{"".join(rows)}</div>\n'


def _bar(name: str, meaning: str, count: int, read: int, samples: Sequence[Located], css_class: str = "reason") -> str:
    listed = "".join(f"<li>{_placed(where, text)}</li>" for where, text in samples)
    inner = f"<ul>{listed}</ul>" if samples else "<p>No samples were kept.</p>"
    more = f"<small>{escape(meaning)}</small>" if meaning else ""
    return (
        f'<details class="{css_class}"><summary><span class="name">{escape(name)}{more}</span>'
        f'<span class="track"><span style="width:{100 * count / read:.3f}%"></span></span>'
        f'<span class="count">{count:,}</span><span class="share">{share_text(count, read)}</span>'
        f"</summary>{inner}</details>"
    )


def _located(source: SourceReport, samples: Iterable[Mapping[str, Any]]) -> list[Located]:
    return [(_where(source.path, sample), sample["text"]) for sample in samples]


def _in_turn(groups: Iterable[Sequence[Located]]) -> list[Located]:
    """One of each source, then the second of each: no source fills the list alone."""
    rounds = zip_longest(*groups)
    return list(islice((one for row in rounds for one in row if one is not None), _SAMPLES_SHOWN))


def _placed(where: str, text: str) -> str:
    """A record to look at, cut; of a pair the sides below each other."""
    cut = text if len(text) <= _SAMPLE_CHARACTERS else text[: _SAMPLE_CHARACTERS - 1] + "…"
    sides = "".join(f'<p class="text">{foreign_text(side)}</p>' for side in cut.split("\t", 1))
    return f'<span class="where">{foreign_text(where)}</span>{sides}'


def _mix_table(mix: Sequence[Facts]) -> str:
    if not mix:
        return ""
    asked = any(row["requested"] is not None for row in mix)
    head = ["", *(["requested"] if asked else []), "in the training data", "records", "tokens"]
    rows = [
        [
            row["name"],
            *([_percent(row["requested"])] if asked else []),
            _percent(row["obtained"]),
            _count(row["records"]),
            _count(row["tokens"]),
        ]
        for row in mix
    ]
    return "<h3>Mix</h3>\n" + wide_table(head, rows, "Mix")


def _split_table(splits: Mapping[str, Facts]) -> str:
    rows = [[name, _count(counts["records"]), _count(counts["tokens"])] for name, counts in splits.items()]
    return "<h3>Splits</h3>\n" + wide_table(["", "records", "tokens"], rows, "Splits")


def _overlap_table(overlaps: Sequence[Facts], unit: str) -> str:
    if not overlaps:
        return ""
    rows = "".join(
        f"<tr><td>{_placed(_where(one['source'], one['sample']), one['sample']['text'])}</td>"
        f"<td>{_placed(one['held_out'], one['held_out_text'])}</td></tr>"
        for one in overlaps[:_OVERLAPS_SHOWN]
    )
    hidden = len(overlaps) - _OVERLAPS_SHOWN
    more = f"<p>{hidden:,} more are in report.json.</p>" if hidden > 0 else ""
    return (
        f"<h3>Overlaps with test and validation sets</h3>\n<details><summary>{len(overlaps):,} {escape(unit)} listed, "
        f'left out of the training data</summary><table class="overlaps"><thead><tr><th scope="col">left out</th>'
        f'<th scope="col">what it overlaps</th></tr></thead><tbody>{rows}</tbody></table>{more}</details>\n'
    )


def _source_section(sources: Sequence[SourceReport]) -> str:
    largest = sorted(range(len(sources)), key=lambda index: -sources[index].read)[:_SOURCES_SHOWN]
    shown = [sources[index] for index in sorted(largest)]
    names = ["source", "stage", "split", "languages", "read", "kept", "", "left out"]
    table = wide_table(names, map(_source_row, shown), "Sources", "sources")
    hidden = len(sources) - len(shown)
    more = f"<p>{hidden:,} smaller sources are in report.json.</p>" if hidden else ""
    paths = [(source.path, source.sha256[:_DIGITS_OF_A_HASH]) for source in shown]
    files = wide_table(["path", "SHA-256 begins"], paths, "Full paths", "sources")
    return (
        f'<section id="sources" aria-label="Sources"><h2>Sources</h2>\n{table}{more}'
        f"<details><summary>Full paths and hashes</summary>{files}</details></section>\n"
    )


def _source_row(source: SourceReport) -> list[str]:
    dropped = sorted(source.dropped.items(), key=lambda item: (-item[1], item[0]))
    return [
        _short_path(source.path),
        source.stage,
        source.split,
        source.languages,
        f"{source.read:,}",
        f"{source.kept:,}",
        share_text(source.kept, source.read),
        ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in dropped) or "-",
    ]


def _how_it_was_made(facts: Facts) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    rows = facts_table([("Seed", str(facts["seed"])), ("Versions", versions)])
    return f'<section id="made" aria-label="How it was made"><h2>How it was made</h2>\n{rows}</section>\n'


def _where(path: str, sample: Mapping[str, Any]) -> str:
    """The file that a sample is from, of several which, and its line or number in it."""
    return f"{_short_path(sample.get('file') or path)}, {sample['place']}"


def _short_path(path: str) -> str:
    """A file with the folder it is in."""
    return "/".join(path.rstrip("/").split("/")[-2:])


def _percent(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.2%}"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
