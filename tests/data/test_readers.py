"""Lines, tables and JSON yield their records, mark what they cannot read, and read the same in blocks of any size."""

from __future__ import annotations

import gzip
import json
import lzma
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.data.files import existing_file, numbered_lines
from alma_cli.data.readers.json_values import JsonDocuments, JsonPairs
from alma_cli.data.readers.lines import LinePairs, TextDocuments
from alma_cli.data.readers.shapes import PairShape
from alma_cli.data.readers.tables import CsvPairs, TsvPairs
from alma_cli.data.records import Pair, Reader, Row, Unreadable, rows_of
from alma_cli.errors import InputError

DE_EN = Direction("de", "en")
HALLO = Pair(DE_EN, "Hallo", "Hello")
INVALID = Unreadable("invalid_utf8", "�")


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def placed(reader: Reader) -> list[tuple[int, Row]]:
    return [row for block in reader.blocks() for row in reader.rows(block)]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\0b\n", ["a\0b"]),
        ("a\u2028b\x85c\x0cd\n".encode(), ["a\u2028b\x85c\x0cd"]),
        (b"a\n\xff\nb\r\n", ["a", INVALID, "b"]),
        (b"caf\xc3\nb\n", [Unreadable("invalid_utf8", "caf�"), "b"]),
    ],
)
def test_lines_end_at_line_feeds_only_and_bad_bytes_are_marked(
    tmp_path: Path, content: bytes, lines: list[str | Unreadable]
) -> None:
    path = write(tmp_path / "a.txt", content)
    assert list(numbered_lines(path)) == list(enumerate(lines, 1))


def test_lines_longer_than_a_block_stay_whole(tmp_path: Path) -> None:
    long_line = "ü" * 5_000_000
    path = write(tmp_path / "a.txt", f"a\n{long_line}\nb\n")
    assert list(rows_of(TextDocuments(path, "de"))) == [Document("de", text) for text in ("a", long_line, "b")]


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "xz": lzma.compress}


@pytest.mark.parametrize("ending", COMPRESSED)
def test_archives_are_read_by_their_ending_over_all_parts(tmp_path: Path, ending: str) -> None:
    compress = COMPRESSED[ending]
    path = write(tmp_path / f"a.txt.{ending}", compress(b"a\nb") + compress(b"c\n") + compress(b"d\n"))
    assert [line for _, line in numbered_lines(path)] == ["a", "bc", "d"]


def test_zstandard_is_read_by_its_ending_over_all_frames(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = write(tmp_path / "a.txt.zst", zstandard.compress(b"a\nb") + zstandard.compress(b"c\n"))
    assert [line for _, line in numbered_lines(path)] == ["a", "bc"]


def test_missing_files_are_named_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "news.de-en.tsv", "")
    with pytest.raises(InputError, match=r"new\.de-en\.tsv' does not exist \(did you mean 'news\.de-en\.tsv'\?\)"):
        existing_file(tmp_path / "new.de-en.tsv")
    with pytest.raises(InputError, match="there is no folder"):
        existing_file(tmp_path / "nowhere" / "a.tsv")
    with pytest.raises(InputError, match="is a folder, not a file"):
        existing_file(tmp_path)


@pytest.mark.parametrize(
    "content", ['[{"a": "1"}, {"a": "2"}]', '\n [{"a": "1"},\n{"a":\n"2"}]\n ', '{"a": "1"}\n{"a": "2"}\n']
)
def test_json_is_read_as_one_array_or_one_value_a_line(tmp_path: Path, content: str) -> None:
    documents = [(1, Document("de", "1")), (2, Document("de", "2"))]
    assert placed(JsonDocuments(write(tmp_path / "a.json", content), "de", "a")) == documents
    with_bom = write(tmp_path / "b.json", b"\xef\xbb\xbf" + content.encode())
    assert placed(JsonDocuments(with_bom, "de", "a")) == documents


@pytest.mark.parametrize("content", ["[]", " [ ]\n", ""])
def test_an_empty_array_or_file_has_no_records(tmp_path: Path, content: str) -> None:
    assert placed(JsonPairs(write(tmp_path / "a.json", content))) == []


