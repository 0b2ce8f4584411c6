"""A text is in another language only where that is clear."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from alma_cli.core.languages import LANGUAGES
from alma_cli.core.text.characters import Characters
from alma_cli.core.text.language import other_languages, other_languages_of_documents, script_letters
from alma_cli.core.text.language_model import SCRIPTS_WITH_MODEL, rivals

GERMAN = "Der Zug nach Hamburg fährt heute leider eine halbe Stunde später ab."
ENGLISH = "Unfortunately the train to Hamburg leaves half an hour later today."


def found(text: str, expected: str) -> str | None:
    return other_languages([text], Characters.of([text]), expected).get(0)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GERMAN, "de"),
        (ENGLISH, "en"),
        ("Vlak do Hamburku odjíždí dnes bohužel o půl hodiny později.", "cs"),
        ("Lestin til Hamborgar fer því miður hálftíma seinna í dag.", "is"),
        ("Поезд в Гамбург сегодня, к сожалению, отправится на полчаса позже.", "ru"),
        ("今天去汉堡的火车很遗憾晚点半小时。", "zh"),
        ("ハンブルク行きの列車は、今日は残念ながら三十分遅れて出発します。", "ja"),
        ("함부르크행 열차는 오늘 아쉽게도 삼십 분 늦게 출발합니다.", "ko"),
        ("القطار إلى هامبورغ يغادر اليوم للأسف متأخرا نصف ساعة.", "ar"),
        ("हैम्बर्ग जाने वाली गाड़ी आज आधा घंटा देर से चलेगी।", "hi"),
        ("Voz za Hamburg danas, nažalost, polazi pola sata kasnije.", "sr"),
    ],
)
def test_a_text_in_its_language_is_right(text: str, language: str) -> None:
    assert found(text, language) is None


@pytest.mark.parametrize(
    ("text", "expected", "other"),
    [
        (GERMAN, "en", "de"),
        (ENGLISH, "de", "en"),
        (ENGLISH.upper(), "de", "en"),
        ("De trein naar Hamburg vertrekt vandaag helaas een half uur later.", "de", "nl"),
        ("Vlak do Hamburgu dnes, žiaľ, odchádza o pol hodiny neskôr, pretože sneží.", "cs", "sk"),
        ("Toget til Hamborg kører desværre en halv time senere i dag.", "is", "da"),
        ("Потяг до Гамбурга сьогодні, на жаль, вирушить на пів години пізніше.", "ru", "uk"),
        ("Да.", "de", "Cyrillic"),
        ("是的", "en", "Han"),
        (ENGLISH, "ru", "Latin"),
        (ENGLISH, "zh", "Latin"),
        ("彼は毎朝コーヒーを飲みます。", "zh", "Kana"),
        ("他每天早上都在阳台上喝一杯绿茶然后去公司上班。", "ja", "Han"),
    ],
)
def test_a_text_that_is_clearly_in_another_language_is_named(text: str, expected: str, other: str) -> None:
    assert found(text, expected) == other


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OK", "de"),
        ("Carpe diem!", "en"),
        ("Kateřina Kněžínková and Adam Plachetka did the singing.", "en"),
        ("Tsunami, Sushi, Karaoke, Origami", "de"),
        ("Goethe, Schiller, Lessing, Herder, Wieland", "en"),
        ("Windows 10 Professional", "ru"),
        ("Microsoft Office", "zh"),
        ("https://example.com/a/very/long/path/with/english/words", "ru"),
        ("NBA球员LeBron James", "zh"),
        ("12 345", "ru"),
        ("", "de"),
        ("Er sagte: „Yes, we can“, und ging.", "de"),
    ],
)
def test_names_terms_and_short_texts_get_the_benefit_of_the_doubt(text: str, expected: str) -> None:
    assert found(text, expected) is None


def test_a_verdict_does_not_depend_on_the_other_texts_of_a_block() -> None:
    texts = [GERMAN, "", ENGLISH, "Да.", GERMAN * 40, ENGLISH[:30]] * 400
    together = other_languages(texts, Characters.of(texts), "de")
    alone = {index: other for index, text in enumerate(texts[:6]) if (other := found(text, "de"))}
    assert {index: other for index, other in together.items() if index < 6} == alone
    assert len(together) == 400 * len(alone)


def test_a_document_is_wrong_when_most_of_it_is() -> None:
    half_way = GERMAN * 20 + ENGLISH * 20
    texts = [GERMAN * 50, ENGLISH * 50, GERMAN * 40 + ENGLISH * 10, ENGLISH * 40 + GERMAN * 10, half_way[:100], ""]
    assert other_languages_of_documents(texts, "de") == {1: "en", 3: "en"}


def test_letters_are_counted_by_script() -> None:
    counts = script_letters(Characters.of(["ab中文д", "カナ"]), ("Latin", "Han", "Cyrillic", "Kana"))
    assert np.array(counts).T.tolist() == [[2, 2, 1, 0], [0, 0, 0, 2]]


def test_every_language_of_the_table_is_known_to_the_step() -> None:
    with_model = [code for code, language in LANGUAGES.items() if language.script in SCRIPTS_WITH_MODEL]
    assert [code for code in with_model if code not in rivals(LANGUAGES[code].script).languages] == []
    # Serbian, Kazakh and Kyrgyz are written in Latin letters, too; there the model is not asked.
    assert {code for code in LANGUAGES if found(GERMAN, code) is None} == {"de", "sr", "kk", "ky"}


@pytest.mark.parametrize("expected", ["de", "no"])
def test_the_margins_are_those_of_py3langid(expected: str) -> None:
    texts = [GERMAN, ENGLISH, "Ærlig talt vet jeg ikke hva jeg skal si.", "a a a a a a a", ENGLISH.upper()]
    model = rivals("Latin")
    margins, nearest = model.margins(texts, expected, most_bytes=10_000)
    library = LanguageIdentifier.from_model_file(MODEL_FILE)
    library.set_languages({*model.languages, "nn"})
    for text, margin, language in zip(texts, margins.tolist(), nearest, strict=True):
        # Both kinds of Norwegian are one to us.
        ranked = [("no" if name == "nn" else name, score) for name, score in library.rank(text)]
        own = max(score for name, score in ranked if name == expected)
        other = max(score for name, score in ranked if name != expected)
        assert language == ranked[0][0]
        assert margin == pytest.approx((own - other) / len(text.encode()) ** 0.5, rel=1e-2, abs=0.05)


def test_the_quick_margins_are_nearly_the_exact_ones() -> None:
    texts = [text[:50] for text in (GERMAN, ENGLISH, ENGLISH.upper(), GERMAN[10:])]
    exact, _ = rivals("Latin").margins(texts, "de", most_bytes=64)
    quick = rivals("Latin").quick_margins(texts, "de", most_bytes=64)
    assert quick == pytest.approx(exact, abs=0.4)


@pytest.mark.parametrize(("language", "others"), [("de", "cs"), ("cs", "de"), ("ru", "zh"), ("zh", "ru")])
def test_news_is_told_apart(shared_data: Path, language: str, others: str) -> None:
    def news(code: str) -> list[str]:
        with gzip.open(
            shared_data / f"parallel/newstest-not-in-alma.{code}-en.jsonl.gz", "rt", encoding="utf-8"
        ) as file:
            return [json.loads(line)["translation"][code] for line in list(file)[:2000]]

    right, wrong = news(language), [text for text in news(others) if len(text) >= 40]
    assert len(other_languages(right, Characters.of(right), language)) <= 2
    assert len(other_languages(wrong, Characters.of(wrong), language)) >= 0.99 * len(wrong)
