"""A session: no source is translated twice with the same model and settings, however often it is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.languages import Direction
from alma_cli.core.model_files import resolve_model
from alma_cli.core.recipe import DecodingSettings
from alma_cli.decoding.origin import origin_of
from alma_cli.decoding.session import Session
from alma_cli.decoding.translator import Translation, Translator

DE_EN = Direction("de", "en")
SETTINGS = DecodingSettings(beams=1, max_new_tokens=6)
SOURCES = ("Hund", "Die Katze", "Das Haus")


class Model:
    """A model directory, and the sources that have gone through it."""

    def __init__(self, directory: Path) -> None:
        self.files = resolve_model(str(directory))
        self.loaded = 0

    def load(self) -> Translator:
        self.loaded += 1
        return Translator.load(self.files, SETTINGS)

    def session(self, journals: Path | None, settings: DecodingSettings = SETTINGS, **more: Any) -> Session:
        def origin(direction: Direction, settings: DecodingSettings) -> dict[str, Any]:
            return origin_of(self.files, direction, settings, "alma")

        return Session(self.load, origin, settings, journals=journals, **more)


@pytest.fixture
def model(tmp_path: Path, lively_model: Path) -> Model:
    return Model(Path(shutil.copytree(lively_model, tmp_path / "model")))


def by_source(translations: Iterator[Translation]) -> dict[str, str]:
    return {SOURCES[translation.index]: translation.text for translation in translations}


def test_a_later_session_knows_what_an_earlier_one_made(tmp_path: Path, model: Model) -> None:
    made = by_source(model.session(tmp_path / "journals").translate(SOURCES, DE_EN))

    known = model.session(tmp_path / "journals").known([*SOURCES, "Maus"], DE_EN)

    assert {source: kept.text for source, kept in known.items()} == made
    assert len(made) == 3
    assert model.loaded == 1


def test_what_is_on_disk_is_what_came_out_so_far(tmp_path: Path, model: Model) -> None:
    running = model.session(tmp_path / "journals").translate(SOURCES, DE_EN)
    first = next(running)

    known = model.session(tmp_path / "journals").known(SOURCES, DE_EN)

    assert known[SOURCES[first.index]].text == first.text


@pytest.mark.parametrize("change", [{"beams": 2}, {"max_new_tokens": 5}, {"length_penalty": 0.5}])
def test_other_settings_know_nothing(tmp_path: Path, model: Model, change: dict[str, Any]) -> None:
    list(model.session(tmp_path / "journals").translate(SOURCES, DE_EN))

    other = SETTINGS.model_copy(update=change)

    assert model.session(tmp_path / "journals").known(SOURCES, DE_EN, other) == {}


def test_other_weights_in_the_same_place_know_nothing(tmp_path: Path, model: Model, tiny_model: Path) -> None:
    list(model.session(tmp_path / "journals").translate(SOURCES, DE_EN))
    shutil.copytree(tiny_model, model.files.weights, dirs_exist_ok=True)

    assert model.session(tmp_path / "journals").known(SOURCES, DE_EN) == {}


def test_the_same_weights_in_another_place_know_all(tmp_path: Path, model: Model) -> None:
    list(model.session(tmp_path / "journals").translate(SOURCES, DE_EN))
    moved = Model(Path(shutil.copytree(model.files.weights, tmp_path / "moved", copy_function=shutil.copyfile)))

    assert len(moved.session(tmp_path / "journals").known(SOURCES, DE_EN)) == 3


def test_without_resuming_only_this_session_counts(tmp_path: Path, model: Model) -> None:
    list(model.session(tmp_path / "journals").translate(SOURCES, DE_EN))
    again = model.session(tmp_path / "journals", resume=False)

    assert again.known(SOURCES, DE_EN) == {}
    assert len(by_source(again.translate(SOURCES[:2], DE_EN))) == 2
    assert again.known(SOURCES, DE_EN).keys() == set(SOURCES[:2])


def test_without_a_journal_only_this_session_counts(model: Model) -> None:
    session = model.session(None)
    list(session.translate(SOURCES, DE_EN))

    assert session.known(SOURCES, DE_EN).keys() == set(SOURCES)
    assert model.session(None).known(SOURCES, DE_EN) == {}


def test_nothing_to_translate_loads_no_model(tmp_path: Path, model: Model) -> None:
    assert list(model.session(tmp_path / "journals").translate([], DE_EN)) == []
    assert model.loaded == 0
