"""What an ablation found: one table, one figure, and the manifest of everything that both were made from.

{"version": 1, "recipe": {...}, "data": {...}, "versions": {...}, "machine": {...},
 "runs":    [{"folder", "stage", "starts_from", "portion", "steps", "target_tokens", "seconds", "dtype", "processor",
              "best_loss", "curve"}],
 "systems": [{"name", "words", "run", "shots"}],
 "scores":  as `alma score --json` prints them,
 "stage_1": [{"direction" or average, "metric", "points", "p_value"}], what it adds to stage 2; null where not tested}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from alma_cli.core.ablation import BOTH_STAGES, AblationSystem, Training
from alma_cli.core.chart import short_count
from alma_cli.core.recipe import ZERO_SHOT
from alma_cli.scoring.report import AverageRow, Difference, ScoreReport, ScoreRow, metric_name

ABLATION_VERSION = 1
_FLAGS = {"wrong_language": "wrong language", "looping": "looping", "copied_source": "copied"}


@dataclass(frozen=True)
class RunFacts:
    """One finished run of a stage; `curve` has (target tokens seen, validation loss in nats per target token)."""

    steps: int
    target_tokens: int
    seconds: float
    dtype: str  # that it computed in, as the recipe and the device had it
    best_loss: float | None
    processor: str | None = None  # or GPU that it computed on, by the maker's name: a run may go on elsewhere
    curve: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Ablation:
    """The systems with their scores and the runs behind them; `facts` are what else has to be kept to repeat it.

    `report` compares with the base model, `beside_stage_2` with stage 2 alone, where there is a stage 1.
    """

    name: str
    systems: tuple[AblationSystem, ...]
    report: ScoreReport
    runs: Mapping[Training, RunFacts]
    facts: Mapping[str, Any] = field(default_factory=dict)
    beside_stage_2: ScoreReport | None = None

    def as_json(self) -> dict[str, Any]:
        """The manifest at the top of this module."""
        return {
            "version": ABLATION_VERSION,
            **self.facts,
            "runs": [_run_as_json(training, facts) for training, facts in self.runs.items()],
            "systems": [
                {"name": one.name, "words": one.words, "run": _run_name(one.training), "shots": one.shots}
                for one in self.systems
            ],
            "scores": self.report.as_json(),
            "stage_1": [
                {"direction": row.place, "metric": row.metric, "points": found.points, "p_value": found.p_value}
                for row, found in self.worth_of_stage_1
            ]
            or None,
        }

    @cached_property
    def rows(self) -> dict[tuple[str, str, str], ScoreRow]:
        """By system, direction and metric."""
        return {(row.system, row.direction, row.metric): row for row in self.report.rows}

    @cached_property
    def directions(self) -> list[str]:
        """In the report's order."""
        return list(dict.fromkeys(row.direction for row in self.report.rows))

    @cached_property
    def worth_of_stage_1(self) -> list[tuple[ScoreRow | AverageRow, Difference]]:
        """The scores of both stages and their averages, and how each differs from that of stage 2 alone."""
        report = self.beside_stage_2
        if report is None:
            return []
        rows: list[ScoreRow | AverageRow] = [*report.rows, *report.averages]
        return [(row, found) for row in rows if row.system == BOTH_STAGES and (found := report.difference(row))]

    def overall(self, system: str, metric: str) -> ScoreRow | AverageRow | None:
        """A system's score over all directions: their average, or the score of the only one."""
        averages = [one for one in self.report.averages if (one.system, one.metric) == (system, metric)]
        return averages[-1] if averages else self.rows.get((system, self.directions[0], metric))

    def mean(self, system: str, metric: str) -> float | None:
        """The same as a number; None where the system lacks a direction."""
        row = self.overall(system, metric)
        return row.score if row else None


