"""The page of scores: one file that loads nothing, its numbers, and texts that cannot break out of it."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from alma_cli.scoring.citations import bibtex
from alma_cli.scoring.report import ScoreReport, ScoreRow
from alma_cli.scoring.score_page import score_page, write_score_page
from alma_cli.scoring.segments import DirectionSegments, SystemOutput, as_data, packed
from alma_cli.scoring.words import length_bounds, rare_bounds, rare_shares, words

EVIL = "</script><script>alert(1)</script>&amp;\"'<!--"
VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """A page's elements and texts; every element must be closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.data: dict[str, str] = {}
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "script":
            self.data[dict(attrs).get("id") or "script"] = ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"] and self.data:
            name = list(self.data)[-1]
            self.data[name] += data
        elif "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def row(system: str, direction: str, score: float, **values: Any) -> ScoreRow:
    """BLEU of two segments, without an interval unless one is given."""
    known: dict[str, Any] = {"metric": "bleu", "low": None, "high": None, "p_value": None, "signature": "nrefs:1"}
    return ScoreRow(system=system, direction=direction, score=score, segments=2, **{**known, **values})


def report(*rows: ScoreRow) -> ScoreReport:
    return ScoreReport(rows, ())


def output(system: str, *hypotheses: str, **flags: list[int]) -> SystemOutput:
    return SystemOutput(system, hypotheses, {"bleu": [12.34] * len(hypotheses)}, flags)


def segments(*outputs: SystemOutput, direction: str = "de-en") -> DirectionSegments:
    return DirectionSegments(direction, ("Das Haus.", "Ja."), (("The house.", "Yes."),), outputs)


def unpacked(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    return data


def html_of(found: ScoreReport, *known: DirectionSegments) -> str:
    return score_page("Scores", found, known, {"Seed": "1"})


# --- the segments' data ---------------------------------------------------------------------------------------------


def test_packed_segments_have_every_text_once() -> None:
    data = unpacked(packed(segments(output("A", "The house.", "Yes!"), output("B", "The house.", "Ja."))))

    assert data["texts"] == ["Das Haus.", "The house.", "Ja.", "Yes.", "Yes!"]
    assert (data["source"], data["references"]) == ([0, 2], [[1, 3]])
    assert [one["texts"] for one in data["outputs"]] == [[1, 4], [1, 2]]


def test_packed_segments_cannot_end_the_element_they_are_in() -> None:
    text = packed(segments(output("A", EVIL, "\0\ud800")))

    assert re.fullmatch(r"[A-Za-z0-9+/=]+", text)
    assert EVIL in unpacked(text)["texts"]


def test_scores_are_rounded_to_what_is_shown() -> None:
    one = SystemOutput("A", ("a", "b"), {"bleu": [12.3456, 50.0], "quality": [0.87654321, 1.0]}, {})

    scores = as_data(segments(one))["outputs"][0]["scores"]

    assert scores == {"bleu": [12.3, 50], "quality": [0.8765, 1]}


def test_sources_may_be_unknown_and_references_several() -> None:
    data = as_data(DirectionSegments("de-en", None, (("a b", "c"), ("d", "c")), (output("A", "a", "c"),)))

    assert data["source"] is None
    assert data["references"] == [[0, 3], [1, 3]]
    assert data["words"] == [2, 1]  # of the first references


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't, it's 3.5!", ["don", "t", "it", "s", "3", "5"]),
        ("他喝茶 OK", ["他", "喝", "茶", "ok"]),
        ("Чай остыл", ["чай", "остыл"]),
        (" … ", []),
    ],
)
def test_words_are_letters_and_digits_or_single_characters_of_scripts_without_spaces(
    text: str, expected: list[str]
) -> None:
    assert words(text) == expected


def test_rare_words_are_those_that_occur_once_in_all_references() -> None:
    assert rare_shares(["the old house", "the house", "", "the"]) == [33, 0, 0, 0]


def test_buckets_of_length_part_the_segments_evenly_at_round_numbers() -> None:
    assert length_bounds(list(range(1, 51))) == [0, 10, 20, 30, 40]


def test_equal_values_make_fewer_buckets() -> None:
    assert rare_bounds([0] * 50 + [20] * 50) == [0, 20]


# --- the page -------------------------------------------------------------------------------------------------------


def test_page_loads_nothing_and_runs_its_own_script_only() -> None:
    html = html_of(report(row("A", "de-en", 30.0)), segments(output("A", "a", "b")))
    page = Page(html)

    assert re.search(r"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-[^']+'\"", html)
    assert "src" not in {name for name, _ in page.attributes}
    assert not re.search(r"url\(|@import|https?:(?!//(www\.)?doi)", html)
    assert not {name for name, _ in page.attributes if name.startswith("on")}


def test_table_has_systems_by_directions_and_the_averages_of_the_paper() -> None:
    rows = [row(system, direction, score) for system, direction, score in SCORES]
    page = Page(html_of(report(*rows)))

    cells = [[" ".join(cell.split()) for cell in one] for one in page.rows if one[0] in ("system", "A", "B")]

    assert cells == [
        ["system", "en-cs", "en-de", "average", "de-en"],
        ["A", "30.00", "31.00", "30.50", "20.00"],
        ["B", "29.00", "33.00", "31.00", "–"],
    ]


