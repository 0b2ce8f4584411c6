"""The LaTeX table, and the paper's averages beside ours."""

from __future__ import annotations

import pytest

from alma_cli.core.recipe_file import load_recipe
from alma_cli.scoring.published import beside_paper
from alma_cli.scoring.report import ResamplingFacts, ScoreReport, ScoreRow
from alma_cli.scoring.score_exports import scores_as_latex

LANGUAGES = ("cs", "de", "is", "ru", "zh")


def row(system: str, direction: str, score: float, metric: str = "bleu", p_value: float | None = None) -> ScoreRow:
    return ScoreRow(system, direction, metric, score, score - 1, score + 1, p_value, "nrefs:1", 2)


def test_the_latex_table_has_the_best_in_bold_arrows_where_significant_and_averages() -> None:
    rows = [
        row("first_one", "en-de", 30.0),
        row("first_one", "en-cs", 20.0),
        row("first_one", "de-en", 40.0),
        row("B&C", "en-de", 33.0, p_value=0.01),
        row("B&C", "en-cs", 19.0, p_value=0.2),
        row("first_one", "en-de", 50.0, "ter"),
        row("B&C", "en-de", 52.0, "ter", p_value=0.01),
    ]
    report = ScoreReport(
        *(tuple(rows), ()),
        significance=ResamplingFacts("bootstrap", 1000, 1, "first_one"),
        average_p_values={("B&C", "en-xx", "bleu"): 0.03},
    )
    table = scores_as_latex(report)
    assert table == LATEX


LATEX = r"""% needs \usepackage{booktabs}; bold: best of the column
% arrows: better or worse than first_one with p < 0.05, paired bootstrap, 1000 resamples, seed 1
% BLEU nrefs:1
% TER nrefs:1
\begin{tabular}{lrrrr}
\toprule
 & \multicolumn{3}{c}{out of English} & \multicolumn{1}{c}{into English} \\
System & en-de & en-cs & average & de-en \\
\midrule
\multicolumn{5}{l}{\textit{BLEU}} \\
first\_one & 30.00 & \textbf{20.00} & 25.00 & 40.00 \\
B\&C & \textbf{33.00}$^{\uparrow}$ & 19.00 & \textbf{26.00}$^{\uparrow}$ & -- \\
\midrule
\multicolumn{5}{l}{\textit{TER} $\downarrow$} \\
first\_one & \textbf{50.00} & -- & -- & -- \\
B\&C & 52.00$^{\downarrow}$ & -- & -- & -- \\
\bottomrule
\end{tabular}
"""


def test_the_papers_averages_are_over_its_five_directions_only() -> None:
    rows = [row("parallel", f"en-{one}", 30.0) for one in LANGUAGES] + [row("parallel", "en-fr", 99.0)]
    rows += [row("parallel", f"{one}-en", 30.0) for one in LANGUAGES[1:]] + [row("zero-shot", "en-cs", 10.0)]
    found = beside_paper("alma-7b-lora", ScoreReport(tuple(rows), ()))
    assert [(one.system, one.published_system, one.side, one.published, one.measured) for one in found] == [
        ("parallel", "ALMA-7B-LoRA", "en-xx", 29.78, 30.0),
        ("parallel", "ALMA-7B-LoRA", "xx-en", 34.31, None),
        ("zero-shot", "LLaMA-2-7B", "en-xx", 13.86, None),
        ("zero-shot", "LLaMA-2-7B", "xx-en", 26.43, None),
    ]
    assert found[0].difference == pytest.approx(0.22)


@pytest.mark.parametrize("recipe", ["alma-7b", "alma-7b-8gpu", "alma-7b-lora", "alma-13b-lora"])
def test_recipes_with_published_scores_ship_with_the_papers_directions(recipe: str) -> None:
    directions = load_recipe(recipe).recipe.directions
    assert {f"en-{one}" for one in LANGUAGES} | {f"{one}-en" for one in LANGUAGES} == set(directions)
    assert beside_paper(recipe, ScoreReport((row("a", "en-de", 1.0),), ()))