def ablation_table(ablation: Ablation) -> str:
    """The table in Markdown: a row a system, its scores in each direction, their mean and what it gained on zero-shot,
    what is odd about its translations, and what it was trained on."""
    metrics, directions = ablation.report.metrics, ablation.directions
    main = metrics[0]
    scored = [f"{direction} {metric_name(metric)}" for direction in directions for metric in metrics]
    head = [
        "system",
        "what it is",
        *scored,
        f"mean {metric_name(main)}",
        "gain",
        *_FLAGS.values(),
        "trained on",
        "minutes",
    ]
    lines = [head, ["---"] * 2 + ["---:"] * (len(head) - 2)]
    zero = ablation.mean(ZERO_SHOT, main)
    for system in ablation.systems:
        overall, mean = ablation.overall(system.name, main), ablation.mean(system.name, main)
        gain = "" if mean is None or zero is None or system.name == ZERO_SHOT else f"{mean - zero:+.2f}"
        lines.append(
            [
                f"`{system.name}`",
                system.words,
                *(_score(ablation, system.name, direction, metric) for direction in directions for metric in metrics),
                "-" if mean is None else f"{mean:.2f}",
                gain + (ablation.report.star(overall) if overall and gain else ""),
                *(str(_flagged(ablation.report, system.name, flag)) for flag in _FLAGS),
                *_training_words(ablation, system),
            ]
        )
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return "\n\n".join(filter(None, (table, _stage_1_words(ablation), " ".join(_notes(ablation))))) + "\n"


def _score(ablation: Ablation, system: str, direction: str, metric: str) -> str:
    """A score, with a star where it differs from the baseline's by more than chance."""
    row = ablation.rows.get((system, direction, metric))
    if row is None:
        return "-"
    return f"{row.score:.2f}{ablation.report.star(row)}"


def _flagged(report: ScoreReport, system: str, name: str) -> int:
    return sum(flag.count for flag in report.flags if flag.system == system and flag.flag == name)


def _training_words(ablation: Ablation, system: AblationSystem) -> tuple[str, str]:
    """Tokens that the loss was over, stage by stage, and the time of all runs behind a system."""
    chain = list(_chain(system.training))
    if not chain:
        return "-", "-"
    tokens = ", ".join(f"{one.stage} {short_count(ablation.runs[one].target_tokens)}" for one in chain)
    return tokens, f"{sum(ablation.runs[one].seconds for one in chain) / 60:.0f}"


def _chain(training: Training | None) -> Iterator[Training]:
    if training is not None:
        yield from _chain(training.start)
        yield training


def _stage_1_words(ablation: Ablation) -> str:
    """What stage 1 adds to stage 2, with the p-value of each difference."""
    worth, report = ablation.worth_of_stage_1, ablation.beside_stage_2
    if not worth or report is None:
        return ""
    found = ", ".join(
        f"{row.place} {metric_name(row.metric)} {difference.points:+.2f} (p = {difference.p_value:.3f})"
        for row, difference in worth
    )
    return f"What stage 1 adds to stage 2, `{BOTH_STAGES}` beside `{report.baseline}`: {found}."


def _notes(ablation: Ablation) -> Iterator[str]:
    counts = {row.direction: row.segments for row in ablation.report.rows}
    sentences = ", ".join(f"{direction} {count:,}" for direction, count in counts.items())
    yield f"Test sentences: {sentences}."
    if facts := ablation.report.significance:
        yield f"\\* differs from `{facts.baseline}` with p < 0.05 ({facts.words})."
    yield "Flagged translations are of all directions; trained on: tokens that the loss is over."
    signatures = {row.metric: row.signature for row in reversed(ablation.report.rows)}
    yield "Signatures: " + ", ".join(f"`{signatures[metric]}`" for metric in ablation.report.metrics) + "."


def _run_name(training: Training | None) -> str | None:
    return None if training is None else "/".join(filter(None, (training.folder, training.stage)))


def _run_as_json(training: Training, facts: RunFacts) -> dict[str, Any]:
    return {
        "folder": training.folder,
        "stage": training.stage,
        "starts_from": _run_name(training.start),
        "portion": training.portion,
        "steps": facts.steps,
        "target_tokens": facts.target_tokens,
        "seconds": round(facts.seconds, 1),
        "dtype": facts.dtype,
        "processor": facts.processor,
        "best_loss": facts.best_loss,
        "curve": [list(point) for point in facts.curve],
    }
