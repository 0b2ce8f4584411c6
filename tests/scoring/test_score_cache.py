"""The cache of segments' scores: kept across processes, bounded, and never a reason for a wrong score or a failure."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from alma_cli.scoring.score_cache import ScoreCache, Texts

TEXTS: list[Texts] = [("Ja.", "Yes.", "Yes!"), ("Nein.", "No.", "No!"), ("Ja.", "", "Yes!")]
VALUES = [(0.1 + 0.2,), (1e-300, -4.0), (0.0,)]
SCORED = dict(zip(TEXTS, VALUES, strict=True))


def _cache(directory: Path, told: list[str] | None = None, **options: bool | int) -> ScoreCache:
    return ScoreCache(directory, told=(told if told is not None else []).append, **options)  # type: ignore[arg-type]


def test_what_was_kept_is_found_to_the_bit_by_the_next_who_asks(tmp_path: Path) -> None:
    with _cache(tmp_path) as cache:
        cache.keep("by", SCORED)

    with _cache(tmp_path) as cache:
        assert cache.find("by", [*TEXTS, ("Ja.", "Yes.", "Yes")]) == SCORED
        assert cache.find("another signature", TEXTS) == {}


def test_texts_are_not_confused_where_they_join(tmp_path: Path) -> None:
    with _cache(tmp_path) as cache:
        cache.keep("by", {("a b", "c"): (1.0,)})

        assert cache.find("by", [("a", "b c"), ("a b c",), ("a b", "c", "")]) == {}


def test_more_than_one_statement_s_worth_is_found(tmp_path: Path) -> None:
    scored = {(str(number),): (float(number),) for number in range(1234)}
    with _cache(tmp_path) as cache:
        cache.keep("by", scored)

        assert cache.find("by", scored) == scored


def test_cache_that_does_not_read_finds_nothing_and_keeps_what_is_new(tmp_path: Path) -> None:
    with _cache(tmp_path) as cache:
        cache.keep("by", SCORED)

    with _cache(tmp_path, reads=False) as cache:
        assert cache.find("by", TEXTS) == {}
        cache.keep("by", {TEXTS[0]: (7.0,)})

    with _cache(tmp_path) as cache:
        assert cache.find("by", TEXTS) == SCORED | {TEXTS[0]: (7.0,)}


def _overwritten(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _with_zeros_inside(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(4096) + content[8192:])


def _with_one_changed_bit_in_a_score(path: Path) -> None:
    value = sqlite3.connect(path).execute("SELECT value FROM scores ORDER BY key LIMIT 1").fetchone()[0]
    changed = bytes([value[0] ^ 1]) + value[1:]
    path.write_bytes(path.read_bytes().replace(value, changed))


@pytest.mark.parametrize("damage", [_overwritten, _cut_off, _with_zeros_inside, _with_one_changed_bit_in_a_score])
def test_damage_is_told_and_the_cache_begins_anew(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    scored = {(str(number),): (float(number),) for number in range(200)}
    with _cache(tmp_path) as cache:
        cache.keep("by", scored)
    damage(tmp_path / "scores-0.sqlite3")

    told: list[str] = []
    with _cache(tmp_path, told) as cache:
        found = cache.find("by", scored)
        cache.keep("by", scored)
        again = cache.find("by", scored)

    assert found.items() <= scored.items()
    assert len(found) < len(scored)
    assert again == scored
    (line,) = told
    assert line.startswith(f"the cache of scores in {tmp_path} was damaged (")
    assert line.endswith("): it begins anew")
    assert [path.name for path in tmp_path.iterdir()] == ["scores-1.sqlite3"]


def test_process_that_has_the_damaged_file_open_does_no_harm(tmp_path: Path) -> None:
    with _cache(tmp_path) as slow:
        slow.keep("by", SCORED)
        _overwritten(tmp_path / "scores-0.sqlite3")
        with _cache(tmp_path) as other:
            other.find("by", TEXTS)
            other.keep("by", SCORED)

        slow.keep("by", {("late",): (1.0,)})

        with _cache(tmp_path) as third:
            assert third.find("by", TEXTS) == SCORED


def test_directory_that_cannot_be_made_costs_the_cache_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told: list[str] = []

    with _cache(tmp_path / "file" / "scores", told) as cache:
        cache.keep("by", SCORED)
        assert cache.find("by", TEXTS) == {}

    assert told == [f"scores are not kept for the next time in {tmp_path}/file/scores: Not a directory"]


def test_what_nobody_asked_for_longest_makes_room(tmp_path: Path) -> None:
    with _cache(tmp_path, most_bytes=60_000) as cache:
        for number in range(40):
            cache.keep("by", {(str(number), str(one)): (1.0,) for one in range(100)})

        assert (tmp_path / "scores-0.sqlite3").stat().st_size < 80_000
        assert len(cache.find("by", [("39", str(one)) for one in range(100)])) > 0


PROGRAM = """
import sys
from pathlib import Path
from alma_cli.scoring.score_cache import ScoreCache
with ScoreCache(Path(sys.argv[1]), told=sys.exit) as cache:
    for number in range(50):
        cache.keep("by", {(sys.argv[2], str(number)): (float(number),)})
"""


def test_two_processes_keep_at_once(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path, name]) for name in ("one", "two")]
    assert [process.wait() for process in processes] == [0, 0]

    with _cache(tmp_path) as cache:
        texts = [(name, str(number)) for name in ("one", "two") for number in range(50)]
        assert len(cache.find("by", texts)) == 100
