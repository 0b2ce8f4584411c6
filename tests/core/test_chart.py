"""Charts: round ticks, few points, gaps where there is no number, spikes that squeeze nothing."""

from __future__ import annotations

import re

import pytest

from alma_cli.core.chart import Chart, Line, Value, buckets, mean, nice_ticks, short_count, smoothed


def drawn(values: list[Value], *, from_zero: bool = True, kind: str = "main") -> str:
    """A chart of these values at steps 1, 2, ..."""
    line = Line("a", "points" if kind == "points" else "main", range(1, len(values) + 1), values)
    return Chart("A", "unit", [line], lambda value: f"{value:g}", from_zero=from_zero).html(len(values))


def path_of(page: str) -> str:
    found = re.search(r'class="line \w+" d="([^"]*)"', page)
    assert found
    return found.group(1)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 100_000, [0, 20_000, 40_000, 60_000, 80_000, 100_000]),
        (1.6, 2.8, [1.75, 2.0, 2.25, 2.5, 2.75]),
        (0, 2e-5, [0, 5e-6, 1e-5, 1.5e-5, 2e-5]),
        (-0.3, 0.3, [-0.2, 0, 0.2]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round_numbers_in_the_range(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high, 5) == pytest.approx(expected)


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 2500, 100_000])
def test_buckets_cover_every_row_once_and_are_a_thousand_at_most(count: int) -> None:
    borders = buckets(count)

    assert [row for start, end in borders for row in range(start, end)] == list(range(count))
    assert len(borders) == min(count, 1000)
    assert max((end - start for start, end in borders), default=0) - min((b - a for a, b in borders), default=0) <= 1


def test_a_mean_is_of_the_numbers_that_there_are() -> None:
    assert mean([1.0, None, 3.0]) == 2.0
    assert mean([None]) is None
    assert mean([]) is None


def test_smoothing_keeps_a_straight_line_its_ends_and_its_gaps() -> None:
    line = [float(n) for n in range(20)]

    assert smoothed(line, 3) == pytest.approx(line)
    assert smoothed([1.0, None, 1.0], 1) == [1.0, None, 1.0]
    assert smoothed([], 2) == []


def test_a_gap_breaks_the_line_and_a_value_alone_is_a_dot() -> None:
    page = drawn([1.0, 2.0, None, 2.0, None, 1.0, 1.0])

    assert re.sub(r"[\d. ]+", "", path_of(page)) == "MLMML"
    assert page.count('<path class="dots main" d="M') == 1
    assert page.count("h0") == 1


def test_each_validation_is_a_dot() -> None:
    assert drawn([1.0, 2.0, 3.0], kind="points").count("h0") == 3


@pytest.mark.parametrize("values", [[5.0], [0.0], [0.0, 0.0], [-3.0], [2.0, 2.0, 2.0], [1e-12, 1e12]])
@pytest.mark.parametrize("from_zero", [True, False])
def test_odd_ranges_are_drawn_inside_the_frame(values: list[Value], from_zero: bool) -> None:
    numbers = [float(number) for number in re.findall(r"[-\d.]+", path_of(drawn(values, from_zero=from_zero)))]

    assert all(0 <= x <= 1000 for x in numbers[::2])
    assert all(0 <= y <= 300 for y in numbers[1::2])


def test_nothing_to_draw_is_no_chart() -> None:
    assert drawn([]) == ""
    assert drawn([None, None]) == ""


def test_a_spike_stays_above_the_frame_and_the_note_says_how_high() -> None:
    page = drawn([*[1.0, 1.1] * 50, 500.0, *[1.0, 1.1] * 50])

    assert "values up to 500 lie above the frame" in page
    assert "<span" in page
    assert ">500</span>" not in page


def test_few_values_are_never_left_out_of_the_frame() -> None:
    assert "above the frame" not in drawn([1.0, 1.0, 500.0])


def test_a_screen_reader_hears_where_the_curve_goes() -> None:
    assert 'aria-label="A, unit: a from 4 to 2, lowest 1, highest 4"' in drawn([4.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0"), (950, "950"), (2500, "2,500"), (40_000, "40k"), (12_500, "12.5k"), (1_200_000, "1.2M"), (3e9, "3G")],
)
def test_a_count_is_short(number: float, expected: str) -> None:
    assert short_count(number) == expected
