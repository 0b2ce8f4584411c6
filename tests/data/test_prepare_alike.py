"""The same corpora come to the same data, whatever the workers, the files and the attempts; and what is done stays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from alma_cli.core.dataset import Manifest, read_documents, read_examples, split_path
from alma_cli.core.recipe import Filters, MonoSource
from alma_cli.data.blocks import Job
from alma_cli.data.mono import PreparedDocuments, prepare_documents
from alma_cli.data.prepare import Means, PreparedStage, prepare_stage
from alma_cli.data.readers.lines import TextDocuments
from alma_cli.data.selection import clean_corpora
from alma_cli.data.sources import Corpus
from tests.data.conftest import MakeRecipe, random_sentences, sentences, write_tsv, written

ONE, TWO = Means(workers=1), Means(workers=2)


def write_mono(path: Path, texts: list[str]) -> None:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


def blocks(data: Path) -> dict[Path, int]:
    """The cleaned blocks and when they were made, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in (data / ".cleaned").rglob("*.parquet")}


def everything(folder: Path) -> dict[Path, int]:
    """All files and when they were written, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def several_files(tmp_path: Path) -> list[tuple[str, str]]:
    """Pairs and text in both languages, as one file and as five; the lines, with equal and similar ones in them."""
    louder = [(f"{source[:-1]}!", f"{target[:-1]}!") for source, target in sentences(50)]
    lines = [*random_sentences(250, 1), *sentences(200), *random_sentences(100, 1), *louder]
    write_tsv(tmp_path / "whole.de-en.tsv", lines)
    for code, side in (("de", 0), ("en", 1)):
        write_mono(tmp_path / f"whole.{code}.txt", [line[side] for line in lines])
    for number, start in enumerate(range(0, 600, 120)):
        part = lines[start : start + 120]
        write_tsv(tmp_path / f"part{number}.de-en.tsv", part)
        for code, side in (("de", 0), ("en", 1)):
            write_mono(tmp_path / f"part{number}.{code}.txt", [line[side] for line in part])
    write_tsv(tmp_path / "test.de-en.tsv", random_sentences(5, 2))
    return lines


@pytest.fixture
def make_recipe_of(several_files: list[tuple[str, str]], make_whole_recipe: MakeRecipe) -> MakeRecipe:
    """A recipe that reads the files whose names begin like this."""

    def make(name: str, **data: Any) -> Any:
        mono = [{"path": f"{name}.{code}.txt", "language": code} for code in ("de", "en")]
        parallel = [{"path": f"{name}.de-en.tsv", "pair": "de-en"}, {"path": "test.de-en.tsv"}]
        return make_whole_recipe({"sources": mono}, {"sources": parallel}, **data)

    return make


def prepare_both(recipe: Any, data: Path, means: Means, **options: Any) -> list[PreparedStage]:
    return [prepare_stage(recipe, stage, data, means=means, **options) for stage in ("parallel", "mono")]


def test_one_worker_or_two_write_the_same_bytes(make_recipe_of: MakeRecipe, tmp_path: Path) -> None:
    prepare_both(make_recipe_of("part*"), tmp_path / "one", ONE)
    prepare_both(make_recipe_of("part*"), tmp_path / "two", TWO)
    assert written(tmp_path / "one") == written(tmp_path / "two")
    names = written(tmp_path / "one").keys()
    assert names == {
        "manifest.json",
        *(f"mono/{split}/00000.jsonl.zst" for split in ("train", "valid")),
        *(f"parallel/{split}/00000.jsonl.zst" for split in ("train", "valid", "test")),
    }


def test_one_file_or_several_come_to_the_same_data(make_recipe_of: MakeRecipe, tmp_path: Path) -> None:
    whole = prepare_both(make_recipe_of("whole"), tmp_path / "whole", ONE)[-1].manifest
    parts = prepare_both(make_recipe_of("part*"), tmp_path / "parts", ONE)[-1].manifest
    for split in ("train", "valid", "test"):
        one, several = (split_path(tmp_path / data, "parallel", split) for data in ("whole", "parts"))
        assert read_examples(one) == read_examples(several) != []
    # Several files of a language take turns, so that other documents of the same are held out.
    documents = [
        sorted(str(one) for split in ("train", "valid") for one in read_documents(split_path(data, "mono", split)))
        for data in (tmp_path / "whole", tmp_path / "parts")
    ]
    assert documents[0] == documents[1]
    assert len(documents[0]) > 500
    assert whole.steps == parts.steps
    assert whole.steps["parallel"]["duplicate"] > 90
    assert whole.steps["parallel"]["near_duplicate"] > 0
    assert (len(whole.sources), len(parts.sources)) == (4, 16)


def test_one_shard_or_several_hold_the_same_lines(make_whole_recipe: MakeRecipe, tmp_path: Path) -> None:
    pairs = sentences(2197)
    twos = zip(pairs, pairs[100:], strict=False)
    write_tsv(tmp_path / "a.de-en.tsv", [(f"{a} {c}", f"{b} {d}") for (a, b), (c, d) in twos])
    parallel = {"sources": [{"path": "a.de-en.tsv"}], "held_out_pairs": 0}
    one, several = tmp_path / "one", tmp_path / "several"
    prepare_stage(make_whole_recipe({}, parallel), "parallel", one, means=ONE)
    prepare_stage(make_whole_recipe({}, parallel, shard_megabytes=1), "parallel", several, means=ONE)
    assert [path.name for path in sorted((several / "parallel/train").iterdir())] == [
        "00000.jsonl.zst",
        "00001.jsonl.zst",
    ]
    assert len(list((one / "parallel/train").iterdir())) == 1
    examples = read_examples(split_path(one, "parallel", "train"))
    assert read_examples(split_path(several, "parallel", "train")) == examples
    assert len(examples) == 2 * 2097


# --- again ------------------------------------------------------------------------------------------------------


def test_what_is_prepared_is_not_touched(make_recipe_of: MakeRecipe, tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare_both(make_recipe_of("part*"), data, ONE)
    before = everything(data)
    assert [one.unchanged for one in prepare_both(make_recipe_of("part*"), data, TWO)] == [True, True]
    assert everything(data) == before


def test_a_changed_file_is_cleaned_again_and_the_others_are_not(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name, start in (("a", 0), ("b", 100), ("c", 200)):
        write_tsv(tmp_path / f"{name}.de-en.tsv", sentences(100, start))
    prepare_stage(make_recipe({"path": "*.tsv", "pair": "de-en"}), "parallel", data, means=ONE)
    before = blocks(data)

    write_tsv(tmp_path / "b.de-en.tsv", sentences(101, 300))
    again = prepare_stage(make_recipe({"path": "*.tsv", "pair": "de-en"}), "parallel", data, means=ONE)

    after = blocks(data)
    assert not again.unchanged
    assert [report.read for report in again.manifest.sources] == [100, 101, 100]
    assert len(before) == len(after) == 3
    kept = before.keys() & after.keys()
    assert len(kept) == 2
    assert all(before[path] == after[path] for path in kept)
    prepare_stage(make_recipe({"path": "*.tsv", "pair": "de-en"}), "parallel", tmp_path / "fresh", means=ONE)
    assert written(data) == written(tmp_path / "fresh")


def test_another_mixture_cleans_nothing_again(
    make_recipe_of: MakeRecipe, make_whole_recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    prepare_both(make_recipe_of("part*"), data, ONE)
    before, first = blocks(data), written(data)
    mono = {"sources": [{"path": f"part*.{code}.txt", "language": code} for code in ("de", "en")]}
    parallel = {"sources": [{"path": "part*.de-en.tsv", "pair": "de-en"}, {"path": "test.de-en.tsv"}]}
    recipe = make_whole_recipe({**mono, "mixture": {"de": 0.9, "en": 0.1}}, parallel)
    assert [one.unchanged for one in prepare_both(recipe, data, ONE)] == [True, False]
    assert blocks(data) == before
    assert {name for name, content in written(data).items() if first[name] != content} == {
        "manifest.json", "mono/train/00000.jsonl.zst", "mono/valid/00000.jsonl.zst",
    }  # fmt: skip


def test_another_test_set_has_all_training_data_compared_with_it(make_recipe_of: MakeRecipe, tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare_both(make_recipe_of("part*"), data, ONE)
    before = blocks(data)
    write_tsv(tmp_path / "test.de-en.tsv", random_sentences(6, 2))
    assert [one.unchanged for one in prepare_both(make_recipe_of("part*"), data, ONE)] == [False, False]
    assert not before.keys() & blocks(data).keys()


def test_without_resume_everything_is_done_again(make_recipe_of: MakeRecipe, tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare_both(make_recipe_of("part*"), data, ONE)
    before, first = blocks(data), written(data)
    again = prepare_both(make_recipe_of("part*"), data, ONE, resume=False)
    assert not any(one.unchanged for one in again)
    assert written(data) == first
    after = blocks(data)
    assert before.keys() == after.keys()
    assert all(before[path] != after[path] for path in before)


@pytest.mark.parametrize("damage", [b"", b"PAR1 and then nothing"])
def test_a_block_that_is_no_longer_whole_is_cleaned_again(
    make_recipe_of: MakeRecipe, tmp_path: Path, damage: bytes
) -> None:
    data = tmp_path / "data"
    prepare_stage(make_recipe_of("part*"), "parallel", data, means=ONE)
    first = written(data)
    next(iter(blocks(data))).write_bytes(damage)
    (data / "manifest.json").unlink()
    prepare_stage(make_recipe_of("part*"), "parallel", data, means=ONE)
    assert written(data) == first


# --- every record -----------------------------------------------------------------------------------------------


def test_every_record_is_accounted_for_with_samples(make_recipe_of: MakeRecipe, tmp_path: Path) -> None:
    manifest = prepare_both(make_recipe_of("part*"), tmp_path / "data", ONE)[-1].manifest
    for report in manifest.sources:
        assert report.read == report.kept + sum(report.dropped.values()) > 0
        assert report.samples.keys() == report.dropped.keys()
        assert all(len(report.samples[reason]) == min(5, count) for reason, count in report.dropped.items())
        lines = Path(report.path).read_text(encoding="utf-8").split("\n")
        some = [*report.kept_samples, *(one for samples in report.samples.values() for one in samples)]
        assert all(lines[one["place"] - 1] == one["text"] for one in some)
        assert len(report.kept_samples) == 5
    assert Manifest.load(tmp_path / "data") == manifest


# --- as much as is needed -----------------------------------------------------------------------------------------


@pytest.fixture
def stream(tmp_path: Path) -> TextDocuments:
    """Text that is read some 30 documents at a time, as if nobody knew where it ends."""
    chance = random_sentences(6000, 3)
    write_mono(
        tmp_path / "stream.de.txt", [f"{a} {b}" for (a, _), (b, _) in zip(chance[::2], chance[1::2], strict=True)]
    )
    return TextDocuments(tmp_path / "stream.de.txt", "de", block_bytes=4096)


def prepare_stream(stream: TextDocuments, recipe: Any, data: Path, means: Means) -> PreparedDocuments:
    corpus = Corpus("stream", (), "de", "train", stream)
    assert corpus.endless
    job = Job(stream, data / "blocks", "train", Filters())
    source = MonoSource(path="stream", language="de", format="hub")
    return prepare_documents(recipe, [source], [corpus], [job], data, means.clean)


@pytest.mark.parametrize("count", [1, 100, 1000])
def test_of_an_endless_corpus_only_what_is_needed_is_read_and_kept(
    make_mono_recipe: MakeRecipe, stream: TextDocuments, tmp_path: Path, count: int
) -> None:
    recipe = make_mono_recipe(max_documents=count, held_out_documents=0)
    one, two = (prepare_stream(stream, recipe, tmp_path / f"{means.workers}", means) for means in (ONE, TWO))
    assert one.counts["train"]["documents"] == count
    assert one.corpora[0].account == two.corpora[0].account
    assert count <= one.corpora[0].account.read <= 1.25 * count + 2 * 40  # blocks of about 40 documents at most
    assert one.corpora[0].account.dropped["not_needed"] == one.corpora[0].account.read - count
    assert written(tmp_path / "1/mono") == written(tmp_path / "2/mono")


def test_a_corpus_full_of_duplicates_is_read_until_there_is_enough(
    make_mono_recipe: MakeRecipe, tmp_path: Path
) -> None:
    pairs = sentences(800)
    write_mono(tmp_path / "stream.de.txt", [text for text, _ in pairs for _ in range(4)])
    stream = TextDocuments(tmp_path / "stream.de.txt", "de", block_bytes=4096)
    recipe = make_mono_recipe(max_documents=300, held_out_documents=0)
    one, two = (prepare_stream(stream, recipe, tmp_path / f"{means.workers}", means) for means in (ONE, TWO))
    assert one.counts["train"]["documents"] == 300
    assert one.corpora[0].account == two.corpora[0].account
    assert one.corpora[0].account.read < 3200


def test_blocks_beyond_what_is_needed_are_left_out_of_the_account(stream: TextDocuments, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    found = [
        clean_corpora(
            [Job(stream, tmp_path / f"{workers}", "train", Filters())],
            workers=workers,
            most=[50],
            progress=lambda read, kept: progress.append((read, kept)),
        )[0]
        for workers in (1, 2)
    ]
    assert [one.whole for one in found] == [False, False]
    assert found[0].account == found[1].account
    assert len(found[0].files) == len(found[1].files) == 2
    assert progress[0][0] < progress[1][0] == found[0].account.read


# --- mixed ------------------------------------------------------------------------------------------------------


@pytest.fixture
def make_mixed_recipe(tmp_path: Path, make_whole_recipe: MakeRecipe) -> MakeRecipe:
    """German, replayed English and the pairs in one stream."""
    write_mono(tmp_path / "de.txt", [text for text, _ in sentences(400, 100)])
    write_mono(tmp_path / "replay.txt", [text for _, text in sentences(400, 600)])
    sources = [
        {"path": "de.txt", "language": "de"},
        {"path": "replay.txt", "language": "en", "replay": True},
    ]
    mono = {"sources": sources, "mixture": {"de": 0.5, "parallel": 0.3, "replay": 0.2}, "held_out_documents": 0}

    def make(pairs: int, **settings: Any) -> Any:
        write_tsv(tmp_path / "a.de-en.tsv", sentences(pairs))
        return make_whole_recipe({**mono, **settings}, {"sources": [{"path": "a.de-en.tsv"}], "held_out_pairs": 0})

    return make


def test_pairs_and_replayed_text_come_with_their_shares(make_mixed_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_mixed_recipe(100, max_documents=300)
    manifest = prepare_both(recipe, tmp_path / "data", ONE)[-1].manifest
    train = manifest.stages["mono"]["train"]
    assert train["probabilities"] == pytest.approx({"de": 0.5, "parallel": 0.3, "replay": 0.2})
    drawn = {pool: one["documents"] for pool, one in train["languages"].items()}
    # Give or take four standard deviations of sqrt(300 * p * (1 - p)).
    assert drawn == pytest.approx({"de": 150, "parallel": 90, "replay": 60}, abs=35)
    assert sum(drawn.values()) == train["documents"] == 300
    documents = list(read_documents(split_path(tmp_path / "data", "mono", "train")))
    pairs = [f"{one.source}\n{one.target}" for one in read_examples(split_path(tmp_path / "data", "parallel", "train"))]
    of_pairs = [one for one in documents if re.fullmatch(r"..-..", one.language)]
    assert [one.text for one in of_pairs] == pairs[: len(of_pairs)]
    assert {one.language for one in of_pairs} == {"de-en", "en-de"}


def test_pairs_that_run_out_leave_their_share_to_the_others(make_mixed_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_mixed_recipe(5, max_documents=300)
    train = prepare_both(recipe, tmp_path / "data", ONE)[-1].manifest.stages["mono"]["train"]
    assert train["documents"] == 300
    assert train["languages"]["parallel"]["documents"] == 10


def test_other_pairs_are_mixed_in_again(make_mixed_recipe: MakeRecipe, tmp_path: Path) -> None:
    prepare_both(make_mixed_recipe(20), tmp_path / "data", ONE)
    again = prepare_both(make_mixed_recipe(21), tmp_path / "data", ONE)
    assert [one.unchanged for one in again] == [False, False]
    assert again[-1].manifest.stages["mono"]["train"]["languages"]["parallel"]["documents"] == 42
