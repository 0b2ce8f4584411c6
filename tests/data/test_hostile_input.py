"""Broken and hostile files: one line that names the file, or a reason for the record, in bounded memory and time."""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alma_cli.core.languages import Direction
from alma_cli.data.files import numbered_lines
from alma_cli.data.readers.json_values import JsonPairs
from alma_cli.data.readers.lines import LinePairs, TextDocuments
from alma_cli.data.readers.parquet import ParquetPairs
from alma_cli.data.readers.po import PoPairs
from alma_cli.data.readers.tables import CsvPairs, TsvPairs
from alma_cli.data.readers.tmx import TmxPairs
from alma_cli.data.readers.xliff import XliffPairs
from alma_cli.data.records import Pair, Reader, Unreadable, rows_of
from alma_cli.errors import InputError

DE_EN = Direction("de", "en")
TEXT = b"".join(b"line %d\n" % number for number in range(5_000))

READERS: dict[str, Callable[[Path], Reader]] = {
    "txt": lambda path: TextDocuments(path, "de"),
    "lines": lambda path: LinePairs(path, path, DE_EN),
    "tsv": lambda path: TsvPairs.of(path, DE_EN),
    "csv": lambda path: CsvPairs.of(path, DE_EN),
    "jsonl": JsonPairs,
    "tmx": lambda path: TmxPairs(path, (DE_EN,)),
    "xlf": lambda path: XliffPairs(path, (DE_EN,)),
    "po": lambda path: PoPairs.of(path, DE_EN),
    "parquet": ParquetPairs,
}
OF_LINES = ("txt", "lines", "tsv", "csv", "jsonl", "po")
OF_MARKUP = ("tmx", "xlf")

BOMB = """<?xml version="1.0"?>
<!DOCTYPE tmx [
<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]>
<tmx><body><tu><tuv lang="de"><seg>&c;</seg></tuv></tu></body></tmx>"""


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zstd(content: bytes) -> bytes:
    return bytes(pytest.importorskip("zstandard").compress(content))


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("xz", lzma.compress), ("zst", zstd)])
@pytest.mark.parametrize("lost", [1, 4, 30, 100])
def test_cut_off_archives_are_no_shorter_files(
    tmp_path: Path, ending: str, compress: Callable[[bytes], bytes], lost: int
) -> None:
    path = write(tmp_path / f"a.txt.{ending}", compress(TEXT)[:-lost])
    with pytest.raises(InputError, match=rf"a\.txt\.{ending} cannot be decompressed: .*download or compress it again"):
        list(numbered_lines(path))


def test_a_cut_off_archive_says_how_many_lines_can_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt.gz", gzip.compress(TEXT)[:-8])  # its checksum and length are missing
    with pytest.raises(InputError, match=r"cannot be decompressed: .*; its first 5,000 lines can be read \("):
        list(numbered_lines(path))


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("xz", lzma.compress), ("zst", zstd)])
def test_damaged_archives_are_named(tmp_path: Path, ending: str, compress: Callable[[bytes], bytes]) -> None:
    whole = compress(TEXT)
    middle = len(whole) // 2
    for damaged in (b"no archive, but some text", whole[:middle] + b"\0" * 40 + whole[middle + 40 :], whole + b"junk"):
        path = write(tmp_path / f"a.txt.{ending}", damaged)
        with pytest.raises(InputError, match=rf"a\.txt\.{ending} cannot be decompressed"):
            list(numbered_lines(path))


@pytest.mark.parametrize("name", READERS)
def test_an_empty_file_has_no_records_or_is_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / f"empty.{name}", b"")
    if name in (*OF_MARKUP, "parquet"):
        with pytest.raises(InputError, match=rf"empty\.{name} .*(no element found|as Parquet)"):
            list(rows_of(READERS[name](path)))
    else:
        assert list(rows_of(READERS[name](path))) == []


