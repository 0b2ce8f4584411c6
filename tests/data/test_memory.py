"""A translation memory is read from any file of sentence pairs, in whichever order it has the languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alma_cli.core.languages import Direction
from alma_cli.data.memory import read_memory
from alma_cli.errors import AlmaError, InputError

DE_EN = Direction("de", "en")
TMX = """<?xml version="1.0"?><tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en-US"><seg>Good <bpt i="1">&lt;b></bpt>day<ept i="1">&lt;/b></ept></seg></tuv>
<tuv xml:lang="de"><seg>Guten Tag</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Thanks</seg></tuv><tuv xml:lang="fr"><seg>Merci</seg></tuv></tu>
</body></tmx>"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("memory.tsv", "Guten Tag\tGood day\n"),
        ("memory.de-en.tsv", "Guten Tag\tGood day\n"),
        ("memory.en-de.tsv", "Good day\tGuten Tag\n"),
        ("memory.tsv", "en\tde\nGood day\tGuten Tag\n"),
        ("memory.csv", "source,target\nGuten Tag,Good day\n"),
        ("memory.tmx", TMX),
        ("memory.jsonl", json.dumps({"translation": {"en": "Good day", "de": "Guten Tag"}})),
        ("memory.jsonl", json.dumps({"direction": "en-de", "source": "Good day", "target": "Guten Tag"})),
        ("memory.en-de.jsonl", json.dumps({"de": "Guten Tag", "en": "Good day"})),
        ("memory.tsv", "Guten Tag\u2028\tGood day \n"),
    ],
)
def test_pairs_are_read_source_first(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")

    assert read_memory(tmp_path / name, DE_EN).pairs == (("Guten Tag", "Good day"),)


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "memory.tsv"
    path.write_text("Guten Tag\tGood day\nallein\n \t \nJa\t \n", encoding="utf-8")

    memory = read_memory(path, DE_EN)

    assert memory.pairs == (("Guten Tag", "Good day"),)
    assert memory.left_out == {"wrong_columns": 1, "empty": 2}


def test_a_file_without_such_pairs_says_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "memory.tmx"
    path.write_text(TMX, encoding="utf-8")

    with pytest.raises(InputError, match=r"memory\.tmx' has no pairs in cs-en \(2 other language\)"):
        read_memory(path, Direction("cs", "en"))


@pytest.mark.parametrize(
    ("name", "message"), [("none.tsv", "does not exist"), ("memory.doc", "does not tell its format")]
)
def test_what_cannot_be_read_is_an_error_of_one_line(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "memory.doc").write_text("x")

    with pytest.raises(AlmaError, match=message):
        read_memory(tmp_path / name, DE_EN)
