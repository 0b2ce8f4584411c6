"""Parquet files and hub data sets yield their records, and the named collections the ones that they stand for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.data.readers.hub import FloresPairs, HubDocuments, HubPairs, PreferredPairs
from alma_cli.data.readers.parquet import ParquetDocuments, ParquetPairs
from alma_cli.data.readers.shapes import PairShape
from alma_cli.data.records import Pair, Reader, Row, Unreadable, rows_of
from alma_cli.errors import InputError, MachineError

DE_EN, EN_DE = Direction("de", "en"), Direction("en", "de")
HALLO = Pair(DE_EN, "Hallo", "Hello")


def write_table(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)
    return path


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def placed(reader: Reader) -> list[tuple[int, Row]]:
    return [row for block in reader.blocks() for row in reader.rows(block)]


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ({"translation": {"de": "Hallo", "en": "Hello"}, "id": 1}, PairShape(DE_EN)),
        ({"translation": {"de": "Hallo", "en": "Hello"}, "id": 1}, PairShape()),
        ({"id": "x", "de": "Hallo", "en": "Hello"}, PairShape(DE_EN)),
        ({"src": "Hallo", "x": "x", "mt": "Hello"}, PairShape(DE_EN, ("src", "mt"))),
        ({"pair": {"a": "Hallo", "b": "Hello"}}, PairShape(DE_EN, ("pair.a", "pair.b"))),
    ],
)
def test_parquet_rows_have_the_shapes_of_json(tmp_path: Path, row: dict[str, Any], shape: PairShape) -> None:
    path = write_table(tmp_path / "a.parquet", [row, row])
    assert placed(ParquetPairs(path, shape)) == [(1, HALLO), (2, HALLO)]


def test_a_null_in_parquet_is_a_missing_field(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", [{"de": "Hallo", "en": None}, {"de": "Hallo", "en": "Hello"}])
    assert list(rows_of(ParquetPairs(path, PairShape(DE_EN)))) == [
        Unreadable("missing_field", "{'de': 'Hallo', 'en': None}"),
        HALLO,
    ]


def test_parquet_documents_are_one_column(tmp_path: Path) -> None:
    rows = [{"url": "u", "text": "eins"}, {"url": "v", "text": "zwei"}]
    path = write_table(tmp_path / "a.parquet", rows)
    assert list(rows_of(ParquetDocuments(path, "de", "text"))) == [Document("de", "eins"), Document("de", "zwei")]
    with pytest.raises(InputError, match=r"a\.parquet has no column 'txt' \(did you mean 'text'\?\)"):
        placed(ParquetDocuments(path, "de", "txt"))


def test_parquet_without_a_pair_lists_its_columns(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", [{"german": "Hallo", "english": "Hello"}])
    with pytest.raises(InputError, match=r"a\.parquet has no column for a pair; it has german, english \(choose two"):
        placed(ParquetPairs(path, PairShape(DE_EN)))


def test_parquet_rows_do_not_depend_on_the_blocks_size(tmp_path: Path) -> None:
    rows = [{"de": f"de {n}", "en": f"en {n}" * (n % 5)} for n in range(100)]
    whole = ParquetPairs(write_table(tmp_path / "a.parquet", rows, row_group_size=30), PairShape(DE_EN))
    parts = replace(whole, block_bytes=50)
    assert placed(parts) == placed(whole)
    assert [place for place, _ in placed(whole)] == list(range(1, 101))
    assert len(list(parts.blocks())) > len(list(whole.blocks())) == 4  # a block is in one row group


def test_a_local_folder_is_read_as_a_hub_data_set(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", {"translation": {"de": "Hallo", "en": "Hello"}})
    assert placed(HubPairs(str(tmp_path), None, "train", PairShape(DE_EN))) == [(1, HALLO)]
    with pytest.raises(InputError, match="Bad split: validation"):
        placed(HubPairs(str(tmp_path), None, "validation", PairShape(DE_EN)))


def test_a_pattern_names_json_files_of_a_data_set(tmp_path: Path) -> None:
    write_rows(tmp_path / "part_1.jsonl", {"content": "Hallo", "metadata": {"label": "de"}}, {"content": None})
    found = HubDocuments(f"{tmp_path}/*.jsonl", None, "de", "content")
    assert list(rows_of(found)) == [Document("de", "Hallo"), Unreadable("missing_field", "{'content': None}")]


def test_a_published_test_set_has_the_pair_under_its_direction(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.jsonl", {"de-en": {"de": "Hallo", "en": "Hello"}})
    reader = HubPairs(str(tmp_path), None, "test", PairShape(DE_EN, directed=True))
    assert list(rows_of(reader)) == [replace(HALLO, directed=True)]


def test_a_hub_data_set_without_a_network_says_to_download_it(monkeypatch: pytest.MonkeyPatch) -> None:
    config = pytest.importorskip("datasets").config
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        MachineError, match=r"'wmt/wmt16' cannot be read from the .* hub: .*\(download it .*--source PATH\)"
    ):
        placed(HubPairs("wmt/wmt16", "de-en", "train", PairShape(DE_EN)))


def test_flores_joins_two_languages_by_the_ids_of_their_rows(tmp_path: Path) -> None:
    builder = "configs:\n"
    for name, text in (("deu_Latn", "Hallo"), ("eng_Latn", "Hello")):
        write_rows(tmp_path / name / "dev.jsonl", {"id": 1, "text": text}, {"id": 2, "text": text * 2})
        builder += f"- config_name: {name}\n  data_files:\n  - split: dev\n    path: {name}/dev.jsonl\n"
    (tmp_path / "README.md").write_text(f"---\n{builder}---\n")
    reader = FloresPairs(DE_EN, "dev", str(tmp_path))
    assert placed(reader) == [(1, HALLO), (2, Pair(DE_EN, "HalloHallo", "HelloHello"))]
    write_rows(tmp_path / "eng_Latn" / "dev.jsonl", {"id": 1, "text": "Hello"}, {"id": 3, "text": "x"})
    with pytest.raises(InputError, match="deu_Latn and eng_Latn are not aligned at row 2 of dev"):
        placed(reader)


def test_preferences_give_the_translation_that_scored_highest(tmp_path: Path) -> None:
    texts = {
        "language_pair": "de-en", "de": "Hallo", "en": "Hi", "gpt4_en": "Hello", "alma_en": "Hey", "gpt4_de": "Tag",
        "alma_de": "Na", "ref_en_kiwi_xcomet": 0.8, "gpt4_en_kiwi_xcomet": 0.9, "alma_en_kiwi_xcomet": 0.7,
        "ref_de_kiwi_xcomet": 0.95, "gpt4_de_kiwi_xcomet": 0.9, "alma_de_kiwi_xcomet": 0.9, "required_directions": "",
    }  # fmt: skip
    write_rows(
        tmp_path / "train.jsonl",
        {"translation": texts},
        {"translation": texts | {"required_directions": "en-de"}},
        {"translation": {"de": "Hallo", "en": "Hi"}},
    )
    into_english = Pair(DE_EN, "Hallo", "Hello", directed=True)
    into_german = Pair(EN_DE, "Hi", "Hallo", directed=True)
    rows = placed(PreferredPairs(str(tmp_path), None, DE_EN))
    assert rows[:3] == [(1, into_english), (1, into_german), (2, into_german)]
    assert [row.reason for _, row in rows[3:] if isinstance(row, Unreadable)] == ["missing_field", "missing_field"]
