"""Sentences in the context of those before them, and what else guides them: told to the model, kept, and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.languages import Direction
from alma_cli.core.model_files import resolve_model
from alma_cli.core.prompt import Guidance
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.attempts import Attempt
from alma_cli.decoding.glossary import Glossary, Term
from alma_cli.decoding.guide import Guide
from alma_cli.decoding.memory import TranslationMemory
from alma_cli.decoding.origin import origin_of
from alma_cli.decoding.segments import SegmentTranslator
from alma_cli.decoding.session import Session
from alma_cli.decoding.translator import Translation, Translator

DE_EN = Direction("de", "en")
SETTINGS = DecodingSettings(beams=1, max_new_tokens=6, context_sentences=1)


def follow(translations: Iterator[Translation], *_: Any) -> None:
    for _one in translations:
        pass


@pytest.fixture(scope="module")
def translator(lively_model: Path) -> Translator:
    return Translator.load(resolve_model(str(lively_model)), SETTINGS)


def segments(translator: Translator, journals: Path, lively_model: Path, guide: Guide) -> SegmentTranslator:
    files = resolve_model(str(lively_model))

    def origin(direction: Direction, settings: DecodingSettings) -> dict[str, Any]:
        return origin_of(files, direction, settings, "alma")

    session = Session(lambda: translator, origin, SETTINGS, journals=journals, guide_of=lambda _: guide)
    return SegmentTranslator(session, DE_EN, (Attempt("", SETTINGS),), lambda found: [()] * len(found), follow)


def alone(translator: Translator, source: str, guidance: Guidance) -> str:
    [translation] = translator.translate([source], DE_EN, [guidance])
    return translation.text


def test_a_sentence_sees_the_one_before_it_with_its_translation(
    translator: Translator, tmp_path: Path, lively_model: Path
) -> None:
    first = alone(translator, "Der Hund", Guidance())

    outcomes = segments(translator, tmp_path, lively_model, Guide()).outcomes(["Der Hund", "  ", "Die Katze"])

    assert outcomes["Der Hund"].text == first
    assert outcomes["Die Katze"].text == alone(translator, "Die Katze", Guidance(shots=(("Der Hund", first),)))


def test_documents_are_no_context_of_each_other_and_nothing_is_made_twice(
    translator: Translator, tmp_path: Path, lively_model: Path
) -> None:
    apart = segments(translator, tmp_path, lively_model, Guide())
    apart.outcomes(["Der Hund"], ["Die Katze"])
    together = segments(translator, tmp_path, lively_model, Guide())
    together.outcomes(["Der Hund", "Die Katze"])
    again = segments(translator, tmp_path, lively_model, Guide())
    again.outcomes(["Der Hund", "Die Katze"])

    assert (apart.counts.made, together.counts.made, again.counts.made) == (2, 1, 0)


def test_what_is_worse_in_context_stays_as_it_was_alone(
    translator: Translator, tmp_path: Path, lively_model: Path
) -> None:
    one = segments(translator, tmp_path, lively_model, Guide())
    guided = alone(translator, "Die Katze", Guidance(shots=(("Der Hund", alone(translator, "Der Hund", Guidance())),)))
    one.flags_of = lambda candidates: [("odd",) if one.text == guided else () for one in candidates]

    assert one.outcomes(["Der Hund", "Die Katze"])["Die Katze"].text == alone(translator, "Die Katze", Guidance())


def test_a_guide_tells_examples_similar_pairs_context_and_terms_in_this_order() -> None:
    pairs = [("Die Katze schläft", "The cat sleeps"), ("Der Hund schläft", "The dog sleeps"), ("Xyz", "Xyz")]
    guide = Guide(
        shots=(("Ja", "Yes"),),
        memory=TranslationMemory(pairs, "de"),
        memory_shots=2,
        glossary=Glossary([Term("Hund", ("dog", "hound")), Term("Maus", ("mouse",))]),
    )

    told = guide.guidance("Der Hund schläft\nnie", [("Vorher", "Before")])

    assert told.shots == (("Ja", "Yes"), pairs[0], pairs[1], ("Vorher", "Before"))
    assert told.terms == (("Hund", "dog"),)
    assert "hound" in guide.key("Der Hund schläft\nnie")
    assert Guide().key("Der Hund") == ()


def test_guidance_that_does_not_fit_is_left_out_from_its_start_and_told(translator: Translator) -> None:
    # The window has 512 bytes, 6 of them for the answer.
    long, short = ("lang " * 80, "long " * 20), ("Ja", "Yes")

    [both] = translator.translate(["Der Hund"], DE_EN, [Guidance(shots=(long, short))])
    [one] = translator.translate(["Der Hund"], DE_EN, [Guidance(shots=(short,))])

    assert (both.guidance_cut, one.guidance_cut) == (True, False)
    assert both.text == one.text
    assert not both.source_cut
