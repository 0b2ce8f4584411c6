"""The same blocks on a Ray cluster of this machine: the same bytes as from one process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.conftest import written
from tests.data.test_prepare_killed import DATA, beside, everything, fill, none_is_left
from tests.typed import finish, start, typed

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "alma-cli[ray]"')

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two workers."""
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of both stages, with ten files of each kind."""
    return fill(tmp_path_factory.mktemp("corpora"), 200)


def test_a_cluster_that_is_not_there_is_one_line(corpora: Path, tmp_path: Path) -> None:
    folder = beside(corpora, tmp_path)
    done = finish(start(folder, "prepare", "--engine", "ray", "--quiet", RAY_ADDRESS="auto"), seconds=300)
    assert (done.code, done.out, len(done.errors)) == (4, "", 2), done.err
    assert re.fullmatch(r"error: the Ray cluster cannot be reached: .* \(see to RAY_ADDRESS\)", done.errors[-1])


def test_a_cluster_writes_the_same_bytes(cluster: None, corpora: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, words in ((here, ("--workers", "1")), (there, ("--engine", "ray"))):
        folder.mkdir()
        done = typed(beside(corpora, folder), "prepare", *words, "--quiet")
        assert done.code == 0, done.err
    assert everything(here / DATA) == everything(there / DATA)


def test_what_the_cluster_has_cleaned_is_there_for_one_process(cluster: None, corpora: Path, tmp_path: Path) -> None:
    folder = beside(corpora, tmp_path)
    assert typed(folder, "prepare", "--engine", "ray", "--quiet").code == 0
    first = written(folder / DATA)
    before = {path: path.stat().st_mtime_ns for path in (folder / DATA).rglob("*.parquet")}
    (folder / DATA / "manifest.json").unlink()
    assert typed(folder, "prepare", "--workers", "1", "--quiet").code == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / DATA).rglob("*.parquet")} == before
    assert written(folder / DATA) == first


def test_an_error_on_the_cluster_is_the_same_line(cluster: None, corpora: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.de-en.tsv.gz"
    broken.write_bytes(b"\x1f\x8b\x08 not a gzip file")
    folder = beside(corpora, tmp_path)
    here, there = (
        typed(folder, "prepare", "--stage", "parallel", "--source", str(broken), *words)
        for words in (("--workers", "1"), ("--engine", "ray"))
    )
    assert (here.code, there.code) == (3, 3)
    assert here.errors[-1] == there.errors[-1]
    assert f"{broken} cannot be decompressed" in there.errors[-1]


def test_without_a_cluster_one_starts_here_and_ends_with_the_command(corpora: Path, tmp_path: Path) -> None:
    folder = beside(corpora, tmp_path)
    done = finish(start(folder, "prepare", "--engine", "ray", "--quiet"), seconds=300)
    assert done.code == 0, done.err
    assert done.errors == ["warning: token counts are left out: unknown model 'no-such-model'"]
    assert none_is_left(folder)
