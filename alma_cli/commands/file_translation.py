"""Translating documents, library and screen together: all of a command's files at once, each text in them once."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alma_cli import console
from alma_cli.commands.guidance import kept_terms

if TYPE_CHECKING:
    from alma_cli.core.languages import Direction
    from alma_cli.core.recipe import Recipe
    from alma_cli.decoding.estimate import Estimate
    from alma_cli.decoding.glossary import Glossary
    from alma_cli.decoding.segments import Candidate, FlagsOf, Outcome, SegmentTranslator
    from alma_cli.decoding.session import Session
    from alma_cli.decoding.translator import Translation
    from alma_cli.documents.jobs import Job, Places
    from alma_cli.documents.options import DocumentOptions


@dataclass(frozen=True)
class FileReport:
    """What became of one document."""

    name: str
    output: Path | None
    segments: int  # that are not blank
    untranslated: int  # they keep their source
    flagged: int
    flags_path: Path | None  # where those are listed

    def as_json(self) -> dict[str, Any]:
        """For people's programs."""
        return {
            "input": self.name,
            "output": str(self.output) if self.output else None,
            "segments": self.segments,
            "untranslated": self.untranslated,
            "flagged": self.flagged,
            "flags": str(self.flags_path) if self.flags_path else None,
        }


def read_documents(found: Places, *, format: str, options: DocumentOptions) -> list[Job]:
    """All documents of a command, with a word about what is left alone."""
    from alma_cli.documents.jobs import STDIN, read_jobs

    stdin = sys.stdin.buffer.read() if found.places[0].name == STDIN else b""
    if found.left_alone:
        shown = ", ".join(found.left_alone[:3]) + (", ..." if len(found.left_alone) > 3 else "")
        console.warn(f"{len(found.left_alone)} files of no known format are left out: {shown}")
    jobs = read_jobs(found, stdin, format=format, options=options)
    for job in jobs:
        for note in job.document.notes:
            console.note(f"{job.place.name}: {note}")
    return jobs


def segment_translator(
    session: Session, recipe: Recipe, direction: Direction, *, what: str, making: bool
) -> SegmentTranslator:
    """The recipe's way of translating segments, with its progress on the screen."""
    from alma_cli.decoding.attempts import attempts_of
    from alma_cli.decoding.segments import IN_CONTEXT, SegmentTranslator

    def follow(translations: Iterator[Translation], attempt: str, total: int, known: int) -> None:
        if known:
            console.note(f"{what}: {known} of {known + total} segments were translated before")
        if attempt:
            kind = "segments" if attempt == IN_CONTEXT else "flagged segments"
            console.note(f"{what}: {total} {kind} again, {attempt}")
        console.follow_translation(translations, total=total, what=what)

    flags_of = _with_terms(_flags_of(direction), session.guide_of(direction).glossary)
    return SegmentTranslator(session, direction, attempts_of(recipe.decoding), flags_of, follow, making=making)


def translate_jobs(jobs: Sequence[Job], translator: SegmentTranslator, *, makes: Path | None) -> dict[str, Any]:
    """Translate the documents and write them, each complete or not at all; what came of it, as JSON."""
    started = time.monotonic()
    outcomes = translator.outcomes(*(job.document.segments for job in jobs))
    if makes is not None:
        makes.mkdir(exist_ok=True)
    reports = [_write(job, outcomes) for job in jobs]
    _tell(reports, outcomes, translator)
    counts = translator.counts
    return {
        "version": 1,
        "direction": str(translator.direction),
        "files": [report.as_json() for report in reports],
        "segments": sum(report.segments for report in reports),
        "untranslated": sum(report.untranslated for report in reports),
        "flagged": sum(report.flagged for report in reports),
        "flags": dict(_flag_counts(outcomes)),
        "texts": {
            "different": counts.texts,
            "translated_before": counts.known,
            "translated_now": counts.made,
            "retried": counts.retried,
            "mended": counts.mended,
        },
        "terms": _terms(jobs, outcomes, translator),
        "reranked": None
        if not counts.reranked
        else {
            "texts": counts.reranked,
            "mean_utility_before": counts.utility_before / counts.reranked,
            "mean_utility": counts.utility / counts.reranked,
        },
        "tokens": counts.tokens,
        "seconds": round(time.monotonic() - started, 3),
    }


def tell_estimate(estimate: Estimate, *, as_json: bool) -> None:
    """What a translation would take."""
    if as_json:
        console.result_json({"version": 1, **estimate.as_json()})
        return
    seconds = "not measured" if estimate.seconds is None else console.duration(estimate.seconds)
    memory = "no model was loaded" if estimate.memory_gib is None else f"{estimate.memory_gib:.1f} GiB at its peak"
    console.panel(
        "would be translated",
        {
            "segments": f"{estimate.segments:,}, {estimate.texts:,} different texts",
            "translated before": f"{estimate.known:,}",
            "tokens": f"{estimate.source_tokens:,} in the sources that are left",
            "time": f"about {seconds}, from {estimate.probed} that were translated to measure it",
            "memory": memory,
        },
    )


