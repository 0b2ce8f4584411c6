"""A small recipe and corpora that each test of prepare writes for itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.recipe import LoadedRecipe, Recipe

MakeRecipe = Callable[..., LoadedRecipe]

# Of each part of a sentence, 13 ways to say it in German and in English.
SUBJECTS = (
    ("Die alte Lehrerin", "The old teacher"), ("Mein Bruder", "My brother"), ("Der Bäcker", "The baker"),
    ("Unsere Nachbarin", "Our neighbour"), ("Ein fremder Gast", "A strange guest"), ("Das Kind", "The child"),
    ("Der Richter", "The judge"), ("Eine junge Ärztin", "A young doctor"), ("Der Kapitän", "The captain"),
    ("Deine Tante", "Your aunt"), ("Niemand", "Nobody"), ("Der müde Gärtner", "The tired gardener"),
    ("Die Königin", "The queen"),
)  # fmt: skip
VERBS = (
    ("kauft", "buys"), ("verliert", "loses"), ("sucht", "looks for"), ("verschenkt", "gives away"),
    ("findet", "finds"), ("vergisst", "forgets"), ("bewundert", "admires"), ("zeichnet", "draws"),
    ("versteckt", "hides"), ("verkauft", "sells"), ("braucht", "needs"), ("holt", "fetches"), ("bemerkt", "notices"),
)  # fmt: skip
TIMES = (
    ("am frühen Morgen", "in the early morning"), ("im Winter", "in winter"), ("jeden Freitag", "every Friday"),
    ("nach dem Essen", "after the meal"), ("um Mitternacht", "at midnight"), ("seit gestern", "since yesterday"),
    ("vor Weihnachten", "before Christmas"), ("in den Ferien", "during the holidays"), ("bei Regen", "when it rains"),
    ("zum ersten Mal", "for the first time"), ("heimlich", "secretly"), ("ohne Eile", "without haste"),
    ("mit großer Freude", "with great joy"),
)  # fmt: skip
OBJECTS = (
    ("einen roten Regenschirm", "a red umbrella"), ("das dicke Wörterbuch", "the thick dictionary"),
    ("eine Flasche Wein", "a bottle of wine"), ("den kleinen Schlüssel", "the small key"),
    ("ein Stück Kuchen", "a piece of cake"), ("die verstaubte Geige", "the dusty violin"),
    ("zwei warme Decken", "two warm blankets"), ("den letzten Brief", "the last letter"),
    ("eine silberne Uhr", "a silver watch"), ("das Fahrrad", "the bicycle"), ("frische Blumen", "fresh flowers"),
    ("einen Sack Kartoffeln", "a sack of potatoes"), ("die Landkarte", "the map"),
)  # fmt: skip
PLACES = (
    ("auf dem Markt", "at the market"), ("hinter der Scheune", "behind the barn"), ("im Zug nach Wien", "on the train"),
    ("unter der Brücke", "under the bridge"), ("am Hafen", "at the harbour"), ("in der Küche", "in the kitchen"),
    ("neben dem Brunnen", "next to the well"), ("vor dem Rathaus", "in front of the town hall"),
    ("auf einer Insel", "on an island"), ("im Schloss", "in the castle"), ("bei den Eltern", "at the parents' house"),
    ("am Rande des Waldes", "at the edge of the forest"), ("in einem Zelt", "in a tent"),
)  # fmt: skip

Choice = tuple[int, int, int, int, int]


def sentence(choice: Choice) -> tuple[str, str]:
    """A German sentence of these parts, and its translation."""
    subject, verb, time, thing, place = (
        part[number] for part, number in zip((SUBJECTS, VERBS, TIMES, OBJECTS, PLACES), choice, strict=True)
    )
    return (
        f"{subject[0]} {verb[0]} {time[0]} {thing[0]} {place[0]}.",
        f"{subject[1]} {verb[1]} {thing[1]} {place[1]} {time[1]}.",
    )


def sentences(count: int, start: int = 0) -> list[tuple[str, str]]:
    """Sentences that are really different: any two of the 2,197 that there are differ in three of their five parts."""
    every = product(range(13), repeat=3)
    choices = [(a, b, c, (a + b + c) % 13, (a + 2 * b + 4 * c) % 13) for a, b, c in every]
    random.Random(1).shuffle(choices)
    assert start + count <= len(choices), f"{start=} {count=}"
    return [sentence(choice) for choice in choices[start : start + count]]


def random_sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Sentences as they come, equal and nearly equal ones among them."""
    chance = random.Random(seed)
    numbers = [chance.choices(range(13), k=5) for _ in range(count)]
    return [sentence((a, b, c, d, e)) for a, b, c, d, e in numbers]


def write_tsv(path: Path, rows: Iterable[tuple[str, str]]) -> Path:
    """A file with a pair a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{source}\t{target}\n" for source, target in rows), encoding="utf-8")
    return path


def written(data: Path) -> dict[str, bytes]:
    """All that the preparation left for later steps: the bytes of each file below the data directory."""
    files = (path for path in sorted(data.rglob("*")) if path.is_file())
    return {str(path.relative_to(data)): path.read_bytes() for path in files if ".cleaned" not in path.parts}


@pytest.fixture
def make_recipe(tmp_path: Path) -> MakeRecipe:
    """A recipe whose relative paths are in the test's own folder."""

    def make(*sources: dict[str, Any], directions: tuple[str, ...] = ("de-en", "en-de"), **data: Any) -> LoadedRecipe:
        content = {
            "name": "test",
            "model": "tiny",
            "directions": directions,
            "data": {"parallel": {"sources": sources, **data}},
        }
        return LoadedRecipe(recipe=Recipe.model_validate(content), origin="test", directory=tmp_path)

    return make


@pytest.fixture
def make_mono_recipe(tmp_path: Path) -> MakeRecipe:
    """The same with monolingual sources."""

    def make(*sources: dict[str, Any], **data: Any) -> LoadedRecipe:
        content = {
            "name": "test",
            "model": "tiny",
            "directions": ("de-en", "en-de"),
            "data": {"mono": {"sources": sources, **data}},
            "stages": {"mono": {}},
        }
        return LoadedRecipe(recipe=Recipe.model_validate(content), origin="test", directory=tmp_path)

    return make


@pytest.fixture
def make_whole_recipe(tmp_path: Path) -> MakeRecipe:
    """A recipe of both stages, with the content of its table `data`."""

    def make(mono: dict[str, Any], parallel: dict[str, Any], **data: Any) -> LoadedRecipe:
        content = {
            "name": "test",
            "model": "tiny",
            "directions": ("de-en", "en-de"),
            "data": {"mono": mono, "parallel": parallel, **data},
            "stages": {"mono": {}, "parallel": {}},
        }
        return LoadedRecipe(recipe=Recipe.model_validate(content), origin="test", directory=tmp_path)

    return make
