"""Splits on disk: what is written is read, in shards or by hand, complete or not at all, and from any place on."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from alma_cli.core.dataset import (
    Document,
    Example,
    Manifest,
    SourceReport,
    documents_after,
    is_split,
    read_documents,
    read_examples,
    split_path,
    split_sha256,
    write_documents,
    write_examples,
)
from alma_cli.core.languages import Direction
from alma_cli.core.shards import START, Place
from alma_cli.errors import AlmaError, InputError

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DE_EN = Direction("de", "en")


def documents(count: int) -> list[Document]:
    """Each has 100 bytes of JSON with its line feed."""
    return [Document("de", f"{number:<69}ü\u2028") for number in range(count)]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return split_path(tmp_path, "mono", "train")


# --- written and read ---------------------------------------------------------------------------------------------


def test_examples_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = split_path(tmp_path, "parallel", "train")
    examples = [Example(DE_EN, "Hund\u2028", "dög\n"), Example(DE_EN.reverse, "", '"')]

    write_examples(path, iter(examples))

    assert read_examples(path) == examples
    assert names(tmp_path) == ["parallel/train/00000.jsonl.zst"]


def test_a_row_is_a_line_of_json(tmp_path: Path) -> None:
    path = split_path(tmp_path, "parallel", "train")
    write_examples(path, [Example(DE_EN, "Tür", "door")])

    text = zstandard.ZstdDecompressor().stream_reader((path / "00000.jsonl.zst").read_bytes()).read()

    assert text.decode() == '{"direction": "de-en", "source": "Tür", "target": "door"}\n'


def test_a_split_is_cut_into_shards_after_the_line_that_fills_them(split: Path) -> None:
    write_documents(split, documents(25), shard_bytes=950)  # ten documents of 100 bytes

    assert names(split) == ["00000.jsonl.zst", "00001.jsonl.zst", "00002.jsonl.zst"]
    assert list(read_documents(split)) == documents(25)
    assert [end.shard for _, end in documents_after(split, START)] == [0] * 10 + [1] * 10 + [2] * 5


def test_a_split_that_fills_its_last_shard_has_no_empty_one_after_it(split: Path) -> None:
    write_documents(split, documents(20), shard_bytes=1000)

    assert names(split) == ["00000.jsonl.zst", "00001.jsonl.zst"]


def test_an_empty_split_is_there_and_an_absent_one_is_not(split: Path) -> None:
    assert (is_split(split), list(read_documents(split)), read_examples(split)) == (False, [], [])

    write_documents(split, [])

    assert (is_split(split), list(read_documents(split))) == (True, [])


def test_the_same_rows_are_the_same_bytes_and_other_rows_have_another_hash(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    write_documents(first, documents(2500), shard_bytes=100_000)
    write_documents(second, documents(2500), shard_bytes=100_000)
    write_documents(other, documents(2499), shard_bytes=100_000)

    assert [file.read_bytes() for file in sorted(first.iterdir())] == [
        file.read_bytes() for file in sorted(second.iterdir())
    ]
    assert split_sha256(first) == split_sha256(second) != split_sha256(other)


@pytest.mark.parametrize("place", [0, 1, 9, 10, 11, 19, 20, 24, 25])
@pytest.mark.parametrize("by_hand", [False, True])
def test_reading_goes_on_after_any_document(split: Path, place: int, by_hand: bool) -> None:
    if by_hand:
        write_by_hand(split, documents(25))
    else:
        write_documents(split, documents(25), shard_bytes=1000)
    ends = [START, *(end for _, end in documents_after(split, START))]

    rest = list(documents_after(split, ends[place]))

    assert [document for document, _ in rest] == documents(25)[place:]
    assert [end for _, end in rest] == ends[place + 1 :]
    assert sum(1 for _ in documents_after(split, Place(shard=3))) == 0


def test_a_line_longer_than_any_piece_is_read_whole(split: Path) -> None:
    long = [Document("de", "ab" * 3_000_000), Document("de", "c"), Document("de", "é" * 2**20)]

    write_documents(split, long, shard_bytes=10)

    assert list(read_documents(split)) == long
    assert len(names(split)) == 3


# --- by hand ------------------------------------------------------------------------------------------------------


def write_by_hand(split: Path, rows: list[Document]) -> None:
    split.parent.mkdir(parents=True)
    text = "".join(json.dumps({"language": row.language, "text": row.text}) + "\n" for row in rows)
    split.with_suffix(".jsonl").write_text(text)


def test_a_plain_file_is_a_split_even_without_its_last_line_feed(split: Path) -> None:
    split.parent.mkdir()
    split.with_suffix(".jsonl").write_text(
        '{"language": "de", "text": "a"}\n{"text": "b", "more": 1, "language": "de"}'
    )

    assert is_split(split)
    assert list(read_documents(split)) == [Document("de", "a"), Document("de", "b")]


def test_the_hash_of_a_plain_file_is_the_files(split: Path) -> None:
    split.parent.mkdir()
    split.with_suffix(".jsonl").write_text("abc")

    # FIPS 180-2, appendix B.1.
    assert split_sha256(split) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_plain_file_is_replaced_by_what_is_prepared(split: Path) -> None:
    write_by_hand(split, documents(3))

    write_documents(split, documents(2))

    assert names(split.parent) == ["train/00000.jsonl.zst"]


def test_shards_and_a_plain_file_at_once_are_not_guessed_at(split: Path) -> None:
    write_documents(split, documents(1))
    split.with_suffix(".jsonl").write_text("")

    with pytest.raises(InputError) as caught:
        is_split(split)

    assert str(caught.value) == f"{split} and {split}.jsonl are both there (delete the one that is not meant)"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"direction": "de-', " is not JSON in UTF-8"),
        (b"", " is not JSON in UTF-8"),
        (b"[" * 100_000, " is not JSON in UTF-8"),
        (b'{"direction": "de-en", "source": "sch\xf6n", "target": ""}', " is not JSON in UTF-8"),
        (b'{"direction": "de-en", "source": "\\ud83d", "target": ""}', " is not JSON in UTF-8"),
        (b'{"direction": "de-en", "source": "a"}', " has not the texts direction, source, target"),
        (b'{"direction": "de-en", "source": "a", "target": null}', " has not the texts direction, source, target"),
        (b'["de-en", "a", "b"]', " has not the texts direction, source, target"),
        (b'{"direction": "de-xx", "source": "a", "target": "b"}', ": unknown language code 'xx'"),
        (b'{"direction": "de", "source": "a", "target": "b"}', ": 'de' is not a direction"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = split_path(tmp_path, "parallel", "train")
    path.parent.mkdir()
    good = b'{"direction": "de-en", "source": "a", "target": "b"}\n'
    path.with_suffix(".jsonl").write_bytes(good + line + b"\n" + good)

    with pytest.raises(InputError) as caught:
        read_examples(path)

    assert caught.value.message == f"{path}.jsonl line 2{message}"
    assert caught.value.hint


# --- damaged ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 4, 100])
def test_a_shard_that_is_cut_off_is_no_shorter_one(split: Path, cut: int) -> None:
    write_documents(split, documents(2500), shard_bytes=100_000)
    shard = split / "00001.jsonl.zst"
    shard.write_bytes(shard.read_bytes()[:-cut])

    with pytest.raises(InputError) as caught:
        list(read_documents(split))

    assert str(caught.value) == f"{shard} is cut off (run `alma prepare` again)"


@pytest.mark.parametrize("damage", [b"no zstandard, but some text", b""])
def test_a_file_that_is_no_shard_is_named(split: Path, damage: bytes) -> None:
    write_documents(split, documents(1))
    (split / "00000.jsonl.zst").write_bytes(damage)

    with pytest.raises(InputError, match=r"00000\.jsonl\.zst is (damaged: .+|cut off) \(run `alma prepare` again\)"):
        list(read_documents(split))


def test_a_changed_byte_is_noticed(split: Path) -> None:
    write_documents(split, documents(2500))
    shard = split / "00000.jsonl.zst"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)

    with pytest.raises(InputError, match=r"00000\.jsonl\.zst (is|line \d+ is) "):
        list(read_documents(split))


def test_a_shard_that_is_missing_is_named(split: Path) -> None:
    write_documents(split, documents(30), shard_bytes=1000)
    (split / "00001.jsonl.zst").unlink()

    with pytest.raises(InputError) as caught:
        read_examples(split)

    assert str(caught.value) == f"{split / '00001.jsonl.zst'} is missing (run `alma prepare` again)"


def test_what_is_no_shard_is_left_alone(split: Path) -> None:
    write_documents(split, documents(1))
    (split / "README").write_text("notes")

    assert list(read_documents(split)) == documents(1)


# --- complete or not at all ---------------------------------------------------------------------------------------


def failing(count: int, error: Exception) -> Iterator[Document]:
    yield from documents(count)
    raise error


@pytest.mark.parametrize("error", [InputError("bad.txt line 7"), OSError(errno.EIO, "Input/output error", "corpus.gz")])
def test_rows_that_fail_leave_the_split_of_before_and_keep_their_own_error(split: Path, error: Exception) -> None:
    write_documents(split, documents(3))

    with pytest.raises(type(error)) as caught:
        write_documents(split, failing(50_000, error), shard_bytes=1_000_000)

    assert caught.value is error
    assert list(read_documents(split)) == documents(3)
    assert names(split.parent) == ["train/00000.jsonl.zst"]
    assert [path.name for path in split.parent.iterdir()] == ["train"]


def test_a_full_disk_names_the_split_and_leaves_the_one_of_before(split: Path) -> None:
    write_documents(split, documents(3))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # A limit on the size of files stops a write in the middle, as a full disk does; noise does not get smaller.
    noise = (Document("de", os.urandom(50_000).hex()) for _ in range(100))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_documents(split, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, signal_before)

    assert caught.value.filename == str(split)
    assert list(read_documents(split)) == documents(3)
    assert [path.name for path in split.parent.iterdir()] == ["train"]


WRITE = (
    "import sys\n"
    "from pathlib import Path\n"
    "from alma_cli.core.dataset import Document, write_documents\n"
    "while True:\n"
    "    write_documents(Path(sys.argv[1]), (Document('de', 'new') for _ in range(2000)), shard_bytes=10_000)\n"
)


@pytest.mark.parametrize("milliseconds", [0, 3, 7, 12, 20])
def test_a_writer_killed_at_any_moment_leaves_a_whole_split_or_none(split: Path, milliseconds: int) -> None:
    write_documents(split, [Document("de", "old")] * 100)
    writer = subprocess.Popen([sys.executable, "-c", WRITE, str(split)], cwd=REPOSITORY)
    while not any(split.parent.glob(".train.*.tmp")):
        time.sleep(0.001)
    time.sleep(milliseconds / 1000)

    writer.kill()
    writer.wait()

    texts = [document.text for document in read_documents(split)]
    assert texts in ([], ["old"] * 100, ["new"] * 2000)
    write_documents(split, documents(3))
    assert list(read_documents(split)) == documents(3)
    assert [path.name for path in split.parent.iterdir()] == ["train"]


def test_what_another_process_is_writing_is_left_alone(split: Path) -> None:
    theirs = split.parent / f".train.{os.getppid()}.tmp"
    theirs.mkdir(parents=True)
    (split.parent / ".train.of.mine.tmp").mkdir()

    write_documents(split, documents(1))

    assert sorted(path.name for path in split.parent.iterdir()) == [theirs.name, ".train.of.mine.tmp", "train"]


# --- memory -------------------------------------------------------------------------------------------------------


def test_a_long_split_is_written_and_read_in_little_memory(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from alma_cli.core.dataset import Document, documents_after, write_documents\n"
        "from alma_cli.core.shards import Place\n"
        "high = lambda: next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')) // 1024\n"
        "path, before = Path(sys.argv[1]), high()\n"
        "text = 'Die Ware hat im letzten Jahr gekostet, was sie wert war. ' * 40\n"
        "write_documents(path, (Document('de', f'{n} {text}') for n in range(100_000)), 150_000_000)\n"
        "print(sum(1 for _ in documents_after(path, Place())), high() - before)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "train")], cwd=REPOSITORY, capture_output=True, text=True
    )

    # 230 MB; it repeats so much that a piece of a shard becomes as large as one can.
    read, mebibytes = map(int, done.stdout.split())
    assert read == 100_000
    assert mebibytes < 60


# --- the manifest -------------------------------------------------------------------------------------------------


def report(**counts: int) -> SourceReport:
    made = SourceReport("a.tsv", "", "parallel", "train", "de-en", read=5, kept=5 - sum(counts.values()))
    for reason, count in counts.items():
        made.drop(reason, count)
    return made


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = Manifest([report(empty=2), report(empty=1, copied_source=1)], {"parallel": {}}, 42, {}, {"parallel": "f"})
    written.sources[0].samples["empty"] = [{"place": 3, "text": "", "file": ""}]
    written.overlaps["parallel"] = [{"source": "a.tsv"}]

    written.save(tmp_path)

    assert Manifest.load(tmp_path) == written
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["steps"] == {"parallel": {"empty": 3, "copied_source": 1}}


def test_an_account_that_does_not_add_up_is_never_written(tmp_path: Path) -> None:
    wrong = SourceReport("a.tsv", "", "parallel", "train", "de-en", read=5, kept=4)

    with pytest.raises(AssertionError, match="read=5, kept=4"):
        Manifest([wrong], {}, 42, {}, {}).save(tmp_path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"version": 1, "sources": []}', "version 1, expected 2"),
        ('{"version": 2}', "'steps'"),
        ("{", "Expecting property name"),
        ("[]", "list indices"),
    ],
)
def test_another_manifest_says_to_prepare_again(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "manifest.json").write_text(content)

    with pytest.raises(AlmaError) as caught:
        Manifest.load(tmp_path)

    assert caught.value.message.startswith(f"{tmp_path / 'manifest.json'} cannot be used: {why}")
    assert caught.value.hint == "run `alma prepare --no-resume`"


def test_a_split_can_be_copied_like_any_folder(split: Path, tmp_path: Path) -> None:
    write_documents(split, documents(30), shard_bytes=1000)

    copy = Path(shutil.copytree(split, tmp_path / "elsewhere" / "valid"))

    assert list(read_documents(copy)) == documents(30)
    assert split_sha256(copy) == split_sha256(split)
