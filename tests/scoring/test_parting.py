"""Where two texts of unequal length seem to part."""

from __future__ import annotations

import random

import pytest

from alma_cli.errors import InputError
from alma_cli.scoring.lines import require_same_count
from alma_cli.scoring.parting import parting_line

WORDS = [
    "house",
    "river",
    "morning",
    "letter",
    "garden",
    "winter",
    "bread",
    "stone",
    "window",
    "music",
    "road",
    "table",
]


def lines_of(count: int) -> list[str]:
    chance = random.Random(7)
    return [" ".join(chance.choices(WORDS, k=chance.randint(3, 20))) for _ in range(count)]


@pytest.mark.parametrize(("missing", "line"), [([40], 41), ([0], 1), ([12, 70], 13), ([98], 99)])
def test_the_first_missing_line_is_named(missing: list[int], line: int) -> None:
    others = lines_of(100)
    lines = [text for number, text in enumerate(others) if number not in missing]
    assert parting_line(lines, others) == line
    assert parting_line(others, lines) == line


def test_a_line_that_was_broken_in_two_is_named() -> None:
    others = lines_of(60)
    half = len(others[30]) // 2
    assert parting_line([*others[:30], others[30][:half], others[30][half:], *others[31:]], others) in (31, 32)


@pytest.mark.parametrize("count", [99, 60, 1, 0])
def test_a_text_that_only_ends_early_parts_nowhere(count: int) -> None:
    assert parting_line(lines_of(100)[:count], lines_of(100)) is None


def test_texts_in_two_languages_part_where_their_lengths_and_names_do() -> None:
    sources = [f"Satz {n} " + "wort " * (n * 7 % 23) for n in range(50)]
    targets = [f"Sentence {n} " + "words " * (n * 7 % 23) for n in range(50)]
    assert parting_line([*targets[:20], *targets[21:]], sources) == 21


def test_the_error_names_both_counts_and_the_line() -> None:
    others = lines_of(30)
    message = r"'out' has 29 lines, 'ref' has 30 lines: they seem to part at line 11 \(look there\)"
    with pytest.raises(InputError, match=message):
        require_same_count("'out'", [*others[:10], *others[11:]], "'ref'", others, hint="look there")
