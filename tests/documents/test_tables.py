"""TSV and CSV: one column changes; quotes, other columns, line ends and BOM do not."""

from __future__ import annotations

import csv
import io
import random

import pytest

from alma_cli.errors import InputError
from tests.documents.changed import all_changed, changed, is_byte_faithful, read

SHOP = (
    '\ufeffid;de;"note; with care"\r\n'
    '1;"Der ""rote"" Stuhl; aus Holz";"x;y"\r\n'
    "2;  Tisch  ;\r\n"
    '3;"Zwei\r\nZeilen\r\n\r\nund mehr";  "quoted, late"\r\n'
    "4;42;nur Zahlen\r\n"
    "5\r\n"
    ";;\r\n"
    "6;Ende;ohne Zeilenende"
)


def test_only_the_cells_of_the_column_change() -> None:
    document = read(SHOP, "shop.csv", source="de")

    assert document.segments == ('Der "rote" Stuhl; aus Holz', "Tisch", "Zwei", "Zeilen", "und mehr", "Ende")
    assert document.locations == ("line 2", "line 3", "line 4", "line 5", "line 7", "line 11")
    assert document.notes == ("1 rows without column 2 are left as they are",)
    assert is_byte_faithful(document)
    rows = list(csv.reader(io.StringIO(SHOP[1:], newline=""), delimiter=";"))
    expected = [[row[0], changed(row[1]), *row[2:]] if i and len(row) > 1 else row for i, row in enumerate(rows)]
    assert list(csv.reader(io.StringIO(all_changed(document), newline=""), delimiter=";")) == expected


@pytest.mark.parametrize("column", ["2", "de", "DE"])
def test_a_column_is_chosen_by_number_or_name(column: str) -> None:
    assert read("id,de,en\n1,Haus,\n", "x.csv", column=column).segments[-1] == "Haus"


def test_a_column_without_words_has_no_segments() -> None:
    assert read("1,2\n3\n", "x.csv", column="2").segments == ()


def test_a_numbered_column_has_no_header() -> None:
    assert read("Haus,1\nBaum,2\n", "x.csv", column="1").segments == ("Haus", "Baum")


def test_a_cell_is_quoted_where_its_translation_needs_it() -> None:
    document = read("text,n\n Haus ,1\nBaum,2\n", "x.csv")

    assert document.render(["a, b", 'say "x"']) == b'text,n\n" a, b ",1\n"say ""x""",2\n'


@pytest.mark.parametrize("translation", ["a\tb", "a\nb", "a\r\nb"])
def test_a_translation_adds_no_cell_to_a_tsv(translation: str) -> None:
    assert read("1\tHaus\t\n", "x.tsv", column="2").render([translation]) == b"1\ta b\t\n"


def test_a_tsv_reads_quotes_as_a_spreadsheet_does() -> None:
    document = read('1\t"Das ""Haus"""\r\n2\t"Ja", sagte er\r\n3\t\r\n', "x.tsv", column="2")

    assert document.segments == ('Das "Haus"', '"Ja", sagte er')
    assert all_changed(document) == '1\t"DAS ""HAUS"""\r\n2\t"JA", SAGTE ER\r\n3\t\r\n'


@pytest.mark.parametrize("seed", range(20))
def test_any_table_comes_back_byte_for_byte(seed: int) -> None:
    chance = random.Random(seed)
    content = "".join(chance.choices('aä"",;\t\r\n 日', k=300))

    document = read(content, chance.choice(["x.csv", "x.tsv"]), column="1")

    assert is_byte_faithful(document)


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        ("id,de,en\n1,a,b\n", "", "'x.csv': which of its 3 columns is to be translated? The first row has: id, de, en"),
        ("id,de,en\n1,a,b\n", "dee", "'x.csv' has no column 'dee' in its first row (did you mean 'de'?)"),
        ("id,de\n1,a\n", "5", "'x.csv': no row has a column 5 (the first row has 2)"),
        ("", "", "'x.csv' is empty"),
        ("de\na\0b\n", "", "'x.csv' line 2 has a NUL byte: it is not a text file"),
    ],
)
def test_what_cannot_be_read_is_said(content: str, column: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content, "x.csv", column=column)

    assert str(caught.value).startswith(message)
