"""What names of files and directories tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from alma_cli.core.languages import Direction
from alma_cli.errors import InputError, UsageError
from alma_cli.scoring.layout import direction_in_name, distinct_names, name_parts, read_tree, systems_in

DE_EN = Direction("de", "en")


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text\n")
    return path


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("test.de-en.en", "de-en"),
        ("de-en.txt", "de-en"),
        ("out.de-en.txt", "de-en"),
        ("my_de-en_beam5", "de-en"),
        ("en-de-transformer.cs-en.txt", "cs-en"),
        ("out.txt", "None"),
        ("made-en.txt", "None"),
        ("xx-qq.txt", "None"),
        ("de-de.txt", "None"),
    ],
)
def test_the_direction_is_read_from_the_name(name: str, direction: str) -> None:
    assert str(direction_in_name(Path(name))) == direction


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["best.de-en.txt"], ["best"]),
        (["out.base", "out.new"], ["out.base", "out.new"]),
        (["zero-shot/de-en.txt", "mono/de-en.txt"], ["zero-shot", "mono"]),
        (["a/out.txt", "b/out.txt", "c/other.txt"], ["a/out", "b/out", "other"]),
        (["A/deen/test.de-en.en", "B/deen/test.de-en.en"], ["A", "B"]),
        (["x.de-en.beam5.txt"], ["x.beam5"]),
    ],
)
def test_systems_have_the_shortest_name_that_tells_them_apart(paths: list[str], names: list[str]) -> None:
    assert distinct_names([(name_parts(Path(path), DE_EN), DE_EN) for path in paths]) == names


def test_one_name_in_two_directions_is_one_system() -> None:
    outputs = [(name_parts(Path(f"best.{d}.txt"), d), d) for d in (DE_EN, DE_EN.reverse)]
    assert distinct_names(outputs) == ["best", "best"]


def test_names_that_nothing_tells_apart_are_refused() -> None:
    outputs = [(name_parts(Path(name), DE_EN), DE_EN) for name in ("out.txt", "out.en")]
    with pytest.raises(UsageError, match=r"two files would both be the system '.*out' \(rename one of them\)"):
        distinct_names(outputs)


@pytest.mark.parametrize("name", ["deen/test.de-en.en", "de-en/test.de-en.en", "test.de-en.en", "de-en.txt"])
def test_each_layout_of_a_system_is_read(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    write(tmp_path / "README.txt")
    write(tmp_path / ".de-en.txt")
    assert list(read_tree(tmp_path)) == [DE_EN]
    assert path in read_tree(tmp_path)[DE_EN].values()


def test_a_directory_of_systems_starts_with_zero_shot(tmp_path: Path) -> None:
    for name in ("mono", "parallel", "zero-shot"):
        write(tmp_path / name / "de-en.txt")
    assert [root.name for root, _ in systems_in(tmp_path)] == ["zero-shot", "mono", "parallel"]


def test_two_files_for_one_side_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "test.de-en.en")
    write(tmp_path / "valid.de-en.en")
    with pytest.raises(InputError, match=r"test.de-en.en' and '.*valid.de-en.en' are both de-en"):
        read_tree(tmp_path)