def test_an_array_is_read_piece_by_piece_wherever_the_pieces_end(tmp_path: Path) -> None:
    texts = [f"{number} {'äö中' * (number % 700)}" for number in range(6_000)]  # 15 MB, so 15 pieces
    path = write(tmp_path / "a.json", json.dumps([{"text": text} for text in texts], ensure_ascii=False, indent=1))
    assert path.stat().st_size > 10 << 20
    assert [row.text for row in rows_of(JsonDocuments(path, "zh", "text")) if isinstance(row, Document)] == texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"a": 1},\n{"a": }]', "line 2 column 7 is not JSON: Expecting value"),
        ('[{"a": 1}', "line 1 column 10 is not JSON: Expecting ',' or ']'"),
        ('[{"a": 1}] [', "line 1 column 12 is not JSON: Extra data"),
        ('[{"a": 1},]', "line 1 column 11 is not JSON: Expecting value"),
        (b'[1,\n"\xff"]', "line 2 is not UTF-8"),
        (b'["\xc3', "line 1 is not UTF-8"),
    ],
)
def test_a_broken_json_array_is_named_with_its_line(tmp_path: Path, content: bytes | str, message: str) -> None:
    path = write(tmp_path / "a.json", content)
    with pytest.raises(InputError, match=rf"a\.json {message}"):
        placed(JsonPairs(path))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty"),
        ("{", "invalid_json"),
        ('{"a":' * 100_000, "invalid_json"),
        ("1" * 10_000, "invalid_json"),
        ("\0", "invalid_json"),
        ("null", "missing_field"),
        ("[1]", "missing_field"),
        ('{"translation": {"de": "Hallo"}}', "missing_field"),
        ('{"translation": {"de": "Hallo", "en": null}}', "missing_field"),
        ('{"translation": "Hallo"}', "missing_field"),
        ('{"direction": "xx-en", "source": "a", "target": "b"}', "missing_field"),
        ('{"direction": "de-en", "source": "a", "target": 1}', "missing_field"),
    ],
)
@pytest.mark.parametrize("direction", [DE_EN, None])
def test_json_lines_without_a_pair_are_marked_with_what_is_there(
    tmp_path: Path, line: str, reason: str, direction: Direction | None
) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"de": "x", "en": "y"}}\n{line}\n')
    place, row = placed(JsonPairs(path, PairShape(direction)))[1]
    assert place == 2
    assert isinstance(row, Unreadable)
    assert row.reason == reason
    assert bool(row.text) == bool(line)


@pytest.mark.parametrize(
    ("row", "pair"),
    [
        ({"translation": {"de": "Hallo", "en": "Hello"}, "id": 7}, HALLO),
        ({"de": "Hallo", "en": "Hello", "score": 0.5}, HALLO),
        ({"direction": "de-en", "source": "Hallo", "target": "Hello"}, replace(HALLO, directed=True)),
    ],
)
@pytest.mark.parametrize("direction", [DE_EN, None])
def test_json_objects_of_three_shapes_are_pairs(
    tmp_path: Path, row: dict[str, object], pair: Pair, direction: Direction | None
) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps(row))
    assert list(rows_of(JsonPairs(path, PairShape(direction)))) == [pair]


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"src": "Hallo", "mt": "Hello"}, ("src", "mt")),
        ({"translation": {"german": "Hallo", "english": "Hello"}}, ("translation.german", "translation.english")),
        ({"a.b": "Hallo", "c": {"d": {"e": "Hello"}}}, ("a.b", "c.d.e")),
    ],
)
def test_any_fields_of_json_objects_can_be_chosen(
    tmp_path: Path, row: dict[str, object], fields: tuple[str, str]
) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps(row) + '\n{"src": 1, "c": "x"}\n')
    rows = list(rows_of(JsonPairs(path, PairShape(DE_EN, fields))))
    assert rows == [HALLO, Unreadable("missing_field", "{'src': 1, 'c': 'x'}")]


def test_documents_of_oscar_are_its_content_whatever_is_said_about_it(tmp_path: Path) -> None:
    row = {
        "content": "Erste Zeile\nZweite",
        "warc_headers": {"warc-target-uri": "https://example.org", "content-length": "17"},
        "metadata": {"identification": {"label": "de", "prob": 0.99}, "quality_warnings": None, "categories": []},
    }
    path = write(tmp_path / "de_part_1.jsonl", json.dumps(row) + "\n")
    assert list(rows_of(JsonDocuments(path, "de", "content"))) == [Document("de", "Erste Zeile\nZweite")]


def test_tsv_has_two_columns_and_nothing_is_quoted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b'Hallo\tHello\none\nx\ty\tz\n\n\xff\tb\n"q\t"r\n')
    assert placed(TsvPairs.of(path, DE_EN)) == [
        (1, HALLO),
        (2, Unreadable("wrong_columns", "one")),
        (3, Unreadable("wrong_columns", "x\ty\tz")),
        (4, Unreadable("empty")),
        (5, Unreadable("invalid_utf8", "�\tb")),
        (6, Pair(DE_EN, '"q', '"r')),
    ]


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("0.9\tHallo\tx\tHello\n", ("2", "4")),
        ("score\tDE\tx\tEN\n0.9\tHallo\tx\tHello\n", ("de", "en")),
        ("score\tde\tx\ten\n0.9\tHallo\tx\tHello\n", None),
        ("source\ttarget\nHallo\tHello\n", None),
    ],
)
def test_columns_are_chosen_by_number_by_name_or_by_the_first_line(
    tmp_path: Path, content: str, fields: tuple[str, str] | None
) -> None:
    assert list(rows_of(TsvPairs.of(write(tmp_path / "a.tsv", content), DE_EN, fields))) == [HALLO]
    commas = write(tmp_path / "a.csv", content.replace("\t", ","))
    assert list(rows_of(CsvPairs.of(commas, DE_EN, fields))) == [HALLO]


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "german,english\nHallo,Hello\n")
    with pytest.raises(InputError, match=r"a\.csv has no column 'germn' in its first line \(did you mean 'german'\?\)"):
        CsvPairs.of(path, DE_EN, ("germn", "english"))


