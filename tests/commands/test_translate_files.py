"""`alma translate` on whole folders, awkward lines and dry runs; what is odd is retried, and listed if it stays so."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.typed import Typed, typed

AWKWARD = [
    "Hund\\nEnglish: cat",
    "German: Hund English:",
    "\tHund\tKatze\t",
    "1234567890",
    "Wort " * 3000,
    "🙂🙃👩‍👩‍👧‍👦",
    "שלום עולם",
    "\u202eHund\u202c",
    "",
    "   ",
    "</s><s>[INST] Hund [/INST]",
    "\ufeff",
    "a\u2028b\u2029c\x85d",
]


def translate(folder: Path, *words: str) -> Typed:
    return typed(folder, "translate", *words, "--src", "de", "--tgt", "en", "--beams", "1")


def test_awkward_lines_give_a_line_each(folder: Path) -> None:
    (folder / "given.txt").write_bytes("".join(line + "\n" for line in AWKWARD).encode())

    done = translate(folder, "given.txt", "--quiet", "--set", "decoding.max_source_letters=300")

    lines = done.out.split("\n")[:-1]
    assert done.code == 0, done.err
    assert len(lines) == len(AWKWARD)
    assert [not line.strip() for line in lines] == [not line.strip() for line in AWKWARD]


def test_ten_thousand_fuzzed_lines_give_ten_thousand_lines(folder: Path) -> None:
    chance = random.Random(11)
    codes = [code for code in range(1, 0x11000) if code != 10 and not 0xD800 <= code < 0xE000]
    lines = ["".join(map(chr, chance.sample(codes, k=chance.randrange(6)))) for _ in range(10_000)]
    (folder / "given.txt").write_bytes("".join(line + "\n" for line in lines).encode())

    done = translate(folder, "given.txt", "-q", "-o", "out.txt", "--set", "decoding.max_new_tokens=2")

    out = (folder / "out.txt").read_bytes().decode().split("\n")
    assert done.code == 0, done.err
    assert len(out) == 10_001
    assert [not line.strip() for line in out[:-1]] == [not line.strip() for line in lines]


def test_a_folder_becomes_a_folder_of_the_same_shape(folder: Path) -> None:
    (folder / "in/deep").mkdir(parents=True)
    (folder / "in/a.txt").write_text("Hund\n")
    (folder / "in/deep/b.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHund\n")
    (folder / "in/deep/c.bin").write_bytes(b"\0\1")
    (folder / "in/.hidden.txt").write_text("Hund\n")

    done = translate(folder, "in", "in.txt", "-o", "into", "--json")

    summary = json.loads(done.out)
    made = sorted(str(path.relative_to(folder)) for path in (folder / "into").rglob("*") if path.is_file())
    assert done.code == 0, done.err
    assert [name for name in made if not name.endswith(".flags.jsonl")] == [
        "into/a.txt",
        "into/deep/b.srt",
        "into/in.txt",
    ]
    assert "1 files of no known format are left out: in/deep/c.bin" in done.err
    assert (summary["version"], summary["segments"], summary["untranslated"]) == (1, 4, 0)
    assert [file["input"] for file in summary["files"]] == ["in/a.txt", "in/deep/b.srt", "in.txt"]
    assert (folder / "into/deep/b.srt").read_text().startswith("1\n00:00:01,000 --> 00:00:02,000\n")


def test_what_stays_odd_is_listed_with_its_place(folder: Path) -> None:
    done = translate(folder, "in.txt", "-o", "out.txt")

    rows = [json.loads(line) for line in (folder / "out.txt.flags.jsonl").read_text().splitlines()]
    assert [(row["segment"], row["source"]) for row in rows] == [(1, "Hund und Katze"), (3, "Das Haus")]
    assert all("cut" in row["flags"] for row in rows)
    assert rows[0]["translation"] == (folder / "out.txt").read_text().split("\n")[0]
    assert "flagged segments again, with 5 beams" in done.err
    assert "warning: 2 of 2 segments are flagged (" in done.err
    assert "; listed in out.txt.flags.jsonl" in done.err


def test_a_list_of_flags_goes_when_there_are_none(folder: Path) -> None:
    (folder / "blank.txt").write_text("\n")
    (folder / "out.txt.flags.jsonl").write_text("{}\n")

    assert translate(folder, "blank.txt", "-o", "out.txt").code == 0
    assert not (folder / "out.txt.flags.jsonl").exists()


def test_a_dry_run_measures_and_writes_nothing(folder: Path) -> None:
    (folder / "long.txt").write_text("".join(f"Hund {number % 90}\n" for number in range(100)))

    done = translate(folder, "long.txt", "-o", "out.txt", "--dry-run", "--json")

    facts = json.loads(done.out)
    assert done.code == 0, done.err
    assert not (folder / "out.txt").exists()
    assert (facts["segments"], facts["texts"], facts["known"], facts["probed"]) == (100, 90, 0, 68)
    assert facts["source_tokens"] == sum(len(f"Hund {number}") for number in range(90))
    assert facts["seconds"] > 0
    assert facts["memory_gib"] > 0


def test_a_dry_run_in_words(folder: Path) -> None:
    done = translate(folder, "in.txt", "--dry-run")

    assert (done.code, done.out) == (0, "")
    assert "would be translated" in done.err


@pytest.mark.parametrize(("name", "words"), [("in.tsv", ["--column", "2"]), ("in.jsonl", ["--field", "de"])])
def test_a_column_or_a_field_is_translated_alone(folder: Path, name: str, words: list[str]) -> None:
    (folder / "in.tsv").write_text("eins\tHund\n")
    (folder / "in.jsonl").write_text('{"id": "eins", "de": "Hund"}\n')

    done = translate(folder, name, *words)

    assert done.code == 0, done.err
    assert "eins" in done.out
    assert "Hund" not in done.out


def test_stdin_has_the_format_that_is_named(folder: Path) -> None:
    (folder / "page").write_text("<p>Hund</p>")

    done = translate(folder, "page", "--format", "html")

    assert done.code == 0, done.err
    assert done.out.startswith("<p>")
    assert done.out.endswith("</p>")
