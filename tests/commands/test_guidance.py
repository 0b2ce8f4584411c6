"""`alma translate` with examples, a memory, a glossary, context and reranking: what it says of each; files stay 1:1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.typed import Typed, typed


def translate(folder: Path, *words: str) -> Typed:
    return typed(folder, "translate", *words, "--src", "de", "--tgt", "en")


@pytest.fixture
def terms(folder: Path) -> Path:
    """A glossary of two terms that the text has."""
    (folder / "terms.tsv").write_text("Hund\tdog\nHaus\thouse\tthe building\n")
    return folder


def test_a_glossarys_adherence_is_told_and_listed(terms: Path) -> None:
    done = translate(terms, "in.txt", "-o", "out.txt", "--glossary", "terms.tsv", "--json")

    assert done.code == 0, done.err
    assert "glossary terms.tsv: 2 terms" in done.err
    assert "glossary: 0 of 2 terms kept (0.0%) in 2 segments" in done.err
    summary = json.loads(done.stdout)
    assert summary["terms"] == {"matched": 2, "kept": 0, "rate": 0.0, "segments": 2}
    flags = [json.loads(line)["flags"] for line in (terms / "out.txt.flags.jsonl").read_text().splitlines()]
    assert all("term_missing" in one for one in flags)
    assert (terms / "out.txt").read_text().count("\n") == 3


def test_what_a_prompt_does_not_tell_makes_no_other_translation(terms: Path) -> None:
    def known(*words: str) -> int:
        done = translate(terms, "in.txt", "-o", "out.txt", "--json", *words)
        assert done.code == 0, done.err
        counted: int = json.loads(done.stdout)["texts"]["translated_before"]
        return counted

    (terms / "one.tsv").write_text("Maus\tmouse\n")
    (terms / "other.tsv").write_text("Wort\tword\n")

    assert known("--glossary", "one.tsv") == 0
    assert known("--glossary", "other.tsv") == 2  # the text has no term of either
    assert known("--glossary", "terms.tsv") == 0
    assert known("--glossary", "terms.tsv") == 2
    assert known("--glossary", "terms.tsv", "--tm", "train.de-en.tsv") == 0


def test_examples_and_memories_change_the_prompts_and_not_the_lines(folder: Path) -> None:
    (folder / "shots").mkdir()
    row = {"source": "Ja.", "target": "Yes.", "direction": "de-en"}
    (folder / "shots" / "de-en.jsonl").write_text(json.dumps(row))

    done = translate(
        folder, "in.txt", "-o", "out.txt", "--shots", "shots", "--tm", "train.de-en.tsv", "--tm-shots", "1"
    )

    assert done.code == 0, done.err
    assert "translation memory train.de-en.tsv: 30 pairs" in done.err
    assert (folder / "out.txt").read_text().count("\n") == 3


def test_prompts_that_do_not_fit_are_told(folder: Path) -> None:
    (folder / "long.de-en.tsv").write_text(f"{'Hund und ' * 60}Katze\tdog\n")

    done = translate(folder, "in.txt", "-o", "out.txt", "--tm", "long.de-en.tsv")

    assert done.code == 0, done.err
    assert "prompts without room for all their examples or terms: 1" in done.err


def test_context_translates_again_what_has_something_before_it(folder: Path) -> None:
    done = translate(folder, "in.txt", "-o", "out.txt", "--context", "2")

    assert done.code == 0, done.err
    assert "1 segments again, in the context of those before them" in done.err
    assert (folder / "out.txt").read_text().count("\n") == 3


def test_reranking_tells_its_utility_and_never_lowers_it(folder: Path) -> None:
    done = translate(folder, "in.txt", "-o", "out.txt", "--rerank", "mbr", "--beams", "4", "--json")

    assert done.code == 0, done.err
    reranked = json.loads(done.stdout)["reranked"]
    assert reranked["texts"] == 2
    assert reranked["mean_utility"] >= reranked["mean_utility_before"] > 0
    assert "mbr by chrf: mean utility" in done.err
    again = translate(folder, "in.txt", "-o", "again.txt", "--rerank", "mbr", "--beams", "4", "--no-resume")
    assert again.code == 0, again.err
    assert (folder / "again.txt").read_bytes() == (folder / "out.txt").read_bytes()


def test_choosing_by_the_evaluation_metric_is_warned_of(folder: Path) -> None:
    done = translate(folder, "in.txt", "-o", "out.txt", "--rerank", "mbr")
    other = translate(folder, "in.txt", "-o", "out.txt", "--rerank", "mbr", "--set", 'scoring.metrics=["bleu"]')

    assert "warning: translations are chosen by chrf, which is among scoring.metrics" in done.err
    assert "chosen by" not in other.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--glossary", "none.tsv"), 3, "'none.tsv' does not exist"),
        (("--shots", "in.txt"), 3, "is not JSON"),
        (("--tm", "in.txt"), 2, "does not tell its format"),
        (("--rerank", "best"), 2, "decoding.rerank"),
    ],
)
def test_what_cannot_be_used_is_an_error_of_one_line_and_nothing_is_written(
    words: tuple[str, ...], code: int, message: str, folder: Path
) -> None:
    done = translate(folder, "in.txt", "-o", "out.txt", *words)

    assert done.code == code
    assert message in done.err
    assert not (folder / "out.txt").exists()