def test_csv_cells_between_quotes_may_have_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'Hallo,Hello\r\n"Ja, ""gut""\r\nso","Yes, ""good"""\r\n\r\none\r\nx,y\r\n')
    assert placed(CsvPairs.of(path, DE_EN)) == [
        (1, HALLO),
        (2, Pair(DE_EN, 'Ja, "gut"\nso', 'Yes, "good"')),
        (4, Unreadable("empty")),
        (5, Unreadable("wrong_columns", "one")),
        (6, Pair(DE_EN, "x", "y")),
    ]


def test_a_csv_of_semicolons_is_read_as_excel_writes_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "\ufeffde;en\r\nHallo;Hello\r\n")
    assert list(rows_of(CsvPairs.of(path, DE_EN))) == [HALLO]


def test_a_stray_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'a,b\n"stray,c\nd,e\n\xff,x\nf,"g"\nh,"i\n')
    assert placed(CsvPairs.of(path, DE_EN)) == [
        (1, Pair(DE_EN, "a", "b")),
        (2, Unreadable("invalid_csv", '"stray,c')),
        (3, Pair(DE_EN, "d", "e")),
        (4, Unreadable("invalid_utf8", "�,x")),
        (5, Pair(DE_EN, "f", "g")),
        (6, Unreadable("invalid_csv", 'h,"i')),
    ]


def test_aligned_lines_drop_the_pair_of_a_bad_line_and_stay_aligned(tmp_path: Path) -> None:
    source = write(tmp_path / "a.de", b"eins\n\xff\ndrei\n")
    target = write(tmp_path / "a.en", b"one\ntwo\nthree")
    assert placed(LinePairs(source, target, DE_EN)) == [
        (1, Pair(DE_EN, "eins", "one")),
        (2, INVALID),
        (3, Pair(DE_EN, "drei", "three")),
    ]


def test_unequal_line_counts_name_both_files_and_where_the_shorter_ends(tmp_path: Path) -> None:
    source, target = write(tmp_path / "a.de", "1\n2\n3\n"), write(tmp_path / "a.en", "1\n2\n3\n4\n5\n")
    message = r"a\.de has 3 lines and .*a\.en 5: a\.de ends after line 3 \(line n of one"
    with pytest.raises(InputError, match=message):
        placed(LinePairs(source, target, DE_EN))
    with pytest.raises(InputError, match=message):
        placed(LinePairs(source, target, DE_EN, block_bytes=2))


def _text(path: Path) -> Reader:
    return TextDocuments(write(path, "eins\n\nzwei\r\n" + "drei " * 19 + "\nvier"), "de")


def _couple(path: Path) -> Reader:
    source = write(path.with_suffix(".de"), "".join(f"{'s' * (n % 7)}{n}\n" for n in range(40)))
    target = write(path.with_suffix(".en"), "".join(f"{'t' * (n % 11)}{n}\n" for n in range(40)))
    return LinePairs(source, target, DE_EN)


def _tsv(path: Path) -> Reader:
    return TsvPairs.of(write(path, "de\ten\n" + "Hallo\tHello\nschief\n" * 9), DE_EN)


def _csv(path: Path) -> Reader:
    return CsvPairs.of(write(path, 'de,en\n"Ha\nllo",Hello\n"offen,x\nGut,Good\n' * 3), DE_EN)


def _json_lines(path: Path) -> Reader:
    return JsonPairs(write(path, '{"de": "Hallo", "en": "Hello"}\n{"de": 1}\n\n' * 5))


def _json_array(path: Path) -> Reader:
    return JsonPairs(write(path, json.dumps([{"de": "Hallo", "en": "Hello"}, {"de": 1}] * 5, indent=2)))


@pytest.mark.parametrize("make", [_text, _couple, _tsv, _csv, _json_lines, _json_array])
@pytest.mark.parametrize("block_bytes", [1, 7, 64])
def test_records_and_their_places_do_not_depend_on_the_blocks_size(
    tmp_path: Path, make: Callable[[Path], Reader], block_bytes: int
) -> None:
    whole = make(tmp_path / "a.file")
    parts = replace(whole, block_bytes=block_bytes)  # type: ignore[type-var]
    assert placed(parts) == placed(whole)
    assert len(list(parts.blocks())) > len(list(whole.blocks())) == 1
    assert list(parts.blocks()) == list(parts.blocks())


@pytest.mark.parametrize("make", [_text, _couple, _tsv, _csv, _json_lines, _json_array])
def test_readers_and_blocks_travel_to_other_processes(tmp_path: Path, make: Callable[[Path], Reader]) -> None:
    reader = make(tmp_path / "a.file")
    copy: Reader = pickle.loads(pickle.dumps(reader))
    blocks = pickle.loads(pickle.dumps(list(reader.blocks())))
    assert copy == reader
    assert [row for block in blocks for row in copy.rows(block)] == placed(reader)
