"""report.html and report.json: the manifest's facts, all of them, in one file that loads nothing and runs nothing."""

from __future__ import annotations

import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.dataset import Manifest, SourceReport
from alma_cli.core.fates import FATES
from alma_cli.core.recipe import Recipe
from alma_cli.data.reasons import reasons_table
from alma_cli.data.report import data_facts, write_report
from alma_cli.data.report_page import report_page
from tests.typed import REPOSITORY

REASONS = {"copied_source": "The target is the source.", "too_long": "More tokens than the recipe allows."}
VOID = {"meta", "link"}


def sample(place: int, text: str, file: str = "") -> dict[str, Any]:
    return {"place": place, "text": text, "file": file}


def source(name: str = "corpora/news.de-en.tsv", **values: Any) -> SourceReport:
    """A corpus of ten pairs of which seven were kept."""
    facts = {
        "stage": "parallel",
        "split": "train",
        "languages": "de-en",
        "read": 10,
        "kept": 7,
        "repaired": 1,
        "dropped": {"too_long": 1, "copied_source": 2},
        "samples": {"copied_source": [sample(4, "Taxi\tTaxi")], "too_long": [sample(9, "Ein\tA")]},
        "kept_samples": [sample(1, "Guten Tag.\tGood day.")],
    }
    return SourceReport(name, "ab" * 32, **{**facts, **values})


STAGES: dict[str, dict[str, Any]] = {
    "mono": {
        "train": {
            "documents": 40,
            "tokens": 1234,
            "languages": {"de": {"documents": 30, "tokens": 1000}, "en": {"documents": 10, "tokens": 234}},
            "probabilities": {"de": 0.7, "en": 0.3},
            "histograms": {"document_tokens": {"edges": [0, 1, 2, 4, 8], "counts": [0, 1, 30, 9]}},
        },
        "valid": {"documents": 2, "tokens": 60, "languages": {"de": {"documents": 2, "tokens": 60}}},
    },
    "parallel": {
        "train": {
            "examples": 14,
            "tokens": None,
            "directions": {"de-en": {"examples": 7, "tokens": None}, "en-de": {"examples": 7, "tokens": None}},
            "histograms": {"source_characters": {"edges": [0, 1, 2, 4], "counts": [0, 0, 0]}},
        },
    },
}
OVERLAP = {
    "source": "corpora/news.de-en.tsv",
    "sample": sample(3, "Ein Satz.\tOne sentence."),
    "held_out": "test.de-en.json 17",
    "held_out_text": "EIN SATZ!\tone sentence",
}


def manifest(*sources: SourceReport, stages: dict[str, dict[str, Any]] = STAGES) -> Manifest:
    of_mono = source("text/de.txt.zst", stage="mono", languages="de", dropped={"too_long": 3})
    return Manifest(
        sources=[of_mono, *(sources or (source(),))],
        stages=stages,
        seed=42,
        versions={"alma_cli": "0.1", "tokenizers": "0.23"},
        fingerprints={},
        overlaps={"parallel": [OVERLAP]},
    )


