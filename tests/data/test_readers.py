"""Every format yields its records, and marks what it cannot read."""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.data.files import Unreadable, existing_file, read_json, read_lines
from alma_cli.data.readers import (
    Pair,
    read_hub_documents,
    read_hub_pairs,
    read_json_documents,
    read_json_pairs,
    read_line_pairs,
    read_text_documents,
    read_tsv_pairs,
)
from alma_cli.errors import InputError, MachineError

DE_EN = Direction("de", "en")
HALLO = Pair(DE_EN, "Hallo", "Hello")


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        ("a\u2028b\x85c\x0cd\n".encode(), ["a\u2028b\x85c\x0cd"]),
        (b"a\n\xff\xfe\nb\n", ["a", Unreadable("invalid_utf8"), "b"]),
        (b"caf\xc3\nb\n", [Unreadable("invalid_utf8"), "b"]),
    ],
)
def test_lines_end_at_line_feeds_only_and_bad_bytes_are_marked(
    tmp_path: Path, content: bytes, lines: list[str | Unreadable]
) -> None:
    assert list(read_lines(write(tmp_path / "a.txt", content))) == lines


def test_lines_longer_than_a_chunk_stay_whole(tmp_path: Path) -> None:
    long_line = "ü" * 1_500_000
    assert list(read_lines(write(tmp_path / "a.txt", f"{long_line}\nb\n"))) == [long_line, "b"]


def test_gzip_is_read_by_its_ending(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt.gz", gzip.compress(b"a\nb\n") + gzip.compress(b"c\n"))
    assert list(read_lines(path)) == ["a", "b", "c"]


def test_zstandard_is_read_by_its_ending_over_all_frames(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = write(tmp_path / "a.txt.zst", zstandard.compress(b"a\nb\n") + zstandard.compress(b"c\n"))
    assert list(read_lines(path)) == ["a", "b", "c"]


def test_zstandard_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path = write(tmp_path / "a.txt.zst", b"x")
    with pytest.raises(MachineError, match=r"a\.txt\.zst needs the package zstandard \(pip install zstandard\)"):
        list(read_lines(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.gz", gzip.compress(b"text\n" * 500)[:-12]), ("a.gz", b"no gzip"), ("a.zst", b"no zstandard, but some text")],
)
def test_damaged_archives_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(InputError, match=rf"{name} cannot be decompressed: .*download or compress it again"):
        list(read_lines(path))


def test_cut_off_zstandard_is_no_shorter_file(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = write(tmp_path / "a.zst", zstandard.compress(b"text\n" * 500)[:-4])
    with pytest.raises(InputError, match="the file ends in the middle"):
        list(read_lines(path))


def test_missing_files_are_named_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "news.de-en.tsv", "")
    with pytest.raises(InputError, match=r"new\.de-en\.tsv' does not exist \(did you mean 'news\.de-en\.tsv'\?\)"):
        existing_file(tmp_path / "new.de-en.tsv")
    with pytest.raises(InputError, match="there is no folder"):
        existing_file(tmp_path / "nowhere" / "a.tsv")


@pytest.mark.parametrize("content", ['[{"a": 1}, {"a": 2}]', '\n [{"a": 1},\n{"a": 2}]', '{"a": 1}\n{"a": 2}\n'])
def test_json_is_read_as_one_array_or_one_value_a_line(tmp_path: Path, content: str) -> None:
    assert list(read_json(write(tmp_path / "a.json", content))) == [{"a": 1}, {"a": 2}]
    assert list(read_json(write(tmp_path / "a.json", b"\xef\xbb\xbf" + content.encode()))) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"a": 1},\n{"a": }]', "line 2 column 7 is not JSON: Expecting value"),
        ('[{"a": 1}', "line 1 column 10 is not JSON: Expecting ',' delimiter"),
        (b'["\xff"]', "is not UTF-8 \\(byte 2\\)"),
        ("[" * 200_000, "is not JSON that can be read"),
    ],
)
def test_a_broken_json_array_is_named_with_its_line(tmp_path: Path, content: bytes | str, message: str) -> None:
    path = write(tmp_path / "a.json", content)
    with pytest.raises(InputError, match=rf"a\.json {message}"):
        list(read_json(path))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty"),
        ("{", "invalid_json"),
        ('{"a":' * 100_000, "invalid_json"),
        ("1" * 10_000, "invalid_json"),
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
def test_json_lines_without_a_pair_are_marked(
    tmp_path: Path, line: str, reason: str, direction: Direction | None
) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"de": "x", "en": "y"}}\n{line}\n')
    assert list(read_json_pairs(path, direction))[1] == Unreadable(reason)


