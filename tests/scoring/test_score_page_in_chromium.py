"""The page of scores in a real browser: it makes no request and no error, shows hostile text as text, works by keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alma_cli.scoring.report import ScoreReport, ScoreRow
from alma_cli.scoring.score_page import write_score_page
from alma_cli.scoring.segments import DirectionSegments, SystemOutput
from tests.browser import CHROMIUM, NO_CHROMIUM, Browser

pytestmark = pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM)

HOSTILE = (
    "<script>document.title = 'broken'</script><img src=https://example.com/x onerror=alert(1)>",
    "&lt;b&gt; &amp; \"quotes\" 'single' </script> <!-- ]]>",
    "right \u202eto left\u202c \u200f \u05e9\u05dc\u05d5\u05dd",
    "x" * 100_000,
    "nul \0 escape \x1b[31m bell \x07 bom \ufeff",
)
LINES = tuple(f"The house number {n} is red." for n in range(55))
GOOD, BAD = HOSTILE + LINES, HOSTILE + tuple(line.replace("red", "blue") for line in LINES)


def _output(system: str, hypotheses: tuple[str, ...], step: float) -> SystemOutput:
    scores = [100 - step * n for n in range(len(hypotheses))]
    return SystemOutput(system, hypotheses, {"bleu": scores, "ter": scores}, {"too_long": [3], "empty": []})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all these tests, with the page of two systems in two directions open."""
    sets = [
        DirectionSegments(direction, GOOD, (GOOD,), (_output("<b>one</b>", GOOD, 1), _output("two", BAD, 1.5)))
        for direction in ("de-en", "en-de")
    ]
    rows = [
        ScoreRow(output.system, one.direction, metric, 30.0, 29.0, 31.0, 0.01, "signature", one.count)
        for one in sets
        for output in one.outputs
        for metric in output.scores
    ]
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_score_page(file, HOSTILE[0], ScoreReport(tuple(rows), ()), sets, {"Seed": HOSTILE[1]})
    with Browser(width=390) as opened:
        opened.open(file)
        yield opened


@pytest.fixture
def page(browser: Browser) -> Browser:
    """The page as it is when opened."""
    browser.run("delete document.body.dataset.ready, location.reload()")
    browser.wait_for("document.body && document.body.dataset.ready")
    return browser


def _text(page: Browser, line: int) -> str:
    found: str = page.run(f"document.querySelectorAll('#list li')[{line}].querySelector('.source .text').textContent")
    return found


def test_page_makes_no_request_and_no_error(page: Browser) -> None:
    assert {url.rpartition("/")[2] for url in page.requests} == {"report.html"}
    assert page.errors == []
    assert page.run("document.title") == HOSTILE[0]


def test_markup_and_entities_in_texts_are_shown_as_text(page: Browser) -> None:
    assert (_text(page, 0), _text(page, 1)) == HOSTILE[:2]
    assert page.run("document.querySelectorAll('#list img, #list script, #list b b, .scores b b').length") == 0
    assert page.run("document.querySelector('#list dt.hypothesis').textContent") == "<b>one</b>"


def test_characters_that_turn_or_hide_text_are_shown_by_their_numbers(page: Browser) -> None:
    assert _text(page, 2) == "right U+202Eto leftU+202C U+200F \u05e9\u05dc\u05d5\u05dd"
    assert _text(page, 4) == "nul U+0000 escape U+001B[31m bell U+0007 bom U+FEFF"


def test_a_long_text_is_cut_until_all_of_it_is_wanted(page: Browser) -> None:
    assert _text(page, 3) == "x" * 1200 + "… show all 100,000 characters"

    page.run("document.querySelector('#list .source .rest').click()")

    assert _text(page, 3) == HOSTILE[3]
    assert page.run("document.documentElement.scrollWidth") == 390  # no text widens the page


def test_words_that_differ_are_marked(page: Browser) -> None:
    page.run("controls.second.value = 'two', controls.search.value = 'number 7 ', refresh()")

    marks = "[...document.querySelectorAll('#list mark')].map((mark) => mark.textContent)"
    against_reference = page.run(marks)
    page.run("controls.marks.value = 'systems', refresh()")

    assert page.run("document.getElementById('status').textContent") == "1–1 of 1 segments"
    assert against_reference == ["blue"]
    assert page.run(marks) == ["red", "blue"]


@pytest.mark.parametrize(
    ("order", "metric", "first"),
    [("file", "bleu", "#1"), ("worst", "bleu", "#60"), ("worst", "ter", "#1"), ("ahead", "bleu", "#60")],
)
def test_segments_are_put_in_the_order_that_is_chosen(page: Browser, order: str, metric: str, first: str) -> None:
    page.run(f"controls.second.value = 'two', controls.metric.value = '{metric}', refresh()")
    page.run(f"controls.order.value = '{order}', refresh()")

    assert page.run("document.querySelector('#list li b').textContent") == first


def test_a_flag_jumps_to_its_segments(page: Browser) -> None:
    page.run("document.querySelector('.jump').click()")
    page.wait_for("document.querySelectorAll('#list li').length === 1")

    assert page.run("document.querySelector('#list li b').textContent") == "#4"
    assert page.run("document.querySelector('#list .flag').textContent") == "too long"
    assert page.run("document.activeElement.id") == "flag"


def test_a_bucket_shows_its_segments_only(page: Browser) -> None:
    counts = page.run("[...document.querySelectorAll('.buckets:first-child .count')].map((one) => +one.textContent)")
    page.run("document.querySelector('.buckets button').click()")
    page.wait_for("document.querySelectorAll('.clear').length")

    assert sum(counts) == len(GOOD)
    assert page.run("state.lines.length") == counts[0]


def test_keys_search_walk_and_turn_pages(page: Browser) -> None:
    page.press("/")
    assert page.run("document.activeElement.id") == "search"

    page.run("document.querySelector('#list li').focus()")
    page.press("ArrowDown")
    second = page.run("document.activeElement.querySelector('b').textContent")
    page.press("ArrowRight")
    next_page = page.run("document.activeElement.querySelector('b').textContent")
    page.press("ArrowUp")

    assert (second, next_page) == ("#2", "#21")
    assert page.run("document.activeElement.querySelector('b').textContent") == "#20"


def test_arrow_keys_choose_the_metric_of_the_table(page: Browser) -> None:
    page.run("document.querySelector('[role=tab]').focus()")
    page.press("ArrowRight")

    assert page.run("document.querySelector('[aria-selected=true]').textContent") == "TER"
    assert page.run("[...document.querySelectorAll('.metric')].filter((one) => one.offsetHeight).length") == 1
