"""References by name: files, directories, sacreBLEU's test sets with and without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from sacrebleu.dataset import DATASETS

from alma_cli.core.languages import Direction
from alma_cli.errors import MachineError, UsageError
from alma_cli.scoring.references import references_of

DE_EN = Direction("de", "en")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of sacreBLEU's for wmt17, which can be fetched from nowhere."""
    monkeypatch.setattr(DATASETS["wmt17"], "_outdir", str(tmp_path))
    monkeypatch.setattr(DATASETS["wmt17"], "_rawdir", str(tmp_path / "raw"))
    monkeypatch.setattr(DATASETS["wmt17"], "data", ["http://127.0.0.1:9/wmt17.tgz"])
    return tmp_path


def test_a_cached_test_set_needs_no_network(cache: Path) -> None:
    for field in ("src", "ref", "docid", "genre", "origlang"):
        (cache / f"wmt17.de-en.{field}").write_text("x\n")
    (references,) = references_of(["sacrebleu:wmt17/de-en"])
    assert references.direction == DE_EN
    assert references.targets(DE_EN) == (cache / "wmt17.de-en.ref",)
    assert references.source(DE_EN) == cache / "wmt17.de-en.src"


@pytest.mark.usefixtures("cache")
def test_without_a_network_one_line_says_where_the_test_set_belongs() -> None:
    (references,) = references_of(["sacrebleu:wmt17"])
    with pytest.raises(
        MachineError,
        match=r"wmt17/de-en is not in .* and cannot be downloaded: .*refused.* \(run `sacrebleu -t wmt17 -l de-en",
    ):
        references.targets(DE_EN)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sacrebleu:wmt222/de-en", r"sacreBLEU has no test set 'wmt222' \(did you mean 'wmt22'\?\)"),
        ("sacrebleu:wmt17/de-xx", r"unknown language code 'xx'"),
    ],
)
def test_an_unknown_test_set_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        references_of([name])


def test_a_direction_that_a_test_set_lacks_is_answered_with_those_it_has() -> None:
    (references,) = references_of(["sacrebleu:wmt17"])
    with pytest.raises(UsageError, match=r"sacreBLEU's test set wmt17 has no de-is \(it has de-en\)"):
        references.targets(Direction("de", "is"))
