"""The prompt, byte for byte as ALMA's released checkpoints were trained on (shared FACTS, from the ALMA code)."""

from __future__ import annotations

import pytest

from alma_cli.core.languages import Direction
from alma_cli.core.prompt import Guidance, alma_prompt, build_prompt, one_line
from alma_cli.errors import UsageError
from tests.tiny import byte_tokenizer, merging_tokenizer

DE_EN = Direction("de", "en")

# Written by hand from the format in the ALMA repository: one newline between lines, no space after the last colon.
PROMPTS = [
    ("cs-en", "Ahoj světe.", "Translate this from Czech to English:\nCzech: Ahoj světe.\nEnglish:"),
    ("en-cs", "Hello, world.", "Translate this from English to Czech:\nEnglish: Hello, world.\nCzech:"),
    ("de-en", "Grüß Gott!", "Translate this from German to English:\nGerman: Grüß Gott!\nEnglish:"),
    ("en-de", "Good day!", "Translate this from English to German:\nEnglish: Good day!\nGerman:"),
    ("is-en", "Góðan daginn", "Translate this from Icelandic to English:\nIcelandic: Góðan daginn\nEnglish:"),
    ("en-is", "Good day", "Translate this from English to Icelandic:\nEnglish: Good day\nIcelandic:"),
    ("zh-en", "你好世界。", "Translate this from Chinese to English:\nChinese: 你好世界。\nEnglish:"),
    ("en-zh", "Hello.", "Translate this from English to Chinese:\nEnglish: Hello.\nChinese:"),
    ("ru-en", "Привет!", "Translate this from Russian to English:\nRussian: Привет!\nEnglish:"),
    ("en-ru", "Hi!", "Translate this from English to Russian:\nEnglish: Hi!\nRussian:"),
]


@pytest.mark.parametrize(("direction", "source", "expected"), PROMPTS)
def test_prompt_is_the_released_checkpoints_text(direction: str, source: str, expected: str) -> None:
    assert alma_prompt(source, Direction.parse(direction)).encode() == expected.encode()


def test_style_alma_sends_the_prompt_as_it_is_whatever_the_chat_template() -> None:
    prompt = build_prompt("Ware", Direction("de", "en"), style="alma", tokenizer=byte_tokenizer())

    assert prompt == "Translate this from German to English:\nGerman: Ware\nEnglish:"


def test_style_chat_wraps_the_same_text_in_the_models_template() -> None:
    prompt = build_prompt("Ware", Direction("de", "en"), style="chat", tokenizer=byte_tokenizer())

    assert prompt == "<s>[INST] Translate this from German to English:\nGerman: Ware\nEnglish: [/INST]"


def test_style_chat_needs_a_chat_template() -> None:
    with pytest.raises(UsageError) as caught:
        build_prompt("Ware", Direction("de", "en"), style="chat", tokenizer=merging_tokenizer())

    assert (
        caught.value.message == "prompt.style = 'chat' needs a model with a chat template, and this tokenizer has none"
    )
    assert caught.value.hint == "use prompt.style = 'alma' or an instruction-tuned model"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one line", "one line"),
        ("  outer white space\t", "outer white space"),
        ("two\nlines", "two lines"),
        ("Windows\r\nlines", "Windows lines"),
        ("a \n\n b", "a b"),
        ("every\vkind\fof\x1cbreak\x85there\u2028is\u2029here", "every kind of break there is here"),
        ("inner  spaces\tstay", "inner  spaces\tstay"),
        ("\n", ""),
    ],
)
def test_one_line_has_no_line_breaks_and_no_outer_space(text: str, expected: str) -> None:
    assert one_line(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deen", "'deen' is not a direction (write source-target, such as de-en)"),
        ("de-en-cs", "'de-en-cs' is not a direction (write source-target, such as de-en)"),
        ("de-german", "unknown language code 'german' (did you mean 'de'?)"),
        ("de-de", "direction 'de-de' goes from a language into itself"),
    ],
)
def test_wrong_direction_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Direction.parse(text)

    assert str(caught.value) == message


# --- guidance -----------------------------------------------------------------------------------------------------


def test_examples_stand_before_the_source_as_in_the_released_code() -> None:
    # shared FACTS: `English: <target>` with a space; the instruction once, no blank lines.
    shots = (("Ja.", "Yes."), ("Gute Nacht!", "Good night!"))

    assert alma_prompt("Nein.", Direction("de", "en"), Guidance(shots=shots)) == (
        "Translate this from German to English:\n"
        "German: Ja.\nEnglish: Yes.\nGerman: Gute Nacht!\nEnglish: Good night!\n"
        "German: Nein.\nEnglish:"
    )


def test_terms_stand_on_a_line_before_the_source() -> None:
    guidance = Guidance(shots=(("Ja.", "Yes."),), terms=(("Ware", "goods"), ("Lager", "warehouse")))

    assert alma_prompt("Die Ware im Lager", DE_EN, guidance) == (
        "Translate this from German to English:\nGerman: Ja.\nEnglish: Yes.\n"
        "Terms: Ware = goods, Lager = warehouse\nGerman: Die Ware im Lager\nEnglish:"
    )


@pytest.mark.parametrize(("direction", "source", "expected"), PROMPTS)
def test_guidance_that_tells_nothing_changes_no_byte(direction: str, source: str, expected: str) -> None:
    assert alma_prompt(source, Direction.parse(direction), Guidance()) == expected


def test_style_chat_has_the_guidance_in_the_users_turn() -> None:
    guidance = Guidance(terms=(("Ware", "goods"),))

    prompt = build_prompt("Die Ware", DE_EN, style="chat", tokenizer=byte_tokenizer(), guidance=guidance)

    assert prompt == f"<s>[INST] {alma_prompt('Die Ware', DE_EN, guidance)} [/INST]"


def test_two_guidances_have_the_same_texts_only_if_they_are_the_same() -> None:
    one, other = ("a", "b"), ("c", "d")
    different = [
        Guidance(),
        Guidance(shots=(one,)),
        Guidance(terms=(one,)),
        Guidance(shots=(one, other)),
        Guidance(shots=(one,), terms=(other,)),
        Guidance(terms=(one, other)),
        Guidance(shots=(other, one)),
    ]

    assert len({guidance.texts for guidance in different}) == len(different)
    assert Guidance().texts == ()