@pytest.mark.parametrize("name", OF_LINES)
@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_a_file_in_utf_16_is_named_with_what_to_do(tmp_path: Path, name: str, codec: str) -> None:
    path = write(tmp_path / "a.file", "Hallo\tHello\n".encode(codec))
    with pytest.raises(InputError, match=r"a\.file is in UTF-16, not in UTF-8 \(convert it: iconv -f UTF-16 -t UTF-8"):
        list(rows_of(READERS[name](path)))


@pytest.mark.parametrize("name", READERS)
def test_bytes_of_anything_are_counted_or_named(tmp_path: Path, name: str) -> None:
    noise = bytes((number * 167 + number // 251) % 256 for number in range(100_000))
    path = write(tmp_path / f"noise.{name}", noise)
    if name in (*OF_MARKUP, "parquet"):
        with pytest.raises(InputError, match=rf"noise\.{name}"):
            list(rows_of(READERS[name](path)))
    else:
        assert len(list(rows_of(READERS[name](path)))) > 100


def test_nul_bytes_stay_in_their_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b"a\0\tb\n\0\0\n")
    rows = list(rows_of(TsvPairs.of(path, DE_EN)))
    assert rows == [Pair(DE_EN, "a\0", "b"), Unreadable("wrong_columns", "\0\0")]


@pytest.mark.parametrize("name", OF_MARKUP)
def test_an_entity_bomb_is_refused_where_it_is_defined(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / f"bomb.{name}", BOMB)
    with pytest.raises(InputError, match=rf"bomb\.{name} line 3 defines the entity 'a' \(entities are never expanded"):
        list(rows_of(READERS[name](path)))


@pytest.mark.parametrize("name", OF_MARKUP)
@pytest.mark.parametrize(
    "definition",
    ['<!ENTITY x SYSTEM "file:///etc/passwd">', '<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;'],
)
def test_external_entities_are_refused_and_never_loaded(tmp_path: Path, name: str, definition: str) -> None:
    path = write(tmp_path / f"a.{name}", f"<!DOCTYPE tmx [\n{definition}\n]>\n<tmx><tu>&x;</tu></tmx>")
    with pytest.raises(InputError, match=rf"a\.{name} line 2 defines the entity 'x'"):
        list(rows_of(READERS[name](path)))


def test_a_dtd_that_is_only_named_is_not_loaded(tmp_path: Path) -> None:
    unit = '<tu><tuv lang="de"><seg>Hallo</seg></tuv><tuv lang="en"><seg>Hello</seg></tuv></tu>'
    content = f'<!DOCTYPE tmx SYSTEM "http://127.0.0.1:9/tmx14.dtd"><tmx><body>{unit}</body></tmx>'
    path = write(tmp_path / "a.tmx", content)
    assert list(rows_of(TmxPairs(path, (DE_EN,)))) == [Pair(DE_EN, "Hallo", "Hello")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<tmx><body><tu>\n<tuv></body>", "line 2 is not XML: mismatched tag"),
        ("<tmx><body>\n", "line 2 is not XML: no element found"),
        ("<tmx>\n\0</tmx>", "line 2 is not XML"),
        ("<a>" * 1_000, "line 1 has elements more than 256 deep"),
        ("<a>" + "".join(f"<n{number}/>" for number in range(20_000)), "line 1 has more than 10,000 names of elements"),
        ("<tmx><!-- " + "x" * (20 << 20), "line 1 begins a tag or comment of more than 16 MiB"),
        ("<tmx><tu a='" + "x" * (20 << 20), "line 1 begins a tag or comment of more than 16 MiB"),
    ],
)
def test_markup_that_is_none_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "a.tmx", content)
    with pytest.raises(InputError, match=rf"a\.tmx {message}"):
        list(rows_of(TmxPairs(path, (DE_EN,))))