class Page(HTMLParser):
    """A page's text and table cells; every element must be closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def html_of(*sources: SourceReport, warnings: tuple[str, ...] = (), **values: Any) -> str:
    return report_page("Data of news", data_facts(manifest(*sources, **values), REASONS, warnings))


# --- what it shows ------------------------------------------------------------------------------------------------


def test_the_figures_are_the_sums_of_the_sources() -> None:
    text = Page(html_of(source(), source("b.tsv", read=90, kept=80, dropped={"copied_source": 10}))).text

    assert "parallel: 87 of 100 pairs kept" in text
    assert "Read 100 pairs from 2 sources" in text
    assert "Kept 87 87.0%" in text
    assert "Left out 13 13.0%" in text
    assert "To train on 1,234 tokens" in text


def test_each_reason_has_its_meaning_count_and_samples_the_commonest_first() -> None:
    text = Page(html_of()).text

    parallel = text[text.index("What became of the pairs") :]
    assert re.search(
        r"kept 7 70.0% corpora/news.de-en.tsv, 1 Guten Tag. Good day. "
        r"copied source The target is the source. 2 20.0% corpora/news.de-en.tsv, 4 Taxi Taxi "
        r"too long More tokens than the recipe allows. 1 10.0% corpora/news.de-en.tsv, 9 Ein A",
        parallel,
    )


def test_a_sample_of_a_corpus_of_several_files_names_its_file() -> None:
    one = source(samples={"too_long": [sample(9, "Ein\tA", "corpora/b/part-2.tsv")]})

    assert "b/part-2.tsv, 9 Ein A" in Page(html_of(one)).text


def test_samples_are_taken_from_every_source_in_turn() -> None:
    many = [source(f"{n}.tsv", samples={"too_long": [sample(1, f"first of {n}"), sample(2, "x")]}) for n in range(12)]

    text = Page(html_of(*many)).text

    assert all(f"first of {n}" in text for n in range(12))


def test_a_long_sample_is_cut() -> None:
    html = html_of(source(samples={"too_long": [sample(1, "x" * 1000)]}))

    assert "x" * 299 + "…" in html
    assert "x" * 300 not in html


def test_requested_and_obtained_shares_are_side_by_side() -> None:
    rows = Page(html_of()).rows

    assert ["", "requested", "in the training data", "records", "tokens"] in rows
    assert ["de", "70.00%", "75.00%", "30", "1,000"] in rows
    assert ["", "in the training data", "records", "tokens"] in rows
    assert ["en-de", "50.00%", "7", "-"] in rows


def test_a_pool_that_gave_nothing_is_shown_with_what_was_requested() -> None:
    train = {**STAGES["mono"]["train"], "probabilities": {"de": 0.6, "en": 0.3, "replay": 0.1}}

    rows = Page(html_of(stages={"mono": {"train": train}})).rows

    assert ["replay", "10.00%", "-", "-", "-"] in rows


def test_lengths_are_a_chart_with_its_numbers() -> None:
    page = Page(html_of())

    assert "Document length in tokens most often 2 to 3, half of them below 4" in page.text
    assert ["2 to 3", "30", "75.0%"] in page.rows
    assert ["1", "1", "2.5%"] in page.rows
    assert "Source length" not in page.text  # nothing was counted


def test_overlaps_with_test_sets_are_listed_on_both_sides() -> None:
    rows = Page(html_of()).rows

    assert ["corpora/news.de-en.tsv, 3Ein Satz.One sentence.", "test.de-en.json 17EIN SATZ!one sentence"] in rows


def test_every_source_has_a_row_with_all_of_its_account() -> None:
    rows = Page(html_of()).rows

    assert [
        "corpora/news.de-en.tsv",
        "parallel",
        "train",
        "de-en",
        "10",
        "7",
        "70.0%",
        "copied source 2, too long 1",
    ] in rows


def test_warnings_come_first() -> None:
    text = Page(html_of(warnings=("newstest2019 was trained on",))).text

    assert text.index("newstest2019 was trained on") < text.index("What became of")
    assert "Warnings" not in Page(html_of()).text


@pytest.mark.parametrize(
    "stages", [{}, {"mono": {}}, {"parallel": {"train": {}}}, {"parallel": {"test": {"examples": 0, "tokens": None}}}]
)
def test_whatever_is_missing_the_page_is_whole(stages: dict[str, dict[str, Any]]) -> None:
    empty = source(read=0, kept=0, dropped={}, samples={}, kept_samples=[])

    assert not re.search(r"\b(None|nan|inf)\b", Page(html_of(empty, stages=stages)).text)


# --- one small file that loads nothing ----------------------------------------------------------------------------


def test_it_loads_nothing_and_runs_nothing() -> None:
    html = html_of()
    page = Page(html)

    assert not re.search(r"https?:|url\(|@import|srcset|<script|<iframe|<object|<embed|<img", html)
    targets = {value for name, value in page.attributes if name in ("src", "href")}
    assert {target for target in targets if not target.startswith("#")} == {"data:,"}
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:\"" in html


def test_it_has_dark_and_light_and_is_used_by_keyboard() -> None:
    html = html_of()
    page = Page(html)

    assert "prefers-color-scheme: dark" in html
    ids = {value for name, value in page.attributes if name == "id"}
    assert {f"#{one}" for one in ids} == {value for name, value in page.attributes if value.startswith("#")}
    assert html.count("<details") == html.count("<summary")
    assert html.count('class="wide" role="region"') == html.count('tabindex="0"') > 0


EVIL = '<script>alert("1")</script>&amp;<img src=x onerror=alert(1)>\'"'


def test_nothing_in_the_data_is_taken_for_html() -> None:
    one = source(
        EVIL,
        languages=EVIL,
        dropped={EVIL: 3},
        samples={EVIL: [sample(1, EVIL, EVIL)]},
        kept_samples=[sample(1, f"{EVIL}\t{EVIL}")],
    )
    evil_manifest = manifest(one)
    evil_manifest.overlaps["parallel"] = [
        {"source": EVIL, "sample": sample(1, EVIL), "held_out": EVIL, "held_out_text": EVIL}
    ]
    evil_manifest.versions[EVIL] = EVIL

    html = report_page(EVIL, data_facts(evil_manifest, {EVIL: EVIL}, [EVIL]))

    assert "<script" not in html
    assert "<img" not in html
    assert not {name for name, _ in Page(html).attributes if name.startswith("on")}
    assert Page(html).text.count("alert(1)") > 10


def test_what_cannot_be_seen_is_named_and_no_direction_leaks(tmp_path: Path) -> None:
    text = "a\x00b\u202ec\u2066d\ud800e\u00a0f\u200bg"
    path = write_report(
        tmp_path, manifest(source(kept_samples=[sample(1, text)])), REASONS, title="x", warnings=["\u202ew"]
    )

    html = path.read_text(encoding="utf-8")

    assert not re.search("[\x00\u202a-\u202e\u2066-\u2069\u200b\ud800]", html)
    seen = [f'<span class="unseen">U+{code}</span>' for code in ("0000", "202E", "2066", "D800")]
    assert f'<p class="text"><bdi>a{seen[0]}b{seen[1]}c{seen[2]}d{seen[3]}e\u00a0f' in html


def test_thousands_of_sources_make_a_small_page_and_all_are_in_the_json(tmp_path: Path) -> None:
    many = [source(f"part-{n:05}.tsv", read=10 + n, kept=7 + n) for n in range(3000)]

    path = write_report(tmp_path, manifest(*many), REASONS, title="x")

    page = path.read_text(encoding="utf-8")
    assert len(page) < 300_000
    assert "2,801 smaller sources are in report.json" in Page(page).text
    assert "part-02999.tsv" in page
    assert len(json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["sources"]) == 3001


# --- the files ----------------------------------------------------------------------------------------------------


def test_the_json_has_the_same_facts(tmp_path: Path) -> None:
    write_report(tmp_path, manifest(), REASONS, title="x", warnings=["w"])

    facts = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))

    assert facts["version"] == 1
    assert facts == data_facts(manifest(), REASONS, ["w"])
    assert facts["stages"]["parallel"]["dropped"] == {"copied_source": 2, "too_long": 1}
    assert facts["stages"]["mono"]["mix"][0] == {
        "name": "de",
        "requested": 0.7,
        "obtained": 0.75,
        "records": 30,
        "tokens": 1000,
    }
    assert facts["reasons"] == REASONS
    assert facts["sources"][1]["samples"]["copied_source"][0]["text"] == "Taxi\tTaxi"
    for stage in facts["stages"].values():
        assert stage["read"] == stage["kept"] + sum(stage["dropped"].values())


def test_half_a_surrogate_pair_stays_in_the_json(tmp_path: Path) -> None:
    write_report(tmp_path, manifest(source(kept_samples=[sample(1, "a\ud800b")])), REASONS, title="x")

    facts = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))

    assert facts["sources"][1]["kept_samples"][0]["text"] == "a\ud800b"


def test_the_same_manifest_gives_the_same_bytes_and_no_other_files(tmp_path: Path) -> None:
    write_report(tmp_path, manifest(), REASONS, title="x")
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    write_report(tmp_path, manifest(), REASONS, title="x")

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first
    assert sorted(first) == ["report.html", "report.json"]


# --- the page for users -------------------------------------------------------------------------------------------

DOCUMENTATION = (REPOSITORY / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_documentation_has_today_s_reasons() -> None:
    table = DOCUMENTATION.partition("<!-- reasons -->\n")[2].partition("<!-- /reasons -->")[0]

    assert table == reasons_table()


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", DOCUMENTATION, re.DOTALL))
def test_the_documentation_s_examples_are_recipes(example: str) -> None:
    content = {"name": "news", "model": "tiny", "directions": ["de-en"], **tomllib.loads(example)}

    assert Recipe.model_validate(content)


def test_the_documentation_names_the_fates_as_they_are() -> None:
    rows = re.findall(r"^\| (\w+) \| (?:read|learned|left out)", DOCUMENTATION, re.MULTILINE)

    assert rows == list(FATES)