def test_an_average_that_differs_is_marked_as_a_score_is() -> None:
    rows = tuple(row(system, direction, score) for system, direction, score in SCORES)
    html = html_of(ScoreReport(rows, (), average_p_values={("B", "en-xx", "bleu"): 0.01}))

    assert re.findall(r'<sup class="(\w+)" title="([^"]*)"[^>]*>(.)</sup>', html) == [
        ("up", "better, +0.50, p = 0.010, less than people notice", "△")
    ]


SCORES = (
    ("A", "en-cs", 30.0),
    ("A", "en-de", 31.0),
    ("A", "de-en", 20.0),
    ("B", "en-cs", 29.0),
    ("B", "en-de", 33.0),
)


@pytest.mark.parametrize(
    ("score", "p_value", "sign", "said"),
    [
        (33.0, 0.001, "▲", "better, +3.00, p = 0.001"),
        (31.0, 0.001, "△", "better, +1.00, p = 0.001, less than people notice"),
        (27.0, 0.04, "▼", "worse, -3.00, p = 0.040"),
        (29.0, 0.04, "▽", "worse, -1.00, p = 0.040, less than people notice"),
    ],
)
def test_significant_differences_are_marked_and_small_ones_hollow(
    score: float, p_value: float, sign: str, said: str
) -> None:
    first = row("A", "de-en", 30.0, low=29.0, high=31.0)
    html = html_of(report(first, row("B", "de-en", score, low=score - 1, high=score + 1, p_value=p_value)))

    assert f'aria-label="{said}">{sign}</sup>' in html


def test_a_lower_ter_is_the_better_one() -> None:
    first = row("A", "de-en", 50.0, metric="ter")
    html = html_of(report(first, row("B", "de-en", 45.0, metric="ter", p_value=0.01)))

    assert 'aria-label="better, -5.00, p = 0.010">▲</sup>' in html
    assert "<b>45.00</b>" in html
    assert "Lower is better." in html


def test_flags_are_counted_by_system_with_buttons_that_show_them() -> None:
    found = segments(output("A", "", "", empty=[0, 1]), output("B", "x", "Ja.", copied_source=[1]))
    page = Page(html_of(report(row("A", "de-en", 1.0), row("B", "de-en", 1.0)), found))

    cells = [one for one in page.rows if one[0] in ("A", "B")][-2:]

    assert cells == [["A", "2", "0"], ["B", "0", "1"]]
    assert ("aria-label", "2 empty: show them") in page.attributes
    assert "Flagged 3 of 4 translations" in page.text


def test_evil_names_signatures_and_facts_are_text() -> None:
    found = report(row(EVIL, "de-en", 1.0, signature=EVIL), row("B", "de-en", 2.0, p_value=0.2))
    page = Page(score_page(EVIL, found, [segments(output(EVIL, EVIL, EVIL, empty=[0]))], {EVIL: EVIL}))

    assert page.tags.count("script") == 3  # a direction, what the page is about, and the script
    assert json.loads(page.data["about"])["systems"] == [EVIL, "B"]
    assert page.text.count(EVIL) >= 5


def test_page_says_what_direction_and_flags_the_script_shows() -> None:
    page = Page(html_of(report(row("A", "de-en", 1.0)), segments(output("A", "", "b", empty=[0]))))

    about = json.loads(page.data["about"])

    assert about["directions"] == ["de-en"]
    assert about["metrics"] == [["bleu", "BLEU", False]]
    assert about["flags"] == [{"A": {"empty": 1}}]
    assert unpacked(page.data["direction-0"])["outputs"][0]["flags"] == {"empty": [0]}


def test_page_without_segments_says_so() -> None:
    assert "No segments were kept." in Page(html_of(report(row("A", "de-en", 1.0)))).text


def test_page_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "scores" / "report.html"
    found = report(row("A", "de-en", 1.0))

    write_score_page(path, "Scores", found, [segments(output("A", "a", "b"))], {"Seed": "1"})

    assert path.read_text(encoding="utf-8") == html_of(found, segments(output("A", "a", "b")))


@pytest.mark.parametrize(
    ("metric", "keys"),
    [
        ("bleu", ["papineni-etal-2002-bleu", "post-2018-call"]),
        ("chrf++", ["popovic-2015-chrf", "post-2018-call"]),
        ("ter", ["snover-etal-2006-study", "post-2018-call"]),
        ("spbleu", ["papineni-etal-2002-bleu", "post-2018-call"]),
        ("comet", ["rei-etal-2022-comet"]),
        ("cometkiwi", ["rei-etal-2022-cometkiwi"]),
        ("xcomet", ["guerreiro-etal-2024-xcomet"]),
    ],
)
def test_each_metric_has_what_to_cite(metric: str, keys: list[str]) -> None:
    assert re.findall(r"^@\w+\{(.*),$", bibtex([metric], significance=False), re.MULTILINE) == keys


def test_the_significance_test_is_cited_where_there_was_one() -> None:
    assert "koehn-2004-statistical" in bibtex(["bleu"], significance=True)
