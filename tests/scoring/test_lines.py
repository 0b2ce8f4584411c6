"""Line splitting: what is a segment, and which files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from alma_cli.errors import InputError
from alma_cli.scoring.lines import read_lines


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", ()),
        (b"\n", ("",)),
        (b"a\nb\n", ("a", "b")),
        (b"a\nb", ("a", "b")),
        (b"a\n\n", ("a", "")),
        (b"a\r\nb\r\n", ("a", "b")),
        (b"a\rb\n", ("a\rb",)),
        (b"\xef\xbb\xbfa\nb\n", ("a", "b")),
        (b"a\n\xef\xbb\xbfb\n", ("a", "\ufeffb")),
        (b"\xef\xbb\xbf", ()),
        ("a\u2028b\u2029c\x85d\n".encode(), ("a\u2028b\u2029c\x85d",)),
        (b"a\x0bb\x0cc\x1cd\n", ("a\x0bb\x0cc\x1cd",)),
        (b" a \n", (" a ",)),
    ],
)
def test_only_line_feeds_split_segments(tmp_path: Path, content: bytes, lines: tuple[str, ...]) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    assert read_lines(path) == lines


def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "latin1.txt"
    path.write_bytes("gut\nschön\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin1.txt' line 2 is not UTF-8 \(convert the file to UTF-8\)"):
        read_lines(path)


def test_a_missing_file_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "output.txt").touch()
    with pytest.raises(InputError, match=r"ouptut.txt' does not exist \(did you mean 'output.txt'\?\)"):
        read_lines(tmp_path / "ouptut.txt")
