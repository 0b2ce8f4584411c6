"""How long the texts are, as columns of HTML that need no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from alma_cli.core.chart import short_count
from alma_cli.core.page import share_text, wide_table

_WHAT_IS_MEASURED = {
    "source_tokens": "Source length in tokens",
    "target_tokens": "Target length in tokens",
    "document_tokens": "Document length in tokens",
    "source_characters": "Source length in characters",
    "target_characters": "Target length in characters",
    "document_characters": "Document length in characters",
}

Histogram = Mapping[str, Any]


def length_charts(histograms: Mapping[str, Histogram], unit: str) -> str:
    """The histograms side by side; empty where nothing was measured."""
    known = {name: one for name, one in histograms.items() if sum(one["counts"])}
    if not known:
        return ""
    return f'<h3>Lengths</h3>\n<div class="lengths">{"".join(_histogram(n, h, unit) for n, h in known.items())}</div>\n'


def _histogram(name: str, histogram: Histogram, unit: str) -> str:
    """Columns without a script; the numbers are in a table below, for keyboards and screen readers."""
    edges, counts = histogram["edges"], histogram["counts"]
    assert len(edges) == len(counts) + 1, f"{name=}"
    classes = [_class(low, high) for low, high in pairwise(edges)]
    most, total = max(counts), sum(counts)
    columns = "".join(
        f'<span class="column" title="{label}: {count:,} ({share_text(count, total)})">'
        f'<span style="height:{100 * count / most:.2f}%"></span></span>'
        for label, count in zip(classes, counts, strict=True)
    )
    marks = "".join(f"<span>{short_count(edge)}</span>" for edge in edges[:-1])
    title = _WHAT_IS_MEASURED.get(name, name.replace("_", " "))
    summary = f"most often {classes[counts.index(most)]}, half of them below {_half_below(edges, counts):,}"
    rows = [[label, f"{count:,}", share_text(count, total)] for label, count in zip(classes, counts, strict=True)]
    return (
        f'<figure><figcaption>{escape(title)}<small>{summary}</small></figcaption><div class="columns" role="img" '
        f'aria-label="{escape(title)}: {summary}">{columns}</div><div class="marks" aria-hidden="true">{marks}</div>'
        f"<details><summary>Numbers</summary>{wide_table(['length', unit, ''], rows, title)}</details></figure>"
    )


def _class(low: int, high: int) -> str:
    """The lengths from one edge up to the next, which is not one of them."""
    return f"{low:,}" if high - low <= 1 else f"{low:,} to {high - 1:,}"


def _half_below(edges: Sequence[int], counts: Sequence[int]) -> int:
    """The first edge that at least half of the records are below."""
    below, total = 0, sum(counts)
    for edge, count in zip(edges[1:], counts, strict=True):
        below += count
        if 2 * below >= total:
            return edge
    return edges[-1]
