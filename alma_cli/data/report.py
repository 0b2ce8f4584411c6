"""What became of the corpora as a page, data/report.html, and the same facts for programs, data/report.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alma_cli.core.dataset import Manifest, write_atomically
from alma_cli.data.report_page import report_page

REPORT_VERSION = 1

_UNITS = {"mono": "documents", "parallel": "pairs"}

Facts = Mapping[str, Any]


def write_report(
    directory: Path,
    manifest: Manifest,
    reasons: Mapping[str, str],
    *,
    title: str,
    warnings: Sequence[str] = (),
) -> Path:
    """Write report.html and report.json into the data directory, each complete or not at all; the page's path.

    `reasons` say in a line what each reason means.
    """
    facts = data_facts(manifest, reasons, warnings)
    text = json.dumps(facts, ensure_ascii=False, indent=1) + "\n"
    # Half a surrogate pair, which no encoding has, stays what it is, written as an escape of JSON's.
    write_atomically(directory / "report.json", text.encode("utf-8", "backslashreplace").decode())
    path = directory / "report.html"
    write_atomically(path, report_page(title, facts))
    return path


def data_facts(manifest: Manifest, reasons: Mapping[str, str], warnings: Sequence[str] = ()) -> dict[str, Any]:
    """What report.json has: the manifest's accounts, added up by stage, with what the reasons mean."""
    stages = {name: _stage_facts(name, manifest, splits) for name, splits in manifest.stages.items()}
    seen = sorted({reason for stage in stages.values() for reason in stage["dropped"]})
    return {
        "version": REPORT_VERSION,
        "seed": manifest.seed,
        "versions": dict(manifest.versions),
        "warnings": list(warnings),
        "stages": stages,
        "reasons": {reason: reasons.get(reason, "") for reason in seen},
        "sources": [asdict(source) for source in manifest.sources],
    }


def _stage_facts(stage: str, manifest: Manifest, splits: Mapping[str, Facts]) -> dict[str, Any]:
    sources = [source for source in manifest.sources if source.stage == stage]
    dropped = manifest.steps.get(stage, {})
    train = splits.get("train", {})
    return {
        "unit": _UNITS.get(stage, "records"),
        "sources": len(sources),
        "read": sum(source.read for source in sources),
        "kept": sum(source.kept for source in sources),
        "repaired": sum(source.repaired for source in sources),
        "dropped": dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
        "splits": {name: {"records": _records(counts), "tokens": _tokens(counts)} for name, counts in splits.items()},
        "mix": _mix(train),
        "histograms": dict(train.get("histograms") or {}),
        "overlaps": list(manifest.overlaps.get(stage, ())),
    }


def _mix(train: Facts) -> list[dict[str, Any]]:
    """Each language, pool or direction of the training data: its share as it was asked for and as it came."""
    counted = train.get("languages") or train.get("directions") or {}
    requested = train.get("probabilities") or {}
    records = {name: _records(counts) for name, counts in counted.items()}
    total = sum(records.values())
    return [
        {
            "name": name,
            "requested": requested.get(name),
            "obtained": records[name] / total if name in records and total else None,
            "records": records.get(name),
            "tokens": _tokens(counted.get(name)),
        }
        for name in sorted({*records, *requested})
    ]


def _records(counts: object) -> int:
    """Of what the manifest says of a split or a part of it."""
    if isinstance(counts, Mapping):
        return int(counts.get("documents", counts.get("examples", 0)))
    return int(counts) if isinstance(counts, int) else 0


def _tokens(counts: object) -> int | None:
    """Of both sides together; None where they were not counted."""
    tokens = counts.get("tokens") if isinstance(counts, Mapping) else None
    if isinstance(tokens, Mapping):
        return sum(tokens.values())
    return tokens if isinstance(tokens, int) else None
