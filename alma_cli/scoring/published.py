"""The paper's own averages beside the measured ones: Xu et al., A Paradigm Shift in Machine Translation, ICLR 2024.

arXiv 2309.11674, tables 1 and 2: BLEU (sacreBLEU) and COMET (wmt22-comet-da) on WMT'22, Icelandic on WMT'21.
"""

from __future__ import annotations

from dataclasses import dataclass

from alma_cli.core.recipe import ZERO_SHOT
from alma_cli.errors import UsageError
from alma_cli.scoring.report import ScoreReport, Side

PAPER = "arXiv 2309.11674, tables 1 and 2"
_LANGUAGES = ("cs", "de", "is", "ru", "zh")

# The paper's system: (BLEU, COMET) out of English, (BLEU, COMET) into English; means over five directions.
_AVERAGES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "LLaMA-2-7B": ((13.86, 68.88), (26.43, 77.16)),
    "ALMA-7B": ((29.98, 86.49), (34.02, 84.08)),
    "ALMA-7B-LoRA": ((29.78, 86.37), (34.31, 84.12)),
    "LLaMA-2-13B": ((9.50, 65.23), (29.03, 78.73)),
    "ALMA-13B-LoRA": ((31.87, 87.00), (35.82, 84.59)),
}
# The recipe's name: the paper's fine-tuned system, and what it starts from.
_OF_RECIPE = {
    "alma-7b": ("ALMA-7B", "LLaMA-2-7B"),
    "alma-7b-8gpu": ("ALMA-7B", "LLaMA-2-7B"),
    "alma-7b-lora": ("ALMA-7B-LoRA", "LLaMA-2-7B"),
    "alma-13b-lora": ("ALMA-13B-LoRA", "LLaMA-2-13B"),
}


@dataclass(frozen=True)
class BesidePaper:
    """One average of the paper, and that of a system of ours; None where this lacks one of the five directions."""

    published_system: str
    side: Side
    metric: str
    published: float
    system: str
    measured: float | None

    @property
    def difference(self) -> float | None:
        """Measured above published."""
        return None if self.measured is None else self.measured - self.published


def require_published(recipe: str) -> None:
    """Raises UsageError where the paper has no row for the recipe of that name."""
    if recipe not in _OF_RECIPE:
        hint = f"it has them for: {', '.join(_OF_RECIPE)}; choose with --recipe"
        raise UsageError(f"the paper has no scores for the recipe '{recipe}'", hint=hint)


def beside_paper(recipe: str, report: ScoreReport) -> tuple[BesidePaper, ...]:
    """For each system, kind and metric that both have; `zero-shot` is set beside what the paper starts from."""
    require_published(recipe)
    tuned, base = _OF_RECIPE[recipe]
    found = []
    for system in report.systems:
        published = base if system == ZERO_SHOT else tuned
        sides: tuple[Side, Side] = ("en-xx", "xx-en")
        for side, scores in zip(sides, _AVERAGES[published], strict=True):
            for metric, score in zip(("bleu", "comet"), scores, strict=True):
                if metric in report.metrics:
                    measured = _average(report, system, side, metric)
                    found.append(BesidePaper(published, side, metric, score, system, measured))
    return tuple(found)


def _average(report: ScoreReport, system: str, side: Side, metric: str) -> float | None:
    """Over the paper's five directions, whatever others there are."""
    scores = {row.direction: row.score for row in report.rows if (row.system, row.metric) == (system, metric)}
    wanted = [f"en-{one}" if side == "en-xx" else f"{one}-en" for one in _LANGUAGES]
    known = [scores[direction] for direction in wanted if direction in scores]
    return sum(known) / len(known) if len(known) == len(wanted) else None