@pytest.mark.parametrize(
    ("row", "pair"),
    [
        ({"translation": {"de": "Hallo", "en": "Hello"}, "id": 7}, HALLO),
        ({"de": "Hallo", "en": "Hello", "score": 0.5}, HALLO),
        ({"direction": "de-en", "source": "Hallo", "target": "Hello"}, Pair(DE_EN, "Hallo", "Hello", directed=True)),
    ],
)
@pytest.mark.parametrize("direction", [DE_EN, None])
def test_json_objects_of_three_shapes_are_pairs(
    tmp_path: Path, row: dict[str, object], pair: Pair, direction: Direction | None
) -> None:
    assert list(read_json_pairs(write(tmp_path / "a.jsonl", json.dumps(row)), direction)) == [pair]


def test_tsv_has_two_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b'Hallo\tHello\none\nx\ty\tz\n\n\xff\tb\n"q\t"r\n')
    assert list(read_tsv_pairs(path, DE_EN)) == [
        HALLO,
        Unreadable("wrong_columns"),
        Unreadable("wrong_columns"),
        Unreadable("empty"),
        Unreadable("invalid_utf8"),
        Pair(DE_EN, '"q', '"r'),
    ]


def test_aligned_lines_drop_the_pair_of_a_bad_line_and_stay_aligned(tmp_path: Path) -> None:
    source = write(tmp_path / "a.de", b"eins\n\xff\ndrei\n")
    target = write(tmp_path / "a.en", b"one\ntwo\nthree\n")
    assert list(read_line_pairs(source, target, DE_EN)) == [
        Pair(DE_EN, "eins", "one"),
        Unreadable("invalid_utf8"),
        Pair(DE_EN, "drei", "three"),
    ]


def test_unequal_line_counts_name_both_files_and_where_the_shorter_ends(tmp_path: Path) -> None:
    source, target = write(tmp_path / "a.de", "1\n2\n3\n"), write(tmp_path / "a.en", "1\n2\n3\n4\n5\n")
    with pytest.raises(InputError, match=r"a\.de has 3 lines and .*a\.en 5: a\.de ends after line 3 \(line n of one"):
        list(read_line_pairs(source, target, DE_EN))


def test_documents_come_from_lines_and_from_a_json_field(tmp_path: Path) -> None:
    text = write(tmp_path / "a.txt", "eins\n\nzwei\n")
    lines = write(tmp_path / "a.jsonl", '{"content": "a\\nb"}\n{"text": "c"}\n')
    assert list(read_text_documents(text, "de")) == [Document("de", t) for t in ("eins", "", "zwei")]
    assert list(read_json_documents(lines, "de", "content")) == [Document("de", "a\nb"), Unreadable("missing_field")]


def test_a_local_folder_is_read_as_a_hub_dataset(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", '{"translation": {"de": "Hallo", "en": "Hello"}}\n')
    assert list(read_hub_pairs(str(tmp_path), None, "train", DE_EN)) == [HALLO]
    with pytest.raises(InputError, match="Bad split: validation"):
        list(read_hub_pairs(str(tmp_path), None, "valid", DE_EN))


def test_a_pattern_names_json_files_of_a_dataset(tmp_path: Path) -> None:
    write(tmp_path / "part_1.jsonl", '{"content": "Hallo"}\n')
    found = read_hub_documents(f"{tmp_path}/*.jsonl", None, "de", "content")
    assert list(found) == [Document("de", "Hallo")]


def test_a_published_test_set_has_the_pair_under_its_direction_and_serves_that_one_only(tmp_path: Path) -> None:
    write(tmp_path / "test.jsonl", '{"de-en": {"de": "Hallo", "en": "Hello"}}\n')
    assert list(read_hub_pairs(str(tmp_path), None, "test", DE_EN)) == [replace(HALLO, directed=True)]


def test_a_hub_dataset_without_a_network_says_to_download_it(monkeypatch: pytest.MonkeyPatch) -> None:
    config = pytest.importorskip("datasets").config
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        MachineError, match=r"'wmt/wmt16' cannot be read from the .* hub: .*\(download it .*--source PATH\)"
    ):
        list(read_hub_pairs("wmt/wmt16", "de-en", "train", DE_EN))
