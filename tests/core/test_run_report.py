"""report.html: one file that loads nothing, small for long runs, whole whatever the metrics hold."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.run import StageDirectory
from alma_cli.core.run_report import training_report, write_report

FACTS: dict[str, Any] = {
    "stage": "parallel",
    "seed": 42,
    "base_name": "smollm2-135m",
    "base_note": "from a quantised export",
    "data_sha256": "2464e59ecf5c7da696235c62c04a839e01c47f60",
    "text_format": {"style": "alma", "adds_bos": False},
    "settings": {
        "method": "lora",
        "learning_rate": 2e-3,
        "schedule": "inverse_sqrt",
        "warmup_ratio": 0.05,
        "lora_rank": 16,
        "lora_alpha": 32,
        "lora_targets": ["all-linear"],
    },
    "recipe": {"name": "demo", "description": "German to English", "directions": ["de-en", "en-de"]},
    "examples": {"train": 1400, "valid": 60, "dropped": {"prompt_too_long": 3}},
    "steps": 4,
    "device": "cpu",
    "processor": "AMD EPYC",
    "dtype": "bfloat16",
    "finished": "2026-01-31T16:55:26+0000",
    "versions": {"alma": "0.1.0", "torch": "2.13.0"},
}
VOID = {"meta", "link"}


def step_row(step: int, **values: Any) -> dict[str, Any]:
    """A step of two seconds and 40 target tokens."""
    row = {"step": step, "loss": 5.0 / step, "learning_rate": 1e-3, "gradient_norm": 1.5, "target_tokens": 40}
    return {**row, "tokens": 100, "seconds": 2.0, **values}


def valid_row(step: int, loss: float, **values: Any) -> dict[str, Any]:
    return {"step": step, "valid_loss": loss, **values}


ROWS = [
    valid_row(0, 6.0, best=False),
    step_row(1),
    step_row(2),
    valid_row(2, 2.5, best=True),
    step_row(3),
    step_row(4),
    valid_row(4, 2.75, best=False),
]


class Page(HTMLParser):
    """A page's text, figures and table cells; every element must be closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.titles: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.cells.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["h3"]:
            self.titles.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1].append(data)
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def paths(self, kind: str) -> list[str]:
        """The `d` of every curve of a kind."""
        names = [value for name, value in self.attributes if name in ("class", "d")]
        return [d for found, d in pairwise(names) if found == f"line {kind}"]


CHARTS = (
    "Loss",
    "BLEU of greedy translations",
    "chrF2 of greedy translations",
    "Learning rate",
    "Gradient norm",
    "Speed",
    "Memory",
)


def report(rows: list[dict[str, Any]], facts: dict[str, Any] = FACTS) -> Page:
    return Page(training_report("Stage parallel of demo", facts, rows))


# --- what it shows ------------------------------------------------------------------------------------------------


def test_it_has_the_curves_that_the_metrics_have() -> None:
    assert report(ROWS).titles == ["Loss", "Learning rate", "Gradient norm", "Speed"]
    more = [*ROWS, step_row(5, memory_gib=1.5), valid_row(5, 2.0, valid_bleu=12.5, valid_chrf=40.0)]
    assert report(more).titles == list(CHARTS)


def test_the_figures_are_those_of_the_run() -> None:
    text = report([*ROWS, step_row(5, memory_gib=1.26)]).text

    assert "Best validation loss 2.5000 at step 2" in text
    assert "Steps 5 of 4" in text
    assert "Target tokens 200 in 10 s of training" in text
    assert "Speed 20 target tokens/s" in text
    assert "Memory 1.3 GiB at most" in text
    assert "nats per target token" in text


def test_the_validations_are_a_table_with_the_best_marked() -> None:
    rows = [*ROWS[:3], valid_row(2, 2.5, best=True, valid_chrf=31.4), *ROWS[4:]]

    cells = report(rows).cells

    assert cells[0] == ["step", "loss", "perplexity", "chrF2"]
    assert cells[1:4] == [
        ["0", "6.0000", "403.43", "-"],
        ["2", "2.5000", "12.18", "31.40", "best"],
        ["4", "2.7500", "15.64", "-"],
    ]


def test_the_best_is_the_last_that_was_said_to_be_and_not_the_lowest() -> None:
    rows = [step_row(1), valid_row(1, 2.0, best=True), valid_row(2, 2.5, best=True), valid_row(3, 1.0, best=False)]

    assert "Best validation loss 2.5000 at step 2" in report(rows).text


def test_where_nobody_says_the_best_is_the_lowest_after_step_0() -> None:
    rows = [valid_row(0, 1.0), step_row(1), valid_row(1, 3.0), valid_row(2, 2.0)]

    assert "Best validation loss 2.0000 at step 2" in report(rows).text


def test_the_run_is_described_in_words() -> None:
    facts = dict(cells for cells in report(ROWS).cells if len(cells) == 2)

    assert facts["Model"] == "smollm2-135m — from a quantised export"
    assert facts["Method"] == "LoRA rank 16, alpha 32"
    assert facts["Schedule"] == "learning rate 2e-3, inverse sqrt after 5% warm-up"
    assert facts["Device"] == "cpu, AMD EPYC, bfloat16"
    assert facts["Examples"] == "1,400 to train on, 60 to validate on, left out: 3 prompt too long"
    assert facts["Versions"] == "alma 0.1.0, torch 2.13.0"
    assert facts["lora_targets"] == '["all-linear"]'


