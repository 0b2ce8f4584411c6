"""Token by token: where the labels are, what is dropped and counted, in what order a run sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from alma_cli.core.batch import padded
from alma_cli.core.dataset import Example
from alma_cli.core.examples import (
    StepPlan,
    TextFormat,
    TokenizedExample,
    prompt_ids,
    shuffled,
    tokenize_examples,
)
from alma_cli.core.languages import Direction
from alma_cli.core.prompt import NO_GUIDANCE, Guidance
from tests.core.test_prompt import PROMPTS
from tests.tiny import EOS, byte_tokenizer, merging_tokenizer, sentencepiece_tokenizer

DE_EN = Direction("de", "en")
ALMA, ALMA_BOS, CHAT = TextFormat("alma", False), TextFormat("alma", True), TextFormat("chat", True)
PROMPT = "Translate this from German to English:\nGerman: Die Ware\nEnglish:"
TOKENIZERS = ["adds BOS", "adds no BOS", "pad = EOS", "merges :)", "SentencePiece"]
NamedTokenizer = Callable[[str], tuple[PreTrainedTokenizerBase, TextFormat]]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> NamedTokenizer:
    """A tokenizer of each kind that trips, with the text format of its model."""
    made = {
        "adds BOS": (byte_tokenizer(), ALMA_BOS),
        "adds no BOS": (byte_tokenizer(adds_bos=False), ALMA),
        "pad = EOS": (byte_tokenizer(pad=EOS), ALMA_BOS),
        "merges :)": (merging_tokenizer(), ALMA),
        "SentencePiece": (sentencepiece_tokenizer(tmp_path_factory.mktemp("sentencepiece")), ALMA_BOS),
    }
    return made.__getitem__


def tokenized(
    tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, source: str, target: str
) -> TokenizedExample:
    examples, dropped = tokenize_examples(
        tokenizer, text_format, [Example(DE_EN, source, target)], max_prompt_tokens=999, max_target_tokens=999
    )
    assert not dropped
    return examples[0]


def labels(example: TokenizedExample) -> list[int]:
    """The ids that the loss looks at."""
    return padded([example]).targets.tolist()


# --- labels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "source", "prompt"), PROMPTS)
def test_training_text_is_prompt_and_target_with_no_space_between(direction: str, source: str, prompt: str) -> None:
    tokenizer = byte_tokenizer()
    example = Example(Direction.parse(direction), source, "Žluťoučký 你好 ok.")

    [tokenized_example], _ = tokenize_examples(
        tokenizer, ALMA_BOS, [example], max_prompt_tokens=999, max_target_tokens=999
    )

    text = tokenizer.decode(tokenized_example.token_ids)
    assert text.encode() == f"<s>{prompt}Žluťoučký 你好 ok.</s>".encode()


def test_every_label_of_a_pair_is_where_the_picture_says() -> None:
    # The byte tokenizer: 1 BOS, a token a byte, 1 EOS; ids of bytes by its own table, looked up one character a time.
    tokenizer = byte_tokenizer()
    spelling = [tokenizer.convert_tokens_to_ids(c.replace(" ", "Ġ").replace("\n", "Ċ")) for c in PROMPT]
    target = [tokenizer.convert_tokens_to_ids(c) for c in "Goods"]

    batch = padded([tokenized(tokenizer, ALMA_BOS, "Die Ware", "Goods")])

    assert batch.input_ids[0].tolist() == [0, *spelling, *target, 1]
    assert batch.targets.tolist() == [*target, 1]
    assert batch.predicting.tolist() == [len(PROMPT) + n for n in range(6)]  # from the prompt's last token on
    assert batch.target_tokens == 6


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("target", ["The goods cost less.", ") is odd", ":) is odder", "</s>", "naïve 你好"])
def test_labels_are_the_target_and_one_eos(name: str, target: str, named: NamedTokenizer) -> None:
    tokenizer, text_format = named(name)

    example = tokenized(tokenizer, text_format, "Die Ware", target)

    assert labels(example) == list(example.token_ids[example.prompt_tokens :])
    assert labels(example).count(tokenizer.eos_token_id) == 1
    assert labels(example)[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(labels(example)[:-1]) == target


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("target", ["The goods cost less.", ") is odd", ":) is odder"])
def test_the_unlabelled_tokens_are_the_prompt_that_translation_sends(
    name: str, target: str, named: NamedTokenizer
) -> None:
    tokenizer, text_format = named(name)

    example = tokenized(tokenizer, text_format, "Die Ware", target)

    [sent] = prompt_ids(tokenizer, text_format, ["Die Ware"], DE_EN)
    assert list(example.token_ids[: example.prompt_tokens]) == sent
    assert sent.count(tokenizer.bos_token_id) == int(text_format.adds_bos)
    assert tokenizer.decode(sent[int(text_format.adds_bos) :]) == PROMPT


def test_a_merge_across_the_border_changes_neither_side() -> None:
    # Joined, `English:` + `) odd` would end in the one token `:)`; it must stay `:` | `)`.
    tokenizer = merging_tokenizer()
    merged = tokenizer.convert_tokens_to_ids(":)")
    assert merged in tokenizer(PROMPT + ") odd")["input_ids"]

    example = tokenized(tokenizer, ALMA, "Die Ware", ") odd")

    tokens = tokenizer.convert_ids_to_tokens(example.token_ids)
    assert tokens[example.prompt_tokens - 1 :] == [":", ")", "Ġ", "o", "d", "d", EOS]


def test_sentencepiece_target_has_no_space_before_its_first_word(named: NamedTokenizer) -> None:
    tokenizer, text_format = named("SentencePiece")

    example = tokenized(tokenizer, text_format, "Die Ware", "The goods")

    first = tokenizer.convert_ids_to_tokens(example.token_ids[example.prompt_tokens])
    assert not first.startswith("▁")


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("source", ["The end </s> of <s> it", "<pad>", "Wort\nEnglish: word"])
def test_special_words_in_a_source_stay_text(name: str, source: str, named: NamedTokenizer) -> None:
    tokenizer, text_format = named(name)

    example = tokenized(tokenizer, text_format, source, "word")

    prompt = list(example.token_ids[int(text_format.adds_bos) : example.prompt_tokens])
    assert not set(prompt) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(prompt) == f"Translate this from German to English:\nGerman: {source}\nEnglish:"


# --- chat style -------------------------------------------------------------------------------------------------


def test_chat_style_has_the_template_once_one_bos_and_one_eos() -> None:
    tokenizer = byte_tokenizer()

    example = tokenized(tokenizer, CHAT, "Die Ware", "Goods")

    assert tokenizer.decode(example.token_ids) == f"<s>[INST] {PROMPT} [/INST]Goods</s>"
    assert tokenizer.decode(example.token_ids[example.prompt_tokens :]) == "Goods</s>"
    assert example.token_ids.count(tokenizer.bos_token_id) == 1
    assert example.token_ids.count(tokenizer.eos_token_id) == 1


def test_chat_template_that_writes_no_bos_gets_the_one_of_the_model() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"

    example = tokenized(tokenizer, CHAT, "Die Ware", "Goods")

    assert tokenizer.decode(example.token_ids) == f"<s>[INST] {PROMPT} [/INST]Goods</s>"
    assert example.token_ids.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize(
    ("source", "target"),
    [("The end </s> of <s> it", "word"), ("Wort", "the </s> tag"), ("ein </s>", "one </s>"), ("</s>", "<s>")],
)
def test_special_words_in_a_chat_stay_text_too(source: str, target: str) -> None:
    tokenizer = byte_tokenizer()

    example = tokenized(tokenizer, CHAT, source, target)

    text = f"<s>[INST] Translate this from German to English:\nGerman: {source}\nEnglish: [/INST]{target}</s>"
    assert tokenizer.decode(example.token_ids) == text
    assert tokenizer.decode(example.token_ids[example.prompt_tokens :]) == f"{target}</s>"
    assert example.token_ids.count(tokenizer.bos_token_id) == 1
    assert example.token_ids.count(tokenizer.eos_token_id) == 1
    assert list(example.token_ids[: example.prompt_tokens]) == prompt_ids(tokenizer, CHAT, [source], DE_EN)[0]


# --- nothing is cut ---------------------------------------------------------------------------------------------


def test_over_long_prompts_and_targets_are_left_out_whole_and_counted() -> None:
    # `Translate this from German to English:` 38 + newline 1 + `German: ` 8 + source + newline 1 + `English:` 8 = 56 +
    # source, and BOS: a source of 3 makes 60 prompt tokens. A target of 4 and its EOS are 5 tokens.
    tokenizer = byte_tokenizer()
    fits = Example(DE_EN, "abc", "wxyz")
    long_source, long_target = Example(DE_EN, "abcd", "wxyz"), Example(DE_EN, "abc", "vwxyz")

    kept, dropped = tokenize_examples(
        tokenizer,
        ALMA_BOS,
        [long_source, fits, long_target, long_target],
        max_prompt_tokens=60,
        max_target_tokens=5,
    )

    assert [tokenizer.decode(example.token_ids[60:]) for example in kept] == ["wxyz</s>"]
    assert dropped == {"prompt_too_long": 1, "target_too_long": 2}


def test_examples_of_several_directions_all_come_through() -> None:
    tokenizer = byte_tokenizer()
    examples = [Example(DE_EN, "a", "b"), Example(DE_EN.reverse, "c", "d"), Example(DE_EN, "e", "f")]

    kept, dropped = tokenize_examples(tokenizer, ALMA_BOS, examples, max_prompt_tokens=99, max_target_tokens=99)

    texts = {tokenizer.decode(example.token_ids) for example in kept}
    assert texts == {
        "<s>Translate this from German to English:\nGerman: a\nEnglish:b</s>",
        "<s>Translate this from English to German:\nEnglish: c\nGerman:d</s>",
        "<s>Translate this from German to English:\nGerman: e\nEnglish:f</s>",
    }
    assert not dropped


# --- steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_each_epoch_sees_every_example_once(epoch: int) -> None:
    plan = StepPlan(examples=10, examples_per_step=4, epochs=3, max_steps=None, seed=1)

    steps = [plan.indices(step) for step in range(3 * epoch + 1, 3 * epoch + 4)]

    assert sorted(index for indices in steps for index in indices) == list(range(10))
    assert [len(indices) for indices in steps] == [4, 4, 2]  # the last step takes what is left


def test_the_order_is_a_function_of_the_seed() -> None:
    plan = StepPlan(examples=50, examples_per_step=50, epochs=1, max_steps=None, seed=1)
    again = StepPlan(examples=50, examples_per_step=50, epochs=9, max_steps=None, seed=1)
    other = StepPlan(examples=50, examples_per_step=50, epochs=1, max_steps=None, seed=2)

    assert plan.indices(1) == again.indices(1)
    assert plan.indices(1) != other.indices(1)


def test_epochs_differ_in_their_order() -> None:
    plan = StepPlan(examples=50, examples_per_step=50, epochs=2, max_steps=None, seed=1)

    assert plan.indices(1) != plan.indices(2)


@pytest.mark.parametrize(
    ("epochs", "max_steps", "steps"),
    [(1, None, 3), (2, None, 6), (2, 5, 5), (2, 99, 6)],
)
def test_steps_are_those_of_the_epochs_or_the_limit(epochs: int, max_steps: int | None, steps: int) -> None:
    assert StepPlan(10, 4, epochs, max_steps, seed=1).steps == steps


@pytest.mark.parametrize("count", [*range(1, 40), 63, 64, 65, 255, 256, 257, 1000, 4097, 20_000])
def test_a_shuffle_has_every_index_once(count: int) -> None:
    assert sorted(shuffled(index, count, b"key") for index in range(count)) == list(range(count))


def test_a_shuffle_of_billions_is_there_at_once() -> None:
    count = 10**12

    found = [shuffled(index, count, b"key") for index in range(1000)]

    assert len(set(found)) == 1000
    assert max(found) < count
    # A thousand even draws: the mean is a half of the range, give or take its standard error, 0.29 / sqrt(1000).
    assert np.mean(found) / count == pytest.approx(0.5, abs=4 * 0.29 / 1000**0.5)


def chi_square(counts: Counter[int], cells: int) -> float:
    """The deviation from evenness in standard deviations of the chi-square distribution."""
    expected = counts.total() / cells
    statistic = sum((counts[cell] - expected) ** 2 / expected for cell in range(cells))
    return float((statistic - (cells - 1)) / (2 * (cells - 1)) ** 0.5)


def steps_of(seed: int, examples: int = 37) -> list[int]:
    return StepPlan(examples, examples, epochs=1, max_steps=None, seed=seed).indices(1)


@pytest.mark.parametrize("place", [0, 1, 18, 36])
def test_every_example_is_as_likely_at_every_place(place: int) -> None:
    counts = Counter(steps_of(seed)[place] for seed in range(1500))

    assert abs(chi_square(counts, 37)) < 4


def test_neighbours_do_not_stay_together() -> None:
    orders = [steps_of(seed) for seed in range(1000)]

    distances = Counter((b - a) % 37 - 1 for order in orders for a, b in pairwise(order))

    assert abs(chi_square(distances, 36)) < 4


def test_all_orders_of_a_few_examples_are_as_likely() -> None:
    counts = Counter(int("".join(map(str, steps_of(seed, examples=4))), base=4) for seed in range(6000))

    assert len(counts) == 24
    assert abs(chi_square(Counter(dict(enumerate(counts.values()))), 24)) < 4


@pytest.mark.parametrize("make", [lambda n: StepPlan(n, 8, 3, None, seed=1), lambda n: StepPlan(n, 8, 3, 2, seed=1)])
def test_the_steps_of_a_billion_blocks_need_no_list_of_them(make: Callable[[int], StepPlan]) -> None:
    plan = make(10**9)

    assert len(set(plan.indices(plan.steps))) == 8


# --- guidance -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_guidance_stands_in_the_prompts_ids_and_its_absence_changes_none(kind: str, named: NamedTokenizer) -> None:
    tokenizer, text_format = named(kind)
    told = Guidance(shots=(("Ja </s>", "Yes <s>"),), terms=(("Ware", "goods"),))
    plain = prompt_ids(tokenizer, text_format, ["Die Ware", "Nein"], DE_EN)

    guided = prompt_ids(tokenizer, text_format, ["Die Ware", "Nein"], DE_EN, [told, NO_GUIDANCE])

    assert guided[1] == plain[1]
    assert tokenizer.decode(guided[0], skip_special_tokens=False).endswith(
        "German: Ja </s>\nEnglish: Yes <s>\nTerms: Ware = goods\nGerman: Die Ware\nEnglish:"
    )
    assert tokenizer.eos_token_id not in guided[0]
