"""Examples to tensors, number by number: shared rows, padding, labels, and how a step is cut."""

from __future__ import annotations

import pytest
import torch

from alma_cli.core.batch import Layout, flattened, grouped, micro_batches, padded
from alma_cli.core.examples import TokenizedExample
from tests.core.architectures import EXAMPLES

layouts = pytest.mark.parametrize("layout", [flattened, padded])


def of_lengths(*lengths: int) -> list[TokenizedExample]:
    """Examples that all begin with the same eight tokens."""
    return [TokenizedExample((0,) * 8 + tuple(range(1, length - 7)), 1) for length in lengths]


# --- padded -----------------------------------------------------------------------------------------------------


def test_padding_is_on_the_right_and_masked() -> None:
    batch = padded([TokenizedExample((5, 6, 7, 1), 2), TokenizedExample((8, 9, 1), 1)])

    assert batch.input_ids.tolist() == [[5, 6, 7, 1], [8, 9, 1, 0]]
    assert batch.attention_mask is not None
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch.targets.tolist() == [7, 1, 9, 1]
    assert batch.predicting.tolist() == [1, 2, 4, 5]  # 6 predicts 7, 7 predicts 1; 8 predicts 9, 9 predicts 1
    assert (batch.tokens, batch.target_tokens, batch.rows) == (7, 4, None)


# --- flattened --------------------------------------------------------------------------------------------------


def test_a_beginning_that_examples_share_is_computed_once() -> None:
    batch = flattened([TokenizedExample((5, 6, 7, 1), 2), TokenizedExample((5, 6, 9, 8, 1), 2)])

    assert batch.rows is not None
    assert batch.input_ids.tolist() == [[5, 6, 7, 1, 9, 8, 1]]
    assert batch.position_ids is not None
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 2, 3, 4]]
    assert batch.rows.index.tolist() == [[0, 1, 2, 3, 0], [0, 1, 4, 5, 6]]
    assert batch.targets.tolist() == [7, 1, 9, 8, 1]
    assert batch.predicting.tolist() == [1, 2, 1, 4, 5]  # the row of 6 predicts both 7 and 9
    assert (batch.tokens, batch.target_tokens, batch.attention_mask) == (9, 5, None)


def test_a_repeated_example_adds_labels_but_no_row() -> None:
    example = TokenizedExample((5, 6, 7, 1), 2)

    once, thrice = flattened([example]), flattened([example] * 3)

    assert thrice.input_ids.tolist() == once.input_ids.tolist()
    assert thrice.targets.tolist() == once.targets.tolist() * 3
    assert thrice.predicting.tolist() == once.predicting.tolist() * 3


def test_examples_that_begin_differently_share_nothing() -> None:
    batch = flattened([TokenizedExample((5, 6, 7), 1), TokenizedExample((4, 6, 7), 1)])

    assert batch.input_ids.tolist() == [[4, 6, 7, 5, 6, 7]]


def test_the_rows_of_an_example_spell_it() -> None:
    batch = flattened(EXAMPLES)

    assert batch.rows is not None
    assert batch.position_ids is not None
    for row, example in zip(batch.rows.index, sorted(EXAMPLES, key=lambda e: e.token_ids), strict=True):
        where = row[: len(example.token_ids)]
        assert batch.input_ids[0, where].tolist() == list(example.token_ids)
        assert batch.position_ids[0, where].tolist() == list(range(len(where)))


def test_every_place_of_an_example_is_either_a_rows_first_or_again() -> None:
    rows = flattened(EXAMPLES).rows

    assert rows is not None
    places = torch.cat([rows.first, rows.again]).tolist()
    longest = rows.index.shape[1]
    lengths = [len(ids) for ids in sorted(example.token_ids for example in EXAMPLES)]
    assert sorted(places) == [n * longest + i for n, length in enumerate(lengths) for i in range(length)]
    assert rows.index.flatten()[rows.first].tolist() == list(range(len(rows.first)))


# --- both -------------------------------------------------------------------------------------------------------


