"""The records that are shown: the same ones every time, of every direction, and the one that the limits are about."""

from __future__ import annotations

import json

from alma_cli.core.dataset import Document, Example
from alma_cli.core.examples import TextFormat
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import MonoStage, ParallelStage
from alma_cli.data.shown import ShownRecord, shown_as_json, shown_documents, shown_examples
from tests.tiny import byte_tokenizer

FORMAT = TextFormat("alma", True)
WAYS = ("de-en", "en-de", "cs-en")
EXAMPLES = [Example(Direction.parse(WAYS[n % 3]), f"Satz {n}.", f"Sentence {n}.") for n in range(60)]
LONG = Example(Direction("de", "en"), "lang " * 100, "long " * 100)


def examples_of(examples: list[Example], count: int, *, seed: int = 1) -> list[ShownRecord]:
    return shown_examples(examples, count, byte_tokenizer(), FORMAT, ParallelStage(), seed=seed)


def documents_of(documents: list[Document], count: int, *, block_tokens: int = 8) -> list[ShownRecord]:
    settings = MonoStage(block_tokens=block_tokens)
    return shown_documents(documents, count, byte_tokenizer(), FORMAT, settings, seed=1)


def text_of(record: ShownRecord) -> str:
    return "".join(token.text for token in record.tokens)


def test_every_direction_has_its_turn_before_any_has_a_second() -> None:
    assert sorted(record.name for record in examples_of(EXAMPLES, 3)) == sorted(WAYS)
    assert sorted(record.name for record in examples_of(EXAMPLES, 6)) == sorted(WAYS * 2)


def test_a_row_is_the_example_of_that_number() -> None:
    for record in examples_of(EXAMPLES, 6):
        example = EXAMPLES[record.row - 1]
        assert record.name == str(example.direction)
        assert text_of(record).endswith(f"{example.target}</s>")
        assert f": {example.source}\n" in text_of(record)


def test_the_choice_is_the_seeds() -> None:
    assert examples_of(EXAMPLES, 5) == examples_of(EXAMPLES, 5)
    assert examples_of(EXAMPLES, 5) != examples_of(EXAMPLES, 5, seed=2)


def test_the_last_is_the_longest_which_the_limits_drop() -> None:
    shown = examples_of([*EXAMPLES[:7], LONG, *EXAMPLES[7:]], 3)

    assert [bool(record.dropped) for record in shown] == [False, False, True]
    assert shown[-1].row == 8
    assert len({record.row for record in shown}) == 3


def test_no_more_are_shown_than_there_are() -> None:
    assert sorted(record.row for record in examples_of(EXAMPLES[:2], 9)) == [1, 2]
    assert len(examples_of(EXAMPLES, 1)) == 1
    assert examples_of([], 3) == []
    assert documents_of([], 3) == []


def test_documents_are_shown_with_their_place_in_the_blocks() -> None:
    # <s>abc</s> five times is three blocks of eight and one token over.
    documents = [Document("en" if n % 2 else "cs", "abc") for n in range(5)]

    shown = documents_of(documents, 3)

    assert [record.name for record in shown] == ["cs", "en", "cs"]
    assert shown[-1].row == 5
    assert [token.fate for token in shown[-1].tokens] == ["target"] * 4 + ["cut"]
    assert all("cut" not in {token.fate for token in record.tokens} for record in shown[:-1])


def test_of_a_long_split_the_beginning_is_looked_at_and_nothing_is_cut() -> None:
    shown = documents_of([Document("en", "abc")] * 1000, 5)

    assert max(record.row for record in shown) <= 200
    assert "cut" not in {token.fate for record in shown for token in record.tokens}


def test_the_json_form_has_every_token() -> None:
    records = examples_of(EXAMPLES, 2)

    content = json.loads(json.dumps(shown_as_json(records)))

    assert content["version"] == 1
    assert content["records"][0]["name"] == records[0].name
    assert content["records"][0]["tokens"][0] == {"token_id": 0, "text": "<s>", "fate": "prompt"}
    assert len(content["records"][1]["tokens"]) == len(records[1].tokens)