def _write(job: Job, outcomes: dict[str, Outcome]) -> FileReport:
    from alma_cli.core.output_files import write_output

    segments = job.document.segments
    rendered = job.document.render([_written(outcomes.get(segment)) for segment in segments])
    place = job.place
    flagged = [
        {
            "segment": number + 1,
            "location": location,
            "flags": list(outcomes[segment].flags),
            "source": segment,
            "translation": outcomes[segment].text,
        }
        for number, (segment, location) in enumerate(zip(segments, job.document.locations, strict=True))
        if segment in outcomes and outcomes[segment].flags
    ]
    if place.output is None:
        sys.stdout.buffer.write(rendered)
    else:
        place.output.parent.mkdir(parents=True, exist_ok=True)
        write_output(place.output, rendered)
    flags_path = place.flags_path
    if flags_path is not None and flagged:
        write_output(flags_path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in flagged).encode())
    elif flags_path is not None:
        flags_path.unlink(missing_ok=True)  # an earlier translation's
    translatable = [segment for segment in segments if segment in outcomes]
    untranslated = sum(not outcomes[segment].is_translated for segment in translatable)
    return FileReport(
        place.name, place.output, len(translatable), untranslated, len(flagged), flags_path if flagged else None
    )


def _written(outcome: Outcome | None) -> str | None:
    """What a segment's place gets; None, which leaves it alone, where it is blank or not translated yet."""
    return outcome.text if outcome is not None and outcome.is_translated else None


def _tell(reports: Sequence[FileReport], outcomes: dict[str, Outcome], translator: SegmentTranslator) -> None:
    cut = sum(outcome.source_cut for outcome in outcomes.values())
    if cut:
        console.warn(f"{cut} sources are longer than the model's window and were cut")
    told_less = sum(outcome.guidance_cut for outcome in outcomes.values())
    if told_less:
        console.warn(f"prompts without room for all their examples or terms: {told_less}")
    segments, untranslated = sum(r.segments for r in reports), sum(r.untranslated for r in reports)
    flagged = sum(report.flagged for report in reports)
    if untranslated:
        console.warn(f"{untranslated} of {segments} segments are not translated yet and keep their source")
    if flagged:
        counts = ", ".join(f"{flag.replace('_', ' ')} {count}" for flag, count in _flag_counts(outcomes).most_common())
        lists = [str(report.flags_path) for report in reports if report.flags_path]
        where = f"; listed in {lists[0]}" + (f" and {len(lists) - 1} more" if lists[1:] else "") if lists else ""
        console.warn(f"{flagged} of {segments} segments are flagged ({counts}){where}")
    retried = translator.counts.retried
    again = f", {retried} retried and {translator.counts.mended} of them mended" if retried else ""
    first = reports[0].output
    if len(reports) > 1:
        into = f"{segments} segments of {len(reports)} files translated{again}"
    else:
        into = f"{segments} segments translated" + (f" into {first}" if first else "") + again
    console.done(into)


def _terms(jobs: Sequence[Job], outcomes: dict[str, Outcome], translator: SegmentTranslator) -> dict[str, float] | None:
    """How well the translations keep to the glossary, if there is one."""
    glossary = translator.session.guide_of(translator.direction).glossary
    if glossary is None:
        return None
    segments = (segment for job in jobs for segment in job.document.segments)
    found = kept_terms(
        glossary, ((s, outcomes[s].text) for s in segments if s in outcomes and outcomes[s].is_translated)
    )
    return {"matched": found.matched, "kept": found.kept, "rate": round(found.rate, 4), "segments": found.segments}


def _with_terms(flags_of: FlagsOf, glossary: Glossary | None) -> FlagsOf:
    """The same flags, and one for a translation that does not keep to a term."""
    if glossary is None:
        return flags_of

    def flags(candidates: Sequence[Candidate]) -> list[tuple[str, ...]]:
        return [
            (*found, "term_missing") if glossary.missing(one.source, one.text) else found
            for one, found in zip(candidates, flags_of(candidates), strict=True)
        ]

    return flags


def _flag_counts(outcomes: dict[str, Outcome]) -> Counter[str]:
    return Counter(flag for outcome in outcomes.values() for flag in outcome.flags)


def _flags_of(direction: Direction) -> FlagsOf:
    from alma_cli.core.flags import flag_segments

    def flags(candidates: Sequence[Candidate]) -> list[tuple[str, ...]]:
        found = flag_segments([one.source for one in candidates], [one.text for one in candidates], direction)
        # Whether two translations are the same depends on which are judged together: that is no fault of one of them.
        names = [tuple(flag.name for flag in flags if flag.name != "duplicated") for flags in found]
        return [(*own, *(("cut",) if one.reached_limit else ())) for one, own in zip(candidates, names, strict=True)]

    return flags