@layouts
def test_the_token_before_each_label_predicts_it(layout: Layout) -> None:
    batch = layout(EXAMPLES)

    before = batch.input_ids.flatten()[batch.predicting].tolist()

    pairs = sorted(zip(before, batch.targets.tolist(), strict=True))
    assert pairs == sorted(
        (ids[i - 1], ids[i])
        for ids, prompt in ((e.token_ids, e.prompt_tokens) for e in EXAMPLES)
        for i in range(max(prompt, 1), len(ids))
    )


@layouts
def test_every_token_of_a_block_but_its_first_is_a_label(layout: Layout) -> None:
    batch = layout([TokenizedExample((5, 6, 7, 8), 0)])

    assert batch.targets.tolist() == [6, 7, 8]
    assert batch.predicting.tolist() == [0, 1, 2]


@layouts
def test_an_unlabelled_batch_is_the_same_without_labels(layout: Layout) -> None:
    batch = layout(EXAMPLES)

    unlabelled = batch.unlabelled()

    assert (unlabelled.target_tokens, len(unlabelled.predicting), unlabelled.tokens) == (0, 0, 0)
    assert unlabelled.input_ids is batch.input_ids


@layouts
def test_a_batch_on_a_device_is_the_same_batch(layout: Layout) -> None:
    batch = layout(EXAMPLES)

    moved = batch.to(torch.device("meta"))

    assert {value.device.type for value in moved.model_inputs().values() if isinstance(value, torch.Tensor)} == {"meta"}
    assert (moved.tokens, moved.target_tokens) == (batch.tokens, batch.target_tokens)
    assert moved.model_inputs().keys() == batch.model_inputs().keys()


def test_a_rectangle_asks_no_model_for_more_than_every_model_takes() -> None:
    assert padded(EXAMPLES).model_inputs().keys() == {"input_ids", "attention_mask"}


# --- micro-batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "budget", "expected"),
    [
        (flattened, 1, [[17], [15], [12], [12], [10]]),  # one longer than the budget goes alone; none is lost
        (flattened, 32, [[17, 15], [12, 12], [10]]),  # 17 + 15 = 32; 12 + 12 + 10 > 32
        (flattened, 1000, [[17, 15, 12, 12, 10]]),
        (padded, 1, [[17], [15], [12], [12], [10]]),
        (padded, 32, [[15, 12], [12, 10], [17]]),  # 2 * 17 > 32; 2 * 15 = 30 and 3 * 15 > 32; 2 * 12 = 24
        (padded, 1000, [[17, 15, 12, 12, 10]]),
    ],
)
def test_micro_batches_keep_the_budget_largest_first(layout: Layout, budget: int, expected: list[list[int]]) -> None:
    groups = grouped(of_lengths(12, 17, 10, 15, 12), budget, layout)

    assert [[len(example.token_ids) for example in group] for group in groups] == expected


@layouts
@pytest.mark.parametrize("budget", [1, 10, 25, 1000])
def test_micro_batches_lose_and_double_nothing(layout: Layout, budget: int) -> None:
    batches = micro_batches(EXAMPLES, budget, layout)

    assert sum(batch.tokens for batch in batches) == sum(len(example.token_ids) for example in EXAMPLES)
    assert sum(batch.target_tokens for batch in batches) == sum(example.target_tokens for example in EXAMPLES)


def test_a_long_example_among_short_ones_does_not_widen_their_padding() -> None:
    # Nine directions' short prompts and a long block: in one rectangle they would be 10 * 100 tokens.
    examples = [TokenizedExample((n, *range(9)), 1) for n in range(9)] + [TokenizedExample((9, *range(99)), 1)]

    assert max(batch.input_ids.numel() for batch in micro_batches(examples, 200, padded)) <= 200


def test_examples_that_begin_alike_come_together() -> None:
    german = [TokenizedExample((5, 5, 5, n, 1), 3) for n in range(4)]
    czech = [TokenizedExample((6, 6, 6, n, 1), 3) for n in range(4)]

    groups = grouped([e for pair in zip(german, czech, strict=True) for e in pair], 20)

    assert [{example.token_ids[0] for example in group} for group in groups] == [{5}, {6}]


def test_no_examples_make_no_micro_batch() -> None:
    assert micro_batches([], 100) == []
