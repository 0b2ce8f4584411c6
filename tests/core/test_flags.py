"""How many planted faults the flags find, how many good translations they flag; docs/score.md has the same figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from alma_cli.core.flags import SegmentFlag, flag_segments
from alma_cli.core.languages import Direction
from alma_cli.scoring.lines import read_lines
from tests.core.planted_flags import planted_table, verdicts

DE_EN = Direction("de", "en")


def names(source: str, translation: str, direction: Direction = DE_EN) -> list[str]:
    return [flag.name for flag in flag_segments([source], [translation], direction)[0]]


def test_the_planted_faults_are_found_as_often_as_the_documentation_says() -> None:
    documented = (Path(__file__).resolve().parents[2] / "docs" / "score.md").read_text(encoding="utf-8")
    assert "\n".join(planted_table(verdicts())) in documented


@pytest.mark.parametrize(
    ("direction", "flagged"),
    [("is-en", 2), ("zh-en", 2), pytest.param("de-en", 3, marks=pytest.mark.slow)],
)
def test_human_references_are_hardly_ever_flagged(shared_data: Path, direction: str, flagged: int) -> None:
    source, target = direction.split("-")
    folder = shared_data / "alma" / "wmt22" / "wmt-testset" / f"{source}{target}"
    sources, references = (read_lines(folder / f"test.{direction}.{side}") for side in (source, target))
    found = flag_segments(sources, references, Direction(source, target))
    assert sum(map(bool, found)) == flagged


@pytest.mark.parametrize("empty", ["", " ", "\u3000", "\u200b", "\ufeff", "\u00a0\t"])
def test_six_ways_to_be_empty_are_caught_in_published_outputs(shared_data: Path, empty: str) -> None:
    wmt22 = shared_data / "alma" / "wmt22"
    sources = read_lines(wmt22 / "wmt-testset" / "isen" / "test.is-en.is")[:50]
    outputs = [*read_lines(wmt22 / "ALMA-13B-LoRA" / "isen" / "test.is-en.en")[:50]]
    outputs[17] = empty
    found = flag_segments(sources, outputs, Direction("is", "en"))
    assert [(segment, flags) for segment, flags in enumerate(found) if flags] == [(17, (SegmentFlag("empty"),))]


def test_what_is_empty_in_the_source_may_be_empty() -> None:
    assert names(" ", "\u200b") == []


def test_without_sources_only_what_the_translation_tells_is_flagged() -> None:
    texts = [
        "",
        "One\\nTwo",
        "Das Haus steht am Ende der Straße.",
        "on and on and on and on and on and on and on",
        "fine,",
    ]
    found = flag_segments(None, texts, DE_EN)
    assert [[flag.name for flag in flags] for flags in found] == [
        ["empty"],
        ["several_lines"],
        ["wrong_language"],
        ["looping"],
        [],
    ]


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("Wieso wird der Versand erst am 16.3. gestartet?", "Why is delivery only to be sent out on 03/16?"),
        ("Bestellung und Bezahlung war am 12.1.21.", "Order and payment was on 01/12/21."),
        ("Ab dem 01.02. bin ich wieder da.", "I will be back from February 1st."),
        ("Sie kommt zu 100% pünktlich.", "She is certainly going to be on time."),
        ("Seitenverhältnis 16x9", "Aspect ratio 16:9"),
    ],
)
def test_a_date_in_another_form_and_all_in_words_lose_no_number(source: str, translation: str) -> None:
    assert names(source, translation) == []


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("Der Zug fährt am 16.3. ab.", "The train leaves on 19/4."),
        ("Es geschah am 3.10.1990.", "It happened on October 3, 1991."),
        ("Die 46-jährige Anwältin", "The 47-year-old lawyer"),
    ],
)
def test_another_date_or_number_is_a_lost_one(source: str, translation: str) -> None:
    assert names(source, translation) == ["number_lost"]


def test_one_translation_of_like_sources_is_no_duplicate() -> None:
    sources = [
        "Können Sie mir dabei weiter helfen?",
        "Können Sie mir da weiter helfen?",
        "Der Zug fährt um neun Uhr ab.",
    ]
    found = flag_segments(sources, ["Could you help me with that?"] * 3, DE_EN)
    assert [list(flags) for flags in found] == [[], [], [SegmentFlag("duplicated", "as line 1")]]
