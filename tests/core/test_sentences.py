"""Sentences: joined they are the text; ordinals and abbreviations end none."""

from __future__ import annotations

import random

import pytest

from alma_cli.core.sentences import split_sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("de", ["Am 3. Oktober kam Dr. Müller.", "Er sagte: „Ja.“", "Und dann, z. B. am Montag, ging er."]),
        ("cs", ["Dne 3. října přišel do 19. budovy.", "Karel IV. byl král."]),
        ("is", ["Hann kom 3. október.", "Hún fór heim."]),
        ("ru", ["Он пришёл в 5 ч. утра.", "Она ушла!"]),
        ("en", ["Mr. Smith paid $3.50 at 5 p.m. on Monday.", "Why?", "Nobody knows..."]),
        ("zh", ["你好。", "今天天气好！", "是吗？"]),
    ],
)
def test_a_paragraph_is_split_where_sentences_end(language: str, sentences: list[str]) -> None:
    space = "" if language == "zh" else " "

    found = split_sentences(space.join(sentences), language)

    assert [sentence for sentence, _ in found] == sentences


@pytest.mark.parametrize("text", ["", " ", "\n\n", " Ja. \t Nein.\n\n\nDoch. ", ". . .", "\u00a0Ja.\u2028Nein.\u3000"])
def test_the_white_space_between_sentences_is_kept(text: str) -> None:
    found = split_sentences(text, "de")

    assert "".join(sentence + space for sentence, space in found) == text
    assert all(sentence == sentence.strip() for sentence, _ in found)


@pytest.mark.parametrize("seed", range(20))
def test_any_text_is_put_together_again(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choices("aB3.!?。… \n\t„“()🙂ж\u0627\u00a0", k=200))

    found = split_sentences(text, chance.choice(["de", "en", "cs", "zh", "ru", "is", "xx"]))

    assert "".join(sentence + space for sentence, space in found) == text


def test_a_tag_stays_with_its_sentence() -> None:
    assert split_sentences("Das <1>Haus</1> ist alt. Der <2/>Baum auch.", "de") == [
        ("Das <1>Haus</1> ist alt.", " "),
        ("Der <2/>Baum auch.", ""),
    ]
