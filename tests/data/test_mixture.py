"""How languages and sources are mixed: as often as was asked for, the same each time, and on from any place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count, islice
from types import MappingProxyType

import pytest

from alma_cli.data.hold_out import held_out_indices
from alma_cli.data.mixture import expected_draws, mix, pool_probabilities, take_turns
from alma_cli.errors import UsageError

# --interleave_probs of the paper's runs/mono_ft.sh.
PAPER = {"de": 0.20, "cs": 0.14, "is": 0.08, "zh": 0.19, "ru": 0.22, "en": 0.17}
# A short one that ends in the middle of its own draws, one that is empty, one that outlasts the others.
SIZES = {"de": 3000, "cs": 10, "is": 0, "zh": 900, "ru": 1500, "en": 5000}


def endless(pool: str) -> Iterator[str]:
    return (f"{pool} {number}" for number in count())


def limited(pool: str, size: int, taken: int) -> Iterator[str]:
    return (f"{pool} {number}" for number in range(taken, size))


def of_sizes(sizes: dict[str, int], taken: Mapping[str, int] = MappingProxyType({})) -> dict[str, Iterator[str]]:
    """Streams of so many items, from which some are gone."""
    return {pool: limited(pool, size, taken.get(pool, 0)) for pool, size in sizes.items()}


def pools_of(items: list[str]) -> Counter[str]:
    return Counter(item.split()[0] for item in items)


# --- probabilities ------------------------------------------------------------------------------------------------


def test_the_papers_formula_shares_what_english_leaves() -> None:
    # 4096^(1/6) = 4, 64^(1/6) = 2, 1: of the five sixths that English leaves, 4, 2 and 1 sevenths.
    sizes = {"en": 999, "de": 4096, "cs": 64, "is": 1}

    found = pool_probabilities(sizes, {"en": 1 / 6}, temperature=6)

    assert found == pytest.approx({"en": 1 / 6, "de": 20 / 42, "cs": 10 / 42, "is": 5 / 42})


def test_at_temperature_one_the_others_share_by_size() -> None:
    found = pool_probabilities({"de": 900, "en": 100, "replay": 7}, {"replay": 0.5}, temperature=1)

    assert found == pytest.approx({"de": 0.45, "en": 0.05, "replay": 0.5})


@pytest.mark.parametrize(
    ("sizes", "mixture", "expected"),
    [
        ({"de": 5, "en": 7}, {"de": 0.25, "en": 0.5}, {"de": 1 / 3, "en": 2 / 3}),
        ({"de": 5, "en": 7}, {"de": 0.9, "en": 0.9}, {"de": 0.5, "en": 0.5}),
        ({"de": 5}, {"de": 0.25, "en": 0.5}, {"de": 1}),  # there is no English
        ({"de": 5, "en": 0}, {"de": 0.25}, {"de": 1, "en": 0}),
        (
            {"de": 0, "en": 7},
            {"de": 0.25},
            {"de": 0.25, "en": 0.75},
        ),  # nobody may know how much there is of a named one
        ({"de": 0}, {}, {"de": 0}),
        ({}, {}, {}),
    ],
)
def test_what_has_no_text_has_no_part_and_a_mixture_for_all_is_scaled(
    sizes: dict[str, int], mixture: dict[str, float], expected: dict[str, float]
) -> None:
    assert pool_probabilities(sizes, mixture, temperature=5) == pytest.approx(expected)


def test_the_papers_own_mixture_is_taken_as_it_is() -> None:
    assert pool_probabilities(SIZES, PAPER, temperature=1) == pytest.approx(PAPER)


@pytest.mark.parametrize("mixture", [{"de": 0.2, "en": 0.8}, {"de": 1.0}, {"de": 0.7, "en": 0.7}])
def test_a_mixture_that_leaves_nothing_for_a_language_is_an_error(mixture: dict[str, float]) -> None:
    with pytest.raises(UsageError) as caught:
        pool_probabilities({"de": 1, "en": 1, "is": 1}, mixture, temperature=1)

    assert "data.mono.mixture adds up to 1" in caught.value.message
    assert caught.value.message.endswith("is")
    assert caught.value.hint == "lower it, or give every language of the sources a probability"


# --- draws --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 42, 2**40])
def test_a_million_draws_are_as_often_as_the_paper_wants(seed: int) -> None:
    draws = 1_000_000

    found = pools_of(list(islice(mix({pool: endless(pool) for pool in PAPER}, PAPER, seed), draws)))

    # Four standard deviations of a binomial; and the chi-square of 5 degrees of freedom is above 25.7 once in 10,000.
    for pool, probability in PAPER.items():
        assert found[pool] == pytest.approx(
            draws * probability, abs=4 * (draws * probability * (1 - probability)) ** 0.5
        )
    assert sum((found[pool] - draws * one) ** 2 / (draws * one) for pool, one in PAPER.items()) < 25.7


def test_draws_do_not_depend_on_the_ones_before() -> None:
    items = list(islice(mix({pool: endless(pool) for pool in PAPER}, PAPER, 1), 200_000))

    pools = [item.split()[0] for item in items]
    pairs = Counter(zip(pools[::2], pools[1::2], strict=True))
    expected = {(a, b): 100_000 * PAPER[a] * PAPER[b] for a in PAPER for b in PAPER}
    # The chi-square of 35 degrees of freedom is above 75 once in 10,000.
    assert sum((pairs[pair] - often) ** 2 / often for pair, often in expected.items()) < 75


def test_every_item_comes_once_and_those_of_a_pool_in_their_order() -> None:
    items = list(mix(of_sizes(SIZES), PAPER, 7))

    assert pools_of(items) == Counter({pool: size for pool, size in SIZES.items() if size})
    for pool, size in SIZES.items():
        assert [item for item in items if item.startswith(pool)] == [f"{pool} {number}" for number in range(size)]


def test_a_pool_that_runs_out_leaves_its_part_to_the_others_in_proportion() -> None:
    streams = of_sizes({"de": 10**6, "cs": 10**6, "is": 5, "zh": 5, "ru": 5, "en": 5})

    items = list(islice(mix(streams, PAPER, 3), 100_000))[1000:]

    # German and Czech alone: 0.20 to 0.14.
    expected = 99_000 * 0.20 / 0.34
    assert pools_of(items)["de"] == pytest.approx(expected, abs=4 * (expected * 0.14 / 0.34) ** 0.5)


def test_the_same_seed_is_the_same_stream_whatever_the_order_of_the_pools() -> None:
    turned = dict(reversed(of_sizes(SIZES).items()))

    assert list(mix(of_sizes(SIZES), PAPER, 5)) == list(mix(turned, PAPER, 5))
    assert list(mix(of_sizes(SIZES), PAPER, 5)) != list(mix(of_sizes(SIZES), PAPER, 6))


def test_an_empty_pool_is_as_good_as_none() -> None:
    without = {pool: size for pool, size in SIZES.items() if size}

    assert list(mix(of_sizes(SIZES), PAPER, 5)) == list(mix(of_sizes(without), PAPER, 5))


def test_a_pool_without_a_probability_is_never_drawn() -> None:
    assert list(mix(of_sizes({"de": 3, "en": 3}), {"de": 1.0, "en": 0.0}, 1)) == ["de 0", "de 1", "de 2"]
    assert list(mix(of_sizes({"en": 3}), {"en": 0.0}, 1)) == []
    assert list(mix({}, {}, 1)) == []


# Around the 4,096 draws that are made at a time; before and after pools run out; the end.
@pytest.mark.parametrize("place", [0, 1, 2, 77, 1000, 4095, 4096, 4097, 5000, 8191, 8192, 8193, 9999, 10_409, 10_410])
def test_a_stream_that_goes_on_in_the_middle_has_the_same_remainder(place: int) -> None:
    whole = list(mix(of_sizes(SIZES), PAPER, 11))
    assert len(whole) == 10_410

    rest = mix(of_sizes(SIZES, pools_of(whole[:place])), PAPER, 11, start=place)

    assert list(rest) == whole[place:]


# --- counted before they are made ---------------------------------------------------------------------------------


@pytest.mark.parametrize("draws", [0, 1, 100, 4096, 50_000])
def test_what_will_be_drawn_is_known_before(draws: int) -> None:
    found = pools_of(list(islice(mix({pool: endless(pool) for pool in PAPER}, PAPER, 2), draws)))

    assert expected_draws(PAPER, 2, draws) == {pool: found[pool] for pool in PAPER}


@pytest.mark.parametrize("draws", [1, 50, 4000, 4097, 9000, 10_410, 20_000])
def test_what_will_be_drawn_of_pools_that_run_out_is_known_before(draws: int) -> None:
    found = pools_of(list(islice(mix(of_sizes(SIZES), PAPER, 2), draws)))

    assert expected_draws(PAPER, 2, draws, SIZES) == {pool: found[pool] for pool in PAPER}


def test_pools_of_unknown_size_take_what_the_others_lack() -> None:
    streams = {**of_sizes({"de": 10, "cs": 700}), "en": endless("en")}
    shares = {"de": 0.4, "cs": 0.3, "en": 0.3}

    found = pools_of(list(islice(mix(streams, shares, 2), 9000)))

    assert expected_draws(shares, 2, 9000, {"de": 10, "cs": 700}) == dict(found)
    assert found == {"de": 10, "cs": 700, "en": 8290}


# --- sources of one pool ------------------------------------------------------------------------------------------


def test_sources_have_their_shares_and_the_others_equal_parts_of_what_is_left() -> None:
    streams = [endless(name) for name in ("news", "books", "web")]

    found = pools_of(list(islice(take_turns(streams, [0.5, None, None], seed=1), 10_000)))

    # Four standard deviations: 200 at one half, 173 at a quarter.
    assert found["news"] == pytest.approx(5000, abs=200)
    assert found["books"] == pytest.approx(2500, abs=173)


def test_a_source_that_runs_out_leaves_its_turns_to_the_others() -> None:
    turns = list(take_turns([iter(["a 0"]), iter(["b 0", "b 1", "b 2"])], [None, None], seed=1))

    assert sorted(turns) == ["a 0", "b 0", "b 1", "b 2"]
    assert [turn for turn in turns if turn.startswith("b")] == ["b 0", "b 1", "b 2"]


@pytest.mark.parametrize("place", [0, 1, 49, 50, 99])
def test_turns_go_on_in_the_middle(place: int) -> None:
    def streams(taken: Counter[str]) -> list[Iterator[str]]:
        return list(of_sizes({"a": 20, "b": 80}, taken).values())

    whole = list(take_turns(streams(Counter()), [0.5, None], seed=3))

    assert list(take_turns(streams(pools_of(whole[:place])), [0.5, None], seed=3, start=place)) == whole[place:]


def test_shares_for_all_sources_are_scaled() -> None:
    streams = [endless("a"), endless("b")]

    found = pools_of(list(islice(take_turns(streams, [0.1, 0.3], seed=1), 10_000)))

    assert found["a"] == pytest.approx(2500, abs=173)


def test_shares_that_leave_nothing_for_a_source_are_an_error() -> None:
    with pytest.raises(UsageError) as caught:
        take_turns([endless("a"), endless("b")], [1.0, None], seed=1)

    assert caught.value.message == (
        "the shares of a language's sources add up to 1 and leave nothing for those without a share"
    )


# --- held out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "most", "expected"), [(1000, 20, 20), (1000, 200, 50), (19, 5, 0), (20, 5, 1), (0, 5, 0)]
)
def test_at_most_one_record_in_twenty_is_held_out(total: int, most: int, expected: int) -> None:
    held_out = held_out_indices(total, most, seed=42)

    assert len(held_out) == expected
    assert all(0 <= index < total for index in held_out)


def test_which_records_are_held_out_depends_on_the_seed_alone() -> None:
    assert held_out_indices(10_000, 100, seed=1) == held_out_indices(10_000, 100, seed=1)
    assert held_out_indices(10_000, 100, seed=1) != held_out_indices(10_000, 100, seed=2)


def test_held_out_records_are_from_everywhere() -> None:
    held_out = held_out_indices(100_000, 5000, seed=1)

    tenths = Counter(index // 10_000 for index in held_out)
    # Of 5,000 in ten parts 500 each, give or take four standard deviations of 21.
    assert all(416 < tenths[tenth] < 584 for tenth in range(10))