def test_few_steps_are_one_curve_and_many_are_smoothed_too() -> None:
    assert len(report(ROWS).paths("raw")) == 0
    many = report([step_row(n) for n in range(1, 81)])
    assert len(many.paths("raw")) == 1
    assert "smoothed over 9 steps" in many.text


def test_the_speed_of_a_bucket_is_its_tokens_over_its_seconds() -> None:
    # Two steps in one bucket: 40 tokens in 1 s, 40 in 3 s. The mean of the rates would be 26.7, the true one is 20.
    rows = [step_row(n, seconds=1.0 if n % 2 else 3.0) for n in range(1, 2001)]

    assert "speed from 20 to 20, lowest 20, highest 20" in " ".join(v for _, v in report(rows).attributes)


# --- one small file that loads nothing ----------------------------------------------------------------------------


def test_it_loads_nothing_from_anywhere() -> None:
    html = training_report("x", FACTS, ROWS)
    page = Page(html)

    assert not re.search(r"https?:|//[a-z]|url\(|@import|srcset|<iframe|<object|<embed", html.replace("// ", ""))
    assert [value for name, value in page.attributes if name in ("src", "href")] == ["data:,", "#main"]
    assert "default-src 'none'" in html


def test_it_has_dark_and_light_and_is_used_by_keyboard() -> None:
    html = training_report("x", FACTS, ROWS)

    assert "prefers-color-scheme: dark" in html
    assert html.count('class="chart" tabindex="0"') == 4


def test_nothing_in_the_facts_is_taken_for_html() -> None:
    evil = '<script>alert("1")</script>&amp;\'"'
    facts = {
        **FACTS,
        "base_name": evil,
        "settings": {evil: evil, "method": evil, "schedule": evil, "learning_rate": 1.0},
        "recipe": {"name": evil, "description": evil, "directions": [evil]},
        "examples": {"train": 1, "dropped": {evil: 1}},
        "versions": {evil: evil},
    }

    html = training_report(evil, facts, ROWS)

    assert html.count("<script>") == 1
    assert Page(html).texts.count(evil) >= 3


def test_a_hundred_thousand_steps_are_small_and_fast() -> None:
    rows = [step_row(n, memory_gib=1.0) for n in range(1, 100_001)]
    started = time.process_time()

    html = training_report("x", FACTS, rows)

    assert time.process_time() - started < 5
    assert len(html) < 300_000
    page = Page(html)
    assert all(path.count("L") + path.count("M") == 1000 for path in page.paths("main"))
    assert page.text.count("each point is the mean of 100 steps") == 5


# --- whatever the metrics hold ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [valid_row(0, 6.0)],
        [step_row(1)],
        [step_row(1, loss=float("nan"))],
        [step_row(1), step_row(2, loss=float("inf"), gradient_norm=float("nan")), step_row(3)],
        [step_row(1), valid_row(1, float("nan"), best=True, valid_chrf=float("-inf"))],
        [valid_row(0, 1e5), step_row(1, loss=None, seconds=0.0)],
        [{"step": 1, "loss": 2.0}],
        [step_row(n, loss=float("nan")) for n in range(1, 3000)],
    ],
    ids=["none", "validation", "step", "nan", "inf", "nan-best", "null", "bare", "all-nan"],
)
@pytest.mark.parametrize("facts", [FACTS, {}, {"settings": None, "recipe": None, "examples": None}])
def test_odd_metrics_and_missing_facts_give_a_whole_page(rows: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    page = report(rows, facts)

    assert not re.search(r"\b(nan|inf|None)\b", " ".join(value for name, value in page.attributes if name != "content"))
    assert not re.search(r"\b(nan|inf|None)\b", page.text)


def test_no_steps_say_so() -> None:
    assert "No step was logged." in report([]).text


# --- the file -----------------------------------------------------------------------------------------------------


def test_it_is_written_from_the_metrics_of_a_killed_run(tmp_path: Path) -> None:
    directory = StageDirectory(tmp_path / "parallel")
    directory.path.mkdir()
    lines = [json.dumps(row) for row in [*ROWS, step_row(5, loss=float("nan"))]]
    directory.metrics.write_text("\n".join(lines) + '\n{"step": 6, "lo')

    path = write_report(directory, FACTS)

    assert path == tmp_path / "parallel" / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert page.text.startswith("Stage parallel of demo Skip to the content Stage parallel of demo smollm2-135m")
    assert "Steps 5 of 4" in page.text
    assert sorted(file.name for file in directory.path.iterdir()) == ["metrics.jsonl", "report.html"]


def test_a_run_without_metrics_has_a_page_too(tmp_path: Path) -> None:
    page = Page(write_report(StageDirectory(tmp_path / "mono"), {}).read_text(encoding="utf-8"))

    assert page.text.startswith("Stage mono Skip to the content Stage mono")
