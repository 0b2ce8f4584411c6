"""Few-shot examples are of usual length, whole, unlike each other, and come back from their files as they were."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from alma_cli.core.dataset import Example
from alma_cli.core.languages import Direction
from alma_cli.data.shots import choose_shots, read_shots, shots_by_direction, write_shots
from alma_cli.errors import InputError

DE_EN, EN_ZH = Direction("de", "en"), Direction("en", "zh")

# Ten sentences that have nothing in common, about 40 characters on each side.
USUAL = [
    Example(DE_EN, source, target)
    for source, target in (
        ("Der Hund schläft heute vor dem Kamin.", "Today the dog sleeps by the fireplace."),
        ("Meine Schwester backt jeden Sonntag Brot.", "My sister bakes bread every Sunday."),
        ("Wann fährt der letzte Zug nach Hamburg ab?", "When does the last train to Hamburg leave?"),
        ("Das Museum bleibt wegen Umbaus geschlossen.", "The museum stays closed for rebuilding."),
        ("Bitte vergiss nicht, die Blumen zu gießen!", "Please remember to water the flowers!"),
        ("Er hat sein altes Fahrrad gestern verkauft.", "Yesterday he sold his old bicycle."),
        ("Im Winter frieren die Seen oft völlig zu.", "Lakes often freeze over in winter."),
        ("Zwei Kinder spielten am Ufer mit Steinen.", "Two children played with stones ashore."),
        ("Unser Lehrer erzählt gern lange Märchen.", "Our teacher likes telling long tales."),
        ("Die Polizei sucht noch nach Augenzeugen.", "Police are still looking for witnesses."),
    )
]


def example(source: str, target: str, direction: Direction = DE_EN) -> Example:
    return Example(direction, source, target)


# --- choosing -----------------------------------------------------------------------------------------------------


def test_so_many_are_chosen_and_always_the_same() -> None:
    chosen = choose_shots(USUAL, 5, 42)

    assert len(set(chosen)) == 5
    assert chosen == choose_shots(USUAL, 5, 42)
    assert set(chosen) <= set(USUAL)
    assert chosen != choose_shots(USUAL, 5, 43)


@pytest.mark.parametrize(
    "unfit",
    [
        example("Ein Fragment ohne seinen letzten Punkt", "A fragment without its last full stop."),
        example("Ist das hier wirklich noch eine Frage?", "This here is really not a question any more."),
        example("Fortsetzung folgt in der nächsten Woche:", "To be continued in the week after this one."),
        example("Das ist der Rest des Zitates von gestern.“", "That is the rest of yesterday's quote.”"),
        example("„Das ist eine ganze Rede“, sagte er leise.", "It is a whole speech, he quietly said so."),
        example("Alma Prepare Version 1.0 Release Notes.", "Alma Prepare Version 1.0 Release Notes."),
        example("", ""),
        example("   ", "A target without any source at all here."),
    ],
    ids=["no end", "question", "colon", "half a quote", "quote or none", "copied", "empty", "no source"],
)
def test_a_pair_whose_sides_do_not_go_together_is_never_chosen(unfit: Example) -> None:
    assert unfit not in choose_shots([*USUAL, unfit], 99, 42)


@pytest.mark.parametrize(
    "outlier",
    [
        example("Ja.", "Yes."),
        example("Sehr " * 60 + "gut.", "Very " * 60 + "good."),
        example("Nein, das geht ganz bestimmt nicht mehr.", "No, " + "and that is how it is, " * 4 + "no."),
    ],
    ids=["short", "long", "ratio"],
)
def test_lengths_far_from_the_usual_are_never_chosen(outlier: Example) -> None:
    assert outlier not in choose_shots([*USUAL, outlier], 99, 42)


def test_the_nearest_lengths_are_chosen_first() -> None:
    longer = [example(f"{one.source[:-1]} {one.source}", f"{one.target[:-1]} {one.target}") for one in USUAL[:3]]

    assert not set(choose_shots([*longer, *USUAL], 7, 42)) & set(longer)


def test_no_two_are_similar_on_either_side() -> None:
    copies = [example(one.source.replace("e", "ee", 1), one.target) for one in USUAL]
    other_sources = [example(one.source, other.target) for one, other in pairwise(USUAL)]

    chosen = choose_shots([*USUAL, *copies, *other_sources], 99, 42)

    assert len({one.target for one in chosen}) == len({one.source for one in chosen}) == len(chosen)
    assert len(chosen) <= len(USUAL)


def test_punctuation_is_the_same_in_every_script() -> None:
    pairs = [
        example("Where do you want to go on the weekend?", "周末你想去什么地方玩一玩呢？", EN_ZH),
        example("The weather was really nice yesterday.", "昨天的天气真的是非常好啊。", EN_ZH),
        example("“Nobody came to the meeting today.”", "“今天没有人来参加这个会议。”", EN_ZH),
    ]

    assert len(choose_shots(pairs, 3, 1)) == 3


def test_each_direction_has_its_own() -> None:
    backwards = [Example(one.direction.reverse, one.target, one.source) for one in USUAL]

    chosen = shots_by_direction([*backwards, *USUAL], 3, 42)

    assert {str(direction): len(examples) for direction, examples in chosen.items()} == {"de-en": 3, "en-de": 3}
    assert list(map(str, chosen)) == ["de-en", "en-de"]
    assert all(one.direction == direction for direction, examples in chosen.items() for one in examples)


def test_where_nothing_is_fit_nothing_is_chosen() -> None:
    assert choose_shots([], 5, 42) == []
    assert choose_shots([example("x", "y.")], 5, 42) == []
    assert choose_shots(USUAL, 0, 42) == []


# --- files --------------------------------------------------------------------------------------------------------


def test_written_and_read_they_are_the_same(tmp_path: Path) -> None:
    chosen = shots_by_direction(USUAL, 4, 42)

    [path] = write_shots(tmp_path, chosen)

    assert path == tmp_path / "shots" / "de-en.jsonl"
    assert read_shots(path) == chosen[DE_EN]
    assert list(json.loads(path.read_text(encoding="utf-8").split("\n")[0])) == ["source", "target", "direction"]
    assert [file.name for file in path.parent.iterdir()] == ["de-en.jsonl"]


def test_files_of_directions_of_before_are_gone(tmp_path: Path) -> None:
    write_shots(tmp_path, {DE_EN: USUAL[:1], EN_ZH: USUAL[1:2]})

    write_shots(tmp_path, {DE_EN: USUAL[2:3]})

    assert [file.name for file in (tmp_path / "shots").iterdir()] == ["de-en.jsonl"]


def test_the_list_of_almas_authors_is_read(tmp_path: Path) -> None:
    path = tmp_path / "shots.de-en.json"
    path.write_text(json.dumps([{"source": "Ja. ", "target": "Yes."}, {"source": "A\nB", "target": "A b"}], indent=4))

    assert read_shots(path) == [example("Ja.", "Yes."), example("A B", "A b")]


def test_all_lists_of_almas_authors_are_read(shared_data: Path) -> None:
    files = sorted((shared_data / "alma" / "human" / "HW-5-shot").iterdir())

    assert len(files) == 10
    assert [str(read_shots(file)[0].direction) for file in files] == [file.name.split(".")[1] for file in files]
    assert all(len(read_shots(file)) == 5 for file in files)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"source": "x", "target": "y"}\n', "a.jsonl' line 1 has no 'direction'"),
        ("de-en.jsonl", b'\n{"source": "x"}\n', "de-en.jsonl' line 2 has no texts 'source' and 'target'"),
        ("de-en.jsonl", b'{"source": 1, "target": "y"}', "de-en.jsonl' line 1 has no texts 'source' and 'target'"),
        ("de-en.jsonl", b"17", "de-en.jsonl' line 1 has no texts 'source' and 'target'"),
        ("de-en.jsonl", b"{oh", "de-en.jsonl' line 1 is not JSON"),
        ("de-en.json", b"[{", "de-en.json' is not JSON"),
        ("de-en.json", b"[" * 100_000, "de-en.json' is not JSON"),
        ("de-en.json", b"[]", "de-en.json' has no examples"),
        ("de-en.json", b"", "de-en.json' has no examples"),
        ("de-en.json", b'["x"]', "de-en.json' example 1 has no texts 'source' and 'target'"),
        ("de-en.jsonl", b'{"source": "x", "target": " "}', "de-en.jsonl' line 1 has an empty text"),
        ("x.jsonl", b'{"source": "x", "target": "y", "direction": "de-xx"}', "line 1: unknown language code 'xx'"),
        ("de-en.jsonl", b'{"source": "x", "target": "y"}\n\xff', "de-en.jsonl' line 2 is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_of_one_line(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(InputError) as error:
        read_shots(path)

    assert message in error.value.message
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "de-en.jsonl").write_text("")

    with pytest.raises(InputError, match=r"de-em\.jsonl' does not exist \(did you mean 'de-en\.jsonl'\?\)"):
        read_shots(tmp_path / "de-em.jsonl")