def test_a_segment_that_is_too_long_is_marked_and_the_next_one_is_read(tmp_path: Path) -> None:
    long_unit = f'<tu><tuv lang="de"><seg>{"x" * (17 << 20)}</seg></tuv><tuv lang="en"><seg>y</seg></tuv></tu>'
    unit = '<tu><tuv lang="de"><seg>Ja</seg></tuv><tuv lang="en"><seg>Yes</seg></tuv></tu>'
    path = write(tmp_path / "a.tmx", f"<tmx>{long_unit}{unit}</tmx>")
    assert list(rows_of(TmxPairs(path, (DE_EN,)))) == [Unreadable("too_long_record"), Pair(DE_EN, "Ja", "Yes")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 200_000, r"line 1 column 2 \(record 1\) is not JSON that can be read"),
        ("[" + "9" * 10_000 + "]", r"line 1 column 2 \(record 1\) is not JSON that can be read"),
        ('[{"a":' * 100_000, r"line 1 column 2 \(record 1\) is not JSON that can be read"),
        ('[{"a": "' + "x" * (20 << 20), r"line 1 column 2 \(record 1\) is longer than 16 MiB, or is not JSON"),
    ],
)
def test_json_that_nests_or_never_ends_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "a.json", content)
    with pytest.raises(InputError, match=rf"a\.json {message}"):
        list(rows_of(JsonPairs(path)))


def test_a_quote_that_is_never_closed_costs_one_line(tmp_path: Path) -> None:
    rest = "".join(f"quelle {number},target {number}\n" for number in range(100_000))
    path = write(tmp_path / "a.csv", f'a,"b\n{rest}')
    rows = list(rows_of(CsvPairs.of(path, DE_EN)))
    assert rows[0] == Unreadable("invalid_csv", 'a,"b')
    assert len(rows) == 100_001
    assert all(isinstance(row, Pair) for row in rows[1:])


def test_quotes_that_never_close_wherever_one_begins_do_not_take_forever(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a","\n' * 100_000)
    rows = list(rows_of(CsvPairs.of(path, DE_EN)))
    assert len(rows) == 100_000
    assert {row.reason for row in rows if isinstance(row, Unreadable)} == {"invalid_csv"}


def test_a_cut_off_parquet_file_is_named(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"de": [f"de {n}" for n in range(1_000)], "en": [f"en {n}" for n in range(1_000)]})
    pyarrow.parquet.write_table(table, tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-3], b"PAR1" + whole[4:200] + b"\xff" * 400 + whole[600:]):
        path = write(tmp_path / "a.parquet", damaged)
        with pytest.raises(InputError, match=r"a\.parquet cannot be read as Parquet: .* \(download or write it"):
            list(rows_of(ParquetPairs(path)))


def test_a_line_that_is_too_long_is_marked_with_its_start_and_its_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"a\n" + "ä".encode() * (9 << 20) + b"\nb\n")
    assert list(numbered_lines(path)) == [(1, "a"), (2, Unreadable("too_long_line", "ä" * 100)), (3, "b")]


@pytest.fixture(scope="module")
def line_of_1_gb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "line.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(1_024):
            stream.write(b"a" * (1 << 20))
        stream.write(b"\nend\n")
    return path


# In a process of its own, since memory once used is not seen to be given back.
MEASURE = """
import resource, sys
from pathlib import Path
import pyarrow
from tests.data import test_hostile_input as hostile

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = list(hostile.rows_of(hostile.READERS[sys.argv[2]](Path(sys.argv[1]))))
print(len(rows), rows[0].reason, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.parametrize("name", ["txt", *(pytest.param(name, marks=pytest.mark.slow) for name in OF_LINES[1:])])
def test_a_line_of_1_gb_is_one_record_in_bounded_memory(line_of_1_gb: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(line_of_1_gb), name],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    records, reason, grown_mib = done.stdout.split()
    assert (int(records), reason) == (2, "too_long_line")
    assert int(grown_mib) < 300
